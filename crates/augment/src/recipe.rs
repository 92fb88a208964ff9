//! What to do to an image, checked once and then trusted.

use run_spec::config::{Augmentation, ChannelOrder, Interpolation, Pipeline, TrainConfig};

use crate::error::AugmentError;
use crate::ops::{ALL_33, Op};
use crate::pixels::normalize::{self, Levels};
use crate::rand_augment::RandAugment;

/// How views are made: the sections `crops` and `augmentation` of a configuration, checked.
///
/// ```
/// use augment::{Recipe, ViewKey, views};
/// use imaging::RgbImage;
/// use run_spec::config::TrainConfig;
///
/// let mut config = TrainConfig::default();
/// (config.crops.global_size, config.crops.local_size) = (32, 16);
/// let recipe = Recipe::new(&config)?;
///
/// let patch = RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, 200]));
/// let draw = ViewKey { seed: 1, draw: 7 };
/// let first = views(patch.clone(), &recipe, draw)?;
/// assert_eq!(first.global[0].data.len(), 3 * 32 * 32); // [3, side, side]
/// assert_eq!(first.local.len(), recipe.n_local());
/// // The same draw gives the same views, whoever makes them.
/// assert_eq!(views(patch, &recipe, draw)?, first);
/// # Ok::<(), augment::AugmentError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Recipe {
    pub(crate) channel_order: ChannelOrder,
    pub(crate) global: CropShape,
    pub(crate) local: CropShape,
    /// Local crops per image that take part in the loss.
    pub(crate) n_local: usize,
    pub(crate) interpolation: Interpolation,
    /// Aspect ratio (width over height) of crops before the resize.
    pub(crate) ratio: [f64; 2],
    pub(crate) flip_p: f64,
    pub(crate) vflip_p: f64,
    pub(crate) rot90_p: f64,
    pub(crate) colors: Colors,
    /// What a level of each channel becomes.
    pub(crate) levels: Levels,
}

/// One kind of crop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CropShape {
    /// Side of the result in pixels.
    pub(crate) side: usize,
    /// Share of the image's area before the resize.
    pub(crate) scale: [f64; 2],
}

/// What happens to levels and colours.
#[derive(Debug, Clone)]
pub(crate) enum Colors {
    /// RedDino: `n` of `ops`, with or without repetition.
    Some { ops: Vec<Op>, n: usize, replace: bool },
    /// DINOv2: jitter, grey, blur, solarise.
    Dinov2 { blur_p_inverted: bool },
    /// DINOv2's crops with RandAugment.
    Hema(RandAugment),
}

fn wrong(reason: String) -> AugmentError {
    AugmentError::Recipe { reason }
}

impl CropShape {
    /// The kind of crop called `name` in the configuration, of `side` pixels and a share of the area in `scale`.
    fn of(name: &str, side: i64, scale: [f64; 2]) -> Result<Self, AugmentError> {
        if !(1..=16384).contains(&side) {
            return Err(wrong(format!("crops.{name}_size is {side}; give pixels, 1 to 16384")));
        }
        if !(0.0 < scale[0] && scale[0] <= scale[1] && scale[1] <= 1.0) {
            return Err(wrong(format!("crops.{name}_scale is {scale:?}; give two ascending shares above 0, up to 1")));
        }
        Ok(Self { side: side as usize, scale })
    }
}

impl Colors {
    /// The transforms of the pipeline that the configuration names.
    fn of(augmentation: &Augmentation) -> Result<Self, AugmentError> {
        match augmentation.pipeline {
            Pipeline::Dinov2 => Ok(Self::Dinov2 { blur_p_inverted: augmentation.blur_p_inverted }),
            Pipeline::Hema => Ok(Self::Hema(RandAugment::from_config(&augmentation.ops)?)),
            Pipeline::Albumentations => {
                let ops = if augmentation.ops.is_empty() {
                    ALL_33.iter().map(|name| Op::named(name)).collect::<Result<Vec<_>, _>>()?
                } else {
                    augmentation.ops.iter().map(Op::from_config).collect::<Result<Vec<_>, _>>()?
                };
                let n = augmentation.n as usize;
                if !augmentation.replace && n > ops.len() {
                    return Err(wrong(format!(
                        "augmentation.n is {n}, but `ops` lists {} and `replace` is false; lower n",
                        ops.len()
                    )));
                }
                Ok(Self::Some { ops, n, replace: augmentation.replace })
            }
        }
    }
}

impl Recipe {
    /// Checks the sections `crops` and `augmentation` of a configuration.
    ///
    /// # Errors
    /// [`AugmentError`] naming the key or transform that cannot be, with the nearest known name or what is built.
    pub fn new(config: &TrainConfig) -> Result<Self, AugmentError> {
        let (crops, augmentation) = (&config.crops, &config.augmentation);
        if !(0.0 < crops.ratio[0] && crops.ratio[0] <= crops.ratio[1] && crops.ratio[1].is_finite()) {
            return Err(wrong(format!("crops.ratio is {:?}; give two ascending ratios above 0", crops.ratio)));
        }
        for (name, p) in
            [("flip_p", augmentation.flip_p), ("vflip_p", augmentation.vflip_p), ("rot90_p", augmentation.rot90_p)]
        {
            if !(0.0..=1.0).contains(&p) {
                return Err(wrong(format!("augmentation.{name} is {p}; give a probability, 0 to 1")));
            }
        }
        // A local crop whose loss is not counted costs time and changes nothing.
        let n_local = if config.loss.n_local > config.loss.local_loss_above { config.loss.n_local } else { 0 };
        let colors = Colors::of(augmentation)?;
        let levels = match colors {
            Colors::Some { .. } => normalize::levels(normalize::MEAN, normalize::STD, 255.0),
            Colors::Dinov2 { .. } | Colors::Hema(_) => normalize::torch_levels(normalize::MEAN, normalize::STD),
        };
        Ok(Self {
            channel_order: config.channel_order,
            global: CropShape::of("global", crops.global_size, crops.global_scale)?,
            local: CropShape::of("local", crops.local_size, crops.local_scale)?,
            n_local: n_local.max(0) as usize,
            interpolation: crops.interpolation,
            ratio: crops.ratio,
            flip_p: augmentation.flip_p,
            vflip_p: augmentation.vflip_p,
            rot90_p: augmentation.rot90_p,
            levels,
            colors,
        })
    }

    /// How many local crops [`views`](crate::views) gives.
    pub fn n_local(&self) -> usize {
        self.n_local
    }

    /// What each level of each channel of a view becomes when it is normalised, `[3][256]`, to the last bit: channels in the order in
    /// which views have them.
    pub fn normalised_levels(&self) -> [[f32; 256]; 3] {
        self.levels.table()
    }

    /// Sides in pixels of a global and of a local crop.
    pub fn sides(&self) -> (usize, usize) {
        (self.global.side, self.local.side)
    }
}
