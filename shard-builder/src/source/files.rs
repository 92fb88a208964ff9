//! The files of a dataset: listed in one order, read without leaving the dataset's folder or archive.
//!
//! A link that leads outside is refused, whatever it is called; so is a name that is not UTF-8, because ids are made of
//! names. Neither stops the build: both are rows of the report.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::archive::Archive;
use super::describe::Images;

/// Bytes at the start of a file by which its format is told.
const HEAD: u64 = imaging::HEAD as u64;

/// Links that are followed one after the other, as by Linux.
const MOST_LINKS: usize = 40;

/// Where a dataset lies: a folder, or an archive that is read as if it were one.
#[derive(Debug, Clone)]
pub(crate) enum Root {
    /// A folder.
    Folder(Folder),
    /// A zip, a tar or a tar.gz.
    Archive(Arc<Archive>),
}

/// The folder of a dataset.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: PathBuf,
}

/// A file that the build leaves alone, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Path inside the dataset; where it is not UTF-8, with replacement characters.
    pub(crate) path: String,
    /// The reason, for the report.
    pub(crate) reason: String,
}

/// What lies under a dataset's folder.
#[derive(Debug, Default, Clone)]
pub(crate) struct Listing {
    /// Paths inside the dataset, `/` between parts, sorted by bytes.
    pub(crate) files: Vec<String>,
    /// What was refused, sorted.
    pub(crate) refused: Vec<Refused>,
}

impl Root {
    /// Opens a folder or an archive; a tar.gz may inflate to `inflated` bytes. Where all members of an archive lie in one folder that
    /// is not a part of the dataset ([`Archive::enter_top`]), that folder is entered. `names` says whether the description names a folder.
    ///
    /// # Errors
    /// Nothing there, or a file that is no archive.
    pub(crate) fn open(path: &Path, inflated: u64, images: &Images, names: impl Fn(&str) -> bool) -> Result<Self> {
        if path.is_file() {
            let globs = Globs::new(images)?;
            let mut archive = Archive::open(path, inflated)?;
            archive.enter_top(|name| globs.judge(name) == Verdict::Image, names);
            return Ok(Self::Archive(Arc::new(archive)));
        }
        Ok(Self::Folder(Folder::open(path)?))
    }

    /// Lists all files. Hidden ones (`.git`, `.DS_Store`) are passed over.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub(crate) fn list(&self) -> Result<Listing> {
        match self {
            Self::Folder(folder) => folder.list(),
            Self::Archive(archive) => Ok(archive.list()),
        }
    }

    /// Reads the file `path` whole, if it is no larger than `limit` bytes. The error is a reason for the report.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let path = inside(path).ok_or("its path leads out of the dataset's folder")?;
        let bytes = match self {
            Self::Folder(folder) => folder.read(&path, limit),
            Self::Archive(archive) => archive.read(&path, limit),
        }?;
        imaging::pointer(&bytes).map_or(Ok(bytes), |error| Err(error.to_string()))
    }

    /// The path of the file that is read as `path`: links are followed, so two paths of one file give one place.
    pub(crate) fn place(&self, path: String) -> String {
        match self {
            Self::Folder(folder) => folder.place(&path).unwrap_or(path),
            Self::Archive(_) => path,
        }
    }

    /// Bytes of a file as the folder or archive says; 0 where it says nothing.
    pub(crate) fn size(&self, path: &str) -> u64 {
        match self {
            Self::Folder(folder) => fs::metadata(folder.dir.join(path)).map_or(0, |facts| facts.len()),
            Self::Archive(archive) => archive.size(path),
        }
    }

    /// The first bytes of a file, enough to tell an image from a text; nothing where it cannot be read.
    pub(crate) fn head(&self, path: &str) -> Vec<u8> {
        match self {
            Self::Folder(folder) => folder.head(path),
            Self::Archive(archive) => archive.head(path, HEAD),
        }
    }
}

impl Folder {
    fn open(dir: &Path) -> Result<Self> {
        let found = fs::canonicalize(dir).with_context(|| format!("open the folder {}", dir.display()))?;
        ensure!(found.is_dir(), "{} is not a folder", dir.display());
        Ok(Self { dir: found })
    }

    fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        self.list_into(&self.dir, "", &mut listing)?;
        listing.files.sort();
        listing.refused.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    fn list_into(&self, dir: &Path, prefix: &str, listing: &mut Listing) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
            let entry = entry.with_context(|| format!("list {}", dir.display()))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let path = format!("{prefix}{}", name.to_string_lossy());
                listing.refused.push(Refused { path, reason: "name is not UTF-8".to_owned() });
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().with_context(|| format!("look at {}", entry.path().display()))?;
            if kind.is_symlink() {
                match self.resolve(&path) {
                    Ok(target) if target.is_file() => listing.files.push(path),
                    Ok(_) => listing.refused.push(Refused { path, reason: "link to a folder".to_owned() }),
                    Err(reason) => listing.refused.push(Refused { path, reason }),
                }
            } else if kind.is_dir() {
                self.list_into(&entry.path(), &format!("{path}/"), listing)?;
            } else if kind.is_file() {
                listing.files.push(path);
            } else {
                listing.refused.push(Refused { path, reason: "neither file nor folder".to_owned() });
            }
        }
        Ok(())
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

    /// The path inside the dataset of the file that is read as `path`.
    fn place(&self, path: &str) -> Option<String> {
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

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let real = self.resolve(path)?;
        let size = fs::metadata(&real).map_err(|error| format!("cannot be opened ({error})"))?.len();
        if size > limit {
            return Err(format!("file of {size} bytes is over the limit of {limit}"));
        }
        fs::read(real).map_err(|error| format!("cannot be read ({error})"))
    }

    fn head(&self, path: &str) -> Vec<u8> {
        use std::io::Read;
        let mut head = Vec::new();
        if let Ok(real) = self.resolve(path)
            && let Ok(file) = fs::File::open(real)
            && file.take(HEAD).read_to_end(&mut head).is_err()
        {
            head.clear();
        }
        head
    }
}

