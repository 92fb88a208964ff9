//! Two pixels of a row, weighed, for each pixel of a resized one.

use crate::pool::Buf;

/// Where the pixels of a resized row come from: `[a, b, w0, w1]` stands for `source[a..a + 3] w0 + source[b..b + 3] w1`, with
/// weights of 16 bits.
#[derive(Debug)]
pub(crate) struct Columns {
    columns: Buf<[i32; 4]>,
    /// Elements of a source row.
    length: usize,
    /// So many columns from the first on have `b = a + 3` and eight source elements from `a` on.
    adjacent: usize,
}

impl Columns {
    /// For source rows of `length` elements.
    pub(crate) fn new(columns: Buf<[i32; 4]>, length: usize) -> Self {
        let adjacent = |&[a, b, ..]: &[i32; 4]| a >= 0 && b == a + 3 && a as usize + 8 <= length;
        let adjacent = columns.iter().take_while(|column| adjacent(column)).count();
        Self { columns, length, adjacent }
    }

    /// One row: `out` holds three numbers for each column.
    ///
    /// # Panics
    /// If `source` or `out` has another length.
    pub(crate) fn blend(&self, source: &[u8], out: &mut [i32]) {
        assert!(
            source.len() == self.length && out.len() == 3 * self.columns.len(),
            "rows have the lengths of the columns"
        );
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // The fourth number that is written for a column is the first of the next, which the last has not.
            let wide = self.adjacent.min(self.columns.len().saturating_sub(1));
            // SAFETY: the lines above found the feature that `blend_avx2` is compiled for, the length that `adjacent` was
            // found for, and room for one column more than `wide`.
            unsafe { blend_avx2(source, &self.columns[..wide], out) };
            return blend_twin(source, &self.columns[wide..], &mut out[3 * wide..]);
        }
        blend_twin(source, &self.columns, out);
    }

    /// As [`Self::blend`], by the scalar twin.
    #[cfg(test)]
    pub(super) fn blend_narrow(&self, source: &[u8], out: &mut [i32]) {
        blend_twin(source, &self.columns, out);
    }
}

/// A pixel and the one after it are eight bytes (two too many), shuffled to pairs that one instruction weighs and adds.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn blend_avx2(source: &[u8], columns: &[[i32; 4]], out: &mut [i32]) {
    use std::arch::x86_64::*;
    let pairs = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    for (i, &[a, _, w0, w1]) in columns.iter().enumerate() {
        // SAFETY: the caller vouches for eight elements from `a` on.
        let eight = unsafe { _mm_loadl_epi64(source.as_ptr().add(a as usize).cast()) };
        let sums = _mm_madd_epi16(_mm_shuffle_epi8(eight, pairs), _mm_set1_epi32(w0 & 0xffff | w1 << 16));
        // SAFETY: the caller vouches for room for 3 (i + 2) numbers, and a column has at least one more after it.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().add(3 * i).cast(), sums) };
    }
}

fn blend_twin(source: &[u8], columns: &[[i32; 4]], out: &mut [i32]) {
    for (out, &[a, b, w0, w1]) in out.chunks_exact_mut(3).zip(columns) {
        let (p, q) = (&source[a as usize..][..3], &source[b as usize..][..3]);
        for c in 0..3 {
            out[c] = i32::from(p[c]) * w0 + i32::from(q[c]) * w1;
        }
    }
}
