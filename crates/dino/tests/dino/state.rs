//! What a state promises: a step that fails changes nothing, a checkpoint goes on as if nothing had happened, and the
//! number of ranks does not change what is learned.

use crate::support::runs::{
    CENTERINGS, assert_near, assert_near_losses, assert_same, batch, copies, new, on_ranks, take_steps, tiny,
};
use collective::{Collective, Fault, Faulty, Solo, Threads};
use dino::{DinoError, Incoming, Quantity, State, tensor_bytes::to_bytes_with_facts};
use run_spec::{
    config::{Centering, KoleoExclude, Precision, TrainConfig},
    schedule::Schedules,
};
use std::thread;
use tch::{Device, Kind, Tensor};

#[test]
fn a_step_that_is_not_finite_changes_nothing_and_names_the_term() {
    for centering in CENTERINGS {
        let mut c = tiny();
        c.loss.centering = centering;
        let mut state = new(&c);
        take_steps(&mut state, &c, 0..2, &Solo::new());
        let before = copies(&state);
        let bad = batch(&c, 2, 0, 1);
        let _ = bad.global.get(1).get(3).fill_(f64::NAN);
        let knobs = Schedules::new(&c).at(3);
        let error = state.step(&bad, &knobs, &Solo::new()).unwrap_err();
        let DinoError::NonFinite(found) = &error else { panic!("{error}") };
        assert_eq!(
            (found.quantity, found.name, found.to_string().as_str()),
            (Quantity::Loss, "dino_global", "loss.dino_global")
        );
        assert_same(&before, &copies(&state));
        // And the run goes on as if the bad batch had never come.
        take_steps(&mut state, &c, 2..3, &Solo::new());
        let mut other = new(&c);
        take_steps(&mut other, &c, 0..3, &Solo::new());
        assert_same(&copies(&state), &copies(&other));
    }
}

