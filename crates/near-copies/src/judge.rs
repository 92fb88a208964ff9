//! Whether two images are copies, once they are likely to be: registration, then proof by detail or by pixels.

use rustfft::num_complex::Complex32;

use crate::align::{self, Registration};
use crate::fingerprint::{Fingerprint, Fingerprinter, Frame, PreparedView, View};

/// Correlation of detail from which two images may be copies of each other.
const SAME: f32 = 0.7;
/// Short side, px, from which outlines may say by themselves that two images are copies.
pub(crate) const TELLING: u32 = 200;
/// Correlation of detail in the blocks of two copies, all but the worst tenth: copies have .89 and more.
const SPREAD: f32 = 0.75;
/// The same where all lies in the same place: what is alike there may be the dust of the sensor. Copies have .97 and more.
const SPREAD_IN_PLACE: f32 = 0.9;
/// Ratio of the sizes of what two copies show, at most.
const MOST_SCALE: f32 = 1.25;
/// A picture that correlates so well with itself, turned or mirrored, says nothing by its outlines.
const ITSELF: f32 = 0.5;

/// A view made ready, and its transform under the window.
struct Laid {
    view: PreparedView,
    spectrum: Vec<Complex32>,
}

impl Laid {
    fn new(fingerprinter: &Fingerprinter, view: &View) -> Self {
        let view = fingerprinter.prepare(view);
        let spectrum = fingerprinter.windowed(&view.detail);
        Self { view, spectrum }
    }
}

/// An image that is compared with its candidates.
pub(crate) struct JudgedImage<'a> {
    fingerprinter: &'a Fingerprinter,
    fingerprint: &'a Fingerprint,
    /// Its views, by [`Frame`], where they are compared.
    laid: [Option<Laid>; 2],
}

impl<'a> JudgedImage<'a> {
    /// Makes ready the views that are in `frames`.
    pub(crate) fn new(
        fingerprinter: &'a Fingerprinter,
        fingerprint: &'a Fingerprint,
        frames: impl Iterator<Item = Frame> + Clone,
    ) -> Self {
        let laid = [Frame::Centre, Frame::Whole].map(|frame| {
            let compared = frames.clone().any(|of| of == frame);
            fingerprint.view(frame).filter(|_| compared).map(|view| Laid::new(fingerprinter, view))
        });
        Self { fingerprinter, fingerprint, laid }
    }

    /// How another image lies over this one, and whether it is a copy; nothing where the two are not even alike.
    ///
    /// `same_pixels` takes the second look where outlines may not be enough.
    pub(crate) fn judge(
        &self,
        other: &Fingerprint,
        frames: impl Iterator<Item = Frame>,
        same_pixels: impl Fn(&Registration) -> bool,
    ) -> Option<(Registration, bool)> {
        let mut best = None;
        for frame in frames {
            let (Some(a), Some(view)) = (&self.laid[frame as usize], other.view(frame)) else { continue };
            let b = self.fingerprinter.prepare(view);
            let registration = align::register(self.fingerprinter, (&a.view, &a.spectrum), &b, frame);
            let near = |registration: &Registration| registration.scale.max(registration.scale.recip()) <= MOST_SCALE;
            let Some(registration) =
                registration.filter(|registration| registration.score >= SAME && near(registration))
            else {
                continue;
            };
            let tells = || {
                let large = self.fingerprint.short.min(other.short) >= TELLING;
                let least = if registration.stays() { SPREAD_IN_PLACE } else { SPREAD };
                let alike = || align::spread(self.fingerprinter, &a.view.detail, &b.detail, &registration.map) >= least;
                // What is alike everywhere tells as much as either of both.
                large && alike() && (self.tells(a) || self.tells(&Laid::new(self.fingerprinter, view)))
            };
            if same_pixels(&registration) || tells() {
                return Some((registration, true));
            }
            best = Some((registration, false));
        }
        best
    }

    /// Whether outlines alone say which image a view is of.
    fn tells(&self, laid: &Laid) -> bool {
        align::likeness_to_itself(self.fingerprinter, (&laid.view, &laid.spectrum)) < ITSELF
    }
}
