//! The published Slurm scripts on a real Slurm: two nodes, a time limit, an early warning, a cancelled job, a dead node, a task
//! that dies or hangs. The configuration is
//! tiny and runs on CPUs; the script is the one for ViT-L. Where Slurm is not installed these tests are skipped and say so.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use system_tests::slurm_cluster::Cluster;
use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, run};

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
        // A line may be half written, in the middle of a letter.
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
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

/// A line of the table that `cargo test --test system slurm -- --show-output` gives.
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
    assert!(job.text().contains("is put back into the queue"), "{}", job.text());
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
    cluster.wait("going on", &job.log, || job.text().contains("continues from a checkpoint").then_some(()));
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
    assert!(!job.text().contains("is put back into the queue"), "{}", job.text());
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
    job.any_step_after(so_far + job.text()[so_far..].find("continues from a checkpoint").unwrap_or(0));
    tell("node death to next step (Slurm believes a node dead after 6 s here)", killed);
    assert_eq!(job.end(), "COMPLETED", "{}", job.text());
    assert_eq!(job.files("attempts"), 2);
    assert_eq!(bench.final_digest("orphaned"), expected);
}

#[test]
fn a_task_that_dies_or_hangs_is_named_within_half_a_minute_and_the_job_goes_on() {
    let Some(cluster) = Cluster::start("a_task_that_dies_or_hangs", false) else { return };
    let bench = Bench::new();
    // Long enough for each task to have said where it is.
    let long = ["--set", "optim.epoch_length=800", "--set", "checkpoint.every_steps=100"];
    let whole = Job::submit(&cluster, &bench, "whole", &[], &long);
    assert_eq!(whole.end(), "COMPLETED", "{}", whole.text());
    let expected = bench.final_digest("whole");
    for (out, signal, words) in [("died", "KILL", "ended without a message"), ("hung", "STOP", "no heartbeat")] {
        let job = Job::submit(&cluster, &bench, out, &["--nodelist=n1,n2"], &long);
        job.at_step(400);
        let victim = cluster.process(&job.id, "worker", Some(1)).expect("two tasks");
        let (hit, so_far) = (Instant::now(), job.text().len());
        let status = Command::new("kill").args([&format!("-{signal}"), &victim.to_string()]).status();
        assert!(status.expect("kill runs").success());
        let named = format!("process {victim}) ");
        cluster.wait("the sentence", &job.log, || job.text().contains(&named).then_some(()));
        tell(&format!("{out}: to the sentence"), hit);
        // srun reports the worst status of its tasks: 87 of the one that noticed, or 137 of the one that was killed.
        let again = "starts its job step again within this allocation (exit code ";
        cluster.wait("the end of the step", &job.log, || job.text().contains(again).then_some(()));
        assert!(hit.elapsed().as_secs() < 30, "{:?}", hit.elapsed());
        tell(&format!("{out}: to the next start"), hit);
        let text = job.text();
        let line = text.lines().find(|line| line.contains(&named)).expect("it was there");
        assert!(line.starts_with("rank=0 host=n1 ") && line.contains("rank 1 (n2, process "), "{line}");
        assert!(line.contains(words) && line.contains("(call ") && line.contains("at step "), "{line}");
        cluster.wait("going on", &job.log, || (job.files("attempts") == 2).then_some(()));
        job.any_step_after(so_far + job.text()[so_far..].find("continues from a checkpoint").unwrap_or(0));
        tell(&format!("{out}: to the next step"), hit);
        assert_eq!(job.end(), "COMPLETED", "{}", job.text());
        assert_eq!((bench.final_digest(out), job.files("restarts")), (expected.clone(), 1));
        assert_eq!(cluster.job(&job.id, "Restarts"), "0", "it kept its allocation");
    }
}

#[test]
fn a_warning_while_tasks_load_waits_for_them_and_one_too_many_ends_the_job_with_a_sentence() {
    let Some(cluster) = Cluster::start("a_warning_while_tasks_load", false) else { return };
    let bench = Bench::new();
    let early = |out, steps| {
        // Long enough for a warning that srun dropped to be said again, on a machine that makes hundreds of steps a second.
        let more = ["--set", steps, "--set", "checkpoint.every_steps=100"];
        let job = Job::submit(&cluster, &bench, out, &[], &more);
        cluster.wait("srun", &job.log, || cluster.process(&job.id, "srun", None));
        cluster.ask("scancel", &["--signal=USR1", "--batch", &job.id]);
        job
    };
    // A limit that is shorter than the warning before it: each start is warned at once. Three such starts are counted already.
    for _ in 0..3 {
        run("worker", &["requeue", "--out", &bench.path("short"), "--code", "85", "--near-limit"]);
    }
    let (warned, short) = (early("warned", "optim.epoch_length=800"), early("short", "optim.epoch_length=1000000"));
    assert_eq!(short.end(), "FAILED", "{}", short.text());
    assert!(short.text().contains("the time limit came 3 times in a row"), "{}", short.text());
    assert!(short.text().contains("raise --time"), "{}", short.text());
    assert!(!short.text().contains("is put back into the queue"), "{}", short.text());
    assert_eq!(warned.end(), "COMPLETED", "{}", warned.text());
    assert_eq!(
        (cluster.job(&warned.id, "Restarts"), warned.files("restarts")),
        ("1".to_owned(), 1),
        "{}",
        warned.text()
    );
    assert!(warned.text().contains("stopped as asked"), "{}", warned.text());
}
