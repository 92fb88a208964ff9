//! Finding copies, through the program: a small case, and a measured one on the real data that says loudly when it is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::support::{Bench, program, run, shared_data, stderr, stdout};
use image::{RgbImage, imageops};

/// Ways in which copies are made.
const WAYS: [&str; 8] = ["quarter", "tilt", "flip", "q60", "twice", "small", "crop", "squash"];

/// The `way`th copy of an image. `turn` chooses the angle, the side and the place.
fn copied(image: &RgbImage, way: &str, turn: usize) -> (Vec<u8>, &'static str) {
    let (width, height) = image.dimensions();
    let made = match way {
        "quarter" => match turn % 3 {
            0 => imageops::rotate90(image),
            1 => imageops::rotate180(image),
            _ => imageops::rotate270(image),
        },
        "tilt" => tilted(image, if turn.is_multiple_of(2) { 10.0 } else { -10.0 }),
        "flip" if turn.is_multiple_of(2) => imageops::flip_horizontal(image),
        "flip" => imageops::flip_vertical(image),
        "small" => {
            let side = |length: u32| (f64::from(length) * 0.7).round() as u32;
            imageops::resize(image, side(width), side(height), imageops::FilterType::CatmullRom)
        }
        "crop" => {
            let (w, h) = (width * 9 / 10, height * 9 / 10);
            let (x, y) = ((turn as u32 * 37) % (width - w + 1), (turn as u32 * 23) % (height - h + 1));
            imageops::crop_imm(image, x, y, w, h).to_image()
        }
        "squash" => {
            // 640 × 480 becomes 416 × 416; what is square becomes 4 : 3.
            let side = (f64::from(width.min(height)) * 416.0 / 480.0).round() as u32;
            let high = if width == height { side * 3 / 4 } else { side };
            imageops::resize(image, side, high, imageops::FilterType::CatmullRom)
        }
        "twice" => image::load_from_memory(&jpeg(image, 80)).expect("JPEG").into_rgb8(),
        _ => image.clone(),
    };
    match way {
        "q60" | "twice" => return (jpeg(&made, 60), "jpg"),
        "squash" => return (jpeg(&made, 85), "jpg"),
        _ => {}
    }
    let mut bytes = Cursor::new(Vec::new());
    made.write_to(&mut bytes, image::ImageFormat::Png).expect("PNG");
    (bytes.into_inner(), "png")
}

pub(crate) fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image).expect("JPEG");
    bytes.into_inner()
}

/// Turned about its centre, bilinear, white where nothing is known.
fn tilted(image: &RgbImage, degrees: f64) -> RgbImage {
    let (width, height) = image.dimensions();
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cx, cy) = ((f64::from(width) - 1.0) / 2.0, (f64::from(height) - 1.0) / 2.0);
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (f64::from(x) - cx, f64::from(y) - cy);
        let (sx, sy) = ((cos * dx + sin * dy + cx) as f32, (cos * dy - sin * dx + cy) as f32);
        imageops::interpolate_bilinear(image, sx, sy).unwrap_or(image::Rgb([255; 3]))
    })
}

fn report(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(dir.join("duplicates.csv")).expect("a report");
    let header = reader.headers().expect("header").clone();
    let rows = reader.records().map(|record| record.expect("record"));
    rows.map(|row| header.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect()).collect()
}

/// Three hundred small discs of any grey, at random. (`crate::support::picture` is a lattice: its pictures lie over each other well.)
fn field(seed: u64) -> RgbImage {
    discs((160, 120), 300, seed)
}

/// Small discs of any grey, at random, in an image of `size`.
pub(crate) fn discs((width, height): (u32, u32), count: u32, seed: u64) -> RgbImage {
    let mut random = run_spec::seed::stream(seed, "tests/copies", &[]);
    let mut image = RgbImage::from_pixel(width, height, image::Rgb([128; 3]));
    for _ in 0..count {
        let (cx, cy) = (random.below(u64::from(width)) as i64, random.below(u64::from(height)) as i64);
        let (radius, grey) = (2 + random.below(4) as i64, random.below(256) as u8);
        for (x, y, pixel) in image.enumerate_pixels_mut() {
            let (dx, dy) = (i64::from(x) - cx, i64::from(y) - cy);
            if dx * dx + dy * dy <= radius * radius {
                *pixel = image::Rgb([grey; 3]);
            }
        }
    }
    image
}

