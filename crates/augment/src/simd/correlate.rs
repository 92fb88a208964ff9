//! Weighted sums over a window, with the weights as a list of taps.

use crate::pool::Buf;
use crate::round::round_u8;

/// Floats that [`correlate`] works on at once; what it reads and writes is a multiple of this.
pub(crate) const LANES: usize = 128;

/// `acc[i] = Σ k · window[offset + i]` over `taps = (offset, k)` in their order, each step a fused multiply-add.
///
/// The length of `acc` is a multiple of [`LANES`].
///
/// # Panics
/// If a tap reaches beyond `window`.
pub(crate) fn correlate(acc: &mut [f32], window: &[f32], taps: &[(usize, f32)]) {
    let reach = taps.iter().map(|tap| tap.0).max().unwrap_or(0) + acc.len();
    assert!(reach <= window.len() && acc.len().is_multiple_of(LANES), "the window is padded for every tap");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the line above found both features that `correlate_avx2` is compiled for; the assertion before
            // keeps its reads within `window` and its writes within `acc`.
            return unsafe { correlate_avx2(acc, window, taps) };
        }
    }
    correlate_twin(acc, window, taps);
}

/// The sums stay in eight registers while the taps go by.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn correlate_avx2(acc: &mut [f32], window: &[f32], taps: &[(usize, f32)]) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    for (block, out) in acc.chunks_exact_mut(64).enumerate() {
        let mut sums = [_mm256_setzero_ps(); 8];
        for &(offset, k) in taps {
            let k = _mm256_set1_ps(k);
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller vouches for offset + acc.len() <= window.len(), and block * 64 + i * 8 + 8 is at
                // most acc.len().
                let source = unsafe { _mm256_loadu_ps(window.as_ptr().add(offset + block * 64 + i * 8)) };
                *sum = _mm256_fmadd_ps(source, k, *sum);
            }
        }
        for (part, sum) in out.chunks_exact_mut(8).zip(sums) {
            // SAFETY: `part` has 8 elements, as the line above cuts it.
            unsafe { _mm256_storeu_ps(part.as_mut_ptr(), sum) };
        }
    }
}

pub(super) fn correlate_twin(acc: &mut [f32], window: &[f32], taps: &[(usize, f32)]) {
    acc.fill(0.0);
    for &(offset, k) in taps {
        for (a, &s) in acc.iter_mut().zip(&window[offset..]) {
            *a = s.mul_add(k, *a);
        }
    }
}

/// Rows that [`correlate_rows`] gives at once.
pub(crate) const ROWS: usize = 4;

/// Taps of [`correlate_rows`] as `(offset, weight for each row)`, and how far they reach.
#[derive(Debug)]
pub(crate) struct RowTaps {
    taps: Buf<(usize, [f32; ROWS])>,
    reach: usize,
}

impl RowTaps {
    pub(crate) fn new(taps: Buf<(usize, [f32; ROWS])>) -> Self {
        let reach = taps.iter().map(|tap| tap.0).max().unwrap_or(0);
        Self { taps, reach }
    }
}

/// The shortest row that [`correlate_rows`] takes.
pub(crate) const STRIP: usize = 24;

/// [`ROWS`] rows of a correlation: row `r` of `sums` (`[ROWS, n]`, n at least [`STRIP`]) is
/// `Σ weights[r] · window[offset + i]` over the taps in their order, each step a fused multiply-add.
///
/// # Panics
/// If a tap reaches beyond `window`.
pub(crate) fn correlate_rows(sums: &mut [f32], window: &[f32], taps: &RowTaps) {
    let length = sums.len() / ROWS;
    assert!(
        length >= STRIP && sums.len() == ROWS * length && taps.reach + length <= window.len(),
        "the window is padded for every tap"
    );
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the line above found both features that `correlate_rows_avx2` is compiled for; the assertion before
        // keeps its reads within `window` and its writes within `sums`.
        return unsafe { correlate_rows_avx2(sums, window, &taps.taps) };
    }
    correlate_rows_twin(sums, window, &taps.taps);
}

/// Four rows by 24 sums stay in twelve registers; what is read is used for all four rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn correlate_rows_avx2(sums: &mut [f32], window: &[f32], taps: &[(usize, [f32; ROWS])]) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    let length = sums.len() / ROWS;
    for start in (0..length).step_by(STRIP) {
        // The last block overlaps the one before, whose sums it computes again.
        let start = start.min(length - STRIP);
        let mut block = [[_mm256_setzero_ps(); 3]; ROWS];
        for &(offset, weights) in taps {
            // SAFETY: the caller vouches for offset + length <= window.len(), and start + 24 <= length.
            let read = unsafe {
                let source = window.as_ptr().add(offset + start);
                [_mm256_loadu_ps(source), _mm256_loadu_ps(source.add(8)), _mm256_loadu_ps(source.add(16))]
            };
            for r in 0..ROWS {
                let k = _mm256_set1_ps(weights[r]);
                block[r][0] = _mm256_fmadd_ps(read[0], k, block[r][0]);
                block[r][1] = _mm256_fmadd_ps(read[1], k, block[r][1]);
                block[r][2] = _mm256_fmadd_ps(read[2], k, block[r][2]);
            }
        }
        for (r, row) in block.into_iter().enumerate() {
            for (i, part) in row.into_iter().enumerate() {
                // SAFETY: r < ROWS and start + 24 <= length, so this ends within the ROWS * length sums.
                unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add(r * length + start + i * 8), part) };
            }
        }
    }
}

