use image::{Rgb, imageops};
use imaging::RgbImage;
use run_spec::seed::stream;

use run_spec::ids::Digest;

use super::*;

/// The pixels of the subjects, as they were given.
struct Kept<'a>(&'a [RgbImage]);

impl SearchContext for Kept<'_> {
    fn pixels(&self, subject: usize) -> Option<RgbImage> {
        self.0.get(subject).cloned()
    }

    fn run(&self, _: &str, _: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        work(&|| ());
    }
}

/// All pairs among pictures.
fn found(images: &[RgbImage]) -> FoundCopies {
    let fingerprinter = Fingerprinter::new();
    let subjects: Vec<Subject> = images.iter().map(|image| subject(&fingerprinter, image)).collect();
    find(&subjects, &fingerprinter, &Kept(images))
}

/// A field of discs and rings of several sizes: something like a smear, another one for each seed.
fn field(width: u32, height: u32, seed: u64) -> RgbImage {
    let mut random = stream(seed, "copies-field", &[]);
    let cells: Vec<[f64; 4]> = (0..60)
        .map(|_| {
            let (x, y) = (random.uniform(0.0, f64::from(width)), random.uniform(0.0, f64::from(height)));
            [x, y, random.uniform(12.0, 22.0), random.uniform(0.0, 0.8)]
        })
        .collect();
    RgbImage::from_fn(width, height, |px, py| {
        let mut value = 225.0_f64;
        for [x, y, radius, pale] in &cells {
            let distance = (f64::from(px) - x).hypot(f64::from(py) - y) / radius;
            if distance < 1.0 {
                value = value.min(120.0 + 80.0 * pale * (1.0 - distance));
            }
        }
        Rgb([value as u8, (value * 0.8) as u8, (value * 0.9) as u8])
    })
}

/// The picture turned about its centre, mirrored at its edges where nothing is known.
fn turned(image: &RgbImage, degrees: f64) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cx, cy) = (f64::from(image.width()) / 2.0 - 0.5, f64::from(image.height()) / 2.0 - 0.5);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (dx, dy) = (f64::from(x) - cx, f64::from(y) - cy);
        let at = |value: f64, length: u32| {
            let period = 2 * (i64::from(length) - 1);
            let phase = (value.round() as i64).rem_euclid(period);
            phase.min(period - phase) as u32
        };
        *image.get_pixel(at(cos * dx + sin * dy + cx, image.width()), at(cos * dy - sin * dx + cy, image.height()))
    })
}

fn subject(fingerprinter: &Fingerprinter, image: &RgbImage) -> Subject {
    let pixels = run_spec::ids::pixel_digest(image.width(), image.height(), image);
    Subject { file: (pixels, 1), pixels, fingerprint: fingerprinter.fingerprint(image) }
}

#[test]
fn a_copy_is_found_with_its_turn_and_scale_and_another_field_is_not() {
    let base = field(400, 300, 1);
    let mut images = vec![base.clone()];
    images.extend((2..30).map(|seed| field(400, 300, seed)));
    let others = images.len();
    images.push(turned(&base, 10.0));
    images.push(imageops::rotate90(&base));
    images.push(imageops::flip_horizontal(&base));
    images.push(imageops::resize(&base, 280, 210, imageops::FilterType::Triangle));
    images.push(imageops::crop_imm(&base, 35, 3, 360, 270).to_image());
    let pairs = found(&images).pairs;
    for pair in &pairs {
        assert!((pair.a == 0 || pair.a >= others) && pair.b >= others, "{pair:?}: different fields");
    }
    let of = |index: usize| {
        let pair = pairs.iter().find(|pair| pair.a == 0 && pair.b == others + index).expect("the copy is found");
        let CopyKind::Near(registration) = pair.kind else { panic!("{pair:?}") };
        registration
    };
    let expected =
        [(false, 10.0, 1.0), (false, 90.0, 1.0), (true, 0.0, 1.0), (false, 0.0, 1.0), (false, 0.0, 1.0 / 0.9)];
    for (index, (mirrored, angle, scale)) in expected.into_iter().enumerate() {
        let seen = of(index);
        assert_eq!(seen.mirrored, mirrored, "{index}: {seen:?}");
        assert!((seen.angle - angle).abs() < 1.0 && (seen.scale / scale - 1.0).abs() < 0.02, "{index}: {seen:?}");
        assert!(seen.score > 0.8, "{index}: {seen:?}");
    }
}

