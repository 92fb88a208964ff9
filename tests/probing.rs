//! What probing leaves, with real processes: predictions from which the rows can be derived again, and features for the
//! next probe.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use store::Store;
use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, run};

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("it is written");
}

fn only_file(folder: &str, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn features_are_kept_for_the_next_probe_and_made_again_where_they_are_damaged() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let uri = bench.path("run");
    let probe = |name: &str, more: &[&str]| {
        let out = bench.path(&format!("rows-{name}.jsonl"));
        let fixed =
            ["--run", &uri, "--shards", text(&shards().1), "--split", "grouped", "--no-random", "--no-histogram"];
        let args = [&["probe", "--out", &out, "--bootstrap", "0"], &fixed[..], more].concat();
        let output =
            Command::new(program("worker")).args(args).env("RUST_LOG", "info").output().expect("worker starts");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{log}");
        let rows = std::fs::read_to_string(&out).expect("rows");
        (log, rows, std::fs::read(bench.path(&format!("predictions-{name}.parquet"))).expect("predictions"))
    };
    let (_, rows, predictions) = probe("early", &["--keep-features", "all", "--step", "20"]);
    assert!(!rows.contains("optimum_distance") && !predictions.is_empty());
    let first = probe("first", &["--keep-features", "last"]);
    let folder = bench.path("run/features");
    let kept = only_file(&folder, ".f32");
    assert_eq!(std::fs::metadata(&kept).expect("a file").len() % (4 * 32), 0, "whole rows of 32 values");

    let again = probe("again", &["--keep-features", "last"]);
    assert!(again.0.contains("an earlier probe has kept"), "{}", again.0);
    assert_eq!((again.1, again.2), (first.1.clone(), first.2.clone()));

    flip(&kept);
    let (log, rows, _) = probe("damaged", &["--keep-features", "last", "--evaluations", "optimum"]);
    assert!(log.contains("kept features are damaged") && !log.contains("an earlier probe has kept"), "{log}");
    let measured: Vec<&str> = rows.lines().filter(|row| !row.contains("\"optimum_")).collect();
    assert_eq!(measured, first.1.lines().collect::<Vec<_>>(), "the optimum only adds rows");
    assert_eq!(rows.lines().count(), measured.len() + 2 * 3, "two for each fold");
    only_file(&folder, ".f32");
    run("worker", &["verify", &uri]);
}

