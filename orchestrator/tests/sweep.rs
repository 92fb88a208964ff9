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
    assert_eq!(bench.results(), 4);
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
    assert!(again.err.contains("0 trials finished, 7 were finished before"), "{}", again.err);
    assert_eq!(bench.journal(), journal, "no worker was started");
    assert!(bench.records("tables/2/report.md").is_empty(), "the same table is not written twice");

    let csv = bench.orchestrator(&["results", "sweep.yaml", "--format", "csv"]).ends(0).out;
    assert!(csv.lines().any(|line| line.contains("koleo-on") && line.contains("0.615")), "{csv}");
    let status = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(status.contains("7 trials: 7 done, 0 failed, 0 running, 0 to run"), "{status}");
}

/// Random weights once per seed, the histogram once: trials share their rows, and no hours are charged to them.
#[test]
fn baselines_are_scored_once_and_shared() {
    let bench = Bench::new();
    let run = bench.run(&[]).ends(0);
    let mut calls = bench.calls("baseline");
    calls.sort();
    assert_eq!(calls, ["baseline histogram seed 0", "baseline random seed 0", "baseline random seed 1"]);
    assert_eq!(bench.calls("probe").len(), 4);
    let csv = bench.orchestrator(&["results", "sweep.yaml", "--format", "csv"]).ends(0).out;
    let lines: Vec<&str> = csv.lines().filter(|line| line.contains("random") || line.contains("histogram")).collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(run.out.contains("baseline: histogram"), "{}", run.out);

    // Another sweep of the same model, seeds and evaluation set scores none of them again.
    let bench =
        bench.sweep(&SWEEP.replace("name: bench", "name: other").replace("koleo_weight: 0.1", "koleo_weight: 0.2"));
    bench.run(&[]).ends(0);
    assert_eq!((bench.calls("baseline").len(), bench.calls("probe").len()), (3, 6));
}

#[test]
fn a_new_seed_runs_only_what_is_missing() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let bench = bench.sweep(&SWEEP.replace("[0, 1]", "[0, 1, 2]"));
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("3 trials finished, 7 were finished before"), "{}", run.err);
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
    assert_eq!(bench.results(), 2);
    assert!(
        run.out.contains("koleo-on") && run.out.contains("failed: attempt 1: train: exit code 1: the loss"),
        "{}",
        run.out
    );
    let status = bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out;
    assert!(status.contains("failed (attempt 1): train: exit code 1: the loss is not a number"), "{status}");

    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let calls = bench.journal().len();
    bench.run(&[]).ends(3);
    assert_eq!(bench.journal().len(), calls, "a failed trial is left alone unless asked");
    bench.run(&["--retry-failed"]).ends(0);
    assert_eq!(bench.records("attempt-2/result.json").len(), 2);
}

#[test]
fn a_store_that_takes_nothing_ends_the_sweep_and_is_no_trials_fault() {
    for kind in ["store_full", "store_unavailable", "store_denied"] {
        let bench = Bench::new().with("DOUBLE_FAILS_AS", kind);
        let run = bench.run(&["--slots", "1"]).ends(3);
        assert_eq!(bench.calls("train").len(), 1, "no further trial is started: {}", run.err);
        assert!(run.err.contains("it takes nothing, do this; no more trials are started"), "{}", run.err);
        let status = bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out;
        assert!(status.contains("cut off (attempt 1): train: ") && status.contains("do this"), "{status}");
        // Nothing needs to be retried by name.
        bench.with("DOUBLE_FAILS_AS", "").run(&[]).ends(0);
    }
    // Any other failure is told in the words of its record as well.
    let bench = Bench::new().with("DOUBLE_FAILS_AS", "out_of_memory");
    let run = bench.run(&["--only", "reference/seed-0"]).ends(3);
    assert!(run.err.contains("FAILED: train: exit code 1: ") && run.err.contains("do this"), "{}", run.err);
}

