//! What a state promises: a step that fails changes nothing, a checkpoint goes on as if nothing had happened, and the
//! number of ranks does not change what is learned.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use collective::{Collective, Fault, Faulty, Solo, Threads};
use dino::{CropBatch, DinoError, MaskPlan, Share, State, masks};
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
    let share = Share::of(c.train.batch_size, c.train.loss_groups, rank, world).unwrap();
    let part = |name: &str, views: i64, side: i64| {
        let t = image(&format!("{name}.{step}"), views * all, side);
        t.view([views, all, 3, side, side]).narrow(1, share.first, share.images).contiguous()
    };
    let plan = MaskPlan { config: &c.masks, seed: c.seed, step, share, grid: c.grid() };
    CropBatch {
        global: part("global", 2, c.crops.global_size),
        local: (n_local > 0).then(|| part("local", n_local, c.crops.local_size)),
        masks: masks::batch(&plan),
    }
}

/// Gives the loss of each step.
fn take_steps(state: &mut State, c: &TrainConfig, steps: std::ops::Range<u64>, peers: &dyn Collective) -> Vec<f64> {
    let schedules = Schedules::new(c);
    let one = |step: u64| {
        let batch = batch(c, step, peers.rank(), peers.world());
        state.step(&batch, &schedules.at((step + 2).min(19)), peers).unwrap().losses.total
    };
    steps.map(one).collect()
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

/// Takes steps on a world of threads; gives the state of each rank, and the loss of each step.
fn on_ranks(c: &TrainConfig, world: usize, steps: u64) -> (Vec<Vec<(String, Tensor)>>, Vec<f64>) {
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for peers in Threads::world_of(world) {
            let results = &results;
            scope.spawn(move || {
                let mut state = new(c);
                let losses = take_steps(&mut state, c, 0..steps, &peers);
                state.verify_equal(&peers).unwrap();
                results.lock().unwrap().push((copies(&state), losses));
            });
        }
    });
    let (states, mut losses): (Vec<_>, Vec<_>) = results.into_inner().unwrap().into_iter().unzip();
    (states, losses.pop().unwrap())
}

/// The configurations in which ranks have something to get wrong.
fn varieties() -> Vec<(String, TrainConfig)> {
    let mut out = Vec::new();
    for centering in [Centering::SinkhornKnopp, Centering::MovingAverage] {
        for (groups, n_local) in [(1, 0), (1, 8), (2, 2), (4, 0)] {
            let mut c = tiny();
            (c.loss.centering, c.train.loss_groups, c.loss.n_local) = (centering, groups, n_local);
            c.model.drop_path = 0.4;
            out.push((format!("{centering}, {groups} loss groups, {n_local} local crops"), c));
        }
    }
    out
}

/// A line of the table that `cargo test --test state -- --show-output` gives.
#[allow(clippy::print_stdout, reason = "the figures are what a reader of the test's output wants")]
fn tell(what: &str, world: usize, losses: f64, state: Option<f64>) {
    let state = state.map(|gap| format!(", weights and moments {gap:.1e}")).unwrap_or_default();
    println!("{what}, {world} ranks against 1, largest relative difference: losses {losses:.1e}{state}");
}

#[test]
fn the_number_of_ranks_changes_nothing_but_rounding() {
    for (what, mut c) in varieties() {
        c.train.precision = run_spec::config::Precision::F64;
        let mut solo = new(&c);
        let losses = take_steps(&mut solo, &c, 0..3, &Solo::new());
        // 3 ranks take 2, 3 and 3 of the 8 images: shares are uneven and groups are cut.
        for world in [2, 3, 4] {
            let (states, others) = on_ranks(&c, world, 3);
            for other in &states[1..] {
                assert_same(&states[0], other);
            }
            let (mut of_losses, mut of_state) = (0.0f64, 0.0f64);
            for (a, b) in losses.iter().zip(&others) {
                of_losses = of_losses.max((a - b).abs() / a.abs());
                assert!((a - b).abs() < 1e-9 * a.abs(), "{what}, {world} ranks: loss {a} and {b}");
            }
            for ((name, a), (_, b)) in copies(&solo).iter().zip(&states[0]) {
                if name == "adam.steps" {
                    continue;
                }
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
                of_state = of_state.max(gap / scale);
                assert!(gap < 1e-9 * scale, "{what}, {world} ranks: {name} differs by {gap:.1e} of {scale:.1e}");
            }
            tell(&what, world, of_losses, Some(of_state));
        }
    }
}

#[test]
fn fifty_steps_in_f32_lose_the_same_on_any_number_of_ranks() {
    let mut c = tiny();
    c.train.loss_groups = 2;
    let losses = take_steps(&mut new(&c), &c, 0..50, &Solo::new());
    for world in [2, 3] {
        let (_, others) = on_ranks(&c, world, 50);
        let mut gap = 0.0f64;
        for (step, (a, b)) in losses.iter().zip(&others).enumerate() {
            gap = gap.max((a - b).abs() / a.abs());
            assert!((a - b).abs() < 1e-4 * a.abs(), "{world} ranks, step {step}: {a} and {b}");
        }
        tell("50 steps in f32", world, gap, None);
    }
}

#[test]
fn a_rank_that_drifts_is_found_by_all() {
    let c = tiny();
    thread::scope(|scope| {
        for peers in Threads::world_of(3) {
            let c = &c;
            scope.spawn(move || {
                let state = new(c);
                if peers.rank() == 1 {
                    let bias = state.teacher().params.get("backbone.norm.bias").unwrap();
                    let _ = bias.narrow(0, 3, 1).fill_(1e-30);
                }
                assert!(matches!(state.verify_equal(&peers), Err(DinoError::Apart { .. })), "rank {}", peers.rank());
            });
        }
    });
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
fn more_ranks_than_images_and_batches_that_do_not_fit_are_refused() {
    let c = tiny();
    let state = new(&c);
    let message = state.share(0, 9).unwrap_err().to_string();
    assert!(message.contains("8 images cannot be shared by 9 ranks"), "{message}");
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
