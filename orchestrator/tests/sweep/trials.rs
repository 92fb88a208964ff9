//! What is asked about single trials and about the sweeps of a store.

use crate::harness::{Bench, SWEEP, runs, wait_until};

#[test]
fn sweeps_are_listed_with_how_far_they_have_come() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    let missing = bench.orchestrator(&["list", "--store", "store"]).ends(1);
    assert!(missing.err.contains("there is no store at ") && missing.err.contains("--store"), "{}", missing.err);
    std::fs::create_dir(bench.path("empty")).unwrap();
    let none = bench.orchestrator(&["list", "--store", "empty"]).ends(0);
    assert!(none.out.is_empty() && none.err.contains("contains no sweep"), "{}{}", none.out, none.err);
    bench.run(&[]).ends(3);
    let misspelt = bench.orchestrator(&["status", "benhc", "--store", "store"]).ends(1);
    assert!(misspelt.err.contains("contains no sweep `benhc`; did you mean `bench`?"), "{}", misspelt.err);
    let bench = bench.sweep(&SWEEP.replace("name: bench", "name: other").replace("[0, 1]", "[0, 1, 2]"));
    bench.run(&["--only", "reference"]).ends(0);
    let list = bench.orchestrator(&["list", "--store", "store"]).ends(0).out;
    let words: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    let header = words[0].join(" ");
    assert_eq!(header, "sweep plan digest trials done failed running not done last activity");
    let of = |name: &str| words.iter().find(|line| line[0] == name).unwrap();
    assert_eq!(
        [of("bench")[1], of("bench")[3], of("bench")[4], of("bench")[5], of("bench")[7]],
        ["1", "7", "5", "2", "0"]
    );
    // The failed trials are the same in both sweeps, which share them; one more seed is not done.
    assert_eq!([of("other")[3], of("other")[4], of("other")[5], of("other")[7]], ["10", "7", "2", "1"], "{list}");
}

#[test]
fn the_log_of_a_trial_is_printed_from_the_work_folder_or_from_the_store() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    let unknown = bench.orchestrator(&["logs", "koleo-on/seed-0", "--store", "store"]).ends(1);
    assert!(unknown.err.contains("contains no sweep"), "{}", unknown.err);
    bench.run(&[]).ends(3);
    let log = |args: &[&str]| bench.orchestrator(&[&["logs", "--store", "store"], args].concat());
    let local = log(&["koleo-on/seed-0"]).ends(0).out;
    assert!(local.starts_with("reading ") && local.ends_with("error: the loss is not a number\n"), "{local}");
    assert_eq!(log(&["koleo-on/seed-0", "-n", "1"]).ends(0).out, "error: the loss is not a number\n");
    // The local folder is a cache.
    std::fs::remove_dir_all(bench.path("store/local")).unwrap();
    assert_eq!(log(&["koleo-on/seed-0"]).ends(0).out, local);
    let ended = log(&["koleo-on/seed-0", "--follow"]).ends(0);
    assert!(ended.err.contains("ended: train: exit code 1: the loss is not a number"), "{}", ended.err);
    let wrong = log(&["koleo-of/seed-0"]).ends(1);
    assert!(wrong.err.contains("did you mean `koleo-on/seed-0`?"), "{}", wrong.err);
    assert!(log(&["reference", "--sweep", "bench"]).ends(1).err.contains("such as reference/seed-0"));
}

#[test]
fn a_log_that_grows_is_followed_to_the_end_of_its_attempt() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.3").with("DOUBLE_STEPS", "8");
    let mut sweep = bench.start();
    wait_until("a run has begun", || !bench.records("reference.seed-0.attempt-1.log").is_empty());
    let log = bench.orchestrator(&["logs", "reference/seed-0", "--sweep", "sweep.yaml", "--follow"]).ends(0);
    assert_eq!(log.out.lines().filter(|line| line.starts_with("{\"step\": ")).count(), 8, "{}", log.out);
    assert!(log.err.ends_with("finished\n"), "{}", log.err);
    assert!(sweep.wait().unwrap().success());
}

#[test]
fn one_failed_trial_is_tried_again_and_no_other() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    bench.run(&[]).ends(3);
    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let retry = |args: &[&str]| {
        bench.orchestrator(
            &[&["retry", "--worker", bench.worker(), "--grace-s", "1", "--store", "store"], args].concat(),
        )
    };
    let run = retry(&["koleo-on/seed-1"]).ends(0);
    assert!(run.err.contains("1 trial finished now"), "{}", run.err);
    assert_eq!(bench.records("attempt-2/result.json").len(), 1);
    let again = retry(&["koleo-on/seed-1"]).ends(1);
    assert!(
        again.err.contains("koleo-on/seed-1 is finished (attempt 2): there is nothing to try again"),
        "{}",
        again.err
    );
    let slurm = retry(&["koleo-on/seed-0", "--backend", "slurm"]).ends(1);
    assert!(slurm.err.contains("are in the sweep file: name it with --sweep"), "{}", slurm.err);
    bench.run(&["--retry-failed"]).ends(0);
    assert_eq!(bench.records("attempt-2/result.json").len(), 2, "what was tried again alone counts for the sweep");
}

