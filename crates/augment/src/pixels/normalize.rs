//! Levels to floats of mean 0 and spread 1 (ImageNet's), and from interleaved to planar.
#![allow(clippy::needless_range_loop, reason = "one index runs through several lanes, which is what vectorises")]

use super::geometry::{Turn, Walk, walked};
use super::hsv::{BLOCK, Lane, lanes_of};
use crate::image::{PixelBuffer, View};
use crate::simd;

/// ImageNet's mean of R, G, B in the unit range.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation of R, G, B in the unit range.
pub(crate) const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What a level of each channel becomes, all in f32.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Levels {
    /// Albumentations' arithmetic: `(x - shift) * scale`.
    Shifted { shift: [f32; 3], scale: [f32; 3] },
    /// torchvision's: `(x / 255 - mean) / std`.
    Unit { mean: [f32; 3], std: [f32; 3] },
}

impl Levels {
    /// What `level` of channel `c` becomes.
    #[inline(always)]
    pub(crate) fn of(&self, c: usize, level: u8) -> f32 {
        let x = f32::from(level);
        match self {
            Self::Shifted { shift, scale } => (x - shift[c]) * scale[c],
            Self::Unit { mean, std } => (x / 255.0 - mean[c]) / std[c],
        }
    }

    /// What each level of each channel becomes.
    pub(crate) fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|c| std::array::from_fn(|level| self.of(c, level as u8)))
    }
}

/// Albumentations' `Normalize`: `(x - max mean) * (1 / (max std))`.
pub(crate) fn levels(mean: [f32; 3], std: [f32; 3], max: f64) -> Levels {
    let max = max as f32;
    Levels::Shifted { shift: mean.map(|m| m * max), scale: std.map(|s| 1.0 / (s * max)) }
}

/// torchvision's `ToTensor` and `Normalize`.
pub(crate) fn torch_levels(mean: [f32; 3], std: [f32; 3]) -> Levels {
    Levels::Unit { mean, std }
}

/// `[height, width, 3]` bytes to `[3, height, width]` floats.
pub(crate) fn planar(image: &PixelBuffer, turn: Turn, levels: &Levels) -> View {
    let (height, width) = turn.size(image);
    let mut data = vec![0.0; image.data.len()];
    planar_into(image, turn, levels, &mut data);
    View { height, width, data }
}

/// As [`planar`], into floats that exist. The image is turned on the way.
pub(crate) fn planar_into(image: &PixelBuffer, turn: Turn, levels: &Levels, out: &mut [f32]) {
    along_rows(image, turn, |data, walk| write_planar(data, walk, levels, out));
}

/// The levels themselves, planar as [`planar`] has the floats. The image is turned on the way.
pub(crate) fn levels_into(image: &PixelBuffer, turn: Turn, out: &mut [u8]) {
    along_rows(image, turn, |data, walk| write_levels(data, walk, out));
}

/// Gives `write` the bytes of the turned image, and a walk through them along rows.
fn along_rows(image: &PixelBuffer, turn: Turn, write: impl FnOnce(&[u8], Walk)) {
    let walk = turn.walk(image);
    if turn.quarters.is_multiple_of(2) {
        write(&image.data, walk);
    } else {
        let turned = walked(image, walk);
        write(&turned.data, Turn::default().walk(&turned));
    }
}

simd::wide! {
    /// A walk along rows, in either direction.
    pub(crate) fn write_planar(data: &[u8], walk: Walk, levels: &Levels, out: &mut [f32]) = write_planar_body;
    /// A walk along rows, in either direction.
    pub(crate) fn write_levels(data: &[u8], walk: Walk, out: &mut [u8]) = write_levels_body;
}

#[inline(always)]
pub(super) fn write_planar_body(data: &[u8], walk: Walk, levels: &Levels, out: &mut [f32]) {
    match levels {
        Levels::Shifted { shift, scale } => write_body(data, walk, out, |c, lane, floats| {
            for i in 0..BLOCK {
                floats[i] = (f32::from(lane[i]) - shift[c]) * scale[c];
            }
        }),
        Levels::Unit { mean, std } => write_body(data, walk, out, |c, lane, floats| {
            for i in 0..BLOCK {
                floats[i] = (f32::from(lane[i]) / 255.0 - mean[c]) / std[c];
            }
        }),
    }
}

#[inline(always)]
pub(super) fn write_levels_body(data: &[u8], walk: Walk, out: &mut [u8]) {
    write_body(data, walk, out, |_, lane, levels| *levels = *lane);
}

/// Writes what `of` makes of each channel's levels, a block of pixels at a time.
#[inline(always)]
fn write_body<V: Copy + Default>(data: &[u8], walk: Walk, out: &mut [V], of: impl Fn(usize, &Lane<u8>, &mut Lane<V>)) {
    let (width, mirrored) = (walk.width, walk.across < 0);
    let (red, rest) = out.split_at_mut(walk.height * width);
    let (green, blue) = rest.split_at_mut(walk.height * width);
    for y in 0..walk.height {
        let first = walk.first + y as isize * walk.down;
        let start = (if mirrored { first - (width as isize - 1) } else { first }) as usize;
        let row = &data[start * 3..(start + width) * 3];
        let planes = [&mut *red, &mut *green, &mut *blue].map(|plane| &mut plane[y * width..(y + 1) * width]);
        for (block, pixels) in row.chunks(3 * BLOCK).enumerate() {
            let mut lanes = lanes_of(pixels);
            let count = pixels.len() / 3;
            let at = if mirrored { width - block * BLOCK - count } else { block * BLOCK };
            if mirrored {
                for lane in &mut lanes {
                    if count == BLOCK {
                        lane.reverse();
                    } else {
                        lane[..count].reverse();
                    }
                }
            }
            for c in 0..3 {
                let mut values = [V::default(); BLOCK];
                of(c, &lanes[c], &mut values);
                // A copy of known length is a few instructions, one of any length is a call.
                match planes[c][at..at + count].first_chunk_mut::<BLOCK>() {
                    Some(whole) => *whole = values,
                    None => planes[c][at..at + count].copy_from_slice(&values[..count]),
                }
            }
        }
    }
}
