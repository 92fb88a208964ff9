//! Light: shadow and sun flare.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::{check_range, flat};
use crate::image::PixelBuffer;
use crate::pixels::blend::add_weighted;
use crate::pixels::draw::{disc_spans, fill_disc, fill_polygon};
use crate::pixels::hls::{hls_to_rgb, rgb_to_hls};
use crate::pixels::lut;
use crate::pool::Buf;

/// Dark polygons in a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomShadow {
    shadow_roi: [f64; 4],
    num_shadows_lower: i64,
    num_shadows_upper: i64,
    shadow_dimension: i64,
}

impl Default for RandomShadow {
    fn default() -> Self {
        Self { shadow_roi: [0.0, 0.5, 1.0, 1.0], num_shadows_lower: 1, num_shadows_upper: 2, shadow_dimension: 5 }
    }
}

/// Polygons as recorded: `x, y` of each corner.
#[derive(Deserialize)]
struct Recorded {
    vertices_list: Vec<Polygon>,
}

#[derive(Deserialize)]
struct Polygon(#[serde(deserialize_with = "flat")] Buf<f64>);

/// Corners `(x, y)` of all polygons, and how many each has.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Recorded")]
pub(super) struct Shadows {
    corners: Buf<(i64, i64)>,
    sizes: Buf<usize>,
}

impl From<Recorded> for Shadows {
    fn from(recorded: Recorded) -> Self {
        let corners = recorded.vertices_list.iter().flat_map(|p| p.0.chunks_exact(2));
        Self {
            corners: Buf::collect(16, corners.map(|p| (p[0] as i64, p[1] as i64))),
            sizes: Buf::collect(4, recorded.vertices_list.iter().map(|p| p.0.len() / 2)),
        }
    }
}

impl Transform for RandomShadow {
    type Params = Shadows;

    fn check(&self) -> Result<(), String> {
        let [x0, y0, x1, y1] = self.shadow_roi;
        check_range("shadow_roi x", [x0, x1], 0.0, 1.0)?;
        check_range("shadow_roi y", [y0, y1], 0.0, 1.0)?;
        check_range("num_shadows", [self.num_shadows_lower, self.num_shadows_upper], 0, 1000)?;
        check_range("shadow_dimension", [1, self.shadow_dimension], 1, 1000)
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Shadows {
        let [x0, y0, x1, y1] = self.shadow_roi;
        let across = |part: f64| (part * image.width as f64) as i64;
        let down = |part: f64| (part * image.height as f64) as i64;
        let count = random.int(self.num_shadows_lower, self.num_shadows_upper);
        let corner = |_| (random.int(across(x0), across(x1)), random.int(down(y0), down(y1)));
        let all = count * self.shadow_dimension;
        Shadows {
            corners: Buf::collect(all as usize, (0..all).map(corner)),
            sizes: Buf::filled(count as usize, self.shadow_dimension as usize),
        }
    }

    fn apply(&self, params: &Shadows, mut image: PixelBuffer) -> PixelBuffer {
        let mut mask = Buf::<bool>::zeroed(image.height * image.width);
        let mut rest = &params.corners[..];
        for &size in params.sizes.iter() {
            let (polygon, others) = rest.split_at(size.min(rest.len()));
            fill_polygon(&mut mask, (image.width, image.height), polygon);
            rest = others;
        }
        rgb_to_hls(&mut image.data);
        for (pixel, &shaded) in image.data.chunks_exact_mut(3).zip(mask.iter()) {
            pixel[1] >>= u8::from(shaded);
        }
        hls_to_rgb(&mut image.data);
        image
    }
}

/// A bright spot with discs on a line through it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomSunFlare {
    flare_roi: [f64; 4],
    angle_lower: f64,
    angle_upper: f64,
    num_flare_circles_lower: i64,
    num_flare_circles_upper: i64,
    src_radius: i64,
    src_color: [u8; 3],
}

impl Default for RandomSunFlare {
    fn default() -> Self {
        Self {
            flare_roi: [0.0, 0.0, 1.0, 0.5],
            angle_lower: 0.0,
            angle_upper: 1.0,
            num_flare_circles_lower: 6,
            num_flare_circles_upper: 10,
            src_radius: 400,
            src_color: [255; 3],
        }
    }
}

/// `(alpha, (x, y), radius, colour)` of each disc.
type FlareCircle = (f64, (i64, i64), i64, [u8; 3]);

crate::pool::pooled!(FlareCircle);

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Flare {
    circles: Buf<FlareCircle>,
    flare_center_x: f64,
    flare_center_y: f64,
}

impl Transform for RandomSunFlare {
    type Params = Flare;

    fn check(&self) -> Result<(), String> {
        let [x0, y0, x1, y1] = self.flare_roi;
        check_range("flare_roi x", [x0, x1], 0.0, 1.0)?;
        check_range("flare_roi y", [y0, y1], 0.0, 1.0)?;
        check_range("angle_lower and angle_upper", [self.angle_lower, self.angle_upper], 0.0, 1.0)?;
        check_range("num_flare_circles", [self.num_flare_circles_lower, self.num_flare_circles_upper], 0, 1000)?;
        check_range("src_radius", [1, self.src_radius], 1, 100_000)
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Flare {
        let [x0, y0, x1, y1] = self.flare_roi;
        let (height, width) = (image.height as i64, image.width as i64);
        let angle = std::f64::consts::TAU * random.uniform(self.angle_lower, self.angle_upper);
        let x = (width as f64 * random.uniform(x0, x1)) as i64;
        let y = (height as f64 * random.uniform(y0, y1)) as i64;
        let along = |t| ((x as f64 + t as f64 * angle.cos()) as i64, (y as f64 + t as f64 * angle.sin()) as i64);
        let places = Buf::collect(width as usize / 10 + 1, (-x..width - x).step_by(10).map(along));
        let count = random.int(self.num_flare_circles_lower, self.num_flare_circles_upper);
        let circle = |_| {
            let alpha = random.uniform(0.05, 0.2);
            let place = places[random.below(places.len() as u64) as usize];
            let radius = random.int(1, (height / 100 - 2).max(2)).pow(3);
            let color = self.src_color.map(|c| random.int(i64::from(c.saturating_sub(50)), i64::from(c)) as u8);
            (alpha, place, radius, color)
        };
        let circles = Buf::collect(count as usize, (0..count).map(circle));
        Flare { circles, flare_center_x: x as f64, flare_center_y: y as f64 }
    }

    fn apply(&self, params: &Flare, image: PixelBuffer) -> PixelBuffer {
        let stride = image.stride();
        let mut overlay = image.clone();
        let mut output = image;
        // Where no disc has come yet, the blend of a pixel with itself is that pixel.
        let (mut top, mut bottom) = (output.height, 0);
        for &(alpha, center, radius, color) in params.circles.iter() {
            fill_disc(&mut overlay, center, radius, color);
            let inside = |y: i64| y.clamp(0, output.height as i64) as usize;
            top = top.min(inside(center.1 - radius));
            bottom = bottom.max(inside(center.1 + radius + 1));
            if top < bottom {
                let rows = top * stride..bottom * stride;
                add_weighted(&overlay.data[rows.clone()], alpha, &mut output.data[rows], 1.0 - alpha);
            }
        }
        self.shine(&mut output, (params.flare_center_x as i64, params.flare_center_y as i64));
        output
    }
}

impl RandomSunFlare {
    /// Discs of growing radius and falling strength on one centre: a pixel that ring `i` reaches first is blended by
    /// all from `i` on, which is one table.
    fn shine(&self, image: &mut PixelBuffer, center: (i64, i64)) {
        let rings = (self.src_radius / 10) as usize;
        let steps = rings.saturating_sub(1).max(1) as f64;
        // `np.linspace`: the last value is exact.
        let spaced = |from: f64, to: f64, i: usize| {
            if i > 0 && i + 1 == rings { to } else { i as f64 * ((to - from) / steps) + from }
        };
        let strength = |i: usize| spaced(0.0, 1.0, rings - i - 1).powi(3);
        let tables = self.src_color.map(|color| lut::successive(color, rings, strength));
        let (stride, size) = (image.stride(), (image.width, image.height));
        let mut covered = Buf::filled(image.height, (i64::MAX, i64::MIN));
        for i in 0..rings {
            let spans = disc_spans(size, center, spaced(1.0, self.src_radius as f64, i) as i64);
            for ((row, before), &(first, last)) in
                image.data.chunks_exact_mut(stride).zip(covered.iter_mut()).zip(spans.iter())
            {
                let mut shade = |first: i64, last: i64| {
                    for pixel in row[first as usize * 3..].chunks_exact_mut(3).take((last + 1 - first) as usize) {
                        pixel.iter_mut().zip(&tables).for_each(|(v, t)| *v = t[i * 256 + usize::from(*v)]);
                    }
                };
                match *before {
                    _ if first > last => continue,
                    (from, to) if from > to => shade(first, last),
                    (from, to) => {
                        shade(first.min(from), from - 1);
                        shade(to + 1, last.max(to));
                    }
                }
                *before = (before.0.min(first), before.1.max(last));
            }
        }
    }
}
