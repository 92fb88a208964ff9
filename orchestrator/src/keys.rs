//! Where the records of a trial lie in the store: each kind of key a type, made and read here and nowhere else.

use std::fmt;

use run_spec::ids::{Attempt, Digest, Seed};

/// The folder of the sprite atlases of evaluation sets, shared by every sweep ([`shards::atlas`]).
pub(crate) const ATLASES: &str = "atlases";

/// `trials/<digest>/seed-<s>`: a trial, shared by every sweep that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TrialKey {
    /// Digest of config, initial weights, shards and code.
    pub(crate) digest: Digest,
    /// The seed of the trial.
    pub(crate) seed: Seed,
}

impl TrialKey {
    /// The trial whose run folder holds `key`.
    pub(crate) fn of_run(key: &str) -> Option<Self> {
        let (trial, rest) = Self::split(key)?;
        rest.starts_with("run/").then_some(trial)
    }

    /// The trial in which `key` lies, and what follows.
    fn split(key: &str) -> Option<(Self, &str)> {
        let (digest, rest) = key.strip_prefix("trials/")?.split_once('/')?;
        let (seed, rest) = rest.strip_prefix("seed-")?.split_once('/')?;
        Some((Self { digest: digest.parse().ok()?, seed: seed.parse().ok()? }, rest))
    }

    /// Where the worker keeps checkpoints and metrics: attempts share it, and the worker resumes from what lies there.
    pub(crate) fn run(&self) -> String {
        format!("{self}/run")
    }

    /// The config, for people.
    pub(crate) fn config(&self) -> String {
        format!("{self}/config.json")
    }
}

impl fmt::Display for TrialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trials/{}/seed-{}", self.digest, self.seed)
    }
}

/// `<trial>/probes-<p>`: all attempts at a trial that measure it in one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptsKey {
    /// The trial that is measured.
    pub(crate) trial: TrialKey,
    /// Short digest of how it is measured.
    pub(crate) probes: String,
}

impl AttemptsKey {
    /// One of the attempts.
    pub(crate) fn attempt(&self, number: Attempt) -> AttemptKey {
        AttemptKey { attempts: self.clone(), number }
    }
}

impl fmt::Display for AttemptsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/probes-{}", self.trial, self.probes)
    }
}

/// `<trial>/probes-<p>/attempt-<n>`: where the records of one attempt lie.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptKey {
    /// It and its siblings.
    pub(crate) attempts: AttemptsKey,
    /// Number of the attempt, from 1.
    pub(crate) number: Attempt,
}

impl AttemptKey {
    /// The attempt in which `key` lies, and the name of the record there.
    pub(crate) fn split(key: &str) -> Option<(Self, &str)> {
        let (trial, rest) = TrialKey::split(key)?;
        let (probes, rest) = rest.strip_prefix("probes-")?.split_once('/')?;
        let (number, record) = rest.strip_prefix("attempt-")?.split_once('/')?;
        let attempts = AttemptsKey { trial, probes: probes.to_owned() };
        Some((Self { attempts, number: number.parse().ok()? }, record))
    }

    /// Whoever creates it has the attempt.
    pub(crate) fn claim(&self) -> String {
        format!("{self}/claim.json")
    }

    /// The process group of a stage; `restart` counts the starts of a Slurm task after the first.
    pub(crate) fn started(&self, stage: &str, restart: u32) -> String {
        let again = if restart > 0 { format!("-restart-{restart}") } else { String::new() };
        format!("{self}/started-{stage}{again}.json")
    }

    /// A Slurm task has trained.
    pub(crate) fn trained(&self) -> String {
        format!("{self}/trained.json")
    }

    /// The trial is finished.
    pub(crate) fn result(&self) -> String {
        format!("{self}/result.json")
    }

    /// The attempt ended without a result.
    pub(crate) fn failed(&self) -> String {
        format!("{self}/failed.json")
    }

