//! A described source whose files were found.

use std::path::PathBuf;
use std::sync::Arc;

use imaging::{DecodeError, DecodeLimits, DecodeOptions, DecodedImage, RgbImage};

use super::root::Root;
use super::slides::{OpenSlide, SlideShelf};
use crate::error::DatasetError;
use crate::schema::{Pages, Source, field_of};

/// A description, and the folder or archive in which its dataset lies.
#[derive(Debug)]
pub struct LocatedSource {
    /// The description of the dataset.
    pub source: Source,
    /// The files of the dataset.
    pub root: Root,
    /// Path of the folder or archive, with links followed.
    pub path: PathBuf,
    /// Slides that are open.
    pub slides: SlideShelf,
}

impl LocatedSource {
    /// The bytes of the file of an image, and which page of it the image is.
    ///
    /// # Errors
    /// The reason for the report.
    pub fn file(&self, image: &str, limits: DecodeLimits) -> Result<(Vec<u8>, u32), String> {
        let (file, page) = self.source.images.pages.file_of(image);
        Ok((self.root.read(&file, limits.file_bytes)?, page))
    }

    /// Decodes a page of a file that was read.
    ///
    /// # Errors
    /// Content that is not an image, is damaged or is over the limits; the text is a reason for the report.
    pub fn decode(&self, bytes: &[u8], page: u32, limits: DecodeLimits) -> Result<DecodedImage, DecodeError> {
        let images = &self.source.images;
        let page = (images.pages == Pages::All).then_some(page);
        imaging::decode_with(bytes, DecodeOptions { limits, page, bits: images.bits })
    }

    /// Opens a slide, or finds it open.
    ///
    /// # Errors
    /// The reason for the report.
    pub fn slide(&self, path: &str, limits: DecodeLimits) -> Result<Arc<OpenSlide>, String> {
        self.slides.slide(&self.root, path, limits)
    }

    /// Reads and decodes an image, or a field of a slide by its name: upright RGB pixels.
    ///
    /// # Errors
    /// The reason for the report.
    pub fn rgb(&self, image: &str, limits: DecodeLimits) -> Result<RgbImage, String> {
        if self.source.slides.is_some() {
            let field = field_of(image).ok_or("is a slide, of which fields are read and not the whole")?;
            let (file, level, area) = field;
            return self.slide(&file, limits)?.read(level, area).map_err(|error| error.to_string());
        }
        let (bytes, page) = self.file(image, limits)?;
        self.decode(&bytes, page, limits).map(|image| image.rgb).map_err(|error| error.to_string())
    }

    /// Bytes of all files that the description includes as images.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn image_bytes(&self) -> Result<u64, DatasetError> {
        let images = self.source.images.among(&self.root.list()?.files)?;
        Ok(images.iter().map(|path| self.root.size(path)).sum())
    }
}
