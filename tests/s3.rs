//! The main job through `s3://`, with real programs and a real server: the same digests and tables as on a directory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use store::Store;
use system_tests::fault_proxy::Proxy;
use system_tests::own_process::{is_inner, run_inner};
use system_tests::s3_server::{BUCKET, S3Server};
use system_tests::tiny_run::{Bench, CONFIG, shards, text};
use system_tests::{program, run};

const SWEEP: &str = "
name: s3
base: config.yaml
store: ./never-used
shards: {train: ./never-used, eval: [{name: cells, uri: ./never-used, split: grouped}]}
set: {optim: {epoch_length: 8}}
reference: reference
arms: {reference: {}, koleo-off: {loss.koleo_weight: 0.0}}
seeds: [0]
slots: 2
threads: 1
time_limit_s: 600
evidence: false
";

/// What must not depend on where it is kept.
#[derive(Debug, PartialEq)]
struct Outcome {
    patches: Vec<u8>,
    checkpoint: Value,
    rows: Vec<String>,
    leaks: Vec<u8>,
    features: Vec<u8>,
    model: Vec<u8>,
    table: String,
}

#[test]
fn the_whole_chain_gives_the_same_on_s3_as_on_a_directory() {
    let test = "the_whole_chain_gives_the_same_on_s3_as_on_a_directory";
    if !is_inner(test) {
        let Some(server) = S3Server::shared(test) else { return };
        run_inner(test, server.env(server.address()));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let smears = folder.path().join("smears");
    run("shard-builder", &["synth", "--out", text(&smears), "--seed", "3"]);
    std::fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
    std::fs::write(folder.path().join("sweep.yaml"), SWEEP).unwrap();
    let on_s3 = chain(folder.path(), &format!("s3://{BUCKET}/chain"), "work-s3");
    let on_disk = chain(folder.path(), text(&folder.path().join("disk")), "work-disk");
    assert!(on_s3 == on_disk, "S3 and a directory differ: {:?}", differing(&on_s3, &on_disk));
    assert!(!folder.path().join("s3:").exists() && !Path::new("s3:").exists(), "an address was taken for a path");
}

/// The whole chain with all that it makes below `base`.
fn chain(folder: &Path, base: &str, work: &str) -> Outcome {
    let at = |name: &str| format!("{base}/{name}");
    let local = |name: &str| text(&folder.join(name)).to_owned();
    let (patches, cells, out) = (at("patches"), at("cells"), at("run"));
    let (data, config) = (local("smears/data"), local("config.yaml"));
    run(
        "shard-builder",
        &[
            "build",
            &local("smears/sources"),
            "--data",
            &data,
            "--size",
            "112",
            "--near-copies",
            "ignore",
            "--out",
            &patches,
        ],
    );
    let sources = local("smears/eval-sources");
    run(
        "shard-builder",
        &["build", &sources, "--data", &data, "--product", "cells", "--near-copies", "ignore", "--out", &cells],
    );
    run("shard-builder", &["split", &cells, "--name", "grouped", "--kind", "grouped-kfold", "--folds", "3"]);
    run("shard-builder", &["verify", &patches]);
    run_traced("shard-builder", &["verify", &cells]);
    run("shard-builder", &["leaks", &patches, &cells]);

    let train = ["train", &config, "--shards", &patches, "--out", &out];
    kill_after(&train, 12);
    run("worker", &train);
    let rows = at("rows.jsonl");
    run("worker", &["probe", "--run", &out, "--shards", &cells, "--split", "grouped", "--out", &rows, "--no-random"]);
    let features = at("features.parquet");
    run_traced("worker", &["embed", "--run", &out, "--shards", &cells, "--out", &features]);
    run("worker", &["export", "--run", &out, "--out", &at("export")]);

    let (sweep, store) = (local("sweep.yaml"), at("store"));
    let (on_patches, on_cells) = (format!("train={patches}"), format!("cells={cells}"));
    let args = ["sweep", &sweep, "--store", &store, "--work", &local(work)];
    let output = run("orchestrator", &[&args[..], &["--shards", &on_patches, "--shards", &on_cells]].concat());
    assert!(String::from_utf8_lossy(&output.stdout).contains("koleo-off"), "a table is printed");
    let args = ["results", &sweep, "--store", &store, "--format", "md", "--shards", &on_patches, "--shards", &on_cells];
    let table = run("orchestrator", &args);

    let store = Store::open(base).unwrap();
    let last: Value = serde_json::from_slice(&store.get("run/final.json").unwrap()).unwrap();
    assert_eq!(store.list("run/attempts").unwrap().len(), 2, "the run was killed once");
    Outcome {
        patches: store.get("patches/manifest.json").unwrap().to_vec(),
        checkpoint: last["checkpoint"]["digest"].clone(),
        rows: String::from_utf8(store.get("rows.jsonl").unwrap().to_vec())
            .unwrap()
            .lines()
            .map(|line| without_time(&line.replace(base, "BASE")))
            .collect(),
        leaks: store.get(&leaks_table(&store)).unwrap().to_vec(),
        features: store.get("features.parquet").unwrap().to_vec(),
        model: store.get("export/model.safetensors").unwrap().to_vec(),
        table: String::from_utf8(table.stdout).unwrap(),
    }
}

/// The key of the table of what the two sets share.
fn leaks_table(store: &Store) -> String {
    let keys = store.list("cells/leaks").unwrap();
    keys.into_iter().find(|key| key.ends_with("/near.csv")).expect("a record with fingerprints")
}

/// A row of results without what it took.
fn without_time(row: &str) -> String {
    let mut row: Value = serde_json::from_str(row).unwrap();
    // Baselines train nothing, and no hours are charged to them.
    assert_eq!(row["hours"].take().as_f64() > Some(0.0), row["features"] == "teacher");
    row.to_string()
}

fn differing(a: &Outcome, b: &Outcome) -> Vec<&'static str> {
    let pairs = [
        ("manifest", a.patches == b.patches),
        ("checkpoint", a.checkpoint == b.checkpoint),
        ("rows", a.rows == b.rows),
        ("leaks", a.leaks == b.leaks),
        ("features", a.features == b.features),
        ("model", a.model == b.model),
        ("table", a.table == b.table),
    ];
    pairs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect()
}

