//! What a step did, in numbers.

use collective::Transfer;
use tch::Tensor;

/// The terms of the loss, over the whole global batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// The weighted sum of all terms.
    pub total: f64,
    /// Global crops, with the normaliser's factor.
    pub dino_global: f64,
    /// Local crops, with the normaliser's factor; 0 when they do not count.
    pub dino_local: f64,
    /// iBOT's loss of the masked patches; 0 when it is off.
    pub ibot: f64,
    /// KoLeo, its weight included; 0 when it is off.
    pub koleo: f64,
    /// SIGReg, its weight included; 0 when it is off.
    pub sigreg: f64,
}

impl Losses {
    /// Names as in metrics, with values; `sigreg` only where it is on.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let mut named = vec![
            ("total", self.total),
            ("dino_global", self.dino_global),
            ("dino_local", self.dino_local),
            ("ibot", self.ibot),
            ("koleo", self.koleo),
        ];
        if self.sigreg != 0.0 {
            named.push(("sigreg", self.sigreg));
        }
        named
    }
}

/// What a step did.
#[derive(Debug)]
pub struct StepReport {
    /// The loss and its terms, as means over the global batch.
    pub losses: Losses,
    /// Gradient norm of each submodule before clipping: `backbone`, `dino_head`, and `ibot_head` when there is one.
    pub norms: Vec<(&'static str, f64)>,
    /// Mean entropy of the teacher's CLS targets, in nats.
    pub teacher_entropy: f64,
    /// The teacher's normed CLS tokens of this rank's global crops `[2B, D]`, for [`crate::collapse::rank_me`].
    pub features: Tensor,
    /// What summing the gradients over ranks cost.
    pub transfer: Transfer,
}
