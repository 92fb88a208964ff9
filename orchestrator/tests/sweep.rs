//! Whole sweeps: the real orchestrator, real processes, a test double for the worker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Bench, SWEEP, runs, signal, wait_until};

#[test]
fn a_sweep_runs_to_its_table_and_finished_trials_are_skipped() {
    let bench = Bench::new();
    let run = bench.run(&[]).ends(0);
    assert!(run.out.contains("SMOKE TEST, NO EVIDENCE"), "{}", run.out);
    assert_eq!(bench.calls("trained").len(), 4);
    assert_eq!(bench.records("result.json").len(), 4);
    let report = std::fs::read_to_string(bench.path("store").join(&bench.records("tables/1/report.md")[0])).unwrap();
    // The double gives .5 + .01 seed + .02 fold + koleo weight: n = 4, mean .515, paired difference exactly .1.
    let koleo = report.lines().find(|line| line.contains("koleo-on") && line.contains("1nn")).unwrap();
    for part in ["61.5", "+10.0"] {
        assert!(koleo.contains(part), "{part} is not in {koleo}\n{report}");
    }
    assert!(report.contains("baseline: random") && report.contains("baseline: histogram"), "{report}");
    assert!(report.contains("| koleo-on | loss.koleo_weight=0.1 |"), "{report}");
    assert_eq!(bench.records("tables/1/rows.parquet").len() + bench.records("tables/1/summary.csv").len(), 2);

    let journal = bench.journal();
    let again = bench.run(&[]).ends(0);
    assert!(again.err.contains("0 trials finished, 4 were finished before"), "{}", again.err);
    assert_eq!(bench.journal(), journal, "no worker was started");
    assert!(bench.records("tables/2/report.md").is_empty(), "the same table is not written twice");

    let csv = bench.orchestrator(&["results", "sweep.yaml", "--format", "csv"]).ends(0).out;
    assert!(csv.lines().any(|line| line.contains("koleo-on") && line.contains("0.615")), "{csv}");
    let status = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(status.contains("4 trials: 4 done, 0 failed, 0 running, 0 to run"), "{status}");
}

#[test]
fn a_new_seed_runs_only_what_is_missing() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let bench = bench.sweep(&SWEEP.replace("[0, 1]", "[0, 1, 2]"));
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("2 trials finished, 4 were finished before"), "{}", run.err);
}

#[test]
fn another_split_probes_again_without_training() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let bench = bench.sweep(&SWEEP.replace("split: grouped", "split: by-source"));
    bench.run(&[]).ends(0);
    assert_eq!(bench.calls("probe").len(), 8);
    assert!(bench.calls("train")[4..].iter().all(|line| line.contains(" from 3 ")), "{:?}", bench.calls("train"));
}

#[test]
fn a_failing_trial_stops_no_other_and_is_listed_until_it_is_retried() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    let run = bench.run(&[]).ends(3);
    assert!(run.err.contains("koleo-on/seed-0 FAILED: train: exit code 1: the loss is not a number"), "{}", run.err);
    assert_eq!(bench.records("result.json").len(), 2);
    assert!(run.out.contains("koleo-on") && run.out.contains("the loss is not a number"), "{}", run.out);

    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let calls = bench.journal().len();
    bench.run(&[]).ends(3);
    assert_eq!(bench.journal().len(), calls, "a failed trial is left alone unless asked");
    bench.run(&["--retry-failed"]).ends(0);
    assert_eq!(bench.records("attempt-2/result.json").len(), 2);
}

#[test]
fn max_failures_starts_no_more() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "seed");
    let run = bench.run(&["--slots", "1", "--max-failures", "1"]).ends(3);
    assert_eq!(bench.calls("train").len(), 1, "{}", run.err);
    assert!(run.err.contains("1 failed, 3 left"), "{}", run.err);
}

#[test]
fn only_runs_what_matches() {
    let bench = Bench::new();
    bench.run(&["--only", "koleo*/seed-1", "--only", "ref*/seed-1"]).ends(0);
    assert!(bench.calls("probe").iter().all(|line| line.contains("seed 1")), "{:?}", bench.journal());
    assert_eq!(bench.calls("probe").len(), 2);
    assert!(bench.run(&["--only", "nothing"]).ends(1).err.contains("--only nothing matches no trial"));
}

