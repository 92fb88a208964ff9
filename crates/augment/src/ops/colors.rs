//! Transforms of colour: channels moved or shifted, hue and saturation, principal components.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::{check_range, floor_mod};
use crate::image::PixelBuffer;
use crate::pixels::blend::add_weighted;
use crate::pixels::hsv::{gray, hsv_to_rgb, rgb_to_hsv};
use crate::pixels::lut::{self, keep_and_fill};
use crate::pixels::pca::eigh3;
use crate::pool::Buf;
use crate::round::{trunc_u8, trunc_u8_f32};

/// Channels in a random order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelShuffle {}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Order {
    channels_shuffled: [usize; 3],
}

impl Transform for ChannelShuffle {
    type Params = Order;

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Order {
        let mut channels_shuffled = [0, 1, 2];
        random.shuffle(&mut channels_shuffled);
        Order { channels_shuffled }
    }

    fn apply(&self, params: &Order, mut image: PixelBuffer) -> PixelBuffer {
        let order = params.channels_shuffled.map(|c| c.min(2));
        for pixel in image.data.chunks_exact_mut(3) {
            let shuffled = order.map(|c| pixel[c]);
            pixel.copy_from_slice(&shuffled);
        }
        image
    }
}

/// Random channels set to one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ChannelDropout {
    channel_drop_range: [i64; 2],
    fill_value: u8,
}

