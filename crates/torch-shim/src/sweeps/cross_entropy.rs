//! The student's side: logits to losses, and in place to their gradient.

use super::{
    apart,
    lanes::{LANES, STRETCH, exp, largest, sum_of_exp, total},
    parallel::each,
    values, values_mut, wide,
};
use tch::Tensor;

/// `log Σ_k exp(s_k) − Σ_k t_k s_k` for each row `s` of `logits`, `[R]`; afterwards `logits` hold `softmax(s) − t`.
///
/// * `logits` `[R, K]`: R is a multiple of n, and row r goes with row `r mod n` of the targets;
/// * `targets` `[n, K]`, each row summing to 1.
///
/// Both fit ([`super::fit`]) and share no memory. A row comes once from memory and goes back once; its targets come once.
pub fn cross_entropy_(logits: &mut Tensor, targets: &Tensor) -> Tensor {
    let (size, of_targets) = (logits.size(), targets.size());
    let width = size[1] as usize;
    assert!(
        of_targets.len() == 2 && of_targets[1] == size[1] && size[0] % of_targets[0] == 0,
        "logits {size:?} against targets {of_targets:?}"
    );
    apart(logits, targets);
    let mut losses = vec![0.0; size[0] as usize];
    let rows = values_mut(logits).chunks_exact_mut(width);
    let against = values(targets).chunks_exact(width).cycle();
    let items = rows.zip(against).zip(&mut losses).collect();
    each(items, |((row, against), loss)| *loss = row_to_gradient(row, against));
    Tensor::from_slice(&losses)
}

wide! {
    /// One row, of the length of its targets.
    fn row_to_gradient(logits: &mut [f32], targets: &[f32]) -> f32 = row_to_gradient_body;
}

#[inline(always)]
fn row_to_gradient_body(logits: &mut [f32], targets: &[f32]) -> f32 {
    let (mut top, mut sum) = (f32::NEG_INFINITY, 0.0_f64);
    for stretch in logits.chunks(STRETCH) {
        let here = largest(stretch);
        if here > top {
            sum *= f64::from(top - here).exp();
            top = here;
        }
        sum += sum_of_exp(stretch, top);
    }
    let inverse = (1.0 / sum) as f32;
    let mut expected = 0.0;
    for (s, t) in logits.chunks_mut(STRETCH).zip(targets.chunks(STRETCH)) {
        expected += subtract(s, t, top, inverse);
    }
    (f64::from(top) + sum.ln() - expected) as f32
}

/// Makes of logits `s` their gradient `exp(s − top) · inverse − t`, and gives `Σ t s`.
#[inline(always)]
fn subtract(s: &mut [f32], t: &[f32], top: f32, inverse: f32) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((whole, rest), (against, against_rest)) = (s.as_chunks_mut::<LANES>(), t.as_chunks::<LANES>());
    for (s, t) in whole.iter_mut().zip(against) {
        for l in 0..LANES {
            lanes[l] = t[l].mul_add(s[l], lanes[l]);
            s[l] = exp(s[l] - top).mul_add(inverse, -t[l]);
        }
    }
    for ((s, t), lane) in rest.iter_mut().zip(against_rest).zip(&mut lanes) {
        *lane = t.mul_add(*s, *lane);
        *s = exp(*s - top).mul_add(inverse, -t);
    }
    total(&lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeps::fit;
    use tch::{Device, Kind};

    const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

    /// A fixed, uneven pattern between −9 and 9.
    fn pattern(rows: i64, width: i64) -> Tensor {
        ((Tensor::arange(rows * width, F64) * 1.7).sin() * 9.0).view([rows, width]).to_kind(Kind::Float)
    }

    #[test]
    fn losses_and_gradients_are_those_of_operators_in_f64() {
        for (groups, n, width) in [(1, 1, 1), (1, 3, 33), (2, 5, 4096), (3, 2, 10_007)] {
            let mut logits = pattern(groups * n, width);
            let targets = (pattern(n, width) * 0.7).softmax(-1, Kind::Float);
            let (s, t) = (logits.to_kind(Kind::Double), targets.to_kind(Kind::Double).repeat([groups, 1]));
            let exact =
                s.logsumexp([1].as_slice(), false) - (&t * &s).sum_dim_intlist([1].as_slice(), false, Kind::Double);
            assert!(fit(&logits) && fit(&targets));
            let losses = cross_entropy_(&mut logits, &targets);
            let gap = |found: &Tensor, exact: &Tensor| (found - exact).abs().max().double_value(&[]);
            assert!(gap(&losses, &exact) < 2e-6, "{width}: losses differ by {:.1e}", gap(&losses, &exact));
            let exact = s.softmax(1, Kind::Double) - t;
            let limit = 1e-6 * exact.abs().max().double_value(&[]);
            assert!(
                gap(&logits, &exact) <= limit.max(1e-12),
                "{width}: gradients differ by {:.1e}",
                gap(&logits, &exact)
            );
        }
    }

    #[test]
    fn any_number_of_threads_and_registers_give_the_same_bits() {
        let targets = pattern(4, 5000).softmax(-1, Kind::Float);
        let results = [1, 2, 5].map(|threads| {
            tch::set_num_threads(threads);
            let mut logits = pattern(8, 5000);
            let losses = cross_entropy_(&mut logits, &targets);
            (losses, logits)
        });
        let mut narrow = pattern(8, 5000);
        let rows = values_mut(&mut narrow).chunks_exact_mut(5000);
        let losses: Vec<f32> =
            rows.zip(values(&targets).chunks_exact(5000).cycle()).map(|(s, t)| row_to_gradient_body(s, t)).collect();
        for (of_threads, logits) in results {
            assert!(of_threads.equal(&Tensor::from_slice(&losses)) && logits.equal(&narrow));
        }
    }

    #[test]
    fn what_is_not_finite_shows() {
        for broken in [f64::NAN, f64::INFINITY] {
            let mut logits = pattern(2, 100);
            let targets = pattern(2, 100).softmax(-1, Kind::Float);
            let _ = logits.get(1).get(40).fill_(broken);
            let losses: Vec<f32> = Vec::try_from(cross_entropy_(&mut logits, &targets)).unwrap();
            assert!(losses[0].is_finite() && losses[1].is_nan(), "{losses:?}");
        }
    }
}
