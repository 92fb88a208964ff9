//! Outlines of cells as signed distances.
//!
//! Distances are exact near the outline and good enough further in: they are used for soft edges of about a pixel and for a
//! depth that runs from 0 in the middle to 1 on the outline. Constructions follow the well-known catalogue of 2-D distance
//! functions (Quilez, "2D distance functions").

use run_spec::seed::Stream;

use crate::single::{between, gauss, length};

/// A closed curve around the origin; the unit is the radius of an ordinary discocyte.
#[derive(Clone, Debug)]
pub(crate) enum Outline {
    /// An ellipse with the half axes `a` and `b`.
    Ellipse { a: f32, b: f32 },
    /// A disc of radius `body` that runs out into a tail along +x, ending at `tip`.
    Drop { body: f32, neck: f32, tip: f32, end: f32, bend: f32 },
    /// An arc of radius `spine` over ±`span` radians whose width falls to nothing at the ends.
    Crescent { spine: f32, span: f32, half_width: f32 },
    /// A disc with spikes: (direction, height, half width in radians).
    Crenated { radius: f32, spikes: Vec<(f32, f32, f32)> },
    /// A disc cut by straight lines (normal x, normal y, distance) and at most one round bite (x, y, radius).
    Fragment { radius: f32, cuts: Vec<(f32, f32, f32)>, bite: Option<(f32, f32, f32)>, inner: f32 },
}

impl Outline {
    /// A teardrop of about `size`.
    pub(crate) fn drop(size: f32, stream: &mut Stream) -> Self {
        let body = size * between(stream, 0.74, 0.86);
        Self::Drop {
            body,
            neck: body * between(stream, 0.42, 0.55),
            tip: body + size * between(stream, 0.55, 1.0),
            end: between(stream, 0.03, 0.09),
            bend: gauss(stream, 0.12),
        }
    }

    /// A crescent of about `size`.
    pub(crate) fn crescent(size: f32, stream: &mut Stream) -> Self {
        let spine = size * between(stream, 0.95, 1.7);
        let along = size * between(stream, 2.7, 3.4);
        Self::Crescent { spine, span: along / 2.0 / spine, half_width: size * between(stream, 0.28, 0.42) }
    }

    /// A burr cell of about `size` with 9 to 16 spikes.
    pub(crate) fn crenated(size: f32, stream: &mut Stream) -> Self {
        let count = stream.int(9, 16);
        let pitch = std::f32::consts::TAU / count as f32;
        let height = between(stream, 0.13, 0.24);
        let spikes = (0..count)
            .map(|k| {
                let direction = (k as f32 + gauss(stream, 0.12)) * pitch;
                (direction, height * between(stream, 0.65, 1.25), pitch * between(stream, 0.34, 0.46))
            })
            .collect();
        Self::Crenated { radius: size * between(stream, 0.82, 0.92), spikes }
    }

    /// A fragment of about `size`: a helmet, a triangle or a half-moon.
    pub(crate) fn fragment(size: f32, stream: &mut Stream) -> Self {
        let radius = size * between(stream, 0.86, 1.0);
        let mut cuts = Vec::new();
        let mut bite = None;
        match stream.below(3) {
            0 => {
                // Helmet: a flat side, and a bite that leaves two horns.
                let d = radius * between(stream, 0.15, 0.4);
                cuts.push((0.0, 1.0, d));
                let r = radius * between(stream, 0.3, 0.45);
                bite = Some((gauss(stream, 0.12), d + 0.45 * r, r));
            }
            1 => {
                let mut direction = 0.0f32;
                for _ in 0..3 {
                    let d = radius * between(stream, 0.36, 0.62);
                    cuts.push((direction.cos(), direction.sin(), d));
                    direction += std::f32::consts::TAU / 3.0 + gauss(stream, 0.22);
                }
            }
            _ => {
                let d = radius * between(stream, -0.05, 0.2);
                cuts.push((0.0, 1.0, d));
                let tilt = between(stream, 0.5, 1.1);
                let side = if stream.chance(0.5) { 1.0 } else { -1.0 };
                cuts.push((side * tilt.cos(), -tilt.sin(), radius * between(stream, 0.55, 0.8)));
            }
        }
        let nearest = cuts.iter().map(|c| c.2).fold(radius, f32::min);
        Self::Fragment { radius, cuts, bite, inner: (radius + nearest) / 2.0 }
    }

