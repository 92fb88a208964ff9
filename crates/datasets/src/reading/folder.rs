//! The folder of a dataset. Links that lead out of it are refused, except where git-annex keeps the content of files.

use std::fs;
use std::path::{Path, PathBuf};

use super::file_part::FilePart;
use super::listing::{Listing, RefusedFile};
use crate::error::DatasetError;

/// Links that are followed one after the other, as by Linux.
const MOST_LINKS: usize = 40;

/// The folder of a dataset, with links on its own path followed.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// Nothing there, or a file.
    pub(super) fn open(dir: &Path) -> Result<Self, DatasetError> {
        let found = fs::canonicalize(dir).map_err(|error| DatasetError::io("open the folder", dir, error))?;
        match found.is_dir() {
            true => Ok(Self { dir: found }),
            false => Err(DatasetError::NotAFolder { path: dir.to_owned() }),
        }
    }

    /// Lists all files, without hidden ones.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub(super) fn list(&self) -> Result<Listing, DatasetError> {
        let mut listing = Listing::default();
        self.list_into(&self.dir, "", &mut listing)?;
        listing.files.sort();
        listing.refused.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    fn list_into(&self, dir: &Path, prefix: &str, listing: &mut Listing) -> Result<(), DatasetError> {
        let failed = |error| DatasetError::io("list", dir, error);
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let path = format!("{prefix}{}", name.to_string_lossy());
                listing.refused.push(RefusedFile { path, reason: "name is not UTF-8".to_owned() });
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|error| DatasetError::io("look at", &entry.path(), error))?;
            if kind.is_dir() {
                self.list_into(&entry.path(), &format!("{path}/"), listing)?;
                continue;
            }
            match self.refusal(&path, kind) {
                None => listing.files.push(path),
                Some(reason) => listing.refused.push(RefusedFile { path, reason }),
            }
        }
        Ok(())
    }

    /// Why an entry that is not a folder is not a file of the dataset.
    fn refusal(&self, path: &str, kind: fs::FileType) -> Option<String> {
        match kind {
            kind if kind.is_file() => None,
            kind if kind.is_symlink() => match self.resolve(path) {
                Ok(target) if target.is_file() => None,
                Ok(_) => Some("link to a folder".to_owned()),
                Err(reason) => Some(reason),
            },
            _ => Some("neither file nor folder".to_owned()),
        }
    }

    /// The real path of `path`, if it lies inside the dataset; else the reason.
    fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        let real = fs::canonicalize(self.dir.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.missing(path),
            _ => format!("cannot be opened ({error})"),
        })?;
        match real.starts_with(&self.dir) {
            true => Ok(real),
            false if is_annexed(&real) => {
                Err("link of git-annex out of the dataset's folder; run `git annex unlock` there".to_owned())
            }
            false => Err("link out of the dataset's folder".to_owned()),
        }
    }

    /// Why nothing is there. git-annex leaves a link into its own folder where it has not fetched a file.
    fn missing(&self, path: &str) -> String {
        match fs::read_link(self.dir.join(path)) {
            Ok(target) if is_annexed(&target) => {
                "is a git-annex link and its content is not here; fetch it with `git annex get`".to_owned()
            }
            Ok(_) => "link to a file that does not exist".to_owned(),
            Err(_) => "no such file".to_owned(),
        }
    }

    /// The path inside the dataset of the file that is read as `path`, links followed.
    pub(super) fn canonical(&self, path: &str) -> Option<String> {
        let real = self.resolve(path).ok()?;
        let inner = real.strip_prefix(&self.dir).ok()?;
        // git-annex names files by their content there: equal files are one, and each has its name all the same.
        if is_annexed(inner) { self.annex_link(path) } else { inner.to_str().map(str::to_owned) }
    }

    /// The path inside the dataset of the link by which git-annex keeps the file that is read as `path`: links to it, and to folders above it,
    /// are followed.
    fn annex_link(&self, path: &str) -> Option<String> {
        let (mut at, mut link) = (self.dir.join(path), None);
        for _ in 0..MOST_LINKS {
            let here = fs::canonicalize(at.parent()?).ok()?.join(at.file_name()?);
            let inner = here.strip_prefix(&self.dir).ok()?;
            if is_annexed(inner) {
                return link;
            }
            link = inner.to_str().map(str::to_owned);
            at = here.parent()?.join(fs::read_link(&here).ok()?);
        }
        None
    }

    /// Reads the file `path` whole, if it has at most `limit` bytes. The error is a reason for the report.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let real = self.resolve(path)?;
        let size = fs::metadata(&real).map_err(|error| format!("cannot be opened ({error})"))?.len();
        if size > limit {
            return Err(format!("file of {size} bytes is over the limit of {limit}"));
        }
        fs::read(real).map_err(|error| format!("cannot be read ({error})"))
    }

    /// The file `path`, to be read in the middle. The error is a reason for the report.
    pub(super) fn part(&self, path: &str) -> Result<FilePart, String> {
        let file = fs::File::open(self.resolve(path)?).and_then(FilePart::whole);
        file.map_err(|error| format!("cannot be opened ({error})"))
    }

    /// The first `most` bytes of the file `path`; nothing where it cannot be read.
    pub(super) fn head(&self, path: &str, most: u64) -> Vec<u8> {
        use std::io::Read;
        let mut head = Vec::new();
        if let Ok(real) = self.resolve(path)
            && let Ok(file) = fs::File::open(real)
            && file.take(most).read_to_end(&mut head).is_err()
        {
            head.clear();
        }
        head
    }

    /// Bytes of the file `path`; 0 if there is no such file.
    pub(super) fn size(&self, path: &str) -> u64 {
        fs::metadata(self.dir.join(path)).map_or(0, |metadata| metadata.len())
    }
}

/// Whether a path leads to where git-annex keeps the content of files.
fn is_annexed(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    parts.windows(3).any(|three| three == [".git", "annex", "objects"])
}
