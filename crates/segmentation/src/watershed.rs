//! Single cells of a stained smear without labels: classical segmentation, from an image to masks.
//!
//! The green channel is divided by the light of the empty field around it, a threshold separates cells from the field, pale centres
//! are filled, and cells that touch are separated at the neck between them. All lengths follow from one number, the usual
//! diameter of a red cell in pixels. Nothing is learnt and nothing is random.

mod basins;
mod outside;
mod plane;

use basins::{basins, parts};
use imaging::RgbImage;
use plane::{Plane, otsu, squared_distance};

use crate::cell::{Cell, measure};
use crate::options::SegmentOptions;

/// Cells and field must differ by this share of the field's light, or there are no cells.
const LEAST_CONTRAST: f32 = 0.04;
/// A hole up to this share of a usual cell is its pale centre and not the field between cells.
const LARGEST_HOLE: f32 = 0.4;

/// The cells of an image, from the top left; an empty list where it shows none.
pub fn segment(image: &RgbImage, options: &SegmentOptions) -> Vec<Cell> {
    let (diameter, least_rise) = (options.diameter as f32, options.least_rise as f32);
    if image.width() == 0 || image.height() == 0 {
        return Vec::new();
    }
    let outside = outside::outside(image, diameter, disc(diameter));
    let lit = |at: usize| outside.as_ref().is_none_or(|outside| !outside[at]);
    let green = Plane::green(image).blurred(1, 2);
    let Some(mut cells) = darker(&even(&green, diameter, lit), lit) else { return Vec::new() };
    open(&mut cells, green.width, green.height, diameter / 24.0);
    fill(&mut cells, green.width, green.height, LARGEST_HOLE * disc(diameter));
    let inside = squared_distance(&cells, green.width, green.height);
    let depth = green.with(inside.into_iter().map(f32::sqrt).collect()).blurred(1, 2);
    let depth: Vec<f32> =
        depth.values.iter().zip(&cells).map(|(depth, &inside)| if inside { *depth } else { 0.0 }).collect();
    let mut basin = basins(&depth, green.width, green.height, least_rise);
    if let Some(outside) = &outside {
        outside::drop_basins_in(outside, &mut basin);
    }
    measure(&basin, green.width, green.height, (options.least_area as f32 * disc(diameter)) as u32)
}

fn disc(diameter: f32) -> f32 {
    std::f32::consts::PI * diameter * diameter / 4.0
}

/// The threshold of the pixels that are `lit`, and the two means.
fn otsu_of(plane: &Plane, lit: impl Fn(usize) -> bool) -> Option<(f32, f32, f32)> {
    let seen = plane.values.iter().enumerate().filter(|(at, _)| lit(*at)).map(|(_, value)| *value);
    otsu(&seen.collect::<Vec<_>>())
}

/// The picture divided by the light of the empty field near each pixel.
fn even(green: &Plane, diameter: f32, lit: impl Fn(usize) -> bool) -> Plane {
    let Some((threshold, _, light)) = otsu_of(green, &lit) else { return green.clone() };
    let light_px: Vec<bool> =
        green.values.iter().enumerate().map(|(at, &value)| value > threshold && lit(at)).collect();
    let clear = squared_distance(&light_px, green.width, green.height);
    let apart = (diameter / 12.0) * (diameter / 12.0);
    let field: Vec<f32> = clear.iter().map(|&squared| f32::from(squared > apart)).collect();
    let radius = (diameter.round() as usize).max(1);
    let field_light = green.values.iter().zip(&field).map(|(value, field)| value * field).collect();
    let (sum, weight) = (green.with(field_light).blurred(radius, 3), green.with(field).blurred(radius, 3));
    let light_at = |index: usize| {
        let weight = weight.values[index];
        // Far from any empty field the light is the mean of it.
        (sum.values[index] + 0.01 * light) / (weight + 0.01)
    };
    green.with(green.values.iter().enumerate().map(|(index, value)| value / light_at(index).max(1.0)).collect())
}

/// What is darker than the field; nothing where cells and field hardly differ. What is not lit is dark, so that a cell that reaches
/// into it is one with it.
fn darker(even: &Plane, lit: impl Fn(usize) -> bool) -> Option<Vec<bool>> {
    let (threshold, dark, light) = otsu_of(even, lit)?;
    (light - dark > LEAST_CONTRAST).then(|| even.values.iter().map(|&value| value <= threshold).collect())
}

/// Takes away what a disc of `radius` does not fit into.
fn open(cells: &mut [bool], width: usize, height: usize, radius: f32) {
    let squared = radius * radius;
    let inside = squared_distance(cells, width, height);
    let outside: Vec<bool> = inside.iter().map(|&distance| distance <= squared).collect();
    let to_core = squared_distance(&outside, width, height);
    for (cell, distance) in cells.iter_mut().zip(to_core) {
        *cell = *cell && distance <= squared;
    }
}

/// Fills holes of at most `largest` pixels that do not reach the edge of the image.
fn fill(cells: &mut [bool], width: usize, height: usize, largest: f32) {
    let field: Vec<bool> = cells.iter().map(|cell| !cell).collect();
    let (part, count) = parts(&field, width, height);
    let mut size = vec![0_u32; count as usize + 1];
    let mut open = vec![false; count as usize + 1];
    for (at, &part) in part.iter().enumerate() {
        let (x, y) = (at % width, at / width);
        size[part as usize] += 1;
        open[part as usize] |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    }
    for (cell, &part) in cells.iter_mut().zip(&part) {
        *cell |= part > 0 && !open[part as usize] && size[part as usize] as f32 <= largest;
    }
}

#[cfg(test)]
mod tests;