#[test]
fn max_failures_starts_no_more() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "seed");
    let run = bench.run(&["--slots", "1", "--max-failures", "1"]).ends(3);
    assert_eq!(bench.calls("train").len(), 1, "{}", run.err);
    assert!(run.err.contains("1 failed, "), "{}", run.err);
}

#[test]
fn only_runs_what_matches() {
    let bench = Bench::new();
    bench.run(&["--only", "koleo*/seed-1", "--only", "ref*/seed-1"]).ends(0);
    assert!(bench.calls("probe").iter().all(|line| line.contains("seed 1")), "{:?}", bench.journal());
    assert_eq!(bench.calls("probe").len(), 2);
    assert_eq!(bench.calls("baseline").len(), 2, "those of seed 1");
    for args in [&["--only", "koleo-of*"][..], &["--only", "koleo-of*", "--dry-run"]] {
        let run = bench.run(args).ends(1);
        assert!(run.err.contains("--only \"koleo-of*\" matches none; did you mean `koleo-on`?"), "{}", run.err);
    }
}

#[test]
fn a_killed_orchestrator_takes_its_workers_along_and_is_continued() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "20");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 6);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    wait_until("the workers ended by themselves", || bench.pids().iter().all(|pid| !runs(*pid)));
    assert_eq!(bench.results(), 0);
    let made = steps(&bench);

    let bench = bench.with("DOUBLE_STEP_S", "0");
    bench.run(&[]).ends(0);
    let resumed: Vec<u32> =
        bench.calls("train").iter().filter(|line| line.contains("attempt-2")).map(|line| from(line)).collect();
    assert_eq!(resumed.iter().sum::<u32>(), made, "the second attempts go on from the steps of the first");
    assert_eq!(bench.records("attempt-2/result.json").len(), 2);
    assert_eq!(bench.records("attempt-1/result.json").len(), 2 + 3, "two trials and the baselines");
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
    assert!(run.err.contains("5 trials finished, 0 were finished before, 0 failed, 2 left"), "{}", run.err);
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
    assert!(run.err.contains("5 were finished before") && run.err.contains("run 1 of this sweep"), "{}", run.err);
    // Every trial has ended, so the run has; only its failures may still be tried again.
    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let run = bench.run(&["--retry-failed"]).ends(0);
    assert!(run.err.contains("2 trials finished, 5 were finished before"), "{}", run.err);
    let run = bench.run(&[]).ends(0);
    assert!(
        run.err.contains("7 trials finished, 0 were finished before") && run.err.contains("run 2 of"),
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
    assert_eq!((koleo[1], koleo[3], koleo[6]), ("0", "not", "loss.koleo_weight=0.1"), "{}", run.out);
    assert!(run.out.contains("7 trials: 0 done, 0 failed, 0 running, 7 to run"), "{}", run.out);
    assert!(run.err.contains("A checkpoint takes up to 1.0 kB; the store has "), "{}", run.err);
    assert!(run.out.contains("worker train CONFIG.json --shards "), "{}", run.out);
    assert!(!bench.path("store").exists() && bench.journal().is_empty());
    // Without shards the matrix is still shown, but the sweep would fail, and so does its dry run.
    let bench = bench.sweep(&SWEEP.replace("TRAIN", "./nowhere"));
    let run = bench.run(&["--dry-run"]).ends(1);
    assert!(run.err.contains("shard set ./nowhere") && run.out.contains("unknown"), "{}{}", run.err, run.out);
}