impl Default for ChannelDropout {
    fn default() -> Self {
        Self { channel_drop_range: [1, 1], fill_value: 0 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Dropped {
    channels_to_drop: Buf<usize>,
}

impl Transform for ChannelDropout {
    type Params = Dropped;

    fn check(&self) -> Result<(), String> {
        check_range("channel_drop_range", self.channel_drop_range, 1, 2)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Dropped {
        let count = random.int(self.channel_drop_range[0], self.channel_drop_range[1]) as usize;
        let mut channels = [0, 1, 2];
        random.shuffle(&mut channels);
        Dropped { channels_to_drop: Buf::collect(count, channels.into_iter().take(count)) }
    }

    fn apply(&self, params: &Dropped, mut image: PixelBuffer) -> PixelBuffer {
        let dropped: [bool; 3] = std::array::from_fn(|c| params.channels_to_drop.contains(&c));
        let fill = dropped.map(|dropped| if dropped { self.fill_value } else { 0 });
        keep_and_fill(&mut image.data, dropped.map(|dropped| if dropped { 0 } else { 255 }), fill);
        image
    }
}

/// Brightness, contrast, saturation and hue in a random order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ColorJitter {
    brightness: [f64; 2],
    contrast: [f64; 2],
    saturation: [f64; 2],
    hue: [f64; 2],
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self { brightness: [0.8, 1.2], contrast: [0.8, 1.2], saturation: [0.8, 1.2], hue: [-0.2, 0.2] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Jitter {
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: f64,
    order: [usize; 4],
}

impl Transform for ColorJitter {
    type Params = Jitter;

    fn check(&self) -> Result<(), String> {
        check_range("brightness", self.brightness, 0.0, 1e6)?;
        check_range("contrast", self.contrast, 0.0, 1e6)?;
        check_range("saturation", self.saturation, 0.0, 1e6)?;
        check_range("hue", self.hue, -0.5, 0.5)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Jitter {
        let mut between = |[lo, hi]: [f64; 2]| random.uniform(lo, hi);
        let (brightness, contrast) = (between(self.brightness), between(self.contrast));
        let (saturation, hue) = (between(self.saturation), between(self.hue));
        let mut order = [0, 1, 2, 3];
        random.shuffle(&mut order);
        Jitter { brightness, contrast, saturation, hue, order }
    }

    fn apply(&self, params: &Jitter, mut image: PixelBuffer) -> PixelBuffer {
        for step in &params.order {
            match step {
                0 => {
                    let f = params.brightness;
                    lut::apply(&mut image.data, &lut::table(|i| trunc_u8(i as f64 * f)));
                }
                1 => contrast(&mut image, params.contrast),
                2 => saturate(&mut image, params.saturation),
                _ => turn_hue(&mut image, params.hue),
            }
        }
        image
    }
}

/// Away from the mean grey by `factor`.
fn contrast(image: &mut PixelBuffer, factor: f64) {
    if factor == 1.0 {
        return;
    }
    let grey = greys(image);
    let sum: u64 = grey.iter().map(|&v| u64::from(v)).sum();
    let mean = sum as f64 / (image.height * image.width) as f64;
    if factor == 0.0 {
        image.data.fill((mean + 0.5) as u8);
        return;
    }
    let table = lut::table(|i| trunc_u8(i as f64 * factor + mean * (1.0 - factor)));
    lut::apply(&mut image.data, &table);
}

/// Away from each pixel's own grey by `factor`.
fn saturate(image: &mut PixelBuffer, factor: f64) {
    if factor == 1.0 {
        return;
    }
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    for (pixel, &grey) in out.data.as_chunks_mut::<3>().0.iter_mut().zip(greys(image).iter()) {
        *pixel = [grey; 3];
    }
    if factor != 0.0 {
        add_weighted(&image.data, factor, &mut out.data, 1.0 - factor);
    }
    *image = out;
}

/// The grey of each pixel.
fn greys(image: &PixelBuffer) -> Buf<u8> {
    let mut grey = Buf::any(image.height * image.width);
    gray(&image.data, &mut grey);
    grey
}

/// Turns the hue by `factor` of a full circle.
fn turn_hue(image: &mut PixelBuffer, factor: f64) {
    if factor == 0.0 {
        return;
    }
    rgb_to_hsv(&mut image.data);
    let shift = (180.0 * factor) as f32;
    lut::apply_channel(&mut image.data, 0, &lut::table(|i| floor_mod(i as f32 + shift, 180.0) as u8));
    hsv_to_rgb(&mut image.data, image.width);
}

/// Hue, saturation and value shifted by drawn amounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HueSaturationValue {
    hue_shift_limit: [f64; 2],
    sat_shift_limit: [f64; 2],
    val_shift_limit: [f64; 2],
}

impl Default for HueSaturationValue {
    fn default() -> Self {
        Self { hue_shift_limit: [-20.0, 20.0], sat_shift_limit: [-30.0, 30.0], val_shift_limit: [-20.0, 20.0] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct HsvShift {
    hue_shift: f64,
    sat_shift: f64,
    val_shift: f64,
}

impl Transform for HueSaturationValue {
    type Params = HsvShift;

    fn check(&self) -> Result<(), String> {
        check_range("hue_shift_limit", self.hue_shift_limit, -180.0, 180.0)?;
        check_range("sat_shift_limit", self.sat_shift_limit, -255.0, 255.0)?;
        check_range("val_shift_limit", self.val_shift_limit, -255.0, 255.0)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> HsvShift {
        let mut between = |[lo, hi]: [f64; 2]| random.uniform(lo, hi);
        HsvShift {
            hue_shift: between(self.hue_shift_limit),
            sat_shift: between(self.sat_shift_limit),
            val_shift: between(self.val_shift_limit),
        }
    }

    fn apply(&self, params: &HsvShift, mut image: PixelBuffer) -> PixelBuffer {
        let HsvShift { hue_shift, sat_shift, val_shift } = *params;
        if hue_shift == 0.0 && sat_shift == 0.0 && val_shift == 0.0 {
            return image;
        }
        rgb_to_hsv(&mut image.data);
        if hue_shift != 0.0 {
            let table = lut::table(|i| floor_mod(i as f32 + hue_shift as f32, 180.0) as u8);
            lut::apply_channel(&mut image.data, 0, &table);
        }
        for (c, shift) in [(1, sat_shift), (2, val_shift)] {
            if shift != 0.0 {
                lut::apply_channel(&mut image.data, c, &lut::table(|i| trunc_u8_f32(i as f32 + shift as f32)));
            }
        }
        hsv_to_rgb(&mut image.data, image.width);
        image
    }
}

/// A shift of each channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RgbShift {
    r_shift_limit: [f64; 2],
    g_shift_limit: [f64; 2],
    b_shift_limit: [f64; 2],
}

impl Default for RgbShift {
    fn default() -> Self {
        Self { r_shift_limit: [-20.0, 20.0], g_shift_limit: [-20.0, 20.0], b_shift_limit: [-20.0, 20.0] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shifts {
    r_shift: f64,
    g_shift: f64,
    b_shift: f64,
}

impl Transform for RgbShift {
    type Params = Shifts;

    fn check(&self) -> Result<(), String> {
        check_range("r_shift_limit", self.r_shift_limit, -255.0, 255.0)?;
        check_range("g_shift_limit", self.g_shift_limit, -255.0, 255.0)?;
        check_range("b_shift_limit", self.b_shift_limit, -255.0, 255.0)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Shifts {
        let mut between = |[lo, hi]: [f64; 2]| random.uniform(lo, hi);
        Shifts {
            r_shift: between(self.r_shift_limit),
            g_shift: between(self.g_shift_limit),
            b_shift: between(self.b_shift_limit),
        }
    }

    fn apply(&self, params: &Shifts, mut image: PixelBuffer) -> PixelBuffer {
        for (c, shift) in [params.r_shift, params.g_shift, params.b_shift].into_iter().enumerate() {
            lut::apply_channel(&mut image.data, c, &lut::table(|i| trunc_u8_f32(i as f32 + shift as f32)));
        }
        image
    }
}

/// Along the principal components of the colours, by one drawn factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FancyPca {
    alpha: f64,
}

impl Default for FancyPca {
    fn default() -> Self {
        Self { alpha: 0.1 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Alpha {
    alpha: f64,
}

impl Transform for FancyPca {
    type Params = Alpha;

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Alpha {
        Alpha { alpha: self.alpha * random.normal() }
    }

    fn apply(&self, params: &Alpha, mut image: PixelBuffer) -> PixelBuffer {
        let Some(covariance) = covariance(&image) else { return image };
        let (values, vectors) = eigh3(covariance);
        // Albumentations multiplies by the transpose of the eigenvector matrix: component i is the i-th vector, largest
        // eigenvalue first, times the eigenvalues (also largest first).
        for i in 0..3 {
            let sum: f64 = (0..3).map(|j| vectors[j][2 - i] * (params.alpha * values[2 - j])).sum();
            let shift = sum * 255.0;
            lut::apply_channel(&mut image.data, i, &lut::table(|v| trunc_u8(v as f64 + shift)));
        }
        image
    }
}

/// Covariance of the channels (unit range, n - 1); `None` for a single pixel.
fn covariance(image: &PixelBuffer) -> Option<[[f64; 3]; 3]> {
    let n = (image.height * image.width) as u64;
    if n < 2 {
        return None;
    }
    // Exact in integers: n Σxy - Σx Σy.
    let (mut sums, mut products) = ([0u64; 3], [[0u64; 3]; 3]);
    for part in image.data.chunks(3 << 14) {
        // Sums of 2^14 products of bytes stay in 32 bits.
        let (mut part_sums, mut part_products) = ([0u32; 3], [[0u32; 3]; 3]);
        for pixel in part.chunks_exact(3) {
            let [a, b, c] = [0, 1, 2].map(|i| u32::from(pixel[i]));
            for (sum, v) in part_sums.iter_mut().zip([a, b, c]) {
                *sum += v;
            }
            part_products[0][0] += a * a;
            part_products[1][0] += b * a;
            part_products[1][1] += b * b;
            part_products[2][0] += c * a;
            part_products[2][1] += c * b;
            part_products[2][2] += c * c;
        }
        for i in 0..3 {
            sums[i] += u64::from(part_sums[i]);
            (0..=i).for_each(|j| products[i][j] += u64::from(part_products[i][j]));
        }
    }
    let scale = 1.0 / (n as f64 * (n - 1) as f64 * 255.0 * 255.0);
    let entry = |i: usize, j: usize| {
        let (i, j) = (i.max(j), i.min(j));
        let scaled = u128::from(n) * u128::from(products[i][j]);
        let mean = u128::from(sums[i]) * u128::from(sums[j]);
        (scaled as i128 - mean as i128) as f64 * scale
    };
    Some(std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j))))
}
