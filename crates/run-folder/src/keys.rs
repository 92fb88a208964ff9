//! The keys of a run's folder, each parsed once: what a key names is read here and nowhere else.

use std::fmt;
use std::str::FromStr;

use run_spec::ids::{Attempt, Digest, Rank, Step};

/// A key of a run's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunKey {
    /// `run.json`: what the run is.
    Run,
    /// `attempts/0001.json`: one start of the run.
    Attempt(Attempt),
    /// `restarts/0001.json`: one return to Slurm's queue.
    Restart(u32),
    /// `metrics/00000050-a0001.jsonl`: the metrics lines of some steps of one attempt.
    Metrics(MetricsKey),
    /// `checkpoints/00000050-a0001.json`: the record that publishes a checkpoint.
    Checkpoint(CheckpointKey),
    /// `checkpoints/00000050-a0001.safetensors`: the training state.
    CheckpointBytes(CheckpointKey),
    /// `checkpoints/00000050-a0001-r0003.part`: a rank's part of the training state.
    CheckpointPart(CheckpointKey, Rank),
    /// `final.json`, or `final-a0002.json` where an earlier one did not count: the run is done.
    Final(Option<Attempt>),
    /// `stops/00000102-a0001.json`: an attempt stopped for good before the last step.
    Stop(StopKey),
    /// `failed/00000102-a0001-r0000.json`: the record of a step that was not finite.
    Capture(CaptureKey),
    /// `failed/00000102-a0001-r0000.safetensors`: what that step was given.
    CaptureBytes(CaptureKey),
    /// `set-aside/1.json`: damaged keys that no longer count.
    SetAside(usize),
    /// `features/0123456789ab.json`: the record of features that a probe has kept.
    Features(FeaturesKey),
    /// `features/0123456789ab.f32`: those features.
    FeaturesBytes(FeaturesKey),
}

impl RunKey {
    /// The attempt that wrote what lies there, as far as the key says.
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Attempt(attempt) => Some(*attempt),
            Self::Metrics(key) => Some(key.attempt),
            Self::Checkpoint(key) | Self::CheckpointBytes(key) | Self::CheckpointPart(key, _) => Some(key.attempt),
            Self::Final(attempt) => *attempt,
            Self::Stop(key) => Some(key.attempt),
            Self::Capture(key) | Self::CaptureBytes(key) => Some(key.attempt),
            Self::Run | Self::Restart(_) | Self::SetAside(_) | Self::Features(_) | Self::FeaturesBytes(_) => None,
        }
    }

    /// Whether an attempt must have begun for this to be there. Restarts are counted before the first attempt too.
    pub(crate) fn shows_an_attempt(&self) -> bool {
        !matches!(self, Self::Run | Self::Restart(_) | Self::SetAside(_))
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("run.json"),
            Self::Attempt(attempt) => write!(f, "attempts/{attempt:04}.json"),
            Self::Restart(number) => write!(f, "restarts/{number:04}.json"),
            Self::Metrics(MetricsKey { from, attempt }) => write!(f, "metrics/{from:08}-a{attempt:04}.jsonl"),
            Self::Checkpoint(key) => write!(f, "{}.json", key.stem()),
            Self::CheckpointBytes(key) => write!(f, "{}.safetensors", key.stem()),
            Self::CheckpointPart(key, rank) => write!(f, "{}-r{rank:04}.part", key.stem()),
            Self::Final(None) => f.write_str("final.json"),
            Self::Final(Some(attempt)) => write!(f, "final-a{attempt:04}.json"),
            Self::Stop(StopKey { step, attempt }) => write!(f, "stops/{step:08}-a{attempt:04}.json"),
            Self::Capture(key) => write!(f, "{}.json", key.stem()),
            Self::CaptureBytes(key) => write!(f, "{}.safetensors", key.stem()),
            Self::SetAside(number) => write!(f, "set-aside/{number}.json"),
            Self::Features(key) => write!(f, "{}.json", key.stem()),
            Self::FeaturesBytes(key) => write!(f, "{}.f32", key.stem()),
        }
    }
}

/// A key that no part of a run has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key of a run's folder")]
pub struct NotARunKey(String);

