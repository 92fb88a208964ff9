//! Whole sweeps: the real orchestrator, real processes, a test double for the worker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod harness;
mod leakage;
mod live;
mod processes;
mod trials;

use harness::{Bench, SWEEP};

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
    assert!(again.err.contains("0 trials finished now, 7 before"), "{}", again.err);
    assert_eq!(bench.journal(), journal, "no worker was started");
    assert!(bench.records("tables/2/report.md").is_empty(), "the same table is not written twice");

    let csv = bench.orchestrator(&["results", "sweep.yaml", "--format", "csv"]).ends(0).out;
    assert!(csv.lines().any(|line| line.contains("koleo-on") && line.contains("0.615")), "{csv}");
    let status = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(status.contains("7 trials: 7 done, 0 failed, 0 running, 0 to run"), "{status}");
}

#[test]
fn a_report_is_written_with_the_tables_and_can_be_made_again() {
    let bench = Bench::new();
    let run = bench.run(&[]).ends(0);
    let kept = bench.path("store").join(&bench.records("tables/1/report.html")[0]);
    let page = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(run.out.lines().last().unwrap(), format!("Report: {}", kept.display()));
    assert!(page.contains("SMOKE TEST") && page.contains("default-src 'none'"));

    bench.orchestrator(&["report", "sweep.yaml", "--out", "again.html", "--data", "data.json"]).ends(0);
    assert_eq!(std::fs::read_to_string(bench.path("again.html")).unwrap(), page);
    let data: serde_json::Value = serde_json::from_slice(&std::fs::read(bench.path("data.json")).unwrap()).unwrap();
    let arms = data["evaluations"][0]["lines"].as_array().unwrap();
    assert!(arms.iter().any(|line| line["name"] == "koleo-on" && line["kind"] == "arm"), "{data:#}");
    assert_eq!(data["run"]["arms"][1]["changes"], "loss.koleo_weight=0.1");
    assert!(data["methods"][1].as_str().unwrap().contains("2 arms"), "{data:#}");

    bench.orchestrator(&["report", "--from", "data.json", "--out", "from.html"]).ends(0);
    assert_eq!(std::fs::read_to_string(bench.path("from.html")).unwrap(), page);
    let wrong = bench.orchestrator(&["report", "--from", "base.yaml"]).ends(1);
    assert!(wrong.err.contains("base.yaml holds no report"), "{}", wrong.err);
    let latex = bench.orchestrator(&["results", "sweep.yaml", "--format", "latex"]).ends(0).out;
    assert!(latex.contains("\\begin{tabular}") && latex.contains("koleo-on"), "{latex}");
}

/// Released weights are scored once for each evaluation set, and again where their file is another.
#[test]
fn released_weights_stand_beside_the_arms_and_count_by_their_file() {
    let sweep =
        SWEEP.replace("arms:\n", "baselines: [{name: dinov2, weights: d.pth, layout: dinov2, size: 112}]\narms:\n");
    let bench = Bench::new().sweep(&sweep);
    let missing = bench.run(&[]).ends(1);
    assert!(missing.err.contains("`baselines[0].weights`: there is no file d.pth: "), "{}", missing.err);
    std::fs::write(bench.path("d.pth"), "weights").unwrap();
    let run = bench.run(&[]).ends(0);
    assert_eq!(bench.calls("weights"), ["weights dinov2 d.pth"]);
    assert!(run.out.contains("baseline: dinov2"), "{}", run.out);
    let csv = bench.orchestrator(&["results", "sweep.yaml", "--format", "csv"]).ends(0).out;
    assert_eq!(csv.lines().filter(|line| line.contains("dinov2") && line.contains("0.7")).count(), 1, "{csv}");
    std::fs::write(bench.path("d.pth"), "other weights").unwrap();
    let journal = bench.calls("train").len();
    bench.run(&[]).ends(0);
    assert_eq!((bench.calls("weights").len(), bench.calls("train").len()), (2, journal));
}

/// A sweep that trains nothing: baselines alone, in their table and report.
#[test]
fn a_sweep_without_arms_scores_its_baselines() {
    let sweep = SWEEP
        .replace("train: TRAIN, ", "")
        .replace(
            "arms:\n  reference:\n  koleo-on: {loss.koleo_weight: 0.1}\n",
            "baselines:\n  - {name: a, weights: a.pth}\n  - {name: b, weights: b.pth}\n",
        )
        .replace("[0, 1]", "[0]");
    let bench = Bench::new().sweep(&sweep);
    for name in ["a", "b"] {
        std::fs::write(bench.path(&format!("{name}.pth")), name).unwrap();
    }
    let planned = bench.orchestrator(&["sweep", "sweep.yaml", "--dry-run", "--worker", bench.worker()]).ends(0);
    assert!(
        planned.out.contains("4 trials: 0 done") && planned.out.contains("probe --weights a.pth"),
        "{}",
        planned.out
    );
    let run = bench.run(&[]).ends(0);
    for line in ["baseline: a", "baseline: b", "baseline: random", "baseline: histogram"] {
        assert!(run.out.contains(line), "{line} is not in {}", run.out);
    }
    assert!(bench.calls("train").is_empty());
    assert_eq!(bench.records("tables/1/report.html").len(), 1);
    let again = bench.run(&[]).ends(0);
    assert!(again.err.contains("0 trials finished now, 4 before"), "{}", again.err);
    let status = bench.orchestrator(&["status", "bench", "--store", "store"]).ends(0).out;
    assert!(status.contains("4 trials: 4 done"), "{status}");
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
    assert!(run.err.contains("3 trials finished now, 7 before"), "{}", run.err);
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
    assert!(run.err.contains("5 before") && run.err.contains("run 1 of this sweep"), "{}", run.err);
    // Every trial has ended, so the run has; only its failures may still be tried again.
    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let run = bench.run(&["--retry-failed"]).ends(0);
    assert!(run.err.contains("2 trials finished now, 5 before"), "{}", run.err);
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("7 trials finished now, 0 before") && run.err.contains("run 2 of"), "{}", run.err);
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
    assert!(run.err.contains("error: there is no `sbatch` on PATH"), "{}", run.err);
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
    assert!(run.err.contains("contains no sweep `bench`"), "{}", run.err);
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
            run.err.lines().filter(|line| line.starts_with("error: ")).all(|line| [
                "shard set ",
                "`init.weights`",
                "`baselines["
            ]
            .iter()
            .any(|known| line.contains(known))),
            "{}",
            run.err
        );
        seen.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), run.out.lines().next().unwrap().to_owned()));
    }
    seen.sort();
    let lines: Vec<&str> = seen.iter().map(|(_, line)| line.as_str()).collect();
    let expected = [
        "Sweep ablations: 6 arms × 3 seeds",
        "Sweep ablations-cells: 8 arms × 4 seeds",
        "Sweep ablations-tiny: 5 arms × 2 seeds",
        "Sweep beyond: 5 arms × 3 seeds",
        "Sweep evaluations-cells: 1 arm × 2 seeds",
        "Sweep paper-chula: 0 arms × 1 seed",
        "Sweep paper-dse: 0 arms × 1 seed",
        "Sweep paper-elsafty: 0 arms × 1 seed",
        "Sweep quickstart-synthetic: 3 arms × 4 seeds",
        "Sweep stain: 6 arms × 3 seeds",
    ];
    assert_eq!(lines, expected);
}