#[test]
fn without_slurm_a_dry_run_shows_its_scripts_and_a_sweep_says_what_is_missing() {
    let slurm = format!("{SWEEP}slurm: {{partition: gpu, time: 24:00:00, max_parallel: 2}}\n");
    let slurm = slurm.replace("koleo-on: {", "koleo-on: {slurm.nodes: 2, ");
    let bench = Bench::new().sweep(&slurm).with("PATH", "/nowhere");
    let run = bench.run(&["--backend", "slurm", "--dry-run"]).ends(1);
    assert!(run.err.contains("array size of 1001"), "{}", run.err);
    assert!(run.err.contains("Error: there is no `sbatch` on PATH"), "{}", run.err);
    let arrays = |array: &str| run.out.matches(&format!("#SBATCH --array={array}%2\n")).count();
    assert_eq!((arrays("0-1"), arrays("0-4")), (2, 2), "two shapes, two jobs each, baselines among them: {}", run.out);
    assert_eq!(run.out.matches("#SBATCH --nodes=2\n").count(), 1, "{}", run.out);
    assert!(run.out.contains("#SBATCH --signal=B:USR1@300\n") && run.out.contains("--job probe\n"), "{}", run.out);
    let run = bench.run(&["--backend", "slurm"]).ends(1);
    assert!(run.err.contains("there is no `sbatch` on PATH: run this on a login node"), "{}", run.err);
    assert!(bench.records("claim.json").is_empty());
    let bench = bench.sweep(&slurm.replace("partition", "partitin"));
    let run = bench.run(&["--backend", "slurm"]).ends(1);
    assert!(
        run.err.contains("sweep.yaml line 12: unknown key `slurm.partitin`; did you mean `slurm.partition`?"),
        "{}",
        run.err
    );
}

#[test]
fn mistakes_are_refused_in_one_sentence_before_anything_runs() {
    let bench = Bench::new().sweep(&SWEEP.replace("koleo_weight", "koleo_wieght"));
    let run = bench.run(&[]).ends(1);
    assert!(
        run.err.contains(
            "arm `koleo-on`: sweep.yaml line 8: unknown key `loss.koleo_wieght`; did you mean `loss.koleo_weight`?"
        ),
        "{}",
        run.err
    );
    let bench = bench.sweep(&SWEEP.replace("slots", "slot"));
    assert!(bench.run(&[]).ends(1).err.contains("unknown key `slot`; did you mean `slots`?"));
    let bench = bench.sweep(&SWEEP.replace("koleo_weight: 0.1", "koleo_weight: -5"));
    let run = bench.run(&[]).ends(1);
    let told = "arm `koleo-on`: sweep.yaml line 8: `loss.koleo_weight`: a number from 0 is expected, not -5";
    assert!(run.err.contains(told), "{}", run.err);
    std::fs::write(bench.path("base.yaml"), b"model: {dim: 96, depth: 2, heads: 3}\n# caf\xe9\n").unwrap();
    let bench = bench.sweep(SWEEP);
    let run = bench.run(&[]).ends(1);
    assert!(run.err.contains("base.yaml line 2: the byte 0xe9 is not UTF-8: save the file as UTF-8"), "{}", run.err);
    std::fs::write(bench.path("base.yaml"), "model: {dim: 96, depth: 2, heads: 3}\n").unwrap();
    assert!(bench.run(&["--shards", "cell=x"]).ends(1).err.contains("did you mean `cells`?"));
    let run = bench.orchestrator(&["results", "bench", "--store", "store"]).ends(1);
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
        // It resolves; that its shard sets are not here is said, and is an error.
        let args = ["sweep", path.to_str().unwrap(), "--dry-run", "--worker", bench.worker()];
        let run = bench.orchestrator(&args).ends(1);
        assert!(
            run.err
                .lines()
                .filter(|line| line.starts_with("Error: "))
                .all(|line| ["shard set ", "`init.weights`"].iter().any(|known| line.contains(known))),
            "{}",
            run.err
        );
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

/// A worker of another commit takes the place of the planned one after two trials.
#[test]
fn a_replaced_worker_makes_no_row() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    bench.run(&["--only", "reference"]).ends(0);
    // The orchestrator has asked for the version when it planned; the double then claims another one.
    let bench = bench.with("DOUBLE_FAIL_IF", "").with("DOUBLE_REPLACED", "0.1.0+0the4");
    let run = bench.run(&[]).ends(3);
    assert!(
        run.err.contains("this worker is not what was planned: code is 0.1.0+0the4, planned was 0.1.0+d0ab1e5"),
        "{}",
        run.err
    );
    assert!(run.err.contains("no more trials are started"), "{}", run.err);
    assert_eq!(bench.results(), 2, "no result of the other worker");
    let status = bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out;
    assert!(status.contains("did not run") && status.contains("0 failed"), "{status}");
    // Put back, the same command goes on without --retry-failed.
    bench.with("DOUBLE_REPLACED", "").run(&[]).ends(0);
}

