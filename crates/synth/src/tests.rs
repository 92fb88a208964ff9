//! What a synthetic set promises, proved on whole sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use image::{ColorType, GenericImageView, ImageFormat};
use run_spec::ids::{Digest, pixel_digest};
use tempfile::{TempDir, tempdir};

use super::catalogue::SOURCES;
use super::form::Class;
use super::optics;
use super::plan::DrawnSource;
use super::scene::Scene;
use super::{Scale, SmearSet, SourceSummary, SynthError};

fn tiny(seed: u64) -> SmearSet {
    SmearSet { seed, scale: Scale::Tiny, images_per_source: None, command: format!("synth {seed}") }
}

fn write(smears: &SmearSet, dir: &Path) -> Result<Vec<SourceSummary>, SynthError> {
    smears.write(dir, &|| {})
}

fn drawn(seed: u64) -> (TempDir, Vec<SourceSummary>) {
    let dir = tempdir().expect("folder");
    let summaries = write(&tiny(seed), dir.path()).expect("draw");
    (dir, summaries)
}

/// Digest of every file under a folder.
fn digests(dir: &Path) -> BTreeMap<String, Digest> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("list") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("inside").display().to_string();
                found.insert(name, Digest::of(&fs::read(path).expect("read")));
            }
        }
    }
    found
}

