//! Each kernel compiled for wide registers against its scalar twin: the same body, compiled for the processor that every
//! build supports.

use super::border::Border;
use super::field::{Generators, Noise};
use super::geometry::Walk;
use super::interpolate::Interpolation;
use super::{blend, blur, contrast, disc, field, filter, hls, hsv, jpeg, lab, lut, normalize, pil, resize, warp};
use crate::image::PixelBuffer;
use crate::round::rint;
use crate::simd::STRIP;

/// Bytes without a pattern; every level occurs.
fn bytes(n: usize) -> Vec<u8> {
    (0..n as u64).map(|i| ((i * i * 31 + i * 7 + (i >> 8) * 101) % 257) as u8).collect()
}

fn generators() -> Generators {
    Generators::new(&mut run_spec::seed::stream(9, "test", &[]))
}

#[test]
fn wide_and_narrow_blending_give_the_same_bits() {
    let (over, base) = (bytes(2003), bytes(4006)[2003..].to_vec());
    for alpha in [0.05, 0.2, 0.3333, 0.5, 0.971, 1.0, 1.7] {
        let (mut wide, mut narrow) = (base.clone(), base.clone());
        blend::add_weighted(&over, alpha, &mut wide, 1.0 - alpha);
        blend::blend_body(&over, alpha as f32, &mut narrow, (1.0 - alpha) as f32);
        assert_eq!(wide, narrow, "alpha {alpha}");
        let exact = |o: u8, b: u8| {
            let sum = f64::from(o) * f64::from(alpha as f32) + f64::from(f32::from(b) * (1.0 - alpha) as f32);
            rint(sum as f32).clamp(0.0, 255.0) as u8
        };
        assert!(wide.iter().zip(over.iter().zip(&base)).all(|(&w, (&o, &b))| w == exact(o, b)), "alpha {alpha}");
    }
}

/// Both forms of a conversion in place, on all kinds of pixels; the last block is not full.
fn same(name: &str, wide: impl Fn(&mut [u8]), narrow: impl Fn(&mut [u8])) {
    let mut first = bytes(3 * 67 * 41);
    let mut second = first.clone();
    wide(&mut first);
    narrow(&mut second);
    assert!(first == second, "{name}");
}

#[test]
fn wide_and_narrow_colour_conversions_agree() {
    same("rgb_to_hsv", hsv::rgb_to_hsv, hsv::rgb_to_hsv_body);
    same("hsv_to_rgb", |d| hsv::hsv_to_rgb(d, 67), |d| hsv::hsv_to_rgb_body(d, 67));
    same("rgb_to_hls", hls::rgb_to_hls, hls::rgb_to_hls_body);
    same("hls_to_rgb", hls::hls_to_rgb, hls::hls_to_rgb_body);
    same("rgb_to_lab", lab::rgb_to_lab, lab::rgb_to_lab_body);
    same("lab_to_rgb", lab::lab_to_rgb, lab::lab_to_rgb_body);
    let pixels = bytes(3 * 1001);
    let (mut first, mut second) = (vec![0; 1001], vec![0; 1001]);
    hsv::gray(&pixels, &mut first);
    hsv::gray_body(&pixels, &mut second);
    assert_eq!(first, second);
}

/// What four tables say, for three cells.
fn cells_of_tables() -> Vec<[u8; 4]> {
    bytes(3 * 256 * 4).as_chunks::<4>().0.to_vec()
}

#[test]
fn wide_and_narrow_noise_agree() {
    let (mut first, mut second) = (vec![0f32; 1003], vec![0f32; 1003]);
    field::fill_normals(&mut generators(), 1.5, 3.0, &mut first);
    field::fill_normals_body(&mut generators(), 1.5, 3.0, &mut second);
    assert_eq!(first, second);
    let (mut third, mut fourth) = (vec![0i32; 1003], vec![0i32; 1003]);
    field::fill_integers(&mut generators(), -4, 9, &mut third);
    field::fill_integers_body(&mut generators(), -4, 9, &mut fourth);
    assert_eq!(third, fourth);
    let (mut fifth, mut sixth) = (vec![0u32; 1003], vec![0u32; 1003]);
    field::fill_bits(&mut generators(), &mut fifth);
    field::fill_bits_body(&mut generators(), &mut sixth);
    assert_eq!(fifth, sixth);
    let recorded: Vec<f64> = first.iter().map(|&v| f64::from(v) * 1.1).collect();
    let noise = (Noise::Drawn(&first), Noise::Recorded(&recorded));
    same("iso_noise", |d| hls::iso_noise(d, noise.0, noise.1), |d| hls::iso_noise_body(d, noise.0, noise.1));
    same(
        "keep_and_fill",
        |d| lut::keep_and_fill(d, [255, 0, 240], [0, 7, 0]),
        |d| lut::keep_and_fill_body(d, [255, 0, 240], [0, 7, 0]),
    );
    let cells: Vec<[u8; 4]> = cells_of_tables();
    let columns: Vec<(usize, f32)> = (0..67).map(|x| (x / 23, x as f32 / 67.0)).collect();
    #[allow(clippy::type_complexity, reason = "the signature is that of the kernel under test")]
    let clahe = |with: fn(&mut [u8], &[[u8; 4]], &[(usize, f32)], f32), d: &mut [u8]| {
        d.chunks_exact_mut(3 * 67).for_each(|row| with(row, &cells, &columns, 0.3));
    };
    same("clahe_row", |d| clahe(contrast::clahe_row, d), |d| clahe(contrast::clahe_row_body, d));
    same("add_noise", |d| field::add_noise(d, &first), |d| field::add_noise_body(d, &first));
}

