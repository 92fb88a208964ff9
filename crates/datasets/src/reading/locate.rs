//! Finds the files of described sources. Where a dataset lies is never part of its description.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::located::LocatedSource;
use super::root::Root;
use super::slides::SlideShelf;
use super::{archive, download};
use crate::error::DatasetError;
use crate::schema::{Source, is_permissive};

/// Where to look for datasets, and which sources to leave out.
#[derive(Debug, Clone, Default)]
pub struct SearchOptions {
    /// Folder that holds a folder or an archive for each dataset, named like it.
    pub data: Option<PathBuf>,
    /// Paths of single sources or datasets by name; they win over `data`, and the last of a name over earlier ones.
    pub given: Vec<(String, PathBuf)>,
    /// Whether sources without files are left out rather than an error.
    pub allow_missing: bool,
    /// Whether sources are left out whose licence is not known to be permissive.
    pub permissive_only: bool,
    /// Most bytes of a temporary file to which a tar.gz may inflate.
    pub max_archive_bytes: u64,
}

/// The files of the described sources, as far as they were found.
#[derive(Debug, Default)]
pub struct FoundSources {
    /// The sources to be read.
    pub sources: Vec<LocatedSource>,
    /// The path of each described source that has one, also of those that are left out.
    pub paths: Vec<SourcePath>,
    /// The sources that are not read.
    pub left_out: Vec<LeftOut>,
}

/// The path at which the files of a source lie, or at which they were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePath {
    /// Name of the source.
    pub source: String,
    /// Name of its dataset.
    pub dataset: String,
    /// Path of the folder or archive.
    pub path: PathBuf,
    /// Whether it was given for this source, rather than found in the folder of all datasets.
    pub is_given: bool,
}

/// A source that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// Its licence is not known to be permissive.
    Licence {
        /// Name of the source.
        name: String,
        /// The licence of its images.
        licence: String,
    },
    /// Its files were not found.
    NoData {
        /// Name of the source.
        name: String,
        /// The path that was looked for; `None` where no folder was given to look in.
        path: Option<PathBuf>,
    },
}

/// Finds the folder or archive of each source: the path that is given for it first, then what has its name in the folder of all datasets.
///
/// # Errors
/// A source without files, unless that is allowed; a path for a source that is not described; an archive that cannot be read.
pub fn locate(sources: Vec<Source>, options: &SearchOptions) -> Result<FoundSources, DatasetError> {
    check_given(&sources, &options.given)?;
    let mut found = FoundSources::default();
    for source in sources {
        let path = source_path(&source, options);
        found.paths.extend(path.clone());
        let path = path.map(|path| path.path);
        if options.permissive_only && !is_permissive(&source.licence) {
            found.left_out.push(LeftOut::Licence { name: source.name, licence: source.licence });
            continue;
        }
        match path {
            Some(path) if path.exists() => {
                let name = source.name.clone();
                found.sources.push(open(source, &path, options).map_err(|error| error.in_source(&name))?);
            }
            path if options.allow_missing => found.left_out.push(LeftOut::NoData { name: source.name, path }),
            path => return Err(DatasetError::NoData { name: source.name, path }),
        }
    }
    Ok(found)
}

/// Checks that paths are given for described sources only.
fn check_given(sources: &[Source], given: &[(String, PathBuf)]) -> Result<(), DatasetError> {
    let described: BTreeSet<&str> = sources.iter().flat_map(|source| [&source.name, source.dataset()]).collect();
    match given.iter().find(|(name, _)| !described.contains(name.as_str())) {
        Some((name, _)) => Err(DatasetError::NotDescribed {
            name: name.clone(),
            described: described.into_iter().map(str::to_owned).collect(),
        }),
        None => Ok(()),
    }
}

fn source_path(source: &Source, options: &SearchOptions) -> Option<SourcePath> {
    let is_named = |name: &str| name == source.name || name == source.dataset();
    let given = options.given.iter().rev().find(|(name, _)| is_named(name)).map(|(_, path)| path.clone());
    let is_given = given.is_some();
    let path = given.or_else(|| options.data.as_ref().map(|data| in_data(data, source.dataset())))?;
    Some(SourcePath { source: source.name.clone(), dataset: source.dataset().to_owned(), path, is_given })
}

fn open(source: Source, path: &Path, options: &SearchOptions) -> Result<LocatedSource, DatasetError> {
    if path.is_file() {
        download::check(&source.downloads, path)?;
    }
    let root = Root::open(path, options.max_archive_bytes, &source)?;
    let path = path.canonicalize().map_err(|error| DatasetError::io("open", path, error))?;
    Ok(LocatedSource { source, root, path, slides: SlideShelf::default() })
}

/// The folder `name` in `data`, or an archive called like it where there is no such folder.
fn in_data(data: &Path, name: &str) -> PathBuf {
    let folder = data.join(name);
    let archives = archive::ENDINGS.iter().map(|ending| data.join(format!("{name}.{ending}")));
    if folder.exists() { folder } else { archives.into_iter().find(|path| path.is_file()).unwrap_or(folder) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, licence: &str) -> Source {
        let mut source = Source::parse(crate::schema::LEAST_YAML, "a.yaml").expect("a description");
        (source.name, source.licence) = (name.to_owned(), licence.to_owned());
        source
    }

    #[test]
    fn a_given_path_wins_and_sources_without_files_or_licence_are_left_out() {
        let data = tempfile::tempdir().expect("folder");
        for name in ["a", "b", "elsewhere"] {
            std::fs::create_dir(data.path().join(name)).expect("folder");
        }
        let elsewhere = data.path().join("elsewhere");
        let options = SearchOptions {
            data: Some(data.path().to_owned()),
            given: vec![("a".to_owned(), elsewhere.clone())],
            allow_missing: true,
            permissive_only: true,
            max_archive_bytes: 0,
        };
        let all = || vec![source("a", "MIT"), source("b", "unknown"), source("c", "MIT")];
        let found = locate(all(), &options).expect("located");
        let read: Vec<&PathBuf> = found.sources.iter().map(|source| &source.path).collect();
        assert_eq!(read, [&elsewhere.canonicalize().expect("a folder")]);
        assert_eq!(found.paths.iter().map(|path| path.is_given).collect::<Vec<_>>(), [true, false, false]);
        assert!(matches!(&found.left_out[..], [LeftOut::Licence { .. }, LeftOut::NoData { path: Some(_), .. }]));
        let strict = SearchOptions { allow_missing: false, ..options.clone() };
        let error = locate(all(), &strict).expect_err("no files").to_string();
        assert!(error.contains("source `c` has no folder"), "{error}");
        let unknown = SearchOptions { given: vec![("d".to_owned(), elsewhere)], ..options };
        let error = locate(all(), &unknown).expect_err("not described").to_string();
        assert!(error.contains("`d`") && error.ends_with("a, b, c"), "{error}");
    }
}
