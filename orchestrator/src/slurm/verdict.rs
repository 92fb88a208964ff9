//! What the states of a trial's two jobs mean together. Pure.

use crate::records::Cause;
use crate::slurm::parse::{End, JobState, Seen};
use crate::slurm::wave::Job;

/// Where a trial is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// One of its jobs is in the queue or runs.
    Under {
        /// Which one.
        job: Job,
        /// Slurm's word for its state, after the name of the job.
        words: String,
        /// Whether it runs.
        runs: bool,
    },
    /// Nothing more will happen. `None`: Slurm no longer knows.
    Over(Option<(End, String)>),
}

/// Reads the two states; absent is what Slurm does not know (any more).
pub(crate) fn phase(train: Option<&Seen>, probe: Option<&Seen>) -> Phase {
    let under = |job: Job, seen: &Seen| Phase::Under {
        job,
        words: format!("{}: {}", job.word(), seen.words),
        runs: seen.state == JobState::Running,
    };
    match (train, probe) {
        (Some(Seen { state: JobState::Ended(end), words }), _) if *end != End::Completed => {
            Phase::Over(Some((*end, format!("train: {words}"))))
        }
        (Some(seen), _) if !matches!(seen.state, JobState::Ended(_)) => under(Job::Train, seen),
        // Trained, or forgotten.
        (_, Some(Seen { state: JobState::Ended(end), words })) => Phase::Over(Some((*end, format!("probe: {words}")))),
        (_, Some(seen)) => under(Job::Probe, seen),
        (_, None) => Phase::Over(None),
    }
}

/// The failure to record for a trial that is over and has left no record; `last_words` of its log.
pub(crate) fn failure(over: Option<&(End, String)>, last_words: &str) -> (Cause, String) {
    let Some((end, words)) = over else {
        return (Cause::Lost, "its Slurm job is gone and has left no record".to_owned());
    };
    match end {
        End::Failed => (Cause::Exit, format!("{words}: {last_words}")),
        End::OutOfMemory => (Cause::Exit, format!("{words}: ask for more memory with slurm.mem: {last_words}")),
        End::Timeout => {
            (Cause::TimeLimit, format!("{words}: no checkpoint was written before the limit: {last_words}"))
        }
        End::Cancelled => (Cause::Interrupted, words.clone()),
        End::Completed => (Cause::Lost, format!("{words}, but it has left no record")),
        End::Evicted => (Cause::Lost, words.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::parse::state;

    fn seen(words: &str) -> Option<Seen> {
        (!words.is_empty()).then(|| Seen { state: state(words), words: words.to_owned() })
    }

    #[test]
    fn two_jobs_make_one_phase() {
        let under = |job: Job, state: &str| Phase::Under {
            job,
            words: format!("{}: {state}", job.word()),
            runs: state == "RUNNING",
        };
        let over = |end, words: &str| Phase::Over(Some((end, words.to_owned())));
        for (train, probe, expected) in [
            ("PENDING", "PENDING", under(Job::Train, "PENDING")),
            ("RUNNING", "PENDING", under(Job::Train, "RUNNING")),
            ("COMPLETED", "PENDING", under(Job::Probe, "PENDING")),
            ("COMPLETED", "RUNNING", under(Job::Probe, "RUNNING")),
            ("COMPLETED", "COMPLETED", over(End::Completed, "probe: COMPLETED")),
            // What Slurm has forgotten has ended; the probe, which waited for it, tells how.
            ("", "RUNNING", under(Job::Probe, "RUNNING")),
            ("", "FAILED", over(End::Failed, "probe: FAILED")),
            ("", "", Phase::Over(None)),
            ("COMPLETED", "", Phase::Over(None)),
            // A probe whose training failed is cancelled: the training is the reason.
            ("TIMEOUT", "CANCELLED by 0", over(End::Timeout, "train: TIMEOUT")),
            ("NODE_FAIL", "PENDING", over(End::Evicted, "train: NODE_FAIL")),
        ] {
            assert_eq!(phase(seen(train).as_ref(), seen(probe).as_ref()), expected, "{train} {probe}");
        }
    }

    #[test]
    fn a_trial_is_blamed_for_its_own_failures_alone() {
        let failure = |words: &str| match phase(seen(words).as_ref(), None) {
            Phase::Over(over) => failure(over.as_ref(), "step 7"),
            Phase::Under { words, .. } => panic!("{words} is not over"),
        };
        assert!(failure("FAILED").0.blames_the_trial() && failure("FAILED").1.ends_with("train: FAILED: step 7"));
        assert!(failure("OUT_OF_MEMORY").1.contains("slurm.mem"));
        assert_eq!(failure("TIMEOUT").0, Cause::TimeLimit);
        for words in ["NODE_FAIL", "PREEMPTED", "CANCELLED by 0", "COMPLETED", ""] {
            assert!(!failure(words).0.blames_the_trial(), "{words}");
        }
    }
}