/// Trains until the line of a step is printed, then kills.
fn kill_after(args: &[&str], step: u64) {
    let mut child = Command::new(program("worker"))
        .args(args)
        .arg("--print-metrics")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reader = BufReader::new(child.stdout.take().unwrap());
    let reached = reader.lines().any(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["step"].as_u64() >= Some(step)
    });
    assert!(reached, "the run ended before step {step}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs a program that logs all it can, and checks that neither the secret nor the id of the key was logged.
fn run_traced(name: &str, args: &[&str]) {
    let output = Command::new(program(name)).args(args).env("RUST_LOG", "trace").output().unwrap();
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let logged = String::from_utf8_lossy(&output.stderr);
    // On a directory there may be nothing to say.
    let on_s3 = args.iter().any(|arg| arg.starts_with("s3://"));
    assert!(!on_s3 || logged.contains("idle connection"), "the requests were not traced: {logged}");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let secret = std::env::var(name).unwrap();
        assert!(!logged.contains(&secret), "{name} is logged");
    }
}

#[test]
fn a_run_whose_store_is_stopped_for_twenty_seconds_trains_on_to_the_same_weights() {
    let test = "a_run_whose_store_is_stopped_for_twenty_seconds_trains_on_to_the_same_weights";
    if is_inner(test) {
        let (patches, _) = shards();
        // The shards lie on the server too, so reads wait as writes do.
        let (base, local) = (format!("s3://{BUCKET}/away"), text(patches).to_owned());
        let (from, to) = (Store::open(&local).unwrap(), Store::open(&format!("{base}/patches")).unwrap());
        for key in from.list("").unwrap() {
            to.create(&key, from.get(&key).unwrap()).unwrap();
        }
        let bench = Bench::new();
        let (config, shards, out) = (bench.path("config.yaml"), format!("{base}/patches"), format!("{base}/run"));
        let output = run("worker", &["train", &config, "--shards", &shards, "--out", &out]);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains("the store cannot be reached") && log.contains("the store answers again"), "{log}");
        run("worker", &["verify", &out]);
        bench.train("here", &[]);
        let last: Value = serde_json::from_slice(&Store::open(&out).unwrap().get("final.json").unwrap()).unwrap();
        assert_eq!(last["checkpoint"]["digest"], bench.final_digest("here").as_str());
        return;
    }
    let Some(server) = S3Server::shared(test) else { return };
    let proxy = Proxy::start(server.address(), &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| run_inner(test, server.env(proxy.address())));
        // Past the copies and the start of the run: in the middle of its steps.
        proxy.away_after("checkpoints/00000005", Duration::from_secs(20));
    });
}