#[test]
fn equal_bytes_and_equal_pixels_are_told_apart_and_blank_images_have_no_fingerprint() {
    let fingerprinter = Fingerprinter::new();
    let blank = RgbImage::from_pixel(64, 64, Rgb([230; 3]));
    assert!(fingerprinter.fingerprint(&blank).is_none());
    assert!(fingerprinter.fingerprint(&RgbImage::from_pixel(1, 1, Rgb([0; 3]))).is_none());
    let one = subject(&fingerprinter, &field(100, 80, 5));
    let other_file = Subject { file: (Digest::of(b"another file"), 1), ..one.clone() };
    let flat = Subject { file: (Digest::of(b"blank"), 1), ..subject(&fingerprinter, &blank) };
    let pairs = find(&[one.clone(), flat.clone(), one, other_file, flat], &fingerprinter, &Kept(&[])).pairs;
    let seen: Vec<(usize, usize, &str)> = pairs.iter().map(|pair| (pair.a, pair.b, pair.kind.name())).collect();
    assert_eq!(seen, [(0, 2, "same bytes"), (0, 3, "same pixels"), (1, 4, "same bytes")]);
}

#[test]
fn the_pairs_do_not_depend_on_the_number_of_threads() {
    let mut images: Vec<RgbImage> = (1..12).map(|seed| field(200, 200, seed)).collect();
    images.push(imageops::rotate180(&images[3]));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| found(&images).pairs)
    };
    let pairs = with(1);
    assert_eq!(pairs, with(4));
    assert_eq!(pairs.iter().map(|pair| (pair.a, pair.b)).collect::<Vec<_>>(), [(3, 11)]);
}

/// One drawn red cell, as a set of single cells holds it: no two have the same place, size, shape, pallor, colour or noise.
fn cell(side: u32, seed: u64) -> RgbImage {
    drawn(side, seed, 25.0, 12.0, 1.3)
}

/// The same of a slide of one stain: the colours of its cells and of its field differ by so many grey levels at most, the camera's
/// noise is four draws of so many.
fn drawn(side: u32, seed: u64, tint: f64, field: f64, grain: f64) -> RgbImage {
    let mut random = stream(seed, "copies-cell", &[]);
    let size = f64::from(side);
    let middle: [f64; 2] = std::array::from_fn(|_| size * random.uniform(0.45, 0.55));
    let (radius, round, turn) =
        (size * random.uniform(0.25, 0.375), random.uniform(0.85, 1.0), random.uniform(0.0, 3.0));
    let (pale, width) = (random.uniform(0.0, 0.8), random.uniform(0.25, 0.5));
    let field: [f64; 3] = [225.0, 215.0, 210.0].map(|level| level + random.uniform(-field, field));
    let body: [f64; 3] = [140.0, 120.0, 175.0].map(|level| level + random.uniform(-tint, tint));
    let drawn = RgbImage::from_fn(side, side, |px, py| {
        let (x, y) = (f64::from(px) - middle[0], f64::from(py) - middle[1]);
        let (u, v) = (x * turn.cos() + y * turn.sin(), (y * turn.cos() - x * turn.sin()) / round);
        let distance = u.hypot(v) / radius;
        let cover = (1.0 - pale * (-(distance / width).powi(2)).exp()) / (1.0 + (18.0 * (distance - 1.0)).exp());
        Rgb(std::array::from_fn(|channel| {
            let noise = (0..4).map(|_| random.uniform(-1.3, 1.3)).sum::<f64>() * grain / 1.3;
            (field[channel] + (body[channel] - field[channel]) * cover + noise).clamp(0.0, 255.0) as u8
        }))
    });
    imageops::blur(&drawn, 0.8)
}