#[test]
fn a_turned_copy_between_training_and_evaluation_is_reported_and_shares_a_group() {
    let bench = Bench::new();
    bench.describe("train", "images: {include: ['*.png']}");
    bench.describe("test", "role: evaluation\nimages: {include: ['*.png']}");
    for seed in 0..6 {
        bench.save("train", &format!("{seed}.png"), &field(seed));
        bench.save("test", &format!("{seed}.png"), &field(100 + seed));
    }
    bench.save("test", "leak.png", &imageops::rotate90(&field(2)));
    let out = bench.path("report");
    let arguments = |command: &str| {
        let mut program = program();
        program.arg(command).arg(bench.path("sources")).arg("--data").arg(bench.path("data")).arg("--out");
        program
    };
    let found = arguments("duplicates").arg(&out).output().expect("shard-builder starts");
    assert!(found.status.success(), "{}", stderr(&found));
    let rows = report(&out);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!((row["crosses"].as_str(), row["how"].as_str()), ("training and evaluation", "near"));
    assert_eq!((row["image_a"].as_str(), row["image_b"].as_str()), ("leak.png", "2.png"));
    assert!(stdout(&found).contains("between training and evaluation: 1;"), "{}", stdout(&found));
    assert!(stderr(&found).contains("compare signatures"), "the search says how far it is: {}", stderr(&found));
    assert!(image::open(out.join("duplicates.png")).expect("a sheet").width() > 1000);
    for (set, near, groups) in [("joined", "join", 12), ("apart", "ignore", 13)] {
        let made = bench.build(set, &["--size", "64", "--near-copies", near]);
        assert!(made.status.success());
        let warned = stdout(&made)
            .contains("source train: copies of images join 1 of its 6 groups (patients or slides) with other groups;");
        assert_eq!(warned, near == "join", "{}", stdout(&made));
        let set = bench.open(set);
        let names: BTreeSet<String> = (0..set.len()).map(|row| set.meta(row).expect("row").group.to_string()).collect();
        assert_eq!(names.len(), groups, "--near-copies {near}");
    }
    let unknown =
        run(&["duplicates", bench.path("sources").to_str().expect("UTF-8"), "--out", "x", "--evaluation", "y"]);
    assert!(stderr(&unknown).contains("no source of that name"), "{}", stderr(&unknown));
}

/// Measures recall and precision on 90 images of seven sources in eight ways, among all images of these sources.
/// Any reported pair that is neither injected nor known counts against precision.
#[test]
fn injected_copies_of_real_images_are_found_and_nothing_else() {
    if std::env::var_os("REDDINO_MEASURE_COPIES").is_none() {
        crate::support::tell(
            "SKIPPED: recall and precision of copies take minutes; `make measure-copies` measures them",
        );
        return;
    }
    let Some(data) = shared_data() else { return };
    let bench = Bench::new();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").join("configs/sources");
    let names = "bbbc041-subset bccd chula-rbc-12 chula-rbc-diseases draaslan-blood-cell pbc-acevedo zxaoyou-wbc";
    for name in names.split(' ') {
        let file = format!("{name}.yaml");
        std::fs::copy(configs.join(&file), bench.path("sources").join(&file)).expect("description");
    }
    bench.describe("injected", "role: evaluation\nimages: {include: ['*']}");
    let mut base: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut injected = 0;
    for (number, (source, file)) in bases(&data).into_iter().enumerate() {
        let image = image::load_from_memory(&std::fs::read(data.join(&source).join(&file)).expect("file"));
        let image = image.expect("image").into_rgb8();
        for way in WAYS {
            let (bytes, end) = copied(&image, way, number);
            let name = format!("{number:02}-{way}.{end}");
            bench.write("injected", &name, &bytes);
            base.insert(name, (source.clone(), file.clone()));
            injected += 1;
        }
    }
    assert!(injected >= 500, "{injected}");
    for search in SEARCHES {
        let out = bench.path(&format!("report{search}"));
        let start = std::time::Instant::now();
        let found = program()
            .arg("duplicates")
            .arg(bench.path("sources"))
            .arg("--data")
            .arg(&data)
            .arg("--root")
            .arg(format!("injected={}", bench.path("data/injected").display()))
            .arg("--out")
            .arg(&out)
            .args(search.split_whitespace())
            .output()
            .expect("shard-builder starts");
        assert!(found.status.success(), "{}", stderr(&found));
        if let Some(keep) = std::env::var_os("REDDINO_KEEP_REPORT") {
            for file in ["duplicates.csv", "duplicates.png"] {
                std::fs::copy(out.join(file), PathBuf::from(&keep).join(file)).expect("keep");
            }
        }
        let (seconds, images) = (start.elapsed().as_secs_f64(), stdout(&found));
        let images = images.split(' ').next().unwrap_or_default();
        crate::support::tell(&format!(
            "duplicates {search}: {images} images read and compared in {seconds:.1} s, by as many threads as there are cores"
        ));
        measure(&report(&out), &base);
    }
}

