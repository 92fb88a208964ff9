//! The slides of a source, kept open as long as they are read.

use std::sync::{Arc, Mutex, PoisonError};

use imaging::DecodeLimits;
use imaging::slide::Slide;

use super::file_part::FilePart;
use super::root::Root;

/// Slides that stay open: those of a builder's threads, each of which reads one.
const MOST_OPEN: usize = 8;

/// A slide of a dataset, in a folder or an archive.
pub type OpenSlide = Slide<FilePart>;

/// The slides that were opened last, by their paths.
#[derive(Debug, Default)]
pub struct SlideShelf {
    open: Mutex<Vec<(String, Arc<OpenSlide>)>>,
}

impl SlideShelf {
    /// The slide in the file `path`. The error is a reason for the report.
    pub(super) fn slide(&self, root: &Root, path: &str, limits: DecodeLimits) -> Result<Arc<OpenSlide>, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(of, _)| of == path) {
            let slide = open.remove(at);
            open.push(slide);
            return Ok(Arc::clone(&open[open.len() - 1].1));
        }
        let slide = Slide::open(root.part(path)?, limits).map_err(|error| error.to_string())?;
        let slide = Arc::new(slide);
        if open.len() == MOST_OPEN {
            open.remove(0);
        }
        open.push((path.to_owned(), Arc::clone(&slide)));
        Ok(slide)
    }
}
