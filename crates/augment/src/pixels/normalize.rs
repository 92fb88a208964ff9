//! Levels to floats of mean 0 and spread 1 (ImageNet's), and from interleaved to planar.

use super::geometry::{Turn, Walk};
use crate::image::{Image, View};

/// ImageNet's mean of R, G, B in the unit range.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation of R, G, B in the unit range.
pub(crate) const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Albumentations' arithmetic, all in f32: `(x - max mean) * (1 / (max std))`. One table for each channel.
pub(crate) fn levels(mean: [f32; 3], std: [f32; 3], max: f64) -> Levels {
    std::array::from_fn(|c| {
        let (shift, scale) = (mean[c] * max as f32, 1.0 / (std[c] * max as f32));
        std::array::from_fn(|v| (v as f32 - shift) * scale)
    })
}

/// torchvision's arithmetic, all in f32: `(x / 255 - mean) / std`.
pub(crate) fn torch_levels(mean: [f32; 3], std: [f32; 3]) -> Levels {
    std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - mean[c]) / std[c]))
}

/// One table of 256 floats for each channel.
pub(crate) type Levels = [[f32; 256]; 3];

/// `[height, width, 3]` bytes to `[3, height, width]` floats through one table for each channel.
pub(crate) fn planar(image: &Image, turn: Turn, levels: &Levels) -> View {
    let (height, width) = turn.size(image);
    let mut data = vec![0.0; image.data.len()];
    planar_into(image, turn, levels, &mut data);
    View { height, width, data }
}

/// As [`planar`], into floats that exist. The image is turned on the way.
pub(crate) fn planar_into(image: &Image, turn: Turn, levels: &Levels, out: &mut [f32]) {
    crate::simd::planar(&image.data, turn.walk(image), levels, out);
}

/// Goes through the result in square tiles, so that neither side is touched across whole cache lines at a time.
#[inline(always)]
pub(crate) fn planar_body(data: &[u8], walk: Walk, levels: &Levels, out: &mut [f32]) {
    const TILE: usize = 32;
    let pixels = data.as_chunks::<3>().0;
    let (red, rest) = out.split_at_mut(pixels.len());
    let (green, blue) = rest.split_at_mut(pixels.len());
    let mut top = 0;
    while top < walk.height {
        let mut left = 0;
        while left < walk.width {
            let right = (left + TILE).min(walk.width);
            for y in top..(top + TILE).min(walk.height) {
                let line = y * walk.width + left..y * walk.width + right;
                let mut at = walk.first + y as isize * walk.down + left as isize * walk.across;
                let planes = red[line.clone()].iter_mut().zip(&mut green[line.clone()]).zip(&mut blue[line]);
                for ((r, g), b) in planes {
                    let pixel = pixels[at as usize];
                    *r = levels[0][pixel[0] as usize];
                    *g = levels[1][pixel[1] as usize];
                    *b = levels[2][pixel[2] as usize];
                    at += walk.across;
                }
            }
            left = right;
        }
        top += TILE;
    }
}
