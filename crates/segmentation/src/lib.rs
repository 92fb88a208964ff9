//! Single cells of a blood smear: from its pixels ([`segment`]), from label images and Cellpose's flows ([`cells_of_masks`]), from pictures
//! of classes ([`parts_of_classes`]), or from polygons and run lengths ([`Region`]).
//!
//! All return the same [`Cell`]s: bounding box, centre, area, roundness and mask. Nothing is learnt and nothing is random. The crate
//! opens no file: it takes decoded pixels, or the bytes of a file of masks, which may hold anything.
//!
//! ```
//! use imaging::RgbImage;
//! use segmentation::{SegmentOptions, segment};
//!
//! // A red disc of 40 px on a bright field.
//! let smear = RgbImage::from_fn(120, 100, |x, y| {
//!     let inside = (x as f32 - 60.0).hypot(y as f32 - 50.0) < 20.0;
//!     image::Rgb([200, if inside { 120 } else { 230 }, 200])
//! });
//! let cells = segment(&smear, &SegmentOptions::for_diameter(40.0));
//! assert_eq!(cells.len(), 1);
//! assert!(cells[0].contains(60, 50));
//! ```

mod cell;
mod error;
mod masks;
mod options;
mod region;
mod watershed;

pub use cell::Cell;
pub use error::MaskError;
pub use masks::{ClassParts, cell_of_file, cells_of_masks, parts_of_classes};
pub use options::{MaskContent, MaskOptions, OptionError, SegmentOptions};
pub use region::{MOST_STEPS, Region, RegionError, RunOrder, counts_of_text};
pub use watershed::segment;
