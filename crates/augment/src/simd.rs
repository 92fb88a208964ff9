#![allow(
    unsafe_code,
    reason = "calls of functions compiled for AVX2+FMA or AVX-512, each behind a run-time check of the processor"
)]
//! The inner loops that gain from wide registers.
//!
//! Every function here is one safe body, compiled twice (the sorting network three times): for the
//! processor every build supports and for AVX2 with FMA, picked at run time. All give the same bits: nothing is
//! reassociated, and `mul_add` rounds once with or without an instruction for it.

mod columns;
mod correlate;

use crate::image::Image;
use crate::pixels::geometry::Walk;
use crate::pixels::{blur, contrast, disc, field, filter, hls, hsv, jpeg, lab, lut, normalize, pil, resize, warp};

pub(crate) use columns::Columns;
pub(crate) use correlate::{Groups, LANES, ROWS, RowTaps, STRIP, correlate, correlate_levels, correlate_rows};

macro_rules! wide {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),+ $(,)?) = $body:path;)+) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),+) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn compiled_wide($($arg: $type),+) {
                    $body($($arg),+)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the line above found both features that `compiled_wide` is compiled for.
                    return unsafe { compiled_wide($($arg),+) };
                }
            }
            $body($($arg),+)
        }
    )+};
}

wide! {
    /// `base = alpha * over + beta * base`, rounded to nearest even.
    fn blend(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) = blend_body;
    /// [`hsv::rgb_to_hsv_body`].
    fn rgb_to_hsv(data: &mut [u8]) = hsv::rgb_to_hsv_body;
    /// [`hsv::hsv_to_rgb_body`].
    fn hsv_to_rgb(data: &mut [u8], width: usize) = hsv::hsv_to_rgb_body;
    /// [`hsv::gray_body`].
    fn gray(data: &[u8], out: &mut [u8]) = hsv::gray_body;
    /// [`hls::rgb_to_hls_body`].
    fn rgb_to_hls(data: &mut [u8]) = hls::rgb_to_hls_body;
    /// [`hls::hls_to_rgb_body`].
    fn hls_to_rgb(data: &mut [u8]) = hls::hls_to_rgb_body;
    /// [`hls::iso_noise_body`].
    fn iso_noise(data: &mut [u8], shots: field::Noise<'_>, turns: field::Noise<'_>) = hls::iso_noise_body;
    /// [`field::normals_body`].
    fn normals(lanes: &mut field::Lanes, mean: f32, spread: f32, out: &mut [f32]) = field::normals_body;
    /// [`field::bits_body`].
    fn bits(lanes: &mut field::Lanes, out: &mut [u32]) = field::bits_body;
    /// [`field::integers_body`].
    fn integers(lanes: &mut field::Lanes, low: i32, count: u32, out: &mut [i32]) = field::integers_body;
    /// [`field::add_body`].
    fn add_noise(data: &mut [u8], noise: &[f32]) = field::add_body;
    /// [`blur::box_row_body`].
    fn box_row(padded: &[u8], k: usize, out: &mut [u16]) = blur::box_row_body;
    /// [`blur::box_mean_body`].
    fn box_mean(sum: &[u32], area: u32, out: &mut [u8]) = blur::box_mean_body;
    /// [`blur::box_slide_body`].
    fn box_slide(sum: &mut [u32], newest: &[u16], oldest: &[u16]) = blur::box_slide_body;
    /// [`blur::weigh_across_body`].
    fn weigh_across(padded: &[u8], weights: &[u16], out: &mut [u16]) = blur::weigh_across_body;
    /// [`blur::weigh_down_body`].
    fn weigh_down(rows: &[u16], pitch: usize, weights: &[u16], out: &mut [u8]) = blur::weigh_down_body;
    /// [`disc::disc_row_body`].
    fn disc_row(running: &[u16], pitch: usize, spans: &[(usize, usize)], out: &mut [u16]) = disc::disc_row_body;
    /// [`disc::disc_rim_body`].
    fn disc_rim(rows: &[u16], weights: [f32; 2], scale: f32, down: &mut [f32], out: &mut [u8]) = disc::disc_rim_body;
    /// [`filter::round_row_body`].
    fn round_row(sums: &[f32], out: &mut [u8]) = filter::round_row_body;
    /// [`filter::to_floats_body`].
    fn to_floats(levels: &[u8], out: &mut [f32]) = filter::to_floats_body;
    /// [`filter::fold_body`].
    fn fold(padded: &[f32], half: usize, out: &mut [f32]) = filter::fold_body;
    /// [`contrast::clahe_row_body`].
    fn clahe_row(row: &mut [u8], cells: &[[u8; 4]], columns: &[(usize, f32)], down: f32) = contrast::clahe_row_body;
    /// [`lut::keep_and_fill_body`].
    fn keep_and_fill(data: &mut [u8], keep: [u8; 3], fill: [u8; 3]) = lut::keep_and_fill_body;
    /// [`jpeg::coded_body`].
    fn jpeg_coded(plane: &mut [u8], width: usize, table: &[i32; 64]) = jpeg::coded_body;
    /// [`jpeg::to_planes_body`].
    fn jpeg_to_planes(bgr: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) = jpeg::to_planes_body;
    /// [`jpeg::from_planes_body`].
    fn jpeg_from_planes(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) = jpeg::from_planes_body;
    /// [`lab::rgb_to_lab_body`].
    fn rgb_to_lab(data: &mut [u8]) = lab::rgb_to_lab_body;
    /// [`lab::lab_to_rgb_body`].
    fn lab_to_rgb(data: &mut [u8]) = lab::lab_to_rgb_body;
    /// [`normalize::planar_body`].
    fn planar(data: &[u8], walk: Walk, levels: &normalize::Levels, out: &mut [f32]) = normalize::planar_body;
    /// [`resize::blend_rows_body`].
    fn blend_rows(upper: &[i32], lower: &[i32], weights: [i32; 2], out: &mut [u8]) = resize::blend_rows_body;
    /// [`pil::add_row_body`].
    fn pil_add_row(sums: &mut [i32], row: &[u8], weight: i32) = pil::add_row_body;
    /// [`warp::fetch_row_body`].
    fn fetch_row(image: &Image, border: warp::Border, xs: &[i32], ys: &[i32], out: &mut [u8]) = warp::fetch_row_body;
    /// [`warp::shifted_body`].
    fn shifted(first: f64, step: f64, shifts: &[f64], unit: f32, out: &mut [i32]) = warp::shifted_body;
    /// [`warp::lens_row_body`].
    fn lens_row(lens: warp::Lens, y: f64, columns: &[f64], xs: &mut [i32], ys: &mut [i32]) = warp::lens_row_body;
    /// [`warp::add_pair_body`].
    fn add_pair(sums: &mut [f64], a: &[f64], b: &[f64], weight: f64) = warp::add_pair_body;
}

