//! One pre-norm block over packed crops: everything per token runs on all of them at once, attention and stochastic
//! depth crop set by crop set. No crop is padded to the length of another.

use super::{
    Feed,
    draws::{Draw, Draws},
    packed::{Segment, pack, unpack},
};
use tch::{Kind, Tensor};
use torch_shim::autograd::{self, Activation};

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

/// The rows of packed tokens that stochastic depth keeps in one branch of a block.
struct Kept {
    /// Indices of the token rows that are kept.
    rows: Tensor,
    /// `[rows, 1]`: the factor that keeps the mean.
    scale: Tensor,
    /// The crops that are left.
    segments: Vec<Segment>,
}

impl Kept {
    /// Of what was drawn for a branch, for packed tokens like `x`.
    fn of(draws: &[Draw], segments: &[Segment], x: &Tensor) -> Self {
        let (mut first, mut rows, mut scales, mut left) = (0, Vec::new(), Vec::new(), Vec::new());
        for (draw, segment) in draws.iter().zip(segments) {
            let crops = draw.crops.size()[0];
            let within = Tensor::arange(segment.tokens, (Kind::Int64, x.device())) + first;
            rows.push((draw.crops.unsqueeze(1) * segment.tokens + within).view([-1]));
            scales.push(Tensor::full([crops * segment.tokens, 1], draw.scale, (x.kind(), x.device())));
            left.push(Segment { rows: crops, ..*segment });
            first += segment.rows * segment.tokens;
        }
        Self { rows: Tensor::cat(&rows, 0), scale: Tensor::cat(&scales, 0), segments: left }
    }

    /// `x + gamma · scale · out` on the kept rows.
    fn add(&self, x: &Tensor, out: &Tensor, gamma: &Tensor) -> Tensor {
        x.index_add(0, &self.rows, &(out.to_kind(x.kind()) * (gamma * &self.scale)))
    }

    /// `[R, 1]`: the factor of every row, 0 where it is skipped.
    fn factors(&self, x: &Tensor) -> Tensor {
        let none = Tensor::zeros([x.size()[0], 1], (x.kind(), x.device()));
        none.index_copy(0, &self.rows, &self.scale)
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

    /// Packed tokens `[R, D]` to the same, or to those `rows` of them only. `draws` are what stochastic depth keeps, if it skips any.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        segments: &[Segment],
        draws: Option<&Draws>,
        rows: Option<&Tensor>,
    ) -> Tensor {
        let Some(Draws([attended, fed])) = draws else {
            // Autocast may have lowered a branch; the residual stream keeps its width.
            let add = |x: &Tensor, y: Tensor, gamma: &Tensor| x.addcmul(&y.to_kind(x.kind()), gamma);
            let x = add(x, self.attend(x, segments), &self.gamma1);
            let x = rows.map_or_else(|| x.shallow_clone(), |rows| x.index_select(0, rows));
            return add(&x, self.feed(&x), &self.gamma2);
        };
        let kept = Kept::of(attended, segments, x);
        let out = self.attend(&x.index_select(0, &kept.rows), &kept.segments);
        let x = kept.add(x, &out, &self.gamma1);
        let kept = Kept::of(fed, segments, &x);
        let Some(rows) = rows else {
            return kept.add(&x, &self.feed(&x.index_select(0, &kept.rows)), &self.gamma2);
        };
        // Few rows are wanted: all go through, and those of skipped crops are multiplied by 0.
        let factor = kept.factors(&x).index_select(0, rows);
        let x = x.index_select(0, rows);
        let out = self.feed(&x).to_kind(x.kind());
        x.addcmul(&(out * factor), &self.gamma2)
    }

    fn attend(&self, x: &Tensor, segments: &[Segment]) -> Tensor {
        let d = x.size()[1];
        let qkv = self.qkv.linear(&self.norm1.norm(x, self.ln_eps)); // [R, 3D]
        let out: Vec<Tensor> = unpack(&qkv, segments)
            .iter()
            .zip(segments)
            .map(|(qkv, s)| {
                let [q, k, v] = self.heads_of(qkv, s);
                Tensor::scaled_dot_product_attention::<&Tensor>(&q, &k, &v, None, 0.0, false, None, false)
                    .transpose(1, 2)
                    .reshape([s.rows, s.tokens, d])
            })
            .collect();
        self.proj.linear(&pack(&out))
    }

    /// Queries, keys and values `[B, H, T, D/H]` of the tokens of a segment.
    fn heads_of(&self, qkv: &Tensor, s: &Segment) -> [Tensor; 3] {
        let d = qkv.size()[2] / 3;
        let qkv = qkv.view([s.rows, s.tokens, 3, self.heads, d / self.heads]).permute([2, 0, 3, 1, 4]);
        [qkv.get(0), qkv.get(1), qkv.get(2)]
    }

