//! The NCCL backend on a test double of the library: the contract, the order of calls and events, and how a world
//! ends in which something fails. The double is not NCCL, so these tests do not show how a GPU behaves.
#![allow(unsafe_code, reason = "the double's own calls; each names what makes it valid")]

use crate::nccl_double::{Double, OnDevice};
use collective::{
    Buffer, Collective, CollectiveError, ControlChannel, Dtype, Fault, Faulty, Launch, Op, contract, max_,
    rendezvous::{Address, TcpRendezvous},
    sum_, sum_numbers,
};
use std::{sync::Mutex, time::Duration};
use tch::{Device, Kind, Tensor};

/// Long enough that no test ends by it, unless it is about that.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a test waits for whose end is the deadline; joining has to be quicker.
const SHORT: Duration = Duration::from_secs(2);

/// A world whose buffers are all on the device.
fn on_device(double: &Double, size: usize, deadline: Duration, f: impl Fn(&OnDevice<collective::nccl::Nccl>) + Sync) {
    double.on_ranks(size, deadline, |nccl, streams| f(&OnDevice::of(nccl, &streams)));
}

fn ones(n: i64) -> Tensor {
    Tensor::ones([n], (Kind::Float, Device::Cpu))
}

fn reason(result: Result<(), CollectiveError>) -> String {
    match result {
        Err(CollectiveError::Aborted { reason }) => reason,
        other => panic!("it should have been aborted, and was {other:?}"),
    }
}

#[test]
fn nccl_keeps_the_contract_with_buffers_on_the_host() {
    let double = Double::take();
    for size in [1, 2, 3] {
        double.on_ranks(size, PATIENCE, |nccl, _| contract::check(&nccl).unwrap());
        double.on_ranks(size, PATIENCE, |nccl, _| contract::check_abort(&nccl));
    }
}

#[test]
fn nccl_keeps_the_contract_with_buffers_on_the_device() {
    let double = Double::take();
    for size in [1, 2, 3] {
        on_device(&double, size, PATIENCE, |nccl| contract::check(nccl).unwrap());
        on_device(&double, size, PATIENCE, |nccl| contract::check_abort_of_queued(nccl));
    }
}

#[test]
fn ranks_that_met_over_tcp_keep_the_contract_too() {
    let double = Double::take();
    let world = |f: fn(&collective::nccl::Nccl)| {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = Address { host: "127.0.0.1".to_owned(), port, run: 1 };
        let line = |rank| {
            let (address, launch) = (address.clone(), Launch { rank, world: 3, local_rank: rank, pmix: false });
            move || Box::new(TcpRendezvous::join(&address, &launch, PATIENCE).unwrap()) as Box<dyn ControlChannel>
        };
        double.joining_on((0..3).map(line).collect(), PATIENCE, |joined, _| f(&joined.unwrap()));
    };
    world(|nccl| contract::check(nccl).unwrap());
    world(|nccl| contract::check_abort(nccl));
}

#[test]
fn a_maximum_keeps_a_nan_of_any_rank_in_every_float() {
    let double = Double::take();
    on_device(&double, 3, PATIENCE, |nccl| {
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Half] {
            for bad in 0..3 {
                let value = if nccl.rank() == bad { f64::NAN } else { 1.0 };
                let mut t = Tensor::from_slice(&[value, nccl.rank() as f64]).to_kind(kind);
                max_(nccl, &mut t).unwrap();
                assert!(t.double_value(&[0]).is_nan(), "{kind:?}");
                assert_eq!(t.double_value(&[1]), 2.0);
            }
        }
    });
}

#[test]
fn a_call_lies_between_two_events_and_is_queued_before_the_second() {
    let double = Double::take();
    on_device(&double, 1, PATIENCE, |nccl| {
        let before = double.log().len();
        sum_(nccl, &mut ones(5)).unwrap();
        let log = double.log()[before..].join("\n");
        assert_eq!(
            log,
            "record current\nhold side\nncclGroupStart\nrank 0: ncclAllReduce on side\nncclGroupEnd\n\
             rank 0: ncclAllReduce queued\nrecord side\nhold current"
        );
    });
    // The end is in order too.
    assert!(double.log().ends_with(&["rank 0: ncclCommFinalize".to_owned(), "rank 0: ncclCommDestroy".to_owned()]));
}

