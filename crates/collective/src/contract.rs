//! What every collective must satisfy, written once. A backend's test runs [`check`] on each of its ranks at the same
//! time, and [`check_abort`] last, on a world that it then throws away.

use crate::{
    Buffer, Collective, CollectiveError, Dtype, Op, Reducer, broadcast_, broadcast_bytes, max_, mean_, sum_,
    sum_numbers,
};
use tch::{Device, Kind, Tensor};
use torch_shim::autograd;

/// The dtypes that gradients and statistics travel in.
const FLOATS: [Kind; 3] = [Kind::Float, Kind::Double, Kind::BFloat16];
/// Sizes with nothing, one, few, an odd many, and more than any internal block.
const SIZES: [i64; 5] = [0, 1, 5, 1023, 70_001];

/// Small whole numbers that differ by rank and position and are exact in bf16 sums.
fn sample(rank: usize, size: i64, kind: Kind) -> Tensor {
    (Tensor::arange(size, (Kind::Int64, Device::Cpu)).remainder(7) + rank as i64).to_kind(kind)
}

fn expect(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.size(), expected.size(), "{what}: shape");
    assert_eq!(found.kind(), expected.kind(), "{what}: dtype");
    assert!(found.equal(expected), "{what}: values differ");
}

/// Runs the whole contract on this rank, except abort.
///
/// # Panics
/// The collective breaks it; the message says where.
///
/// # Errors
/// A call that should succeed fails.
pub fn check(peers: &dyn Collective) -> Result<(), CollectiveError> {
    check_on(peers, Device::Cpu)
}

/// The same with tensors on `device`.
///
/// # Panics
/// As [`check`].
///
/// # Errors
/// As [`check`].
pub fn check_on(peers: &dyn Collective, device: Device) -> Result<(), CollectiveError> {
    let sample = |rank, size, kind| sample(rank, size, kind).to_device(device);
    let (rank, world) = (peers.rank(), peers.world());
    assert!(rank < world, "rank {rank} of {world}");
    let ranks: i64 = world as i64;
    let sum_of_ranks = ranks * (ranks - 1) / 2;
    check_combined(peers, device)?;
    check_started(peers, device)?;
    check_special(peers, device)?;
    let mut t = sample(rank, 3, Kind::Float);
    assert!(
        matches!(broadcast_(peers, &mut t, world), Err(CollectiveError::Root { .. })),
        "a root outside the world is refused"
    );
    assert!(
        matches!(mean_(peers, &mut sample(rank, 3, Kind::Int64)), Err(CollectiveError::Whole { .. })),
        "a mean of whole numbers is refused"
    );
    for text in ["", "the configuration of rank 0"] {
        let mine = if rank + 1 == world { text.as_bytes().to_vec() } else { b"something else".to_vec() };
        assert_eq!(broadcast_bytes(peers, mine, world - 1)?, text.as_bytes());
    }
    // Many small calls in a row: no rank may overtake another.
    for round in 0..50 {
        let total = sum_numbers(peers, &[rank as f64, f64::from(round)])?;
        assert_eq!(total, [sum_of_ranks as f64, f64::from(round) * ranks as f64], "round {round}");
        peers.barrier()?;
    }
    Ok(())
}

/// Sums, means, maxima and broadcasts of every float dtype and size.
fn check_combined(peers: &dyn Collective, device: Device) -> Result<(), CollectiveError> {
    let sample = |rank, size, kind| sample(rank, size, kind).to_device(device);
    let (rank, world) = (peers.rank(), peers.world());
    let ranks = world as i64;
    let sum_of_ranks = ranks * (ranks - 1) / 2;
    for kind in FLOATS {
        for size in SIZES {
            let what = format!("{size} {kind:?}");
            let base = sample(0, size, kind);
            let mut t = sample(rank, size, kind);
            sum_(peers, &mut t)?;
            expect(&format!("sum of {what}"), &t, &(&base * ranks + sum_of_ranks).to_kind(kind));
            let mut t = sample(rank, size, kind);
            mean_(peers, &mut t)?;
            // Divided in the dtype of the sum, as bf16 rounds.
            expect(
                &format!("mean of {what}"),
                &t,
                &((&base * ranks + sum_of_ranks).to_kind(kind) / ranks).to_kind(kind),
            );
            let mut t = sample(rank, size, kind);
            max_(peers, &mut t)?;
            expect(&format!("max of {what}"), &t, &(&base + (ranks - 1)).to_kind(kind));
            for root in 0..world {
                let mut t = sample(rank, size, kind);
                broadcast_(peers, &mut t, root)?;
                expect(&format!("broadcast of {what} from {root}"), &t, &sample(root, size, kind));
            }
        }
    }
    Ok(())
}