#[test]
fn a_killed_orchestrator_takes_its_workers_along_and_is_continued() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "20");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 6);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    wait_until("the workers ended by themselves", || bench.pids().iter().all(|pid| !runs(*pid)));
    assert!(bench.records("result.json").is_empty());
    let made = steps(&bench);

    let bench = bench.with("DOUBLE_STEP_S", "0");
    bench.run(&[]).ends(0);
    let resumed: Vec<u32> =
        bench.calls("train").iter().filter(|line| line.contains("attempt-2")).map(|line| from(line)).collect();
    assert_eq!(resumed.iter().sum::<u32>(), made, "the second attempts go on from the steps of the first");
    assert_eq!(bench.records("attempt-2/result.json").len(), 2);
    assert_eq!(bench.records("attempt-1/result.json").len(), 2);
    let lost = std::fs::read_to_string(bench.path("store").join(&bench.records("attempt-1/failed.json")[0])).unwrap();
    assert!(lost.contains("\"lost\""), "{lost}");
}

/// The guard too may be killed; then the restarted orchestrator ends what is left of the process group.
#[test]
fn workers_left_alive_are_ended_before_their_trial_is_run_again() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "1000").with("DOUBLE_STUBBORN", "1");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 2);
    signal(first.id(), "STOP");
    let orphans = bench.pids();
    for worker in &orphans {
        signal(parent(*worker), "KILL");
    }
    signal(first.id(), "KILL");
    first.wait().unwrap();
    assert!(orphans.iter().all(|pid| runs(*pid)), "the scene is set: orphans that run");

    let bench = bench.with("DOUBLE_STEP_S", "0").with("DOUBLE_STUBBORN", "").with("DOUBLE_STEPS", "1");
    bench.run(&[]).ends(0);
    assert!(orphans.iter().all(|pid| !runs(*pid)));
}

#[test]
fn a_stubborn_worker_is_killed_after_the_grace_period() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "1000").with("DOUBLE_STUBBORN", "1");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 2);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    wait_until("the guards killed them", || bench.pids().iter().all(|pid| !runs(*pid)));
}

#[test]
fn a_signal_stops_the_sweep_and_the_same_command_continues_it() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "20");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 4);
    signal(first.id(), "TERM");
    assert_eq!(first.wait().unwrap().code(), Some(130));
    assert!(bench.pids().iter().all(|pid| !runs(*pid)));
    let status = bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out;
    assert!(status.contains("cut off (attempt 1)") && status.contains("0 failed"), "{status}");
    bench.with("DOUBLE_STEP_S", "0").run(&[]).ends(0);
}

#[test]
fn a_worker_that_somebody_stopped_is_not_blamed() {
    let bench = Bench::new().with("DOUBLE_STOPS", "koleo_weight\": 0.1");
    let run = bench.run(&[]).ends(3);
    assert!(run.err.contains("2 trials finished, 0 were finished before, 0 failed, 2 left"), "{}", run.err);
    bench.with("DOUBLE_STOPS", "").run(&[]).ends(0);
}

#[test]
fn a_trial_past_its_limit_is_ended_and_listed() {
    let slow = SWEEP.replace("seeds: [0, 1]", "seeds: [0]\ntime_limit_s: 1");
    let bench = Bench::new().sweep(&slow).with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "1000");
    let run = bench.run(&[]).ends(3);
    assert!(run.err.contains("FAILED: ran past time_limit_s: 1"), "{}", run.err);
    assert!(bench.pids().iter().all(|pid| !runs(*pid)));
}

#[test]
fn two_orchestrators_share_a_sweep_and_run_each_trial_once() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.1").with("DOUBLE_STEPS", "5");
    let mut first = bench.start();
    bench.run(&[]).ends(0);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(bench.calls("trained").len(), 4, "{:?}", bench.journal());
}

#[test]
fn results_of_a_dirty_worker_are_continued_but_never_reused() {
    let bench =
        Bench::new().with("DOUBLE_VERSION", "0.1.0+d0ab1e5-dirty").with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    bench.run(&["--only", "reference"]).ends(0);
    let run = bench.run(&[]).ends(3);
    assert!(run.err.contains("2 were finished before") && run.err.contains("run 1 of this sweep"), "{}", run.err);
    // Every trial has ended, so the run has; only its failures may still be tried again.
    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let run = bench.run(&["--retry-failed"]).ends(0);
    assert!(run.err.contains("2 trials finished, 2 were finished before"), "{}", run.err);
    let run = bench.run(&[]).ends(0);
    assert!(
        run.err.contains("4 trials finished, 0 were finished before") && run.err.contains("run 2 of"),
        "{}",
        run.err
    );
}

