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
        "describe",
        [
            "shard-builder describe ./data/my-smears --out my-smears.yaml --sheet labels.png",
            "shard-builder describe ./my-smears.zip",
        ],
    ),
    (
        "build",
        [
            "shard-builder build configs/sources --data ./data --allow-missing --out ./shards/patches",
            "shard-builder build my-smears.yaml --data ./data --product cells --out s3://bucket/cells",
        ],
    ),
    (
        "duplicates",
        [
            "shard-builder duplicates configs/sources --data ./data --allow-missing --out ./copies",
            "shard-builder duplicates configs/sources --data ./data --evaluation chula-rbc-12 --out ./copies",
        ],
    ),
    (
        "leaks",
        [
            "shard-builder leaks ./shards/patches ./shards/chula-cells",
            "shard-builder leaks s3://bucket/patches s3://bucket/chula-cells --out ./store",
        ],
    ),
    (
        "remove",
        [
            "shard-builder remove ./shards/patches --source chula-rbc-12 --out ./shards/training",
            "shard-builder remove ./shards/training --images-in ./shards/chula-cells --out ./shards/training-clean",
        ],
    ),
    (
        "diff",
        [
            "shard-builder diff ./shards/patches ./shards/training",
            "shard-builder diff ./shards/patches s3://bucket/patches",
        ],
    ),
    (
        "segment",
        [
            "shard-builder segment my-smears.yaml --data ./data --diameter 80 --out ./cells",
            "shard-builder segment configs/sources/chula-rbc-12.yaml --data ./data --diameter 40 --pictures 10 --out ./cells",
        ],
    ),
    (
        "split",
        [
            "shard-builder split ./shards/chula-cells --name grouped5 --kind grouped-kfold --folds 5",
            "shard-builder split ./shards/cells --name by-source --kind leave-one-source-out",
        ],
    ),
    (
        "verify",
        [
            "shard-builder verify ./shards/patches",
            "shard-builder verify ./shards/patches --sources configs/sources --data ./data --recut 500",
        ],
    ),
    ("show", ["shard-builder show ./shards/patches", "shard-builder show ./shards/cells --html cells.html"]),
    (
        "synth",
        ["shard-builder synth --out ./synthetic", "shard-builder synth --scale quickstart --seed 1 --out ./synthetic"],
    ),
    ("schema", ["shard-builder schema", "shard-builder schema sampling"]),
    ("version", ["shard-builder version", "shard-builder version --json"]),
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