#[test]
fn wide_and_narrow_blurs_agree() {
    let padded = bytes(700);
    for k in [3, 7, 16, 17, 30] {
        let (mut first, mut second) = (vec![0u16; 600], vec![0u16; 600]);
        blur::box_row(&padded, k, &mut first);
        blur::box_row_body(&padded, k, &mut second);
        assert_eq!(first, second);
        let plain: u16 = (0..k).map(|j| u16::from(padded[123 + 3 * j])).sum();
        assert_eq!(first[123], plain, "side {k}");
        let (mut sum, mut twin) = (vec![90_000u32; 600], vec![90_000u32; 600]);
        blur::box_slide(&mut sum, &first, &vec![77; 600]);
        blur::box_slide_body(&mut twin, &second, &vec![77; 600]);
        assert_eq!(sum, twin);
        let largest = 255 * (k * k) as u32;
        let sums: Vec<u32> = (0..600).map(|i| i * largest / 599).collect();
        let (mut wide, mut narrow) = (vec![0; 600], vec![0; 600]);
        blur::box_mean(&sums, (k * k) as u32, &mut wide);
        blur::box_mean_body(&sums, (k * k) as u32, &mut narrow);
        assert_eq!((wide[0], wide[599]), (0, 255));
        assert_eq!(wide, narrow);
    }
    let weights = [16u16, 64, 96, 64, 16];
    let (mut first, mut second) = (vec![0u16; 600], vec![0u16; 600]);
    blur::weigh_across(&padded, &weights, &mut first);
    blur::weigh_across_body(&padded, &weights, &mut second);
    assert_eq!(first, second);
    assert_eq!(first[77], (0..5).map(|j| u16::from(padded[77 + 3 * j]) * weights[j]).sum::<u16>());
    let rows: Vec<u16> = (0..5 * 704).map(|i| (i * 37 % 65281) as u16).collect();
    let (mut wide, mut narrow) = (vec![0; 601], vec![0; 601]);
    blur::weigh_down(&rows, 704, &weights, &mut wide);
    blur::weigh_down_body(&rows, 704, &weights, &mut narrow);
    assert_eq!(wide, narrow);
    let sums: Vec<f32> = (0..601).map(|i| i as f32 * 0.5 - 20.0).collect();
    filter::round_row(&sums, &mut wide);
    filter::round_row_body(&sums, &mut narrow);
    assert_eq!(wide, narrow);
    let floats: Vec<f32> = padded.iter().map(|&v| f32::from(v)).collect();
    let (mut wide, mut narrow) = (vec![0f32; 4 * STRIP], vec![0f32; 4 * STRIP]);
    filter::fold(&floats, 3, &mut wide);
    filter::fold_body(&floats, 3, &mut narrow);
    assert_eq!(wide, narrow);
    assert_eq!(wide[2 * STRIP + 5], floats[5 + 3] + floats[5 + 15]);
    let (mut wide, mut narrow) = (vec![0f32; 700], vec![0f32; 700]);
    filter::to_floats(&padded, &mut wide);
    filter::to_floats_body(&padded, &mut narrow);
    assert_eq!(wide, narrow);
}

type ToPlanes = fn(&[u8], &mut [u8], &mut [u8], &mut [u8]);

#[test]
fn wide_and_narrow_jpeg_agree() {
    let table: [i32; 64] = std::array::from_fn(|i| 1 + i as i32 * 3);
    let mut first = bytes(64 * 24);
    let mut second = first.clone();
    jpeg::code_blocks(&mut first, 64, &table);
    jpeg::code_blocks_body(&mut second, 64, &table);
    assert_eq!(first, second);
    let pixels = bytes(3 * 333);
    let planes = |to: ToPlanes| {
        let mut out = vec![0; 3 * 333];
        let (y, rest) = out.split_at_mut(333);
        let (cb, cr) = rest.split_at_mut(333);
        to(&pixels, y, cb, cr);
        out
    };
    let made = planes(jpeg::to_planes);
    assert_eq!(made, planes(jpeg::to_planes_body));
    let (mut first, mut second) = (vec![0; 3 * 333], vec![0; 3 * 333]);
    jpeg::from_planes(&made[..333], &made[333..666], &made[666..], &mut first);
    jpeg::from_planes_body(&made[..333], &made[333..666], &made[666..], &mut second);
    assert_eq!(first, second);
}

