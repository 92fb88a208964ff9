//! What a step costs on the way between host and device, counted where there is no device: `torch_shim::crossing` counts on a CPU what
//! would cross on a GPU, and the double of NCCL stages the host's numbers as NCCL would.

use std::time::Duration;

use run_folder::{MetricsLine, Run};
use run_spec::config::ResolvedConfig;
use torch_shim::crossing::{Crossings, crossed};
use training::{Ending, Observer, Ranks, TrainingJob};

use crate::common::{config, job, memory, shards};
use crate::nccl_double::{Double, OnDevice};

/// Steps of the runs here.
const STEPS: u64 = 12;
/// Numbers that come back: seven of the loss, three votes, three norms at most, and whether the step was taken.
const NUMBERS: u64 = 14;

/// Keeps what has crossed when each step was read, and gives the loader time to be ahead.
#[derive(Default)]
struct Counting {
    before: Crossings,
    read: Vec<Crossings>,
}

impl Observer for Counting {
    fn on_begin(&mut self, _: u64, _: u64) {
        self.before = crossed();
    }
    fn on_metrics(&mut self, _: &MetricsLine) {}
    fn on_step(&mut self, _: u64) {
        std::thread::sleep(Duration::from_millis(100));
        self.read.push(crossed().since(self.before));
    }
    fn on_end(&mut self) {}
}

impl Counting {
    /// What crossed in each step of the middle: no line is written there, no checkpoint, and the last step is not queued yet.
    fn of_steps(&self) -> Vec<Crossings> {
        let between: Vec<Crossings> = self.read.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        between[2..9].to_vec()
    }
}

fn of_steps(sets: &[&str]) -> ResolvedConfig {
    let length = format!("optim.epoch_length={STEPS}");
    let common = [length.as_str(), "log.every_steps=100", "log.collapse_every_steps=100", "checkpoint.every_steps=100"];
    config(&[&common, sets].concat())
}

/// Bytes of the views of a rank that holds `images`, as levels or as floats.
fn pixels(config: &ResolvedConfig, images: u64, as_levels: bool) -> u64 {
    let plane = |side: i64| 3 * side.unsigned_abs().pow(2) * if as_levels { 1 } else { 4 };
    let crops = &config.crops;
    images * (2 * plane(crops.global_size) + config.loss.n_local.unsigned_abs() * plane(crops.local_size))
}

/// Checks that a step of `images` images a rank waits once, sends `copies` copies, and nothing large but pixels.
///
/// On a busy machine a loader may be late all the same: the ranks then agree by one number of the host, which is staged, and afterwards two
/// steps are queued before the next is read.
fn verify(config: &ResolvedConfig, (images, as_levels): (u64, bool), counted: &Counting, copies: u64) {
    let (steps, late): (Vec<_>, Vec<_>) = counted.of_steps().into_iter().partition(|step| step.pageable.count == 0);
    assert!(late.iter().all(|step| step.waits <= 2 && step.pageable.bytes == 16), "{late:?}");
    let queued_ahead = |(i, read): (usize, &Crossings)| read.sent.count == copies * (i as u64 + 2);
    assert!(counted.read.iter().enumerate().any(queued_ahead), "no step was queued ahead: {:?}", counted.read);
    assert!(steps.iter().any(|step| step.sent.count == copies), "a loader was late in every step: {late:?}");
    for step in steps {
        let queued = step.sent.count / copies;
        assert!(step.waits <= 1 && queued <= 2 && step.sent.count == queued * copies, "{step:?}");
        assert!(step.fetched.count == queued && step.fetched.bytes <= queued * 8 * NUMBERS, "{step:?}");
        // Masks: a byte a patch, and three numbers a masked one; stochastic depth: a number a crop, block and branch.
        let patches = 2 * images * config.grid().unsigned_abs().pow(2);
        let crops = images * (2 + config.loss.n_local.unsigned_abs());
        let others = 8 * (patches / 8 + 1 + 3 * patches + 2 * images + 4 * crops);
        let beside = step.sent.bytes - queued * pixels(config, images, as_levels);
        assert!(beside <= queued * others, "{beside} bytes beside the pixels, {others} expected of a step: {step:?}");
    }
}

/// Everything that a recipe may add: local crops, stochastic depth, KoLeo that leaves out images, a head of its own for patches.
const MORE: [&str; 5] = [
    "loss.n_local=2",
    "model.drop_path=0.5",
    "loss.koleo_weight=0.1",
    "loss.koleo_exclude=same_image",
    "head.separate=true",
];

/// Keys, copies to the device of a step, and whether images travel as levels.
const CASES: [(&[&str], u64, bool); 3] = [(&[], 2, false), (&[], 2, true), (&MORE, 4, true)];

#[test]
fn a_step_of_one_rank_waits_once_and_only_pixels_and_masks_travel() {
    for (sets, copies, as_levels) in CASES {
        let (config, shards, run) = (of_steps(sets), shards(9, None), memory());
        let mut counting = Counting::default();
        tch::set_num_threads(1);
        let job = TrainingJob { as_levels, ..job(&config, &shards, &run) };
        assert_eq!(training::train(&job, &Ranks::solo(), &mut counting).unwrap(), Ending::Done);
        verify(&config, (4, as_levels), &counting, copies);
    }
}

#[test]
fn a_step_of_two_ranks_waits_once_and_only_pixels_and_masks_travel() {
    let double = Double::take();
    for (sets, copies, as_levels) in CASES {
        let (config, shards, run) = (of_steps(sets), shards(9, None), memory());
        double.on_ranks(2, Duration::from_secs(120), |nccl, streams| {
            let ranks = Ranks::joined(Box::new(OnDevice::of(nccl, &streams)));
            let mut counting = Counting::default();
            tch::set_num_threads(1);
            let job = TrainingJob { as_levels, ..job(&config, &shards, &run) };
            assert_eq!(training::train(&job, &ranks, &mut counting).unwrap(), Ending::Done);
            if ranks.first() {
                verify(&config, (2, as_levels), &counting, copies);
            }
        });
    }
}

/// Levels that become floats on the device are the floats that a loader writes: the state after a run is the same to the bit.
#[test]
fn images_that_travel_as_levels_train_the_same_weights() {
    let weights = |pipeline: &str, as_levels| {
        let pipeline = format!("augmentation.pipeline={pipeline}");
        let (config, shards, run) = (config(&[MORE[0], &pipeline]), shards(9, None), memory());
        let job = TrainingJob { as_levels, ..job(&config, &shards, &run) };
        training::train(&job, &Ranks::solo(), &mut Counting::default()).unwrap();
        let (record, _) = Run::of(run).last_checkpoint().unwrap();
        record.digest
    };
    for pipeline in ["dinov2", "albumentations"] {
        assert_eq!(weights(pipeline, true), weights(pipeline, false), "{pipeline}");
    }
}
