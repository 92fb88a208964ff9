//! Where pictures come from: a dataset is described in YAML, never coded.
//!
//! * [`describe`]: the description and its rules. Where a dataset lies on disk is no part of it.
//! * [`cut_rule`]: how images are cut into patches and around cells.
//! * [`files`]: the files under a dataset's folder, and reading them without leaving it.
//! * [`archive`]: the same for a dataset that still lies in its archive.
//! * [`beside`]: which file beside an image is its own.
//! * [`others`]: images that the description does not include, of which labels may be.
//! * [`labels`]: what a side file, a folder or a table says about an image.
//! * [`mask_rule`]: where masks lie that were made before.
//! * [`quality_rule`]: when a row shows nothing or shows it badly.
//! * [`page`]: pages of a TIFF as images of their own.
//! * [`parts`]: a dataset that is several sources.
//! * [`download`]: what is to be fetched, and whether an archive is what was fetched.
//! * [`groups`]: which images may not be parted by a split.

pub(crate) mod archive;
pub(crate) mod beside;
pub(crate) mod cut_rule;
pub(crate) mod describe;
pub(crate) mod download;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod labels;
mod labels_csv;
mod labels_place;
mod labels_points;
mod labels_quotes;
mod labels_voc;
pub(crate) mod licence;
pub(crate) mod mask_rule;
pub(crate) mod others;
pub(crate) mod page;
pub(crate) mod parts;
pub(crate) mod quality_rule;
mod standing;
mod text;