/// Rows that say they are of something else than was planned are a failed attempt, never a row of the table.
#[test]
fn rows_of_something_else_are_a_failed_attempt() {
    let wrong = "f".repeat(64);
    let lies = [
        ("s/\"step\":[1-9][0-9]*/\"step\":2/", "`step` is 2, planned was 32000"),
        (&format!("/teacher/s/\"shards_train\":\"[0-9a-f]*/\"shards_train\":\"{wrong}/"), "`shards_train` is ffff"),
        (&format!("s/\"shards_eval\":\"[0-9a-f]*/\"shards_eval\":\"{wrong}/"), "`shards_eval` is ffff"),
        (&format!("s/\"split_digest\":\"[0-9a-f]*/\"split_digest\":\"{wrong}/"), "`split_digest` is ffff"),
        ("s/\"split\":\"grouped/\"split\":\"other/", "`split` is other, planned was grouped"),
        ("/teacher/s/\"code\":\"[^\"]*/\"code\":\"0.1.0+0the4/", "`code` is 0.1.0+0the4"),
        ("s/\"code_probe\":\"[^\"]*/\"code_probe\":\"0.1.0+0the4/", "`code_probe` is 0.1.0+0the4"),
        (&format!("s/\"init_weights\":null/\"init_weights\":\"{wrong}\"/"), "`init_weights` is ffff"),
        ("/teacher/s/\"seed\":[0-9]*/\"seed\":7/", "`seed` is 7, planned was 0"),
    ];
    for (lie, said) in lies {
        let one = SWEEP.replace("[0, 1]", "[0]").replace("  koleo-on: {loss.koleo_weight: 0.1}\n", "");
        let bench = Bench::new().sweep(&one).with("DOUBLE_LIES", lie);
        let run = bench.run(&[]).ends(3);
        assert!(
            run.err.contains("the rows are not of what was planned") && run.err.contains(said),
            "{said}: {}",
            run.err
        );
        assert!(!run.out.contains("50.0"), "no number of it in the table: {}", run.out);
    }
}

/// One damaged record concerns one trial: the others are shown and run, and `verify --repair` lets it be done again.
#[test]
fn one_damaged_record_concerns_one_trial_and_is_repaired() {
    for record in ["claim.json", "result.json", "rows-cells.jsonl", "started-train.json"] {
        let bench = Bench::new();
        bench.run(&["--only", "*/seed-0"]).ends(0);
        let key = bench.records(&format!("attempt-1/{record}")).into_iter().find(|key| is_arm(&bench, key)).unwrap();
        std::fs::write(bench.path("store").join(&key), "").unwrap();
        let decides = matches!(record, "result.json" | "rows-cells.jsonl");
        // The trials of the other seed are run; the damaged one is listed with its key.
        let run = bench.run(&[]).ends(if decides { 3 } else { 0 });
        assert_eq!(bench.calls("trained").len(), 4, "{record}: {}", run.err);
        let (status, results) = (
            bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0),
            bench.orchestrator(&["results", "bench", "--store", "store"]).ends(0),
        );
        if decides {
            for text in [&run.err, &status.out, &results.out] {
                assert!(text.contains(&key) && text.contains("damaged"), "{record}: {text}");
            }
            assert!(status.out.contains("1 damaged"), "{}", status.out);
        }
        let verify = bench.orchestrator(&["verify", "store"]).ends(1);
        assert!(verify.out.contains(&key), "{record}: {}", verify.out);
        bench.orchestrator(&["verify", "store", "--repair"]).ends(0);
        bench.run(&[]).ends(0);
        assert!(bench.path("store").join(&key).exists(), "nothing is deleted");
        let verify = bench.orchestrator(&["verify", "store"]).ends(0);
        assert!(verify.out.contains("set aside"), "{record}: {}", verify.out);
    }
}

