//! Rain, shadow, snow, sun flare and fog.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::Transform;
use super::values::{check_range, flat, int_or_low};
use crate::image::Image;
use crate::pixels::blur::box_blur;
use crate::pixels::draw::{disc_spans, fill_disc, fill_polygon, line};
use crate::pixels::hls::{hls_to_rgb, rgb_to_hls};
use crate::pixels::hsv::{hsv_to_rgb, rgb_to_hsv};
use crate::pixels::lut;
use crate::pixels::round::trunc_u8_f32;
use crate::pool::Buf;
use crate::simd::add_weighted;

/// Slanted drops, blurred and darkened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomRain {
    slant_lower: i64,
    slant_upper: i64,
    drop_length: i64,
    drop_width: i64,
    drop_color: [u8; 3],
    blur_value: usize,
    brightness_coefficient: f64,
    rain_type: Option<String>,
}

impl Default for RandomRain {
    fn default() -> Self {
        Self {
            slant_lower: -10,
            slant_upper: 10,
            drop_length: 20,
            drop_width: 1,
            drop_color: [200; 3],
            blur_value: 7,
            brightness_coefficient: 0.7,
            rain_type: None,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Drops {
    slant: i64,
    drop_length: i64,
    rain_drops: Buf<(i64, i64)>,
}

impl Transform for RandomRain {
    type Params = Drops;

    fn check(&self) -> Result<(), String> {
        check_range("slant_lower and slant_upper", [self.slant_lower, self.slant_upper], -20, 20)?;
        check_range("drop_length", [0, self.drop_length], 0, 100)?;
        check_range("blur_value", [1, self.blur_value], 1, 255)?;
        check_range("brightness_coefficient", [0.0, self.brightness_coefficient], 0.0, 1.0)?;
        if self.drop_width != 1 {
            return Err(format!("drop_width {} is not built, 1 is", self.drop_width));
        }
        match self.rain_type.as_deref() {
            None | Some("drizzle" | "heavy" | "torrential") => Ok(()),
            Some(other) => Err(format!("rain_type {other:?} is none of drizzle, heavy, torrential")),
        }
    }

    fn draw(&self, image: &Image, random: &mut Stream) -> Drops {
        // Cut towards zero, so that 0 is twice as likely.
        let slant = random.uniform(self.slant_lower as f64, self.slant_upper as f64) as i64;
        let (height, width) = (image.height as i64, image.width as i64);
        let (per_drop, drop_length) = match self.rain_type.as_deref() {
            Some("drizzle") => (770, 10),
            Some("heavy") => (600, 30),
            Some("torrential") => (500, 60),
            _ => (600, self.drop_length),
        };
        let drop = |_| {
            let x = if slant < 0 { random.int(slant, width) } else { int_or_low(0, width - slant, random) };
            (x, int_or_low(0, height - drop_length, random))
        };
        let count = height * width / per_drop;
        Drops { slant, drop_length, rain_drops: Buf::collect(count as usize, (0..count).map(drop)) }
    }

    fn apply(&self, params: &Drops, mut image: Image) -> Image {
        let (size, stride) = ((image.width as i64, image.height as i64), image.stride());
        for &(x, y) in params.rain_drops.iter() {
            line(size, (x, y), (x + params.slant, y + params.drop_length), |x, y| {
                image.data[y * stride + x * 3..][..3].copy_from_slice(&self.drop_color);
            });
        }
        let mut image = box_blur(&image, self.blur_value);
        rgb_to_hsv(&mut image.data);
        let dim = self.brightness_coefficient as f32;
        lut::apply_channel(&mut image.data, 2, &lut::table(|i| (i as f32 * dim) as u8));
        hsv_to_rgb(&mut image.data, image.width);
        image
    }
}

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

    fn draw(&self, image: &Image, random: &mut Stream) -> Shadows {
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

    fn apply(&self, params: &Shadows, mut image: Image) -> Image {
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

/// Dark places bleached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomSnow {
    snow_point_lower: f64,
    snow_point_upper: f64,
    brightness_coeff: f64,
}

impl Default for RandomSnow {
    fn default() -> Self {
        Self { snow_point_lower: 0.1, snow_point_upper: 0.3, brightness_coeff: 2.5 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct SnowPoint {
    snow_point: f64,
}

impl Transform for RandomSnow {
    type Params = SnowPoint;

    fn check(&self) -> Result<(), String> {
        check_range("snow_point", [self.snow_point_lower, self.snow_point_upper], 0.0, 1.0)?;
        check_range("brightness_coeff", [0.0, self.brightness_coeff], 0.0, 1e6)
    }

    fn draw(&self, _: &Image, random: &mut Stream) -> SnowPoint {
        SnowPoint { snow_point: random.uniform(self.snow_point_lower, self.snow_point_upper) }
    }

    fn apply(&self, params: &SnowPoint, mut image: Image) -> Image {
        let threshold = (params.snow_point * 127.5 + 85.0) as f32;
        let lift = self.brightness_coeff as f32;
        let table = lut::table(|i| {
            let l = i as f32;
            trunc_u8_f32(if l < threshold { l * lift } else { l })
        });
        rgb_to_hls(&mut image.data);
        lut::apply_channel(&mut image.data, 1, &table);
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
pub(crate) type FlareCircle = (f64, (i64, i64), i64, [u8; 3]);

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

    fn draw(&self, image: &Image, random: &mut Stream) -> Flare {
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

    fn apply(&self, params: &Flare, image: Image) -> Image {
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
    fn shine(&self, image: &mut Image, center: (i64, i64)) {
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

/// White discs, denser towards the middle, then a box blur.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomFog {
    fog_coef_lower: f64,
    fog_coef_upper: f64,
    alpha_coef: f64,
}

impl Default for RandomFog {
    fn default() -> Self {
        Self { fog_coef_lower: 0.3, fog_coef_upper: 1.0, alpha_coef: 0.08 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Haze {
    haze_list: Buf<(i64, i64)>,
    fog_coef: f64,
}

impl Transform for RandomFog {
    type Params = Haze;

    fn check(&self) -> Result<(), String> {
        check_range("fog_coef", [self.fog_coef_lower, self.fog_coef_upper], 0.0, 1.0)?;
        check_range("alpha_coef", [0.0, self.alpha_coef], 0.0, 1.0)
    }

    fn draw(&self, image: &Image, random: &mut Stream) -> Haze {
        let fog_coef = random.uniform(self.fog_coef_lower, self.fog_coef_upper);
        let (height, width) = (image.height as i64, image.width as i64);
        let size = (((width / 3) as f64 * fog_coef) as i64).max(1);
        let (mut mid_x, mut mid_y) = (width / 2 - 2 * size, height / 2 - size);
        let mut haze_list = Buf::with_capacity(64);
        let mut index = 1;
        while mid_x > -size || mid_y > -size {
            for _ in 0..size / 10 * index {
                let x = int_or_low(mid_x, width - mid_x - size, random);
                haze_list.push((x, int_or_low(mid_y, height - mid_y - size, random)));
            }
            // At least one pixel a round: on very narrow images the reference would never end.
            let (step_x, step_y) = (3 * size * width / (height + width), 3 * size * height / (height + width));
            mid_x -= step_x.max(i64::from(step_x == 0));
            mid_y -= step_y.max(i64::from(step_y == 0));
            index += 1;
        }
        Haze { haze_list, fog_coef }
    }

    fn apply(&self, params: &Haze, mut image: Image) -> Image {
        let size = (((image.width / 3) as f64 * params.fog_coef) as i64).max(10);
        let alpha = self.alpha_coef * params.fog_coef;
        // A pixel is blended with white once for each disc over it; the order does not matter.
        let mut discs = Buf::<u16>::zeroed(image.height * image.width);
        let mut most = 0;
        for &(x, y) in params.haze_list.iter() {
            let spans = disc_spans((image.width, image.height), (x + size / 2, y + size / 2), size / 2);
            for (row, &(first, last)) in discs.chunks_exact_mut(image.width).zip(spans.iter()) {
                if first <= last {
                    let row = &mut row[first as usize..=last as usize];
                    row.iter_mut().for_each(|n| *n = n.saturating_add(1));
                    most = most.max(row.iter().copied().max().unwrap_or(0));
                }
            }
        }
        let most = usize::from(most);
        let tables = lut::successive(255, most, |_| alpha);
        for (pixel, &n) in image.data.chunks_exact_mut(3).zip(discs.iter()).filter(|(_, n)| **n > 0) {
            let table = &tables[(most - usize::from(n)) * 256..][..256];
            pixel.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
        }
        box_blur(&image, (size / 10) as usize)
    }
}