/// What a run exports is scored as the run itself: by `worker probe --weights`, and as a baseline of a sweep that trains nothing.
#[test]
fn weights_of_a_file_are_scored_as_the_run_that_they_are_from() {
    let bench = Bench::new();
    bench.train("run", &[]);
    run("worker", &["export", "--run", &bench.path("run"), "--out", &bench.path("model")]);
    let (weights, config) = (bench.path("model/model.safetensors"), bench.path("config.yaml"));
    let scoring = ["--shards", text(&shards().1), "--split", "grouped", "--bootstrap", "0"];
    let values = |of: &[&str], name: &str| -> Vec<String> {
        let out = bench.path(&format!("{name}.jsonl"));
        run("worker", &[&["probe", "--no-random", "--no-histogram", "--out", &out], of, &scoring[..]].concat());
        let rows = std::fs::read_to_string(&out).expect("rows");
        let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row"));
        rows.map(|row| {
            assert_eq!(row["features"], name);
            format!("{} {} {} {} {}", row["probe"], row["metric"], row["fold"], row["class"], row["value"])
        })
        .collect()
    };
    let trained = values(&["--run", &bench.path("run")], "teacher");
    let of_file = ["--weights", &weights, "--config", &config, "--layout", "timm", "--name", "exported"];
    assert_eq!(values(&of_file, "exported"), trained);
    // The number of heads is read from the config.json beside the file.
    let alone = ["--weights", &weights, "--size", "56", "--name", "alone"];
    assert_eq!(values(&alone, "alone"), trained);

    let refused = |more: &[&str], why: &str| {
        let args = [&["probe", "--weights", &weights], more, &scoring[..]].concat();
        let output = Command::new(program("worker")).args(args).output().expect("worker starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{why} is not in {said}");
    };
    let other = system_tests::root().join("configs/train/tiny.yaml");
    refused(&["--config", text(&other)], "and the configuration describes width");
    std::fs::remove_file(bench.path("model/config.json")).expect("what names the heads is removed");
    refused(&[], "a width of 32 is not a multiple of 64");
    refused(&["--config", &config, "--layout", "dinov2"], "has layout timm, not dinov2");
    refused(&["--config", &config, "--size", "60"], "a multiple of the model's patch of 14 pixels is expected");

    // Images a second are never measured alike: a probe that was interrupted before it wrote its rows goes on from its file.
    let out = bench.path("cost.jsonl");
    let args =
        [&["probe", "--out", &out, "--evaluations", "cost", "--no-histogram"], &of_file[..], &scoring[..]].concat();
    run("worker", &args);
    let first = std::fs::read_to_string(&out).expect("rows");
    assert!(first.contains("parameters_million") && first.contains("images_per_s"), "{first}");
    std::fs::remove_file(&out).expect("the rows are removed");
    run("worker", &args);
    assert_eq!(std::fs::read_to_string(&out).expect("rows"), first);

    let sweep = format!(
        "name: alone\nbase: config.yaml\nshards: {{eval: [{{name: cells, uri: {}, split: grouped}}]}}\n\
         baselines: [{{name: exported, weights: {weights}, config: config.yaml}}]\nevidence: false\n\
         evaluations: [cost]\nprobe: {{options: {{no_random: true}}}}\n",
        text(&shards().1)
    );
    let (file, at) = (bench.path("alone.yaml"), bench.path("store"));
    std::fs::write(&file, sweep).expect("the sweep is written");
    let done = run("orchestrator", &["sweep", &file, "--store", &at]);
    let table = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(table.contains("baseline: exported") && table.contains("baseline: histogram"), "{table}");
    let data = run("orchestrator", &["results", &file, "--store", &at, "--format", "md"]);
    let data = String::from_utf8_lossy(&data.stdout).into_owned();
    assert!(data.contains("GFLOP an image"), "{data}");
}

#[test]
fn further_evaluations_only_add_rows_and_another_token_is_named_in_them() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let uri = bench.path("run");
    let probe = |name: &str, more: &[&str]| {
        let out = bench.path(&format!("rows-{name}.jsonl"));
        let fixed = ["--run", &uri, "--shards", text(&shards().1), "--split", "grouped", "--bootstrap", "0"];
        let args = [&["probe", "--out", &out], &fixed[..], more].concat();
        let output = Command::new(program("worker")).args(args).output().expect("worker starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows = std::fs::read_to_string(&out).expect("rows");
        let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).expect("a row")).collect();
        (rows, String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let (published, _) = probe("published", &[]);
    let all = "optimum,knn,nearest_mean,mlp,calibration,label_efficiency,labels_per_class,anomaly,cost,controls";
    let (rows, said) = probe("all", &["--evaluations", all, "--shape"]);
    let added = |row: &Value| {
        let probe = row["probe"].as_str().unwrap();
        let of_fit = row["metric"].as_str().unwrap().starts_with("optimum_");
        row["evaluation"].is_string()
            || of_fit
            || ["knn_cosine", "nearest_mean", "mlp"].contains(&probe)
            || row["features"] == "shape"
    };
    let before: Vec<&Value> = rows.iter().filter(|row| !added(row)).collect();
    assert_eq!(before, published.iter().collect::<Vec<_>>());
    for (evaluation, features) in [
        ("calibration", "teacher"),
        ("label_efficiency", "random"),
        ("labels_per_class", "teacher"),
        ("controls", "shape"),
    ] {
        assert!(rows.iter().any(|row| row["evaluation"] == evaluation && row["features"] == features), "{evaluation}");
    }
    let patches =
        |features: &str| rows.iter().any(|row| row["probe"] == "patch_distance" && row["features"] == features);
    assert!(patches("teacher") && patches("random") && !patches("histogram"), "models alone have patches");
    assert!(said.contains("label_efficiency     linear_standardised at 5 %: accuracy"), "{said}");

    let (rows, _) = probe("both", &["--token", "both"]);
    assert!(
        rows.iter().all(|row| row["token"] == if row["features"] == "histogram" { Value::Null } else { "both".into() })
    );
    let value = |rows: &[Value]| rows.iter().find(|row| row["probe"] == "features").unwrap()["value"].as_f64();
    assert_ne!(value(&rows), value(&published), "other features");
    let refused = Command::new(program("worker"))
        .args([
            "probe",
            "--run",
            &uri,
            "--shards",
            text(&shards().1),
            "--split",
            "grouped",
            "--evaluations",
            "anomaly",
            "--normal",
            "none",
        ])
        .output()
        .expect("worker starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no class is called none; there are"), "{said}");
}