/// A plan or an invocation that is damaged stops nothing.
#[test]
fn damaged_plans_and_invocations_stop_nothing() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    for record in ["invocations/1.json", "plans/1.json"] {
        let key = bench.records(record).remove(0);
        std::fs::write(bench.path("store").join(&key), "").unwrap();
        bench.orchestrator(&["status", "sweep.yaml", "--worker", bench.worker()]).ends(0);
        bench.orchestrator(&["results", "sweep.yaml", "--worker", bench.worker()]).ends(0);
        let verify = bench.orchestrator(&["verify", "store"]).ends(1);
        assert!(verify.out.contains(&key), "{}", verify.out);
        bench.run(&[]).ends(0);
    }
    assert!(bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out.contains("7 done"));
    assert_eq!(bench.calls("trained").len(), 4, "nothing was run again");
}

/// A result that was copied from another trial is no result of this one.
#[test]
fn another_trials_result_is_noticed_and_done_again() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let results = bench.records("attempt-1/result.json");
    let arms: Vec<&String> = results.iter().filter(|key| is_arm(&bench, key)).collect();
    let (mine, other) = (bench.path("store").join(arms[0]), bench.path("store").join(arms[1]));
    for name in ["result.json", "rows-cells.jsonl"] {
        std::fs::copy(other.with_file_name(name), mine.with_file_name(name)).unwrap();
    }
    let results = bench.orchestrator(&["results", "sweep.yaml"]).ends(0).out;
    assert!(results.contains("is the result of another attempt"), "{results}");
    assert!(bench.orchestrator(&["verify", "store"]).ends(1).out.contains(arms[0].as_str()));
    bench.run(&["--dry-run"]).ends(3);
    bench.run(&[]).ends(3);
    let run = bench.run(&["--retry-failed"]).ends(0);
    assert!(run.err.contains("its attempt 1 is set aside"), "{}", run.err);
    assert!(bench.orchestrator(&["results", "sweep.yaml"]).ends(0).out.contains("Trials without scores: none"));
}

/// What `status` calls damaged, `verify` finds and sets aside: here rows of another step under an old result record.
#[test]
fn what_is_not_of_the_plan_is_found_by_verify_too() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let store = bench.path("store");
    let key = bench.records("rows-cells.jsonl").into_iter().find(|key| is_arm(&bench, key)).unwrap();
    let rows = std::fs::read_to_string(store.join(&key)).unwrap().replace("\"step\":32000", "\"step\":4");
    std::fs::write(store.join(&key), rows).unwrap();
    let result = key.replace("rows-cells.jsonl", "result.json");
    std::fs::write(store.join(&result), format!("{{\"stages\": [], \"rows\": [\"{key}\"], \"unix_s\": 1}}")).unwrap();
    let status = bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out;
    assert!(status.contains("`step` is 4, planned was 32000") && status.contains("1 damaged"), "{status}");
    bench.orchestrator(&["verify", "store", "--repair"]).ends(0);
    bench.run(&[]).ends(0);
    assert!(bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out.contains("7 done"));
    assert!(bench.orchestrator(&["verify", "train"]).ends(1).err.contains("holds nothing of a sweep"));
}

/// A record that says who began decides nothing once the attempt has ended: a good result is not thrown away.
#[test]
fn a_damaged_claim_of_a_finished_attempt_costs_no_result() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let key = bench.records("attempt-1/claim.json").into_iter().find(|key| is_arm(&bench, key)).unwrap();
    std::fs::write(bench.path("store").join(&key), "").unwrap();
    assert!(bench.orchestrator(&["verify", "store", "--repair"]).ends(0).out.contains(&key));
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("0 trials finished, 7 were finished before"), "{}", run.err);
}

