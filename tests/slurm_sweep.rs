//! `orchestrator sweep --backend slurm` on a real Slurm. Whole sweeps are the real worker's; where only the orchestrator is on
//! trial, a test double of the worker takes its place. Where Slurm is not installed these tests are skipped and say so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use system_tests::slurm_cluster::Cluster;
use system_tests::tiny_run::{CONFIG, shards, text};
use system_tests::{program, root};

/// Two arms and two seeds; SLURM stands for what else the section `slurm` says.
const SWEEP: &str = "
name: tiny
base: base.yaml
shards: {train: TRAIN, eval: [{name: cells, uri: CELLS, split: grouped}]}
arms:
  reference:
  koleo-off: {loss.koleo_weight: 0.0}
seeds: [0, 1]
probe: {options: {no_random: true, no_histogram: true}}
slots: 2
evidence: false
slurm: {poll_s: 0.2, time: 20, cpus_per_task: 1, signal_s: 60 SLURM}
";

/// A sweep in a folder of its own.
struct Bench<'a> {
    cluster: &'a Cluster,
    folder: tempfile::TempDir,
    worker: PathBuf,
    env: Vec<(String, String)>,
}

impl<'a> Bench<'a> {
    fn new(cluster: &'a Cluster, worker: PathBuf, slurm: &str) -> Self {
        let bench = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder"), worker, env: Vec::new() };
        std::fs::write(bench.path("base.yaml"), CONFIG).expect("the configuration is written");
        let (patches, cells) = shards();
        let sweep = SWEEP.replace("TRAIN", text(patches)).replace("CELLS", text(cells)).replace("SLURM", slurm);
        std::fs::write(bench.path("sweep.yaml"), sweep).expect("the sweep is written");
        let journal = text(&bench.path("journal")).to_owned();
        bench.with("DOUBLE_JOURNAL", &journal)
    }

    /// With the double of the worker.
    fn double(cluster: &'a Cluster, slurm: &str) -> Self {
        Self::new(cluster, root().join("orchestrator/tests/double/worker"), slurm)
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.cluster.command(text(&program("orchestrator")));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null()).envs(self.env.iter().cloned());
        command
    }

    /// Puts a program in front of one of Slurm's, which REAL stands for; CALLS is a file for it to count in. Returns the PATH.
    fn fault(&self, name: &str, script: &str) -> String {
        let folders = std::env::var("PATH").unwrap_or_default();
        let real = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.exists());
        let real = real.expect("Slurm is installed");
        let folder = self.path("bin");
        std::fs::create_dir_all(&folder).expect("a folder");
        let script = script.replace("REAL", text(&real)).replace("CALLS", text(&self.path("calls")));
        std::fs::write(folder.join(name), format!("#!/bin/bash\n{script}\n")).expect("the fault is written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.join(name), mode).expect("it can be run");
        format!("{}:{folders}", text(&folder))
    }

    fn sweep(&self, args: &[&str]) -> Command {
        let all = ["sweep", "sweep.yaml", "--backend", "slurm", "--worker", text(&self.worker)];
        self.command(&[&all, args].concat())
    }

    /// Starts the sweep and leaves it running; what it says goes into `said`.
    fn start(&self, args: &[&str]) -> Child {
        let said = std::fs::File::create(self.path("said")).expect("a file");
        self.sweep(args).stdout(Stdio::null()).stderr(said).spawn().expect("the orchestrator starts")
    }

    fn journal(&self, word: &str) -> usize {
        let text = std::fs::read_to_string(self.path("journal")).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').next() == Some(word)).count()
    }

    /// Names of all job arrays that Slurm was ever given, one a task.
    fn jobs(&self) -> Vec<String> {
        self.cluster.ask("squeue", &["-h", "-r", "-t", "all", "-o", "%j"]).lines().map(str::to_owned).collect()
    }

    /// Tasks in a state, of arrays that train.
    fn training(&self, state: &str) -> usize {
        let text = self.cluster.ask("squeue", &["-h", "-r", "-t", state, "-o", "%j"]);
        text.lines().filter(|name| name.ends_with("-train")).count()
    }

    /// Files of the store that end so.
    fn records(&self, end: &str) -> usize {
        files(&self.path("store")).iter().filter(|path| path.to_string_lossy().ends_with(end)).count()
    }

    /// Files of the store that lie below such a folder.
    fn records_in(&self, folder: &str) -> usize {
        files(&self.path("store")).iter().filter(|path| path.to_string_lossy().contains(folder)).count()
    }

    fn wait(&self, what: &str, ready: impl Fn() -> bool) {
        self.cluster.wait(what, &self.path("said"), || ready().then_some(()));
    }

    /// The table's fields by line, without the hours and the energy, which no two runs have in common.
    fn scores(&self, store: &str) -> Vec<Vec<String>> {
        let run = self.command(&["results", "tiny", "--store", store, "--format", "csv"]).output().expect("runs");
        let table = ended(&run, 0).0;
        let lines: Vec<csv::StringRecord> = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(table.as_bytes())
            .records()
            .collect::<Result<_, _>>()
            .expect("CSV");
        let timed: Vec<usize> =
            ["hours", "kwh"].map(|name| lines[0].iter().position(|of| of == name).expect(name)).into();
        let kept = |line: &csv::StringRecord| {
            let fields = line.iter().enumerate().filter(|(at, _)| !timed.contains(at));
            fields.map(|(_, field)| field.to_owned()).collect()
        };
        lines.iter().map(kept).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

/// What a run said, and that it ended with `code`.
#[track_caller]
fn ended(output: &Output, code: i32) -> (String, String) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
    (out.into_owned(), err.into_owned())
}

