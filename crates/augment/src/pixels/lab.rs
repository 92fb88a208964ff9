//! RGB ↔ CIE L*a*b* on 8 bits (sRGB gamma, D65), in OpenCV's integers.
#![allow(clippy::needless_range_loop, reason = "one index runs through several lanes, which is what vectorises")]

use std::sync::LazyLock;

use super::hsv::{BLOCK, by_blocks};
use crate::simd;

/// Bits of the fixed-point matrices.
const LAB_SHIFT: u32 = 12;
/// Bits of the cube-root table: three more for the gamma table's precision.
const LAB_SHIFT_2: u32 = LAB_SHIFT + 3;
/// Unit of the inverse path.
const BASE: i32 = 1 << 14;
/// The smallest `f(x)` the inverse path meets.
const MIN_AB: i32 = -8145;
/// Size of the inverse gamma table.
const INVERSE_GAMMA: usize = 1 << 12;
/// Size of the cube-root table.
const CUBE_ROOTS: usize = 256 * 3 / 2 * 8;
/// Size of the cube table.
const CUBES: usize = BASE as usize * 9 / 4;

const RGB_TO_XYZ: [[f64; 3]; 3] =
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
const XYZ_TO_RGB: [[f64; 3]; 3] =
    [[3.240479, -1.53715, -0.498535], [-0.969256, 1.875991, 0.041556], [0.055648, -0.204043, 1.057311]];
const WHITE: [f64; 3] = [0.950456, 1.0, 1.088754];

struct Tables {
    gamma: [i32; 256],
    cube_root: Vec<i32>,
    forward: [[i32; 3]; 3],
    /// `L` to `(y, f(y))`.
    light: [(i32, i32); 256],
    /// `f(x)` to `x`, from [`MIN_AB`] up.
    cube: Vec<i32>,
    backward: [[i32; 3]; 3],
    inverse_gamma: Vec<u8>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let threshold = 216.0f32 / 24389.0;
    let (slope, bias) = (841.0f32 / 108.0, 16.0f32 / 116.0);
    let gamma = |x: f64| if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) };
    let inverse = |x: f64| if x <= 0.003_130_8 { x * 12.92 } else { x.powf(1.0 / 2.4) * 1.055 - 0.055 };
    let round = |x: f32| x.round_ties_even() as i32;
    let scaled = |x: f64| (x * f64::from(1 << LAB_SHIFT)).round_ties_even() as i32;
    Tables {
        gamma: std::array::from_fn(|i| {
            let x = i as f32 / 255.0;
            round(2040.0 * gamma(f64::from(x)) as f32)
        }),
        cube_root: (0..CUBE_ROOTS)
            .map(|i| {
                let x = (1.0f32 / 2040.0) * i as f32;
                let f = if x < threshold {
                    (f64::from(x) * f64::from(slope) + f64::from(bias)) as f32
                } else {
                    cube_root(x)
                };
                round((1 << LAB_SHIFT_2) as f32 * f)
            })
            .collect(),
        forward: std::array::from_fn(|i| RGB_TO_XYZ[i].map(|c| scaled(c / WHITE[i]))),
        light: std::array::from_fn(|i| {
            let i = i as i32;
            if i <= 20 {
                let y = (i * BASE * 20 * 9) as f32 / (17 * 29 * 29 * 29) as f32;
                let fy = BASE as f32 * (16.0f32 / 116.0 + (i * 5) as f32 / (3 * 17 * 29) as f32);
                (round(y), round(fy))
            } else {
                let fy = (i * 100 * BASE) as f32 / (255 * 116) as f32 + (16 * BASE) as f32 / 116.0;
                (round(fy * fy * fy / (BASE as f32 * BASE as f32)), round(fy))
            }
        }),
        cube: (MIN_AB..CUBES as i32 + MIN_AB)
            .map(|i| if i <= 3390 { i * 108 / 841 - BASE * 16 / 116 * 108 / 841 } else { i * i / BASE * i / BASE })
            .collect(),
        backward: std::array::from_fn(|row| std::array::from_fn(|i| scaled(XYZ_TO_RGB[row][i] * WHITE[i]))),
        inverse_gamma: (0..INVERSE_GAMMA)
            .map(|i| round(255.0 * inverse(f64::from(i as f32 / INVERSE_GAMMA as f32)) as f32).clamp(0, 255) as u8)
            .collect(),
    }
});

