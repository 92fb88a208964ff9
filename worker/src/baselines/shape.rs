//! Hand-made shape features of the segmented cell.

use anyhow::Result;
use imaging::RgbImage;
use probe::Features;
use probe::shape::{self, Shape};
use run_spec::config::TrainConfig;
use segmentation::{Cell, SegmentOptions, segment};

use super::{Baseline, Flag};
use crate::features::Extractor;

/// The usual diameter of a cell, as a share of the smaller side of its picture: cells are cut with some field around them.
const DIAMETER: f64 = 0.7;

/// Area, outline, pallor and Hu moments of the cell in the picture.
#[derive(Debug)]
pub(super) struct HandMade;

impl Baseline for HandMade {
    fn name(&self) -> &'static str {
        "shape"
    }

    fn about(&self) -> &'static str {
        "Area, circularity, pallor and Hu moments of the segmented cell"
    }

    fn flag(&self) -> Flag {
        Flag { name: "shape", help: "Also score hand-made shape features", takes_in: true }
    }

    fn needs_model(&self) -> bool {
        false
    }

    fn features(&self, _: &TrainConfig, _: tch::Device, extractor: &Extractor<'_>) -> Result<Features> {
        Ok(Features::new(shape::DIM, extractor.of_pictures(of_picture)?.concat())?)
    }
}

/// The features of the cell in the middle of a picture; zeros where none is found.
fn of_picture(picture: &RgbImage) -> Vec<f32> {
    let diameter = (DIAMETER * f64::from(picture.width().min(picture.height()))).max(4.0);
    let cells = segment(picture, &SegmentOptions::for_diameter(diameter));
    let middle = (f64::from(picture.width()) / 2.0, f64::from(picture.height()) / 2.0);
    let far = |cell: &Cell| (cell.centre.0 - middle.0).hypot(cell.centre.1 - middle.1);
    let Some(cell) = cells.iter().min_by(|a, b| far(a).total_cmp(&far(b))) else { return vec![0.0; shape::DIM] };
    let places = (0..cell.h).flat_map(|y| (0..cell.w).map(move |x| (cell.x + x, cell.y + y)));
    // Green is where haemoglobin absorbs.
    let light: Vec<f32> = places.map(|(x, y)| f32::from(picture.get_pixel(x, y)[1])).collect();
    shape::features(&Shape {
        width: cell.w as usize,
        mask: &cell.mask,
        light: &light,
        picture: (picture.width() * picture.height()) as usize,
        circularity: cell.circularity,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 80 px with a cell of this diameter and a pale middle, on a bright field.
    fn picture(diameter: f32, pale: u8) -> RgbImage {
        RgbImage::from_fn(80, 80, |x, y| {
            let far = (x as f32 - 39.5).hypot(y as f32 - 39.5);
            let green = if far > diameter / 2.0 {
                230
            } else if far < diameter / 8.0 {
                pale
            } else {
                120
            };
            image::Rgb([210, green, 210])
        })
    }

    #[test]
    fn a_larger_cell_and_a_paler_middle_are_seen() {
        let [small, large, pale] = [picture(30.0, 120), picture(50.0, 120), picture(50.0, 200)].map(|p| of_picture(&p));
        assert!(large[0] > 2.0 * small[0] && small[0] > 0.0, "{small:?} {large:?}");
        assert!(pale[5] > large[5] + 0.1, "{large:?} {pale:?}");
        assert_eq!(of_picture(&RgbImage::from_pixel(80, 80, image::Rgb([230; 3]))), vec![0.0; shape::DIM]);
    }
}