#[test]
fn a_sweep_on_slurm_gives_the_numbers_of_a_sweep_on_one_machine() {
    let Some(cluster) = Cluster::start("a_sweep_on_slurm_gives_the_numbers", false) else { return };
    let bench = Bench::new(&cluster, program("worker"), "");
    let sweep = std::fs::read_to_string(bench.path("sweep.yaml")).expect("text");
    let sweep = sweep.replace("no_random: true, no_histogram: true", "bootstrap: 0");
    std::fs::write(bench.path("sweep.yaml"), sweep).expect("the sweep is written");
    let short = CONFIG.replace("epoch_length: 24", "epoch_length: 6");
    std::fs::write(bench.path("base.yaml"), short).expect("the configuration is written");
    let (out, err) = ended(&bench.sweep(&[]).output().expect("runs"), 0);
    assert!(out.contains("koleo-off") && err.contains("7 trials finished now, 0 before"), "{out}{err}");
    assert!(out.contains("baseline: random") && out.contains("baseline: histogram"), "{out}");
    assert_eq!(bench.jobs().len(), 14, "four trials and three baselines: {:?}", bench.jobs());
    let here = ["sweep", "sweep.yaml", "--store", "here", "--worker", text(&bench.worker)];
    ended(&bench.command(&here).output().expect("runs"), 0);
    // Scores and their spread, to the last digit; only how long it took differs.
    assert_eq!(bench.scores("store"), bench.scores("here"));
    // The next sweep asks Slurm for nothing.
    ended(&bench.sweep(&[]).output().expect("runs"), 0);
    let status = bench.command(&["status", "sweep.yaml"]).output().expect("runs");
    assert!(ended(&status, 0).0.contains("7 done"));
}

#[test]
fn killed_in_the_middle_it_adopts_its_jobs_and_submits_none_twice() {
    let Some(cluster) = Cluster::start("killed_it_adopts_its_jobs", false) else { return };
    let bench = Bench::double(&cluster, "").with("DOUBLE_STEP_S", "0.3").with("DOUBLE_STEPS", "20");
    let mut first = bench.start(&[]);
    bench.wait("four tasks train", || bench.training("RUNNING") == 4 && bench.journal("train") == 4);
    first.kill().expect("killed");
    first.wait().expect("reaped");
    let status = ended(&bench.command(&["status", "sweep.yaml"]).output().expect("runs"), 0).0;
    assert!(status.contains("train: RUNNING, Slurm job ") && status.contains("4 running"), "{status}");
    let (_, err) = ended(&bench.sweep(&[]).output().expect("runs"), 0);
    assert!(err.contains("4 of 4 trials are already running"), "{err}");
    assert!(err.contains("4 trials finished now"), "{err}");
    assert_eq!((bench.journal("train"), bench.journal("trained"), bench.journal("probe")), (4, 4, 4));
    assert_eq!(bench.jobs().len(), 8, "one array of four that trains and one that probes: {:?}", bench.jobs());
}

#[test]
fn a_wave_whose_sbatch_timed_out_is_found_by_its_name() {
    let Some(cluster) = Cluster::start("a_wave_whose_sbatch_timed_out", false) else { return };
    // Long enough for the controller to be asked often.
    let bench = Bench::double(&cluster, "").with("DOUBLE_STEP_S", "0.3").with("DOUBLE_STEPS", "20");
    // It submits, and then says that it heard nothing.
    let sbatch = bench.fault(
        "sbatch",
        "REAL \"$@\" >/dev/null; echo 'sbatch: error: Batch job submission failed: Socket timed out' >&2; exit 1",
    );
    // The controller is away now and then.
    bench.fault("squeue", "echo x >>CALLS; case $(wc -l <CALLS) in 6 | 8 | 9) echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1;; esac; exec REAL \"$@\"");
    let (_, err) = ended(&bench.sweep(&[]).env("PATH", sbatch).output().expect("runs"), 0);
    assert!(err.contains("Socket timed out") && err.contains("4 trials finished now"), "{err}");
    assert!(
        err.contains("(squeue: slurm_load_jobs error: Unable to contact") && err.contains("answers again"),
        "{err}"
    );
    assert_eq!((bench.jobs().len(), bench.journal("train")), (8, 4), "{:?}", bench.jobs());
}

