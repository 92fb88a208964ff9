//! What a sweep makes of records that are damaged, foreign, or of an older version.

use crate::harness::{Bench, SWEEP};

/// A worker of another commit takes the place of the planned one after two trials.
#[test]
fn a_replaced_worker_makes_no_row() {
    let bench = Bench::new().with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    bench.run(&["--only", "reference"]).ends(0);
    // The orchestrator has asked for the version when it planned; the double then claims another one.
    let bench = bench.with("DOUBLE_FAIL_IF", "").with("DOUBLE_REPLACED", "0.1.0+0the4");
    let run = bench.run(&[]).ends(3);
    assert!(
        run.err.contains("this worker is not what was planned: code is 0.1.0+0the4, but 0.1.0+d0ab1e5 was planned"),
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
        ("s/\"step\":[1-9][0-9]*/\"step\":2/", "`step` is 2, but 32000 was planned"),
        (&format!("/teacher/s/\"shards_train\":\"[0-9a-f]*/\"shards_train\":\"{wrong}/"), "`shards_train` is ffff"),
        (&format!("s/\"shards_eval\":\"[0-9a-f]*/\"shards_eval\":\"{wrong}/"), "`shards_eval` is ffff"),
        (&format!("s/\"split_digest\":\"[0-9a-f]*/\"split_digest\":\"{wrong}/"), "`split_digest` is ffff"),
        ("s/\"split\":\"grouped/\"split\":\"other/", "`split` is other, but grouped was planned"),
        ("/teacher/s/\"code\":\"[^\"]*/\"code\":\"0.1.0+0the4/", "`code` is 0.1.0+0the4"),
        ("s/\"code_probe\":\"[^\"]*/\"code_probe\":\"0.1.0+0the4/", "`code_probe` is 0.1.0+0the4"),
        (&format!("s/\"init_weights\":null/\"init_weights\":\"{wrong}\"/"), "`init_weights` is ffff"),
        ("/teacher/s/\"seed\":[0-9]*/\"seed\":7/", "`seed` is 7, but 0 was planned"),
    ];
    for (lie, said) in lies {
        let one = SWEEP.replace("[0, 1]", "[0]").replace("  koleo-on: {loss.koleo_weight: 0.1}\n", "");
        let bench = Bench::new().sweep(&one).with("DOUBLE_LIES", lie);
        let run = bench.run(&[]).ends(3);
        assert!(run.err.contains("the rows are not what was planned") && run.err.contains(said), "{said}: {}", run.err);
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

/// A result that was copied from another trial does not count as a result of this one.
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
    assert!(status.contains("`step` is 4, but 32000 was planned") && status.contains("1 damaged"), "{status}");
    bench.orchestrator(&["verify", "store", "--repair"]).ends(0);
    bench.run(&[]).ends(0);
    assert!(bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out.contains("7 done"));
    assert!(bench.orchestrator(&["verify", "train"]).ends(1).err.contains("contains nothing of a sweep"));
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
    assert!(run.err.contains("0 trials finished now, 7 before"), "{}", run.err);
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

/// Another file under the same name is another experiment.
#[test]
fn initial_weights_belong_to_the_trial_by_content() {
    let bench = Bench::new().sweep(&format!("{SWEEP}set: {{init.weights: ./w.pth}}\n"));
    std::fs::write(bench.path("w.pth"), "weights").unwrap();
    bench.run(&[]).ends(0);
    std::fs::write(bench.path("w.pth"), "other weights").unwrap();
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("4 trials finished now, 3 before"), "{}", run.err);
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
    for words in [
        "61.5",
        "baseline: random",
        "37.5",
        "note: reference, koleo-on, baseline: random: transductive",
        "Trials without scores: none",
    ] {
        assert!(results.contains(words), "{words} is not in {results}");
    }
    let verify = bench.orchestrator(&["verify", "store"]).ends(0).out;
    assert!(verify.contains(": OK: ") && verify.contains("; none damaged"), "{verify}");
    // The same sweep goes on with it: only the baselines are scored, which are trials of their own now.
    let run = bench.run(&[]).ends(0);
    assert!(run.err.contains("4 of 7 trials have finished earlier") || run.err.contains("7 of 7"), "{}", run.err);
    assert_eq!(bench.calls("trained").len(), 4);
}

/// Whether a key is of a trial that trains.
fn is_arm(bench: &Bench, key: &str) -> bool {
    let trial = key.split("/probes-").next().unwrap();
    bench.path("store").join(trial).join("run").exists()
}
