//! The files of a dataset: listed in one order, read without leaving the dataset's folder or archive.
//!
//! A link that leads outside is refused, whatever it is called; so is a name that is not UTF-8, because ids are made of
//! names. Neither is an error: both are rows of the report.

use std::path::Path;
use std::sync::Arc;

use run_spec::ids::Digest;

use super::archive::Archive;
use super::file_part::FilePart;
use super::folder::Folder;
use super::listing::Listing;
use crate::error::DatasetError;
use crate::schema::{GlobMatch, Globs, Source, inside};

/// Bytes at the start of a file from which its format is recognised.
const HEAD: u64 = imaging::HEAD as u64;

/// The files of a dataset: a folder, or an archive that is read as if it were one.
#[derive(Debug, Clone)]
pub enum Root {
    /// A folder of plain files.
    Folder(Folder),
    /// A zip, a tar or a tar.gz.
    Archive(Arc<Archive>),
}

impl Root {
    /// Opens the folder or archive at `path`; a tar.gz may inflate to `max_inflated` bytes. Where all members of an archive lie in one
    /// folder that is not a part of the dataset's paths (`Archive::enter_top`), that folder is entered.
    ///
    /// # Errors
    /// Nothing there, or a file that is not an archive.
    pub fn open(path: &Path, max_inflated: u64, source: &Source) -> Result<Self, DatasetError> {
        if path.is_file() {
            let globs = Globs::new(&source.images)?;
            let opened = Archive::open(path, max_inflated);
            let mut archive = opened.map_err(|error| DatasetError::Archive { path: path.to_owned(), error })?;
            archive.enter_top(|name| globs.judge(name) == GlobMatch::Image, |folder| source.names_folder(folder));
            return Ok(Self::Archive(Arc::new(archive)));
        }
        Ok(Self::Folder(Folder::open(path)?))
    }

    /// Lists all files. Hidden ones (`.git`, `.DS_Store`) are left out.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn list(&self) -> Result<Listing, DatasetError> {
        match self {
            Self::Folder(folder) => folder.list(),
            Self::Archive(archive) => Ok(archive.list()),
        }
    }

    /// Reads the file `path` whole, if it has at most `limit` bytes. The error is a reason for the report.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let path = inside(path).ok_or("its path leads out of the dataset's folder")?;
        let bytes = match self {
            Self::Folder(folder) => folder.read(&path, limit),
            Self::Archive(archive) => archive.read(&path, limit),
        }?;
        imaging::pointer(&bytes).map_or(Ok(bytes), |error| Err(error.to_string()))
    }

    /// The file `path`, to be read in the middle: slides are too large to be read whole. The error is a reason for the report.
    pub(crate) fn part(&self, path: &str) -> Result<FilePart, String> {
        let path = inside(path).ok_or("its path leads out of the dataset's folder")?;
        match self {
            Self::Folder(folder) => folder.part(&path),
            Self::Archive(archive) => archive.part(&path),
        }
    }

    /// The digest of the bytes of the file `path`, read a piece at a time. The error is a reason for the report.
    pub(crate) fn digest(&self, path: &str) -> Result<Digest, String> {
        Digest::of_reader(self.part(path)?).map_err(|error| format!("cannot be read ({error})"))
    }

    /// The path of the file that is read as `path`: links are followed, so all paths of one file give the same.
    pub fn canonical(&self, path: String) -> String {
        match self {
            Self::Folder(folder) => folder.canonical(&path).unwrap_or(path),
            Self::Archive(_) => path,
        }
    }

    /// Bytes of a file as the folder or archive says; 0 where it says nothing.
    pub fn size(&self, path: &str) -> u64 {
        match self {
            Self::Folder(folder) => folder.size(path),
            Self::Archive(archive) => archive.size(path),
        }
    }

    /// The first bytes of a file, enough to tell an image from a text; nothing where it cannot be read.
    pub fn head(&self, path: &str) -> Vec<u8> {
        match self {
            Self::Folder(folder) => folder.head(path, HEAD),
            Self::Archive(archive) => archive.head(path, HEAD),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_that_lead_outside_are_refused_and_reported() {
        use std::os::unix::ffi::OsStrExt;
        let outside = tempfile::tempdir().expect("folder");
        let inside = tempfile::tempdir().expect("folder");
        fs::write(outside.path().join("secret.png"), b"x").expect("write");
        fs::write(inside.path().join("real.png"), b"x").expect("write");
        std::os::unix::fs::symlink(outside.path().join("secret.png"), inside.path().join("leak.png")).expect("link");
        std::os::unix::fs::symlink(inside.path().join("real.png"), inside.path().join("twin.png")).expect("link");
        let store = outside.path().join(".git/annex/objects");
        fs::create_dir_all(&store).expect("folder");
        fs::write(store.join("key"), b"x").expect("write");
        std::os::unix::fs::symlink(store.join("key"), inside.path().join("far.png")).expect("link");
        std::os::unix::fs::symlink(inside.path(), inside.path().join("loop")).expect("link");
        let key = ".git/annex/objects/a/b/MD5E-s1--c.png/MD5E-s1--c.png";
        std::os::unix::fs::symlink(key, inside.path().join("annexed.png")).expect("link");
        fs::write(inside.path().join(std::ffi::OsStr::from_bytes(b"\xff.png")), b"x").expect("write");
        let source = Source::parse(crate::schema::LEAST_YAML, "a.yaml").expect("a description");
        let root = Root::open(inside.path(), 0, &source).expect("root");
        let listing = root.list().expect("list");
        assert_eq!(listing.files, ["real.png", "twin.png"]);
        let reasons: Vec<&str> = listing.refused.iter().map(|refused| refused.reason.as_str()).collect();
        let annexed = "is a git-annex link and its content is not here; fetch it with `git annex get`";
        let far = "link of git-annex out of the dataset's folder; run `git annex unlock` there";
        assert_eq!(
            reasons,
            [annexed, far, "link out of the dataset's folder", "link to a folder", "name is not UTF-8"]
        );
        assert_eq!(root.canonical("twin.png".to_owned()), "real.png");
        assert_eq!(root.canonical("no.png".to_owned()), "no.png");
        assert!(root.read("leak.png", 10).is_err());
        assert!(root.read("../x", 10).is_err());
        assert!(root.read("real.png", 0).expect_err("too large").contains("limit"));
    }
}