#[test]
fn a_started_call_holds_the_current_stream_only_when_it_is_finished() {
    let double = Double::take();
    on_device(&double, 1, PATIENCE, |nccl| {
        let mut t = ones(5);
        // SAFETY: the tensor lives, untouched, until `finish` below.
        let pending = unsafe { nccl.start_all_reduce(Buffer::of(&mut t).unwrap(), Op::Sum) }.unwrap();
        assert_eq!(double.log().last().unwrap(), "record side");
        pending.finish().unwrap();
        assert_eq!(double.log().last().unwrap(), "hold current");
    });
}

#[test]
fn a_barrier_does_not_wait_for_the_current_stream() {
    let double = Double::take();
    on_device(&double, 1, PATIENCE, |nccl| {
        let before = double.log().len();
        nccl.barrier().unwrap();
        assert!(!double.log()[before..].iter().any(|line| line.contains("current")), "{:?}", double.log());
    });
}

#[test]
fn a_library_that_takes_its_time_is_waited_for() {
    let double = Double::take();
    double.set("polls", 500);
    on_device(&double, 2, PATIENCE, |nccl| {
        let mut t = ones(3);
        sum_(nccl, &mut t).unwrap();
        assert_eq!(Vec::<f32>::try_from(t).unwrap(), [2.0; 3]);
    });
}

#[test]
fn a_join_that_nccl_refuses_fails_on_every_rank_with_its_words() {
    let double = Double::take();
    double.set("fail_init_rank", 1).set("fail_code", 1);
    double.joining(2, PATIENCE, |joined, _| {
        let error = joined.map(|nccl| nccl.rank()).unwrap_err().to_string();
        assert!(error.contains("ncclCommInitRankConfig: unhandled cuda error (the test asked for it)"), "{error}");
        assert!(error.contains("nvidia-smi") && error.contains("NCCL_DEBUG=INFO"), "{error}");
    });
}

#[test]
fn a_join_that_never_ends_is_given_up_and_aborted() {
    let double = Double::take();
    double.set("init_hangs", 1);
    double.joining(2, SHORT, |joined, _| {
        let error = joined.map(|nccl| nccl.rank()).unwrap_err().to_string();
        assert!(error.contains("for its peers to join NCCL"), "{error}");
    });
    let aborts = double.log().iter().filter(|line| line.ends_with("ncclCommAbort")).count();
    assert_eq!(aborts, 2, "{:?}", double.log());
}

#[test]
fn a_refused_call_ends_the_world_with_nccls_words_on_every_rank() {
    let double = Double::take();
    double.set("fail_rank", 1).set("fail_call", 2).set("fail_code", 5);
    on_device(&double, 3, PATIENCE, |nccl| {
        let outcome = (0..6).try_for_each(|_| sum_(nccl, &mut ones(3)));
        let reason = reason(outcome);
        assert!(reason.contains("a call failed on rank 1: ncclAllReduce: "), "{reason}");
        assert!(reason.contains("--gpus-per-task=1"), "the remedy of an invalid use: {reason}");
        // And it stays so.
        assert!(nccl.barrier().unwrap_err().to_string().contains("on rank 1"));
    });
}

#[test]
fn an_error_behind_the_calls_is_found_by_the_watchdog() {
    let double = Double::take();
    on_device(&double, 2, PATIENCE, |nccl| {
        sum_(nccl, &mut ones(3)).unwrap();
        if nccl.rank() == 0 {
            // A link that breaks while nobody calls anything.
            double.set("async_code", 6).set("async_rank", 1);
        }
        let reason = reason((0..).try_for_each(|_| nccl.barrier()));
        assert!(reason.contains("rank 1") && reason.contains("remote process exited"), "{reason}");
    });
}

#[test]
fn a_peer_that_hangs_is_ended_by_the_deadline_and_the_stuck_thread_is_freed() {
    // Each rank's thread is stuck in a wait of its stream, as with a kernel that spins for a lost peer: only the abort of
    // another thread can free it. That this test ends is the assertion.
    let double = Double::take();
    double.set("hang_rank", 2).set("hang_call", 1);
    let reasons = Mutex::new(Vec::new());
    on_device(&double, 3, SHORT, |nccl| {
        let mut t = ones(70_001);
        // The second call comes back late, without its result; that is said by the third.
        let stuck = (0..3).try_for_each(|_| sum_(nccl, &mut t));
        reasons.lock().unwrap().push(reason(stuck));
    });
    let reasons = reasons.into_inner().unwrap();
    assert_eq!(reasons.len(), 3);
    for reason in &reasons {
        assert!(reason.contains("waited 2.0 s in all_reduce(Sum, 70001 f32)"), "{reason}");
        assert!(reason.contains("train.step_deadline_s"), "{reason}");
    }
    let aborts = double.log().iter().filter(|line| line.ends_with("ncclCommAbort")).count();
    assert_eq!(aborts, 3, "each rank aborts once");
}