/// One value of a rows file is changed; its digest stands in the attempt's result record.
#[test]
fn edited_rows_are_noticed() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let key = bench.records("rows-cells.jsonl").into_iter().find(|key| is_arm(&bench, key)).unwrap();
    let path = bench.path("store").join(&key);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"value\":0.", "\"value\":0.9", 1)).unwrap();
    let results = bench.orchestrator(&["results", "sweep.yaml"]).ends(0).out;
    assert!(results.contains("damaged") && results.contains("does not match the digest"), "{results}");
    assert!(results.contains("Trials without scores: 1, 1 of them"), "{results}");
}

/// A command given a file uses that file; given a name, the newest plan by its number.
#[test]
fn a_file_is_its_own_plan_and_a_name_is_the_newest() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let bench = bench.sweep(&SWEEP.replace("arms:\n", "arms:\n  locals: {loss.n_local: 8}\n"));
    let file = bench.orchestrator(&["status", "sweep.yaml", "--worker", bench.worker()]).ends(0);
    assert!(
        file.out.contains("locals") && file.out.contains("9 trials: 7 done, 0 failed, 0 running, 2 to run"),
        "{}",
        file.out
    );
    assert!(file.err.contains("nothing has been run of this version of the file"), "{}", file.err);
    let results = bench.orchestrator(&["results", "sweep.yaml", "--worker", bench.worker()]).ends(0).out;
    assert!(results.contains("locals seed 0") && results.contains("not run yet"), "{results}");
    let name = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(!name.contains("locals") && name.contains("7 done"), "{name}");
    bench.run(&[]).ends(0);
    let name = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(name.contains("locals") && name.contains("9 done"), "{name}");
    // The first file again: its plan becomes the newest, whatever the clock says.
    let bench = bench.sweep(SWEEP);
    bench.run(&[]).ends(0);
    let name = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(!name.contains("locals"), "{name}");
    assert_eq!(bench.records("plans/3.json").len(), 1);
    // A recorded plan of this very file needs neither worker nor shards.
    std::fs::remove_dir_all(bench.path("train")).unwrap();
    bench.orchestrator(&["results", "sweep.yaml", "--worker", "nowhere"]).ends(0);
}

/// What the worker would refuse after hours of training is refused before anything runs, in a dry run too.
#[test]
fn what_can_be_refused_is_refused_before_anything_runs() {
    let cases = [
        (
            SWEEP.replace("seeds:", "probe: {options: {nonsense: 1}}\nseeds:"),
            "with `probe.options`: `worker probe` refuses it: unexpected argument '--nonsense' found",
        ),
        (
            SWEEP.replace("seeds:", "probe: {options: {no-random: true}}\nseeds:"),
            "`probe.options.no-random`: write it with underscores: `no_random`",
        ),
        (
            SWEEP.replace("seeds:", "probe: {options: {no_random: maybe}}\nseeds:"),
            "`probe.options.no_random`: true or false is expected",
        ),
        (
            SWEEP.replace("seeds:", "probe: {options: {expect: code=x}}\nseeds:"),
            "`probe.options.expect`: the sweep gives this option itself",
        ),
        (
            SWEEP.replace("seeds:", "probe: {options: {step: 99999}}\nseeds:"),
            "`probe.options.step`: 99999 will not be a checkpoint",
        ),
        (
            SWEEP.replace("seeds:", "probe: {options: {step: '6'}}\nseeds:"),
            "`probe.options.step`: a step number is expected",
        ),
        (SWEEP.replace("split: grouped", "split: groupd"), "has no split `groupd` (did you mean `grouped`?)"),
        (SWEEP.replace("CELLS", "./nowhere"), "shard set ./nowhere"),
        (format!("{SWEEP}set: {{init.weights: ./none.pth}}\n"), "`init.weights`: ./none.pth cannot be read"),
    ];
    for (sweep, said) in cases {
        let bench = Bench::new().sweep(&sweep);
        for args in [&["--dry-run"][..], &[]] {
            let run = bench.run(args).ends(1);
            assert!(run.err.contains(said), "{said} is not in {}", run.err);
        }
        assert!(bench.records("claim.json").is_empty() && bench.calls("train").is_empty());
    }
    let bench = Bench::new();
    let run = bench.orchestrator(&["sweep", "sweep.yaml", "--worker", "nowhere", "--dry-run"]).ends(1);
    assert!(run.err.contains("--worker nowhere: no such file"), "{}", run.err);
    // All that is wrong is said at once.
    let bench = bench.sweep(&SWEEP.replace("TRAIN", "./gone").replace("split: grouped", "split: groupd"));
    let run = bench.run(&[]).ends(1);
    assert!(run.err.contains("shard set ./gone") && run.err.contains("groupd"), "{}", run.err);
}

