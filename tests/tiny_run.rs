//! A training run small enough for tests: its configuration, its shards, and what it left behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::{program, run};

/// A model small enough for a step to take milliseconds.
pub const CONFIG: &str = "
model: {dim: 32, depth: 2, heads: 2, patch: 14, layerscale_init: 1.0, drop_path: 0.1}
head: {prototypes: 64, hidden: 32, bottleneck: 16}
loss: {n_local: 2, local_loss_above: 0, dino_normaliser: terms, koleo_weight: 0.1, centering: sinkhorn_knopp}
optim: {lr: 1e-3, epochs: 1, epoch_length: 24}
teacher: {momentum: 0.9, temp_epochs: 1}
crops: {global_size: 56, local_size: 28, interpolation: bicubic}
augmentation: {pipeline: dinov2, flip_p: 0.5, vflip_p: 0.5, rot90_p: 0.5}
train: {batch_size: 8, threads: 1, data_threads: 1}
checkpoint: {every_steps: 5, keep: 2}
log: {every_steps: 1, collapse_every_steps: 6}
";

/// A path as text.
///
/// # Panics
/// It is not UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Shards of synthetic smears, drawn and cut once for all tests of a file: patches to train on, and labelled cells with the
/// split `grouped`.
///
/// # Panics
/// They cannot be made.
pub fn shards() -> &'static (PathBuf, PathBuf) {
    static MADE: OnceLock<(tempfile::TempDir, (PathBuf, PathBuf))> = OnceLock::new();
    let (_, paths) = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let (smears, patches, cells) = (at("smears"), at("patches"), at("cells"));
        let data = smears.join("data");
        run("shard-builder", &["synth", "--out", text(&smears), "--seed", "3"]);
        let sources = smears.join("sources");
        run(
            "shard-builder",
            &[
                "build",
                text(&sources),
                "--data",
                text(&data),
                "--size",
                "112",
                "--near-copies",
                "ignore",
                "--out",
                text(&patches),
            ],
        );
        let sources = smears.join("eval-sources");
        run(
            "shard-builder",
            &[
                "build",
                text(&sources),
                "--data",
                text(&data),
                "--product",
                "cells",
                "--near-copies",
                "ignore",
                "--out",
                text(&cells),
            ],
        );
        run("shard-builder", &["split", text(&cells), "--name", "grouped", "--kind", "grouped-kfold", "--folds", "3"]);
        (folder, (patches, cells))
    });
    paths
}

/// A folder of runs.
#[derive(Debug)]
pub struct Bench {
    /// The folder of all runs, removed when this is dropped.
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// An empty one, with `config.yaml`.
    ///
    /// # Panics
    /// It cannot be made.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("config.yaml"), CONFIG).expect("the configuration is written");
        Self { folder }
    }

    /// What lies in it, as text.
    pub fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    /// Trains `out` to its end, in one process.
    ///
    /// # Panics
    /// It fails.
    pub fn train(&self, out: &str, more: &[&str]) {
        let (config, out) = (self.path("config.yaml"), self.path(out));
        let mut args = vec!["train", &config, "--shards", text(&shards().0), "--out", &out];
        args.extend(more);
        run("worker", &args);
    }

    /// Digest of the last checkpoint of a run that is done.
    ///
    /// # Panics
    /// It is not.
    pub fn final_digest(&self, out: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(out).join("final.json")).expect("the run is done");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value["checkpoint"]["digest"].as_str().expect("a digest").to_owned()
    }

    /// The metrics of a run.
    ///
    /// # Panics
    /// There are none.
    pub fn lines(&self, out: &str) -> Vec<Value> {
        let folder = self.folder.path().join(out).join("metrics");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).expect("metrics").flatten().map(|e| e.path()).collect();
        files.sort();
        let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
        texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// `worker train` of `out` on `ranks` processes under mpirun; `None`, and a word, where there is no mpirun.
    ///
    /// # Panics
    /// `REDDINO_REQUIRE` names `mpi` and there is none.
    pub fn mpirun(&self, test: &str, ranks: usize, args: &[&str]) -> Option<Command> {
        if Command::new("mpirun").arg("--version").output().is_err() {
            crate::skipped(test, "mpi", "mpirun, and it is not there: run `make setup`");
            return None;
        }
        let mut command = Command::new("mpirun");
        command.args(["--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string()]);
        command.arg(program("worker")).args(args);
        command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
        Some(command)
    }
}
