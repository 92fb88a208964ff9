//! What a state promises: a step that fails changes nothing, a checkpoint goes on as if nothing had happened, and the
//! number of ranks does not change what is learned.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use collective::{Collective, Fault, Faulty, Solo, Threads};
use dino::{CropBatch, DinoError, MaskPlan, State, masks};
use run_spec::{
    config::{Centering, TrainConfig},
    schedule::Schedules,
};
use std::{sync::Mutex, thread};
use support::image;
use tch::{Device, Kind, Tensor};

fn tiny() -> TrainConfig {
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
fn batch(c: &TrainConfig, step: u64, rank: usize, world: usize) -> CropBatch {
    let (all, n_local) = (c.train.batch_size as i64, c.loss.n_local);
    let mine = all / world as i64;
    let part = |name: &str, views: i64, side: i64| {
        let t = image(&format!("{name}.{step}"), views * all, side);
        t.view([views, all, 3, side, side]).narrow(1, rank as i64 * mine, mine).contiguous()
    };
    let groups = c.train.loss_groups / world as u64;
    let plan = MaskPlan {
        config: &c.masks,
        seed: c.seed,
        step,
        groups: rank as u64 * groups..(rank as u64 + 1) * groups,
        images_per_group: (c.train.batch_size / c.train.loss_groups) as usize,
        grid: c.grid(),
    };
    CropBatch {
        global: part("global", 2, c.crops.global_size),
        local: Some(part("local", n_local, c.crops.local_size)),
        masks: masks::batch(&plan),
    }
}

fn take_steps(state: &mut State, c: &TrainConfig, steps: std::ops::Range<u64>, peers: &dyn Collective) {
    let schedules = Schedules::new(c);
    for step in steps {
        let batch = batch(c, step, peers.rank(), peers.world());
        state.step(&batch, &schedules.at(step + 2), peers).unwrap();
    }
}

fn copies(state: &State) -> Vec<(String, Tensor)> {
    let own = |(name, t): (String, Tensor)| (name, t.copy());
    state.tensors().into_iter().map(own).collect()
}

fn assert_same(a: &[(String, Tensor)], b: &[(String, Tensor)]) {
    assert_eq!(a.len(), b.len());
    for ((name, x), (other, y)) in a.iter().zip(b) {
        assert_eq!(name, other);
        assert!(x.equal(y), "{name} changed");
    }
}

fn new(c: &TrainConfig) -> State {
    State::new(c, Device::Cpu).unwrap()
}

#[test]
fn a_step_that_is_not_finite_changes_nothing_and_names_the_term() {
    for centering in [Centering::SinkhornKnopp, Centering::MovingAverage] {
        let mut c = tiny();
        c.loss.centering = centering;
        let mut state = new(&c);
        take_steps(&mut state, &c, 0..2, &Solo::new());
        let before = copies(&state);
        let bad = batch(&c, 2, 0, 1);
        let _ = bad.global.get(1).get(3).fill_(f64::NAN);
        let knobs = Schedules::new(&c).at(3);
        let error = state.step(&bad, &knobs, &Solo::new()).unwrap_err();
        assert!(matches!(&error, DinoError::NonFinite { term } if term == "loss.dino_global"), "{error}");
        assert_same(&before, &copies(&state));
        // And the run goes on as if the bad batch had never come.
        take_steps(&mut state, &c, 2..3, &Solo::new());
        let mut other = new(&c);
        take_steps(&mut other, &c, 0..3, &Solo::new());
        assert_same(&copies(&state), &copies(&other));
    }
}

#[test]
fn a_peer_lost_at_any_call_changes_nothing() {
    let mut c = tiny();
    c.loss.centering = Centering::MovingAverage;
    let counter = Faulty::new(Solo::new(), usize::MAX, Fault::Lost);
    let mut state = new(&c);
    take_steps(&mut state, &c, 0..1, &counter);
    let calls = counter.calls();
    assert!(calls > 2, "a step makes {calls} calls");
    let before = copies(&state);
    let knobs = Schedules::new(&c).at(3);
    for at in 0..calls {
        let lost = Faulty::new(Solo::new(), at, Fault::Lost);
        let error = state.step(&batch(&c, 1, 0, 1), &knobs, &lost).unwrap_err();
        assert!(matches!(error, DinoError::Collective(_)), "{error}");
        assert_same(&before, &copies(&state));
    }
}

#[test]
fn a_checkpoint_continues_to_the_bit() {
    for centering in [Centering::SinkhornKnopp, Centering::MovingAverage] {
        let mut c = tiny();
        c.loss.centering = centering;
        c.model.drop_path = 0.3;
        let mut straight = new(&c);
        take_steps(&mut straight, &c, 0..4, &Solo::new());
        let mut first = new(&c);
        take_steps(&mut first, &c, 0..2, &Solo::new());
        let saved = copies(&first);
        c.init.seed = Some(99);
        let mut resumed = new(&c);
        resumed.load(&saved, "a checkpoint").unwrap();
        assert_eq!(resumed.steps(), 2);
        take_steps(&mut resumed, &c, 2..4, &Solo::new());
        assert_same(&copies(&straight), &copies(&resumed));
    }
}

#[test]
fn a_checkpoint_of_another_model_is_refused_and_changes_nothing() {
    let mut c = tiny();
    let mut state = new(&c);
    let before = copies(&state);
    c.model.depth = 1;
    let error = state.load(&copies(&new(&c)), "a checkpoint").unwrap_err().to_string();
    assert!(error.contains("missing adam.m.backbone.blocks.1.attn.proj.bias"), "{error}");
    assert_same(&before, &copies(&state));
}

#[test]
fn one_rank_equals_four() {
    for centering in [Centering::SinkhornKnopp, Centering::MovingAverage] {
        let mut c = tiny();
        c.loss.centering = centering;
        c.model.drop_path = 0.4;
        c.train.precision = run_spec::config::Precision::F64;
        let mut solo = new(&c);
        take_steps(&mut solo, &c, 0..3, &Solo::new());
        for world in [2, 4] {
            let states = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for peers in Threads::world_of(world) {
                    let (c, states) = (&c, &states);
                    scope.spawn(move || {
                        let mut state = new(c);
                        take_steps(&mut state, c, 0..3, &peers);
                        states.lock().unwrap().push(copies(&state));
                    });
                }
            });
            let states = states.into_inner().unwrap();
            for other in &states[1..] {
                assert_same(&states[0], other);
            }
            for ((name, a), (_, b)) in copies(&solo).iter().zip(&states[0]) {
                // The key bias has no gradient but rounding noise (docs/step-files.md).
                if name.ends_with("attn.qkv.bias") || name == "adam.steps" {
                    continue;
                }
                let gap = (a - b).abs().max().double_value(&[]);
                assert!(gap < 1e-9, "{world} ranks: {name} differs by {gap:.1e}");
            }
        }
    }
}

