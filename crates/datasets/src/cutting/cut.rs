//! The place of a row in its image.

use crate::schema::Fill;

/// Longest side of a row, px: what a shard can hold.
pub(crate) const LONGEST_SIDE: u32 = 8192;

/// A square to be taken out of an image: one row of a set, without its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Left edge in source pixels; negative where the square begins outside.
    pub x: i32,
    /// Top edge in source pixels.
    pub y: i32,
    /// Width in source pixels.
    pub w: u32,
    /// Height in source pixels.
    pub h: u32,
    /// Label of the row, if it has one.
    pub label: Option<String>,
    /// How the part that lies outside the image is filled.
    pub fill: Fill,
    /// Side to which the square is resampled; `None` leaves its pixels as they are.
    pub resample_to: Option<u32>,
}
