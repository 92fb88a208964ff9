//! Leakage end to end: a sweep that is evidence does not begin, each refusal names the command that helps, and these commands lead to a
//! sweep that begins.

use std::path::Path;
use std::process::Command;

use system_tests::tiny_run::{CONFIG, shards, text};
use system_tests::{program, run};

/// What `sweep --dry-run` of a folder's sweep said, training on `train`, and its exit status.
fn dry_run(folder: &Path, train: &str, cells: &str) -> (Option<i32>, String) {
    let args = ["sweep", "sweep.yaml", "--dry-run", "--store", "store"];
    let output = Command::new(program("orchestrator"))
        .args(args)
        .args(["--shards", &format!("train={train}"), "--shards", &format!("cells={cells}")])
        .current_dir(folder)
        .output()
        .expect("orchestrator starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs the command of `shard-builder` that a refusal names.
fn do_as_told(said: &str, command: &str) {
    let begin = format!("`shard-builder {command} ");
    let told = said.split(&begin).nth(1).unwrap_or_else(|| panic!("{begin} is not in {said}"));
    let words = told.split('`').next().unwrap_or_default().split(' ');
    run("shard-builder", &[command].into_iter().chain(words).collect::<Vec<_>>());
}

#[test]
fn a_refused_sweep_names_the_commands_that_lead_to_one_that_begins() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let cells = text(&shards().1).to_owned();
    std::fs::write(at("config.yaml"), CONFIG).expect("the configuration is written");
    let sweep = "name: leaky\nbase: config.yaml\nshards: {train: x, eval: [{name: cells, uri: x, split: grouped}]}\n\
                 reference: reference\narms: {reference: }\nseeds: [0]\n";
    std::fs::write(at("sweep.yaml"), sweep).expect("the sweep is written");

    // Training images, and copies of two evaluation images under other names.
    let (smears, web) = (at("smears"), at("web"));
    run("shard-builder", &["synth", "--out", text(&smears), "--seed", "3", "--scale", "tiny"]);
    run("shard-builder", &["synth", "--out", text(&at("held-out")), "--seed", "3"]);
    std::fs::create_dir_all(&web).expect("a folder");
    let evaluation = at("held-out/eval-sources");
    let mut copied = 0;
    for file in files(&at("held-out/data")) {
        let path = text(&file).to_owned();
        let is_evaluation = files(&evaluation).iter().any(|source| {
            source.file_stem().and_then(|stem| stem.to_str()).is_some_and(|name| path.contains(&format!("/{name}/")))
        });
        let is_image = ["jpg", "png", "tif", "bmp"].iter().any(|end| path.ends_with(end));
        if is_evaluation && is_image && copied < 2 {
            copied += 1;
            std::fs::copy(&file, web.join(format!("copy-{copied}.{}", path.rsplit('.').next().unwrap_or_default())))
                .expect("a copy");
        }
    }
    assert_eq!(copied, 2, "there are evaluation images");
    let described = "name: web\ntitle: T\nhome: H\nlicence: MIT\ncitation: C\nmodality: M\nmembership: candidate\n\
                     images: {include: ['*']}\n";
    std::fs::write(smears.join("sources/web.yaml"), described).expect("a description");
    let (data, root, train) = (smears.join("data"), format!("web={}", text(&web)), text(&at("train")).to_owned());
    let build = ["build", text(&smears.join("sources")), "--data", text(&data), "--root", &root, "--size", "112"]
        .map(str::to_owned);
    let build: Vec<&str> =
        build.iter().map(String::as_str).chain(["--near-copies", "ignore", "--out", &train]).collect();
    run("shard-builder", &build);

    let (code, said) = dry_run(folder.path(), &train, &cells);
    assert_eq!(code, Some(1), "{said}");
    do_as_told(&said, "leaks");
    let (code, said) = dry_run(folder.path(), &train, &cells);
    assert!(code == Some(1) && said.contains("2 of 2 images of source web (pairs: 2 by bytes; "), "{said}");
    do_as_told(&said, "remove");
    let clean = format!("{train}-without-cells");
    let (code, said) = dry_run(folder.path(), &clean, &cells);
    assert_eq!(code, Some(1), "a new set has to be compared too: {said}");
    do_as_told(&said, "leaks");
    let (code, said) = dry_run(folder.path(), &clean, &cells);
    assert!(code == Some(0) && !said.contains("Warning"), "{said}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect();
    files.sort();
    files
}
