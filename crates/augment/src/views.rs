//! From one image to its views.
//!
//! A view depends on (seed, draw index, view, transform) only: each random decision opens its own stream, named by what
//! is decided, so one view can be made without the others and a change to one transform leaves the rest as they were.

use std::borrow::Cow;

use imaging::RgbImage;
use run_spec::config::{ChannelOrder, Interpolation};
use run_spec::seed::{Stream, stream};

use crate::error::AugmentError;
use crate::image::{PixelBuffer, View, Views};
use crate::ops::Op;
use crate::pixels::geometry::{Turn, crop};
use crate::pixels::{lut, normalize, pil, pil_color, resize};
use crate::pool::Buf;
use crate::recipe::{Colors, CropShape, Recipe};

/// Which draw of which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewKey {
    /// Seed of the run.
    pub seed: u64,
    /// Draw index: step times global batch plus position in the batch.
    pub draw: u64,
}

impl ViewKey {
    fn stream(self, what: &str, view: usize, slot: usize) -> Stream {
        let mut name = [0; 64];
        let length = 5 + what.len();
        name[..5].copy_from_slice(b"view/");
        name[5..length].copy_from_slice(what.as_bytes());
        let domain = std::str::from_utf8(&name[..length]).expect("two strings make a string");
        stream(self.seed, domain, &[self.draw, view as u64, slot as u64])
    }
}

/// Makes all views of one draw from an RGB image: 0 and 1 are global, 2 and up local.
///
/// # Errors
/// [`AugmentError::Shape`] for an image without pixels.
pub fn views(rgb: RgbImage, recipe: &Recipe, key: ViewKey) -> Result<Views, AugmentError> {
    let given = working(rgb)?;
    let source = source(&given, recipe);
    let make = |index: usize| {
        let (image, turn) = pixels(&source, recipe, key, index);
        normalize::planar(&image, turn, &recipe.levels)
    };
    Ok(Views { global: [make(0), make(1)], local: (2..2 + recipe.n_local).map(make).collect() })
}

/// The pixels as transforms work on them; they are moved, not copied.
fn working(rgb: RgbImage) -> Result<PixelBuffer, AugmentError> {
    PixelBuffer::new(rgb.height() as usize, rgb.width() as usize, rgb.into_raw())
}

/// Where a view is written to, planes one after the other: `[3, side, side]` of its kind of crop.
#[derive(Debug)]
pub enum Planes<'a> {
    /// Normalised, as in a [`View`].
    Floats(&'a mut [f32]),
    /// Before they are normalised: [`Recipe::normalised_levels`] says what each becomes.
    Levels(&'a mut [u8]),
}

impl<'a> From<&'a mut [f32]> for Planes<'a> {
    fn from(floats: &'a mut [f32]) -> Self {
        Self::Floats(floats)
    }
}

impl<'a> From<&'a mut [u8]> for Planes<'a> {
    fn from(levels: &'a mut [u8]) -> Self {
        Self::Levels(levels)
    }
}

impl Planes<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Floats(out) => out.len(),
            Self::Levels(out) => out.len(),
        }
    }
}

/// As [`views`], into memory that exists: one slice for each view, in the order of their numbers. After the first few views a
/// thread makes, this allocates nothing.
///
/// # Errors
/// [`AugmentError::Shape`] for an image without pixels.
///
/// # Panics
/// If a slice has another length than its view.
pub fn views_into<'a>(
    rgb: RgbImage,
    recipe: &Recipe,
    key: ViewKey,
    outs: impl IntoIterator<Item = impl Into<Planes<'a>>>,
) -> Result<(), AugmentError> {
    let given = working(rgb)?;
    let source = source(&given, recipe);
    for (view, out) in outs.into_iter().enumerate() {
        one_into(&source, recipe, key, view, out.into());
    }
    Ok(())
}

/// Makes view `view` of a draw alone, into `out` (`[3, side, side]` of its kind of crop; see [`Recipe::sides`]). After the
/// first few views a thread makes, this allocates nothing.
///
/// # Panics
/// If `out` has another length.
pub fn view_into(rgb: &PixelBuffer, recipe: &Recipe, key: ViewKey, view: usize, out: &mut [f32]) {
    one_into(&source(rgb, recipe), recipe, key, view, out.into());
}

