//! Tables of 256 levels, one for all channels or one for each.

use super::blend::add_weighted;
use crate::pool::Buf;
use crate::simd;

/// Applies one table to all of `data`.
pub(crate) fn apply(data: &mut [u8], table: &[u8; 256]) {
    data.iter_mut().for_each(|v| *v = table[*v as usize]);
}

/// Applies a table to channel `c` of `[.., 3]` data.
pub(crate) fn apply_channel(data: &mut [u8], c: usize, table: &[u8; 256]) {
    data[c..].iter_mut().step_by(3).for_each(|v| *v = table[*v as usize]);
}

/// A table from a function of the level.
pub(crate) fn table(f: impl FnMut(usize) -> u8) -> [u8; 256] {
    std::array::from_fn(f)
}

/// Tables of what blending with one `color` again and again does: table `i` (of `n`, 256 levels each) blends with the
/// strengths `i`, `i + 1`, … `n - 1`, rounding after each.
pub(crate) fn successive(color: u8, n: usize, strength: impl Fn(usize) -> f64) -> Buf<u8> {
    let mut tables = Buf::zeroed(n * 256);
    for i in (0..n).rev() {
        let mut once: [u8; 256] = table(|v| v as u8);
        add_weighted(&[color; 256], strength(i), &mut once, 1.0 - strength(i));
        let (own, later) = tables[i * 256..].split_at_mut(256);
        for (out, v) in own.iter_mut().zip(once) {
            *out = later.get(usize::from(v)).copied().unwrap_or(v);
        }
    }
    tables
}

simd::wide! {
    /// `data & keep | fill`, channel by channel.
    pub(crate) fn keep_and_fill(data: &mut [u8], keep: [u8; 3], fill: [u8; 3]) = keep_and_fill_body;
}

#[inline(always)]
pub(super) fn keep_and_fill_body(data: &mut [u8], keep: [u8; 3], fill: [u8; 3]) {
    let (mut kept, mut filled) = ([0u8; 96], [0u8; 96]);
    for i in 0..96 {
        kept[i] = keep[i % 3];
        filled[i] = fill[i % 3];
    }
    let (blocks, rest) = data.as_chunks_mut::<96>();
    for block in blocks {
        for i in 0..96 {
            block[i] = block[i] & kept[i] | filled[i];
        }
    }
    for (i, v) in rest.iter_mut().enumerate() {
        *v = *v & kept[i] | filled[i];
    }
}

/// A table of floats from a function of the level.
pub(crate) fn floats(f: impl Fn(f64) -> f64) -> [f64; 256] {
    std::array::from_fn(|v| f(v as f64))
}
