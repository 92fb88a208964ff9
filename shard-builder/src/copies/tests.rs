use image::{Rgb, RgbImage, imageops};
use run_spec::seed::stream;

use super::*;

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

fn subject(maker: &Maker, image: &RgbImage) -> Subject {
    let pixels = run_spec::ids::pixel_digest(image.width(), image.height(), image);
    Subject { file: (pixels, 1), pixels, fingerprint: maker.fingerprint(image) }
}

#[test]
fn a_copy_is_found_with_its_turn_and_scale_and_another_field_is_not() {
    let maker = Maker::new();
    let base = field(400, 300, 1);
    let mut images = vec![base.clone()];
    images.extend((2..30).map(|seed| field(400, 300, seed)));
    let others = images.len();
    images.push(turned(&base, 10.0));
    images.push(imageops::rotate90(&base));
    images.push(imageops::flip_horizontal(&base));
    images.push(imageops::resize(&base, 280, 210, imageops::FilterType::Triangle));
    images.push(imageops::crop_imm(&base, 35, 3, 360, 270).to_image());
    let subjects: Vec<Subject> = images.iter().map(|image| subject(&maker, image)).collect();
    let pairs = find(&subjects, &maker);
    for pair in &pairs {
        assert!((pair.a == 0 || pair.a >= others) && pair.b >= others, "{pair:?}: different fields");
    }
    let of = |index: usize| {
        let pair = pairs.iter().find(|pair| pair.a == 0 && pair.b == others + index).expect("the copy is found");
        let Likeness::Near(overlay) = pair.how else { panic!("{pair:?}") };
        overlay
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
    let maker = Maker::new();
    let blank = RgbImage::from_pixel(64, 64, Rgb([230; 3]));
    assert!(maker.fingerprint(&blank).is_none());
    assert!(maker.fingerprint(&RgbImage::from_pixel(1, 1, Rgb([0; 3]))).is_none());
    let one = subject(&maker, &field(100, 80, 5));
    let other_file = Subject { file: (Digest::of(b"another file"), 1), ..one.clone() };
    let flat = Subject { file: (Digest::of(b"blank"), 1), ..subject(&maker, &blank) };
    let pairs = find(&[one.clone(), flat.clone(), one, other_file, flat], &maker);
    let seen: Vec<(usize, usize, &str)> = pairs.iter().map(|pair| (pair.a, pair.b, pair.how.name())).collect();
    assert_eq!(seen, [(0, 2, "same bytes"), (0, 3, "same pixels"), (1, 4, "same bytes")]);
}

#[test]
fn the_pairs_do_not_depend_on_the_number_of_threads() {
    let maker = Maker::new();
    let mut images: Vec<RgbImage> = (1..12).map(|seed| field(200, 200, seed)).collect();
    images.push(imageops::rotate180(&images[3]));
    let subjects: Vec<Subject> = images.iter().map(|image| subject(&maker, image)).collect();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| find(&subjects, &maker))
    };
    let pairs = with(1);
    assert_eq!(pairs, with(4));
    assert_eq!(pairs.iter().map(|pair| (pair.a, pair.b)).collect::<Vec<_>>(), [(3, 11)]);
}
