//! The image files of a dataset that a description does not include.
//!
//! A label, a group or a mask may belong to one of them although they are never read: what an included image and one of them both may
//! mean is not used.

use std::collections::{BTreeSet, HashSet};

use super::listing::Listing;
use super::root::Root;
use crate::schema::{Globs, RuleError, Source};

/// Another description of the same folder or archive, and the images that it alone includes.
#[derive(Debug)]
pub(crate) struct Neighbour<'a> {
    /// The description that includes the images.
    pub(crate) source: &'a Source,
    /// Paths of its images.
    pub(crate) images: Vec<String>,
}

/// Files beside the images of a description, some of which may be images too.
#[derive(Debug)]
pub(crate) struct Others<'a> {
    root: &'a Root,
    files: Vec<String>,
    /// Endings of the description's images: a file of such a name is an image, also a damaged one or one that is not here.
    endings: BTreeSet<String>,
}

impl<'a> Others<'a> {
    /// The files beside `images`, which are those of the description. Left out are the images of `neighbours`, whose own rules say what
    /// is theirs; what the description excludes as `unlabelled`; and files that are called as an image in the same folder
    /// but for their ending, as its mask is.
    ///
    /// # Errors
    /// A glob that cannot be read.
    pub(crate) fn of(
        source: &Source,
        root: &'a Root,
        listing: &Listing,
        images: &[String],
        neighbours: &[Neighbour<'_>],
    ) -> Result<Self, RuleError> {
        let globs = Globs::new(&source.images)?;
        let stems: HashSet<&str> = images.iter().map(|image| parted(image).0).collect();
        let described: HashSet<&String> = neighbours.iter().flat_map(|neighbour| &neighbour.images).collect();
        let all = listing.files.iter().chain(listing.refused.iter().map(|refused| &refused.path));
        let is_other =
            |path: &&String| !stems.contains(parted(path).0) && !described.contains(path) && !globs.is_unlabelled(path);
        let endings = images.iter().map(|image| parted(image).1.to_ascii_lowercase()).collect();
        Ok(Self { root, files: all.filter(is_other).cloned().collect(), endings })
    }

    /// Leaves out the files at places ([`Root::canonical`]) that are known to be something else.
    pub(crate) fn leave_out(&mut self, is_known: impl Fn(&str) -> bool) {
        let root = self.root;
        self.files.retain(|path| !is_known(&root.canonical(path.clone())));
    }

    /// The paths inside the dataset.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    /// Whether a file is an image by its ending or by its first bytes.
    pub(crate) fn is_image(&self, path: &str) -> bool {
        let ending = parted(path).1.to_ascii_lowercase();
        (!ending.is_empty() && self.endings.contains(&ending)) || imaging::sniff(&self.root.head(path)).is_some()
    }
}

/// A path without the ending of its file name, and the ending.
fn parted(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name..].rfind('.').map_or((path, ""), |dot| (&path[..name + dot], &path[name + dot + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_that_of_the_file_name() {
        for (path, parts) in [("a.b/c.d.png", ("a.b/c.d", "png")), ("a.b/c", ("a.b/c", "")), ("x.TIF", ("x", "TIF"))] {
            assert_eq!(parted(path), parts, "{path}");
        }
    }
}
