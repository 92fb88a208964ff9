//! The JSON schemas in `configs/schema/`: up to date, and named in the first line of every file they are for.
//! `make interop` checks the files against them with an independent validator.

use std::path::{Path, PathBuf};
use std::process::Command;

use system_tests::{program, root};

/// A file of `configs/schema/`, and the command that prints it.
const SCHEMAS: &[(&str, &str, &[&str])] = &[
    ("source", "shard-builder", &["schema"]),
    ("sampling", "shard-builder", &["schema", "sampling"]),
    ("train", "orchestrator", &["schema", "train"]),
    ("sweep", "orchestrator", &["schema", "sweep"]),
];

#[test]
fn schemas_are_those_of_the_programs() {
    for (kind, name, arguments) in SCHEMAS {
        let output = Command::new(program(name)).args(*arguments).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = root().join(format!("configs/schema/{kind}.json"));
        let kept = std::fs::read_to_string(&file).expect("a schema");
        assert!(kept.as_bytes() == output.stdout, "{} is out of date: run `make schemas`", file.display());
    }
}

#[test]
fn every_configuration_names_its_schema_in_its_first_line() {
    for (folder, kind) in [("sources", "source"), ("sampling", "sampling"), ("train", "train"), ("sweeps", "sweep")] {
        let files = yaml_files(&root().join("configs").join(folder));
        assert!(!files.is_empty(), "{folder}");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a configuration");
            let named = text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
            let named = named.unwrap_or_else(|| panic!("{} names no schema in its first line", file.display()));
            let schema = file.parent().expect("a folder").join(named);
            assert!(schema.is_file(), "{}: {named} is not there", file.display());
            assert!(named.ends_with(&format!("/{kind}.json")), "{}: {named}", file.display());
        }
    }
}

/// All YAML files below `folder`.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of configurations").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(yaml_files(&path)),
            path if path.extension().is_some_and(|extension| extension == "yaml") => found.push(path),
            _ => {}
        }
    }
    found
}
