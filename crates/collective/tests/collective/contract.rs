//! The contract on every collective that needs no launcher.

use collective::{Collective, CollectiveError, Fault, Faulty, Solo, Threads, contract, sum_, sum_numbers};
use std::{
    thread,
    time::{Duration, Instant},
};
use tch::{Kind, Tensor};

/// Runs `f` on every rank of a world of `size` threads.
fn on_threads(size: usize, f: impl Fn(&dyn Collective) + Sync) {
    let ranks = Threads::world_of(size);
    thread::scope(|scope| {
        for rank in &ranks {
            scope.spawn(|| f(rank));
        }
    });
}

#[test]
fn solo_keeps_the_contract() {
    contract::check(&Solo::new()).unwrap();
    contract::check_abort(&Solo::new());
}

#[test]
fn threads_keep_the_contract() {
    for size in [1, 2, 3, 5] {
        on_threads(size, |rank| contract::check(rank).unwrap());
        on_threads(size, |rank| contract::check_abort(rank));
    }
}

#[test]
fn a_faulty_adapter_with_no_fault_in_reach_keeps_the_contract() {
    contract::check(&Faulty::new(Solo::new(), usize::MAX, Fault::Lost)).unwrap();
}

#[test]
fn sums_have_the_same_bits_on_every_rank_and_every_time() {
    let bits = |_| {
        let out = std::sync::Mutex::new(Vec::new());
        on_threads(4, |rank| {
            let mut t = Tensor::from_slice(&[0.1_f32.powi(rank.rank() as i32), 1e8, 3.3]);
            sum_(rank, &mut t).unwrap();
            out.lock().unwrap().push(Vec::<f32>::try_from(t).unwrap());
        });
        out.into_inner().unwrap()
    };
    let runs: Vec<_> = (0..5).flat_map(bits).collect();
    assert!(runs.iter().all(|run| run == &runs[0]), "{runs:?}");
}

#[test]
fn a_lost_rank_fails_the_others_instead_of_hanging_them() {
    let mut ranks = Threads::world_of(3);
    let faulty = Faulty::new(ranks.remove(0), 1, Fault::Lost);
    let work = |peers: &dyn Collective| -> Result<(), CollectiveError> {
        for _ in 0..3 {
            sum_numbers(peers, &[1.0])?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lost = scope.spawn(|| work(&faulty));
        for rank in &ranks {
            scope.spawn(move || {
                let error = work(rank).unwrap_err();
                assert!(error.to_string().contains("at call 1"), "{error}");
            });
        }
        assert!(lost.join().unwrap().is_err());
    });
    assert_eq!(faulty.calls(), 2);
}

#[test]
fn a_late_rank_is_waited_for() {
    let mut ranks = Threads::world_of(2);
    let late = Faulty::new(ranks.remove(0), 0, Fault::Late(Duration::from_millis(60)));
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| late.barrier().unwrap());
        ranks[0].barrier().unwrap();
    });
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn different_calls_are_named() {
    on_threads(2, |rank| {
        let mut t = Tensor::zeros([rank.rank() as i64 + 1], (Kind::Float, tch::Device::Cpu));
        let error = sum_(rank, &mut t).unwrap_err().to_string();
        assert!(error.contains("all_reduce(Sum, 1 f32)"), "{error}");
        assert!(error.contains("all_reduce(Sum, 2 f32)"), "{error}");
    });
}

#[test]
fn what_cannot_travel_is_refused() {
    let solo = Solo::new();
    let mut gaps = Tensor::zeros([4, 4], (Kind::Float, tch::Device::Cpu)).tr();
    assert!(sum_(&solo, &mut gaps).is_err());
    let mut truths = Tensor::zeros([4], (Kind::Bool, tch::Device::Cpu));
    assert!(sum_(&solo, &mut truths).unwrap_err().to_string().contains("Bool"));
}