#[test]
fn killed_between_sbatch_and_its_note_it_submits_none_twice() {
    let Some(cluster) = Cluster::start("killed_between_sbatch_and_its_note", false) else { return };
    let bench = Bench::double(&cluster, "");
    let path = bench.fault("sbatch", "REAL \"$@\" >/dev/null; kill -KILL $PPID");
    let killed = bench.sweep(&[]).env("PATH", path).output().expect("runs");
    assert_eq!(killed.status.code(), None, "{}", String::from_utf8_lossy(&killed.stderr));
    assert_eq!((bench.jobs().len(), bench.records("/train.json")), (4, 0), "submitted, and not noted");
    let (_, err) = ended(&bench.sweep(&[]).output().expect("runs"), 0);
    assert!(err.contains("4 trials finished now"), "{err}");
    assert_eq!((bench.jobs().len(), bench.journal("train")), (8, 4), "{:?}", bench.jobs());
}

#[test]
fn a_dead_node_sends_its_tasks_back_into_the_queue() {
    let Some(cluster) = Cluster::start("a_dead_node_sends_its_tasks_back", false) else { return };
    let bench = Bench::double(&cluster, "").with("DOUBLE_STEP_S", "0.3").with("DOUBLE_STEPS", "30");
    let mut sweep = bench.start(&["--only", "reference"]);
    bench.wait("two tasks train", || bench.journal("train") == 2);
    // An array on a cluster of small nodes packs them: both tasks may be on this one.
    let node = cluster.ask("squeue", &["-h", "-r", "-t", "RUNNING", "-o", "%N"]);
    cluster.kill_node(node.lines().next().expect("a node"));
    assert_eq!(sweep.wait().expect("reaped").code(), Some(0));
    assert!(bench.journal("train") > 2, "at least one was started again");
    assert_eq!((bench.records("attempt-1/result.json"), bench.records("attempt-2/claim.json")), (2, 0));
}

#[test]
fn waves_keep_under_the_array_size_and_a_failing_trial_stops_no_other() {
    let Some(cluster) = Cluster::start("waves_keep_under_the_array_size", true) else { return };
    let bench = Bench::double(&cluster, ", max_array_size: 3, max_parallel: 1");
    let bench = bench.with("DOUBLE_FAIL_IF", "koleo_weight\": 0.0");
    let (out, err) = ended(&bench.sweep(&[]).output().expect("runs"), 3);
    assert!(err.contains("koleo-off/seed-0 FAILED: train: exit code 1: the loss is not a number"), "{err}");
    assert!(err.contains("2 trials finished now, 0 before, 2 failed, 0 not done"), "{err}");
    assert!(out.contains("the loss is not a number"), "{out}");
    let mut arrays = bench.jobs();
    arrays.sort();
    let sizes: Vec<usize> = arrays.chunk_by(|a, b| a == b).map(<[String]>::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 8);
    assert!(sizes.len() == 4 && sizes.iter().all(|size| *size <= 3), "{arrays:?}");

    let bench = bench.with("DOUBLE_FAIL_IF", "");
    let (_, err) = ended(&bench.sweep(&["--retry-failed"]).output().expect("runs"), 0);
    assert!(err.contains("2 trials finished now, 2 before"), "{err}");
}