/// Rows of a `cells.csv`: image, x, y, box, class.
fn cells(dir: &Path, set: &str) -> Vec<(String, [u32; 6], String)> {
    let text = fs::read_to_string(dir.join("data").join(set).join("cells.csv")).expect("cells.csv");
    let row = |line: &str| {
        let words: Vec<&str> = line.split(',').collect();
        let numbers = [1, 2, 3, 4, 5, 6].map(|k| words[k].parse().expect("a number"));
        (words[0].to_owned(), numbers, words[7].to_owned())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn the_same_seed_draws_the_same_bytes_on_any_number_of_threads() {
    let (one, many, other) = (tempdir().expect("folder"), tempdir().expect("folder"), drawn(8).0);
    for (dir, threads) in [(&one, 1), (&many, 3)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| write(&tiny(7), dir.path())).expect("draw");
    }
    let (one, many, other) = (digests(one.path()), digests(many.path()), digests(other.path()));
    assert!(one == many);
    assert_eq!(one.len(), other.len());
    let images = |name: &&String| name.contains("field") && !name.ends_with(".txt");
    assert!(one.keys().filter(images).all(|name| one[name] != other[name]), "another seed draws other images");
}

#[test]
fn asking_for_more_images_leaves_the_first_ones_as_they_are() {
    let (few, _) = drawn(3);
    let more = tempdir().expect("folder");
    write(&SmearSet { images_per_source: Some(2), ..tiny(3) }, more.path()).expect("draw");
    let (few, more) = (digests(few.path()), digests(more.path()));
    for name in few.keys().filter(|name| name.contains("field")) {
        assert_eq!(few[name], more[name], "{name}");
    }
}

#[test]
fn every_class_is_labelled_in_each_evaluation_source_and_the_tables_agree() {
    let (dir, summary) = drawn(0);
    assert_eq!(summary.len(), 22);
    for set in &summary {
        let mut counted: BTreeMap<&str, u64> = Class::ALL.iter().map(|class| (class.name(), 0)).collect();
        let rows = cells(dir.path(), &set.name);
        for (_, _, class) in &rows {
            *counted.get_mut(class.as_str()).expect("a known class") += 1;
        }
        assert_eq!(counted, set.cells, "{}", set.name);
        if set.evaluation {
            assert!(set.cells.values().all(|n| *n >= 1), "{}: {:?}", set.name, set.cells);
        }
    }
    let total: u64 = summary.iter().filter(|set| set.evaluation).flat_map(|set| set.cells.values()).sum();
    assert!(total > 150, "{total} evaluation cells");
}

#[test]
fn in_a_thin_smear_cells_lie_apart() {
    let quickstart = DrawnSource::all(Scale::Quickstart);
    assert_eq!(quickstart.iter().filter(|set| set.evaluation.is_none()).count(), 4);
    assert_eq!(quickstart.len(), 8);
    // Share of the fields' cells whose boxes meet the box of another cell.
    let meeting = |sets: &[DrawnSource], scale: Scale| {
        let (mut meeting, mut all) = (0.0, 0.0);
        for field in sets.iter().filter_map(|set| set.fields(scale, None).first().copied()) {
            let labels = Scene::draw(&field, 0).labels();
            let meets = |k: usize| {
                labels.iter().enumerate().any(|(other, b)| {
                    let a = &labels[k];
                    other != k && a.xmin < b.xmax && b.xmin < a.xmax && a.ymin < b.ymax && b.ymin < a.ymax
                })
            };
            meeting += (0..labels.len()).filter(|k| meets(*k)).count() as f64;
            all += labels.len() as f64;
        }
        meeting / all
    };
    let (thin, ordinary) =
        (meeting(&quickstart, Scale::Quickstart), meeting(&DrawnSource::all(Scale::Small), Scale::Small));
    assert!(thin < 0.4 && ordinary > 0.6, "{thin:.2} of a thin smear's cells, {ordinary:.2} of an ordinary one's");
}

#[test]
fn training_sources_of_the_quickstart_say_where_cells_lie() {
    let dir = tempdir().expect("folder");
    write(&SmearSet { scale: Scale::Quickstart, images_per_source: Some(1), ..tiny(0) }, dir.path()).expect("draw");
    let text = fs::read_to_string(dir.path().join("sources/synth-pink-giemsa.yaml")).expect("read");
    assert!(text.contains("file: cells.csv") && text.contains("cells: { size: 60"), "{text}");
    let readme = fs::read_to_string(dir.path().join("README.md")).expect("read");
    assert!(readme.contains("Thin smears") && readme.contains("of the 4 training sources"), "{readme}");
}

#[test]
fn labels_lie_inside_their_images() {
    let (dir, summary) = drawn(1);
    for set in &summary {
        let root = dir.path().join("data").join(&set.name);
        let mut sizes = BTreeMap::new();
        for (image, [x, y, xmin, ymin, xmax, ymax], _) in cells(dir.path(), &set.name) {
            let (w, h) = *sizes.entry(image.clone()).or_insert_with(|| {
                image::load_from_memory(&fs::read(root.join(&image)).expect("read")).expect("image").dimensions()
            });
            assert!(x < w && y < h && xmax <= w && ymax <= h, "{} {image}: {x} {y}", set.name);
            assert!(xmin < x && x < xmax && ymin < y && y < ymax, "{} {image}: box around {x} {y}", set.name);
        }
    }
}

#[test]
fn files_hold_the_formats_that_the_catalogue_names() {
    use super::catalogue::FileFormat as F;
    let dir = tempdir().expect("folder");
    write(&SmearSet { images_per_source: Some(3), ..tiny(2) }, dir.path()).expect("draw");
    for set in DrawnSource::all(Scale::Tiny) {
        for field in set.fields(Scale::Tiny, Some(3)) {
            let path = dir.path().join("data").join(set.name()).join(field.path());
            let bytes = fs::read(&path).expect("read");
            let (format, colour) = match set.style.format {
                F::JpegSomePng(_) if field.index == 2 => (ImageFormat::Png, ColorType::Rgb8),
                F::Jpeg(_) | F::JpegSomePng(_) => (ImageFormat::Jpeg, ColorType::Rgb8),
                F::JpegGrey(_) => (ImageFormat::Jpeg, ColorType::L8),
                F::Png => (ImageFormat::Png, ColorType::Rgb8),
                F::PngAlpha => (ImageFormat::Png, ColorType::Rgba8),
                F::PngGrey => (ImageFormat::Png, ColorType::L8),
                F::Bmp => (ImageFormat::Bmp, ColorType::Rgb8),
                F::Tiff => (ImageFormat::Tiff, ColorType::Rgb8),
                F::Tiff16 => (ImageFormat::Tiff, ColorType::Rgb16),
            };
            assert_eq!(image::guess_format(&bytes).expect("known"), format, "{}", path.display());
            let image = image::load_from_memory(&bytes).expect("decodes");
            assert_eq!(
                (image.color(), image.dimensions()),
                (colour, (field.width, field.height)),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn no_image_occurs_twice_so_nothing_leaks_into_the_evaluation() {
    let dir = tempdir().expect("folder");
    write(&SmearSet { images_per_source: Some(2), ..tiny(5) }, dir.path()).expect("draw");
    let mut seen = BTreeSet::new();
    for set in DrawnSource::all(Scale::Tiny) {
        for field in set.fields(Scale::Tiny, Some(2)) {
            let bytes = fs::read(dir.path().join("data").join(set.name()).join(field.path())).expect("read");
            let rgb = image::load_from_memory(&bytes).expect("decodes").to_rgb8();
            assert!(seen.insert(pixel_digest(rgb.width(), rgb.height(), &rgb)), "{} {}", set.name(), field.path());
        }
    }
}

#[test]
fn a_folder_that_holds_something_else_is_refused_and_the_same_set_drawn_again() {
    let foreign = tempdir().expect("folder");
    fs::write(foreign.path().join("thesis.tex"), "x").expect("write");
    let error = write(&tiny(0), foreign.path()).expect_err("refused");
    assert!(matches!(error, SynthError::NotEmpty { .. }), "{error}");
    let (dir, _) = drawn(0);
    let before = digests(dir.path());
    let error = write(&tiny(1), dir.path()).expect_err("refused");
    assert!(matches!(error, SynthError::OtherSet { .. }), "{error}");
    let lost = dir.path().join("data/synth-pink-giemsa/images/slide01_field01.jpg");
    fs::remove_file(lost).expect("remove");
    write(&tiny(0), dir.path()).expect("drawn again");
    assert!(before == digests(dir.path()));
}

#[test]
fn the_sheet_shows_every_class_of_every_evaluation_source() {
    let png = SmearSet { scale: Scale::Small, ..tiny(0) }.sheet().expect("draw");
    let sheet = image::load_from_memory(&png).expect("sheet").to_rgb8();
    let evaluations = SOURCES.iter().filter(|style| style.evaluation.is_some()).count() as u32;
    let coloured = sheet.pixels().filter(|pixel| pixel.0.iter().any(|v| *v != pixel.0[0])).count() as u32;
    assert!(coloured > evaluations * 9 * 4 * 84 * 84 / 2, "{coloured} coloured pixels");
}

/// Mean colours of all labelled crops of a source's evaluation fields: slide, class, mean of the crop, mean of its middle.
fn mean_colours(set: &DrawnSource, scale: Scale) -> Vec<(u64, Class, [[f64; 3]; 2])> {
    let side = set.evaluation.expect("an evaluation set").1;
    let mut all = Vec::new();
    for field in set.fields(scale, None) {
        let key = field.key(0);
        let scene = Scene::draw(&field, 0);
        let exposure = optics::expose(&scene, set.style, key);
        for label in scene.labels() {
            let mean = |half: u32| {
                let (xs, ys) = (
                    label.x.saturating_sub(half)..(label.x + half).min(field.width),
                    label.y.saturating_sub(half)..(label.y + half).min(field.height),
                );
                let count = f64::from(xs.len() as u32 * ys.len() as u32);
                let mut sum = [0.0; 3];
                for at in ys.flat_map(|y| xs.clone().map(move |x| (y * field.width + x) as usize * 3)) {
                    for (channel, total) in sum.iter_mut().enumerate() {
                        *total += f64::from(exposure.rgb[at + channel]) / count;
                    }
                }
                sum
            };
            all.push((field.slide, label.class, [mean(side / 2), mean(side / 4)]));
        }
    }
    all
}

/// Share of cells whose class is that of the nearest class mean of the other slides.
fn nearest_mean_accuracy(cells: &[(u64, Class, [[f64; 3]; 2])], part: usize) -> f64 {
    let mut right = 0;
    for (slide, class, colour) in cells {
        let distance = |of: Class| {
            let others: Vec<_> = cells.iter().filter(|c| c.0 != *slide && c.1 == of).map(|c| c.2[part]).collect();
            let mean = |k: usize| others.iter().map(|c| c[k]).sum::<f64>() / others.len() as f64;
            (0..3).map(|k| (mean(k) - colour[part][k]).powi(2)).sum::<f64>()
        };
        let nearest = Class::ALL.into_iter().min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        right += usize::from(nearest == Some(*class));
    }
    right as f64 / cells.len() as f64
}

/// The evaluation sets of a scale of ordinary smears, and of thin ones.
fn evaluation_sets() -> Vec<(Scale, DrawnSource)> {
    let of =
        |scale| DrawnSource::all(scale).into_iter().filter(|set| set.evaluation.is_some()).map(move |set| (scale, set));
    of(Scale::Small).chain(of(Scale::Quickstart)).collect()
}

#[test]
fn colour_does_not_give_the_class_away() {
    for (scale, set) in evaluation_sets() {
        let cells = mean_colours(&set, scale);
        let (crop, middle) = (nearest_mean_accuracy(&cells, 0), nearest_mean_accuracy(&cells, 1));
        assert!(cells.len() > 300, "{} has {} cells", set.name(), cells.len());
        assert!(crop < 0.25 && middle < 0.35, "{}: {crop:.3} whole crop, {middle:.3} middle", set.name());
    }
}
