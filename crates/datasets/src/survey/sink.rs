//! What a survey asks of its caller while the pixels of a row are at hand.

use imaging::RgbImage;

/// Takes the pixels of rows, so that an image need not be decoded again when its rows are written.
pub trait RowSink: Sync {
    /// Keeps the pixels of a row, and returns a handle to them; `None` where it does not.
    fn keep(&self, pixels: &RgbImage) -> Option<KeptRow>;
}

/// A sink's handle to a row that it keeps. What the number means is known to the sink alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRow(pub u64);

/// Reports how far the long steps of a survey are.
pub trait Progress: Sync {
    /// Calls `work`, a step named `step` of `parts` equal parts. `work` calls the function that it is given after each part, from any
    /// thread.
    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync)));
}
