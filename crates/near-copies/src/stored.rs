//! A fingerprint as it is stored beside a set, so that images need not be there when sets are compared.

use crate::fingerprint::{Fingerprint, Frame, HARMONICS, RINGS, SIDE, View};

/// Bytes of the picture of a view: 128 × 128 grey values, row by row.
pub const PICTURE_BYTES: usize = SIDE * SIDE;
/// Bytes of the signature of a view: 1,104 numbers of eight bits.
pub const SIGNATURE_BYTES: usize = RINGS * HARMONICS;

/// One view of a stored fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredView {
    /// [`PICTURE_BYTES`] grey values; empty where candidates are sought alone.
    pub picture: Vec<u8>,
    /// [`SIGNATURE_BYTES`] numbers, each a signed byte.
    pub signature: Vec<u8>,
}

impl Fingerprint {
    /// The view of the central square or of the whole as it is stored; of a square image there is only the first.
    pub fn stored(&self, frame: Frame) -> Option<StoredView> {
        let view = match frame {
            Frame::Centre => self.centre.as_ref(),
            Frame::Whole => self.whole.as_ref(),
        };
        // A signature is clamped to ±127 when it is made.
        view.map(|view| StoredView {
            picture: view.grey.clone(),
            signature: view.signature.iter().map(|&value| value as i8 as u8).collect(),
        })
    }

    /// The fingerprint of an image of `width` × `height` px from its stored views; `None` unless one of
    /// them has the length that this version makes.
    pub fn from_stored(
        (width, height): (u32, u32),
        centre: Option<StoredView>,
        whole: Option<StoredView>,
    ) -> Option<Self> {
        let view = |stored: StoredView| {
            let is_whole = (stored.picture.is_empty() || stored.picture.len() == PICTURE_BYTES)
                && stored.signature.len() == SIGNATURE_BYTES;
            let signature = stored.signature.iter().map(|&byte| i16::from(byte as i8)).collect();
            is_whole.then_some(View { grey: stored.picture, signature })
        };
        let (centre, whole) = (centre.and_then(view), whole.and_then(view));
        let is_shown = width > 0 && height > 0 && (centre.is_some() || whole.is_some());
        let aspect = width as f32 / height as f32;
        is_shown.then_some(Self { aspect, short: width.min(height), centre, whole })
    }
}