/// How `duplicates` seeks likely copies: all signatures with all, and by short codes.
const SEARCHES: [&str; 2] = ["", "--index"];

/// Measures single cells: 80 px around labelled points of chula-rbc-12, and the frames of aimas-lund-microfluidic, in which one cell
/// moves through a channel. Every thirteenth cell and sixth frame has copies that must be found; no two others may be called copies.
#[test]
fn real_single_cells_do_not_fuse_and_their_copies_are_found() {
    if std::env::var_os("REDDINO_MEASURE_COPIES").is_none() {
        crate::support::tell("SKIPPED: single cells of real sets take minutes; `make measure-copies` measures them");
        return;
    }
    let Some(data) = shared_data() else { return };
    let bench = Bench::new();
    let mut show: BTreeMap<String, String> = BTreeMap::new();
    let mut made: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for (source, every, images) in [("cells", 13, chula_cells(&data)), ("frames", 6, frames(&data))] {
        bench.describe(source, "images: {include: ['*']}");
        for (number, (name, shows, image)) in images.into_iter().enumerate() {
            bench.save(source, &format!("{name}.png"), &image);
            show.insert(format!("{name}.png"), shows.clone());
            if number % every == 0 {
                for way in ["flip", "quarter", "q60", "twice"] {
                    let (bytes, end) = copied(&image, way, number / every);
                    let copy = format!("{name}-{way}.{end}");
                    bench.write(source, &copy, &bytes);
                    show.insert(copy.clone(), shows.clone());
                    made.entry(source).or_default().push((copy, format!("{name}.png")));
                }
            }
        }
    }
    for search in SEARCHES {
        let out = bench.path(&format!("report{search}"));
        let mut program = program();
        program
            .arg("duplicates")
            .arg(bench.path("sources"))
            .arg("--data")
            .arg(bench.path("data"))
            .arg("--out")
            .arg(&out);
        let start = std::time::Instant::now();
        let found = program.args(search.split_whitespace()).output().expect("shard-builder starts");
        assert!(found.status.success(), "{}", stderr(&found));
        let seconds = start.elapsed().as_secs_f64();
        crate::support::tell(&format!("single cells {search}, {seconds:.1} s: {}", stdout(&found)));
        judge_single_cells(&report(&out), &show, &made, search.is_empty());
    }
}

/// Checks the pairs of single cells: none of different cells, and nearly all copies. The frames are so pale that compression changes what
/// their low harmonics say, so short codes find fewer of their copies (`is_exact` says that all signatures were compared).
fn judge_single_cells(
    rows: &[BTreeMap<String, String>],
    show: &BTreeMap<String, String>,
    made: &BTreeMap<&str, Vec<(String, String)>>,
    is_exact: bool,
) {
    // Two names of one field show the same: copies that the published set holds by itself.
    let of = |row: &BTreeMap<String, String>, side: &str| show[&row[&format!("image_{side}")]].clone();
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| of(row, "a") != of(row, "b"))
        .map(|row| format!("{} {} {}", row["score"], row["image_a"], row["image_b"]))
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "other cells were called copies");
    for (source, made) in made {
        // A copy is in the group of its original if pairs lead from one to the other.
        let mut group: BTreeMap<&str, usize> =
            show.keys().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
        for row in rows {
            let (one, other) = (group[row["image_a"].as_str()], group[row["image_b"].as_str()]);
            group.values_mut().filter(|number| **number == other).for_each(|number| *number = one);
        }
        let reached = made.iter().filter(|(copy, of)| group[copy.as_str()] == group[of.as_str()]).count();
        crate::support::tell(&format!("{source}: {reached} of {} copies found", made.len()));
        let least = if is_exact || *source != "frames" { 0.95 } else { 0.5 };
        assert!(reached as f64 >= least * made.len() as f64, "{source}: {reached} of {}", made.len());
    }
}