/// A field under strong dust of the sensor, which is the same in all fields.
fn dusty(width: u32, height: u32, seed: u64, grains: usize, strength: f64) -> RgbImage {
    let mut random = stream(7, "copies-dust", &[]);
    let (w, h) = (f64::from(width), f64::from(height));
    let grains: Vec<[f64; 4]> = (0..grains)
        .map(|_| [random.uniform(0.0, w), random.uniform(0.0, h), random.uniform(2.0, 5.0), random.uniform(0.5, 1.0)])
        .collect();
    let mut image = field(width, height, seed);
    for [x, y, radius, dark] in grains {
        let reach =
            |at: f64, length: u32| ((at - 2.0 * radius).max(0.0) as u32, ((at + 2.0 * radius) as u32).min(length - 1));
        let ((left, right), (top, low)) = (reach(x, width), reach(y, height));
        for (px, py) in (top..=low).flat_map(|py| (left..=right).map(move |px| (px, py))) {
            let away = (f64::from(px) - x).hypot(f64::from(py) - y) / radius;
            let shade = strength * dark / (1.0 + (8.0 * (away - 1.0)).exp());
            let pixel = image.get_pixel_mut(px, py);
            pixel.0 = pixel.0.map(|value| (f64::from(value) - shade).clamp(0.0, 255.0) as u8);
        }
    }
    image
}

/// Saved as JPEG and read again.
fn compressed(image: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).expect("JPEG");
    image::load_from_memory(&bytes).expect("JPEG").into_rgb8()
}

fn places(pairs: &[Pair]) -> Vec<(usize, usize)> {
    pairs.iter().map(|pair| (pair.a, pair.b)).collect()
}

/// Drawn cells once made one group of four slides: laid over each other they correlate by up to .99.
#[test]
fn single_cells_have_one_outline_and_are_no_copies() {
    let cells: Vec<RgbImage> = (0..24).map(|seed| cell(80, seed)).collect();
    let seen = found(&cells);
    assert!(seen.pairs.is_empty(), "{:?}", seen.pairs);
    assert!(seen.alike > 24, "the cells are alike, or this test says nothing: {}", seen.alike);
    // Larger pictures of a single cell say no more by their outlines.
    let large: Vec<RgbImage> = (0..8).map(|seed| cell(256, seed)).collect();
    let seen = found(&large).pairs;
    assert!(seen.is_empty(), "{seen:?}");
}

/// Slides of one stain: nothing but place, size and shape tells their cells apart, and noise is smaller than their edges.
#[test]
fn single_cells_of_one_stain_are_no_copies() {
    let cells = |side, seeds: &[u64], grain, quality: Option<u8>| -> Vec<RgbImage> {
        let drawn = seeds.iter().map(|seed| drawn(side, 1000 + seed, 6.0, 2.0, grain));
        drawn.map(|cell| quality.map_or(cell.clone(), |quality| compressed(&cell, quality))).collect()
    };
    let many: Vec<u64> = (0..32).collect();
    for (what, cells) in [
        ("noise", cells(80, &many, 1.3, None)),
        ("no noise, JPEG", cells(80, &[2, 5, 16, 20, 26, 28], 0.0, Some(90))),
        ("large, no noise, JPEG", cells(220, &[2, 5, 16, 20, 26, 28], 0.0, Some(90))),
        ("large, noise, JPEG", cells(220, &[2, 5, 16, 20, 26, 28], 1.3, Some(90))),
    ] {
        let seen = found(&cells);
        assert!(seen.pairs.is_empty(), "{what}: {:?}", seen.pairs);
        assert!(seen.alike > 5, "{what}: the cells are alike, or this test says nothing: {}", seen.alike);
    }
}

/// Dust on the sensor lies in the same place of every field, and may be stronger than the cells.
#[test]
fn fields_under_the_same_dust_are_no_copies() {
    let mut fields: Vec<RgbImage> = (0..5).map(|seed| dusty(400, 300, 500 + seed, 1500, 160.0)).collect();
    fields.push(compressed(&imageops::huerotate(&fields[1], 20), 80));
    let seen = found(&fields);
    assert_eq!(places(&seen.pairs), [(1, 5)], "{:?}", seen.pairs);
    assert!(seen.alike > 2, "the fields are alike, or this test says nothing: {}", seen.alike);
}

#[test]
fn a_single_cell_that_was_mirrored_turned_or_compressed_again_is_a_copy() {
    let mut images: Vec<RgbImage> = (0..8).map(|seed| cell(80, seed)).collect();
    let made = [
        imageops::flip_horizontal(&images[0]),
        imageops::rotate90(&images[1]),
        compressed(&images[2], 60),
        compressed(&compressed(&imageops::rotate270(&imageops::flip_vertical(&images[3])), 80), 60),
        // Drawn out, as a network's input is.
        imageops::resize(&images[4], 64, 96, imageops::FilterType::CatmullRom),
    ];
    images.extend(made);
    assert_eq!(places(&found(&images).pairs), [(0, 8), (1, 9), (2, 10), (3, 11), (4, 12)]);
}

