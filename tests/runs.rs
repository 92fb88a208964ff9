//! A run's folder under real processes: what is damaged, torn, moved or changed, and how the run goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, run};

/// The arguments that train `out`.
fn train(bench: &Bench, out: &str, more: &[&str]) -> Vec<String> {
    let (config, out) = (bench.path("config.yaml"), bench.path(out));
    let mut args = ["train", &config, "--shards", text(&shards().0), "--out", &out].map(str::to_owned).to_vec();
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    args
}

/// Exit code and log of the worker.
fn worker(args: &[String]) -> (Option<i32>, String) {
    let output = Command::new(program("worker")).args(args).env("NO_COLOR", "1").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn with_ending(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

#[test]
fn a_damaged_last_checkpoint_fails_probes_until_it_is_repaired_and_trained_again() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let (uri, whole) = (bench.path("run"), bench.final_digest("run"));
    let last = with_ending(&bench.path("run/checkpoints"), ".safetensors").pop().unwrap();
    let probe = |out: &str, more: &[&str]| {
        let out = bench.path(out);
        let cells = text(&shards().1);
        let args = ["probe", "--run", &uri, "--shards", cells, "--split", "grouped", "--out", &out, "--bootstrap", "0"];
        let args = [&args[..], &["--no-random", "--no-histogram"], more].concat();
        worker(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    };
    flip(&last);
    let (code, log) = probe("rows", &[]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("worker verify") && log.contains("--step"), "{log}");
    assert!(!Path::new(&bench.path("rows")).exists(), "no row of an earlier step");
    assert_eq!(probe("rows-20", &["--step", "20"]).0, Some(0));

    let verify = |more: &[&str]| {
        let args = [&["verify", &uri][..], more].concat();
        let output = Command::new(program("worker")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, found) = verify(&[]);
    assert!(code == Some(1) && found.contains(text(&last)) && found.contains("goes on from step 20"), "{found}");
    assert_eq!(verify(&["--repair"]).0, Some(0));
    bench.train("run", &[]);
    let (code, found) = verify(&["--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((code, found["found"]["damages"].as_array().unwrap().len()), (Some(0), 0), "{found}");
    let again: Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path("run/final-a0002.json")).unwrap()).unwrap();
    assert_eq!(again["checkpoint"]["digest"], whole.as_str(), "the same weights to the bit");
    assert_eq!(probe("rows", &[]).0, Some(0));
}

#[test]
fn a_torn_record_goes_back_and_where_nothing_is_whole_training_does_not_begin_again() {
    let bench = Bench::new();
    bench.train("whole", &[]);
    let stopped = worker(&train(&bench, "run", &["--stop-at", "12"]));
    assert_eq!(stopped.0, Some(85), "{}", stopped.1);
    let folder = bench.path("run/checkpoints");
    std::fs::write(with_ending(&folder, ".json").pop().unwrap(), "").unwrap();
    let (code, log) = worker(&train(&bench, "run", &[]));
    assert!(code == Some(0) && log.contains("this checkpoint is damaged") && log.contains("it is empty"), "{log}");
    assert_eq!(bench.final_digest("run"), bench.final_digest("whole"));

    // The end that was torn is written again.
    std::fs::write(bench.path("run/final.json"), "").unwrap();
    let (code, log) = worker(&train(&bench, "run", &[]));
    assert!(code == Some(0) && log.contains("this final record is damaged"), "{log}");
    assert!(Path::new(&bench.path("run/final-a0003.json")).exists(), "{log}");

    assert_eq!(worker(&train(&bench, "lost", &["--stop-at", "12"])).0, Some(85));
    let folder = bench.path("lost/checkpoints");
    with_ending(&folder, ".safetensors").iter().for_each(|path| flip(path));
    let kept = with_ending(&folder, "");
    let (code, log) = worker(&train(&bench, "lost", &[]));
    assert!(code == Some(1) && log.contains("is whole") && log.contains("worker verify"), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.starts_with("error: ")), "{log}");
    assert_eq!(with_ending(&folder, ""), kept, "nothing is removed");
}

#[test]
fn a_run_that_ended_before_it_could_say_so_says_so_at_the_next_start() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let whole = bench.final_digest("run");
    std::fs::remove_file(bench.path("run/final.json")).unwrap();
    bench.train("run", &[]);
    assert_eq!(bench.final_digest("run"), whole);
}

#[test]
fn keys_that_change_no_weight_may_change_on_resume() {
    let bench = Bench::new();
    bench.train("whole", &[]);
    assert_eq!(worker(&train(&bench, "run", &["--stop-at", "7"])).0, Some(85));
    let others = [
        "checkpoint.every_steps=3",
        "checkpoint.keep=1",
        "log.every_steps=2",
        "log.collapse_every_steps=4",
        "train.read_threads=2",
        "train.threads=1",
        "train.activation_checkpointing=true",
        "store.retry_for=5",
    ];
    let sets: Vec<&str> = others.iter().flat_map(|set| ["--set", set]).collect();
    let (code, log) = worker(&train(&bench, "run", &sets));
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(bench.final_digest("run"), bench.final_digest("whole"));
    assert_eq!(with_ending(&bench.path("run/checkpoints"), ".json").len(), 1, "one is kept, as asked");
}

#[test]
fn a_run_that_is_moved_away_ends_with_an_error_and_writes_nothing_to_the_old_place() {
    let bench = Bench::new();
    let mut child = Command::new(program("worker"))
        .args(train(&bench, "run", &["--print-metrics", "--set", "checkpoint.every_steps=1000"]))
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The only checkpoint comes after the last of 24 steps.
    lines.next().unwrap().unwrap();
    std::fs::rename(bench.path("run"), bench.path("moved")).unwrap();
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains("the folder was moved or deleted"), "{log}");
    assert!(!Path::new(&bench.path("run/final.json")).exists() && !Path::new(&bench.path("run/checkpoints")).exists());
}

