//! Pixel operations as OpenCV, Pillow, libjpeg and NumPy define them; each is pure and knows nothing of randomness.

pub(crate) mod blend;
pub(crate) mod blur;
pub(crate) mod border;
pub(crate) mod contrast;
pub(crate) mod disc;
pub(crate) mod draw;
pub(crate) mod field;
pub(crate) mod filter;
pub(crate) mod geometry;
pub(crate) mod hls;
pub(crate) mod hsv;
pub(crate) mod interpolate;
pub(crate) mod jpeg;
pub(crate) mod lab;
pub(crate) mod lut;
pub(crate) mod median;
pub(crate) mod normalize;
pub(crate) mod pca;
pub(crate) mod pil;
pub(crate) mod pil_color;
pub(crate) mod pil_ops;
pub(crate) mod resize;
pub(crate) mod resize_float;
pub(crate) mod stain;
pub(crate) mod thick;
pub(crate) mod warp;
pub(crate) mod warp_wide;
pub(crate) mod ycrcb;

#[cfg(test)]
mod pil_test;
#[cfg(test)]
mod wide_test;