    /// How the CLS token of each image shares its attention among the tokens of that image, by head: `[B, H, T]`, each row of
    /// sum 1. Computed beside [`Self::forward`], whose fused attention keeps no such shares.
    pub(super) fn cls_attention(&self, x: &Tensor, segment: Segment) -> Tensor {
        let qkv = self.qkv.linear(&self.norm1.norm(x, self.ln_eps));
        let [q, k, _] = self.heads_of(&unpack(&qkv, &[segment])[0], &segment);
        let width = q.size()[3] as f64;
        let dots = (q.narrow(2, 0, 1) / width.sqrt()).matmul(&k.transpose(2, 3)); // [B, H, 1, T]
        dots.softmax(-1, dots.kind()).squeeze_dim(2)
    }

    fn feed(&self, x: &Tensor) -> Tensor {
        let hidden = self.first.linear(&self.norm2.norm(x, self.ln_eps));
        let activation = match self.kind {
            Feed::Mlp { .. } => Activation::Gelu,
            Feed::SwiGlu { .. } => Activation::SwiGlu,
        };
        // Autocast may have lowered the first layer; it does not reach into the backward of the second.
        let Pair { weight, bias } = &self.second;
        let (weight, bias) = (weight.to_kind(hidden.kind()), bias.to_kind(hidden.kind()));
        autograd::feed(&hidden, &weight, &bias, activation).expect("shapes were checked when weights were bound")
    }
}

#[cfg(test)]
mod tests {
    use super::super::DropPath;
    use super::*;
    use crate::{Backbone, RankShare, backbone::BackboneShape, init, params::Parameters};
    use run_spec::config::TrainConfig;
    use tch::Device;

    /// The last of two blocks that skip half their crops, with weights that matter.
    fn backbone() -> Backbone {
        let mut config = TrainConfig::default();
        (config.model.dim, config.model.depth, config.model.heads) = (16, 2, 2);
        (config.model.drop_path, config.model.layerscale_init) = (0.5, 1.0);
        let shape = BackboneShape::of(&config);
        let names = shape.declare().into_iter().map(|mut declared| {
            declared.name = format!("backbone.{}", declared.name);
            declared
        });
        let weights = init::random(&names.collect::<Vec<_>>(), 3);
        Backbone::new(shape, &Parameters::new(weights).to(Device::Cpu, Kind::Double)).unwrap()
    }

    #[test]
    fn wanted_rows_of_the_last_block_are_those_of_all_its_rows() {
        let backbone = backbone();
        let block = &backbone.blocks[1];
        let share = RankShare::of(6, 2, 0, 1).unwrap();
        let drop = |pass, crops| Some(DropPath { seed: 1, step: 5, pass, share, crops });
        // Two crops of six images with seven tokens, then one with four.
        let segments =
            [Segment { rows: 12, tokens: 7, drop: drop(0, 2) }, Segment { rows: 6, tokens: 4, drop: drop(1, 1) }];
        tch::manual_seed(2);
        let x = Tensor::randn([12 * 7 + 6 * 4, 16], (Kind::Double, Device::Cpu));
        let rows = Tensor::from_slice(&[0i64, 7, 9, 20, 21, 40, 77, 83, 84, 88, 104, 107]);
        for segments in [segments, segments.map(|s| Segment { drop: None, ..s })] {
            let draws = Draws::of(&[(block.index, block.rate)], &segments, Device::Cpu).swap_remove(0);
            let all = block.forward(&x, &segments, draws.as_ref(), None);
            let some = block.forward(&x, &segments, draws.as_ref(), Some(&rows));
            let gap = (all.index_select(0, &rows) - &some).abs().max().double_value(&[]);
            assert!(gap < 1e-12, "{gap}");
            // And something was skipped: a skipped crop keeps its input in that branch.
            assert!((&all - &x).abs().max().double_value(&[]) > 1e-3);
        }
    }

    #[test]
    fn a_skipped_crop_keeps_its_tokens() {
        let backbone = backbone();
        let mut block = backbone.blocks[1].handles();
        block.rate = 0.9; // int(6 · 0.1) is 0: one crop of six is kept, in each branch
        let share = RankShare::of(6, 1, 0, 1).unwrap();
        let drop = Some(DropPath { seed: 1, step: 5, pass: 0, share, crops: 1 });
        let x = Tensor::randn([6 * 3, 16], (Kind::Double, Device::Cpu));
        let segments = [Segment { rows: 6, tokens: 3, drop }];
        let draws = Draws::of(&[(block.index, block.rate)], &segments, Device::Cpu).swap_remove(0);
        let out = block.forward(&x, &segments, draws.as_ref(), None);
        let moved = (out - &x).abs().view([6, 48]).amax([1].as_slice(), false).gt(0.0);
        let moved = moved.sum(Kind::Int64).int64_value(&[]);
        assert!((1..=2).contains(&moved), "{moved} crops moved");
    }
}
