//! Two numbers in which collapse shows: how spread the teacher's targets are, and how many dimensions its features use.

use tch::{Kind, Tensor};

/// Mean entropy in nats of target rows `[R, K]`, as a 0-d tensor. ln K when all is uniform, 0 when each row is one
/// prototype.
pub fn entropy(targets: &Tensor) -> Tensor {
    let kind = targets.kind();
    targets.special_entr().sum_dim_intlist([-1].as_slice(), false, kind).mean(kind)
}

/// The smaller of the two products of features `[n, D]` with themselves, f64: `[n, n]` or `[D, D]`. Its eigenvalues are the squares of
/// their singular values.
pub fn gram(features: &Tensor) -> Tensor {
    tch::no_grad(|| {
        let x = features.detach().to_kind(Kind::Double);
        let (n, d) = x.size2().expect("features have two axes");
        if n < d { x.matmul(&x.tr()) } else { x.tr().matmul(&x) }
    })
}

/// RankMe (Garrido et al., arXiv:2210.02885): `exp` of the entropy of the normalised singular values of features, whose [`gram`] matrix is
/// `gram` `[m, m]` f64 in host memory. Between 1 (collapsed to a line) and m.
///
/// A square loses the singular values below 1e-8 of the largest, which count for nothing here; for that the decomposition
/// is of a small matrix, which the host can do while the device goes on.
pub fn rank_me(gram: &Tensor) -> f64 {
    let s = gram.linalg_eigvalsh("L").clamp_min(0.0).sqrt();
    let p = &s / (s.sum(Kind::Double) + 1e-12) + 1e-7;
    (-(&p * p.log()).sum(Kind::Double)).exp().double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn entropy_and_rank_have_their_extremes() {
        let options = (Kind::Double, Device::Cpu);
        let uniform = Tensor::full([3, 8], 1.0 / 8.0, options);
        assert!((entropy(&uniform).double_value(&[]) - 8.0_f64.ln()).abs() < 1e-12);
        assert_eq!(entropy(&Tensor::eye(4, options)).double_value(&[]), 0.0);
        assert!((rank_me(&gram(&Tensor::eye(6, options))) - 6.0).abs() < 1e-4);
        let line = Tensor::arange(5, options).unsqueeze(1) * Tensor::ones([1, 7], options);
        assert!(rank_me(&gram(&line)) < 1.001);
    }

    #[test]
    fn the_rank_is_that_of_the_singular_values() {
        tch::manual_seed(4);
        for (n, d) in [(40, 24), (24, 40), (32, 32)] {
            for kind in [Kind::Double, Kind::Float] {
                // Directions of very different lengths, as of features on their way to collapse.
                let lengths = (Tensor::arange(d, (Kind::Double, Device::Cpu)) * -0.4).exp();
                let x = (Tensor::randn([n, d], (Kind::Double, Device::Cpu)) * lengths).to_kind(kind);
                let (_, s, _) = x.to_kind(Kind::Double).svd(true, false);
                let p = &s / s.sum(Kind::Double) + 1e-7;
                let exact = (-(&p * p.log()).sum(Kind::Double)).exp().double_value(&[]);
                let found = rank_me(&gram(&x));
                assert!((found / exact - 1.0).abs() < 1e-6, "{found} instead of {exact}");
            }
        }
    }
}
