//! What all cells share: the run that is disturbed, the moments at which it can be, and what an undisturbed one gives.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use system_tests::tiny_run::{Bench, shards, text};

use super::cells::{Cell, Expected, When};

/// Steps of a run: some seconds of work, with a checkpoint every fiftieth.
pub(crate) const STEPS: u64 = 400;
/// The keys of every run. The limits of waiting are short: what is seen of them here is that they hold.
pub(crate) const SETTINGS: [&str; 8] = [
    "--set",
    "optim.epoch_length=400",
    "--set",
    "checkpoint.every_steps=50",
    "--set",
    "train.step_deadline_s=15",
    "--set",
    "store.retry_for=10",
];
/// Longer than any start takes; it only ends a drill that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What happened in a cell.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Seconds from the fault to the end of what was left of the run, or of the run.
    pub(crate) seconds: f64,
    /// How often it was started.
    pub(crate) starts: usize,
    /// Whether it ended by itself, with 0.
    pub(crate) went_on: bool,
    /// The fault found the run at its end.
    pub(crate) late: bool,
    /// What was said.
    pub(crate) log: String,
    pub(crate) same: bool,
}

impl Outcome {
    /// Checks what happened against what was expected.
    ///
    /// # Panics
    /// It is something else.
    pub(crate) fn verify(&self, cell: &Cell) {
        let Self { seconds, log, .. } = self;
        let tail = &log[log.len().saturating_sub(4000)..];
        assert!(self.same, "{cell}: other weights\n{tail}");
        assert!(
            *seconds <= cell.within_s as f64,
            "{cell}: {seconds:.1} s, and {} s are allowed\n{tail}",
            cell.within_s
        );
        assert!(!self.late || cell.when == When::End, "{cell}: the run was done before the fault");
        let as_expected = match cell.expected {
            Expected::GoesOn => self.went_on,
            Expected::Says(words) => !self.went_on && log.contains(words),
            Expected::Ends => !self.went_on,
            Expected::Nothing(_) => false,
        };
        // At the end all may be done in the moment of the fault.
        assert!(as_expected || (cell.when == When::End && self.went_on), "{cell}: not {:?}\n{tail}", cell.expected);
    }
}

/// A folder of runs, with the digest that all of them must give.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) bench: Bench,
    undisturbed: Mutex<Vec<(usize, String)>>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self { bench: Bench::new(), undisturbed: Mutex::default() }
    }

    /// Arguments of `worker train` into `out`.
    pub(crate) fn args(&self, out: &str) -> Vec<String> {
        let config = self.bench.path("config.yaml");
        let fixed = ["train", &config, "--shards", text(&shards().0), "--out", out];
        fixed.iter().chain(&SETTINGS).map(|word| (*word).to_owned()).collect()
    }

    /// The command that trains `out` on `ranks` processes, with its log in a file; none without mpirun.
    pub(crate) fn command(&self, test: &str, ranks: usize, out: &str) -> Option<Command> {
        let args = self.args(out);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.bench.mpirun(test, ranks, &args)
    }

    /// Starts it, with what it says in the file `log`.
    pub(crate) fn start(&self, mut command: Command, log: &str) -> Child {
        let file = std::fs::File::create(self.bench.path(log)).expect("a log");
        let both = file.try_clone().expect("the same file");
        command.stdout(Stdio::from(file)).stderr(Stdio::from(both)).stdin(Stdio::null()).spawn().expect("mpirun starts")
    }

    /// The digest of an undisturbed run on `ranks` processes.
    pub(crate) fn undisturbed(&self, ranks: usize) -> String {
        let mut known = self.undisturbed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, digest)) = known.iter().find(|(known, _)| *known == ranks) {
            return digest.clone();
        }
        let out = format!("undisturbed-{ranks}");
        let mut command = self.command("drill", ranks, &self.bench.path(&out)).expect("mpirun was there");
        let output = command.output().expect("mpirun starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let digest = self.bench.final_digest(&out);
        known.push((ranks, digest.clone()));
        digest
    }

    pub(crate) fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.bench.path(name)).unwrap_or_default()).into_owned()
    }
}

/// Waits until `ready`, looking every millisecond.
///
/// # Panics
/// It takes too long.
pub(crate) fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The file by which a moment of a run in the folder `run` is known; none for its start.
pub(crate) fn file_of(when: When) -> Option<String> {
    match when {
        When::Start => None,
        When::Step => Some("checkpoints/00000050-a0001.json".to_owned()),
        // Bytes come before their record.
        When::Checkpoint => Some("checkpoints/00000100-a0001.safetensors".to_owned()),
        When::End => Some(format!("checkpoints/{STEPS:08}-a0001.safetensors")),
    }
}

/// Waits for a moment of a run in the folder `run`, where processes have started already.
pub(crate) fn wait_for_moment(run: &Path, when: When) {
    if let Some(file) = file_of(when) {
        wait_for(&file, || run.join(&file).exists());
    }
    if when == When::Step {
        std::thread::sleep(Duration::from_millis(30));
    }
}
