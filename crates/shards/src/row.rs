//! One patch: as offered to a writer, and as known to a reader before its image is fetched.

use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use std::sync::Arc;

/// A patch to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchRow {
    /// [`patch_id`] of source, image, window and product.
    pub id: Digest,
    /// Digest of the pixels that readers will decode from `bytes`.
    pub pixel_digest: Digest,
    /// Name of the source.
    pub source: String,
    /// Path of the image inside the source, with `/` between parts.
    pub image: String,
    /// What may not be split: patient, slide, scene, or a set of identical images. Unique over all sources.
    pub group: String,
    /// Left edge of the window in the source image, in pixels; negative where a crop begins outside.
    pub x: i32,
    /// Top edge, in pixels.
    pub y: i32,
    /// Width of the window in source pixels.
    pub w: u32,
    /// Height of the window in source pixels.
    pub h: u32,
    /// Name of the class; `None` where it is not known.
    pub label: Option<String>,
    /// Licence of the source, as an SPDX expression where one exists.
    pub licence: String,
    /// The encoded image, in the codec of the shard set.
    pub bytes: Vec<u8>,
    /// File name under which other tools show the image.
    pub path: String,
}

/// A patch without its image. Cheap to clone: texts are shared by all rows of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMeta {
    /// Id of the patch.
    pub id: Digest,
    /// Digest of its decoded pixels.
    pub pixel_digest: Digest,
    /// Name of the source.
    pub source: Arc<str>,
    /// Path of the image inside the source.
    pub image: Arc<str>,
    /// What may not be split.
    pub group: Arc<str>,
    /// Left edge in the source image, in pixels.
    pub x: i32,
    /// Top edge, in pixels.
    pub y: i32,
    /// Width in source pixels.
    pub w: u32,
    /// Height in source pixels.
    pub h: u32,
    /// Name of the class; `None` where it is not known.
    pub label: Option<Arc<str>>,
    /// Licence of the source.
    pub licence: Arc<str>,
}

impl RowMeta {
    /// The id that this row must have in a set of `product`.
    pub fn expected_id(&self, product: Product) -> Digest {
        patch_id(&PatchKey {
            source: &self.source,
            image: &self.image,
            x: i64::from(self.x),
            y: i64::from(self.y),
            w: self.w,
            h: self.h,
            product,
        })
    }
}