/// Nothing but shard sets is missing to whoever begins with the example of the guide.
#[test]
fn the_sweep_file_of_the_guide_resolves() {
    let repository = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let guide = std::fs::read_to_string(repository.join("docs/sweeps.md")).unwrap();
    let (_, chapter) = guide.split_once("## The file\n").unwrap();
    let (_, block) = chapter.split_once("```yaml\n").unwrap();
    let (example, _) = block.split_once("```").unwrap();
    let bench = Bench::new();
    for folder in ["guide/sweeps", "guide/train"] {
        std::fs::create_dir_all(bench.path(folder)).unwrap();
    }
    std::fs::write(bench.path("guide/sweeps/my-sweep.yaml"), example).unwrap();
    std::fs::copy(repository.join("configs/train/tiny.yaml"), bench.path("guide/train/tiny.yaml")).unwrap();
    let args = ["sweep", "guide/sweeps/my-sweep.yaml", "--dry-run", "--worker", bench.worker()];
    let run = bench.orchestrator(&args).ends(1);
    let problems: Vec<&str> = run.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(run.out.starts_with("Sweep my-sweep: "), "{}{}", run.out, run.err);
    assert!(!problems.is_empty() && problems.iter().all(|line| line.contains("there is no shard set ")), "{}", run.err);
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
    assert!(file.err.contains("this version of the file has not been run"), "{}", file.err);
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
            ": probe-cells with `probe.options.nonsense`: `worker probe` refuses it: unexpected argument '--nonsense' found",
        ),
        (
            SWEEP.replace("seeds:", "probe: {options: {no-random: true}}\nseeds:"),
            ": `probe.options.no-random`: write it with underscores: `no_random`",
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
    ];
    for (sweep, said) in cases {
        refused_before_anything_runs(&sweep, said);
    }
}

/// Runs a sweep and its dry run, which must both say what is wrong and where, and start nothing.
fn refused_before_anything_runs(sweep: &str, said: &str) {
    let bench = Bench::new().sweep(sweep);
    for args in [&["--dry-run"][..], &[]] {
        let run = bench.run(args).ends(1);
        assert!(run.err.contains(said) && run.err.contains("sweep.yaml line "), "{said} is not in {}", run.err);
    }
    assert!(bench.records("claim.json").is_empty() && bench.calls("train").is_empty());
}

#[test]
fn what_is_missing_is_refused_with_the_line_that_names_it() {
    let cases = [
        (SWEEP.replace("split: grouped", "split: groupd"), "line 5: `shards.eval[0].split`: shard set "),
        (
            SWEEP.replace("split: grouped", "split: groupd"),
            "has no split `groupd`; did you mean `grouped`? (to make it: ",
        ),
        (SWEEP.replace("CELLS", "./nowhere"), "line 5: `shards.eval[0].uri`: there is no shard set ./nowhere: "),
        (SWEEP.replace("TRAIN", "s3:/nowhere"), "s3:/nowhere looks like an address, but is only the path of a folder"),
        (
            format!("{SWEEP}set: {{init.weights: ./none.pth}}\n"),
            "line 12: `init.weights`: there is no file ./none.pth: correct the path",
        ),
    ];
    for (sweep, said) in cases {
        refused_before_anything_runs(&sweep, said);
    }
    let bench = Bench::new();
    let run = bench.orchestrator(&["sweep", "sweep.yaml", "--worker", "nowhere", "--dry-run"]).ends(1);
    assert!(run.err.contains("--worker nowhere: no such file"), "{}", run.err);
    let run = bench.orchestrator(&["sweep", "configs/sweeps/gone.yaml"]).ends(1);
    assert!(run.err.starts_with("error: there is no sweep file configs/sweeps/gone.yaml in "), "{}", run.err);
    // All that is wrong is said at once.
    let bench = bench.sweep(&SWEEP.replace("TRAIN", "./gone").replace("split: grouped", "split: groupd"));
    let run = bench.run(&[]).ends(1);
    assert!(run.err.contains("shard set ./gone") && run.err.contains("groupd"), "{}", run.err);
}
