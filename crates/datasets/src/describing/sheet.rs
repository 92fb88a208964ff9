//! Images with their labels drawn into them.

use std::collections::BTreeMap;

use image::{Rgb, imageops};
use imaging::RgbImage;
use imaging::picture_table::Tile;

use crate::annotation::{Geometry, ImageLabels};
use crate::schema::name_of;

/// Longest side of a drawn image, px.
const LONGEST: u32 = 320;
/// Labels that a caption names.
const MOST_LABELS: usize = 3;
/// Colour of drawn labels.
const INK: Rgb<u8> = Rgb([255, 0, 160]);

/// An image with its labels drawn into it, above its name and what it shows.
pub(super) fn tile(image: &str, rgb: RgbImage, labels: Option<&ImageLabels>) -> Tile {
    let said = match labels {
        Some(ImageLabels::Whole(label)) => label.clone(),
        Some(ImageLabels::Annotations(all)) => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            all.iter().for_each(|one| *counts.entry(&one.label).or_default() += 1);
            let named: Vec<String> =
                counts.iter().take(MOST_LABELS).map(|(label, count)| format!("{label} {count}")).collect();
            let more = if counts.len() > MOST_LABELS { ", …" } else { "" };
            format!("{}{more}", named.join(", "))
        }
        Some(ImageLabels::Missing(_)) | None => "no label".to_owned(),
    };
    Tile { picture: drawn(rgb, labels), caption: vec![name_of(image).to_owned(), said] }
}

/// The image, shrunk to the size of a tile.
pub(super) fn small(image: &RgbImage) -> RgbImage {
    shrunk(image).0
}

/// The image, shrunk to the size of a tile, and by what.
fn shrunk(image: &RgbImage) -> (RgbImage, f64) {
    let longer = image.width().max(image.height()).max(1);
    let scale = f64::from(LONGEST.min(longer)) / f64::from(longer);
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    let (width, height) = (side(image.width()), side(image.height()));
    (imageops::resize(image, width, height, imageops::FilterType::Triangle), scale)
}

/// The image, shrunk, with a frame around each labelled box and a cross at each labelled point.
fn drawn(image: RgbImage, labels: Option<&ImageLabels>) -> RgbImage {
    let (mut small, scale) = shrunk(&image);
    if let Some(ImageLabels::Annotations(annotations)) = labels {
        for annotation in annotations {
            mark(&mut small, annotation.geometry, scale);
        }
    }
    small
}

fn mark(image: &mut RgbImage, geometry: Geometry, scale: f64) {
    match geometry {
        Geometry::Point { x, y } => {
            let (x, y) = (x * scale, y * scale);
            line(image, [x - 5.0, y, x + 5.0, y + 1.0]);
            line(image, [x, y - 5.0, x + 1.0, y + 5.0]);
        }
        Geometry::Box { x0, y0, x1, y1 } => {
            let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(|at| at * scale);
            line(image, [x0, y0, x1, y0 + 1.0]);
            line(image, [x0, y1 - 1.0, x1, y1]);
            line(image, [x0, y0, x0 + 1.0, y1]);
            line(image, [x1 - 1.0, y0, x1, y1]);
        }
    }
}

/// Fills a small box, as far as it lies in the image.
fn line(image: &mut RgbImage, [x0, y0, x1, y1]: [f64; 4]) {
    let (width, height) = image.dimensions();
    let within = |at: f64, side: u32| at.round().clamp(0.0, f64::from(side)) as u32;
    for y in within(y0, height)..within(y1, height) {
        for x in within(x0, width)..within(x1, width) {
            image.put_pixel(x, y, INK);
        }
    }
}
