//! Outlines and thickness of the nine drawn red-cell shapes.
//!
//! A [`CellForm`] is an implicit surface in the frame of the image: one unit is the radius of an ordinary discocyte of the source,
//! the origin is the middle of the cell's bounding box. [`CellForm::at`] gives a signed distance (negative inside) and a thickness.
//! Thickness is scaled so that every class absorbs about as much light as every other: shape tells classes apart, darkness does not.
//! Descriptions follow the ICSH nomenclature (Palmer et al. 2015, doi 10.1111/ijlh.12327); the numbers are ours.

use run_spec::seed::Stream;

use crate::outline::Outline;
use crate::single::{between, gauss, length};

/// Half the side, in cell radii, of the square that holds any shape.
pub(crate) const REACH: f32 = 2.2;
/// Samples per side of the square on which a shape is measured.
const GRID: usize = 48;
/// Distance between two samples of that square, in cell radii.
pub(crate) const GRID_STEP: f32 = 2.0 * REACH / GRID as f32;
/// How strongly a smaller cell is denser: 0 keeps its darkness, 1 keeps its haemoglobin.
const CONDENSE: f32 = 0.35;

/// How far the warps move a point at most.
const WARP: f32 = 0.12;

/// The nine shape classes, in the order of the labelled sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Round, with a pale centre: the ordinary red cell.
    Discocyte,
    /// Round and smaller, without a pale centre.
    Spherocyte,
    /// Oval to cigar-shaped (ovalocyte, elliptocyte).
    Elliptocyte,
    /// A body with a single tail (dacrocyte).
    Teardrop,
    /// A dark dot within the pale centre (codocyte).
    Target,
    /// A slit instead of a round pale centre.
    Stomatocyte,
    /// A crescent with pointed ends (drepanocyte).
    Sickle,
    /// Short spikes all around (echinocyte).
    Burr,
    /// A fragment: helmet, triangle or half-moon.
    Schistocyte,
}

impl Class {
    /// Every class, in the order of the labelled sheet.
    pub(crate) const ALL: [Self; 9] = [
        Self::Discocyte,
        Self::Spherocyte,
        Self::Elliptocyte,
        Self::Teardrop,
        Self::Target,
        Self::Stomatocyte,
        Self::Sickle,
        Self::Burr,
        Self::Schistocyte,
    ];

    /// The label written beside the images.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Discocyte => "discocyte",
            Self::Spherocyte => "spherocyte",
            Self::Elliptocyte => "elliptocyte",
            Self::Teardrop => "teardrop",
            Self::Target => "target",
            Self::Stomatocyte => "stomatocyte",
            Self::Sickle => "sickle",
            Self::Burr => "burr",
            Self::Schistocyte => "schistocyte",
        }
    }
}

/// Relief of a cell: thickness over its outline, 1 = plateau.
#[derive(Clone, Copy, Debug)]
enum Relief {
    /// A round hollow. `depth` 0 is a flat plateau.
    Hollow { depth: f32, width: f32, x: f32, y: f32 },
    /// Thickest in the middle.
    Dome,
    /// A pale ring around a dark dot.
    Bull { depth: f32, ring: f32, width: f32, x: f32, y: f32 },
    /// A pale slit, possibly bent.
    Slit { depth: f32, length: f32, width: f32, bend: f32, y: f32 },
}

impl Relief {
    /// Thickness at the point (`x`, `y`) in radii, where `t` runs from 0 in the middle to 1 on the outline.
    fn thickness(self, x: f32, y: f32, t: f32) -> f32 {
        let t2 = t * t;
        let plateau = (1.0 - 0.75 * t2 * t2 * t2).max(0.0).sqrt();
        match self {
            Self::Hollow { depth, width, x: cx, y: cy } => {
                let shift = (t2 + cx * (cx - 2.0 * x) + cy * (cy - 2.0 * y)).max(0.0) / (width * width);
                plateau * (1.0 - depth * (-shift * shift.sqrt().sqrt()).exp())
            }
            Self::Dome => (1.0 - 0.72 * t2).max(0.0).sqrt(),
            Self::Bull { depth, ring, width, x: cx, y: cy } => {
                let r = (t2 + cx * (cx - 2.0 * x) + cy * (cy - 2.0 * y)).max(0.0).sqrt();
                let off = (r - ring) / width;
                plateau * (1.0 - depth * (-off * off).exp())
            }
            Self::Slit { depth, length, width, bend, y: cy } => {
                let across = (y - cy - bend * x * x) / width;
                let along = x / length;
                let along2 = along * along;
                plateau * (1.0 - depth * (-across * across - along2 * along2).exp())
            }
        }
    }
}

