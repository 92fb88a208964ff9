//! Outlines of cells as label files draw them, before the size of the image is known.

use segmentation::{Region, RegionError, RunOrder};

/// Points of a polygon: x and y, px.
pub(crate) type Ring = Vec<[f64; 2]>;

/// Least share of an outline's box that lies in the image: others are of another image, or of another scale.
const LEAST_INSIDE: f64 = 0.25;

/// What a label file draws around a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outline {
    /// Polygons that are one cell together.
    Polygons(Vec<Polygon>),
    /// COCO's run lengths, down the columns of an image of this width and height.
    Counts {
        /// Pixels outside, inside, outside …
        counts: Vec<u64>,
        /// Width and height, px.
        size: (u32, u32),
    },
    /// A small picture: left, top, width, height, and whether each pixel belongs to the cell, row by row.
    Part([u32; 4], Vec<bool>),
    /// First pixel, from 0, and length of each run, counted in this order.
    Runs(Vec<(u64, u64)>, RunOrder),
    /// Pixels that are known already.
    Pixels(Region),
}

/// A polygon, with what is cut out of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Polygon {
    /// The points around it.
    pub(crate) outer: Ring,
    /// The points around each hole.
    pub(crate) holes: Vec<Ring>,
}

impl Outline {
    /// One polygon without holes.
    pub(crate) fn polygon(outer: Ring) -> Self {
        Self::Polygons(vec![Polygon { outer, holes: Vec::new() }])
    }

    /// The outline with coordinates that count so many pixels each.
    pub(crate) fn scaled(self, (sx, sy): (f64, f64)) -> Self {
        let Self::Polygons(mut polygons) = self else { return self };
        let rings = polygons.iter_mut().flat_map(|polygon| polygon.holes.iter_mut().chain([&mut polygon.outer]));
        rings.flatten().for_each(|[x, y]| (*x, *y) = (*x * sx, *y * sy));
        Self::Polygons(polygons)
    }

    /// Its pixels in an image of `size` (width, height). `steps` is what the outlines of the image may still take.
    ///
    /// # Errors
    /// The reason for the report: an outline of no pixel, of another image, or too long.
    pub(super) fn region(&self, size: (u32, u32), steps: &mut u64) -> Result<Region, String> {
        let region = match self {
            Self::Polygons(polygons) => {
                inside(polygons, size)?;
                union(polygons, size, steps)
            }
            Self::Counts { size: (w, h), .. } if (*w, *h) != size => {
                return Err(format!("its run lengths are of an image of {w}×{h}, not of {}×{}", size.0, size.1));
            }
            Self::Counts { counts, .. } => Region::of_counts(counts, size),
            Self::Part(place, pixels) => Region::of_part(*place, pixels, size),
            Self::Runs(runs, order) => Region::of_runs(runs, *order, size, steps),
            Self::Pixels(region) => Ok(region.clone()),
        };
        let region = region.map_err(|error| error.to_string())?;
        if region.area() == 0 {
            return Err(RegionError::Empty.to_string());
        }
        Ok(region)
    }
}

/// Checks that enough of the box around all polygons lies in the image.
fn inside(polygons: &[Polygon], (width, height): (u32, u32)) -> Result<(), String> {
    let share = |axis: usize, side: u32| {
        let along = polygons.iter().flat_map(|polygon| &polygon.outer).map(|point| point[axis]);
        let (low, high) = along.fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
        (high.min(side.into()) - low.max(0.0)) / (high - low)
    };
    let shares = [share(0, width), share(1, height)];
    // An outline without width gives no number here, and no pixel later.
    match shares.iter().any(|share| *share <= 0.0) || shares[0] * shares[1] < LEAST_INSIDE {
        true => Err(format!("its outline lies mostly outside the image of {width}×{height}")),
        false => Ok(()),
    }
}

fn union(polygons: &[Polygon], size: (u32, u32), steps: &mut u64) -> Result<Region, RegionError> {
    let mut all: Option<Region> = None;
    for polygon in polygons {
        let mut region = Region::of_polygon(&polygon.outer, size, steps)?;
        for hole in &polygon.holes {
            region = region.without(&Region::of_polygon(hole, size, steps)?);
        }
        all = Some(match all {
            Some(all) => all.with(&region),
            None => region,
        });
    }
    all.ok_or(RegionError::Empty)
}