fn one_into(source: &PixelBuffer, recipe: &Recipe, key: ViewKey, view: usize, out: Planes<'_>) {
    let (image, turn) = pixels(source, recipe, key, view);
    assert_eq!(out.len(), image.data.len(), "view {view} is {} pixels a side", image.width);
    match out {
        Planes::Floats(out) => normalize::planar_into(&image, turn, &recipe.levels, out),
        Planes::Levels(out) => normalize::levels_into(&image, turn, out),
    }
}

/// The pixels of one view, before normalisation, back in RGB order (for looking at).
pub fn view_pixels(rgb: &PixelBuffer, recipe: &Recipe, key: ViewKey, view: usize) -> PixelBuffer {
    let (image, turn) = pixels(&source(rgb, recipe), recipe, key, view);
    let image = turn.apply(image);
    if recipe.channel_order == ChannelOrder::Bgr { image.swap_red_blue() } else { image }
}

/// What all views are cut from. RedDino first resizes the whole image to the global side, ratio not kept; DINOv2 does not.
fn source<'a>(rgb: &'a PixelBuffer, recipe: &Recipe) -> Cow<'a, PixelBuffer> {
    // Resizing treats the channels alike, so their order may change after it.
    let image = match recipe.colors {
        Colors::Some { .. } if (rgb.height, rgb.width) != (recipe.global.side, recipe.global.side) => {
            Cow::Owned(resize::bilinear(rgb, recipe.global.side, recipe.global.side))
        }
        _ => Cow::Borrowed(rgb),
    };
    if recipe.channel_order == ChannelOrder::Bgr { Cow::Owned(image.into_owned().swap_red_blue()) } else { image }
}

/// The pixels of a view and how they are still to be turned.
fn pixels(source: &PixelBuffer, recipe: &Recipe, key: ViewKey, view: usize) -> (PixelBuffer, Turn) {
    let shape = if view < 2 { recipe.global } else { recipe.local };
    let image = resized_crop(source, recipe, shape, &mut key.stream("crop", view, 0));
    match &recipe.colors {
        Colors::Some { ops, n, replace } => {
            let mut image = image;
            let chosen = choose(ops.len(), *n, *replace, &mut key.stream("choose", view, 0));
            for (slot, &index) in chosen.iter().enumerate() {
                let op: &Op = &ops[index];
                let params = op.draw(&image, &mut key.stream(op.name(), view, slot));
                image = op.apply(&params, image);
            }
            let quarters = |random: &mut Stream| random.below(4) as usize;
            (image, turn(recipe, key, view, quarters))
        }
        Colors::Dinov2 { blur_p_inverted } => {
            let image = turn(recipe, key, view, |_| 1).apply(image);
            (dinov2_colors(image, key, view, *blur_p_inverted), Turn::default())
        }
        Colors::Hema(chosen) => {
            let image = turn(recipe, key, view, |_| 1).apply(image);
            (chosen.apply(image, &mut key.stream("randaugment", view, 0)), Turn::default())
        }
    }
}

/// A crop of random area and aspect, resized to a square.
fn resized_crop(image: &PixelBuffer, recipe: &Recipe, shape: CropShape, random: &mut Stream) -> PixelBuffer {
    let (top, left, height, width) = crop_window((image.height, image.width), shape.scale, recipe.ratio, random);
    let window = crop(image, top, left, height, width);
    match recipe.interpolation {
        Interpolation::Bilinear => resize::bilinear(&window, shape.side, shape.side),
        Interpolation::Bicubic => pil::resize(&window, shape.side, shape.side, pil::Filter::Bicubic),
    }
}

/// `(top, left, height, width)`: ten attempts, then the largest centred window of the nearest allowed aspect.
fn crop_window(
    (rows, columns): (usize, usize),
    scale: [f64; 2],
    ratio: [f64; 2],
    random: &mut Stream,
) -> (usize, usize, usize, usize) {
    let area = (rows * columns) as f64;
    for _ in 0..10 {
        let target = random.uniform(scale[0], scale[1]) * area;
        let aspect = random.uniform(ratio[0].ln(), ratio[1].ln()).exp();
        let width = (target * aspect).sqrt().round_ties_even() as usize;
        let height = (target / aspect).sqrt().round_ties_even() as usize;
        if (1..=columns).contains(&width) && (1..=rows).contains(&height) {
            let top = random.below((rows - height + 1) as u64) as usize;
            let left = random.below((columns - width + 1) as u64) as usize;
            return (top, left, height, width);
        }
    }
    let own = columns as f64 / rows as f64;
    let (mut height, mut width) = (rows, columns);
    if own < ratio[0] {
        height = ((columns as f64 / ratio[0]).round_ties_even() as usize).clamp(1, rows);
    } else if own > ratio[1] {
        width = ((rows as f64 * ratio[1]).round_ties_even() as usize).clamp(1, columns);
    }
    ((rows - height) / 2, (columns - width) / 2, height, width)
}

