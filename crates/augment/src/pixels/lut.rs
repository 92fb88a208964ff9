//! Tables of 256 levels, one for all channels or one for each.

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