#[test]
fn a_dry_run_prints_the_matrix_and_starts_nothing() {
    let bench = Bench::new();
    let run = bench.run(&["--dry-run"]).ends(0);
    let words: Vec<Vec<&str>> = run.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let koleo = words.iter().find(|line| line.first() == Some(&"koleo-on")).unwrap();
    assert_eq!((koleo[1], koleo[3], koleo[4]), ("0", "missing", "loss.koleo_weight=0.1"), "{}", run.out);
    assert!(run.out.contains("4 trials: 0 done, 0 failed, 0 running, 4 to run"), "{}", run.out);
    assert!(run.out.contains("worker train CONFIG.json --shards "), "{}", run.out);
    assert!(!bench.path("store").exists() && bench.journal().is_empty());
    // Without worker and shards the matrix is still shown.
    let bench = bench.sweep(&SWEEP.replace("TRAIN", "./nowhere"));
    let run = bench.run(&["--dry-run"]).ends(0);
    assert!(run.err.contains("shard set ./nowhere") && run.out.contains("unknown"), "{}{}", run.err, run.out);
}

#[test]
fn without_slurm_a_dry_run_shows_its_scripts_and_a_sweep_says_what_is_missing() {
    let slurm = format!("{SWEEP}slurm: {{partition: gpu, time: 24:00:00, max_parallel: 2}}\n");
    let slurm = slurm.replace("koleo-on: {", "koleo-on: {slurm.nodes: 2, ");
    let bench = Bench::new().sweep(&slurm).with("PATH", "/nowhere");
    let run = bench.run(&["--backend", "slurm", "--dry-run"]).ends(0);
    assert!(run.err.contains("array size of 1001"), "{}", run.err);
    assert_eq!(run.out.matches("#SBATCH --array=0-1%2\n").count(), 4, "two shapes, two jobs each: {}", run.out);
    assert_eq!(run.out.matches("#SBATCH --nodes=2\n").count(), 1, "{}", run.out);
    assert!(run.out.contains("#SBATCH --signal=B:USR1@300\n") && run.out.contains("--job probe\n"), "{}", run.out);
    let run = bench.run(&["--backend", "slurm"]).ends(1);
    assert!(run.err.contains("there is no `sbatch` on PATH: run this on a login node"), "{}", run.err);
    assert!(bench.records("claim.json").is_empty());
    let bench = bench.sweep(&slurm.replace("partition", "partitin"));
    let run = bench.run(&["--backend", "slurm"]).ends(1);
    assert!(run.err.contains("slurm: unknown key `partitin`; did you mean `partition`?"), "{}", run.err);
}

#[test]
fn mistakes_are_refused_in_one_sentence_before_anything_runs() {
    let bench = Bench::new().sweep(&SWEEP.replace("koleo_weight", "koleo_wieght"));
    let run = bench.run(&[]).ends(1);
    assert!(
        run.err.contains("sweep.yaml: arm `koleo-on`") && run.err.contains("did you mean `loss.koleo_weight`?"),
        "{}",
        run.err
    );
    let bench = bench.sweep(&SWEEP.replace("slots", "slot"));
    assert!(bench.run(&[]).ends(1).err.contains("unknown key `slot`; did you mean `slots`?"));
    let bench = bench.sweep(SWEEP);
    assert!(bench.run(&["--shards", "cell=x"]).ends(1).err.contains("did you mean `cells`?"));
    let run = bench.orchestrator(&["results", "sweep.yaml"]).ends(1);
    assert!(run.err.contains("holds no sweep `bench`"), "{}", run.err);
    assert!(!bench.path("store").exists());
}

#[test]
fn every_sweep_of_the_repository_resolves() {
    let bench = Bench::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/sweeps");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let run = bench.orchestrator(&["sweep", path.to_str().unwrap(), "--dry-run"]).ends(0);
        seen.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), run.out.lines().next().unwrap().to_owned()));
    }
    seen.sort();
    let lines: Vec<&str> = seen.iter().map(|(_, line)| line.as_str()).collect();
    let expected = [
        "Sweep ablations: 6 arms × 3 seeds",
        "Sweep ablations-tiny: 5 arms × 2 seeds",
        "Sweep quickstart: 3 arms × 2 seeds",
        "Sweep stain: 6 arms × 3 seeds",
    ];
    assert_eq!(lines, expected);
}

fn steps(bench: &Bench) -> u32 {
    let count =
        |key: &String| std::fs::read_to_string(bench.path("store").join(key)).unwrap_or_default().lines().count();
    bench.records("run/steps").iter().map(count).sum::<usize>() as u32
}

fn from(call: &str) -> u32 {
    call.split(" from ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}
