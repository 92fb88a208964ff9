//! The curve that turns a distance on the map into a similarity.

/// The similarity 1 / (1 + a·d^2b) of two rows at distance d on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    /// Scale of the curve.
    pub(super) a: f64,
    /// Half its exponent.
    pub(super) b: f64,
}

/// Distances from 0 to three spreads at which the curve is fitted.
const SAMPLES: usize = 300;

impl Curve {
    /// The curve nearest, by least squares, to 1 up to `min_dist` and exp(−(d − min_dist) / spread) beyond: umap-learn's
    /// `find_ab_params`.
    pub(super) fn fit(min_dist: f64, spread: f64) -> Self {
        let sample = |i: usize| {
            let d = 3.0 * spread * i as f64 / (SAMPLES - 1) as f64;
            (d, if d < min_dist { 1.0 } else { libm::exp(-(d - min_dist) / spread) })
        };
        let samples: Vec<(f64, f64)> = (0..SAMPLES).map(sample).collect();
        let mut curve = Self { a: 1.0, b: 1.0 };
        let mut damping = 1e-3;
        // Levenberg-Marquardt; ln a in place of a, which must stay above 0.
        for _ in 0..200 {
            let (gradient, hessian) = curve.normal_equations(&samples);
            let (h00, h11) = (hessian[0] * (1.0 + damping), hessian[2] * (1.0 + damping));
            let determinant = h00 * h11 - hessian[1] * hessian[1];
            let step = [
                (h11 * gradient[0] - hessian[1] * gradient[1]) / determinant,
                (h00 * gradient[1] - hessian[1] * gradient[0]) / determinant,
            ];
            let next = Self { a: curve.a * libm::exp(step[0]), b: curve.b + step[1] };
            if next.misfit(&samples) <= curve.misfit(&samples) {
                (curve, damping) = (next, damping / 10.0);
            } else {
                damping *= 10.0;
            }
            if step[0].abs().max(step[1].abs()) < 1e-12 {
                break;
            }
        }
        curve
    }

    pub(super) fn similarity(self, d: f64) -> f64 {
        1.0 / (1.0 + self.a * libm::pow(d, 2.0 * self.b))
    }

    fn misfit(self, samples: &[(f64, f64)]) -> f64 {
        samples.iter().map(|&(d, y)| (y - self.similarity(d)).powi(2)).sum()
    }

    /// Jᵀr and the upper triangle of JᵀJ for (ln a, b).
    fn normal_equations(self, samples: &[(f64, f64)]) -> ([f64; 2], [f64; 3]) {
        let (mut gradient, mut hessian) = ([0.0; 2], [0.0; 3]);
        for &(d, y) in samples.iter().filter(|&&(d, _)| d > 0.0) {
            let s = self.similarity(d);
            let by_ln_a = -s * (1.0 - s);
            let by_b = by_ln_a * 2.0 * libm::log(d);
            gradient[0] += by_ln_a * (y - s);
            gradient[1] += by_b * (y - s);
            hessian[0] += by_ln_a * by_ln_a;
            hessian[1] += by_ln_a * by_b;
            hessian[2] += by_b * by_b;
        }
        (gradient, hessian)
    }
}
