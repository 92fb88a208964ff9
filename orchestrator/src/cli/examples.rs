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
        "sweep",
        [
            "orchestrator sweep configs/sweeps/quickstart.yaml --dry-run",
            "orchestrator sweep my-sweep.yaml --backend slurm --store s3://bucket/sweeps",
        ],
    ),
    (
        "status",
        ["orchestrator status my-sweep.yaml", "orchestrator status quickstart-synthetic --store ./quickstart/store"],
    ),
    (
        "watch",
        ["orchestrator watch my-sweep.yaml", "orchestrator watch quickstart-synthetic --store ./quickstart/store"],
    ),
    (
        "dashboard",
        [
            "orchestrator dashboard --store ./store",
            "orchestrator dashboard --store s3://bucket/sweeps --listen 127.0.0.1:9000 --token-file token.txt",
        ],
    ),
    (
        "results",
        [
            "orchestrator results my-sweep.yaml",
            "orchestrator results quickstart-synthetic --store ./quickstart/store --format csv",
        ],
    ),
    (
        "report",
        [
            "orchestrator report my-sweep.yaml --out report.html",
            "orchestrator report quickstart-synthetic --store ./quickstart/store --out report.html",
        ],
    ),
    ("list", ["orchestrator list", "orchestrator list --store ./quickstart/store"]),
    (
        "logs",
        [
            "orchestrator logs koleo-on/seed-0 --follow",
            "orchestrator logs reference/seed-1 --store ./quickstart/store -n 20",
        ],
    ),
    (
        "retry",
        [
            "orchestrator retry koleo-on/seed-0",
            "orchestrator retry koleo-on/seed-0 koleo-on/seed-1 --backend slurm --sweep my-sweep.yaml",
        ],
    ),
    (
        "compare",
        [
            "orchestrator compare reference koleo-on --pictures cells.png",
            "orchestrator compare random reference --store ./quickstart/store",
        ],
    ),
    (
        "look",
        [
            "orchestrator look my-sweep.yaml --images ./shards/chula-cells",
            "orchestrator look my-sweep.yaml --images ./pictures --arm reference --arm koleo-on",
        ],
    ),
    (
        "cancel",
        ["orchestrator cancel my-sweep.yaml", "orchestrator cancel quickstart-synthetic --store ./quickstart/store"],
    ),
    ("verify", ["orchestrator verify ./store", "orchestrator verify s3://bucket/sweeps --repair"]),
    ("schema", ["orchestrator schema train", "orchestrator schema sweep"]),
    ("version", ["orchestrator version", "orchestrator version --json"]),
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