pub(super) fn correlate_rows_twin(sums: &mut [f32], window: &[f32], taps: &[(usize, [f32; ROWS])]) {
    let length = sums.len() / ROWS;
    for (r, row) in sums.chunks_exact_mut(length).enumerate() {
        row.fill(0.0);
        for &(offset, weights) in taps {
            row.iter_mut().zip(&window[offset..]).for_each(|(a, &s)| *a = s.mul_add(weights[r], *a));
        }
    }
}

/// Levels that [`correlate_levels`] works on at once; what it reads is a multiple of this.
const BLOCK: usize = 32;

/// Taps whose weights have few sizes: `(offset, weight)`, those of one size side by side.
#[derive(Debug)]
pub(crate) struct Groups {
    taps: Buf<(usize, f32)>,
    reach: usize,
}

impl Groups {
    /// Sorts taps by the size of their weights. None where that makes no sense: more than three sizes, more than 128 taps,
    /// or a mean over an even number of pixels, half of whose values end on a tie, which a running sum would break by its
    /// rounding (two, four, eight, … are exact either way).
    pub(crate) fn new(taps: &[(usize, f32)]) -> Option<Self> {
        if taps.is_empty() || taps.len() > 128 || !taps.iter().all(|tap| tap.1.is_finite()) {
            return None;
        }
        let mut sorted = Buf::collect(taps.len(), taps.iter().copied());
        sorted.sort_unstable_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        let sizes = 1 + sorted.windows(2).filter(|pair| pair[0].1.abs() != pair[1].1.abs()).count();
        let ties = sizes == 1 && taps.len().is_multiple_of(2) && !taps.len().is_power_of_two();
        let reach = taps.iter().map(|tap| tap.0).max().unwrap_or(0);
        (sizes <= 3 && !ties).then_some(Self { taps: sorted, reach })
    }
}

/// `out[i] = Σ weight · window[offset + i]`, nearest even: levels of one weight are summed first, in whole numbers.
///
/// # Panics
/// If a tap reaches beyond `window`, of which whole blocks of 32 are read.
pub(crate) fn correlate_levels(out: &mut [u8], window: &[u8], groups: &Groups) {
    let reach = groups.reach + out.len().next_multiple_of(BLOCK);
    assert!(reach <= window.len(), "the window is padded for every tap");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the line above found both features that `correlate_levels_avx2` is compiled for; the assertion before
        // keeps its reads within `window`.
        return unsafe { correlate_levels_avx2(out, window, &groups.taps) };
    }
    correlate_levels_twin(out, window, &groups.taps);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn correlate_levels_avx2(out: &mut [u8], window: &[u8], taps: &[(usize, f32)]) {
    use std::arch::x86_64::*;
    let (lowest, highest) = (_mm256_setzero_ps(), _mm256_set1_ps(255.0));
    for (block, part) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [_mm256_setzero_ps(); 4];
        for group in taps.chunk_by(|a, b| a.1.abs() == b.1.abs()) {
            let mut whole = [_mm256_setzero_si256(); 2];
            for &(offset, weight) in group {
                // SAFETY: the caller vouches for offset + (block + 1) * 32 <= window.len().
                let levels = unsafe {
                    let source = window.as_ptr().add(offset + block * BLOCK);
                    [_mm_loadu_si128(source.cast()), _mm_loadu_si128(source.add(16).cast())]
                };
                for (sum, levels) in whole.iter_mut().zip(levels) {
                    let levels = _mm256_cvtepu8_epi16(levels);
                    *sum = if weight < 0.0 { _mm256_sub_epi16(*sum, levels) } else { _mm256_add_epi16(*sum, levels) };
                }
            }
            let size = _mm256_set1_ps(group[0].1.abs());
            for (i, sum) in whole.into_iter().enumerate() {
                let halves = [_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum)];
                for (j, half) in halves.into_iter().enumerate() {
                    let floats = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(half));
                    sums[2 * i + j] = _mm256_fmadd_ps(floats, size, sums[2 * i + j]);
                }
            }
        }
        // A NaN becomes 0, the second operand, as in `round_u8`.
        let [a, b, c, d] = sums.map(|sum| _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(sum, lowest), highest)));
        let packed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
        let ordered = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        let mut levels = [0u8; BLOCK];
        // SAFETY: `levels` is 32 bytes, as the line above says.
        unsafe { _mm256_storeu_si256(levels.as_mut_ptr().cast(), ordered) };
        match part.first_chunk_mut::<BLOCK>() {
            Some(whole) => *whole = levels,
            None => part.copy_from_slice(&levels[..part.len()]),
        }
    }
}

pub(super) fn correlate_levels_twin(out: &mut [u8], window: &[u8], taps: &[(usize, f32)]) {
    for (i, o) in out.iter_mut().enumerate() {
        let mut sum = 0f32;
        for group in taps.chunk_by(|a, b| a.1.abs() == b.1.abs()) {
            let sign = |weight: f32| if weight < 0.0 { -1 } else { 1 };
            let whole: i32 = group.iter().map(|&(offset, w)| sign(w) * i32::from(window[offset + i])).sum();
            sum = (whole as f32).mul_add(group[0].1.abs(), sum);
        }
        *o = round_u8(sum);
    }
}

/// The taps as they are summed, for the twin.
#[cfg(test)]
impl Groups {
    pub(super) fn taps(&self) -> &[(usize, f32)] {
        &self.taps
    }
}

#[cfg(test)]
impl RowTaps {
    pub(super) fn taps(&self) -> &[(usize, [f32; ROWS])] {
        &self.taps
    }
}
