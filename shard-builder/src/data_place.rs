//! Where the data of sources lie. Nothing is written there, because the next run would read it as a part of the data.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use datasets::reading::SourcePath;
use store::Store;

/// Where the data of a source lie, or are looked for.
#[derive(Debug)]
pub(crate) struct DataPlace {
    /// Name of the source.
    pub(crate) source: String,
    /// The folder or archive, with links followed as far as it exists.
    pub(crate) at: PathBuf,
    /// Whether there is one.
    pub(crate) is_there: bool,
    /// For an archive that was found in `--data`: the folder that the next run would read instead, if it were there.
    pub(crate) instead: Option<PathBuf>,
}

impl DataPlace {
    /// The place of a source that was looked for at a path; `data` is the folder of all datasets.
    pub(crate) fn of(path: &SourcePath, data: Option<&Path>) -> Option<Self> {
        let is_there = path.path.exists();
        let at = match is_there {
            true => path.path.canonicalize().ok()?,
            false => Store::open(path.path.to_str()?).ok()?.directory()?,
        };
        let data = data.filter(|_| !path.is_given && at.is_file());
        let instead = data.and_then(|data| data.canonicalize().ok()).map(|data| data.join(&path.dataset));
        Some(Self { source: path.source.clone(), at, is_there, instead })
    }
}

/// Proves that what is written to `out` does not become part of the data that it is made of, or of those of a source that is left out.
///
/// # Errors
/// A folder that is the data of a source, or lies in it.
pub(crate) fn verify_apart(out: &Path, data: &[DataPlace]) -> Result<()> {
    for DataPlace { source, at, is_there, instead } in data {
        let out_is = format!("--out {} is or lies in the", out.display());
        match out.starts_with(at) {
            true if *is_there => bail!(
                "{out_is} data of source {source} ({}), of which the next run would take it for a part; choose another --out",
                at.display()
            ),
            true => bail!(
                "{out_is} folder that the next run would take for the data of source {source} ({}); choose another --out",
                at.display()
            ),
            false => {}
        }
        if instead.as_ref().is_some_and(|folder| out.starts_with(folder)) {
            bail!(
                "{out_is} folder that the next run would take for the data of source {source}, in place of {}; choose another --out",
                at.display()
            );
        }
    }
    Ok(())
}

/// Makes a folder for reports on the sources at `data`, and proves that it can be written before hours of reading are spent on them.
///
/// # Errors
/// A folder that cannot be made or written, or that lies in the data of a source.
pub(crate) fn prepare_folder(dir: &Path, data: &[DataPlace]) -> Result<()> {
    if let Some(folder) = dir.to_str().and_then(|dir| Store::open(dir).ok()).and_then(|store| store.directory()) {
        verify_apart(&folder, data)?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    tempfile::tempfile_in(dir).map(drop).with_context(|| format!("cannot write to the folder {}", dir.display()))
}