/// Up to four cells of every second image of chula-rbc-12, far from each other: (name, the field it is of, pixels).
fn chula_cells(data: &Path) -> Vec<(String, String, RgbImage)> {
    let folder = data.join("chula-rbc-12");
    let mut labels: Vec<PathBuf> =
        std::fs::read_dir(folder.join("Label")).expect("labels").map(|entry| entry.expect("entry").path()).collect();
    labels.sort();
    let mut fields: BTreeMap<run_spec::ids::Digest, String> = BTreeMap::new();
    let mut cells = Vec::new();
    for label in labels.iter().step_by(2) {
        let stem = label.file_stem().expect("name").to_str().expect("UTF-8").to_owned();
        let bytes = std::fs::read(folder.join(format!("Dataset/{stem}.jpg"))).expect("image");
        let image = image::load_from_memory(&bytes).expect("image").into_rgb8();
        let known = KNOWN.iter().find(|(_, copy)| *copy == format!("chula-rbc-12/Dataset/{stem}.jpg"));
        let first = known.map_or(stem.clone(), |(first, _)| stem_of(first));
        let field = fields.entry(run_spec::ids::Digest::of(&bytes)).or_insert(first).clone();
        let mut taken: Vec<(u32, u32)> = Vec::new();
        for line in std::fs::read_to_string(label).expect("label").lines() {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
            let (Some(x), Some(y)) = (numbers.next(), numbers.next()) else { continue };
            let inside = (40..600).contains(&x) && (40..440).contains(&y);
            if inside && taken.len() < 4 && taken.iter().all(|(u, v)| x.abs_diff(*u) + y.abs_diff(*v) > 110) {
                taken.push((x, y));
                let cell = imageops::crop_imm(&image, x - 40, y - 40, 80, 80).to_image();
                cells.push((format!("{stem}_{x}_{y}"), field.clone(), cell));
            }
        }
    }
    cells
}

fn stem_of(path: &str) -> String {
    Path::new(path).file_stem().expect("name").to_str().expect("UTF-8").to_owned()
}

/// The frames of aimas-lund-microfluidic.
fn frames(data: &Path) -> Vec<(String, String, RgbImage)> {
    let folder = data.join("aimas-lund-microfluidic/data/test");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("frames").map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    let read = |file: &PathBuf| (image::open(file).expect("image").into_rgb8(), stem_of(file.to_str().expect("UTF-8")));
    files.iter().map(read).map(|(image, name)| (name.clone(), name, image)).collect()
}

/// About a sixth of the images of each source, at even distances; the few of the small ones all.
fn bases(data: &Path) -> Vec<(String, String)> {
    let mut bases = Vec::new();
    for (source, folder, end, take) in [
        ("bbbc041-subset", "images", "", 8),
        ("bccd", "JPEGImages", ".jpg", 18),
        ("chula-rbc-12", "Dataset", ".jpg", 22),
        ("draaslan-blood-cell", "images", ".png", 14),
        ("pbc-acevedo", "neutrophil", ".jpg", 6),
        ("pbc-acevedo", "platelet", ".jpg", 6),
        ("zxaoyou-wbc", "Dataset 1", ".bmp", 16),
    ] {
        let mut files: Vec<String> = std::fs::read_dir(data.join(source).join(folder))
            .expect("folder")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| name.ends_with(end))
            .collect();
        files.sort();
        for index in 0..take {
            bases.push((source.to_owned(), format!("{folder}/{}", files[index * files.len() / take])));
        }
    }
    bases
}

