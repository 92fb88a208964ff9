//! A run that gets a signal to stop, early or late, with or without a terminal; one that has too little memory; and the count of its
//! restarts.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, skipped};

/// A run that no machine ends while a test lasts, and that writes no checkpoint unasked.
const LONG: [&str; 4] = ["--set", "optim.epoch_length=1000000", "--set", "checkpoint.every_steps=1000000"];

/// `worker train` into `out`, as arguments.
fn train(bench: &Bench, out: &str) -> Vec<String> {
    let (config, out) = (bench.path("config.yaml"), bench.path(out));
    let fixed = ["train", &config, "--shards", text(&shards().0), "--out", &out, "--print-metrics"];
    fixed.iter().chain(&LONG).map(|word| (*word).to_owned()).collect()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Starts a command and returns when it has done a step, with the lines of the steps to come.
fn at_work(mut command: Command) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    lines.next().expect("a step").expect("a line");
    (child, lines)
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("reaped");
    (output.status.code(), said(&output))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn checkpoints(bench: &Bench, out: &str) -> usize {
    std::fs::read_dir(bench.folder.path().join(out).join("checkpoints")).map_or(0, Iterator::count)
}

/// The worker with HUP as a terminal gives it: these tests may themselves run under nohup, which every child inherits.
fn that_hangs_up() -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(program("worker"));
    command
}

#[test]
fn every_signal_that_asks_to_stop_leaves_a_checkpoint() {
    let bench = Bench::new();
    for name in ["TERM", "HUP", "USR1", "INT"] {
        let mut worker = that_hangs_up();
        worker.args(train(&bench, name));
        let (child, lines) = at_work(worker);
        signal(&child, name);
        lines.for_each(drop);
        let (code, words) = ended(child);
        assert_eq!(code, Some(85), "{name}: {words}");
        assert_eq!(checkpoints(&bench, name), 2, "{name}: the state and its record");
    }
}

#[test]
fn a_closed_terminal_takes_no_line_but_costs_no_checkpoint_and_nohup_goes_on() {
    let bench = Bench::new();
    let mut worker = that_hangs_up();
    worker.args(train(&bench, "closed"));
    let (mut child, lines) = at_work(worker);
    drop(child.stderr.take());
    signal(&child, "HUP");
    lines.for_each(drop);
    assert_eq!((child.wait().expect("reaped").code(), checkpoints(&bench, "closed")), (Some(85), 2));

    let mut worker = Command::new("nohup");
    worker.arg(program("worker")).args(train(&bench, "nohup"));
    let (child, mut lines) = at_work(worker);
    signal(&child, "HUP");
    for _ in 0..20 {
        lines.next().expect("it goes on").expect("a line");
    }
    signal(&child, "TERM");
    lines.for_each(drop);
    assert_eq!(ended(child).0, Some(85));
}

#[test]
fn a_signal_that_comes_while_it_loads_is_held_back_and_stops_it_before_its_first_step() {
    let hold = |args: &[&str]| {
        let mut command = Command::new("env");
        command.arg("--block-signal=USR1").args(args);
        command
    };
    if !hold(&["true"]).output().is_ok_and(|output| output.status.success()) {
        return skipped("a_signal_that_comes_while_it_loads", "coreutils", "`env --block-signal` (coreutils 8.31)");
    }
    let bench = Bench::new();
    let mut worker = hold(&[text(&program("worker"))]);
    let child = worker.args(train(&bench, "early")).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let child = child.expect("it starts");
    // From the moment in which `env` has become the worker; LibTorch takes a second to load.
    let exe = format!("/proc/{}/exe", child.id());
    while std::fs::read_link(&exe).is_ok_and(|exe| !exe.ends_with("worker")) {}
    signal(&child, "USR1");
    let (code, words) = ended(child);
    assert_eq!(code, Some(85), "{words}");
    assert!(words.contains("stopped as asked before its first step"), "{words}");
    assert_eq!(checkpoints(&bench, "early"), 0);
}

/// Says whether a run may go back into the queue.
fn requeue(bench: &Bench, out: &str, more: &[&str]) -> (bool, String) {
    let output = Command::new(program("worker")).args(["requeue", "--out", &bench.path(out)]).args(more).output();
    let output = output.expect("the worker starts");
    (output.status.success(), said(&output))
}

