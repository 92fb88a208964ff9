//! What no light reaches: the black around the round field of an eyepiece, or a black band at an edge.
//!
//! It is dark in every colour, which distinguishes it from cells. A stained nucleus is dark in green and red and stays bright in blue.

use imaging::RgbImage;

use super::basins::parts;
use super::plane::squared_distance;

/// Share of the field's light below which a pixel shows nothing.
const DARK: f32 = 0.2;
/// A dark part at the edge of the image is not a cell if it is larger than this share of a usual one.
const LEAST: f32 = 0.25;
/// Share of the brightest pixels that may be glare.
const GLARE: usize = 20;

/// The pixels that no light reaches, and those so near that their light falls off; nothing where the image has none. Parts smaller
/// than a share of `disc`, the pixels of a usual cell of `diameter` px, are not taken for it.
pub(super) fn outside(image: &RgbImage, diameter: f32, disc: f32) -> Option<Vec<bool>> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let brightness: Vec<u8> = image.pixels().map(|pixel| pixel[0].max(pixel[1]).max(pixel[2])).collect();
    let dark_below = (DARK * f32::from(light(&brightness))) as u8;
    let dark: Vec<bool> = brightness.iter().map(|value| *value < dark_below).collect();
    if !dark.contains(&true) {
        return None;
    }
    let (part, count) = parts(&dark, width, height);
    let mut size = vec![0_u32; count as usize + 1];
    let mut at_edge = vec![false; count as usize + 1];
    for (at, &part) in part.iter().enumerate() {
        let (x, y) = (at % width, at / width);
        size[part as usize] += 1;
        at_edge[part as usize] |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    }
    let unlit = |part: u32| part > 0 && at_edge[part as usize] && size[part as usize] as f32 > LEAST * disc;
    let lit: Vec<bool> = part.into_iter().map(|part| !unlit(part)).collect();
    if !lit.contains(&false) {
        return None;
    }
    let near = diameter / 8.0 + 2.0;
    Some(squared_distance(&lit, width, height).into_iter().map(|squared| squared <= near * near).collect())
}

/// The light of the field: as bright as all but the few brightest pixels.
fn light(brightness: &[u8]) -> u8 {
    let mut levels = [0_usize; 256];
    brightness.iter().for_each(|value| levels[usize::from(*value)] += 1);
    let mut above = 0;
    let level = (0..=u8::MAX).rev().find(|level| {
        above += levels[usize::from(*level)];
        above * GLARE > brightness.len()
    });
    level.unwrap_or(0)
}

/// Removes the basins that reach into the outside: the rest of a cell there cannot be distinguished from the fall of the light.
pub(super) fn drop_basins_in(outside: &[bool], basin: &mut [u32]) {
    let count = basin.iter().copied().max().unwrap_or(0) as usize;
    let mut reaches = vec![false; count + 1];
    for (&outside, &basin) in outside.iter().zip(basin.iter()) {
        reaches[basin as usize] |= outside;
    }
    basin.iter_mut().filter(|basin| reaches[**basin as usize]).for_each(|basin| *basin = 0);
}