/// The middle square of such an image does not lie in its middle to the pixel.
#[test]
fn sides_that_differ_by_an_odd_number_turn_and_mirror_as_well() {
    let mut missed = 0;
    for (width, height) in [(80, 83), (81, 80), (150, 151)] {
        let small = |seed| imageops::resize(&cell(160, seed), width, height, imageops::FilterType::Triangle);
        let mut images: Vec<RgbImage> = (0..8).map(small).collect();
        let made: Vec<RgbImage> = images[..4].iter().map(imageops::rotate180).collect();
        images.extend(made);
        let made: Vec<RgbImage> = images[4..8].iter().map(imageops::flip_horizontal).collect();
        images.extend(made);
        let pairs = places(&found(&images).pairs);
        assert!(pairs.iter().all(|(a, b)| *b == a + 8), "{width} x {height}: {pairs:?}");
        missed += 8 - pairs.len();
    }
    assert!(missed <= 1, "{missed} of 24");
}

/// A public set ships fields of 640 × 480 again as 416 × 416.
#[test]
fn a_field_that_was_squashed_is_a_copy() {
    let mut images: Vec<RgbImage> = (0..8).map(|seed| field(640, 480, 300 + seed)).collect();
    let squashed = |image: &RgbImage, w, h| imageops::resize(image, w, h, imageops::FilterType::CatmullRom);
    let made = [
        compressed(&squashed(&images[0], 416, 416), 85),
        squashed(&imageops::rotate90(&images[1]), 416, 416),
        imageops::flip_horizontal(&squashed(&images[2], 300, 480)),
    ];
    images.extend(made);
    assert_eq!(places(&found(&images).pairs), [(0, 8), (1, 9), (2, 10)]);
}

/// In frames of a video of a channel all is alike but the cell, which is a hundredth of the picture.
#[test]
fn frames_with_a_cell_in_another_place_are_no_copies() {
    let frame = |at: f64| {
        RgbImage::from_fn(400, 100, |px, py| {
            let (x, y) = (f64::from(px), f64::from(py));
            let wall = 30.0 + (80.0 - x).max(0.0) * 0.5 - (x - 320.0).min(0.0) * 0.02;
            let away = ((y - 50.0).abs() - wall).abs();
            let cell = ((x - at) / 12.0).hypot((y - 50.0) / 7.0);
            let body = if cell < 1.0 { -25.0 } else { 0.0 };
            let grain = f64::from((px * 7919 + py * 104_729) % 13) / 6.0;
            Rgb([(60.0 - 30.0 * (-(away / 2.0).powi(2)).exp() + body + grain) as u8; 3])
        })
    };
    let mut images: Vec<RgbImage> = (0..4).map(|step| frame(120.0 + 40.0 * f64::from(step))).collect();
    images.push(compressed(&images[1], 90));
    assert_eq!(places(&found(&images).pairs), [(1, 4)]);
}

/// A file that has gone between the two looks is joined: a group too large leaks nothing.
#[test]
fn where_pixels_cannot_be_read_again_the_first_look_decides() {
    let fingerprinter = Fingerprinter::new();
    let cells: Vec<Subject> = (0..6).map(|seed| subject(&fingerprinter, &cell(80, seed))).collect();
    let seen = find(&cells, &fingerprinter, &Kept(&[]));
    assert!(!seen.pairs.is_empty() && seen.alike == 0, "{seen:?}");
}

/// The fingerprint of an image as it is stored and read again.
fn stored(fingerprinter: &Fingerprinter, image: &RgbImage) -> Fingerprint {
    let made = fingerprinter.fingerprint(image).expect("it shows something");
    let (centre, whole) = (made.stored(Frame::Centre), made.stored(Frame::Whole));
    Fingerprint::from_stored(image.dimensions(), centre, whole).expect("both are whole")
}

fn borrowed(prints: &[(usize, Fingerprint)]) -> Vec<(usize, &Fingerprint)> {
    prints.iter().map(|(at, print)| (*at, print)).collect()
}