impl FromStr for RunKey {
    type Err = NotARunKey;

    fn from_str(key: &str) -> Result<Self, NotARunKey> {
        parse(key).ok_or_else(|| NotARunKey(key.to_owned()))
    }
}

fn parse(key: &str) -> Option<RunKey> {
    let Some((folder, name)) = key.split_once('/') else {
        return match key.strip_suffix(".json")? {
            "run" => Some(RunKey::Run),
            "final" => Some(RunKey::Final(None)),
            other => Some(RunKey::Final(Some(other.strip_prefix("final-a")?.parse().ok()?))),
        };
    };
    let (stem, ending) = name.split_once('.')?;
    match (folder, ending) {
        ("attempts", "json") => Some(RunKey::Attempt(stem.parse().ok()?)),
        ("restarts", "json") => Some(RunKey::Restart(stem.parse().ok()?)),
        ("set-aside", "json") => Some(RunKey::SetAside(stem.parse().ok()?)),
        ("metrics", "jsonl") => {
            let (from, attempt) = step_and_attempt(stem)?;
            Some(RunKey::Metrics(MetricsKey { from, attempt }))
        }
        ("stops", "json") => {
            let (step, attempt) = step_and_attempt(stem)?;
            Some(RunKey::Stop(StopKey { step, attempt }))
        }
        ("checkpoints", "json") => Some(RunKey::Checkpoint(CheckpointKey::of_stem(stem)?)),
        ("checkpoints", "safetensors") => Some(RunKey::CheckpointBytes(CheckpointKey::of_stem(stem)?)),
        ("checkpoints", "part") => {
            let (stem, rank) = stem.rsplit_once("-r")?;
            Some(RunKey::CheckpointPart(CheckpointKey::of_stem(stem)?, rank.parse().ok()?))
        }
        ("failed", "json") => Some(RunKey::Capture(CaptureKey::of_stem(stem)?)),
        ("failed", "safetensors") => Some(RunKey::CaptureBytes(CaptureKey::of_stem(stem)?)),
        ("features", "json") => Some(RunKey::Features(FeaturesKey::of_stem(stem)?)),
        ("features", "f32") => Some(RunKey::FeaturesBytes(FeaturesKey::of_stem(stem)?)),
        _ => None,
    }
}

/// `00000050-a0001` to step 50 and attempt 1.
fn step_and_attempt(stem: &str) -> Option<(Step, Attempt)> {
    let (step, attempt) = stem.split_once("-a")?;
    Some((step.parse().ok()?, attempt.parse().ok()?))
}

/// Which checkpoint. Ordered by what counts more: a later attempt counts more than a later step, since an attempt that was
/// declared dead and went on all the same must not come between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointKey {
    /// The attempt that wrote it.
    pub attempt: Attempt,
    /// Number of steps that were done by then.
    pub step: Step,
}

impl CheckpointKey {
    fn of_stem(stem: &str) -> Option<Self> {
        let (step, attempt) = step_and_attempt(stem)?;
        Some(Self { attempt, step })
    }

    fn stem(self) -> String {
        format!("checkpoints/{:08}-a{:04}", self.step, self.attempt)
    }

    /// Of the key of a record, of bytes or of a part of them.
    pub(crate) fn of(key: &str) -> Option<Self> {
        match key.parse().ok()? {
            RunKey::Checkpoint(key) | RunKey::CheckpointBytes(key) | RunKey::CheckpointPart(key, _) => Some(key),
            _ => None,
        }
    }

    /// Key of the record that publishes it.
    pub fn record(self) -> String {
        RunKey::Checkpoint(self).to_string()
    }

    /// Key of the training state, where one rank wrote it whole.
    pub fn bytes(self) -> String {
        RunKey::CheckpointBytes(self).to_string()
    }

    /// Key of the part that `rank` wrote.
    pub fn part(self, rank: Rank) -> String {
        RunKey::CheckpointPart(self, rank).to_string()
    }
}

/// Which metrics file: that of the steps from `from` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricsKey {
    /// First step in it.
    pub from: Step,
    /// The attempt that wrote it.
    pub attempt: Attempt,
}

