//! Which squares of an image become rows.
//!
//! [`patches`] lays a grid over a field of view; [`cells`] cuts around labels, [`segments`] around cells that it finds. All only plan: a [`Cut`] is a place in
//! the image and a label, computed in the first pass over the sources, so the plan of a whole set is known before a pixel is
//! encoded. [`pixels`] then takes the pixels out.

pub(crate) mod cells;
pub(crate) mod patches;
pub(crate) mod pixels;
pub(crate) mod scale;
pub(crate) mod segments;

use crate::source::cut_rule::Fill;

/// Longest side of a row, px: what a shard can hold.
const LONGEST_SIDE: u32 = 8192;

/// A square to be taken out of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Left edge in source pixels; negative where the square begins outside.
    pub(crate) x: i32,
    /// Top edge in source pixels.
    pub(crate) y: i32,
    /// Width in source pixels.
    pub(crate) w: u32,
    /// Height in source pixels.
    pub(crate) h: u32,
    /// Label.
    pub(crate) label: Option<String>,
    /// What lies outside the image.
    pub(crate) fill: Fill,
    /// Side to which the square is resampled; `None` leaves its pixels as they are.
    pub(crate) resample_to: Option<u32>,
}