/// Pairs of copies between two collections by stored fingerprints, a block at a time, and how many more are alike.
fn across(first: &[RgbImage], second: &[RgbImage], block: usize) -> (Vec<(usize, usize)>, u64) {
    let fingerprinter = Fingerprinter::new();
    let of = |images: &[RgbImage]| -> Vec<(usize, Fingerprint)> {
        images.iter().map(|image| stored(&fingerprinter, image)).enumerate().collect()
    };
    let (first, second) = (of(first), of(second));
    let mut likely = LikelyCopies::new(first.len(), second.len());
    for a in first.chunks(block) {
        for b in second.chunks(block) {
            likely.compare(&borrowed(a), &borrowed(b));
        }
    }
    let (mut pairs, mut alike) = (Vec::new(), 0);
    for of_one in likely.pairs().chunk_by(|p, q| p.a == q.a) {
        let image = &first[of_one[0].a].1;
        let (found, others) = look_across(&fingerprinter, image, of_one, |b| second.get(b).map(|(_, print)| print));
        pairs.extend(places(&found));
        alike += others;
    }
    (pairs, alike)
}

#[test]
fn copies_across_two_collections_are_found_by_what_is_stored_of_them() {
    let first: Vec<RgbImage> = (0..9).map(|seed| field(400, 300, 500 + seed)).collect();
    let second = [
        field(400, 300, 600),
        turned(&first[2], 10.0),
        imageops::resize(&first[5], 280, 280, imageops::FilterType::CatmullRom),
        compressed(&imageops::flip_horizontal(&first[8]), 60),
        imageops::crop_imm(&first[2], 35, 3, 360, 270).to_image(),
    ];
    let expected = [(2, 1), (2, 4), (5, 2), (8, 3)];
    for block in [2, 4, 100] {
        assert_eq!(across(&first, &second, block).0, expected, "blocks of {block}");
    }
}

/// Searches by short codes, whatever the number of images.
struct Indexed<'a>(&'a [RgbImage]);

impl SearchContext for Indexed<'_> {
    fn pixels(&self, subject: usize) -> Option<RgbImage> {
        self.0.get(subject).cloned()
    }

    fn run(&self, _: &str, _: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        work(&|| ());
    }

    fn index_from(&self) -> usize {
        0
    }
}

#[test]
fn short_codes_find_the_copies_that_all_signatures_find() {
    let mut images: Vec<RgbImage> = (0..30).map(|seed| field(400, 300, 700 + seed)).collect();
    images.push(turned(&images[0], 10.0));
    images.push(imageops::rotate90(&images[3]));
    images.push(compressed(&imageops::flip_horizontal(&images[5]), 60));
    images.push(imageops::resize(&images[7], 280, 210, imageops::FilterType::Triangle));
    images.push(imageops::crop_imm(&images[9], 20, 15, 360, 270).to_image());
    images.push(imageops::resize(&images[11], 300, 300, imageops::FilterType::CatmullRom));
    let fingerprinter = Fingerprinter::new();
    let subjects: Vec<Subject> = images.iter().map(|image| subject(&fingerprinter, image)).collect();
    let seen = find(&subjects, &fingerprinter, &Indexed(&images));
    assert_eq!(places(&seen.pairs), [(0, 30), (3, 31), (5, 32), (7, 33), (9, 34), (11, 35)]);
    assert_eq!(places(&seen.pairs), places(&found(&images).pairs));
}

/// Without pixels there are pictures of 128 px, grey: enough for large single cells, which fit each other by their outlines.
#[test]
fn large_single_cells_and_dusty_fields_of_two_collections_are_no_copies_and_copies_of_cells_are_found() {
    let of_stain = |seeds: std::ops::Range<u64>| -> Vec<RgbImage> {
        seeds.map(|seed| compressed(&drawn(240, 1000 + seed, 6.0, 2.0, 1.3), 90)).collect()
    };
    let (first, mut second) = (of_stain(0..16), of_stain(16..32));
    let (pairs, alike) = across(&first, &second, 100);
    assert_eq!(pairs, []);
    assert!(alike > 5, "the cells are alike, or this test says nothing: {alike}");
    second.push(compressed(&imageops::flip_horizontal(&first[3]), 70));
    second.push(imageops::rotate90(&first[7]));
    assert_eq!(across(&first, &second, 100).0, [(3, 16), (7, 17)]);

    let dusty = |seeds: std::ops::Range<u64>| -> Vec<RgbImage> {
        seeds.map(|seed| dusty(400, 300, 500 + seed, 1500, 160.0)).collect()
    };
    assert_eq!(across(&dusty(0..4), &dusty(4..8), 100).0, []);
}