#[test]
fn restarts_that_bring_nothing_are_counted_in_the_store_and_come_to_an_end() {
    let bench = Bench::new();
    for restart in 1..=3 {
        let (granted, words) = requeue(&bench, "run", &["--code", "87"]);
        assert!(granted, "{restart}: {words}");
    }
    let (granted, words) = requeue(&bench, "run", &["--code", "137"]);
    assert!(!granted && words.contains("3 restarts in a row brought no checkpoint beyond step 0"), "{words}");
    assert_eq!(
        std::fs::read_dir(bench.path("run/restarts")).expect("a folder").count(),
        3,
        "what is refused is not counted"
    );
    // A checkpoint begins the count again.
    let config = bench.path("config.yaml");
    let out = bench.path("run");
    let args = ["train", &config, "--shards", text(&shards().0), "--out", &out, "--stop-at", "5"];
    assert_eq!(Command::new(program("worker")).args(args).output().expect("it runs").status.code(), Some(85));
    assert!(requeue(&bench, "run", &["--code", "87"]).0);
    // srun could not start the next one.
    assert!(requeue(&bench, "run", &["--code", "1"]).0);
    let on = &args[..args.len() - 2];
    assert_eq!(Command::new(program("worker")).args(on).output().expect("it runs").status.code(), Some(0));
    // An error of its own, a cancelled job, and a run that is done are not started again.
    for (more, why) in [(&["--code", "1"][..], "an error of its own"), (&["--code", "85"], "asked to stop")] {
        let (granted, words) = requeue(&bench, "run", more);
        assert!(!granted && words.contains(why), "{words}");
    }
    bench.train("run", &[]);
    let (granted, words) = requeue(&bench, "run", &["--code", "137"]);
    assert!(!granted && words.contains("the run is done"), "{words}");
}

#[test]
fn a_store_that_is_away_is_waited_for_by_whoever_has_used_it_before() {
    let away = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(program("worker"));
        // Nobody listens on this port.
        command.env("AWS_ENDPOINT", "http://127.0.0.1:9").envs(variables.iter().copied());
        for (name, value) in [("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")] {
            command.env(name, value);
        }
        said(&command.args(args).output().expect("it runs"))
    };
    let bench = Bench::new();
    let config = bench.path("config.yaml");
    let train =
        ["train", &config, "--shards", text(&shards().0), "--out", "s3://bucket/run", "--set", "store.retry_for=1"];
    std::thread::scope(|scope| {
        let requeue =
            scope.spawn(|| away(&["requeue", "--out", "s3://bucket/run", "--code", "87", "--retry-for", "1"], &[]));
        let restarted = scope.spawn(|| away(&train, &[("SLURM_RESTART_COUNT", "1")]));
        // A wrong address is told at once.
        let first = away(&train, &[]);
        assert!(!first.contains("the store cannot be reached: trying") && first.contains("AWS_ENDPOINT"), "{first}");
        for thread in [requeue, restarted] {
            let words = thread.join().expect("no panic");
            assert!(words.contains("the store cannot be reached: trying again for up to 1 s"), "{words}");
            assert!(!words.contains("INFO"), "the client's own lines: {words}");
        }
    });
}

#[test]
fn too_little_memory_is_a_sentence_with_a_remedy() {
    let bench = Bench::new();
    let mut worker = Command::new("sh");
    // LibTorch fits in two gigabytes of address space, the model does not.
    worker.args(["-c", "ulimit -v 2000000; exec \"$@\"", "sh", text(&program("worker"))]).args(train(&bench, "large"));
    for size in ["model.dim=1024", "model.depth=24", "model.heads=16"] {
        worker.args(["--set", size]);
    }
    let output = worker.output().expect("sh runs");
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    let last = words.lines().last().unwrap_or_default();
    assert!(last.contains("there is too little memory for this process: lower train.batch_size"), "{words}");
    assert!(last.contains("ulimit -v") && last.contains("you tried to allocate"), "{words}");
    assert!(!words.contains("frame #") && !words.contains("backtrace"), "{words}");
}
