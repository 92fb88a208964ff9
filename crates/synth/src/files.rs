//! Writing the files of a set, so that an interrupted run can be repeated.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::SynthError;

/// Takes a folder for a set whose README is `readme`: the folder must be empty, or hold the same set from an earlier (perhaps
/// interrupted) run.
///
/// # Errors
/// A folder that holds something else, or that cannot be written.
pub(crate) fn claim(dir: &Path, readme: &str) -> Result<(), SynthError> {
    let path = dir.join("README.md");
    create_folder(dir)?;
    match fs::read_to_string(&path) {
        Ok(found) if found == readme => Ok(()),
        Ok(_) => Err(SynthError::OtherSet { folder: dir.to_owned() }),
        Err(_) => {
            let mut entries = fs::read_dir(dir).map_err(|source| failed("list", dir, source))?;
            if entries.next().is_some() {
                return Err(SynthError::NotEmpty { folder: dir.to_owned() });
            }
            write(&path, readme.as_bytes())
        }
    }
}

/// Writes a file whole, and the folders above it: a run that is killed leaves no half image.
///
/// # Errors
/// A folder or file that cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), SynthError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if !parent.as_os_str().is_empty() {
        create_folder(parent)?;
    }
    let name = path.file_name().unwrap_or_default();
    let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).map_err(|source| failed("write", path, source))
}

fn create_folder(dir: &Path) -> Result<(), SynthError> {
    fs::create_dir_all(dir).map_err(|source| failed("create the folder", dir, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> SynthError {
    SynthError::Io { action, path: path.to_owned(), source }
}
