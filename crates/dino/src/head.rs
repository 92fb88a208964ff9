//! The projection head (DINO, arXiv:2104.14294 §5.1): three linear layers, L2 normalisation, a weight-normed last layer.
//! R rows of width D become R rows of K logits in about [-1, 1].

use crate::{
    DinoError,
    params::{Declared, Draw, Parameters},
    wide,
};
use tch::{Kind, Tensor};

/// Widths of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadShape {
    /// Width D of what comes in.
    pub dim: i64,
    /// Width of the hidden layers.
    pub hidden: i64,
    /// Width before the last layer.
    pub bottleneck: i64,
    /// Number K of prototypes, the width of the logits.
    pub prototypes: i64,
}

impl HeadShape {
    /// The parameters of such a head, without a prefix.
    pub fn declare(&self) -> Vec<Declared> {
        let mut out = Vec::new();
        let mut add = |name: &str, shape: &[i64], draw| {
            out.push(Declared { name: name.to_owned(), shape: shape.to_vec(), draw });
        };
        let layers = [
            ("mlp.0", self.hidden, self.dim),
            ("mlp.2", self.hidden, self.hidden),
            ("mlp.4", self.bottleneck, self.hidden),
        ];
        for (name, rows, columns) in layers {
            add(&format!("{name}.weight"), &[rows, columns], Draw::TruncatedNormal(0.02));
            add(&format!("{name}.bias"), &[rows], Draw::Constant(0.0));
        }
        add("last_layer.weight_g", &[self.prototypes, 1], Draw::Constant(1.0));
        add(
            "last_layer.weight_v",
            &[self.prototypes, self.bottleneck],
            Draw::Uniform(1.0 / (self.bottleneck as f64).sqrt()),
        );
        out
    }
}

/// A head over parameters that live elsewhere.
#[derive(Debug)]
pub struct Head {
    layers: [(Tensor, Tensor); 3],
    weight_g: Tensor,
    weight_v: Tensor,
}

impl Head {
    /// Binds the parameters called `<name>.…`, where `name` is `dino_head` or `ibot_head`.
    ///
    /// # Errors
    /// A name that is not there.
    pub fn new(name: &str, params: &Parameters) -> Result<Self, DinoError> {
        let get = |part: &str| params.get(&format!("{name}.{part}"));
        let layer = |part: &str| -> Result<(Tensor, Tensor), DinoError> {
            Ok((get(&format!("{part}.weight"))?, get(&format!("{part}.bias"))?))
        };
        Ok(Self {
            layers: [layer("mlp.0")?, layer("mlp.2")?, layer("mlp.4")?],
            weight_g: get("last_layer.weight_g")?,
            weight_v: get("last_layer.weight_v")?,
        })
    }

    /// `[R, D]` to what the last layer takes in, unit rows `[R, bottleneck]`.
    pub fn bottleneck(&self, x: &Tensor) -> Tensor {
        let [first, second, third] = &self.layers;
        let linear = |x: &Tensor, (w, b): &(Tensor, Tensor)| x.linear(w, Some(b));
        let x = linear(x, first).gelu("none");
        let x = linear(&x, second).gelu("none");
        let x = linear(&x, third); // [R, bottleneck]
        let eps = if x.kind() == Kind::Half { 1e-6 } else { 1e-12 };
        &x / x.norm_scalaropt_dim(2, [-1], true).clamp_min(eps)
    }

    /// The last layer `[K, bottleneck]`: W = g · v / ‖v‖, row by row; g is trained too.
    pub fn last_layer(&self) -> Tensor {
        Tensor::internal_weight_norm(&self.weight_v, &self.weight_g, 0)
    }

    /// `[R, D]` to logits `[R, K]` divided by `temp`.
    pub fn logits(&self, x: &Tensor, temp: f64) -> Tensor {
        // Where rows are narrow a division costs nothing.
        wide::last_layer(&(self.bottleneck(x) / temp), &self.last_layer())
    }
}