#[test]
fn a_sweep_of_this_machine_is_ended_from_elsewhere_and_continued() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "200");
    let nothing = bench.orchestrator(&["cancel", "sweep.yaml", "--worker", bench.worker()]).ends(0);
    assert!(nothing.out.contains("Nothing of sweep bench is running."), "{}", nothing.out);
    let mut sweep = bench.start();
    wait_until("two runs have begun", || bench.calls("train").len() == 2);
    let held = bench.orchestrator(&["retry", "reference/seed-0", "--store", "store"]).ends(1);
    assert!(held.err.contains("reference/seed-0 runs as process "), "{}", held.err);
    let run = bench.orchestrator(&["cancel", "bench", "--store", "store"]).ends(0);
    assert!(run.out.contains(&format!("Process {} has ended.", sweep.id())), "{}", run.out);
    assert!(run.out.contains("2 trials were stopped. The same sweep command continues them."), "{}", run.out);
    assert_eq!(sweep.wait().unwrap().code(), Some(130));
    assert!(bench.pids().iter().all(|pid| !runs(*pid)));
    bench.with("DOUBLE_STEPS", "1").run(&[]).ends(0);
}

#[test]
fn what_another_machine_runs_is_named_and_left_alone() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let key = bench.records("attempt-1/claim.json").into_iter().find(|key| key.contains("/seed-1/")).unwrap();
    let claim = bench.path("store").join(&key);
    let text = std::fs::read_to_string(&claim).unwrap();
    let host = text.split("\"host\": \"").nth(1).or_else(|| text.split("\"host\":\"").nth(1)).unwrap();
    let host = host.split('"').next().unwrap();
    // A claim of another host, whose attempt has not ended. The digest inside the record goes with its text.
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["holder"]["host"] = "elsewhere".into();
    record.as_object_mut().unwrap().retain(|name, _| ["holder", "sweep", "unix_s"].contains(&name.as_str()));
    assert_ne!(host, "elsewhere");
    std::fs::write(&claim, record.to_string()).unwrap();
    std::fs::remove_file(claim.with_file_name("result.json")).unwrap();
    let run = bench.orchestrator(&["cancel", "bench", "--store", "store"]).ends(1);
    assert!(
        run.out.contains("is claimed by process ")
            && run.out.contains(" on elsewhere: run `orchestrator cancel` there."),
        "{}",
        run.out
    );
}

#[test]
fn two_arms_and_two_trials_are_compared() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let compare = |args: &[&str]| bench.orchestrator(&[&["compare", "--store", "store"], args].concat());
    let arms = compare(&["reference", "koleo-on"]).ends(0).out;
    let line = |text: &str, words: &[&str]| {
        text.lines().any(|line| line.split_whitespace().take(words.len()).eq(words.iter().copied()))
    };
    assert!(line(&arms, &["loss.koleo_weight", "0.0", "0.1"]), "{arms}");
    // The double gives .5 + .01 seed + .02 fold + koleo weight.
    assert!(line(&arms, &["cells", "1nn", "weighted", "F1", "51.5", "61.5", "+10.0"]), "{arms}");
    let trials = compare(&["reference/seed-0", "reference/seed-1"]).ends(0).out;
    assert!(line(&trials, &["seed", "0", "1"]), "{trials}");
    let mixed = compare(&["reference", "koleo-on/seed-0"]).ends(1);
    assert!(mixed.err.contains("cannot be paired: name two arms"), "{}", mixed.err);
    // The double's random weights score what is below, for each arm alike.
    let below = compare(&["koleo-on", "random"]).ends(0).out;
    let above = compare(&["random@cells", "koleo-on"]).ends(0).out;
    assert!(
        below.contains("A baseline is not trained") && line(&below, &["cells", "1nn", "weighted", "F1", "61.5"]),
        "{below}"
    );
    let mirrored = |text: &str| {
        let of = text.lines().find(|line| line.contains("1nn")).map(|line| line.split_whitespace().collect::<Vec<_>>());
        of.map(|words| (words[4].to_owned(), words[5].to_owned(), words[6].trim_start_matches(['+', '−']).to_owned()))
    };
    let (Some(one), Some(other)) = (mirrored(&below), mirrored(&above)) else { panic!("{below}\n{above}") };
    assert_eq!((&one.0, &one.1, &one.2), (&other.1, &other.0, &other.2), "B − A turns its sign");
    let two = compare(&["random", "random@cells"]).ends(1);
    assert!(two.err.contains("are two baselines"), "{}", two.err);
}