/// What a shape looks like from outside, measured on a grid.
#[derive(Clone, Debug)]
pub(crate) struct Footprint {
    /// Half width and half height of the bounding box, in radii.
    pub(crate) half: (f32, f32),
    /// Grid offsets (in units of [`GRID_STEP`] from the middle) that lie inside the outline.
    pub(crate) inside: Vec<(i16, i16)>,
}

/// The form of one cell, turned as it lies in the image.
#[derive(Clone, Debug)]
pub(crate) struct CellForm {
    outline: Outline,
    relief: Relief,
    cos: f32,
    sin: f32,
    /// Slow warps (amplitude, frequency, two phases): no cell is a perfect circle.
    warps: [[f32; 4]; 2],
    centre: (f32, f32),
    scale: f32,
    pub(crate) footprint: Footprint,
}

/// A point of a shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SurfacePoint {
    /// Signed distance to the outline in radii, negative inside.
    pub(crate) distance: f32,
    /// Thickness; about 1 on average over a discocyte. Meaningful inside and close to the outline.
    pub(crate) thickness: f32,
}

impl CellForm {
    /// Draws a cell of `class`.
    pub(crate) fn draw(class: Class, stream: &mut Stream) -> Self {
        let (outline, relief) = form(class, stream);
        let turn = between(stream, 0.0, std::f32::consts::TAU);
        let mut shape = Self {
            outline,
            relief,
            cos: turn.cos(),
            sin: turn.sin(),
            warps: [(0.02, 0.06, 1.7), (0.004, 0.02, 4.1)].map(|(lo, hi, frequency)| {
                let amplitude = between(stream, lo, hi);
                [amplitude, frequency, between(stream, 0.0, 6.3), between(stream, 0.0, 6.3)]
            }),
            centre: (0.0, 0.0),
            scale: 1.0,
            footprint: Footprint { half: (0.0, 0.0), inside: Vec::new() },
        };
        shape.measure();
        shape
    }

    /// The shape at an offset from the middle of its bounding box, in radii of the image frame.
    pub(crate) fn at(&self, x: f32, y: f32) -> SurfacePoint {
        let (mut x, mut y) = (x + self.centre.0, y + self.centre.1);
        for [amplitude, frequency, a, b] in self.warps {
            (x, y) = (x + amplitude * (frequency * y + a).sin(), y + amplitude * (frequency * x + b).sin());
        }
        let (u, v) = (self.cos * x + self.sin * y, self.cos * y - self.sin * x);
        let (distance, t) = self.outline.at(u, v);
        SurfacePoint { distance, thickness: self.scale * self.relief.thickness(u, v, t.min(1.0)) }
    }

    /// Moves the origin to the middle of the bounding box, scales the thickness and keeps the footprint.
    fn measure(&mut self) {
        let mut inside = Vec::new();
        let (mut lo, mut hi) = ((i16::MAX, i16::MAX), (i16::MIN, i16::MIN));
        let mut sum = 0.0f32;
        let middle = GRID as i16 / 2;
        for j in -middle..middle {
            for i in -middle..middle {
                let (x, y) = ((f32::from(i) + 0.5) * GRID_STEP, (f32::from(j) + 0.5) * GRID_STEP);
                if length(x, y) > self.outline.reach() + WARP {
                    continue;
                }
                let point = self.at(x, y);
                if point.distance < 0.0 {
                    lo = (lo.0.min(i), lo.1.min(j));
                    hi = (hi.0.max(i), hi.1.max(j));
                    sum += point.thickness;
                    inside.push((i, j));
                }
            }
        }
        // A whole number of steps, so that the footprint moves with the shape.
        let shift = ((lo.0 + hi.0 + 1) / 2, (lo.1 + hi.1 + 1) / 2);
        self.centre = (f32::from(shift.0) * GRID_STEP, f32::from(shift.1) * GRID_STEP);
        inside.iter_mut().for_each(|p| *p = (p.0 - shift.0, p.1 - shift.1));
        let count = inside.len() as f32;
        // Mean thickness 1, then a part of the way from equal darkness to equal haemoglobin.
        self.scale = count / sum * (2.9 / (count * GRID_STEP * GRID_STEP)).powf(CONDENSE);
        let half = |lo: i16, hi: i16| f32::from(hi - lo + 1) / 2.0 * GRID_STEP;
        self.footprint = Footprint { half: (half(lo.0, hi.0), half(lo.1, hi.1)), inside };
    }
}

/// A round hollow of random place; `depth` from `lo` to `hi`.
fn hollow(stream: &mut Stream, lo: f32, hi: f32) -> Relief {
    Relief::Hollow {
        depth: between(stream, lo, hi),
        width: between(stream, 0.42, 0.66),
        x: gauss(stream, 0.07),
        y: gauss(stream, 0.07),
    }
}

