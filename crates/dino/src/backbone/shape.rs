//! What a backbone is made of: its widths, and the names and shapes of its parameters.

use crate::params::{Declared, Draw};

/// The feed-forward layer of a block, with its hidden width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Two linear layers with a GELU between: `fc2(gelu(fc1(x)))`.
    Mlp {
        /// Width between the two.
        hidden: i64,
    },
    /// `w3(silu(a) · b)` with `[a, b] = w12(x)`.
    SwiGlu {
        /// Width of `a` and of `b`.
        hidden: i64,
    },
}

/// Everything that decides what a backbone computes, apart from its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackboneShape {
    /// Width D of a token.
    pub dim: i64,
    /// Number of transformer blocks.
    pub depth: i64,
    /// Number of attention heads; divides D.
    pub heads: i64,
    /// Patch side in pixels.
    pub patch: i64,
    /// Patches along each side for which position embeddings are stored.
    pub grid: i64,
    /// Number of register tokens, 0 for none.
    pub registers: i64,
    /// The feed-forward layer of each block.
    pub feed: Feed,
    /// Epsilon of layer norms.
    pub ln_eps: f64,
    /// Offset in the resize of position embeddings, 0.1 or 0.
    pub offset: f64,
    /// Probability that a sample skips a branch (stochastic depth).
    pub drop_path: f64,
    /// The same rate in every block; otherwise it grows linearly from 0 at the first to `drop_path` at the last.
    pub drop_path_uniform: bool,
    /// LayerScale at the start.
    pub layerscale_init: f64,
}

impl BackboneShape {
    /// The shape that a configuration asks for.
    pub fn of(config: &run_spec::config::TrainConfig) -> Self {
        let m = &config.model;
        let feed = match m.ffn {
            run_spec::config::Ffn::Mlp => Feed::Mlp { hidden: (m.dim as f64 * m.mlp_ratio) as i64 },
            run_spec::config::Ffn::Swiglu => {
                Feed::SwiGlu { hidden: ((m.dim as f64 * m.mlp_ratio * 2.0 / 3.0) as i64 + 7) / 8 * 8 }
            }
        };
        Self {
            dim: m.dim,
            depth: m.depth,
            heads: m.heads,
            patch: m.patch,
            grid: config.grid(),
            registers: m.registers,
            feed,
            ln_eps: m.ln_eps,
            offset: m.offset,
            drop_path: m.drop_path,
            drop_path_uniform: m.drop_path_uniform,
            layerscale_init: m.layerscale_init,
        }
    }

    /// Stochastic depth rate of block `i`.
    pub fn drop_rate(&self, i: i64) -> f64 {
        match self.drop_path_uniform || self.depth == 1 {
            true => self.drop_path,
            false => self.drop_path * i as f64 / (self.depth - 1) as f64,
        }
    }

    /// The parameters of such a backbone, names as in recipe §1.2 without a prefix.
    pub fn declare(&self) -> Vec<Declared> {
        let d = self.dim;
        let mut out = Vec::new();
        let mut add = |name: String, shape: &[i64], draw: Draw| {
            out.push(Declared { name, shape: shape.to_vec(), draw });
        };
        let linear = Draw::TruncatedNormal(0.02);
        let (zero, one) = (Draw::Constant(0.0), Draw::Constant(1.0));
        // The convolution keeps PyTorch's default, U(±1/√fan_in), weight and bias alike.
        let patch = Draw::Uniform(1.0 / ((3 * self.patch * self.patch) as f64).sqrt());
        add("cls_token".into(), &[1, 1, d], Draw::Normal(1e-6));
        add("mask_token".into(), &[1, d], zero);
        add("pos_embed".into(), &[1, 1 + self.grid * self.grid, d], linear);
        if self.registers > 0 {
            add("register_tokens".into(), &[1, self.registers, d], Draw::Normal(1e-6));
        }
        add("patch_embed.proj.weight".into(), &[d, 3, self.patch, self.patch], patch);
        add("patch_embed.proj.bias".into(), &[d], patch);
        add("norm.weight".into(), &[d], one);
        add("norm.bias".into(), &[d], zero);
        for i in 0..self.depth {
            let mut block = |name: &str, shape: &[i64], draw: Draw| {
                add(format!("blocks.{i}.{name}"), shape, draw);
            };
            for norm in ["norm1", "norm2"] {
                block(&format!("{norm}.weight"), &[d], one);
                block(&format!("{norm}.bias"), &[d], zero);
            }
            for scale in ["ls1.gamma", "ls2.gamma"] {
                block(scale, &[d], Draw::Constant(self.layerscale_init));
            }
            let layers: [(&str, i64, i64); 4] = match self.feed {
                Feed::Mlp { hidden } => {
                    [("attn.qkv", 3 * d, d), ("attn.proj", d, d), ("mlp.fc1", hidden, d), ("mlp.fc2", d, hidden)]
                }
                Feed::SwiGlu { hidden } => {
                    [("attn.qkv", 3 * d, d), ("attn.proj", d, d), ("mlp.w12", 2 * hidden, d), ("mlp.w3", d, hidden)]
                }
            };
            for (name, rows, columns) in layers {
                block(&format!("{name}.weight"), &[rows, columns], linear);
                block(&format!("{name}.bias"), &[rows], zero);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::config::TrainConfig;

    #[test]
    fn stochastic_depth_is_even_or_grows_to_the_last_block() {
        let mut config = TrainConfig::default();
        (config.model.depth, config.model.drop_path) = (5, 0.4);
        let rates = |config: &TrainConfig| (0..5).map(|i| BackboneShape::of(config).drop_rate(i)).collect::<Vec<_>>();
        assert_eq!(rates(&config), [0.4; 5]);
        config.model.drop_path_uniform = false;
        // torch.linspace(0, 0.4, 5)
        for (rate, expected) in rates(&config).into_iter().zip([0.0, 0.1, 0.2, 0.3, 0.4]) {
            assert!((rate - expected).abs() < 1e-12, "{rate}");
        }
    }
}
