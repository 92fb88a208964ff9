//! The files of a dataset: found, listed and read; which of them belong to which image; labels and groups by the rules of the
//! description.
//!
//! * [`read_sources`]: descriptions from their files. [`locate`]: the folder or archive of each.
//! * [`Root`]: files, read without leaving the folder or archive. [`LocatedSource`]: decoded images.
//! * `claims`, `others`: whose a side file or a row of a table is.
//! * `labels`, `groups`: what side files, tables and paths say about an image.

mod archive;
mod claims;
mod descriptions;
mod download;
mod file_part;
mod folder;
mod groups;
mod labels;
mod listing;
mod locate;
mod located;
mod others;
mod root;
mod slides;
mod text;

pub use archive::Archive;
pub use descriptions::read_sources;
pub use file_part::FilePart;
pub use folder::Folder;
pub use listing::{Listing, RefusedFile};
pub use locate::{FoundSources, LeftOut, SearchOptions, SourcePath, locate};
pub use located::LocatedSource;
pub use root::Root;
pub use slides::{OpenSlide, SlideShelf};

pub(crate) use claims::{Claims, DatasetImages};
pub(crate) use groups::GroupBook;
pub(crate) use labels::LabelBook;
pub(crate) use others::{Neighbour, Others};
pub(crate) use text::of as text_of;
