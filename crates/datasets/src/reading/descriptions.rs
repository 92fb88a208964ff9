//! Reads source descriptions from their files.

use std::fs;
use std::path::{Path, PathBuf};

use run_spec::layer::ConfigError;

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
        let mut source = Source::parse(&bytes, &file.display().to_string())?;
        fill_parts(&mut source, &file)?;
        sources.extend(source.split());
    }
    sources.sort_by(|a: &Source, b: &Source| a.name.cmp(&b.name));
    match sources.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some([first, ..]) => Err(DatasetError::SameName { name: first.name.clone() }),
        _ => Ok(sources),
    }
}

/// Reads the table of parts that lies beside the description `file`.
fn fill_parts(source: &mut Source, file: &Path) -> Result<(), DatasetError> {
    let Some(parts) = &mut source.parts else { return Ok(()) };
    let Some(csv) = &parts.csv else { return Ok(()) };
    let table = file.parent().unwrap_or(Path::new("")).join(csv);
    let text =
        fs::read_to_string(&table).map_err(|error| DatasetError::io("read the table of parts", &table, error))?;
    let what = table.display().to_string();
    let filled = parts.fill(&text);
    Ok(filled.map_err(|error| ConfigError::BadValue { what, key: error.key, message: error.message })?)
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
    fn a_table_of_parts_may_lie_beside_its_description() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("cells.yaml");
        let rule = "parts: {pattern: 'Slide (\\d+)', csv: slides.csv}\n";
        fs::write(&path, format!("{}{rule}", crate::schema::LEAST_YAML)).expect("write");
        let missing = format!("{:#}", read_sources(&path).expect_err("no table"));
        assert!(missing.contains("read the table of parts") && missing.contains("slides.csv"), "{missing}");
        let table = |text: &str| {
            fs::write(folder.path().join("slides.csv"), text).expect("write");
            read_sources(&path)
        };
        let sources = table("slide, camera\n1, north\n2, south\n3, north\n").expect("sources");
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["a.north", "a.south"]);
        let parts = sources[0].parts.as_ref().expect("parts");
        assert_eq!((parts.table.len(), &parts.csv), (3, &None), "a set's record holds the table itself");
        for (text, why) in
            [("s,c\n1\n", "line 2: two columns"), ("s,c\n1,a\n1,b\n", "line 3: `1`"), ("s,c\n", "names no part")]
        {
            let error = format!("{:#}", table(text).expect_err("refused"));
            assert!(error.contains(why), "{why} is not in {error}");
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
