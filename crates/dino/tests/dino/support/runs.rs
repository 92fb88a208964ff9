//! Short runs of a tiny model on made-up images, and comparisons of what they end with.

use super::image;
use collective::{Collective, Threads};
use dino::{CropBatch, MaskPlan, RankShare, State, masks};
use run_spec::{
    config::{Centering, TrainConfig},
    plan::Place,
    schedule::Schedules,
};
use std::{sync::Mutex, thread};
use tch::{Device, Tensor};

/// Every way in which teacher logits become targets.
pub(crate) const CENTERINGS: [Centering; 3] = [Centering::SinkhornKnopp, Centering::MovingAverage, Centering::None];

pub(crate) fn tiny() -> TrainConfig {
    let mut c = TrainConfig::default();
    (c.model.dim, c.model.depth, c.model.heads, c.model.patch) = (16, 2, 2, 7);
    (c.model.mlp_ratio, c.model.layerscale_init) = (2.0, 1.0);
    (c.head.prototypes, c.head.hidden, c.head.bottleneck) = (24, 16, 8);
    (c.crops.global_size, c.crops.local_size) = (28, 14);
    (c.train.batch_size, c.train.loss_groups) = (8, 4);
    (c.loss.n_local, c.loss.koleo_weight) = (2, 0.1);
    (c.optim.epoch_length, c.optim.epochs, c.optim.warmup_epochs) = (20, 1.0, 0.1);
    c.optim.lr = Some(1e-3);
    c.masks.ratio_min = 0.3;
    c
}

/// The part of the global batch of `step` that a rank holds.
pub(crate) fn batch(c: &TrainConfig, step: u64, rank: usize, world: usize) -> CropBatch {
    let (all, n_local) = (c.train.batch_size as i64, c.loss.n_local);
    let share = RankShare::of(c.train.batch_size, c.train.loss_groups, rank, world).unwrap();
    let part = |name: &str, views: i64, side: i64| {
        let t = image(&format!("{name}.{step}"), views * all, side);
        t.view([views, all, 3, side, side]).narrow(1, share.first, share.images).contiguous()
    };
    let plan = MaskPlan { config: &c.masks, seed: c.seed, step, share, grid: c.grid() };
    CropBatch {
        global: part("global", 2, c.crops.global_size),
        local: (n_local > 0).then(|| part("local", n_local, c.crops.local_size)),
        masks: masks::batch(&plan),
        koleo_exclusion: None,
    }
}

/// Gives the loss of each step.
pub(crate) fn take_steps(
    state: &mut State,
    c: &TrainConfig,
    steps: std::ops::Range<u64>,
    peers: &dyn Collective,
) -> Vec<f64> {
    let schedules = Schedules::new(c);
    let one = |step: u64| {
        let batch = batch(c, step, peers.rank(), peers.world());
        state.step(&batch, &schedules.at((step + 2).min(19)), peers).unwrap().losses.total
    };
    steps.map(one).collect()
}

pub(crate) fn copies(state: &State) -> Vec<(String, Tensor)> {
    let own = |(name, t): (String, Tensor)| (name, t.copy());
    state.tensors().into_iter().map(own).collect()
}

pub(crate) fn assert_same(a: &[(String, Tensor)], b: &[(String, Tensor)]) {
    assert_eq!(a.len(), b.len());
    for ((name, x), (other, y)) in a.iter().zip(b) {
        assert_eq!(name, other);
        assert!(x.equal(y), "{name} changed");
    }
}

pub(crate) fn new(c: &TrainConfig) -> State {
    State::new(c, Device::Cpu).unwrap()
}

/// The state of one rank of `peers`.
pub(crate) fn of_rank(c: &TrainConfig, peers: &dyn Collective) -> State {
    let place = Place { rank: peers.rank() as u64, world: peers.world() as u64 };
    State::of_rank(c, Device::Cpu, place).unwrap()
}

/// Copies of everything, moments of other ranks included.
pub(crate) fn gathered(state: &State, peers: &dyn Collective) -> Vec<(String, Tensor)> {
    state.gathered(true, peers).unwrap().into_iter().map(|(name, t)| (name, t.copy())).collect()
}

/// Takes steps on a world of threads; gives the state of each rank, and the loss of each step.
pub(crate) fn on_ranks(c: &TrainConfig, world: usize, steps: u64) -> (Vec<Vec<(String, Tensor)>>, Vec<f64>) {
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for peers in Threads::world_of(world) {
            let results = &results;
            scope.spawn(move || {
                let mut state = of_rank(c, &peers);
                let losses = take_steps(&mut state, c, 0..steps, &peers);
                state.verify_equal(&peers).unwrap();
                let all = gathered(&state, &peers);
                results.lock().unwrap().push((all, losses));
            });
        }
    });
    let (states, mut losses): (Vec<_>, Vec<_>) = results.into_inner().unwrap().into_iter().unzip();
    (states, losses.pop().unwrap())
}

/// The largest relative difference of two runs' losses, at most `bound`.
pub(crate) fn assert_near_losses(a: &[f64], b: &[f64], bound: f64, what: &str) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut largest = 0.0f64;
    for (step, (a, b)) in a.iter().zip(b).enumerate() {
        largest = largest.max((a - b).abs() / a.abs());
        assert!((a - b).abs() < bound * a.abs(), "{what}, step {step}: loss {a} and {b}");
    }
    largest
}

/// The largest difference of two states' tensors, each relative to its tensor's largest entry, at most `bound`.
pub(crate) fn assert_near(a: &[(String, Tensor)], b: &[(String, Tensor)], bound: f64, what: &str) -> f64 {
    let mut largest = 0.0f64;
    for ((name, a), (_, b)) in a.iter().zip(b).filter(|((name, _), _)| name != "adam.steps") {
        // The key bias, the middle third, has no gradient but rounding noise (docs/step-files.md).
        let without_keys = |t: &Tensor| {
            let d = t.size()[0] / 3;
            Tensor::cat(&[t.narrow(0, 0, d), t.narrow(0, 2 * d, d)], 0)
        };
        let qkv_bias = name.ends_with("attn.qkv.bias");
        let part = |t: &Tensor| if qkv_bias { without_keys(t) } else { t.shallow_clone() };
        let (a, b) = (part(a), part(b));
        let gap = (&a - &b).abs().max().double_value(&[]);
        let scale = a.abs().max().double_value(&[]).max(1e-3);
        largest = largest.max(gap / scale);
        assert!(gap < bound * scale, "{what}: {name} differs by {gap:.1e} of {scale:.1e}");
    }
    largest
}