#[test]
fn a_communicator_is_not_aborted_under_a_call_that_is_stuck_inside_the_library() {
    let double = Double::take();
    double.set("stick_rank", 1).set("stick_call", 1);
    let aborts = || double.log().iter().filter(|line| *line == "rank 1: ncclCommAbort").count();
    on_device(&double, 2, SHORT, |nccl| {
        let kept = nccl.inner.abort_reason().unwrap();
        std::thread::scope(|scope| {
            if nccl.rank() == 1 {
                scope.spawn(|| {
                    while kept.reason().is_none() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    // Longer than the abort waits for its turn.
                    std::thread::sleep(Duration::from_millis(2500));
                    assert_eq!(aborts(), 0, "it would have freed what the call uses");
                    double.set("release", 1);
                });
            }
            let reason = reason((0..3).try_for_each(|_| sum_(nccl, &mut ones(3))));
            assert!(reason.contains("waited 2.0 s in all_reduce(Sum, 3 f32)"), "{reason}");
        });
    });
    assert_eq!(aborts(), 1, "it is ended once the call has returned");
}

#[test]
fn a_host_wait_for_a_hung_peer_ends_with_the_reason_itself() {
    let double = Double::take();
    double.set("hang_rank", 0).set("hang_call", 0);
    double.on_ranks(2, SHORT, |nccl, _| {
        let error = sum_numbers(&nccl, &[1.0]).unwrap_err().to_string();
        assert!(error.contains("waited 2.0 s in all_reduce(Sum, 1 f64)"), "{error}");
    });
}

#[test]
fn a_lost_rank_fails_the_others_and_a_late_one_is_waited_for() {
    let double = Double::take();
    let outcomes = |at, fault| {
        let outcomes = Mutex::new(Vec::new());
        double.on_ranks(3, PATIENCE, |nccl, _| {
            let at = if nccl.rank() == 1 { at } else { usize::MAX };
            let peers = Faulty::new(nccl, at, fault);
            let outcome = (0..5).try_for_each(|_| sum_numbers(&peers, &[1.0]).map(|sum| assert_eq!(sum, [3.0])));
            outcomes.lock().unwrap().push(outcome);
        });
        outcomes.into_inner().unwrap()
    };
    assert!(outcomes(2, Fault::Late(Duration::from_millis(50))).into_iter().all(|outcome| outcome.is_ok()));
    for outcome in outcomes(3, Fault::Lost) {
        let reason = reason(outcome);
        assert!(reason.contains("a fault was asked for at call 3"), "{reason}");
    }
}

#[test]
fn a_rank_that_only_leaves_after_giving_up_is_still_heard() {
    let double = Double::take();
    double.on_ranks(2, PATIENCE, |nccl, _| {
        if nccl.rank() == 1 {
            nccl.abort("its disk is full");
            return;
        }
        let reason = reason(nccl.barrier());
        assert_eq!(reason, "rank 1 gave up: its disk is full");
    });
}

#[test]
fn what_nccl_cannot_be_asked_for_is_refused_before_it_is() {
    let double = Double::take();
    on_device(&double, 1, PATIENCE, |nccl| {
        let before = double.log().len();
        assert!(matches!(nccl.broadcast(Buffer::of(&mut ones(2)).unwrap(), 1), Err(CollectiveError::Root { .. })));
        sum_(nccl, &mut ones(0)).unwrap();
        assert_eq!(double.log().len(), before, "nothing was called");
    });
}

#[test]
fn every_dtype_travels_as_itself() {
    let double = Double::take();
    on_device(&double, 2, PATIENCE, |nccl| {
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Int64, Kind::Int, Kind::Uint8] {
            let mut t = Tensor::from_slice(&[3_i64, 5]).to_kind(kind);
            sum_(nccl, &mut t).unwrap();
            assert_eq!(
                Vec::<i64>::try_from(t.to_kind(Kind::Int64)).unwrap(),
                [6, 10],
                "{}",
                Dtype::try_from(kind).unwrap()
            );
        }
    });
}