#[test]
fn initial_weights_depend_on_the_seed_alone() {
    let mut c = tiny();
    let a = new(&c);
    tch::manual_seed(5);
    assert_same(&copies(&a), &copies(&new(&c)));
    c.seed = 1;
    let b = new(&c);
    let name = "student.backbone.blocks.0.attn.qkv.weight";
    let get = |s: &State| s.tensors().into_iter().find(|(n, _)| n == name).unwrap().1;
    assert!(!get(&a).equal(&get(&b)));
    let std = get(&a).std(true).double_value(&[]);
    assert!((std - 0.02).abs() < 2e-3, "{std}");
    // The teacher starts as a copy, in memory of its own.
    assert!(
        a.student()
            .params
            .get("backbone.pos_embed")
            .unwrap()
            .equal(&a.teacher().params.get("backbone.pos_embed").unwrap())
    );
}

#[test]
fn groups_that_no_world_can_hold_and_batches_that_do_not_fit_are_refused() {
    let c = tiny();
    let state = new(&c);
    let message = state.groups_per_rank(3).unwrap_err().to_string();
    assert!(message.contains("loss_groups 4 cannot be dealt to 3 ranks"), "{message}");
    let mut state = state;
    let knobs = Schedules::new(&c).at(3);
    let mut odd = batch(&c, 0, 0, 1);
    odd.masks = Tensor::zeros([2, 8, 15], (Kind::Bool, Device::Cpu));
    let message = state.step(&odd, &knobs, &Solo::new()).unwrap_err().to_string();
    assert!(message.contains("mask tensor") && message.contains("[2, 8, 16]"), "{message}");
    let mut missing = batch(&c, 0, 0, 1);
    missing.local = None;
    let message = state.step(&missing, &knobs, &Solo::new()).unwrap_err().to_string();
    assert!(message.contains("local crops"), "{message}");
}

#[test]
fn a_few_steps_on_one_batch_lower_the_loss() {
    let c = tiny();
    let mut state = new(&c);
    let knobs = Schedules::new(&c).at(4);
    let batch = batch(&c, 0, 0, 1);
    let mut losses = (0..15).map(|_| state.step(&batch, &knobs, &Solo::new()).unwrap().losses.total);
    let first = losses.next().unwrap();
    let last = losses.last().unwrap();
    assert!(last < first, "{first} to {last}");
}