#[test]
fn interrupted_it_leaves_its_jobs_and_cancel_ends_them() {
    let Some(cluster) = Cluster::start("interrupted_it_leaves_its_jobs", false) else { return };
    let bench = Bench::double(&cluster, ", max_parallel: 1").with("DOUBLE_STEP_S", "0.3").with("DOUBLE_STEPS", "1000");
    let mut first = bench.start(&[]);
    bench.wait("a task trains", || bench.journal("train") == 1);
    let interrupted = Command::new("kill").args(["-INT", &first.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    assert_eq!(first.wait().expect("reaped").code(), Some(130));
    let said = std::fs::read_to_string(bench.path("said")).expect("it spoke");
    assert!(said.contains("The Slurm jobs continue") && said.contains("orchestrator cancel tiny"), "{said}");
    assert_eq!(bench.training("RUNNING"), 1);

    let (out, _) = ended(&bench.command(&["cancel", "sweep.yaml"]).output().expect("runs"), 0);
    assert!(out.contains("4 trials were stopped"), "{out}");
    bench.wait("nothing is left", || cluster.ask("squeue", &["-h"]).is_empty());
    let bench = bench.with("DOUBLE_STEPS", "2").with("DOUBLE_STEP_S", "0");
    let (_, err) = ended(&bench.sweep(&["--slots", "4"]).output().expect("runs"), 0);
    assert!(err.contains("4 trials finished now"), "{err}");
}

#[test]
fn near_its_time_limit_a_task_goes_back_into_the_queue_and_no_other() {
    let Some(cluster) = Cluster::start("near_its_time_limit_a_task", false) else { return };
    let bench = Bench::new(&cluster, program("worker"), ", ntasks_per_node: 2");
    let long = CONFIG.replace("epoch_length: 24", "epoch_length: 60");
    std::fs::write(bench.path("base.yaml"), long).expect("the configuration is written");
    let mut sweep = bench.start(&["--only", "reference/seed-0"]);
    bench.wait("a checkpoint", || bench.records_in("/run/checkpoints/") >= 2);
    // What --signal=B:USR1@… does, at a moment of our choice.
    let task = cluster.ask("squeue", &["-h", "-r", "-t", "RUNNING", "-o", "%i"]);
    cluster.ask("scancel", &["--signal=USR1", "--batch", &task]);
    assert_eq!(sweep.wait().expect("reaped").code(), Some(0));
    assert_eq!(cluster.job(&task, "Restarts"), "1");
    assert_eq!((bench.records("attempt-1/result.json"), bench.records_in("/run/attempts/")), (1, 2));
    assert_eq!(bench.records("started-train-restart-1.json"), 1);
    let log = bench.path("store/local");
    let log = files(&log).into_iter().find(|path| path.ends_with("reference.seed-0.attempt-1.log"));
    let log = std::fs::read_to_string(log.expect("a log")).expect("text");
    assert!(log.contains("2 ranks over Open MPI") && log.contains("continues from a checkpoint"), "{log}");
}

#[test]
fn a_task_whose_worker_was_killed_goes_back_into_the_queue_while_its_run_comes_further() {
    let Some(cluster) = Cluster::start("a_task_whose_worker_was_killed", false) else { return };
    let bench = Bench::double(&cluster, "").with("DOUBLE_KILLED", "koleo_weight");
    let (_, err) = ended(&bench.sweep(&["--only", "reference"]).output().expect("runs"), 0);
    assert!(err.contains("2 trials finished now"), "{err}");
    assert_eq!((bench.journal("train"), bench.journal("requeue"), bench.journal("trained")), (4, 2, 2));
    assert_eq!((bench.records("attempt-1/result.json"), bench.records("attempt-2/claim.json")), (2, 0));
    // One whose restarts bring nothing fails, with the worker's sentence.
    let bench = bench.with("DOUBLE_DOOMED", "1");
    let (out, _) = ended(&bench.sweep(&["--only", "koleo-off/seed-0"]).output().expect("runs"), 3);
    assert!(out.contains("not started again: 3 restarts in a row brought no checkpoint"), "{out}");
}

#[test]
fn refusals_are_one_sentence() {
    let Some(cluster) = Cluster::start("refusals_are_one_sentence", false) else { return };
    let bench = Bench::double(&cluster, ", partition: gpuu");
    let (_, err) = ended(&bench.sweep(&[]).output().expect("runs"), 1);
    assert!(err.contains("Invalid partition name specified: change the section `slurm`"), "{err}");
    // What was refused is nobody's fault: the mended file runs it, as the next attempt.
    let mended = std::fs::read_to_string(bench.path("sweep.yaml")).expect("text").replace("gpuu", "batch");
    std::fs::write(bench.path("sweep.yaml"), mended).expect("written");
    let dry = ended(&bench.sweep(&["--dry-run"]).output().expect("runs"), 0).0;
    for words in ["#SBATCH --array=0-3\n", "#SBATCH --partition=batch\n", "--dependency=aftercorr:", "--job train\n"] {
        assert!(dry.contains(words), "{words} is not in {dry}");
    }
    ended(&bench.sweep(&[]).output().expect("runs"), 0);
    assert_eq!(bench.records("attempt-2/result.json"), 4);
    let bare = bench.sweep(&[]).env("PATH", "/nowhere").output().expect("runs");
    assert!(ended(&bare, 1).1.contains("there is no `sbatch` on PATH"));
}
