//! The direction of dependencies, proved over `cargo metadata` (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Who may depend on whom, among ourselves.
const ARROWS: &[(&str, &[&str])] = &[
    ("run-spec", &[]),
    ("intake", &[]),
    ("store", &["run-spec"]),
    ("run-folder", &["store", "run-spec"]),
    ("shards", &["store", "run-spec"]),
    ("augment", &["run-spec"]),
    ("torch-shim", &[]),
    ("collective", &["torch-shim", "run-spec"]),
    ("dino", &["collective", "torch-shim", "run-spec"]),
    ("results", &["store", "run-spec"]),
    ("probe", &["dino", "results", "augment", "run-spec"]),
    ("orchestrator", &["results", "run-folder", "shards", "store", "run-spec"]),
    ("shard-builder", &["intake", "shards", "store", "augment", "run-spec"]),
    (
        "worker",
        &[
            "probe",
            "dino",
            "collective",
            "torch-shim",
            "run-folder",
            "shards",
            "store",
            "augment",
            "results",
            "run-spec",
        ],
    ),
    ("augment-bench", &["augment", "run-spec"]),
    ("shards-bench", &["run-spec", "shards", "store"]),
    ("system-tests", &[]),
];

const PROGRAMS: &[&str] = &["orchestrator", "shard-builder", "worker"];

/// Outside crates that only these members may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("tch", &["torch-shim", "collective", "dino", "probe", "worker"]),
    ("torch-sys", &["torch-shim", "collective", "dino", "probe", "worker"]),
    ("mpi", &["collective"]),
    ("libloading", &["collective"]),
    ("tokio", &["store", "shards", "orchestrator", "shard-builder", "worker"]),
    ("clap", PROGRAMS),
    ("indicatif", PROGRAMS),
    ("anyhow", &["orchestrator", "shard-builder", "shards-bench", "worker"]),
];

/// Direct, non-development dependencies of each member.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(system_tests::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let needs = list(&package["dependencies"]);
            let needs = needs.iter().filter(|d| d["kind"] != "dev").map(|d| text(&d["name"])).collect();
            (text(&package["name"]), needs)
        })
        .collect()
}

#[test]
fn arrows_point_down_only() {
    let members = dependencies();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(members.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "a member has no place in the plan");
    for (name, allowed) in ARROWS {
        for other in members[*name].iter().filter(|other| known.contains(other.as_str())) {
            assert!(allowed.contains(&other.as_str()), "{name} must not depend on {other}");
        }
    }
}

#[test]
fn outside_crates_stay_where_they_belong() {
    for (member, needs) in dependencies() {
        for (outside, allowed) in CONFINED {
            assert!(
                !needs.contains(*outside) || allowed.contains(&member.as_str()),
                "{member} must not depend on {outside}"
            );
        }
    }
}

#[test]
fn two_programs_build_without_libtorch() {
    for name in ["orchestrator", "shard-builder"] {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--package", name])
            .current_dir(system_tests::root())
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(tree.lines().count() > 1, "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!tree.lines().any(|line| line.starts_with("torch-sys ")), "{name} reaches LibTorch");
    }
}

#[test]
fn unsafe_stays_at_the_borders() {
    let allowed = ["crates/torch-shim/", "crates/collective/", "crates/augment/src/simd"];
    let mut found = Vec::new();
    for folder in ["crates", "orchestrator", "shard-builder", "worker", "tests"] {
        walk(&system_tests::root(), Path::new(folder), &mut |path, text| {
            let inside = allowed.iter().any(|prefix| path.starts_with(prefix));
            let block = format!("{} {{", "unsafe");
            let function = format!("{} fn", "unsafe");
            if !inside && (text.contains(&block) || text.contains(&function)) {
                found.push(path.to_owned());
            }
        });
    }
    assert!(found.is_empty(), "unsafe code outside torch-shim, collective and augment::simd: {found:?}");
}

fn walk(root: &Path, folder: &Path, visit: &mut dyn FnMut(&str, &str)) {
    let mut entries: Vec<_> = std::fs::read_dir(root.join(folder)).expect("a source folder").flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            walk(root, &path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(entry.path()).expect("source is text");
            visit(&path.to_string_lossy(), &text);
        }
    }
}