    /// The attempt no longer counts.
    pub(crate) fn set_aside(&self) -> String {
        format!("{self}/set-aside.json")
    }

    /// A log of the attempt.
    pub(crate) fn log(&self, name: &str) -> String {
        format!("{self}/{name}")
    }

    /// The rows of one evaluation set.
    pub(crate) fn rows(&self, eval: &str) -> RowsKey {
        RowsKey { attempt: self.clone(), eval: eval.to_owned() }
    }
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/attempt-{}", self.attempts, self.number)
    }
}

/// `<attempt>/rows-<eval>.jsonl`: what a probe measured on one evaluation set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowsKey {
    /// The attempt that left them.
    pub(crate) attempt: AttemptKey,
    /// Name of the evaluation set.
    pub(crate) eval: String,
}

impl RowsKey {
    /// Reads a key as a result record names it.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let (attempt, name) = AttemptKey::split(key)?;
        let eval = name.strip_prefix("rows-")?.strip_suffix(".jsonl").filter(|eval| !eval.contains('/'))?;
        Some(Self { attempt, eval: eval.to_owned() })
    }

    /// The predictions that they are derived from.
    pub(crate) fn predictions(&self) -> PredictionsKey {
        PredictionsKey { attempt: self.attempt.clone(), eval: self.eval.clone() }
    }
}

impl fmt::Display for RowsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/rows-{}.jsonl", self.attempt, self.eval)
    }
}

/// `<attempt>/predictions-<eval>.parquet`: what each probe predicted for each cell of one evaluation set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PredictionsKey {
    /// The attempt that left them.
    pub(crate) attempt: AttemptKey,
    /// Name of the evaluation set.
    pub(crate) eval: String,
}

impl PredictionsKey {
    /// Reads a key as a result record names it.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let (attempt, name) = AttemptKey::split(key)?;
        let eval = name.strip_prefix("predictions-")?.strip_suffix(".parquet").filter(|eval| !eval.contains('/'))?;
        Some(Self { attempt, eval: eval.to_owned() })
    }
}

impl fmt::Display for PredictionsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/predictions-{}.parquet", self.attempt, self.eval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> AttemptKey {
        let trial = TrialKey { digest: Digest::of(b"t"), seed: Seed::new(3) };
        AttemptsKey { trial, probes: Digest::of(b"p").short() }.attempt(Attempt::new(12))
    }

    #[test]
    fn a_key_leads_back_to_its_attempt_and_trial() {
        let attempt = attempt();
        assert_eq!(AttemptKey::split(&attempt.claim()), Some((attempt.clone(), "claim.json")));
        let rows = attempt.rows("cells");
        let predictions = rows.predictions();
        assert_eq!(PredictionsKey::parse(&predictions.to_string()), Some(predictions));
        assert_eq!(RowsKey::parse(&rows.to_string()), Some(rows));
        let trial = attempt.attempts.trial;
        assert_eq!(TrialKey::of_run(&format!("{}/attempts/0001.json", trial.run())), Some(trial));
    }

    #[test]
    fn other_keys_are_none_of_an_attempts() {
        let attempt = attempt();
        let trial = attempt.attempts.trial;
        assert_eq!(AttemptKey::split(&trial.config()), None);
        assert_eq!(AttemptKey::split("trials/ab/seed-0/probes-cd/attempt-1/claim.json"), None, "no digest");
        assert_eq!(TrialKey::of_run(&attempt.claim()), None);
        assert_eq!(RowsKey::parse(&attempt.claim()), None);
        assert_eq!(PredictionsKey::parse(&attempt.rows("cells").to_string()), None);
    }

    #[test]
    fn a_restart_has_a_record_of_its_own() {
        let names = [0, 2].map(|restart| attempt().started("train", restart).rsplit('/').next().map(str::to_owned));
        assert_eq!(names.map(Option::unwrap_or_default), ["started-train.json", "started-train-restart-2.json"]);
    }
}
