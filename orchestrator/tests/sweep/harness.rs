//! A sweep in a folder of its own, run by the real orchestrator over the test double of the worker (`tests/double/worker`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use run_spec::ids::{Digest, Product};
use shards::{Codec, Header, Manifest, split_key};
use store::Store;

/// A sweep of two arms and two seeds unless written otherwise.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    worker: PathBuf,
}

/// Sweep file of a bench.
pub(crate) const SWEEP: &str = "
name: bench
base: base.yaml
store: STORE
shards: {train: TRAIN, eval: [{name: cells, uri: CELLS, split: grouped}]}
arms:
  reference:
  koleo-on: {loss.koleo_weight: 0.1}
seeds: [0, 1]
slots: 2
evidence: false
";

impl Bench {
    /// A fresh folder with shards, base config and sweep file.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/double/worker");
        let bench = Self { dir, env: Vec::new(), worker };
        fs::write(bench.path("base.yaml"), "model: {dim: 96, depth: 2, heads: 3}\n").unwrap();
        for set in ["train", "cells"] {
            shard_set(&bench.path(set));
        }
        let journal = bench.path("journal").display().to_string();
        bench.with("DOUBLE_JOURNAL", &journal).sweep(SWEEP)
    }

    /// With another sweep file; `STORE`, `TRAIN` and `CELLS` stand for the places.
    pub(crate) fn sweep(self, text: &str) -> Self {
        let mut text = text.to_owned();
        for (word, place) in [("STORE", "store"), ("TRAIN", "train"), ("CELLS", "cells")] {
            text = text.replace(word, &self.path(place).display().to_string());
        }
        fs::write(self.path("sweep.yaml"), text).unwrap();
        self
    }

    /// With an environment variable for the double.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.env.retain(|(k, _)| k != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The orchestrator with these arguments, in the folder of the bench.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command.args(args).current_dir(self.dir.path()).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Runs `orchestrator sweep sweep.yaml` with further arguments to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let worker = self.worker.display().to_string();
        let mut all = vec!["sweep", "sweep.yaml", "--worker", &worker, "--grace-s", "1"];
        all.extend(args);
        self.orchestrator(&all)
    }

    /// Runs the orchestrator to its end.
    pub(crate) fn orchestrator(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    /// Starts a sweep and leaves it running.
    pub(crate) fn start(&self) -> Child {
        let worker = self.worker.display().to_string();
        let args = ["sweep", "sweep.yaml", "--worker", &worker, "--grace-s", "1"];
        self.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What the double was asked to do, a line per call.
    pub(crate) fn journal(&self) -> Vec<String> {
        fs::read_to_string(self.path("journal")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Calls in the journal that begin with `word`.
    pub(crate) fn calls(&self, word: &str) -> Vec<String> {
        self.journal().into_iter().filter(|line| line.split(' ').next() == Some(word)).collect()
    }

    /// Pids of the workers that have trained.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.calls("train").iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    /// Results of trials that trained.
    pub(crate) fn results(&self) -> usize {
        let store = self.path("store");
        let trains = |key: &&String| store.join(key.split("/probes-").next().unwrap()).join("run").exists();
        self.records("result.json").iter().filter(trains).count()
    }

    /// Path of the double.
    pub(crate) fn worker(&self) -> &str {
        self.worker.to_str().unwrap()
    }

    /// Files in the store that end so, relative to it.
    pub(crate) fn records(&self, end: &str) -> Vec<String> {
        let root = self.path("store");
        let mut found: Vec<String> = files(&root)
            .iter()
            .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
            .filter(|key| key.ends_with(end))
            .collect();
        found.sort();
        found
    }
}

/// How a run of the orchestrator ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts the exit status, showing everything when it differs.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

/// Waits until `holds`; the double is quick, so half a minute means never.
#[track_caller]
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process runs (a zombie does not).
pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Sends a signal by name.
pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("/bin/sh").args(["-c", &format!("kill -s {name} {pid}")]).status().unwrap().success());
}

/// A shard set without rows, with a split: the orchestrator reads manifests and digests, never pixels.
fn shard_set(dir: &Path) {
    let header = Header {
        product: Product::Patches,
        codec: Codec::Png,
        builder: "test".to_owned(),
        config: Digest::of(dir.file_name().unwrap().as_encoded_bytes()),
        patch_px: 224,
    };
    let store = Store::open(&dir.display().to_string()).unwrap();
    Manifest::builder(header).finish().publish(&store).unwrap();
    for split in ["grouped", "by-source"] {
        store.create(&split_key(split), split.into()).unwrap();
    }
}
