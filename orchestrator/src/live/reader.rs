//! Reads the picture of a sweep from its store, a few trials at a time and only what may have changed.
//!
//! A trial that is finished is read once. Of one that runs the lines are read that its log has gained, or, where that grows on
//! another machine, the metrics that it has published with its checkpoints.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use results::{ResultRow, TEACHER};
use run_folder::{MetricsLine, StepOutcome};
use store::Store;

use super::{Picture, Shown};
use crate::evidence::{self, Checked};
use crate::identity::Life;
use crate::local_log;
use crate::log::{self, Growing};
use crate::records::{Claim, Plan, Trial};
use crate::standing::Standing;
use crate::trial_state::{self, State, unix_s};

/// Bytes of a log that are read when it is first looked at, and at most at once.
const LOG_BYTES: u64 = 4 << 20;

/// A picture that grows.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    store: &'a Store,
    plan: &'a Plan,
    known: Vec<Known<'a>>,
    /// The trial that is looked at next, of those that do not run.
    next: usize,
}

/// A trial with what has been read of it.
#[derive(Debug)]
struct Known<'a> {
    trial: Trial<'a>,
    shown: Shown,
    /// Keys of metrics that have been read.
    metrics: BTreeSet<String>,
    log: Option<Growing>,
}

impl<'a> Reader<'a> {
    /// Nothing of `plan` has been read yet.
    pub(crate) fn new(store: &'a Store, plan: &'a Plan) -> Self {
        let known = |trial: Trial<'a>| {
            let steps = evidence::step(plan, &trial).map_or(0, |step| step.get());
            let shown = Shown::unknown(trial.label(), trial.baseline.is_some(), steps);
            Known { trial, shown, metrics: BTreeSet::new(), log: None }
        };
        let known = plan.with_baselines(plan.trials()).into_iter().map(known).collect();
        Self { store, plan, known, next: 0 }
    }

    /// Looks at `most` trials: at those that run, and in turn at those that are not finished.
    ///
    /// # Errors
    /// A store that cannot be reached; what was read before stays.
    pub(crate) fn read(&mut self, most: usize) -> Result<()> {
        let is = |known: &Known<'_>, standing| known.shown.standing == Some(standing);
        let running: Vec<usize> = (0..self.known.len()).filter(|&at| is(&self.known[at], Standing::Running)).collect();
        for at in running.iter().copied().take(most) {
            self.look(at)?;
        }
        let mut left = most.saturating_sub(running.len());
        for _ in 0..self.known.len() {
            if left == 0 {
                break;
            }
            let at = self.next;
            self.next = (at + 1) % self.known.len();
            if !is(&self.known[at], Standing::Finished) && !running.contains(&at) {
                self.look(at)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// How long to leave the store alone after a look that took `spent`: `every` once all trials have been seen, before that as
    /// long as the look took, up to a second.
    pub(crate) fn rest(&self, spent: Duration, every: Duration) -> Duration {
        let has_seen_all = self.known.iter().all(|known| known.shown.standing.is_some());
        if has_seen_all { every } else { spent.clamp(Duration::from_millis(20), Duration::from_secs(1)).min(every) }
    }

    /// The picture now.
    pub(crate) fn picture(&self) -> Picture {
        let Plan { name, digest, slots, .. } = self.plan;
        let trials = self.known.iter().map(|known| known.shown.clone()).collect();
        Picture { name: name.clone(), digest: digest.short(), slots: *slots, trials, unix_s: unix_s() }
    }

    fn look(&mut self, at: usize) -> Result<()> {
        let (store, plan, known) = (self.store, self.plan, &mut self.known[at]);
        let Checked { state, rows } = evidence::state(store, plan, &known.trial)?;
        known.shown.standing = Some(Standing::of(&state));
        match state {
            State::Finished { attempt, record } => {
                let shown = &mut known.shown;
                (shown.attempt, shown.stage) = (Some(attempt), "done".to_owned());
                shown.took_s = Some(record.stages.iter().map(|stage| stage.seconds).sum());
                shown.score = score(plan, &known.trial, &rows);
                shown.words.clear();
                known.log = None;
            }
            State::Failed { attempt, record } => {
                (known.shown.attempt, known.shown.stage) = (Some(attempt), record.stage);
                known.shown.words = record.message;
            }
            State::Damaged { attempt, what } => (known.shown.attempt, known.shown.words) = (Some(attempt), what),
            State::Claimed { attempt, claim, life } => {
                known.shown.attempt = Some(attempt);
                known.running(store, &claim, life)?;
            }
            State::SetAside { .. } => known.shown.words = "set aside: will be repeated".to_owned(),
            State::Missing => {}
        }
        Ok(())
    }
}

impl Known<'_> {
    fn running(&mut self, store: &Store, claim: &Claim, life: Life) -> Result<()> {
        let Some(attempt) = self.shown.attempt else { return Ok(()) };
        let key = self.trial.attempt_key(attempt);
        let names = trial_state::attempts(store, &self.trial)?.remove(&attempt).unwrap_or_default();
        self.shown.since = Some(claim.unix_s);
        self.shown.words = match (life, &claim.batch) {
            (_, Some(_)) => "on Slurm".to_owned(),
            (Life::Dead, None) => "its orchestrator is dead".to_owned(),
            (_, None) => format!("process {} on {}", claim.holder.pid, claim.holder.host),
        };
        self.shown.stage = stage(&names);
        if let Some((path, _)) = local_log::of(store, &key, &names)?
            && path.is_file()
            && self.log.as_ref().is_none_or(|log| log.path() != path)
        {
            self.log = Some(Growing::near_end(path, LOG_BYTES));
        }
        self.read_log();
        self.read_metrics(store)?;
        let written = store.last_write(&self.trial.key().to_string())?;
        let log = self.log.as_ref().and_then(|log| log.path().metadata().ok()?.modified().ok());
        let log = log.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map(|since| since.as_secs());
        self.shown.last_write = written.max(log);
        Ok(())
    }

    /// The lines that the log has gained.
    fn read_log(&mut self) {
        let Some(lines) = self.log.as_mut().and_then(|log| log.lines(LOG_BYTES)) else { return };
        for line in lines {
            if let Some(line) = line.find('{').and_then(|at| serde_json::from_str(&log::plain(&line[at..])).ok()) {
                self.step(&line);
            }
        }
    }

    /// The metrics that were published since the last look. Where a log tells the steps as they are made, they are older.
    fn read_metrics(&mut self, store: &Store) -> Result<()> {
        if self.trial.baseline.is_some() || (self.log.is_some() && self.shown.step.is_some()) {
            return Ok(());
        }
        let run = store.child(&self.trial.key().run());
        for key in run.list("metrics")? {
            if !self.metrics.insert(key.clone()) {
                continue;
            }
            let bytes = run.get(&key)?;
            for line in String::from_utf8_lossy(&bytes).lines().filter_map(|line| serde_json::from_str(line).ok()) {
                self.step(&line);
            }
        }
        Ok(())
    }

    fn step(&mut self, line: &MetricsLine) {
        let step = line.step.get();
        self.shown.step = Some(step + 1);
        if let StepOutcome::Done(metrics) = &line.outcome {
            self.shown.losses.push(step, metrics.loss.unwrap_or(f64::NAN));
        }
    }
}

/// What runs of an attempt, by the names of its records.
fn stage(names: &BTreeSet<String>) -> String {
    let started = names.iter().filter_map(|name| name.strip_prefix("started-")?.strip_suffix(".json"));
    let stages: Vec<&str> = started.map(|name| name.split("-restart-").next().unwrap_or(name)).collect();
    let probe = stages.iter().rfind(|name| name.starts_with("probe-"));
    match (probe, stages.contains(&"train"), names.contains("trained.json")) {
        (Some(probe), ..) => (*probe).to_owned(),
        (None, _, true) => "waits to be probed".to_owned(),
        (None, true, false) => "train".to_owned(),
        (None, false, false) => "waits".to_owned(),
    }
}

/// The mean over folds of the primary comparison on the first evaluation set of a trial.
fn score(plan: &Plan, trial: &Trial<'_>, rows: &[ResultRow]) -> Option<f64> {
    let eval = plan.evals_of(trial).next()?;
    let features = trial.baseline.map_or(TEACHER, |baseline| baseline.features.as_str());
    let (probe, metric) = (eval.primary.probe.name(), eval.primary.metric.name());
    let counts = |row: &&ResultRow| {
        row.features == features && row.probe == probe && row.metric == metric && row.class.is_none()
    };
    // Baselines are shared by sweeps that may call the set otherwise.
    let of_set = |row: &&ResultRow| trial.baseline.is_some() || row.dataset == eval.name;
    let values: Vec<f64> = rows.iter().filter(counts).filter(of_set).map(|row| row.value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::failure;
    use crate::command::tests::plan;
    use crate::records::Cause;
    use run_spec::ids::Attempt;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_stage_is_told_by_the_records_of_an_attempt() {
        assert_eq!(stage(&names(&["claim.json"])), "waits");
        assert_eq!(stage(&names(&["claim.json", "started-train-restart-2.json"])), "train");
        assert_eq!(stage(&names(&["started-train.json", "trained.json"])), "waits to be probed");
        assert_eq!(stage(&names(&["started-train.json", "started-probe-cells.json"])), "probe-cells");
    }

    #[test]
    fn what_runs_is_read_each_time_and_the_rest_in_turn() {
        let (store, plan) = (Store::open("memory://live-reader").unwrap(), plan());
        let trials = plan.trials();
        let claim = |n: usize| trial_state::claim(&store, &trials[n], Attempt::new(1), "s", None).unwrap();
        let mut reader = Reader::new(&store, &plan);
        assert_eq!(reader.picture().seen(), 0);
        assert!(claim(0));
        let run = store.child(&trials[0].key().run());
        run.create(
            "metrics/00000000-a0001.jsonl",
            "{\"step\": 0, \"loss\": 3.0}\n{\"step\": 1, \"loss\": 2.0}\n".into(),
        )
        .unwrap();
        reader.read(1).unwrap();
        assert_eq!(reader.picture().seen(), 1, "no more than was asked for");
        reader.read(2).unwrap();
        let seen = reader.picture();
        let first = &seen.trials[0];
        assert_eq!((first.standing, first.step, first.losses.last()), (Some(Standing::Running), Some(2), Some(2.0)));
        assert!(first.last_write.is_some() && first.words.starts_with("process "), "{first:?}");
        assert_eq!(seen.trials[1].standing, Some(Standing::Open));

        run.create("metrics/00000002-a0001.jsonl", "{\"step\": 2, \"failed\": \"loss.ibot\"}\n".into()).unwrap();
        let record = failure(Cause::Exit, "train", "no shards".into(), Vec::new());
        reader.read(1).unwrap();
        assert_eq!((reader.picture().trials[0].step, reader.picture().trials[0].losses.last()), (Some(3), Some(2.0)));
        trial_state::record_failure(&store, &trials[0], Attempt::new(1), &record).unwrap();
        reader.read(2).unwrap();
        assert_eq!(reader.picture().worries()[0].1, "failed: no shards");
    }
}