/// OpenCV's cube root of a positive float below 8: a quartic rational on 1/8..1, its fraction cut, not rounded.
fn cube_root(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let mut shift = exponent % 3;
    if shift >= 0 {
        shift -= 3;
    }
    let root_exponent = (exponent - shift) / 3 - 1;
    let fraction = u64::from(bits & 0x7f_ffff) << 29;
    let f = f64::from_bits(((shift + 1023) as u64) << 52 | fraction);
    let above = f64::from_bits(0x4046_a09e_6653_ba70);
    let above = above * f + f64::from_bits(0x4068_08f4_6c61_16e0);
    let above = above * f + f64::from_bits(0x405d_ca97_439c_ae14);
    let above = above * f + f64::from_bits(0x402a_dd70_d282_7500);
    let above = above * f + f64::from_bits(0x3fc4_f15f_83f5_5d2d);
    let below = f64::from_bits(0x402d_9e20_660e_db21);
    let below = below * f + f64::from_bits(0x4062_ff15_c028_5815);
    let below = below * f + f64::from_bits(0x4065_10d0_6a81_12ce);
    let below = below * f + f64::from_bits(0x4040_fecb_c9e2_c375);
    let below = below * f + 1.0;
    let cut = (((above / below).to_bits() & 0xf_ffff_ffff_ffff) >> 29) as u32;
    f32::from_bits(((root_exponent + 127) as u32) << 23 | cut)
}

/// `x / 2^bits`, rounded half up.
#[inline(always)]
fn descale(x: i32, bits: u32) -> i32 {
    (x + (1 << (bits - 1))) >> bits
}

simd::wide! {
    /// Converts `[.., 3]` RGB to Lab in place.
    pub(crate) fn rgb_to_lab(data: &mut [u8]) = rgb_to_lab_body;
}

#[inline(always)]
pub(super) fn rgb_to_lab_body(data: &mut [u8]) {
    const L_SCALE: i32 = (116 * 255 + 50) / 100;
    const L_SHIFT: i32 = -((16 * 255 * (1 << LAB_SHIFT_2) + 50) / 100);
    let t = &*TABLES;
    let cube_root = &t.cube_root[..CUBE_ROOTS];
    by_blocks!(data, |lanes| {
        let mut linear = [[0; BLOCK]; 3];
        for c in 0..3 {
            for i in 0..BLOCK {
                linear[c][i] = t.gamma[lanes[c][i] as usize];
            }
        }
        let mut roots = [[0; BLOCK]; 3];
        for (row, roots) in t.forward.iter().zip(&mut roots) {
            let mut at = [0; BLOCK];
            for i in 0..BLOCK {
                let sum = row[0] * linear[0][i] + row[1] * linear[1][i] + row[2] * linear[2][i];
                at[i] = descale(sum, LAB_SHIFT);
            }
            for i in 0..BLOCK {
                roots[i] = cube_root[(at[i] as usize).min(CUBE_ROOTS - 1)];
            }
        }
        for i in 0..BLOCK {
            let [fx, fy, fz] = [0, 1, 2].map(|c: usize| roots[c][i]);
            let l = descale(L_SCALE * fy + L_SHIFT, LAB_SHIFT_2);
            let a = descale(500 * (fx - fy) + (128 << LAB_SHIFT_2), LAB_SHIFT_2);
            let b = descale(200 * (fy - fz) + (128 << LAB_SHIFT_2), LAB_SHIFT_2);
            lanes[0][i] = l.clamp(0, 255) as u8;
            lanes[1][i] = a.clamp(0, 255) as u8;
            lanes[2][i] = b.clamp(0, 255) as u8;
        }
    });
}

simd::wide! {
    /// Converts `[.., 3]` Lab to RGB in place.
    pub(crate) fn lab_to_rgb(data: &mut [u8]) = lab_to_rgb_body;
}

#[inline(always)]
pub(super) fn lab_to_rgb_body(data: &mut [u8]) {
    const SHIFT: u32 = LAB_SHIFT + 2;
    let t = &*TABLES;
    let cube = &t.cube[..CUBES];
    let inverse_gamma = &t.inverse_gamma[..INVERSE_GAMMA];
    by_blocks!(data, |lanes| {
        let (mut y, mut fy) = ([0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            (y[i], fy[i]) = t.light[lanes[0][i] as usize];
        }
        let (mut x, mut z) = ([0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            let (a, b) = (i32::from(lanes[1][i]), i32::from(lanes[2][i]));
            let a = ((5 * a * 53687 + (1 << 7)) >> 13) - 128 * BASE / 500;
            let b = ((b * 41943 + (1 << 4)) >> 9) - 128 * BASE / 200 + 1;
            x[i] = fy[i] + a - MIN_AB;
            z[i] = fy[i] - b - MIN_AB;
        }
        for i in 0..BLOCK {
            x[i] = cube[(x[i] as usize).min(CUBES - 1)];
            z[i] = cube[(z[i] as usize).min(CUBES - 1)];
        }
        for (lane, row) in lanes.iter_mut().zip(t.backward) {
            let mut level = [0; BLOCK];
            for i in 0..BLOCK {
                let sum = row[0] * x[i] + row[1] * y[i] + row[2] * z[i];
                level[i] = descale(sum, SHIFT).clamp(0, INVERSE_GAMMA as i32 - 1);
            }
            for i in 0..BLOCK {
                lane[i] = inverse_gamma[level[i] as usize & (INVERSE_GAMMA - 1)];
            }
        }
    });
}
