//! The direction of dependencies, proved over `cargo metadata` (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Members that no picture shows: tests and benchmarks, which may depend on anything.
const BESIDE: &[&str] = &["augment-bench", "shards-bench", "system-tests"];

const PROGRAMS: &[&str] = &["orchestrator", "shard-builder", "worker"];

/// Crates that only these members may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("tch", &["torch-shim", "collective", "dino", "training", "export", "probe", "worker"]),
    ("torch-sys", &["torch-shim", "collective", "dino", "training", "export", "probe", "worker"]),
    ("mpi", &["collective"]),
    ("libloading", &["collective"]),
    ("nvml-wrapper", &["energy"]),
    ("tokio", &["store", "shards", "orchestrator", "shard-builder", "worker"]),
    ("clap", &["terminal", "orchestrator", "shard-builder", "worker"]),
    ("indicatif", PROGRAMS),
    ("terminal", PROGRAMS),
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

/// The picture in ARCHITECTURE.md, line by line: a member, and what it depends on among ours.
fn picture() -> Vec<(String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(system_tests::root().join("ARCHITECTURE.md")).expect("the page");
    let block = page.split("```").nth(1).expect("a picture between fences");
    let names = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = Vec::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let (members, needs) = line.split_once("─►").expect("an arrow");
        let needs = if needs.trim() == "nothing of ours" { Vec::new() } else { names(needs) };
        lines.extend(names(members).into_iter().map(|member| (member, needs.iter().cloned().collect())));
    }
    lines
}

#[test]
fn the_picture_shows_every_dependency_and_arrows_point_down() {
    let (members, picture) = (dependencies(), picture());
    let ours: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    let shown: BTreeSet<&str> = picture.iter().map(|(name, _)| name.as_str()).chain(BESIDE.iter().copied()).collect();
    assert_eq!(ours, shown, "members and the picture's names");
    for (place, (name, needs)) in picture.iter().enumerate() {
        let of_ours: BTreeSet<String> =
            members[name].iter().filter(|other| ours.contains(other.as_str())).cloned().collect();
        assert_eq!(&of_ours, needs, "what {name} depends on, and what ARCHITECTURE.md shows");
        for other in needs {
            assert!(picture[place + 1..].iter().any(|(below, _)| below == other), "{other} stands above {name}");
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
    // The benchmark counts allocations, which takes an allocator of its own.
    let allowed =
        ["crates/torch-shim/", "crates/collective/", "crates/augment/src/simd", "bench/augment/src/probes.rs"];
    let mut found = Vec::new();
    for folder in ["bench", "crates", "orchestrator", "shard-builder", "worker", "tests"] {
        walk(&system_tests::root(), Path::new(folder), &mut |path, text| {
            let inside = allowed.iter().any(|prefix| path.starts_with(prefix));
            let block = format!("{} {{", "unsafe");
            let function = format!("{} fn", "unsafe");
            // A macro of the borders may make unsafe code elsewhere, and allows it there itself: no file outside names the lint.
            let lint = format!("{}_code", "unsafe");
            if !inside && [&block, &function, &lint].iter().any(|word| text.contains(*word)) {
                found.push(path.to_owned());
            }
        });
    }
    assert!(found.is_empty(), "unsafe code outside torch-shim, collective and augment::simd: {found:?}");
}

#[test]
fn libraries_below_the_worker_read_no_environment() {
    let mut found = Vec::new();
    for name in ["augment", "collective", "dino", "export", "probe", "results", "run-folder", "training"] {
        walk(&system_tests::root(), &Path::new("crates").join(name).join("src"), &mut |path, text| {
            if text.contains("env::var") {
                found.push(path.to_owned());
            }
        });
    }
    assert!(found.is_empty(), "read it in worker/src/environment.rs and pass it on: {found:?}");
}

/// Every source file below `folder`, by its path from the root and its text.
pub(crate) fn walk(root: &Path, folder: &Path, visit: &mut dyn FnMut(&str, &str)) {
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

/// Calls by which something can cross between host and device. Those of a step go through `torch_shim::crossing`, which counts them.
const CROSSINGS: &[&str] = &[
    ".double_value(",
    ".int64_value(",
    ".copy_data",
    ".to_device(",
    ".to_device_(",
    ".pin_memory(",
    ".nonzero(",
    "f64::try_from(",
];

/// What is not part of a step, and may do as it likes.
const BESIDE_STEPS: &[(&str, &str)] = &[
    ("dino/src/collapse.rs", "RankMe is worked out in host memory"),
    ("dino/src/export.rs", "a finished model"),
    ("dino/src/features.rs", "evaluation"),
    ("dino/src/incoming.rs", "loads a checkpoint"),
    ("dino/src/params.rs", "loads weights"),
    ("dino/src/resnet.rs", "a baseline, for evaluation"),
    ("dino/src/state.rs", "takes over weights, and compares the ranks at a checkpoint"),
    ("dino/src/stepfile/", "reads and writes files"),
    ("dino/src/tensor_bytes.rs", "writes a capture or a file"),
    ("collective/src/contract.rs", "what a backend must satisfy, for tests"),
    ("collective/src/tensors.rs", "numbers of the host, which a backend stages and counts"),
    ("collective/src/threads.rs", "ranks in one process, on a CPU"),
];

#[test]
fn what_crosses_between_host_and_device_in_a_step_is_counted() {
    let mut found = BTreeSet::new();
    for of in ["dino", "training", "collective"] {
        let folder = Path::new("crates").join(of).join("src");
        walk(&system_tests::root(), &folder, &mut |path, text| {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let crossing =
                |line: &&str| !line.trim_start().starts_with("//") && CROSSINGS.iter().any(|call| line.contains(call));
            let crosses: Vec<&str> = code.lines().filter(crossing).collect();
            let beside = BESIDE_STEPS.iter().find(|(listed, _)| path.starts_with(&format!("crates/{listed}")));
            match beside {
                Some((listed, _)) if !crosses.is_empty() => _ = found.insert(*listed),
                Some(_) => {}
                None => assert_eq!(crosses, [""; 0], "{path}: a step crosses through `torch_shim::crossing` only"),
            }
        });
    }
    let listed: BTreeSet<&str> = BESIDE_STEPS.iter().map(|(path, _)| *path).collect();
    assert_eq!(found, listed, "what is listed beside the steps and what crosses there");
}