fn form(class: Class, stream: &mut Stream) -> (Outline, Relief) {
    let size = 1.0 + gauss(stream, 0.06);
    let oval = 1.0 + gauss(stream, 0.035);
    let round = |r: f32| Outline::Ellipse { a: r * oval, b: r / oval };
    match class {
        Class::Discocyte => (round(size), hollow(stream, 0.45, 0.85)),
        Class::Spherocyte => (round(size * between(stream, 0.72, 0.84)), Relief::Dome),
        Class::Elliptocyte => {
            let stretch = between(stream, 1.18, 1.58);
            let outline = Outline::Ellipse { a: size * stretch, b: 0.96 * size / stretch };
            (outline, hollow(stream, 0.15, 0.65))
        }
        Class::Teardrop => (Outline::drop(size, stream), hollow(stream, 0.1, 0.65)),
        Class::Target => {
            let relief = Relief::Bull {
                depth: between(stream, 0.55, 0.85),
                ring: between(stream, 0.48, 0.60),
                width: between(stream, 0.14, 0.22),
                x: gauss(stream, 0.04),
                y: gauss(stream, 0.04),
            };
            (round(1.04 * size), relief)
        }
        Class::Stomatocyte => {
            let relief = Relief::Slit {
                depth: between(stream, 0.5, 0.9),
                length: between(stream, 0.42, 0.64),
                width: between(stream, 0.13, 0.24),
                bend: between(stream, -0.6, 0.6),
                y: gauss(stream, 0.08),
            };
            (round(0.97 * size), relief)
        }
        Class::Sickle => (Outline::crescent(size, stream), hollow(stream, 0.0, 0.1)),
        Class::Burr => (Outline::crenated(size, stream), hollow(stream, 0.1, 0.7)),
        Class::Schistocyte => (Outline::fragment(size, stream), hollow(stream, 0.0, 0.25)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    fn shapes(class: Class) -> impl Iterator<Item = CellForm> {
        (0..40).map(move |k| CellForm::draw(class, &mut stream(1, "shape-test", &[class as u64, k])))
    }

    /// Area in square radii.
    fn area(shape: &CellForm) -> f32 {
        shape.footprint.inside.len() as f32 * GRID_STEP * GRID_STEP
    }

    #[test]
    fn every_shape_fits_its_square_and_sits_in_its_middle() {
        for class in Class::ALL {
            for shape in shapes(class) {
                let (w, h) = shape.footprint.half;
                assert!(w < REACH - 0.1 && h < REACH - 0.1, "{class:?} reaches {w} x {h} radii");
                let xs = shape.footprint.inside.iter().map(|p| p.0);
                let (lo, hi) = (xs.clone().min().expect("inside"), xs.max().expect("inside"));
                assert!((lo + hi + 1).abs() <= 2, "{class:?} spans {lo}..{hi}");
            }
        }
    }

    #[test]
    fn a_spherocyte_is_smaller_than_a_discocyte_and_has_no_pale_centre() {
        let mean = |class| shapes(class).map(|s| area(&s)).sum::<f32>() / 40.0;
        assert!(mean(Class::Spherocyte) < 0.75 * mean(Class::Discocyte));
        for shape in shapes(Class::Spherocyte) {
            assert!(shape.at(0.0, 0.0).thickness > shape.at(0.6, 0.0).thickness);
        }
        for shape in shapes(Class::Discocyte) {
            assert!(shape.at(0.0, 0.0).thickness < 0.8 * shape.at(0.75, 0.0).thickness);
        }
    }

    #[test]
    fn a_target_is_dark_pale_dark() {
        for shape in shapes(Class::Target) {
            let (w, h) = shape.footprint.half;
            let ring = |part: f32| {
                let turns = (0..16).map(|k| (k as f32 * std::f32::consts::TAU / 16.0).sin_cos());
                turns.map(|(sin, cos)| shape.at(part * w * cos, part * h * sin).thickness).sum::<f32>() / 16.0
            };
            let (dot, pale, rim) = (ring(0.0), ring(0.53), ring(0.82));
            assert!(dot > 1.15 * pale && rim > 1.05 * pale, "{dot} {pale} {rim}");
        }
    }

    #[test]
    fn outlines_are_as_convex_as_their_class() {
        // Share of the bounding circle that is filled: a crescent is thin, a disc is full.
        let fill = |class| {
            let all = shapes(class).map(|s| {
                let r = s.footprint.half.0.max(s.footprint.half.1);
                area(&s) / (std::f32::consts::PI * r * r)
            });
            all.sum::<f32>() / 40.0
        };
        assert!(fill(Class::Discocyte) > 0.9);
        assert!(fill(Class::Sickle) < 0.5);
        assert!(fill(Class::Teardrop) < 0.75);
        assert!(fill(Class::Elliptocyte) < 0.75);
    }
}
