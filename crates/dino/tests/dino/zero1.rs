//! Ranks that share the moments of AdamW: the bits are those of ranks that each hold all of them, in weights and in files.

use crate::support::runs::{
    CENTERINGS, assert_same, batch, copies, gathered, new, of_rank, on_ranks, take_steps, tiny,
};
use collective::{Collective, Fault, Faulty, Solo, Threads};
use dino::{
    DinoError, Incoming, State,
    tensor_bytes::{Room, to_bytes_with_facts},
};
use run_spec::{
    config::{Precision, TrainConfig},
    schedule::Schedules,
};
use std::{sync::Mutex, thread};
use tch::{Device, Tensor};

/// Everything that treats parameters in different ways, and gradients that are clipped.
fn varied(precision: Precision) -> TrainConfig {
    let mut c = tiny();
    (c.train.precision, c.train.zero1) = (precision, true);
    (c.optim.layerwise_decay, c.optim.freeze_last_layer_epochs, c.optim.clip) = (0.8, 0.15, 0.05);
    (c.head.separate, c.model.drop_path) = (true, 0.3);
    c
}

/// Runs `on` on each rank of a world of threads; gives what each made, in the order of ranks.
fn each_rank<T: Send>(world: usize, on: impl Fn(Threads) -> T + Sync) -> Vec<T> {
    let on = &on;
    thread::scope(|scope| {
        let ranks: Vec<_> = Threads::world_of(world).into_iter().map(|peers| scope.spawn(move || on(peers))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn weights_moments_and_losses_are_those_of_ranks_that_hold_all() {
    for (centering, precision) in CENTERINGS.into_iter().zip([Precision::F64, Precision::F32, Precision::F32]) {
        let mut c = varied(precision);
        c.loss.centering = centering;
        for world in 1..=4 {
            c.train.zero1 = true;
            let (shared, losses) = on_ranks(&c, world, 5);
            c.train.zero1 = false;
            let (whole, expected) = on_ranks(&c, world, 5);
            assert_eq!(losses, expected, "{centering}, {world} ranks");
            for state in &shared {
                assert_same(state, &whole[0]);
            }
        }
    }
}

#[test]
fn each_rank_holds_an_equal_part_and_knows_no_other() {
    let c = varied(Precision::F32);
    let (held, all) = new(&c).moment_bytes();
    assert!(held >= all && held < all + all / 4, "{held} for {all} of a world of one");
    for world in [2, 3, 4] {
        let bytes = each_rank(world, |peers| {
            let state = of_rank(&c, &peers);
            assert!(state.tensors().iter().all(|(name, _)| !name.starts_with("adam.m") && !name.starts_with("adam.v")));
            let missing = state.gathered(peers.rank() == 1, &peers).unwrap();
            assert_eq!(missing.iter().any(|(name, _)| name.starts_with("adam.m")), peers.rank() == 1);
            state.moment_bytes()
        });
        let padding = 2 * 4 * 64 * world as u64;
        for (rank_held, of_all) in &bytes {
            assert_eq!((*rank_held, *of_all), (bytes[0].0, all), "{world} ranks");
            assert!(rank_held * world as u64 >= all && rank_held * world as u64 <= held + padding, "{world} ranks");
        }
    }
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let c = varied(Precision::F64);
    let ends = each_rank(3, |peers| {
        let mut state = of_rank(&c, &peers);
        take_steps(&mut state, &c, 0..2, &peers);
        let before = gathered(&state, &peers);
        let bad = batch(&c, 2, peers.rank(), 3);
        if peers.rank() == 2 {
            let _ = bad.global.get(1).get(0).fill_(f64::NAN);
        }
        let error = state.step(&bad, &Schedules::new(&c).at(3), &peers).unwrap_err();
        assert!(matches!(error, DinoError::NonFinite(_)), "{error}");
        assert_same(&before, &gathered(&state, &peers));
        take_steps(&mut state, &c, 2..4, &peers);
        gathered(&state, &peers)
    });
    let (undisturbed, _) = on_ranks(&c, 3, 4);
    assert_same(&ends[0], &undisturbed[0]);
}

#[test]
fn a_peer_lost_at_any_call_leaves_the_state_as_it_was_or_unusable() {
    let c = varied(Precision::F32);
    let knobs = Schedules::new(&c).at(3);
    // What each rank has after a step in which rank 1 is lost at call `at`: the calls so far, and whether the state is torn.
    let lost_at = |at: usize| {
        each_rank(2, |peers| {
            let rank = peers.rank();
            let mut state = of_rank(&c, &peers);
            let before = copies(&state);
            let peers = Faulty::new(peers, if rank == 1 { at } else { usize::MAX }, Fault::Lost);
            let step = state.step(&batch(&c, 0, rank, 2), &knobs, &peers);
            if at == usize::MAX {
                step.unwrap();
                return (peers.calls(), false);
            }
            assert!(matches!(step, Err(DinoError::Collective(_))), "call {at}: {step:?}");
            // A batch that does not fit is refused before anything is sent, a torn state before that.
            let world = Threads::world_of(2).swap_remove(rank);
            let torn = match state.step(&batch(&c, 0, 0, 1), &knobs, &world).unwrap_err() {
                DinoError::Torn => true,
                DinoError::Batch { .. } => false,
                error => panic!("call {at}: {error}"),
            };
            let changed = copies(&state).iter().zip(&before).any(|((_, a), (_, b))| !a.equal(b));
            assert_eq!(torn, changed, "call {at}, rank {rank}");
            (peers.calls(), torn)
        })
    };
    let calls = lost_at(usize::MAX)[1].0;
    let torn: Vec<Vec<bool>> = (0..calls).map(|at| lost_at(at).into_iter().map(|(_, torn)| torn).collect()).collect();
    // The last two calls are those in which each of the two ranks sends its weights.
    for (at, torn) in torn.iter().enumerate() {
        let sends = at + 2 >= calls;
        assert_eq!(torn[1], sends, "call {at} of {calls}");
        // The other may notice the loss while it still waits in the call before.
        assert!(sends || !torn[0], "call {at} of {calls}");
    }
}

fn whole_file(state: &State, peers: &dyn Collective) -> Vec<u8> {
    to_bytes_with_facts(&gathered(state, peers), &facts()).unwrap()
}

fn facts() -> [(&'static str, String); 1] {
    [("step", "2".to_owned())]
}

#[test]
fn the_bytes_of_a_file_are_those_of_the_whole_whoever_writes_which() {
    let c = varied(Precision::F32);
    for world in [1, 2, 3, 4] {
        each_rank(world, |peers| {
            let mut state = of_rank(&c, &peers);
            take_steps(&mut state, &c, 0..2, &peers);
            let (rank, expected) = (peers.rank(), whole_file(&state, &peers));
            let room = || Room { used: None, device: Device::Cpu };
            let copy = |part: std::ops::Range<usize>| {
                state.copy_with_facts(&facts(), |_| part, room(), &peers).unwrap().as_ref().to_vec()
            };
            let length = expected.len();
            let all = if rank == 0 { 0..length } else { 0..0 };
            assert_eq!(copy(all.clone()), expected[all], "the first of {world} ranks writes all");
            let edge = |rank: usize| if rank == world { length } else { length * rank / world / 8 * 8 };
            let part = edge(rank)..edge(rank + 1);
            assert_eq!(copy(part.clone()), expected[part], "rank {rank} of {world} writes a part");
        });
    }
}

#[test]
fn a_file_is_read_by_any_number_of_ranks_and_training_continues_to_the_bit() {
    let mut c = varied(Precision::F64);
    let file = Mutex::new(Vec::new());
    each_rank(2, |peers| {
        let mut state = of_rank(&c, &peers);
        take_steps(&mut state, &c, 0..2, &peers);
        let bytes = whole_file(&state, &peers);
        *file.lock().unwrap() = bytes;
    });
    let bytes = file.into_inner().unwrap();
    c.init.seed = Some(99);
    for world in [1, 2, 3] {
        let mut ends = Vec::new();
        for zero1 in [true, false] {
            c.train.zero1 = zero1;
            let states = each_rank(world, |peers| {
                let mut state = of_rank(&c, &peers);
                let mut incoming = Incoming::of(&state, &bytes, "a checkpoint").unwrap();
                for (number, piece) in bytes.chunks(1 << 12).enumerate() {
                    incoming.take((number << 12) as u64, piece);
                }
                incoming.finish(&mut state).unwrap();
                assert_eq!(state.steps(), 2);
                assert_eq!(whole_file(&state, &peers), bytes, "{world} ranks");
                let mut loaded = of_rank(&c, &peers);
                loaded.load(&gathered(&state, &peers), "a checkpoint").unwrap();
                assert_eq!(whole_file(&loaded, &peers), bytes, "{world} ranks, from tensors");
                take_steps(&mut state, &c, 2..4, &peers);
                gathered(&state, &peers)
            });
            ends.extend(states.into_iter().next());
        }
        assert_same(&ends[0], &ends[1]);
    }
}

#[test]
fn other_ranks_than_those_that_share_are_refused_by_name_of_the_key() {
    let c = varied(Precision::F32);
    let knobs = Schedules::new(&c).at(3);
    let refused = |mut state: State, peers: &dyn Collective| {
        let before = copies(&state);
        let batch = batch(&c, 0, peers.rank(), peers.world());
        let error = state.step(&batch, &knobs, peers).unwrap_err();
        assert!(matches!(error, DinoError::Shares { .. }), "{error}");
        assert_same(&before, &copies(&state));
        error.to_string()
    };
    let of_two = each_rank(2, |peers| (refused(new(&c), &peers), of_rank(&c, &peers)));
    let said = &of_two[1].0;
    assert!(
        said.starts_with("train.zero1") && said.contains("for rank 0 of 1, and this step needs those of rank 1 of 2"),
        "{said}"
    );
    let mut states = of_two.into_iter().map(|(_, state)| state);
    let said = refused(states.next().unwrap(), &Solo::new());
    assert!(said.contains("for rank 0 of 2, and this step needs those of rank 0 of 1"), "{said}");
    let error = states.next().unwrap().gathered(true, &Solo::new()).unwrap_err();
    assert!(matches!(error, DinoError::Shares { .. }), "{error}");
    // One rank that was asked to share holds all.
    let mut alone = new(&c);
    take_steps(&mut alone, &c, 0..1, &Solo::new());
    let moments: Vec<(String, Tensor)> =
        copies(&alone).into_iter().filter(|(name, _)| name.contains("adam.m")).collect();
    assert_eq!(moments.len(), alone.student().params.names().len());
}
