//! How images are read and cut.

use imaging::DecodeLimits;
use run_spec::ids::Product;

/// How a survey reads and cuts images.
#[derive(Debug, Clone, Copy)]
pub struct SurveyOptions {
    /// Whether fields of view are cut into patches, or single cells are cut out.
    pub product: Product,
    /// Side of a patch, px. Cells take their size from the source.
    pub patch_px: u32,
    /// Largest files and images that are decoded.
    pub limits: DecodeLimits,
    /// Micrometres of the specimen to a pixel of every row; `None` leaves each source its own scale.
    pub um_per_px: Option<f64>,
    /// Whether rows are taken and measured, as a build needs it.
    pub measured: bool,
    /// Whether each image leaves a fingerprint, by which near-copies are found.
    pub fingerprints: bool,
}
