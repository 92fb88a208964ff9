//! The terms of the loss as numbers with gradients (recipe §2.5) and their weights.
//!
//! Shapes: B images on this rank, of `total` on all; L local crops; K prototypes; M masked tokens. Each term is this
//! rank's part of a mean over the whole batch, so the sum over ranks is the term.

use run_spec::config::{DinoNormaliser, Loss};
use tch::Tensor;

/// Cross-entropy of each row: `targets` and `logits` `[R, K]` to `[R]`.
///
/// `−Σ_k t_k · log_softmax(s / temp)_k`, in at least f32.
pub fn cross_entropy(targets: &Tensor, logits: &Tensor, temp: f64) -> Tensor {
    let kind = targets.kind();
    let log_p = (logits.to_kind(kind) / temp).log_softmax(-1, kind);
    -(targets * log_p).sum_dim_intlist([-1].as_slice(), false, kind)
}

/// Global term: `targets` and `logits` `[2B, K]`, row j of both being of the same image and of *different* crops.
pub fn dino_global(targets: &Tensor, logits: &Tensor, total: i64, temp: f64) -> Tensor {
    cross_entropy(targets, logits, temp).sum(targets.kind()) / (2 * total) as f64
}

/// Sum over L local crops and both teacher crops of the mean over images: `targets` `[2, B, K]`, `logits` `[L, B, K]`.
///
/// The two targets of an image are added first: cross-entropy is linear in them.
pub fn dino_local(targets: &Tensor, logits: &Tensor, total: i64, temp: f64) -> Tensor {
    let kind = targets.kind();
    let both = targets.sum_dim_intlist([0].as_slice(), true, kind); // [1, B, K]
    let log_p = (logits.to_kind(kind) / temp).log_softmax(-1, kind); // [L, B, K]
    -(both * log_p).sum(kind) / total as f64
}

/// iBOT: `targets` and `logits` `[M, K]`; `weights` `[M]` = 1 / masked tokens of the same crop. The mean is over all
/// crops, the unmasked ones included.
pub fn ibot(targets: &Tensor, logits: &Tensor, weights: &Tensor, total: i64, temp: f64) -> Tensor {
    (cross_entropy(targets, logits, temp) * weights).sum(targets.kind()) / (2 * total) as f64
}

/// Factors of the two DINO terms, and whether local crops count at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DinoWeights {
    /// On [`dino_global`].
    pub global: f64,
    /// On [`dino_local`].
    pub local: f64,
    /// Local crops are run through the student. When false they need not even be made.
    pub uses_local: bool,
}

impl DinoWeights {
    /// The factors that a configuration asks for.
    ///
    /// `published`: both are divided by `2 + max(2·n_local, 1)`, whether or not the local term counts. `terms`: the
    /// terms that count, 2 global and 2 for each local crop, have equal weights that sum to 1.
    pub fn of(loss: &Loss) -> Self {
        let n = loss.n_local as f64;
        let uses_local = loss.n_local > 0 && loss.n_local > loss.local_loss_above;
        let divisor = match loss.dino_normaliser {
            DinoNormaliser::Published => 2.0 + (2.0 * n).max(1.0),
            DinoNormaliser::Terms if uses_local => 2.0 + 2.0 * n,
            DinoNormaliser::Terms => 2.0,
        };
        Self { global: 2.0 / divisor, local: 1.0 / divisor, uses_local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_published_ones() {
        let of = |n_local, local_loss_above, dino_normaliser| {
            DinoWeights::of(&Loss { n_local, local_loss_above, dino_normaliser, ..Loss::default() })
        };
        use DinoNormaliser::{Published, Terms};
        assert_eq!(of(1, 1, Published).global, 0.5);
        assert!(!of(1, 1, Published).uses_local);
        assert!(of(1, 0, Published).uses_local);
        assert_eq!(of(0, 0, Published).global, 2.0 / 3.0);
        assert_eq!(of(8, 1, Published).global, 1.0 / 9.0);
        assert_eq!(of(8, 1, Published).local, 1.0 / 18.0);
        assert_eq!(of(0, 0, Terms).global, 1.0);
        let eight = of(8, 1, Terms);
        assert!((eight.global + 16.0 * eight.local - 1.0).abs() < 1e-15);
    }
}
