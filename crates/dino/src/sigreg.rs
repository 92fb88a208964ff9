//! SIGReg, sketched isotropic Gaussian regularisation (Balestriero & LeCun, LeJEPA, arXiv:2511.08544): features are to look like an isotropic
//! Gaussian from every side.
//!
//! Rows are projected on random unit directions. On each the Epps-Pulley statistic compares the empirical characteristic function φ̂ of the B projected
//! values with that of the standard normal distribution: B ∫ |φ̂(t) − exp(−t²/2)|² exp(−t²/2) dt, by the trapezoid rule at 17 points from 0 to 3,
//! twice, since the integrand is even. Directions are drawn anew at each step from (seed, step), the same on all ranks.

use run_spec::seed;
use tch::{Device, Kind, Tensor};
use torch_shim::crossing;

/// Directions of a step, as in the published short form.
const DIRECTIONS: usize = 256;
/// Points of the quadrature.
const KNOTS: usize = 17;
/// The last of them.
const RANGE: f64 = 3.0;

/// Unit directions `[D, 256]` of step `step`.
pub(crate) fn directions(seed: u64, step: u64, dim: i64, (kind, device): (Kind, Device)) -> Tensor {
    let mut stream = seed::stream(seed, "sigreg", &[step]);
    let values: Vec<f64> = (0..dim.unsigned_abs() as usize * DIRECTIONS).map(|_| stream.normal()).collect();
    let drawn = Tensor::from_slice(&values).view([dim, DIRECTIONS as i64]);
    let unit = &drawn / drawn.norm_scalaropt_dim(2, [0], true);
    crossing::send(&unit.to_kind(kind), device)
}

/// The mean statistic over `directions` `[D, M]` of each set: `features` `[S, B, D]` to `[S]`, where S counts loss groups times crops. 0 would be a Gaussian; a point
/// has about B.
pub fn sigreg(features: &Tensor, directions: &Tensor) -> Tensor {
    let (kind, device, rows) = (features.kind(), features.device(), features.size()[1]);
    let step = RANGE / (KNOTS - 1) as f64;
    let t = (Tensor::arange(KNOTS as i64, (Kind::Double, device)) * step).to_kind(kind); // [T]
    let normal = (t.square() / -2.0).exp(); // [T]
    let weights = &normal * 2.0 * step;
    for end in [0, KNOTS as i64 - 1] {
        let _ = weights.get(end).g_mul_scalar_(0.5);
    }
    let angles = features.matmul(directions).unsqueeze(-1) * &t; // [S, B, M, T]
    let mean = |part: Tensor| part.mean_dim([1].as_slice(), false, kind); // [S, M, T]
    let gap = (mean(angles.cos()) - &normal).square() + mean(angles.sin()).square();
    gap.matmul(&weights).mean_dim([-1].as_slice(), false, kind) * rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gaussian_scores_lower_than_what_is_wide_shifted_or_collapsed() {
        let mut draws = seed::stream(0, "test", &[]);
        let values: Vec<f64> = (0..64 * 8).map(|_| draws.normal()).collect();
        let gaussian = Tensor::from_slice(&values).view([1, 64, 8]);
        let along = directions(1, 2, 8, (Kind::Double, Device::Cpu));
        let score = |features: &Tensor| sigreg(features, &along).double_value(&[0]);
        let (good, point) = (score(&gaussian), score(&Tensor::zeros_like(&gaussian)));
        assert!(good < 2.0 && point > 10.0 && point < 64.0, "{good} {point}");
        for other in [&gaussian * 3.0, &gaussian + 1.0, &gaussian * 0.2] {
            assert!(score(&other) > 3.0 * good, "{} {good}", score(&other));
        }
    }

    #[test]
    fn directions_have_length_one_and_are_those_of_seed_and_step() {
        let of = |seed, step| directions(seed, step, 5, (Kind::Double, Device::Cpu));
        let lengths = of(1, 2).square().sum_dim_intlist([0].as_slice(), false, Kind::Double);
        assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-12);
        assert_eq!(of(1, 2), of(1, 2));
        assert!(of(1, 2) != of(1, 3) && of(1, 2) != of(2, 2));
    }
}