/// Another file under the same name is another experiment.
#[test]
fn initial_weights_belong_to_the_trial_by_content() {
    let bench = Bench::new().sweep(&format!("{SWEEP}set: {{init.weights: ./w.pth}}\n"));
    std::fs::write(bench.path("w.pth"), "weights").unwrap();
    bench.run(&[]).ends(0);
    std::fs::write(bench.path("w.pth"), "other weights").unwrap();
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("4 trials finished, 3 were finished before"), "{}", run.err);
    assert_eq!(bench.calls("trained").len(), 8);
}

/// A store as version 0.1.0+ad7c975 left it: records without digests, plans known by the clock, baselines beside the
/// teacher's rows, and rows that do not say which split file or weights they are of.
#[test]
fn a_store_of_an_older_version_is_read_as_before() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let store = bench.path("store");
    let read = |key: &str| std::fs::read_to_string(store.join(key)).unwrap();
    for key in bench.records(".json").iter().filter(|key| !key.contains("/run/") && !key.starts_with("local")) {
        let mut record: serde_json::Value = serde_json::from_str(&read(key)).unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.remove("record_digest");
        fields.remove("baselines");
        for file in fields.get_mut("rows").and_then(|rows| rows.as_array_mut()).into_iter().flatten() {
            *file = file["key"].clone();
        }
        std::fs::write(store.join(key), record.to_string()).unwrap();
    }
    for key in bench.records("rows-cells.jsonl").iter().filter(|key| is_arm(&bench, key)) {
        let mut old = String::new();
        for line in read(key).lines() {
            let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
            for column in ["init_weights", "code_probe", "split_digest", "transductive"] {
                row.as_object_mut().unwrap().remove(column).unwrap();
            }
            row["note"] = "transductive".into();
            old.push_str(&format!("{row}\n"));
            (row["features"], row["step"], row["value"]) = ("random".into(), 0.into(), 0.375.into());
            old.push_str(&format!("{row}\n"));
        }
        std::fs::write(store.join(key), old).unwrap();
    }
    let plan = bench.records("plans/1.json").remove(0);
    let sweep = bench.records("invocations/1.json").remove(0).replace("/invocations/1.json", "");
    std::fs::rename(store.join(&plan), store.join(sweep).join("plan.json")).unwrap();

    let status = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(status.contains("4 trials: 4 done"), "{status}");
    let results = bench.orchestrator(&["results", "bench", "--store", "store"]).ends(0).out;
    for words in ["61.5", "baseline: random", "37.5", "note: 1nn koleo-on: transductive", "Trials without scores: none"]
    {
        assert!(results.contains(words), "{words} is not in {results}");
    }
    let verify = bench.orchestrator(&["verify", "store"]).ends(0).out;
    assert!(verify.contains("0 damaged"), "{verify}");
    // The same sweep goes on with it: only the baselines are scored, which are trials of their own now.
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("4 of 7 trials were finished before") || run.err.contains("7 of 7"), "{}", run.err);
    assert_eq!(bench.calls("trained").len(), 4);
}

/// Whether a key is of a trial that trains.
fn is_arm(bench: &Bench, key: &str) -> bool {
    let trial = key.split("/probes-").next().unwrap();
    bench.path("store").join(trial).join("run").exists()
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
