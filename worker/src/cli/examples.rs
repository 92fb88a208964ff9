//! Command lines that the help of each command shows.

use terminal::Examples;

use super::Cli;

impl Cli {
    /// Reads the command line; ends the program with a message if it is wrong.
    pub(crate) fn read() -> Self {
        terminal::arguments(EXAMPLES)
    }
}

/// Two command lines of each command.
const EXAMPLES: &Examples = &[
    (
        "train",
        [
            "worker train configs/train/tiny.yaml --shards ./shards/patches --out ./run",
            "worker train configs/train/tiny.yaml --shards ./shards/patches --out ./run-koleo --set loss.koleo_weight=0.1 --stop-at 100",
        ],
    ),
    ("verify", ["worker verify ./run", "worker verify s3://bucket/runs/large --repair"]),
    (
        "requeue",
        [
            "worker requeue --out ./run --code 85",
            "worker requeue --out s3://bucket/runs/large --code 137 --retry-for 600",
        ],
    ),
    (
        "step",
        [
            "worker step --settings step.json --weights init.safetensors --batches batches.safetensors --out result.safetensors",
            "worker step --failed ./run --dtype f64",
        ],
    ),
    (
        "probe",
        [
            "worker probe --run ./run --shards ./shards/chula-cells --split grouped5 --dataset chula",
            "worker probe --weights reddino-small.safetensors --shards ./shards/chula-cells --split grouped5 --dataset chula --out rows.jsonl",
        ],
    ),
    (
        "baseline",
        [
            "worker baseline histogram --config configs/train/tiny.yaml --shards ./shards/chula-cells --split grouped5 --dataset chula",
            "worker baseline random --config configs/train/tiny.yaml --shards ./shards/chula-cells --split grouped5 --dataset chula --out random.jsonl",
        ],
    ),
    (
        "curves",
        [
            "worker curves --run ./run --out curves.svg",
            "worker curves --run ./run --rows rows-100.jsonl --rows rows-300.jsonl --out curves.svg",
        ],
    ),
    (
        "metrics",
        [
            "worker metrics --run ./run --tensorboard ./events",
            "worker metrics --run s3://bucket/runs/large --tensorboard ./events",
        ],
    ),
    (
        "embed",
        [
            "worker embed --run ./run --shards ./shards/chula-cells --out features.parquet",
            "worker embed --weights reddino-small.safetensors --shards ./shards/chula-cells --map umap --out features.parquet",
        ],
    ),
    (
        "look",
        [
            "worker look --run ./run --images ./shards/chula-cells --out ./looks",
            "worker look --run koleo=./run-koleo --run reference=./run --images ./pictures --out ./looks",
        ],
    ),
    (
        "export",
        [
            "worker export --run ./run --layout timm --out ./model",
            "worker export --run ./run --layout onnx --size 224 --shards ./shards/patches --out ./model-onnx",
        ],
    ),
    (
        "augment",
        [
            "worker augment preview --config configs/train/tiny.yaml --image smear.png --out views.png",
            "worker augment apply --case ./blur-case --out out.png",
        ],
    ),
    (
        "plan",
        [
            "worker plan configs/train/tiny.yaml --shards ./shards/patches",
            "worker plan configs/train/reddino-large.yaml --shards s3://bucket/patches --step 1000 --steps 2 --world 64",
        ],
    ),
    (
        "simulate",
        [
            "worker simulate configs/train/reddino-small.yaml",
            "worker simulate configs/train/reddino-large.yaml --world 64 --then 48",
        ],
    ),
    (
        "estimate",
        [
            "worker estimate configs/train/tiny.yaml",
            "worker estimate configs/train/reddino-large.yaml --nodes 8 --gpus-per-node 8 --gpu h100",
        ],
    ),
    ("bench", ["worker bench", "mpirun -n 2 worker bench --ranks"]),
    (
        "doctor",
        [
            "worker doctor",
            "srun --mpi=pmix worker doctor --device cuda --store s3://bucket/runs --shards s3://bucket/patches",
        ],
    ),
    ("version", ["worker version", "worker version --json"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_examples_that_it_accepts() {
        let wrong = terminal::wrong_examples::<Cli>(env!("CARGO_BIN_NAME"), EXAMPLES);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
