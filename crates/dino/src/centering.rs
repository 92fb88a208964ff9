//! Teacher logits to targets, in three ways: Sinkhorn-Knopp (SwAV, arXiv:2006.09882 §3.1), softmax less a moving average
//! (DINO, arXiv:2104.14294 §3.1), and softmax alone. The last is an ablation: nothing keeps the targets of different
//! images apart then, and training collapses (DINO §5.3).
//!
//! Shapes: N rows on this rank, which may differ between ranks and be 0; K prototypes. Sums run over *all* ranks;
//! nothing here knows how many there are. Everything is computed in at least f32, outside any graph.

use crate::wide::{self, Balance};
use collective::{Collective, CollectiveError, max_, sum_};
use tch::Tensor;

/// Stands for the mass of a prototype that no row can reach in floating point: its reciprocal is still finite.
const TINY: f64 = 1e-34;

/// Assigns rows to prototypes so that every prototype gets an equal share over all ranks.
///
/// * `logits` `[N, K]`, used up;
/// * `temp` teacher temperature.
///
/// Returns `[N, K]`, each row summing to 1. The published form also divides by the total, by K and by the number of
/// samples, which the next normalisation takes back, and exponentiates as it is. Here each row is exponentiated below
/// its own maximum, and the maxima, below the largest of all ranks, are where the scaling of rows starts: the same
/// numbers, which can neither overflow nor lose a row. Checked in `tests/golden/step`.
///
/// The doubly scaled matrix is diag(row) · exponentials · diag(column): only the two vectors change, and the matrix is scaled once.
///
/// # Errors
/// A lost peer.
pub fn sinkhorn(logits: Tensor, temp: f64, iterations: i64, peers: &dyn Collective) -> Result<Tensor, CollectiveError> {
    if iterations < 1 {
        return by_operators(logits, temp, iterations, peers);
    }
    // Another rank may have no rows, and goes by operators: both ways ask the peers for the same sums.
    match Balance::of(logits, temp) {
        Ok(balance) => by_sweeps(balance, iterations, peers),
        Err(logits) => by_operators(logits, temp, iterations, peers),
    }
}

/// As [`sinkhorn`], one operator after the other.
fn by_operators(logits: Tensor, temp: f64, iterations: i64, peers: &dyn Collective) -> Result<Tensor, CollectiveError> {
    let (n, k) = logits.size2().expect("logits have two axes");
    let options = (logits.kind(), logits.device());
    let mut q = logits;
    wide::divide_(&mut q, temp);
    let (tops, places) = wide::largest(&q); // [N, 1]
    let mut top = match n {
        0 => Tensor::full([1], f64::NEG_INFINITY, options),
        _ => tops.max().view(1),
    };
    max_(peers, &mut top)?;
    // A softmax is that exponential with each row scaled by its largest entry.
    wide::softmax_(&mut q);
    let mut row = ((tops - top).exp_() / q.gather(1, &places, false)).view([n]); // [N]
    let mut column = Tensor::ones([k], options); // [K]
    for _ in 0..iterations {
        let mut mass = wide::times_vector(&q.tr(), &row); // [K], over the rows of this rank
        sum_(peers, &mut mass)?;
        column = mass.clamp_min_(TINY).reciprocal_();
        row = wide::times_vector(&q, &column).clamp_min_(TINY).reciprocal_();
    }
    wide::mul_(&mut q, &column);
    wide::mul_(&mut q, &row.unsqueeze(1));
    Ok(q)
}

/// As [`sinkhorn`], with the scaling of rows and the sums after it in one sweep; at least one iteration.
fn by_sweeps(mut balance: Balance, iterations: i64, peers: &dyn Collective) -> Result<Tensor, CollectiveError> {
    let mut top = balance.top();
    max_(peers, &mut top)?;
    let mut mass = balance.first_mass(&top); // [K], over the rows of this rank
    for _ in 1..iterations {
        sum_(peers, &mut mass)?;
        mass = balance.next_mass(&mass.clamp_min_(TINY).reciprocal_());
    }
    sum_(peers, &mut mass)?;
    Ok(balance.finish(&mass.clamp_min_(TINY).reciprocal_()))
}

/// A moving average of teacher logits over all ranks.
///
/// As in the reference, the mean that a step collects is applied at the start of the next.
#[derive(Debug)]
pub struct Center {
    /// The centre that the last step used: `[1, K]` for DINO, `[1, 1, K]` for iBOT.
    pub value: Tensor,
    /// What the last step collected and the next applies.
    pub pending: Option<Tensor>,
}

impl Center {
    /// The centre for the next step, of the shape of `value`: `momentum · value + (1 − momentum) · pending`.
    pub fn next(&self, momentum: f64) -> Tensor {
        match &self.pending {
            None => self.value.copy(),
            Some(mean) => &self.value * momentum + mean * (1.0 - momentum),
        }
    }
}

/// `softmax((logits − center) / temp)` by rows: `[N, K]`, used up, to `[N, K]`; `center` has K elements.
pub fn centered_softmax(mut logits: Tensor, center: &Tensor, temp: f64) -> Tensor {
    wide::sub_(&mut logits, &center.view([1, -1]));
    sharpened_softmax(logits, temp)
}

/// `softmax(logits / temp)` by rows: `[N, K]`, used up, to `[N, K]`.
pub fn sharpened_softmax(mut logits: Tensor, temp: f64) -> Tensor {
    wide::divide_(&mut logits, temp);
    wide::softmax_(&mut logits);
    logits
}

/// Mean of all ranks' CLS logits: `[N, K]` to `[1, K]`; `rows` is N summed over all ranks.
///
/// # Errors
/// A lost peer.
pub fn mean_of_rows(logits: &Tensor, rows: i64, peers: &dyn Collective) -> Result<Tensor, CollectiveError> {
    let mut sum = logits.sum_dim_intlist([0].as_slice(), true, logits.kind());
    sum_(peers, &mut sum)?;
    Ok(sum / rows as f64)
}

/// Mean over loss groups of each group's mean over its masked tokens: `[M, K]` to `[1, 1, K]`.
///
/// * `group` `[M]` i64: the group of each row, among all `groups` of the global batch; a group may span ranks.
///
/// A group without a masked token has no mean and does not count.
///
/// # Errors
/// A lost peer.
pub fn mean_of_group_means(
    logits: &Tensor,
    group: &Tensor,
    groups: i64,
    peers: &dyn Collective,
) -> Result<Tensor, CollectiveError> {
    let options = (logits.kind(), logits.device());
    let ones = Tensor::ones([group.size()[0]], options);
    let mut counts = Tensor::zeros([groups], options).index_add(0, group, &ones); // [G]
    sum_(peers, &mut counts)?;
    let present = counts.clamp_max(1.0).sum(options.0).clamp_min_(1.0);
    let weights = counts.clamp_min(1.0).reciprocal_().index_select(0, group) / present; // [M]
    let mut mean = wide::times_vector(&logits.tr(), &weights); // [K]
    sum_(peers, &mut mean)?;
    Ok(mean.view([1, 1, -1]))
}