/// Several all-reduces under way at once, and the gradients of a backward through a [`Reducer`].
fn check_started(peers: &dyn Collective, device: Device) -> Result<(), CollectiveError> {
    let sample = |rank, size, kind| sample(rank, size, kind).to_device(device);
    let (rank, world) = (peers.rank(), peers.world() as i64);
    let sum_of_ranks = world * (world - 1) / 2;
    let shapes = [(3, Kind::Double), (0, Kind::Double), (300_000, Kind::Float), (5, Kind::Float)];
    let mut list: Vec<Tensor> = shapes.iter().map(|(n, kind)| sample(rank, *n, *kind)).collect();
    let mut pending = Vec::new();
    for t in &mut list {
        // SAFETY: the tensors live to the end of this function and are read after `finish`; a failure here ends the test.
        pending.push(unsafe { peers.start_all_reduce(Buffer::of(t)?, Op::Sum) }?);
    }
    for one in pending {
        assert!(one.finish()? >= 0.0);
    }
    for (t, (n, kind)) in list.iter().zip(shapes) {
        expect("sum of one of several", t, &(sample(0, n, kind) * world + sum_of_ranks).to_kind(kind));
    }

    // More than a bucket of gradients, one leaf that the loss does not reach, and one that only the first rank reaches.
    let leaf = |size: i64| Tensor::ones([size], (Kind::Float, device)).set_requires_grad(true);
    let leaves: Vec<Tensor> = [700_000, 3, 400_000, 5].into_iter().map(leaf).collect();
    let mut reducer = Reducer::new(leaves.iter().map(Tensor::shallow_clone).collect(), vec![2, 1, 3, 0]);
    for round in 1..=2 {
        let factor = (rank as i64 + round) as f64;
        let mut loss = (&leaves[0] * factor).sum(Kind::Float) + (&leaves[1] * &leaves[1] * factor).sum(Kind::Float);
        if rank == 0 {
            loss += leaves[3].sum(Kind::Float);
        }
        let (sums, _) = reducer.sum_during::<CollectiveError>(peers, || Ok(autograd::backward(&loss, None)?))?;
        let total = (sum_of_ranks + round * world) as f64;
        for (t, value) in sums.iter().zip([total, 2.0 * total, 0.0, 1.0]) {
            expect("a gradient", t, &t.full_like(value));
        }
        for t in &leaves {
            autograd::reset_grad(t)?;
        }
    }
    check_lowered(peers, device)
}

/// Gradients that travel as bf16: each rank's are rounded, then summed, and the sum is what bf16 holds of it.
fn check_lowered(peers: &dyn Collective, device: Device) -> Result<(), CollectiveError> {
    let leaf = Tensor::ones([300_000], (Kind::Float, device)).set_requires_grad(true);
    let mut reducer = Reducer::new(vec![leaf.shallow_clone()], vec![0]).sent_as(Some(Kind::BFloat16));
    // Rounded to 8 bits, 1 + 2⁻¹⁰ is 1: the sum is the number of ranks, to the bit.
    let factor = 1.0 + 2.0_f64.powi(-10);
    let loss = (&leaf * factor).sum(Kind::Float);
    let (sums, transfer) = reducer.sum_during::<CollectiveError>(peers, || Ok(autograd::backward(&loss, None)?))?;
    let world = peers.world();
    let expected = if world == 1 { factor } else { world as f64 };
    expect("a gradient that travelled as bf16", &sums[0], &sums[0].full_like(expected));
    let bytes = if world == 1 { 0 } else { 300_000 * peers.bytes_of_element(Dtype::Bf16) as u64 };
    assert_eq!((transfer.bytes, sums[0].kind()), (bytes, Kind::Float));
    Ok(autograd::reset_grad(&leaf)?)
}

/// Infinities and NaN must come through: a step with one is to be refused on all ranks alike.
fn check_special(peers: &dyn Collective, device: Device) -> Result<(), CollectiveError> {
    let last = peers.rank() + 1 == peers.world();
    let bad = |value: f64| Tensor::from_slice(&[if last { value } else { 1.0 }, 2.0]).to_device(device);
    let mut t = bad(f64::NAN);
    sum_(peers, &mut t)?;
    assert!(t.double_value(&[0]).is_nan(), "the sum kept a NaN");
    let mut t = bad(f64::NAN);
    max_(peers, &mut t)?;
    assert!(t.double_value(&[0]).is_nan() && t.double_value(&[1]) == 2.0, "the maximum kept a NaN");
    let mut t = bad(f64::INFINITY);
    max_(peers, &mut t)?;
    assert_eq!(t.double_value(&[0]), f64::INFINITY);
    assert_eq!(t.double_value(&[1]), 2.0);
    // A maximum over ranks of which one has nothing: minus infinity is the neutral element.
    let mut t = Tensor::from_slice(&[if last { f64::NEG_INFINITY } else { 3.0 }]).to_device(device);
    max_(peers, &mut t)?;
    let expected = if peers.world() == 1 { f64::NEG_INFINITY } else { 3.0 };
    assert_eq!(t.double_value(&[0]), expected);
    Ok(())
}

/// Rank 0 gives up while the others wait for it; every call on every rank must then fail with the reason.
///
/// # Panics
/// A call succeeds, or hangs (which the test's own time limit shows).
pub fn check_abort(peers: &dyn Collective) {
    if peers.rank() == 0 {
        peers.abort("the contract says so");
        peers.abort("a second reason is ignored");
    }
    expect_aborted(peers);
}

/// The same where calls only queue work on a device: one made before the word has come may return well, and a barrier
/// says it at the latest.
///
/// # Panics
/// As [`check_abort`].
pub fn check_abort_of_queued(peers: &dyn Collective) {
    if peers.rank() == 0 {
        peers.abort("the contract says so");
    }
    let _ = sum_(peers, &mut sample(peers.rank(), 4, Kind::Float));
    assert!(peers.barrier().is_err(), "a barrier after abort went well");
    expect_aborted(peers);
}

fn expect_aborted(peers: &dyn Collective) {
    let mut t = sample(peers.rank(), 4, Kind::Float);
    for failed in [sum_(peers, &mut t), broadcast_(peers, &mut t.copy(), 0), peers.barrier()] {
        match failed {
            Err(CollectiveError::Aborted { reason }) => {
                assert!(reason.contains("the contract says so"), "{reason}");
            }
            other => panic!("a call after abort gave {other:?}"),
        }
    }
}
