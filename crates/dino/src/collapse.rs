//! Two numbers in which collapse shows: how spread the teacher's targets are, and how many dimensions its features use.

use tch::{Kind, Tensor};

/// Mean entropy in nats of target rows `[R, K]`, as a 0-d tensor. ln K when all is uniform, 0 when each row is one
/// prototype.
pub fn entropy(targets: &Tensor) -> Tensor {
    let kind = targets.kind();
    targets.special_entr().sum_dim_intlist([-1].as_slice(), false, kind).mean(kind)
}

/// RankMe (Garrido et al., arXiv:2210.02885): `exp` of the entropy of the normalised singular values of `[n, D]`
/// features. Between 1 (collapsed to a line) and min(n, D).
pub fn rank_me(features: &Tensor) -> f64 {
    tch::no_grad(|| {
        let (_, s, _) = features.detach().to_kind(Kind::Double).svd(true, false);
        let p = &s / (s.sum(Kind::Double) + 1e-12) + 1e-7;
        (-(&p * p.log()).sum(Kind::Double)).exp().double_value(&[])
    })
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
        assert!((rank_me(&Tensor::eye(6, options)) - 6.0).abs() < 1e-4);
        let line = Tensor::arange(5, options).unsqueeze(1) * Tensor::ones([1, 7], options);
        assert!(rank_me(&line) < 1.001);
    }
}
