//! Arithmetic on a stretch of a row. Sums and maxima run in lanes, which the compiler puts into wide registers; the lanes are added in
//! f64, in their order.
//!
//! There are loops here and no closures: a closure is a function of its own, which the compiler need not inline, and which is then
//! compiled without the caller's wide registers.

/// Numbers that are worked on at once: four registers of eight, so that additions need not wait for each other.
pub(super) const LANES: usize = 32;

/// Elements of a row between two times that lanes are added up: no sum in f32 has more than 128 terms, and a stretch stays in the
/// first cache.
pub(super) const STRETCH: usize = 4096;

/// Below this `exp` is 0: its values would no longer have all their digits.
const LOWEST: f32 = -87.0;

/// `e^x` for `x ≤ 88` within 2 units of the last place; 0 below −87; NaN of NaN.
///
/// As Cephes' `expf`: `x = n ln 2 + r`, with `ln 2` in two parts, and a polynomial for `e^r`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUNDS: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDS);
    let n = shifted - ROUNDS;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let mut p = 1.987_569_1e-4_f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    let p = (r * r).mul_add(p, r + 1.0);
    // 2^n by its exponent's bits.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { p * power }
}

/// The larger number; the second where one of them is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The largest number of a stretch, −∞ of none. NaN does not count.
#[inline(always)]
pub(super) fn largest(stretch: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = stretch.as_chunks::<LANES>();
    for values in whole {
        for l in 0..LANES {
            lanes[l] = larger(values[l], lanes[l]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = larger(value, *lane);
    }
    let mut most = f32::NEG_INFINITY;
    for lane in lanes {
        most = larger(lane, most);
    }
    most
}

/// `Σ exp(x − top)` over a stretch of at most [`STRETCH`] numbers.
#[inline(always)]
pub(super) fn sum_of_exp(stretch: &[f32], top: f32) -> f64 {
    let mut lanes = [0.0; LANES];
    let (whole, rest) = stretch.as_chunks::<LANES>();
    for values in whole {
        for l in 0..LANES {
            lanes[l] += exp(values[l] - top);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += exp(value - top);
    }
    total(&lanes)
}

/// `Σ a b` over stretches of one length, at most [`STRETCH`].
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for l in 0..LANES {
            lanes[l] = a[l].mul_add(b[l], lanes[l]);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = a.mul_add(*b, *lane);
    }
    total(&lanes)
}

/// The sum of all lanes.
#[inline(always)]
pub(super) fn total(lanes: &[f32; LANES]) -> f64 {
    let mut sum = 0.0;
    for &lane in lanes {
        sum += f64::from(lane);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units of the last place of `exact` that `found` is away from it.
    fn ulps(found: f32, exact: f64) -> f64 {
        let near = exact as f32;
        let unit = f64::from(near.next_up()) - f64::from(near);
        (f64::from(found) - exact).abs() / unit
    }

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        // Every 97th number of f32 from −87 to 88, on both sides of 0.
        let (mut worst, mut count) = (0.0_f64, 0);
        for sign in [0, 1 << 31] {
            for bits in (0..88.0_f32.to_bits()).step_by(97) {
                let x = f32::from_bits(bits | sign);
                if x >= LOWEST {
                    worst = worst.max(ulps(exp(x), f64::from(x).exp()));
                    count += 1;
                }
            }
        }
        assert!(worst <= 2.0 && count > 20_000_000, "{worst} over {count}");
    }

    #[test]
    fn exp_of_what_is_no_number_and_of_very_little() {
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!([exp(-87.1), exp(-1e30)], [0.0; 2]);
        assert_eq!([exp(0.0), exp(-0.0)], [1.0; 2]);
    }

    #[test]
    fn stretches_of_any_length_are_summed_whole() {
        for length in [0, 1, 31, 32, 33, 100, STRETCH] {
            let a: Vec<f32> = (0..length).map(|i| ((i * 7) % 13) as f32).collect();
            let ones = vec![1.0; length];
            assert_eq!(dot(&a, &ones), a.iter().map(|&x| f64::from(x)).sum::<f64>());
            assert_eq!(largest(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let exact: f64 = a.iter().map(|&x| f64::from(x - 12.0).exp()).sum();
            assert!((sum_of_exp(&a, 12.0) - exact).abs() <= 1e-6 * exact.max(1e-3), "{length}");
        }
        assert_eq!(largest(&[f32::NAN, 2.0, f32::NAN]), 2.0);
    }
}
