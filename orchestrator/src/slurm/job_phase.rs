//! What the states of a trial's two jobs mean together. Pure.

use crate::records::Cause;
use crate::slurm::job_batch::Job;
use crate::slurm::parse::{End, JobState, Seen};

/// Where a trial is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// One of its jobs is in the queue or runs.
    Under {
        /// The job that is in the queue or runs.
        job: Job,
        /// Slurm's word for its state, after the name of the job.
        description: String,
        /// Whether it runs, as opposed to waiting.
        runs: bool,
    },
    /// Nothing more will happen. `None`: Slurm no longer knows.
    Over(Option<(End, String)>),
}

/// Reads the two states; absent is what Slurm does not know (any more).
pub(crate) fn phase(train: Option<&Seen>, probe: Option<&Seen>) -> Phase {
    let under = |job: Job, seen: &Seen| Phase::Under {
        job,
        description: format!("{}: {}", job.word(), seen.description),
        runs: seen.state == JobState::Running,
    };
    match (train, probe) {
        (Some(Seen { state: JobState::Ended(end), description }), _) if *end != End::Completed => {
            Phase::Over(Some((*end, format!("train: {description}"))))
        }
        (Some(seen), _) if !matches!(seen.state, JobState::Ended(_)) => under(Job::Train, seen),
        // Trained, or forgotten.
        (_, Some(Seen { state: JobState::Ended(end), description })) => {
            Phase::Over(Some((*end, format!("probe: {description}"))))
        }
        (_, Some(seen)) => under(Job::Probe, seen),
        (_, None) => Phase::Over(None),
    }
}

/// The failure to record for a trial that is over and has left no record; `last_words` of its log.
pub(crate) fn failure(over: Option<&(End, String)>, last_words: &str) -> (Cause, String) {
    let Some((end, description)) = over else {
        return (Cause::Lost, "its Slurm job is gone and has left no record".to_owned());
    };
    match end {
        End::Failed => (Cause::Exit, format!("{description}: {last_words}")),
        End::OutOfMemory => (Cause::Exit, format!("{description}: ask for more memory with slurm.mem: {last_words}")),
        End::Timeout => {
            (Cause::TimeLimit, format!("{description}: no checkpoint was written before the limit: {last_words}"))
        }
        End::Cancelled => (Cause::Interrupted, description.clone()),
        End::Completed => (Cause::Lost, format!("{description}, but it has left no record")),
        End::Evicted => (Cause::Lost, description.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::parse::state;

    fn seen(description: &str) -> Option<Seen> {
        (!description.is_empty()).then(|| Seen { state: state(description), description: description.to_owned() })
    }

    #[test]
    fn two_jobs_make_one_phase() {
        let under = |job: Job, state: &str| Phase::Under {
            job,
            description: format!("{}: {state}", job.word()),
            runs: state == "RUNNING",
        };
        let over = |end, description: &str| Phase::Over(Some((end, description.to_owned())));
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
        let failure = |description: &str| match phase(seen(description).as_ref(), None) {
            Phase::Over(over) => failure(over.as_ref(), "step 7"),
            Phase::Under { description, .. } => panic!("{description} is not over"),
        };
        assert!(failure("FAILED").0.blames_the_trial() && failure("FAILED").1.ends_with("train: FAILED: step 7"));
        assert!(failure("OUT_OF_MEMORY").1.contains("slurm.mem"));
        assert_eq!(failure("TIMEOUT").0, Cause::TimeLimit);
        for description in ["NODE_FAIL", "PREEMPTED", "CANCELLED by 0", "COMPLETED", ""] {
            assert!(!failure(description).0.blames_the_trial(), "{description}");
        }
    }
}