/// `base = alpha * over + beta * base`, rounded to nearest even (`cv2.addWeighted` on 8 bits).
pub(crate) fn add_weighted(over: &[u8], alpha: f64, base: &mut [u8], beta: f64) {
    blend(over, alpha as f32, base, beta as f32);
}

#[inline(always)]
fn blend_body(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) {
    for (b, &o) in base.iter_mut().zip(over) {
        *b = crate::pixels::round::round_u8(f32::from(o).mul_add(alpha, f32::from(*b) * beta));
    }
}

/// Values that a sorting network works on at once.
pub(crate) const SORTED: usize = 64;

/// Compare-exchanges the lanes `a` and `b` of `lanes` for every pair of `network`.
#[inline(always)]
fn sort_lanes(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    for &(a, b) in network {
        let (x, y) = (lanes[a as usize], lanes[b as usize]);
        let (mut low, mut high) = ([0u8; SORTED], [0u8; SORTED]);
        for i in 0..SORTED {
            low[i] = x[i].min(y[i]);
            high[i] = x[i].max(y[i]);
        }
        lanes[a as usize] = low;
        lanes[b as usize] = high;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sort_lanes_avx2(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    sort_lanes(lanes, network);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn sort_lanes_avx512(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    sort_lanes(lanes, network);
}

/// Runs a sorting network over [`SORTED`] values at once.
pub(crate) fn sort_network(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the line above found both features that `sort_lanes_avx512` is compiled for.
            return unsafe { sort_lanes_avx512(lanes, network) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the line above found the feature that `sort_lanes_avx2` is compiled for.
            return unsafe { sort_lanes_avx2(lanes, network) };
        }
    }
    sort_lanes(lanes, network);
}

#[cfg(test)]
mod tests;