#[test]
fn wide_and_narrow_resizing_and_normalisation_agree() {
    let levels = normalize::levels(normalize::MEAN, normalize::STD, 255.0);
    let pixels = bytes(3 * 333);
    let (mut first, mut second) = (vec![0f32; 3 * 333], vec![0f32; 3 * 333]);
    let walk = Walk { height: 37, width: 9, first: 332, down: -9, across: -1 };
    normalize::write_planar(&pixels, walk, &levels, &mut first);
    normalize::write_planar_body(&pixels, walk, &levels, &mut second);
    assert_eq!(first, second);
    let (mut planes, mut narrow) = (vec![0; 3 * 333], vec![0; 3 * 333]);
    normalize::write_levels(&pixels, walk, &mut planes);
    normalize::write_levels_body(&pixels, walk, &mut narrow);
    assert_eq!(planes, narrow);
    let (upper, lower): (Vec<i32>, Vec<i32>) =
        pixels.iter().map(|&v| (i32::from(v) << 11, i32::from(!v) << 11)).unzip();
    let (mut third, mut fourth) = (vec![0; upper.len()], vec![0; upper.len()]);
    resize::blend_rows(&upper, &lower, [700, 1348], &mut third);
    resize::blend_rows_body(&upper, &lower, [700, 1348], &mut fourth);
    assert_eq!(third, fourth);
    let (mut fifth, mut sixth) = (vec![5i32; 999], vec![5i32; 999]);
    pil::add_row(&mut fifth, &pixels, -1234);
    pil::add_row_body(&mut sixth, &pixels, -1234);
    assert_eq!(fifth, sixth);
}

#[test]
fn wide_and_narrow_warps_agree() {
    let image = PixelBuffer::new(21, 19, bytes(21 * 19 * 3)).expect("21 x 19 pixels");
    let scattered = |factor: i32| (0..100).map(|i| i * factor % 1031 - 120).collect::<Vec<i32>>();
    let (xs, ys) = (scattered(211), scattered(97));
    for number in 0..5 {
        let border = Border::numbered(number, [5, 6, 7]).expect("five borders");
        let (mut wide, mut narrow) = (vec![0; 300], vec![0; 300]);
        warp::fetch_row(&image, border, &xs, &ys, &mut wide);
        warp::fetch_row_body(&image, border, &xs, &ys, &mut narrow);
        assert_eq!(wide, narrow, "{border:?}");
    }
    let places: Vec<f64> = (0..100).map(|i| f64::from(i * 211 % 1031) / 77.0 - 6.0).collect();
    let (mut wide, mut narrow) = ([vec![0; 100], vec![0; 100]], [vec![0; 100], vec![0; 100]]);
    warp::shifted_row(3.0, 1.0, &places, 32.0, &mut wide[0]);
    warp::shifted_row_body(3.0, 1.0, &places, 32.0, &mut narrow[0]);
    assert_eq!(wide, narrow);
    for interpolation in [Interpolation::Linear, Interpolation::Nearest] {
        let lens = warp::Lens { k: -0.37, size: [100.0, 80.0], middle: [49.0, 41.0], interpolation };
        let ([wide_x, wide_y], [narrow_x, narrow_y]) = (&mut wide, &mut narrow);
        warp::through_lens(lens, 0.21, &places, wide_x, wide_y);
        warp::through_lens_body(lens, 0.21, &places, narrow_x, narrow_y);
        assert_eq!(wide, narrow);
    }
}

#[test]
fn sums_over_a_disc_are_the_same_wide_and_narrow() {
    let running: Vec<u16> = bytes(3 * 400).into_iter().map(|level| u16::from(level) * 251).collect();
    let spans = [(6, 9), (3, 12), (6, 9)];
    let (mut wide, mut narrow) = (vec![0; 320], vec![0; 320]);
    disc::disc_row(&running, 400, &spans, &mut wide);
    disc::disc_row_body(&running, 400, &spans, &mut narrow);
    assert_eq!(wide, narrow);
    assert_eq!(
        wide[5],
        running[5 + 9]
            .wrapping_sub(running[5 + 6])
            .wrapping_add(running[400 + 5 + 12])
            .wrapping_sub(running[400 + 5 + 3])
            .wrapping_add(running[800 + 5 + 9])
            .wrapping_sub(running[800 + 5 + 6])
    );
    let rows: Vec<u16> = bytes(3 * 320).into_iter().map(|level| u16::from(level) * 113).collect();
    let (mut wide, mut narrow) = (vec![0; 300], vec![0; 300]);
    disc::disc_rim(&rows, [0.11, 0.78], 1.0 / 113.0, &mut vec![0.0; 320], &mut wide);
    disc::disc_rim_body(&rows, [0.11, 0.78], 1.0 / 113.0, &mut vec![0.0; 320], &mut narrow);
    assert_eq!(wide, narrow);
}
