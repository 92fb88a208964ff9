//! The teacher is scored while it trains, and the best checkpoint by that score is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;

use dino::Encoder;
use run_folder::{MetricsLine, Run};
use tch::{Device, Kind, Tensor};
use training::{Ending, Observer, OnlineProbe, ProbeScores, TrainingJob};

use crate::common::{STEPS, Silent, config, job, last_checkpoint, memory, shards, train};

const PROBED: [&str; 5] = [
    "log.probe_every_steps=1",
    "log.probe_shards=memory://cells",
    "log.probe_split=folds",
    "checkpoint.every_steps=1",
    "checkpoint.keep=1",
];

/// Gives scores one after the other, and writes down what the teacher makes of an image.
#[derive(Debug)]
struct Scores {
    left: RefCell<Vec<Option<f64>>>,
    features: RefCell<Vec<Vec<f32>>>,
}

impl Scores {
    fn new(scores: &[Option<f64>]) -> Self {
        Self { left: RefCell::new(scores.iter().rev().copied().collect()), features: RefCell::default() }
    }
}

impl OnlineProbe for Scores {
    fn scores(&self, teacher: &Encoder) -> Result<ProbeScores, Box<dyn Error + Send + Sync>> {
        let image = Tensor::ones([1, 3, 28, 28], (Kind::Float, Device::Cpu));
        self.features.borrow_mut().push(Vec::try_from(teacher.features(&image).flatten(0, -1))?);
        let score = self.left.borrow_mut().pop().ok_or("it was asked too often")?.ok_or("the set is away")?;
        Ok(ProbeScores { by_probe: BTreeMap::from([("1nn".to_owned(), score)]), decisive: Some(score) })
    }
}

/// Scores of the lines, by step.
#[derive(Default)]
struct Lines(Vec<(u64, Option<f64>)>);

impl Observer for Lines {
    fn on_begin(&mut self, _: u64, _: u64) {}
    fn on_metrics(&mut self, line: &MetricsLine) {
        self.0.push((line.step.get(), line.done().and_then(|metrics| *metrics.probe.get("1nn")?)));
    }
    fn on_step(&mut self, _: u64) {}
    fn on_end(&mut self) {}
}

#[test]
fn scores_are_in_the_metrics_and_change_no_weight() {
    let shards = shards(9, None);
    let (plain, plain_run) = (config(&["log.every_steps=100"]), memory());
    train(&job(&plain, &shards, &plain_run), &mut Silent).unwrap();

    let sets = ["log.probe_every_steps=2", PROBED[1], PROBED[2], "log.every_steps=100"];
    let (probed, run, probe) = (config(&sets), memory(), Scores::new(&[Some(0.25), Some(0.5)]));
    let mut lines = Lines::default();
    train(&TrainingJob { probe: Some(&probe), ..job(&probed, &shards, &run) }, &mut lines).unwrap();
    // The line of step 1 has the score after two steps, where the first checkpoint is.
    assert_eq!(lines.0, [(0, None), (1, Some(0.25)), (3, Some(0.5))]);
    let published = Run::of(run.clone()).metrics().unwrap();
    assert_eq!(published[&3.into()].probe["1nn"], Some(0.5));
    let scores: Vec<_> = Run::of(run.clone()).checkpoints().unwrap().iter().map(|record| record.score).collect();
    assert_eq!(scores, [Some(0.25), Some(0.5)]);
    assert_eq!(last_checkpoint(&plain_run).0.digest, last_checkpoint(&run).0.digest, "the same weights");
    let features = probe.features.borrow();
    assert!(features.len() == 2 && features[0] != features[1], "the teacher learns meanwhile");
}

#[test]
fn the_best_is_kept_and_going_on_repeats_no_score() {
    let (shards, run) = (shards(9, None), memory());
    let sets: Vec<&str> = PROBED.into_iter().chain(["checkpoint.keep_best=true"]).collect();
    let config = config(&sets);
    let kept =
        || Run::of(run.clone()).checkpoints().unwrap().iter().map(|record| record.step.get()).collect::<Vec<_>>();
    let first = Scores::new(&[Some(0.4), Some(0.9)]);
    let parts = TrainingJob { probe: Some(&first), stop_at: Some(2), ..job(&config, &shards, &run) };
    assert_eq!(train(&parts, &mut Silent).unwrap(), Ending::Stopped);
    assert_eq!(kept(), [2]);
    // A set that is away costs a score and nothing else.
    let second = Scores::new(&[None, Some(0.6)]);
    let mut lines = Lines::default();
    let rest = TrainingJob { probe: Some(&second), ..job(&config, &shards, &run) };
    assert_eq!(train(&rest, &mut lines).unwrap(), Ending::Done);
    assert_eq!(lines.0, [(2, None), (3, Some(0.6))]);
    assert_eq!(kept(), [2, STEPS]);
    assert!(second.left.borrow().is_empty());
}