fn measure(rows: &[BTreeMap<String, String>], base: &BTreeMap<String, (String, String)>) {
    // What an image shows: an injected one shows its base. Copies that the real data is known to hold show the same.
    let origin = |source: &str, image: &str| match base.get(image) {
        Some((source, image)) if source != "injected" => format!("{source}/{image}"),
        _ => format!("{source}/{image}"),
    };
    let mut same: BTreeMap<String, String> = BTreeMap::new();
    let mut join = |a: String, b: String| {
        let root = |mut name: String, same: &BTreeMap<String, String>| {
            while let Some(up) = same.get(&name) {
                name = up.clone();
            }
            name
        };
        let (a, b) = (root(a, &same), root(b, &same));
        if a != b {
            same.insert(b, a);
        }
    };
    let sides = |row: &BTreeMap<String, String>| {
        (origin(&row["source_a"], &row["image_a"]), origin(&row["source_b"], &row["image_b"]))
    };
    let exact = rows.iter().filter(|row| row["how"] != "near" && row["source_b"] != "injected");
    let chula = rows.iter().filter(|row| row["how"] == "same bytes" && row["source_a"] == "chula-rbc-12").count();
    assert_eq!(chula, 11, "byte-identical pairs of chula-rbc-12");
    exact.for_each(|row| {
        let (a, b) = sides(row);
        join(a, b);
    });
    for (a, b) in KNOWN {
        join((*a).to_owned(), (*b).to_owned());
    }
    let root = |mut name: String| {
        while let Some(up) = same.get(&name) {
            name = up.clone();
        }
        name
    };
    let (mut good, mut bad) = (0, Vec::new());
    let mut reached = BTreeSet::new();
    for row in rows.iter().filter(|row| row["how"] == "near") {
        let (a, b) = sides(row);
        if root(a.clone()) == root(b.clone()) {
            good += 1;
            // An injected copy counts as found if it is reported with an image of a source, not with another copy only.
            for (side, other) in [("a", "b"), ("b", "a")] {
                if row[&format!("source_{side}")] == "injected" && row[&format!("source_{other}")] != "injected" {
                    reached.insert(row[&format!("image_{side}")].clone());
                }
            }
        } else {
            bad.push(format!("{} {a} {b}", row["score"]));
        }
    }
    // Of single cells of 120 px, copies are asked for that were mirrored, turned by quarters or compressed again.
    let small = |name: &String| base[name].0 == "zxaoyou-wbc";
    let asked = |name: &&String| ["flip", "quarter", "q60", "twice"].iter().any(|way| name.contains(way));
    let share = |names: &[&String]| {
        names.iter().filter(|name| reached.contains(**name)).count() as f64 / names.len().max(1) as f64
    };
    let (of_small, of_large): (Vec<&String>, Vec<&String>) = base.keys().partition(|name| small(name));
    let (small, all_small) = (share(&of_small.iter().copied().filter(asked).collect::<Vec<_>>()), share(&of_small));
    let recall = share(&of_large);
    let precision = f64::from(good) / f64::from(good + bad.len() as u32);
    let mut missed: BTreeMap<String, u32> = BTreeMap::new();
    for name in base.keys().filter(|name| !reached.contains(*name)) {
        let way =
            name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').split('.').next().unwrap_or_default();
        *missed.entry(format!("{} {way}", base[name].0)).or_default() += 1;
    }
    crate::support::tell(&format!(
        "{} injected copies: recall {recall:.4} of images of 200 px and more, {small:.4} of smaller ones that were compressed again, mirrored \
         or turned by quarters, {all_small:.4} of all smaller ones; precision {precision:.4} ({good} pairs right, {} wrong); missed \
         {missed:?}; wrong {bad:?}",
        base.len(),
        bad.len()
    ));
    assert_eq!(recall, 1.0, "of images of 200 px and more");
    assert!(small >= 0.95, "of smaller images: {small}");
    assert_eq!(bad.len(), 0, "wrong pairs");
}

/// Near-copies that the published sets hold by themselves, each pair looked at: fields of view that overlap, the same cell cut out
/// twice, the same field with a mark drawn into one.
const KNOWN: &[(&str, &str)] = &[
    ("bccd/JPEGImages/BloodImage_00230.jpg", "bccd/JPEGImages/BloodImage_00257.jpg"),
    ("bccd/JPEGImages/BloodImage_00231.jpg", "bccd/JPEGImages/BloodImage_00256.jpg"),
    ("chula-rbc-12/Dataset/212.jpg", "chula-rbc-12/Dataset/221.jpg"),
    ("chula-rbc-12/Dataset/268.jpg", "chula-rbc-12/Dataset/274.jpg"),
    ("chula-rbc-12/Dataset/269.jpg", "chula-rbc-12/Dataset/275.jpg"),
    ("chula-rbc-12/Dataset/270.jpg", "chula-rbc-12/Dataset/276.jpg"),
    ("chula-rbc-12/Dataset/271.jpg", "chula-rbc-12/Dataset/277.jpg"),
    ("chula-rbc-12/Dataset/29.jpg", "chula-rbc-12/Dataset/30.jpg"),
    ("chula-rbc-diseases/RBC Diseases/HE/sampleA0053.JPG", "chula-rbc-12/Dataset/725.jpg"),
    ("draaslan-blood-cell/images/image-19.png", "draaslan-blood-cell/images/image-38.png"),
    ("draaslan-blood-cell/images/image-49.png", "draaslan-blood-cell/images/image-8.png"),
    ("zxaoyou-wbc/Dataset 1/026.bmp", "zxaoyou-wbc/Dataset 1/089.bmp"),
    ("zxaoyou-wbc/Dataset 1/054.bmp", "zxaoyou-wbc/Dataset 1/091.bmp"),
    ("zxaoyou-wbc/Dataset 1/056.bmp", "zxaoyou-wbc/Dataset 1/092.bmp"),
    ("zxaoyou-wbc/Dataset 1/060.bmp", "zxaoyou-wbc/Dataset 1/090.bmp"),
    ("zxaoyou-wbc/Dataset 1/112.bmp", "zxaoyou-wbc/Dataset 1/139.bmp"),
];
