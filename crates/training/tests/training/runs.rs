//! What a run is worth when it is interrupted, and what it says when it cannot go on.

use run_folder::failure::{FailureKind, sentence};
use run_folder::{MetricsLine, Run};
use store::{Fault, StoreError};
use training::{Ending, Input, Observer, StopWish, TrainingError, TrainingJob, kind_of};

use crate::common::{STEPS, Silent, config, job, last_checkpoint, memory, shards, train};

/// Records the events that it observes, and asks to stop after a step.
#[derive(Default)]
struct Diary {
    told: Vec<String>,
    stop_after: Option<(u64, StopWish)>,
}

impl Observer for Diary {
    fn on_begin(&mut self, from: u64, total: u64) {
        self.told.push(format!("{from} of {total}"));
    }

    fn on_metrics(&mut self, line: &MetricsLine) {
        assert!(line.done().is_some_and(|metrics| metrics.loss.is_some_and(f64::is_finite)), "{line:?}");
        self.told.push(format!("line {}", line.step));
    }

    fn on_step(&mut self, done: u64) {
        if let Some((step, wish)) = &self.stop_after
            && *step == done
        {
            wish.flag().store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn on_end(&mut self) {
        self.told.push("end".to_owned());
    }
}

#[test]
fn stopped_and_resumed_a_run_ends_with_the_same_checkpoint() {
    let (config, shards) = (config(&[]), shards(9, None));
    let whole = memory();
    let mut told = Diary::default();
    assert_eq!(train(&job(&config, &shards, &whole), &mut told).unwrap(), Ending::Done);
    assert_eq!(told.told, ["0 of 4", "line 0", "line 1", "line 2", "line 3", "end"]);

    let parts = memory();
    let stopping = job(&config, &shards, &parts);
    let mut told = Diary { stop_after: Some((1, stopping.stop.clone())), ..Diary::default() };
    assert_eq!(train(&stopping, &mut told).unwrap(), Ending::Stopped);
    assert_eq!(last_checkpoint(&parts).0.step, 1);
    let at_three = TrainingJob { stop_at: Some(3), ..job(&config, &shards, &parts) };
    assert_eq!(train(&at_three, &mut Silent).unwrap(), Ending::Stopped);
    // Asked again for a step that is there, it takes none, and nothing new is kept.
    let mut told = Diary::default();
    for stop_at in [3, 2] {
        let again = TrainingJob { stop_at: Some(stop_at), ..job(&config, &shards, &parts) };
        assert_eq!(train(&again, &mut told).unwrap(), Ending::Stopped);
    }
    assert_eq!(told.told, ["3 of 4", "3 of 4"]);
    assert_eq!(last_checkpoint(&parts).0.step, 3);
    let mut told = Diary::default();
    assert_eq!(train(&job(&config, &shards, &parts), &mut told).unwrap(), Ending::Done);
    assert_eq!(told.told, ["3 of 4", "line 3", "end"]);

    let ((one, one_bytes), (other, other_bytes)) = (last_checkpoint(&whole), last_checkpoint(&parts));
    assert_eq!((one.step.get(), other.step.get(), other.attempt.get()), (STEPS, STEPS, 5));
    assert_eq!(one.digest, other.digest);
    assert_eq!(one_bytes, other_bytes);
    let losses = |run: &store::Store| -> Vec<_> {
        let lines = Run::of(run.clone()).metrics().unwrap();
        lines.into_values().map(|metrics| (metrics.loss, metrics.samples)).collect()
    };
    assert_eq!(losses(&whole), losses(&parts));
    assert_eq!(train(&job(&config, &shards, &whole), &mut Diary::default()).unwrap(), Ending::Done, "done already");
}

#[test]
fn a_store_that_fails_at_a_checkpoint_costs_that_checkpoint_and_at_the_last_one_the_run_says_why() {
    let (config, shards) = (config(&[]), shards(9, None));
    // Call by call: what the store is asked before and after step 2 is known to the run's folder alone.
    let mut outcomes = std::collections::BTreeSet::new();
    for call in 0..60 {
        let run = memory();
        let faulty = run.with_faults([(call, Fault::Unavailable)]);
        let outcome = match train(&job(&config, &shards, &faulty), &mut Silent) {
            Ok(_) => {
                assert_eq!(last_checkpoint(&run).0.step, STEPS);
                let steps: Vec<u64> =
                    Run::of(run).checkpoints().unwrap().iter().map(|record| record.step.get()).collect();
                if steps.len() < 2 { "one checkpoint was left out" } else { "nothing was lost" }
            }
            Err(failure) if matches!(*failure.error, TrainingError::LastCheckpoint { .. }) => {
                assert_eq!((kind_of(&failure), failure.step), (FailureKind::StoreUnavailable, Some(STEPS.into())));
                assert!(sentence(&failure).contains("start the same command again"), "{failure}");
                "the last checkpoint was lost"
            }
            Err(failure) => {
                assert_eq!(kind_of(&failure), FailureKind::StoreUnavailable, "{failure:?}");
                "it could not begin or end"
            }
        };
        outcomes.insert(outcome);
    }
    let expected = [
        "it could not begin or end",
        "nothing was lost",
        "one checkpoint was left out",
        "the last checkpoint was lost",
    ];
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_row_that_is_no_image_ends_training_with_its_number_and_the_metrics_so_far() {
    let (config, run) = (config(&["train.batch_size=2"]), memory());
    let failure = train(&job(&config, &shards(8, Some(5)), &run), &mut Silent).unwrap_err();
    assert!(matches!(*failure.error, TrainingError::Row { row: 5, .. }), "{failure:?}");
    assert!(sentence(&failure).starts_with("cannot read row 5 of the shard set: "), "{}", sentence(&failure));
    assert_eq!(kind_of(&failure), FailureKind::Other);
    let step = failure.step.unwrap();
    let stops = run.list("stops").unwrap();
    assert_eq!(stops.len(), 1);
    let lines = Run::of(run).metrics().unwrap();
    assert_eq!(step, lines.len() as u64, "each step before it has its line");
}

#[test]
fn an_input_that_the_program_refuses_ends_the_run_before_it_begins() {
    let (config, run) = (config(&[]), memory());
    let verify = |input: Input<'_>, _: &_| match input {
        Input::Shards => Err("another set".into()),
        Input::InitWeights(_) => Ok(()),
    };
    let refusing = TrainingJob { verify: &verify, ..job(&config, &shards(9, None), &run) };
    let failure = train(&refusing, &mut Silent).unwrap_err();
    assert_eq!((sentence(&failure), failure.step), ("another set".to_owned(), None));
    assert_eq!(run.list("").unwrap(), [""; 0]);
}

#[test]
fn a_store_that_refuses_credentials_is_told_from_one_that_is_away() {
    let (config, shards) = (config(&[]), shards(9, None));
    let denied = memory().with_faults((0..9).map(|call| (call, Fault::Denied)));
    let failure = train(&job(&config, &shards, &denied), &mut Silent).unwrap_err();
    assert_eq!(kind_of(&failure), FailureKind::StoreDenied, "{failure:?}");
    let cause = std::error::Error::source(&failure).and_then(std::error::Error::source);
    let cause = cause.and_then(|cause| cause.downcast_ref::<run_folder::RunError>());
    assert!(matches!(cause, Some(run_folder::RunError::Store(StoreError::Denied { .. }))), "{failure:?}");
}