/// DINO alone: the heads see no patch, an iBOT head that is there anyway only decays, and nothing divides by the patches that are not
/// there, whether crops are masked or not.
#[test]
fn without_ibot_the_loss_is_that_of_whole_images() {
    for centering in CENTERINGS {
        for (separate, masked, parts) in [(false, 0.0, 1), (true, 0.5, 1), (true, 0.0, 2)] {
            let mut c = tiny();
            (c.loss.ibot_weight, c.loss.koleo_weight, c.loss.centering) = (0.0, 0.0, centering);
            (c.head.separate, c.masks.probability, c.train.gradient_accumulation) = (separate, masked, parts);
            let mut state = new(&c);
            let batch = batch(&c, 0, 0, 1);
            assert_eq!(batch.masks.any().int64_value(&[]) == 1, masked > 0.0);
            let report = state.step(&batch, &Schedules::new(&c).at(3), &Solo::new()).unwrap();
            let losses = report.losses;
            assert!(losses.dino_global > 0.0 && losses.dino_local > 0.0, "{losses:?}");
            let expected = losses.dino_global + losses.dino_local;
            assert!(losses.ibot == 0.0 && (losses.total - expected).abs() < 1e-6 * expected, "{losses:?}");
            let of_ibot_head = report.norms.iter().find(|(name, _)| *name == "ibot_head");
            assert_eq!(of_ibot_head.map(|(_, norm)| *norm), separate.then_some(0.0));
            take_steps(&mut state, &c, 1..3, &Solo::new());
        }
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
    for centering in CENTERINGS {
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
fn a_state_that_comes_in_pieces_is_the_one_that_was_written() {
    for (centering, precision) in CENTERINGS.into_iter().zip([Precision::F64, Precision::F32, Precision::F16]) {
        let mut c = tiny();
        (c.loss.centering, c.train.precision) = (centering, precision);
        let mut first = new(&c);
        if precision != Precision::F16 {
            take_steps(&mut first, &c, 0..2, &Solo::new());
        }
        let bytes = to_bytes_with_facts(&first.tensors(), &[("step", "2".to_owned())]).unwrap();
        let head = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for piece in [head, head + 1024, bytes.len()] {
            c.init.seed = Some(99);
            let mut second = new(&c);
            let mut incoming = Incoming::of(&second, &bytes[..piece], "a checkpoint").unwrap();
            for (at, part) in bytes.chunks(piece).enumerate() {
                incoming.take((at * piece) as u64, part);
            }
            incoming.finish(&mut second).unwrap();
            assert_same(&copies(&first), &copies(&second));
            assert_eq!(second.steps(), first.steps());
        }
        let mut second = new(&c);
        let before = copies(&second);
        let mut incoming = Incoming::of(&second, &bytes[..head], "a checkpoint").unwrap();
        incoming.take(0, &bytes[..head]);
        let error = incoming.finish(&mut second).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a checkpoint ends after {head} of {} bytes", bytes.len())), "{error}");
        c.model.depth = 1;
        let error = Incoming::of(&new(&c), &bytes[..head], "a checkpoint").unwrap_err().to_string();
        assert!(error.contains("unexpected adam.m.backbone.blocks.1.attn.proj.bias"), "{error}");
        assert_same(&before, &copies(&second));
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

/// The configurations in which ranks have something to get wrong.
fn varieties() -> Vec<(String, TrainConfig)> {
    let mut out = Vec::new();
    for centering in CENTERINGS {
        for (groups, n_local) in [(1, 0), (1, 8), (2, 2), (4, 0)] {
            let mut c = tiny();
            (c.loss.centering, c.train.loss_groups, c.loss.n_local) = (centering, groups, n_local);
            c.model.drop_path = 0.4;
            out.push((format!("{centering}, {groups} loss groups, {n_local} local crops"), c));
        }
    }
    out
}

/// A line of the table that `cargo test --test dino state -- --show-output` gives.
#[allow(clippy::print_stdout, reason = "the figures are what a reader of the test's output wants")]
fn tell(what: &str, world: usize, losses: f64, state: Option<f64>) {
    let state = state.map(|gap| format!(", weights and moments {gap:.1e}")).unwrap_or_default();
    println!("{what}, {world} ranks against 1, largest relative difference: losses {losses:.1e}{state}");
}

#[test]
fn the_number_of_ranks_changes_nothing_but_rounding() {
    for (what, mut c) in varieties() {
        c.train.precision = Precision::F64;
        let mut solo = new(&c);
        let losses = take_steps(&mut solo, &c, 0..3, &Solo::new());
        // 3 ranks take 2, 3 and 3 of the 8 images: shares are uneven and groups are cut.
        for world in [2, 3, 4] {
            let (states, others) = on_ranks(&c, world, 3);
            for other in &states[1..] {
                assert_same(&states[0], other);
            }
            let of_losses = assert_near_losses(&losses, &others, 1e-9, &format!("{what}, {world} ranks"));
            let of_state = assert_near(&copies(&solo), &states[0], 1e-9, &format!("{what}, {world} ranks"));
            tell(&what, world, of_losses, Some(of_state));
        }
    }
}

#[test]
fn koleo_leaves_twins_out_on_any_number_of_ranks() {
    let mut c = tiny();
    (c.train.loss_groups, c.loss.koleo_exclude) = (1, KoleoExclude::Copies);
    c.train.precision = Precision::F64;
    let knobs = Schedules::new(&c).at(3);
    // Images 1 and 6 exclude each other, and lie on different ranks.
    let koleo_exclusion = [10i64, 11, 12, 13, 14, 15, 11, 17];
    let step = |rank: usize, world: usize, peers: &dyn Collective| {
        let mut state = new(&c);
        let share = state.share(rank, world).unwrap();
        let mut batch = batch(&c, 0, rank, world);
        let message = state.step(&batch, &knobs, peers).unwrap_err().to_string();
        assert!(message.contains("koleo_exclusion") && message.contains("koleo_exclude copies"), "{message}");
        batch.koleo_exclusion = Some(Tensor::from_slice(&koleo_exclusion).narrow(0, share.first, share.images));
        let losses = state.step(&batch, &knobs, peers).unwrap().losses;
        (losses.koleo, copies(&state))
    };
    for world in [2, 3] {
        thread::scope(|scope| {
            for peers in Threads::world_of(world) {
                let step = &step;
                scope.spawn(move || {
                    let (koleo, solo) = step(0, 1, &Solo::new());
                    let (other, state) = step(peers.rank(), world, &peers);
                    assert!((koleo - other).abs() < 1e-9 * koleo.abs(), "{koleo} and {other} on {world} ranks");
                    assert_near(&solo, &state, 1e-9, "twins");
                });
            }
        });
    }
}

#[test]
fn sigreg_is_the_same_on_any_number_of_ranks() {
    for groups in [1, 2] {
        let mut c = tiny();
        (c.train.loss_groups, c.loss.koleo_weight, c.loss.sigreg_weight) = (groups, 0.0, 0.5);
        c.train.precision = Precision::F64;
        let knobs = Schedules::new(&c).at(3);
        let step = |rank: usize, world: usize, peers: &dyn Collective| {
            let mut state = new(&c);
            let losses = state.step(&batch(&c, 0, rank, world), &knobs, peers).unwrap().losses;
            assert!(losses.named().iter().any(|(name, value)| *name == "sigreg" && *value > 0.0));
            (losses.sigreg, copies(&state))
        };
        for world in [2, 3] {
            thread::scope(|scope| {
                for peers in Threads::world_of(world) {
                    let step = &step;
                    scope.spawn(move || {
                        let (sigreg, solo) = step(0, 1, &Solo::new());
                        let (other, state) = step(peers.rank(), world, &peers);
                        assert!((sigreg - other).abs() < 1e-9 * sigreg, "{sigreg} and {other} on {world} ranks");
                        assert_near(&solo, &state, 1e-9, "sigreg");
                    });
                }
            });
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
        let gap = assert_near_losses(&losses, &others, 1e-4, &format!("{world} ranks"));
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
