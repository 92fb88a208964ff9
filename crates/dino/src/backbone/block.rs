//! One pre-norm block over packed crops: everything per token runs on all of them at once, attention and stochastic
//! depth crop set by crop set. No crop is padded to the length of another.

use super::{DropPath, Feed};
use std::sync::Arc;
use tch::Tensor;

/// Weight and bias of a linear layer or a norm.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Pair {
    pub(super) fn linear(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }

    pub(super) fn norm(&self, x: &Tensor, eps: f64) -> Tensor {
        let d = self.weight.size()[0];
        x.layer_norm([d], Some(&self.weight), Some(&self.bias), eps, false)
    }

    fn handles(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }
}

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

/// A block: `x + γ₁·attention(norm₁(x))`, then `x + γ₂·feed(norm₂(x))`.
#[derive(Debug)]
pub(super) struct Block {
    /// Its number, which keys stochastic depth.
    pub(super) index: u64,
    /// Its rate of stochastic depth.
    pub(super) rate: f64,
    pub(super) heads: i64,
    pub(super) ln_eps: f64,
    pub(super) kind: Feed,
    pub(super) norm1: Pair,
    pub(super) qkv: Pair,
    pub(super) proj: Pair,
    pub(super) gamma1: Tensor,
    pub(super) norm2: Pair,
    pub(super) first: Pair,
    pub(super) second: Pair,
    pub(super) gamma2: Tensor,
}

impl Block {
    /// Another handle to the same weights.
    pub(super) fn handles(&self) -> Self {
        Self {
            norm1: self.norm1.handles(),
            qkv: self.qkv.handles(),
            proj: self.proj.handles(),
            gamma1: self.gamma1.shallow_clone(),
            norm2: self.norm2.handles(),
            first: self.first.handles(),
            second: self.second.handles(),
            gamma2: self.gamma2.shallow_clone(),
            ..*self
        }
    }

    /// Packed tokens `[R, D]` to the same.
    pub(super) fn forward(&self, x: &Tensor, segments: &Arc<[Segment]>) -> Tensor {
        let x = self.residual(x, segments, &self.gamma1, 0, |x, segments| self.attend(x, segments));
        self.residual(&x, segments, &self.gamma2, 1, |x, _| self.feed(x))
    }

    /// `x + gamma · f(x)`, on the rows that stochastic depth keeps.
    fn residual(
        &self,
        x: &Tensor,
        segments: &[Segment],
        gamma: &Tensor,
        branch: u64,
        f: impl Fn(&Tensor, &[Segment]) -> Tensor,
    ) -> Tensor {
        let drops = self.rate > 0.0 && segments.iter().any(|s| s.drop.is_some());
        if !drops {
            // Autocast may have lowered f(x); the residual stream keeps its width.
            return x.addcmul(&f(x, segments).to_kind(x.kind()), gamma);
        }
        let parts = unpack(x, segments);
        let kept: Vec<(Tensor, f64)> = segments
            .iter()
            .map(|s| match &s.drop {
                Some(drop) => drop.kept(self.index, branch, self.rate),
                None => (Tensor::arange(s.rows, (tch::Kind::Int64, tch::Device::Cpu)), 1.0),
            })
            .map(|(rows, scale)| (rows.to_device(x.device()), scale))
            .collect();
        let inputs: Vec<Tensor> = parts.iter().zip(&kept).map(|(part, (rows, _))| part.index_select(0, rows)).collect();
        let shorter: Vec<Segment> =
            segments.iter().zip(&kept).map(|(s, (rows, _))| Segment { rows: rows.size()[0], ..*s }).collect();
        let out = unpack(&f(&pack(&inputs), &shorter).to_kind(x.kind()), &shorter);
        let sums: Vec<Tensor> = parts
            .iter()
            .zip(kept.iter().zip(&out))
            .map(|(part, ((rows, scale), out))| part.index_add(0, rows, &(out * (gamma * *scale))))
            .collect();
        pack(&sums)
    }

    fn attend(&self, x: &Tensor, segments: &[Segment]) -> Tensor {
        let d = x.size()[1];
        let qkv = self.qkv.linear(&self.norm1.norm(x, self.ln_eps)); // [R, 3D]
        let out: Vec<Tensor> = unpack(&qkv, segments)
            .iter()
            .zip(segments)
            .map(|(qkv, s)| {
                let qkv = qkv.view([s.rows, s.tokens, 3, self.heads, d / self.heads]).permute([2, 0, 3, 1, 4]);
                let (q, k, v) = (qkv.get(0), qkv.get(1), qkv.get(2)); // [B, H, T, D/H]
                Tensor::scaled_dot_product_attention::<&Tensor>(&q, &k, &v, None, 0.0, false, None, false)
                    .transpose(1, 2)
                    .reshape([s.rows, s.tokens, d])
            })
            .collect();
        self.proj.linear(&pack(&out))
    }

    fn feed(&self, x: &Tensor) -> Tensor {
        let hidden = self.first.linear(&self.norm2.norm(x, self.ln_eps));
        let hidden = match self.kind {
            Feed::Mlp { .. } => hidden.gelu("none"),
            Feed::SwiGlu { .. } => {
                let halves = hidden.chunk(2, -1);
                halves[0].silu() * &halves[1]
            }
        };
        self.second.linear(&hidden)
    }
}
