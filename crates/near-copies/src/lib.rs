//! Which images show the same field: copies by bytes, by pixels, and near-copies that were turned, mirrored, compressed
//! again, resized or trimmed.
//!
//! Near-copies are found in three steps. The signature of each image's spectrum names its few likeliest copies (of a large collection by
//! short codes first, docs/adr/0027); each is then
//! registered with the image, and goes on if their fine detail correlates by at least 0.7. A field of cells is a copy if it is alike
//! everywhere (`align::spread`), also where its pixels differ: it was photographed twice, or its colours were changed. A single cell
//! is not: it is small, or its outline also fits itself when turned, and says little. There the pixels of both images are compared,
//! corner on corner (`pixel_check`). What this does not find: a copy that shows less than about three quarters of the width of the
//! other, copies of images that show nothing (blank fields have no fingerprint), and of single cells copies with other colours,
//! turned by odd angles or trimmed.
//!
//! [`find`] compares all images of one collection and reads them again for the second look. [`LikelyCopies`] and [`look_across`] compare
//! two collections by stored fingerprints ([`Fingerprint::stored`]), without their images.
//!
//! ```
//! use imaging::RgbImage;
//! use near_copies::{CopyKind, Fingerprinter, SearchContext, Subject, find};
//! use run_spec::ids::{Digest, pixel_digest};
//!
//! struct InMemory(Vec<RgbImage>);
//!
//! impl SearchContext for InMemory {
//!     fn pixels(&self, subject: usize) -> Option<RgbImage> {
//!         self.0.get(subject).cloned()
//!     }
//!     fn run(&self, _step: &str, _parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
//!         work(&|| ());
//!     }
//! }
//!
//! let image = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 3) as u8, (y * 2) as u8, 90]));
//! let fingerprinter = Fingerprinter::new();
//! let subject = |file: &[u8]| Subject {
//!     file: (Digest::of(file), 1),
//!     pixels: pixel_digest(image.width(), image.height(), &image),
//!     fingerprint: fingerprinter.fingerprint(&image),
//! };
//! // The same pixels in two files.
//! let subjects = [subject(b"a.png"), subject(b"a.bmp")];
//! let found = find(&subjects, &fingerprinter, &InMemory(vec![image.clone(), image.clone()]));
//! assert_eq!(found.pairs.len(), 1);
//! assert_eq!(found.pairs[0].kind, CopyKind::Pixels);
//! ```

mod across;
mod align;
mod candidates;
mod codes;
mod fft;
mod fingerprint;
mod index;
mod judge;
mod pair;
mod pixel_check;
mod plane;
mod reduce;
mod search;
mod stored;

pub use across::{LEAST_SIDE, LikelyCopies, LikelyPair, Positioned, look_across};
pub use align::Registration;
pub use fingerprint::{Fingerprint, Fingerprinter, Frame};
pub use pair::{CopyKind, FoundCopies, Pair, Subject};
pub use search::{INDEX_FROM, SearchContext, find};
pub use stored::{PICTURE_BYTES, SIGNATURE_BYTES, StoredView};

#[cfg(test)]
mod tests;
