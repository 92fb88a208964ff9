//! The sources that a command reads: found where its arguments say, with errors that name the flags.

use std::path::Path;

use anyhow::{Error, Result, anyhow, ensure};
use datasets::reading::{self, FoundSources, LeftOut, LocatedSource, SearchOptions};
use datasets::schema::Source;
use datasets::{ArchiveError, DatasetError};
use tracing::warn;

use crate::cli::{Licences, PlaceArgs};
use crate::data_place::DataPlace;

/// The sources that a command reads.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Those that were found.
    pub(crate) located: Vec<LocatedSource>,
    /// Where the data of all described sources lie, also of those that are left out: nothing else may be written there.
    pub(crate) data: Vec<DataPlace>,
}

/// Reads the descriptions that a command line names: a file, or a folder of them.
///
/// # Errors
/// Nothing is there; a description that cannot be used.
pub(crate) fn read(descriptions: &Path) -> Result<Vec<Source>> {
    terminal::ensure_there("source description", descriptions)?;
    Ok(reading::read_sources(descriptions)?)
}

/// Finds the folder or archive of each described source: what `--root` names first, then what has its name in `--data`. Sources that are
/// left out are logged.
///
/// # Errors
/// A source without a folder, unless `--allow-missing`; a root for a source that is not described; an archive that cannot be
/// read; no source left.
pub(crate) fn locate(sources: Vec<Source>, args: &PlaceArgs) -> Result<Sources> {
    let options = SearchOptions {
        data: args.data.clone(),
        given: args.root.clone(),
        allow_missing: args.allow_missing,
        permissive_only: args.licences == Licences::Permissive,
        max_archive_bytes: args.max_archive_bytes,
    };
    let FoundSources { sources: located, paths, left_out } = reading::locate(sources, &options).map_err(with_flags)?;
    left_out.iter().for_each(log);
    ensure!(
        !located.is_empty(),
        "no source is left: none has a folder (--data, --root) and a licence that --licences allows"
    );
    let data = paths.iter().filter_map(|path| DataPlace::of(path, args.data.as_deref())).collect();
    Ok(Sources { located, data })
}

/// The error with the flag that helps.
fn with_flags(error: DatasetError) -> Error {
    match error.cause() {
        DatasetError::NotDescribed { name, .. } => anyhow!("--root {name}=…: {error}"),
        DatasetError::NoData { name, path } => anyhow!(
            "source `{name}` has no folder ({}); put it there, give its place with --root {name}=PATH, or leave it out with \
             --allow-missing",
            sought(path.as_deref())
        ),
        DatasetError::Archive { error: ArchiveError::TooLarge { .. }, .. } => {
            anyhow!("{:#}; see --max-archive-bytes", Error::new(error))
        }
        _ => Error::new(error),
    }
}

fn log(left_out: &LeftOut) {
    match left_out {
        LeftOut::Licence { name, licence } => {
            warn!(source = name, licence, "left out: its licence is not known to be permissive");
        }
        LeftOut::NoData { name, path } => warn!(source = name, "left out: {}", sought(path.as_deref())),
    }
}

fn sought(path: Option<&Path>) -> String {
    match path.map(Path::display) {
        Some(path) => format!("{path} does not exist, and there is no archive of that name beside it"),
        None => "--data was not given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn errors_name_the_flags_that_help() {
        let said = |error: DatasetError| format!("{:#}", with_flags(error));
        let missing = said(DatasetError::NoData { name: "a".to_owned(), path: None });
        assert!(missing.contains("--data was not given") && missing.contains("--root a=PATH"), "{missing}");
        let unknown = said(DatasetError::NotDescribed { name: "b".to_owned(), described: vec!["a".to_owned()] });
        assert_eq!(unknown, "--root b=…: no source named `b` is described; there are a");
        let error = ArchiveError::TooLarge { limit: 7 };
        let archive = DatasetError::Archive { path: PathBuf::from("a.tgz"), error };
        let large = said(DatasetError::InSource { name: "a".to_owned(), error: Box::new(archive) });
        assert!(large.starts_with("source a: ") && large.ends_with("7 bytes; see --max-archive-bytes"), "{large}");
    }
}
