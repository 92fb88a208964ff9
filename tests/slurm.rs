//! The published Slurm scripts on a real Slurm: two nodes, a time limit, a cancelled job, a dead node. The configuration is
//! tiny and runs on CPUs; the script is the one for ViT-L. Where Slurm is not installed these tests are skipped and say so.

use std::path::PathBuf;
use std::time::Instant;

use system_tests::program;
use system_tests::slurm_cluster::Cluster;
use system_tests::tiny_run::{Bench, shards, text};

/// A run long enough for a signal to find it at work.
const LONG: [&str; 2] = ["--set", "optim.epoch_length=100"];

/// A submitted training job.
struct Job<'a> {
    cluster: &'a Cluster,
    bench: &'a Bench,
    out: &'static str,
    id: String,
    log: PathBuf,
}

impl<'a> Job<'a> {
    /// Submits slurm/train_large.sh as it is, on two nodes with a task each; `options` of sbatch, `more` of the worker.
    fn submit(cluster: &'a Cluster, bench: &'a Bench, out: &'static str, options: &[&str], more: &[&str]) -> Self {
        let log = bench.folder.path().join(format!("{out}.log"));
        let output = cluster
            .command("sbatch")
            .envs([("SHARDS", text(&shards().0)), ("OUT", &bench.path(out)), ("CONFIG", &bench.path("config.yaml"))])
            .env("WORKER", program("worker"))
            .args([
                "--parsable",
                "--nodes=2",
                "--ntasks-per-node=1",
                "--gpus-per-node=0",
                "--cpus-per-task=1",
                "--time=20",
            ])
            .arg(format!("--output={}", log.display()))
            .args(options)
            .arg("slurm/train_large.sh")
            .arg("--print-metrics")
            .args(more)
            .output()
            .expect("sbatch runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Self { cluster, bench, out, id, log }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the line of step `step` is in the log.
    fn at_step(&self, step: u64) {
        let line = format!("\"step\":{step},");
        self.cluster.wait(&format!("step {step}"), &self.log, || self.text().contains(&line).then_some(()));
    }

    /// Waits until a step's line stands in the log after place `from`.
    fn any_step_after(&self, from: usize) {
        let ready = || self.text().get(from..).is_some_and(|text| text.contains("\"step\":")).then_some(());
        self.cluster.wait("a step", &self.log, ready);
    }

    fn end(&self) -> String {
        self.cluster.end_of(&self.id, &self.log)
    }

    fn files(&self, folder: &str) -> usize {
        let folder = self.bench.folder.path().join(self.out).join(folder);
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    fn done(&self) -> bool {
        self.bench.folder.path().join(self.out).join("final.json").exists()
    }
}

/// A line of the table that `cargo test --test slurm -- --show-output` gives.
#[allow(clippy::print_stdout, reason = "the figures are what a reader of the test's output wants")]
fn tell(what: &str, since: Instant) {
    println!("{what}: {:.1} s", since.elapsed().as_secs_f64());
}

/// What an undisturbed run on two nodes gives.
fn undisturbed(cluster: &Cluster, bench: &Bench) -> String {
    let job = Job::submit(cluster, bench, "undisturbed", &[], &LONG);
    assert_eq!(job.end(), "COMPLETED", "{}", job.text());
    assert!(job.text().contains("2 ranks over Open MPI"), "{}", job.text());
    assert_eq!(job.files("attempts"), 1, "two tasks are one attempt");
    bench.final_digest("undisturbed")
}

#[test]
fn signalled_it_writes_a_checkpoint_goes_back_into_the_queue_and_ends_as_if_undisturbed() {
    let Some(cluster) = Cluster::start("signalled_it_goes_back_into_the_queue", false) else { return };
    let bench = Bench::new();
    let expected = undisturbed(&cluster, &bench);
    let job = Job::submit(&cluster, &bench, "signalled", &[], &LONG);
    job.at_step(12);
    // What --signal=B:USR1@… does, at a moment of our choice.
    cluster.ask("scancel", &["--signal=USR1", "--batch", &job.id]);
    cluster.wait("the second start", &job.log, || (job.files("attempts") == 2).then_some(()));
    assert_eq!(job.end(), "COMPLETED", "{}", job.text());
    assert_eq!(cluster.job(&job.id, "Restarts"), "1", "{}", job.text());
    assert!(job.text().contains("goes back into the queue"), "{}", job.text());
    assert_eq!(bench.final_digest("signalled"), expected);
}

#[test]
fn near_its_time_limit_it_is_signalled_and_starts_again() {
    let Some(cluster) = Cluster::start("near_its_time_limit_it_is_signalled", false) else { return };
    let bench = Bench::new();
    // So many steps that no machine ends them within the limit of one minute.
    let options = ["--time=1", "--signal=B:USR1@50"];
    let more = ["--set", "optim.epoch_length=1000000", "--set", "checkpoint.every_steps=1000000"];
    let job = Job::submit(&cluster, &bench, "limited", &options, &more);
    cluster.wait("the second start", &job.log, || (job.files("attempts") == 2).then_some(()));
    assert!(job.text().contains("time limit: job"), "{}", job.text());
    assert!(job.files("checkpoints") >= 2, "a checkpoint and its record were written on the signal");
    cluster.wait("going on", &job.log, || job.text().contains("goes on from a checkpoint").then_some(()));
    cluster.ask("scancel", &[&job.id]);
    assert_eq!(job.end(), "CANCELLED");
}

#[test]
fn cancelled_it_writes_a_checkpoint_and_stays_cancelled() {
    let Some(cluster) = Cluster::start("cancelled_it_stays_cancelled", false) else { return };
    let bench = Bench::new();
    let job = Job::submit(
        &cluster,
        &bench,
        "cancelled",
        &["--cpus-per-task=3"],
        &["--set", "optim.epoch_length=1000000", "--set", "checkpoint.every_steps=1000000"],
    );
    job.at_step(3);
    // Two tasks of three CPUs each: the step has what the job asked for.
    let step = cluster.ask("scontrol", &["show", "step", &format!("{}.0", job.id)]);
    assert!(step.contains(" CPUs=6 "), "{step}");
    cluster.ask("scancel", &[&job.id]);
    assert_eq!(job.end(), "CANCELLED");
    cluster.wait("the checkpoint of the end", &job.log, || (job.files("checkpoints") == 2).then_some(()));
    assert!(job.text().contains("stopped as asked"), "{}", job.text());
    assert!(!job.text().contains("goes back into the queue"), "{}", job.text());
    assert_eq!((job.files("attempts"), job.done()), (1, false));
}

#[test]
fn a_dead_node_costs_the_steps_since_the_last_checkpoint_and_nothing_else() {
    let Some(cluster) = Cluster::start("a_dead_node_costs_little", false) else { return };
    let bench = Bench::new();
    let expected = undisturbed(&cluster, &bench);
    let submitted = Instant::now();
    let job = Job::submit(&cluster, &bench, "orphaned", &["--nodelist=n1,n2"], &LONG);
    job.any_step_after(0);
    tell("sbatch to first step", submitted);
    job.at_step(12);
    // The job asked for these nodes by name; it may go on on others.
    let (killed, so_far) = (Instant::now(), job.text().len());
    cluster.kill_node("n2");
    cluster.wait("the requeue", &job.log, || (cluster.job(&job.id, "JobState") == "PENDING").then_some(()));
    cluster.ask("scontrol", &["update", &format!("JobId={}", job.id), "ReqNodeList="]);
    cluster.wait("going on", &job.log, || (job.files("attempts") == 2).then_some(()));
    job.any_step_after(so_far + job.text()[so_far..].find("goes on from a checkpoint").unwrap_or(0));
    tell("node death to next step (Slurm believes a node dead after 6 s here)", killed);
    assert_eq!(job.end(), "COMPLETED", "{}", job.text());
    assert_eq!(job.files("attempts"), 2);
    assert_eq!(bench.final_digest("orphaned"), expected);
}
