//! Tokens of crops of several sizes, one after the other, without padding.

use super::DropPath;
use tch::Tensor;

/// Crops of one size within packed tokens: B rows of T tokens each, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) rows: i64,
    pub(super) tokens: i64,
    pub(super) drop: Option<DropPath>,
}

/// Tokens of all segments, `[R, D]` with R = Σ B·T, cut into `[B, T, D]` each.
pub(super) fn unpack(x: &Tensor, segments: &[Segment]) -> Vec<Tensor> {
    let sizes: Vec<i64> = segments.iter().map(|s| s.rows * s.tokens).collect();
    let d = x.size()[1];
    let parts = x.split_with_sizes(sizes, 0);
    parts.into_iter().zip(segments).map(|(part, s)| part.view([s.rows, s.tokens, d])).collect()
}

/// `[B, T, D]` each to `[R, D]`; a copy only where there are several.
pub(super) fn pack(parts: &[Tensor]) -> Tensor {
    match parts {
        [one] => one.flatten(0, 1),
        _ => Tensor::cat(&parts.iter().map(|t| t.flatten(0, 1)).collect::<Vec<_>>(), 0),
    }
}
