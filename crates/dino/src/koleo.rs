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
    /// The epsilons that a configuration asks for.
    pub fn of(loss: &Loss) -> Self {
        Self { norm: loss.koleo_norm_eps, pair: loss.koleo_pair_eps, log: loss.koleo_log_eps }
    }
}

/// `−mean log d` of each set: `features` `[S, B, D]` to `[S]`, where S counts loss groups times crops and B ≥ 2.
///
/// d is the distance of an L2-normalised feature to its nearest neighbour within the set, by dot product. The gradient
/// goes through both ends of a pair, not through the choice of the neighbour.
///
/// * `koleo_exclusion` `[S, B]`: rows of the same number are not taken as neighbours. A row without a neighbour
///   does not count, and a set without a pair is 0.
pub fn koleo(features: &Tensor, koleo_exclusion: Option<&Tensor>, eps: Eps) -> Tensor {
    let kind = features.kind();
    let (s, b, d) = features.size3().expect("sets of features have three axes");
    let norm = features.norm_scalaropt_dim(2, [-1], true);
    let x = features / norm.clamp_min(eps.norm);
    let (nearest, paired) = tch::no_grad(|| {
        let mut dots = x.bmm(&x.transpose(1, 2)); // [S, B, B]
        let Some(koleo_exclusion) = koleo_exclusion else {
            let _ = dots.diagonal(0, 1, 2).fill_(-1.0);
            return (dots.argmax(-1, false), None);
        };
        let same = koleo_exclusion.unsqueeze(2).eq_tensor(&koleo_exclusion.unsqueeze(1)); // a row excludes itself
        let _ = dots.masked_fill_(&same, f64::NEG_INFINITY);
        (dots.argmax(-1, false), Some(same.logical_not().any_dim(-1, false))) // [S, B]
    });
    let nearest = nearest.unsqueeze(-1).expand([s, b, d], false);
    let neighbour = x.gather(1, &nearest, false);
    let distance = (&x - neighbour + eps.pair).norm_scalaropt_dim(2, [-1], false); // [S, B]
    let Some(paired) = paired else {
        return -(distance + eps.log).log().mean_dim([-1].as_slice(), false, kind);
    };
    // Not a factor of 0 on the logarithm, whose gradient may be infinite there.
    let logs = (distance + eps.log).where_self(&paired, &Tensor::ones([], (kind, features.device()))).log();
    let count = paired.sum_dim_intlist([-1].as_slice(), false, kind).clamp_min(1.0);
    -logs.sum_dim_intlist([-1].as_slice(), false, kind) / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const EPS: Eps = Eps { norm: 1e-8, pair: 0.0, log: 1e-8 };

    /// Unit vectors at angles in degrees, as one set `[1, B, 2]`.
    fn at(degrees: &[f64]) -> Tensor {
        let angles = Tensor::from_slice(degrees).deg2rad();
        Tensor::stack(&[angles.cos(), angles.sin()], 1).unsqueeze(0)
    }

    fn chord(degrees: f64) -> f64 {
        2.0 * (degrees.to_radians() / 2.0).sin()
    }

    #[test]
    fn twins_are_no_neighbours_and_count_as_themselves() {
        // The first two are the same: without twins their distance is the eps alone.
        let features = at(&[0.0, 0.0, 30.0, 70.0]);
        let plain = koleo(&features, None, EPS).double_value(&[0]);
        let expected = -(2.0 * 1e-8f64.ln() + (chord(30.0) + 1e-8).ln() + (chord(40.0) + 1e-8).ln()) / 4.0;
        assert!((plain - expected).abs() < 1e-6, "{plain} and {expected}");
        let koleo_exclusion = Tensor::from_slice(&[7i64, 7, 8, 9]).unsqueeze(0);
        let apart = koleo(&features, Some(&koleo_exclusion), EPS).double_value(&[0]);
        let expected = -(3.0 * (chord(30.0) + 1e-8).ln() + (chord(40.0) + 1e-8).ln()) / 4.0;
        assert!((apart - expected).abs() < 1e-12, "{apart} and {expected}");
    }

    #[test]
    fn without_twins_the_two_forms_agree_and_without_a_pair_there_is_nothing() {
        let features = at(&[0.0, 15.0, 80.0, 140.0, 200.0]);
        let different = Tensor::arange(5, (Kind::Int64, Device::Cpu)).unsqueeze(0);
        let (a, b) = (koleo(&features, None, EPS), koleo(&features, Some(&different), EPS));
        assert!((a - b).abs().double_value(&[0]) < 1e-12);
        let features = at(&[0.0, 0.0, 0.0]).set_requires_grad(true);
        let eps = Eps { log: 0.0, ..EPS };
        let nothing = koleo(&features, Some(&Tensor::zeros([1, 3], (Kind::Int64, Device::Cpu))), eps);
        assert_eq!(nothing.double_value(&[0]), 0.0);
        nothing.sum(Kind::Double).backward();
        assert_eq!(features.grad().abs().max().double_value(&[]), 0.0);
    }
}
