//! The KoLeo regulariser (Sablayrolles et al., arXiv:1806.03198): spread features by pushing nearest neighbours apart.

use run_spec::config::Loss;
use tch::Tensor;

/// The three small numbers that differ between implementations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eps {
    /// Smallest norm in the normalisation.
    pub norm: f64,
    /// Added to each component of a difference.
    pub pair: f64,
    /// Added to a distance before its logarithm.
    pub log: f64,
}

impl Eps {
    /// As configured.
    pub fn of(loss: &Loss) -> Self {
        Self { norm: loss.koleo_norm_eps, pair: loss.koleo_pair_eps, log: loss.koleo_log_eps }
    }
}

/// `−mean log d` of each set: `features` `[S, B, D]` to `[S]`, where S counts loss groups times crops and B ≥ 2.
///
/// d is the distance of an L2-normalised feature to its nearest neighbour within the set, by dot product. The gradient
/// goes through both ends of a pair, not through the choice of the neighbour.
pub fn koleo(features: &Tensor, eps: Eps) -> Tensor {
    let kind = features.kind();
    let (s, b, d) = features.size3().expect("sets of features have three axes");
    let norm = features.norm_scalaropt_dim(2, [-1], true);
    let x = features / norm.clamp_min(eps.norm);
    let nearest = tch::no_grad(|| {
        let mut dots = x.bmm(&x.transpose(1, 2)); // [S, B, B]
        let _ = dots.diagonal(0, 1, 2).fill_(-1.0);
        dots = dots.argmax(-1, false); // [S, B]
        dots.unsqueeze(-1).expand([s, b, d], false)
    });
    let neighbour = x.gather(1, &nearest, false);
    let distance = (&x - neighbour + eps.pair).norm_scalaropt_dim(2, [-1], false); // [S, B]
    -(distance + eps.log).log().mean_dim([-1].as_slice(), false, kind)
}
