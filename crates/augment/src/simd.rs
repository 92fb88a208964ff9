#![allow(
    unsafe_code,
    reason = "calls of functions compiled for AVX2+FMA, each behind a run-time check of the processor"
)]
//! The inner loops that gain from wide registers.
//!
//! Every function here is one safe body, compiled twice: for the processor every build supports and for AVX2 with FMA,
//! picked at run time. Both give the same bits: a fused multiply-add is exact in `f64` for the ranges used here.

use crate::pixels::round::rint;

/// `acc[i] = fma(src[i], k, acc[i])` in f32, rounded once.
#[inline(always)]
fn axpy_fused(acc: &mut [f32], src: &[f32], k: f32) {
    for (a, &s) in acc.iter_mut().zip(src) {
        *a = s.mul_add(k, *a);
    }
}

/// The scalar twin of the fused loop: the product of two f32 is exact in f64, and so is the sum unless the terms lie
/// more than 2^29 apart.
fn axpy_twin(acc: &mut [f32], src: &[f32], k: f32) {
    let k = f64::from(k);
    for (a, &s) in acc.iter_mut().zip(src) {
        *a = (f64::from(s) * k + f64::from(*a)) as f32;
    }
}

/// One output row of a correlation: `acc[i] = Σ taps k · rows[row][offset + i]`, accumulated in the order of `taps`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn correlate_avx2(acc: &mut [f32], rows: &[&[f32]], taps: &[(usize, usize, f32)]) {
    for &(row, offset, k) in taps {
        axpy_fused(acc, &rows[row][offset..offset + acc.len()], k);
    }
}

fn correlate_twin(acc: &mut [f32], rows: &[&[f32]], taps: &[(usize, usize, f32)]) {
    for &(row, offset, k) in taps {
        axpy_twin(acc, &rows[row][offset..offset + acc.len()], k);
    }
}

/// `acc[i] += Σ k · rows[row][offset + i]` over `taps = (row, offset, k)`, each step a fused multiply-add.
pub(crate) fn correlate(acc: &mut [f32], rows: &[&[f32]], taps: &[(usize, usize, f32)]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the line above found both features that `correlate_avx2` is compiled for.
        return unsafe { correlate_avx2(acc, rows, taps) };
    }
    correlate_twin(acc, rows, taps);
}

#[inline(always)]
fn blend_fused(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) {
    for (b, &o) in base.iter_mut().zip(over) {
        *b = rint(f32::from(o).mul_add(alpha, f32::from(*b) * beta)).clamp(0.0, 255.0) as u8;
    }
}

fn blend_twin(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) {
    let alpha = f64::from(alpha);
    for (b, &o) in base.iter_mut().zip(over) {
        let sum = (f64::from(o) * alpha + f64::from(f32::from(*b) * beta)) as f32;
        *b = rint(sum).clamp(0.0, 255.0) as u8;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn blend_avx2(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) {
    blend_fused(over, alpha, base, beta);
}

/// `base = alpha * over + beta * base`, rounded to nearest even (`cv2.addWeighted` on 8 bits).
pub(crate) fn add_weighted(over: &[u8], alpha: f64, base: &mut [u8], beta: f64) {
    let (alpha, beta) = (alpha as f32, beta as f32);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the line above found both features that `blend_avx2` is compiled for.
        return unsafe { blend_avx2(over, alpha, base, beta) };
    }
    blend_twin(over, alpha, base, beta);
}

/// Compare-exchanges the lanes `a` and `b` of `lanes` for every pair of `network`.
#[inline(always)]
fn sort_lanes(lanes: &mut [[u8; 32]], network: &[(u8, u8)]) {
    for &(a, b) in network {
        let (x, y) = (lanes[a as usize], lanes[b as usize]);
        let (mut low, mut high) = ([0u8; 32], [0u8; 32]);
        for i in 0..32 {
            low[i] = x[i].min(y[i]);
            high[i] = x[i].max(y[i]);
        }
        lanes[a as usize] = low;
        lanes[b as usize] = high;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sort_lanes_avx2(lanes: &mut [[u8; 32]], network: &[(u8, u8)]) {
    sort_lanes(lanes, network);
}

/// Runs a sorting network over 32 pixels at once.
pub(crate) fn sort_network(lanes: &mut [[u8; 32]], network: &[(u8, u8)]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the line above found the feature that `sort_lanes_avx2` is compiled for.
        return unsafe { sort_lanes_avx2(lanes, network) };
    }
    sort_lanes(lanes, network);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_narrow_correlation_give_the_same_bits() {
        let source: Vec<f32> = (0..400).map(|i| ((i * 7919) % 256) as f32).collect();
        let taps: Vec<_> = (0..49).map(|i| (0, i, (i as f32 - 20.0) / 61.0)).collect();
        let (mut wide, mut narrow) = (vec![0.0; 300], vec![0.0; 300]);
        correlate(&mut wide, &[&source], &taps);
        correlate_twin(&mut narrow, &[&source], &taps);
        assert_eq!(wide, narrow);
    }

    #[test]
    fn wide_and_narrow_blending_give_the_same_bits() {
        let over: Vec<u8> = (0..=255).cycle().take(2000).collect();
        let base: Vec<u8> = (0..2000).map(|i| (i * 31 % 256) as u8).collect();
        for alpha in [0.05, 0.2, 0.3333, 0.5, 0.971, 1.0] {
            let (mut wide, mut narrow) = (base.clone(), base.clone());
            add_weighted(&over, alpha, &mut wide, 1.0 - alpha);
            blend_twin(&over, alpha as f32, &mut narrow, (1.0 - alpha) as f32);
            assert_eq!(wide, narrow, "alpha {alpha}");
        }
    }

    #[test]
    fn wide_and_narrow_sorting_agree() {
        let mut lanes: Vec<[u8; 32]> = (0..9).map(|i| std::array::from_fn(|j| (i * 37 + j * 11) as u8)).collect();
        let mut twin = lanes.clone();
        let network = [(0, 3), (3, 5), (1, 8), (2, 7), (0, 8)];
        sort_network(&mut lanes, &network);
        sort_lanes(&mut twin, &network);
        assert_eq!(lanes, twin);
    }
}
