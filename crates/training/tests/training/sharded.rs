//! Checkpoints that each rank writes a part of: the same bytes as from one rank, read by any number of ranks.

use std::thread;

use collective::Threads;
use run_folder::{Run, verify};
use run_spec::ids::{Digest, Rank};
use store::{Fault, Store};
use training::{Ending, Ranks, TrainingFailure, TrainingJob};

use crate::common::{STEPS, Silent, config, job, last_checkpoint, memory, shards};

/// Trains on `world` ranks, each a thread with its own handle on the run.
fn train_on(
    world: usize,
    sets: &[&str],
    shards: &Store,
    run: &[Store],
    stop_at: Option<u64>,
) -> Vec<Result<Ending, TrainingFailure>> {
    tch::set_num_threads(1);
    thread::scope(|scope| {
        let ranks = Threads::world_of(world).into_iter().enumerate().map(|(rank, peers)| {
            let run = run[rank.min(run.len() - 1)].clone();
            scope.spawn(move || {
                let config = config(sets);
                let job = TrainingJob { stop_at, ..job(&config, shards, &run) };
                training::train(&job, &Ranks::joined(Box::new(peers)), &mut Silent)
            })
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn copy_of(run: &Store) -> Store {
    let copy = memory();
    for key in run.list("").unwrap() {
        copy.create(&key, run.get(&key).unwrap()).unwrap();
    }
    copy
}

fn last_digest(run: &Store) -> Digest {
    last_checkpoint(run).0.digest
}

const WHOLE: &[&str] = &[];
const PARTS: &[&str] = &["checkpoint.sharded=true"];
const ZERO1: &[&str] = &["train.zero1=true"];
const ZERO1_PARTS: &[&str] = &["train.zero1=true", "checkpoint.sharded=true"];

#[test]
fn parts_of_any_number_of_ranks_are_read_by_any_other_and_end_in_the_weights_of_whole_checkpoints() {
    let shards = shards(9, None);
    for writers in [1, 2, 4] {
        let half = |sets| {
            let run = memory();
            for ended in train_on(writers, sets, &shards, std::slice::from_ref(&run), Some(2)) {
                assert_eq!(ended.unwrap(), Ending::Stopped);
            }
            run
        };
        let (whole, parts) = (half(WHOLE), half(PARTS));
        let files = parts.list("checkpoints").unwrap().iter().filter(|key| key.ends_with(".part")).count();
        assert_eq!(files, if writers == 1 { 0 } else { writers }, "{writers} ranks");
        let ((record, bytes), (_, expected)) = (last_checkpoint(&parts), last_checkpoint(&whole));
        assert_eq!((bytes.as_ref(), record.digest), (expected.as_ref(), Digest::of(&expected)), "{writers} ranks");
        for readers in [1, 2, 4] {
            let end = |run: &Store, sets| {
                let run = copy_of(run);
                for ended in train_on(readers, sets, &shards, std::slice::from_ref(&run), None) {
                    assert_eq!(ended.unwrap(), Ending::Done);
                }
                let found = verify(&Run::of(run.clone())).unwrap();
                assert_eq!((found.damages.len(), found.unnamed.len()), (0, 0), "{found:?}");
                last_digest(&run)
            };
            assert_eq!(end(&parts, PARTS), end(&whole, WHOLE), "{writers} ranks wrote, {readers} read");
        }
    }
}

#[test]
fn a_part_that_cannot_be_written_costs_that_checkpoint_and_its_lines_come_with_the_next() {
    let shards = shards(9, None);
    // The first calls of rank 1: its look at attempts and run.json, and its part of step 2.
    for call in 0..3 {
        let run = memory();
        let faulty = run.with_faults([(call, Fault::Unavailable)]);
        for ended in train_on(2, PARTS, &shards, &[run.clone(), faulty], None) {
            assert_eq!(ended.unwrap(), Ending::Done);
        }
        let steps: Vec<u64> = Run::of(run.clone()).checkpoints().unwrap().iter().map(|of| of.step.get()).collect();
        assert_eq!(steps, [STEPS], "call {call}");
        assert_eq!(Run::of(run).metrics().unwrap().len() as u64, STEPS);
    }
    let run = memory();
    let faulty = run.with_faults((0..99).map(|call| (call, Fault::Unavailable)));
    let ended = train_on(2, PARTS, &shards, &[run.clone(), faulty], None);
    let said = ended.into_iter().next().unwrap().unwrap_err().to_string();
    assert!(said.contains("not all ranks could write their parts"), "{said}");
    assert!(Run::of(run).checkpoints().unwrap().is_empty());
}

#[test]
fn ranks_that_share_the_moments_write_and_read_the_same_checkpoints() {
    let shards = shards(9, None);
    let to = |world, sets: &[&str], run: Store, stop_at: Option<u64>| {
        let expected = if stop_at.is_some() { Ending::Stopped } else { Ending::Done };
        for ended in train_on(world, sets, &shards, std::slice::from_ref(&run), stop_at) {
            assert_eq!(ended.unwrap(), expected);
        }
        run
    };
    for writers in [1, 2, 3, 4] {
        let half = |sets| to(writers, sets, memory(), Some(2));
        let (whole, zero1, parts) = (half(WHOLE), half(ZERO1), half(ZERO1_PARTS));
        let (record, bytes) = last_checkpoint(&whole);
        for shared in [&zero1, &parts] {
            let (of_shared, its_bytes) = last_checkpoint(shared);
            assert_eq!((of_shared.digest, &its_bytes), (record.digest, &bytes), "{writers} ranks");
        }
        for readers in [1, 2, 3] {
            let end = |run, sets| last_digest(&to(readers, sets, copy_of(run), None));
            let expected = end(&whole, WHOLE);
            for (run, sets) in [(&whole, ZERO1), (&zero1, ZERO1_PARTS), (&parts, WHOLE)] {
                assert_eq!(end(run, sets), expected, "{writers} ranks wrote, {readers} read with {sets:?}");
            }
        }
    }
}

#[test]
fn what_is_captured_of_a_step_that_was_not_finite_has_all_moments() {
    let shards = shards(9, None);
    let captured = |sets: &[&str]| {
        let run = memory();
        let sets = [sets, &["optim.lr=1e30", "optim.clip=1e30"]].concat();
        for ended in train_on(2, &sets, &shards, std::slice::from_ref(&run), None) {
            assert!(ended.is_err());
        }
        let of = Run::of(run);
        let step = *of.captured().unwrap().first().unwrap();
        let digests: Vec<Digest> = (0..2).map(|rank| of.capture(step, Rank::new(rank)).unwrap().0.digest).collect();
        (step, digests, of.capture(step, Rank::new(0)).unwrap().1)
    };
    let (whole, shared) = (captured(WHOLE), captured(ZERO1));
    assert!(whole.0.get() > 0, "a step was taken before");
    assert_eq!(whole, shared);
}