/// The globs of a description, compiled.
#[derive(Debug)]
pub(crate) struct Globs {
    include: GlobSet,
    exclude: GlobSet,
    why: Vec<String>,
    /// For each glob of `exclude`, whether no label is of its files.
    unlabelled: Vec<bool>,
}

/// What the globs say of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// An image.
    Image,
    /// Not an image, for this reason.
    Excluded(&'a str),
    /// Named by no glob.
    Unnamed,
}

impl Globs {
    /// Compiles the globs.
    ///
    /// # Errors
    /// A glob that is none.
    pub(crate) fn new(images: &Images) -> Result<Self> {
        let compile = |globs: &mut dyn Iterator<Item = &String>| -> Result<GlobSet> {
            let mut set = GlobSetBuilder::new();
            for glob in globs {
                set.add(
                    GlobBuilder::new(glob)
                        .literal_separator(true)
                        .case_insensitive(true)
                        .build()
                        .with_context(|| format!("glob `{glob}`"))?,
                );
            }
            set.build().context("compile the globs")
        };
        Ok(Self {
            include: compile(&mut images.include.iter())?,
            exclude: compile(&mut images.exclude.iter().map(|exclude| &exclude.glob))?,
            why: images
                .exclude
                .iter()
                .map(|exclude| format!("{} (excluded by `{}`)", exclude.why, exclude.glob))
                .collect(),
            unlabelled: images.exclude.iter().map(|exclude| exclude.unlabelled).collect(),
        })
    }

    /// Whether the description says that none of its labels, groups and masks is of this file.
    pub(crate) fn is_unlabelled(&self, path: &str) -> bool {
        self.exclude.matches(path).into_iter().any(|glob| self.unlabelled[glob])
    }

    /// Judges a path.
    pub(crate) fn judge(&self, path: &str) -> Verdict<'_> {
        match self.exclude.matches(path).first() {
            Some(&glob) => Verdict::Excluded(&self.why[glob]),
            None if self.include.is_match(path) => Verdict::Image,
            None => Verdict::Unnamed,
        }
    }
}

/// Whether a path leads to where git-annex keeps the content of files.
fn is_annexed(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    parts.windows(3).any(|three| three == [".git", "annex", "objects"])
}

/// A path inside a dataset without `.`, `..` and empty parts; nothing where it leads out.
pub(crate) fn inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// File name without folders: `a/b.png` gives `b.png`.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// File name without folders and ending: `a/b.png` gives `b`.
pub(crate) fn stem_of(path: &str) -> &str {
    let name = name_of(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The name of the folder `up` levels above the file: 1 is the folder that holds it.
pub(crate) fn folder_of(path: &str, up: u32) -> Option<&str> {
    path.rsplit('/').nth(up as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::describe::Exclude;
    use crate::source::page::Pages;

    #[test]
    fn a_star_stays_in_its_folder_and_exclude_wins() {
        let globs = Globs::new(&Images {
            include: vec!["a/*.bmp".into(), "**/*.png".into()],
            exclude: vec![Exclude { glob: "a/*.png".into(), why: "mask".into(), unlabelled: false }],
            pages: Pages::First,
            bits: None,
        })
        .expect("globs");
        assert_eq!(globs.judge("a/1.BMP"), Verdict::Image);
        assert_eq!(globs.judge("a/b/1.bmp"), Verdict::Unnamed);
        assert_eq!(globs.judge("a/1.png"), Verdict::Excluded("mask (excluded by `a/*.png`)"));
        assert_eq!(globs.judge("c/1.png"), Verdict::Image);
        assert_eq!(globs.judge("top.png"), Verdict::Image);
    }

    #[test]
    fn parts_of_paths() {
        assert_eq!(stem_of("a/b.c.png"), "b.c");
        assert_eq!(folder_of("x/y/z.png", 1), Some("y"));
        assert_eq!(folder_of("x/y/z.png", 2), Some("x"));
        assert_eq!(folder_of("x/y/z.png", 3), None);
    }

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
        let root = Root::open(
            inside.path(),
            0,
            &Images { include: Vec::new(), exclude: Vec::new(), pages: Pages::First, bits: None },
            |_| false,
        )
        .expect("root");
        let listing = root.list().expect("list");
        assert_eq!(listing.files, ["real.png", "twin.png"]);
        let reasons: Vec<&str> = listing.refused.iter().map(|refused| refused.reason.as_str()).collect();
        let annexed = "is a git-annex link and its content is not here; fetch it with `git annex get`";
        let far = "link of git-annex out of the dataset's folder; run `git annex unlock` there";
        assert_eq!(
            reasons,
            [annexed, far, "link out of the dataset's folder", "link to a folder", "name is not UTF-8"]
        );
        assert_eq!(root.place("twin.png".to_owned()), "real.png");
        assert_eq!(root.place("no.png".to_owned()), "no.png");
        assert!(root.read("leak.png", 10).is_err());
        assert!(root.read("../x", 10).is_err());
        assert!(root.read("real.png", 0).expect_err("too large").contains("limit"));
    }
}
