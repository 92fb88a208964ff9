//! Weather: rain, snow and fog.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::{check_range, int_or_low};
use crate::image::PixelBuffer;
use crate::pixels::blur::box_blur;
use crate::pixels::draw::{disc_spans, line};
use crate::pixels::hls::{hls_to_rgb, rgb_to_hls};
use crate::pixels::hsv::{hsv_to_rgb, rgb_to_hsv};
use crate::pixels::lut;
use crate::pixels::thick::thick_line;
use crate::pool::Buf;
use crate::round::trunc_u8_f32;

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
        check_range("drop_width", [self.drop_width; 2], 1, 5)?;
        match self.rain_type.as_deref() {
            None | Some("drizzle" | "heavy" | "torrential") => Ok(()),
            Some(other) => Err(format!("rain_type {other:?} is not one of drizzle, heavy, torrential")),
        }
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Drops {
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

    fn apply(&self, params: &Drops, mut image: PixelBuffer) -> PixelBuffer {
        let (size, stride) = ((image.width as i64, image.height as i64), image.stride());
        let (width, height) = (image.width, image.height);
        let mut paint = |y: usize, first: usize, last: usize| {
            for pixel in image.data[y * stride + first * 3..y * stride + (last + 1) * 3].chunks_exact_mut(3) {
                pixel.copy_from_slice(&self.drop_color);
            }
        };
        for &(x, y) in params.rain_drops.iter() {
            let end = (x + params.slant, y + params.drop_length);
            if self.drop_width == 1 {
                line(size, (x, y), end, |x, y| paint(y, x, x));
            } else {
                thick_line((width, height), (x, y), end, self.drop_width, &mut paint);
            }
        }
        let mut image = box_blur(&image, self.blur_value);
        rgb_to_hsv(&mut image.data);
        let dim = self.brightness_coefficient as f32;
        lut::apply_channel(&mut image.data, 2, &lut::table(|i| (i as f32 * dim) as u8));
        hsv_to_rgb(&mut image.data, image.width);
        image
    }
}

/// Snow: lightness below a drawn threshold is raised.
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

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> SnowPoint {
        SnowPoint { snow_point: random.uniform(self.snow_point_lower, self.snow_point_upper) }
    }

    fn apply(&self, params: &SnowPoint, mut image: PixelBuffer) -> PixelBuffer {
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

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Haze {
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

    fn apply(&self, params: &Haze, mut image: PixelBuffer) -> PixelBuffer {
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