#[test]
fn the_rows_of_a_sweep_are_derived_again_from_its_predictions() {
    let bench = Bench::new();
    let (patches, cells) = shards();
    let sweep = format!(
        "name: tiny\nbase: config.yaml\nstore: store\nshards: {{train: {}, eval: [{{name: cells, uri: {}, split: grouped}}]}}\n\
         set: {{optim.epoch_length: 6}}\nreference: reference\narms: {{reference: }}\nseeds: [0]\nevidence: false\n\
         probe: {{options: {{no_random: true, bootstrap: 0, keep_features: last}}}}\n",
        text(patches),
        text(cells)
    );
    let (file, at) = (bench.path("tiny.yaml"), bench.path("store"));
    std::fs::write(&file, sweep).expect("the sweep is written");
    let planned = run("orchestrator", &["sweep", &file, "--store", &at, "--dry-run"]);
    let planned = String::from_utf8_lossy(&planned.stderr).into_owned();
    assert!(planned.contains("the features that the probes keep take"), "{planned}");
    run("orchestrator", &["sweep", &file, "--store", &at]);

    let orchestrator = |args: &[&str]| {
        let output = Command::new(program("orchestrator")).args(args).output().expect("orchestrator starts");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let recompute = || orchestrator(&["results", &file, "--store", &at, "--recompute"]);
    let (code, said) = recompute();
    assert_eq!((code, said.lines().next()), (Some(0), Some("2 files of rows agree with their predictions, 0 differ")));

    // A row that its predictions do not give, under a record that names no digest of it.
    let store = Store::open(&at).unwrap();
    let keys = store.list("trials").unwrap();
    let of_arm = |key: &&String| {
        key.ends_with("/result.json") && keys.iter().any(|k| k.starts_with(&key[..40]) && k.contains("/run/"))
    };
    let result = keys.iter().find(of_arm).expect("a result").clone();
    let mut record: Value = store.read_record(&result).unwrap();
    let predictions = record["predictions"][0]["key"].as_str().expect("predictions are named").to_owned();
    let rows = record["rows"][0]["key"].as_str().expect("rows are named").to_owned();
    let stored = String::from_utf8(store.get(&rows).unwrap().to_vec()).unwrap();
    let first = stored.lines().next().expect("a row");
    let mut changed: Value = serde_json::from_str(first).unwrap();
    changed["value"] = json!(0.5);
    let text_of_rows = stored.replacen(first, &changed.to_string(), 1);
    store.delete(&rows).unwrap();
    store.create(&rows, text_of_rows.into()).unwrap();
    record["rows"][0]["digest"] = Value::Null; // as older versions wrote it
    store.delete(&result).unwrap();
    store.create_record(&result, &record).unwrap();
    let (code, said) = recompute();
    assert!(code == Some(1) && said.contains("linear accuracy of teacher on cells/grouped, fold"), "{said}");
    assert!(said.contains("is 0.5 as stored"), "{said}");

    flip(&Path::new(&at).join(&predictions));
    let (code, said) = orchestrator(&["verify", &at]);
    assert!(code == Some(1) && said.contains(&predictions) && said.contains("does not match the digest"), "{said}");
}
