//! Views of a patch: crops and pixel transforms. Plain pixels in, plain pixels out; no tensors, no files, no clock.
//!
//! * [`views`] makes the two global and the local crops of a draw by a [`Recipe`]; a view depends on (seed, draw index,
//!   view, transform) only.
//! * [`Op`] is one of RedDino's 33 pixel transforms under its Albumentations name, with the arithmetic of Albumentations
//!   1.3.1 on OpenCV 4.11, or one of [`FURTHER`]: three distortions of the same, and three of stain. Drawing its parameters
//!   and applying them are two functions.
//! * [`case`] replays a recorded application.
//! * [`resize_for_probe`] is what evaluation does to an image.
//!
//! `docs/augment-ops.md` says for each transform how closely it follows and how that is checked.

mod arrays;
pub mod case;
mod error;
mod image;
mod ops;
mod pixels;
mod pool;
mod rand_augment;
mod recipe;
mod round;
mod simd;
mod views;

pub use error::AugmentError;
pub use image::{PixelBuffer, View, Views};
pub use ops::{ALL_33, FURTHER, Op, Params, names};
pub use recipe::Recipe;
pub use views::{Planes, ViewKey, resize_for_probe, view_into, view_pixels, views, views_into};
