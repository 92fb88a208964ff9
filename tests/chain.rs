//! The main job with real processes: smears → shards → training → features → scores, and what a kill does to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, run};

#[test]
fn killed_and_started_again_the_weights_are_those_of_an_undisturbed_run() {
    let bench = Bench::new();
    bench.train("whole", &[]);
    let (config, out) = (bench.path("config.yaml"), bench.path("killed"));
    // SIGKILL directly after the line of a step: once between checkpoints, once in the step after one, once near the end.
    for after in [3, 11, 22] {
        let mut child = Command::new(program("worker"))
            .args(["train", &config, "--shards", text(&shards().0), "--out", &out, "--print-metrics"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("worker starts");
        let reader = BufReader::new(child.stdout.take().expect("a pipe"));
        for line in reader.lines() {
            let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if line["step"].as_u64() >= Some(after) {
                break;
            }
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
    bench.train("killed", &[]);
    assert_eq!(bench.final_digest("killed"), bench.final_digest("whole"));
    assert_eq!(std::fs::read_dir(bench.folder.path().join("killed/attempts")).expect("attempts").count(), 4);
}

#[test]
fn two_identical_runs_agree_to_the_bit_and_another_seed_does_not() {
    let bench = Bench::new();
    bench.train("a", &[]);
    bench.train("b", &["--set", "train.data_threads=2"]);
    bench.train("c", &["--set", "seed=1"]);
    // The number of loader threads is in the configuration, so the header differs; the state must not.
    let losses = |out: &str| bench.lines(out).iter().map(|line| line["loss"].to_string()).collect::<Vec<_>>();
    assert_eq!(losses("a"), losses("b"));
    assert_ne!(losses("a"), losses("c"));
    bench.train("d", &[]);
    assert_eq!(bench.final_digest("a"), bench.final_digest("d"));
}

#[test]
fn a_run_says_every_term_and_shows_collapse() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let lines = bench.lines("run");
    assert_eq!(lines.len(), 24);
    for key in [
        "loss",
        "dino_global",
        "dino_local",
        "ibot",
        "koleo",
        "lr",
        "wd",
        "momentum",
        "teacher_temp",
        "images_per_s",
        "data_wait",
        "memory_mb",
        "teacher_entropy",
    ] {
        assert!(lines.iter().all(|line| line[key].is_number()), "{key} in {}", lines[0]);
    }
    assert!(lines[0]["rankme"].as_f64() > Some(1.0));
    assert!(lines[23]["grad_norm"]["backbone"].as_f64() > Some(0.0));
}

#[test]
fn the_published_single_local_crop_trains_and_counts_for_nothing() {
    let bench = Bench::new();
    let sets = ["--set", "loss.n_local=1", "--set", "loss.local_loss_above=1", "--set", "optim.epoch_length=3"];
    bench.train("published", &sets);
    assert!(bench.lines("published").iter().all(|line| line["dino_local"] == 0.0 && line["loss"].as_f64() > Some(0.0)));
}

#[test]
fn stopped_at_a_step_it_ends_with_code_85_and_goes_on() {
    let bench = Bench::new();
    bench.train("whole", &[]);
    let (config, out) = (bench.path("config.yaml"), bench.path("stopped"));
    let status = Command::new(program("worker"))
        .args(["train", &config, "--shards", text(&shards().0), "--out", &out, "--stop-at", "7"])
        .status()
        .expect("worker starts");
    assert_eq!(status.code(), Some(85));
    bench.train("stopped", &[]);
    assert_eq!(bench.final_digest("stopped"), bench.final_digest("whole"));
}

#[test]
fn a_run_is_probed_embedded_and_exported() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let cells = text(&shards().1);
    let rows = bench.path("rows.jsonl");
    let run_uri = bench.path("run");
    let patches = text(&shards().0);
    let probe = ["probe", "--run", &run_uri, "--shards", cells, "--split", "grouped", "--out", &rows];
    run("worker", &[&probe[..], &["--train-shards", patches]].concat());
    let (early, figure) = (bench.path("early.jsonl"), bench.path("curves.svg"));
    let quick = ["--no-random", "--no-histogram", "--bootstrap", "0"];
    let at = ["probe", "--run", &run_uri, "--shards", cells, "--split", "grouped", "--step", "20", "--out", &early];
    run("worker", &[&at[..], &quick].concat());
    run("worker", &["curves", "--run", &run_uri, "--rows", &early, "--rows", &rows, "--out", &figure]);
    let drawn = std::fs::read_to_string(&figure).expect("a figure");
    for words in ["Loss", "RankMe", "20-NN", "Linear probe", "random,", "histogram,"] {
        assert!(drawn.contains(words), "{words} is in the figure");
    }
    let rows: Vec<Value> = std::fs::read_to_string(&rows)
        .expect("rows")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    for features in ["teacher", "random", "histogram"] {
        for probe in ["linear", "1nn", "20nn"] {
            for metric in ["accuracy", "balanced_accuracy", "weighted_f1"] {
                let found: Vec<f64> = rows
                    .iter()
                    .filter(|row| row["features"] == features && row["probe"] == probe && row["metric"] == metric)
                    .map(|row| row["value"].as_f64().expect("a number"))
                    .collect();
                assert!(
                    found.len() >= 3 && found.iter().all(|v| (0.0..=1.0).contains(v)),
                    "{features} {probe} {metric}: {found:?}"
                );
            }
        }
    }
    for row in &rows {
        let teacher = row["features"] == "teacher";
        assert_eq!(
            row["hours"].as_f64() > Some(0.0),
            teacher,
            "no hours of training are charged to {}",
            row["features"]
        );
        assert_eq!(row["transductive"].is_boolean(), teacher, "{row}");
        assert!(row["code_probe"] == row["code"] && row["split_digest"].is_string(), "{row}");
    }
    // Scored by itself, a baseline has the same scores.
    let alone = bench.path("alone.jsonl");
    let config = bench.path("config.yaml");
    let baseline =
        ["baseline", "random", "--config", &config, "--shards", cells, "--split", "grouped", "--out", &alone];
    run("worker", &[&baseline[..], &["--bootstrap", "0"]].concat());
    let scores = |rows: &[Value]| -> Vec<String> {
        let random = rows.iter().filter(|row| row["features"] == "random");
        random.map(|row| format!("{} {} {} {}", row["fold"], row["probe"], row["metric"], row["value"])).collect()
    };
    let alone = std::fs::read_to_string(&alone).expect("rows");
    let alone: Vec<Value> = alone.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(scores(&alone), scores(&rows));
    let (features, export) = (bench.path("features.parquet"), bench.path("export"));
    run("worker", &["embed", "--run", &run_uri, "--shards", cells, "--out", &features]);
    assert!(std::fs::metadata(&features).expect("features").len() > 1000);
    run("worker", &["export", "--run", &run_uri, "--out", &export]);
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{export}/config.json")).expect("config")).expect("JSON");
    assert_eq!(config["model_args"]["embed_dim"], 32);
    // Nothing that exists is written over.
    let again =
        Command::new(program("worker")).args(["export", "--run", &run_uri, "--out", &export]).output().expect("runs");
    assert!(!again.status.success());
}

/// A sweep tells its workers what it planned with; whatever was replaced meanwhile is refused before any work.
#[test]
fn what_is_not_as_planned_is_refused_with_a_status_of_its_own() {
    let bench = Bench::new();
    let (config, out, rows) = (bench.path("config.yaml"), bench.path("run"), bench.path("rows.jsonl"));
    let (patches, cells) = (text(&shards().0), text(&shards().1));
    let train = ["train", &config, "--shards", patches, "--out", &out];
    let baseline = ["baseline", "histogram", "--shards", cells, "--split", "grouped", "--out", &rows];
    let zeros = "0".repeat(64);
    let cases: [(&[&str], String, &str); 5] = [
        (&train, "code=0.0.0+other".to_owned(), "this worker is not what was planned: code is "),
        (&train, format!("binary={zeros}"), "this worker is not what was planned: binary is "),
        (&train, format!("shards={zeros}"), "is not what was planned: shards is "),
        (&baseline, format!("shards={zeros}"), "is not what was planned: shards is "),
        (&baseline, format!("split={zeros}"), "the split grouped of "),
    ];
    for (command, expect, said) in cases {
        let args = [command, &["--expect", &expect]].concat();
        let output = Command::new(program("worker")).args(args).output().expect("worker runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(86), "{message}");
        let last = message.lines().last().expect("a sentence");
        assert!(last.contains(said) && last.contains("restore the planned "), "{message}");
        assert!(!last.contains('\u{1b}'), "a log that is not a terminal holds no colour codes: {message:?}");
        assert!(!Path::new(&out).exists() && !Path::new(&rows).exists(), "nothing was begun");
    }
}

#[test]
fn a_command_line_is_checked_without_running_it() {
    let bench = Bench::new();
    let (config, out) = (bench.path("config.yaml"), bench.path("run"));
    let check =
        |args: &[&str]| Command::new(program("worker")).args(["check", "--"]).args(args).output().expect("runs");
    let (patches, cells) = (text(&shards().0), text(&shards().1));
    let asked = check(&["train", &config, "--shards", patches, "--out", &out]);
    let answer: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    bench.train("run", &["--stop-at", "24"]);
    let checkpoints = std::fs::read_dir(bench.path("run/checkpoints")).expect("checkpoints").flatten();
    let largest = checkpoints.map(|entry| entry.metadata().expect("metadata").len()).max().expect("a checkpoint");
    let said = answer["checkpoint_bytes"].as_u64().expect("a size");
    assert!(said <= largest && largest < said + said / 4, "{said} said, {largest} written");
    let probe = ["probe", "--run", "r", "--shards", cells, "--split", "grouped"];
    assert!(check(&probe).status.success());
    let refused = |args: &[&str]| {
        let output = check(args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let message = refused(&[&probe[..], &["--nonsense", "1"]].concat());
    assert!(message.contains("unexpected argument '--nonsense' found"), "{message}");
    // What would be found only after hours of training: labels, splits, weights of sources, initial weights.
    let message = refused(&["probe", "--run", "r", "--shards", patches, "--split", "grouped"]);
    assert!(message.contains("grouped") || message.contains("no label"), "{message}");
    let train = ["train", &config, "--shards", patches, "--out", &out];
    let sampling = ["--set", "data.sampling=weights", "--set", "data.source_weights={nosuch: 1.0}"];
    assert!(refused(&[&train[..], &sampling].concat()).contains("nosuch"));
    let junk = bench.path("junk.safetensors");
    std::fs::write(&junk, "junk").expect("written");
    let message = refused(&[&train[..], &["--set", &format!("init.weights={junk}")]].concat());
    assert!(message.contains("init.weights") && message.contains("junk.safetensors"), "{message}");
}

#[test]
fn every_layout_is_exported_with_a_card() {
    let bench = Bench::new();
    bench.train("run", &[]);
    let (patches, cells) = (text(&shards().0), text(&shards().1));
    let (run_uri, rows) = (bench.path("run"), bench.path("rows.jsonl"));
    let quick = ["--no-random", "--no-histogram", "--bootstrap", "0"];
    let probe = ["probe", "--run", &run_uri, "--shards", cells, "--split", "grouped", "--out", &rows];
    run("worker", &[&probe[..], &quick].concat());
    let layouts: [(&str, &[&str]); 4] = [
        ("timm", &["model.safetensors", "config.json"]),
        ("huggingface", &["model.safetensors", "config.json", "preprocessor_config.json"]),
        ("onnx", &["model.onnx"]),
        ("state", &["training_state.safetensors", "run.json"]),
    ];
    for (layout, files) in layouts {
        let out = bench.path(layout);
        let args =
            ["export", "--run", &run_uri, "--out", &out, "--layout", layout, "--shards", patches, "--rows", &rows];
        run("worker", &args);
        for file in files {
            assert!(Path::new(&out).join(file).exists(), "{layout}: {file}");
        }
        let card = std::fs::read_to_string(Path::new(&out).join("README.md")).expect("a card");
        for words in
            ["EMA teacher", "give RGB", "| licences |", "| teacher | linear |", "random weights (seed 0)", "loss: {"]
        {
            assert!(card.contains(words), "{layout}: the card has `{words}`:\n{card}");
        }
    }
    // The whole state: another program may go on, and ours may start a new run from its teacher.
    let state = format!("{}/training_state.safetensors", bench.path("state"));
    bench.train("again", &["--set", &format!("init.weights={state}")]);
    let begun: Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path("again/run.json")).expect("a record")).expect("JSON");
    assert_eq!(begun["init"]["layout"], "teacher");

    let refused = |more: &[&str]| {
        let out = bench.path("refused");
        let args = [&["export", "--run", &run_uri, "--out", &out][..], more].concat();
        let output = Command::new(program("worker")).args(args).env("NO_COLOR", "1").output().expect("worker runs");
        assert!(!output.status.success() && !Path::new(&out).exists(), "{more:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["--shards", cells]).contains("the run was trained on shard set"));
    assert!(refused(&["--size", "56"]).contains("--size is for --layout onnx"));
    assert!(refused(&["--layout", "onnx", "--size", "57"]).contains("not a multiple of the patch side 14"));
}

#[test]
fn refusals_are_one_sentence_with_file_key_and_remedy() {
    let bench = Bench::new();
    let bad = bench.path("bad.yaml");
    std::fs::write(&bad, "loss: {koleo_wieght: 0.1}").expect("written");
    let refused = |args: &[&str]| {
        let output = Command::new(program("worker")).args(args).env("NO_COLOR", "1").output().expect("worker runs");
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let patches = text(&shards().0);
    let message = refused(&["train", &bad, "--shards", patches, "--out", &bench.path("x")]);
    assert!(
        message.contains("bad.yaml line 1: unknown key `loss.koleo_wieght`; did you mean `loss.koleo_weight`?"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    let message =
        refused(&["train", &bench.path("config.yaml"), "--shards", &bench.path("nowhere"), "--out", &bench.path("x")]);
    assert!(message.contains("nowhere"), "{message}");
    assert!(!Path::new(&bench.path("x")).exists(), "a refused run leaves nothing behind");
    bench.train("run", &["--stop-at", "24"]);
    let (config, out) = (bench.path("config.yaml"), bench.path("run"));
    let message = refused(&["train", &config, "--shards", patches, "--out", &out, "--set", "loss.koleo_weight=0"]);
    assert!(message.contains("loss.koleo_weight"), "{message}");
}