/// Which stop of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StopKey {
    /// Steps done or left out by then.
    pub step: Step,
    /// The attempt that stopped.
    pub attempt: Attempt,
}

/// Which rank's part of which failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaptureKey {
    /// The step that was not finite.
    pub step: Step,
    /// The attempt that met it.
    pub attempt: Attempt,
    /// The rank whose batch it is.
    pub rank: Rank,
}

impl CaptureKey {
    fn of_stem(stem: &str) -> Option<Self> {
        let (stem, rank) = stem.rsplit_once("-r")?;
        let (step, attempt) = step_and_attempt(stem)?;
        Some(Self { step, attempt, rank: rank.parse().ok()? })
    }

    fn stem(self) -> String {
        format!("failed/{:08}-a{:04}-r{:04}", self.step, self.attempt, self.rank)
    }
}

/// Which kept features: the beginning of a digest of what they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeaturesKey(u64);

impl FeaturesKey {
    /// The key by a digest of what the features are of.
    pub(crate) fn of(digest: &Digest) -> Self {
        Self(digest.as_bytes()[..6].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    fn of_stem(stem: &str) -> Option<Self> {
        let digits = stem.len() == 12 && stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u64::from_str_radix(stem, 16).ok().map(Self)).flatten()
    }

    fn stem(self) -> String {
        format!("features/{:012x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_reads_back() {
        let (step, attempt) = (Step::new(50), Attempt::new(12));
        for (key, text) in [
            (RunKey::Run, "run.json"),
            (RunKey::Attempt(attempt), "attempts/0012.json"),
            (RunKey::Restart(3), "restarts/0003.json"),
            (RunKey::Metrics(MetricsKey { from: step, attempt }), "metrics/00000050-a0012.jsonl"),
            (RunKey::Checkpoint(CheckpointKey { attempt, step }), "checkpoints/00000050-a0012.json"),
            (RunKey::CheckpointBytes(CheckpointKey { attempt, step }), "checkpoints/00000050-a0012.safetensors"),
            (
                RunKey::CheckpointPart(CheckpointKey { attempt, step }, Rank::new(3)),
                "checkpoints/00000050-a0012-r0003.part",
            ),
            (RunKey::Final(None), "final.json"),
            (RunKey::Final(Some(attempt)), "final-a0012.json"),
            (RunKey::Stop(StopKey { step, attempt }), "stops/00000050-a0012.json"),
            (RunKey::Capture(CaptureKey { step, attempt, rank: Rank::new(1) }), "failed/00000050-a0012-r0001.json"),
            (
                RunKey::CaptureBytes(CaptureKey { step, attempt, rank: Rank::new(1) }),
                "failed/00000050-a0012-r0001.safetensors",
            ),
            (RunKey::SetAside(1), "set-aside/1.json"),
            (RunKey::Features(FeaturesKey(0xab)), "features/0000000000ab.json"),
            (RunKey::FeaturesBytes(FeaturesKey(0xab)), "features/0000000000ab.f32"),
        ] {
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse::<RunKey>().unwrap(), key);
        }
    }

    #[test]
    fn foreign_keys_are_none_of_a_runs() {
        for key in [
            "log.txt",
            "final-ab.json",
            "features/ab.f32",
            "features/+000000000ab.json",
            "checkpoints/50.json",
            "checkpoints/00000050-a0012.part",
            "metrics/x-a1.jsonl",
            "attempts/1.txt",
            "a/b/c.json",
        ] {
            assert!(key.parse::<RunKey>().is_err(), "{key}");
        }
    }

    #[test]
    fn a_later_attempt_counts_more_than_a_later_step_and_numbers_are_no_text() {
        let key = |text: &str| CheckpointKey::of(text).unwrap();
        assert!(key("checkpoints/00000005-a0002.json") > key("checkpoints/00000050-a0001.json"));
        assert!(key("checkpoints/00000005-a10000.json") > key("checkpoints/00000005-a9999.json"));
        let attempt = |key: &str| key.parse::<RunKey>().unwrap().attempt();
        assert_eq!([attempt("final.json"), attempt("final-a9999.json")], [None, Some(Attempt::new(9999))]);
    }
}
