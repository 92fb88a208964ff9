//! Reads source descriptions from their files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::schema::Source;

/// Reads one description, or all `*.yaml` of a folder. Returns the sources that they describe, sorted by name.
///
/// # Errors
/// A file that cannot be read or used, an empty folder, a name that occurs twice.
pub fn read_sources(path: &Path) -> Result<Vec<Source>, DatasetError> {
    let mut sources = Vec::new();
    for file in files(path)? {
        let bytes = fs::read(&file).map_err(|error| DatasetError::io("read the source description", &file, error))?;
        sources.extend(Source::parse(&bytes, &file.display().to_string())?.split());
    }
    sources.sort_by(|a: &Source, b: &Source| a.name.cmp(&b.name));
    match sources.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some([first, ..]) => Err(DatasetError::SameName { name: first.name.clone() }),
        _ => Ok(sources),
    }
}

/// The file itself, or the descriptions in a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| DatasetError::io("list", path, error);
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(DatasetError::NoDescription { folder: path.to_owned() }) } else { Ok(files) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_of_this_repository_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/sources");
        for (below, files) in [("", 8), ("published", 12), ("evaluation", 2)] {
            let sources = read_sources(&folder.join(below)).expect("descriptions");
            assert_eq!(sources.len(), files, "{below}");
        }
    }

    #[test]
    fn a_name_that_occurs_twice_and_a_folder_without_descriptions_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(matches!(read_sources(folder.path()), Err(DatasetError::NoDescription { .. })));
        for name in ["1.yaml", "2.yml"] {
            fs::write(folder.path().join(name), crate::schema::LEAST_YAML).expect("write");
        }
        let error = read_sources(folder.path()).expect_err("one name").to_string();
        assert_eq!(error, "two descriptions are named `a`; rename one");
    }
}