    /// A radius around the origin that holds the whole outline.
    pub(crate) fn reach(&self) -> f32 {
        match self {
            Self::Ellipse { a, b } => a.max(*b),
            Self::Drop { body, tip, end, .. } => body.max(tip + end) + 0.15,
            Self::Crescent { spine, span, half_width } => spine * span + half_width,
            Self::Crenated { radius, spikes } => {
                radius * (1.0 + spikes.iter().map(|spike| spike.1).fold(0.0, f32::max))
            }
            Self::Fragment { radius, .. } => *radius,
        }
    }

    /// Signed distance (negative inside) and depth coordinate (0 middle, 1 outline) at a point.
    pub(crate) fn at(&self, x: f32, y: f32) -> (f32, f32) {
        match self {
            Self::Ellipse { a, b } => {
                let (p, q) = (x / a, y / b);
                let k = length(p, q);
                let slope = length(p / a, q / b).max(1e-4);
                (k * (k - 1.0) / slope, k)
            }
            Self::Drop { body, neck, tip, end, bend } => {
                let lean = if x > 0.0 { bend * x * x } else { 0.0 };
                let distance = drop_distance([*body, *neck, *tip, *end], x, y - lean);
                (distance, (1.0 + distance / body).max(0.0))
            }
            Self::Crescent { spine, span, half_width } => {
                let distance = crescent_distance(*spine, *span, *half_width, (x, y));
                (distance, (1.0 + distance / half_width).max(0.0))
            }
            Self::Crenated { radius, spikes } => {
                let r = length(x, y);
                let rise = spike_height(spikes, y.atan2(x));
                let distance = 0.8 * (r - radius * (1.0 + rise));
                (distance, r / (radius * (1.0 + rise)))
            }
            Self::Fragment { radius, cuts, bite, inner } => {
                let mut distance = length(x, y) - radius;
                for (nx, ny, d) in cuts {
                    distance = smooth_max(distance, nx * x + ny * y - d, 0.22);
                }
                if let Some((bx, by, br)) = bite {
                    distance = smooth_max(distance, br - length(x - bx, y - by), 0.09);
                }
                (distance, (1.0 + distance / inner).max(0.0))
            }
        }
    }
}

/// Signed distance to a disc with a tail along +x: a cone from radius `neck` inside the body to radius `end` at the tip.
fn drop_distance([body, neck, tip, end]: [f32; 4], x: f32, y: f32) -> f32 {
    let disc = length(x, y) - body;
    let from = 0.45 * body;
    let h = ((x - from) / (tip - from)).clamp(0.0, 1.0);
    let narrowing = (1.0 - h) * (1.0 - h);
    let tail = length(x - from - h * (tip - from), y) - (end + (neck - end) * narrowing);
    smooth_min(disc, tail, 0.22)
}

/// Signed distance to an arc whose width falls to nothing at its ends.
fn crescent_distance(spine: f32, span: f32, half_width: f32, (x, y): (f32, f32)) -> f32 {
    let (px, py) = (x + spine, y);
    let radius = length(px, py);
    let angle = py.atan2(px);
    let along = (angle.abs() / span).min(1.0);
    let width = half_width * (1.0 - along * along).max(0.0).powf(0.85);
    let beyond = (angle.abs() - span).max(0.0) * spine;
    let across = (radius - spine).abs();
    if beyond > 0.0 { length(across, beyond) } else { across - width }
}

/// How far the highest spike rises above a disc at `angle`, as a share of its radius.
fn spike_height(spikes: &[(f32, f32, f32)], angle: f32) -> f32 {
    let mut rise = 0.0f32;
    for (direction, height, width) in spikes {
        let mut off = (angle - direction).abs() % std::f32::consts::TAU;
        if off > std::f32::consts::PI {
            off = std::f32::consts::TAU - off;
        }
        let u = off / width;
        if u < 2.5 {
            rise = rise.max(height * (-u * (u + 0.6)).exp());
        }
    }
    rise
}

fn smooth_min(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k * 0.25
}

fn smooth_max(a: f32, b: f32, k: f32) -> f32 {
    -smooth_min(-a, -b, k)
}
