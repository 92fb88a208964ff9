//! What a survey asks of its caller while the pixels of a row are at hand.

use std::time::Duration;

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

    /// A thread has spent this time on one kind of work. Nothing is done with it unless a caller wants to know where the time goes.
    fn spent(&self, _work: SurveyWork, _time: Duration) {}
}

/// What the threads of a survey spend their time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurveyWork {
    /// Files are read, and their digests made.
    Read,
    /// Decoding files to pixels.
    Decode,
    /// Digests of the pixels of images are made.
    PixelDigest,
    /// Computing the fingerprints by which near-copies are found.
    Fingerprint,
    /// Rows are taken out of images and measured.
    Rows,
    /// Rows are given to the sink, which encodes them.
    Keep,
}

impl SurveyWork {
    /// All of them, in the order in which they are done.
    pub const ALL: [Self; 6] = [Self::Read, Self::Decode, Self::PixelDigest, Self::Fingerprint, Self::Rows, Self::Keep];

    /// Its name where costs are listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "decode",
            Self::PixelDigest => "pixel digest",
            Self::Fingerprint => "fingerprint",
            Self::Rows => "cut and measure rows",
            Self::Keep => "encode rows",
        }
    }
}