/// Which transforms a view gets: with repetition in the order drawn (Albumentations to 1.4.16), without in list order.
fn choose(known: usize, n: usize, replace: bool, random: &mut Stream) -> Buf<usize> {
    if known == 0 {
        return Buf::zeroed(0);
    }
    if replace {
        return Buf::collect(n, (0..n).map(|_| random.below(known as u64) as usize));
    }
    let mut chosen = Buf::collect(known, 0..known);
    random.shuffle(&mut chosen);
    chosen.truncate(n);
    chosen.sort_unstable();
    chosen
}

/// Flips and quarter turns.
fn turn(recipe: &Recipe, key: ViewKey, view: usize, quarters: impl Fn(&mut Stream) -> usize) -> Turn {
    let mut random = key.stream("rot90", view, 0);
    Turn {
        horizontal: key.stream("flip", view, 0).chance(recipe.flip_p),
        vertical: key.stream("vflip", view, 0).chance(recipe.vflip_p),
        quarters: if random.chance(recipe.rot90_p) { quarters(&mut random) } else { 0 },
    }
}

/// DINOv2's colour changes: jitter 0.8, grey 0.2; blur by view; the second global crop is solarised with 0.2.
fn dinov2_colors(mut image: PixelBuffer, key: ViewKey, view: usize, blur_p_inverted: bool) -> PixelBuffer {
    let mut random = key.stream("jitter", view, 0);
    if random.chance(0.8) {
        let mut factor = |by: f64| random.uniform(1.0 - by, 1.0 + by);
        let (brightness, contrast, saturation) = (factor(0.4), factor(0.4), factor(0.2));
        let hue = random.uniform(-0.1, 0.1);
        for step in random.permutation(4) {
            match step {
                0 => pil_color::brightness(&mut image, brightness),
                1 => pil_color::contrast(&mut image, contrast),
                2 => pil_color::saturation(&mut image, saturation),
                _ => pil_color::hue(&mut image, hue),
            }
        }
    }
    if key.stream("grayscale", view, 0).chance(0.2) {
        pil_color::grayscale(&mut image);
    }
    let stated = [1.0, 0.1].get(view).copied().unwrap_or(0.5);
    // The published wrapper hands `1 - p` on; the released weights were trained so.
    let blur_p = if blur_p_inverted { 1.0 - stated } else { stated };
    let mut random = key.stream("blur", view, 0);
    if random.chance(blur_p) {
        image = pil_color::gaussian_blur_9(&image, random.uniform(0.1, 2.0));
    }
    if view == 1 && key.stream("solarize", view, 0).chance(0.2) {
        lut::apply(&mut image.data, &lut::table(|v| if v < 128 { v as u8 } else { 255 - v as u8 }));
    }
    image
}

/// Evaluation's preprocessing: antialiased bilinear resize to `side` x `side` (aspect not kept), ImageNet's mean and
/// spread. `rgb` is in RGB order whatever training used. Equal to torchvision's `Resize`, `ToTensor`, `Normalize` on a
/// PIL image.
///
/// # Errors
/// [`AugmentError::Shape`] for an image without pixels.
pub fn resize_for_probe(rgb: RgbImage, side: usize) -> Result<View, AugmentError> {
    Ok(probe_view(&working(rgb)?, side))
}

/// [`resize_for_probe`] of pixels that transforms work on.
pub(crate) fn probe_view(rgb: &PixelBuffer, side: usize) -> View {
    let resized = pil::resize(rgb, side.max(1), side.max(1), pil::Filter::Bilinear);
    normalize::planar(&resized, Turn::default(), &normalize::torch_levels(normalize::MEAN, normalize::STD))
}
