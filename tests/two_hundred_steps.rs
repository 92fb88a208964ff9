//! Two hundred steps on patches of real smears: the same bytes twice in f32, and bf16 beside them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use system_tests::{
    root, run, shared_data,
    tiny_run::{Bench, text},
};

/// The largest relative difference of a step's loss between bf16 and f32, and that of their means over the last 50 steps.
const BF16: (f64, f64) = (0.05, 0.005);

/// `train` of patches of one real source, 200 steps.
fn train(bench: &Bench, out: &str, precision: &str) -> Vec<f64> {
    let (config, shards) = (bench.path("config.yaml"), bench.path("patches"));
    let precision = format!("train.precision={precision}");
    let out_path = bench.path(out);
    let mut args = vec!["train", &config, "--shards", &shards, "--out", &out_path];
    for set in ["optim.epoch_length=200", "checkpoint.every_steps=100", &precision] {
        args.extend(["--set", set]);
    }
    run("worker", &args);
    let lines = bench.lines(out);
    let losses: Vec<f64> = lines.iter().filter_map(|line| line["loss"].as_f64()).collect();
    assert_eq!(losses.len(), 200, "a loss a step: {:?}", lines.first().map(Value::to_string));
    losses
}

#[test]
fn two_hundred_steps_on_real_patches() {
    let Some(data) = shared_data("two_hundred_steps") else { return };
    let bench = Bench::new();
    let source = root().join("configs/sources/bccd.yaml");
    run(
        "shard-builder",
        &["build", text(&source), "--data", text(&data), "--product", "patches", "--out", &bench.path("patches")],
    );
    let first = train(&bench, "first", "f32");
    let second = train(&bench, "second", "f32");
    assert_eq!(first, second);
    assert_eq!(bench.final_digest("first"), bench.final_digest("second"));

    let half = train(&bench, "half", "bf16");
    let gap = first.iter().zip(&half).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
    let mean = |losses: &[f64]| losses[150..].iter().sum::<f64>() / 50.0;
    let of_means = (mean(&first) - mean(&half)).abs() / mean(&first);
    #[allow(clippy::print_stdout, reason = "the figures are what a reader of the test's output wants")]
    {
        println!("bf16 beside f32: a step's loss within {gap:.1e}, the mean of the last 50 within {of_means:.1e}");
    }
    assert!(gap < BF16.0 && of_means < BF16.1, "bf16 differs by {gap} in a step and {of_means} in the mean");
    assert_ne!(first, half, "bf16 was not used");
}