#[test]
fn a_stop_for_numbers_that_are_not_finite_keeps_its_metrics_and_the_step_is_done_again() {
    let bench = Bench::new();
    let sets = ["optim.lr=1e30", "optim.warmup_epochs=0", "checkpoint.every_steps=1000"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let (code, log) = worker(&train(&bench, "run", &sets));
    assert!(code == Some(1) && log.contains("had NaN or infinity") && log.contains("worker step --failed"), "{log}");
    let lines = bench.lines("run");
    assert!(lines.iter().any(|line| line["loss"].is_number()), "{lines:?}");
    let failed: Vec<&Value> = lines.iter().filter(|line| !line["failed"].is_null()).collect();
    assert_eq!(failed.len(), 3, "{lines:?}");
    let uri = bench.path("run");
    for line in failed {
        let step = line["step"].to_string();
        let output = run("worker", &["step", "--failed", &uri, "--step", &step, "--threads", "1"]);
        let again: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&again["finite"], &again["term"], &again["captured"]),
            (&false.into(), &line["failed"], &line["failed"])
        );
    }
    run("worker", &["step", "--failed", &uri, "--dtype", "f64"]);
    run("worker", &["verify", &uri]);
}

#[test]
fn a_run_that_has_lost_its_record_its_checkpoints_or_its_result_says_so() {
    let bench = Bench::new();
    assert_eq!(worker(&train(&bench, "run", &["--stop-at", "12"])).0, Some(85));
    let record = bench.path("run/run.json");
    std::fs::rename(&record, bench.path("kept.json")).unwrap();
    let (code, log) = worker(&train(&bench, "run", &["--set", "optim.lr=2e-3"]));
    assert!(code == Some(1) && log.contains("run.json is missing although"), "{log}");
    assert!(!Path::new(&record).exists(), "what is there is not taken over under another record");
    std::fs::rename(bench.path("kept.json"), &record).unwrap();

    std::fs::remove_dir_all(bench.path("run/checkpoints")).unwrap();
    let (code, log) = worker(&train(&bench, "run", &[]));
    assert!(code == Some(0) && log.contains("training begins again at step 0"), "{log}");

    // Whoever starts a finished run again relies on its result.
    let (code, log) = worker(&train(&bench, "run", &[]));
    assert!(code == Some(0) && log.contains("the run is done already"), "{log}");
    flip(&with_ending(&bench.path("run/checkpoints"), ".safetensors").pop().unwrap());
    let (code, log) = worker(&train(&bench, "run", &[]));
    assert!(code == Some(1) && log.contains("worker verify") && !log.contains("is done already"), "{log}");
}
