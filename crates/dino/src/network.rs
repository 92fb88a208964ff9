//! A backbone with its head or heads: what the student and the teacher both are.

use crate::{
    DinoError,
    backbone::{self, Backbone},
    head::{self, Head},
    params::{Declared, Parameters},
};
use run_spec::config::TrainConfig;
use tch::Tensor;

/// Everything that decides the names and shapes of a network's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Architecture {
    /// Widths and depth of the backbone.
    pub backbone: backbone::BackboneShape,
    /// The DINO head, which is iBOT's too unless that has its own.
    pub head: head::HeadShape,
    /// Widths of iBOT's head where it has its own.
    pub ibot_head: Option<head::HeadShape>,
}

impl Architecture {
    /// The architecture of a configuration.
    pub fn of(config: &TrainConfig) -> Self {
        let h = &config.head;
        let head = head::HeadShape {
            dim: config.model.dim,
            hidden: h.hidden,
            bottleneck: h.bottleneck,
            prototypes: h.prototypes,
        };
        let ibot_head = h.separate.then(|| head::HeadShape {
            dim: config.model.dim,
            hidden: h.ibot_hidden.unwrap_or(h.hidden),
            bottleneck: h.ibot_bottleneck.unwrap_or(h.bottleneck),
            prototypes: h.ibot_prototypes.unwrap_or(h.prototypes),
        });
        Self { backbone: backbone::BackboneShape::of(config), head, ibot_head }
    }

    /// The head that patch tokens go through.
    pub fn patch_head(&self) -> &head::HeadShape {
        self.ibot_head.as_ref().unwrap_or(&self.head)
    }

    /// The submodules whose gradients are clipped one by one, each a prefix of its parameters' names.
    pub fn submodules(&self) -> &'static [&'static str] {
        match self.ibot_head {
            None => &["backbone", "dino_head"],
            Some(_) => &["backbone", "dino_head", "ibot_head"],
        }
    }

    /// All parameters of a network.
    pub fn declare(&self) -> Vec<Declared> {
        let mut out = Vec::new();
        for module in self.submodules() {
            let parts = match *module {
                "backbone" => self.backbone.declare(),
                "ibot_head" => self.patch_head().declare(),
                _ => self.head.declare(),
            };
            out.extend(parts.into_iter().map(|d| Declared { name: format!("{module}.{}", d.name), ..d }));
        }
        out
    }
}

/// Parameters, and the modules bound to them.
#[derive(Debug)]
pub struct Network {
    /// All parameters, sorted by name.
    pub params: Parameters,
    /// The vision transformer below the heads.
    pub backbone: Backbone,
    dino_head: Head,
    ibot_head: Option<Head>,
}

impl Network {
    /// Binds `params`.
    ///
    /// # Errors
    /// A parameter that the architecture has and `params` has not.
    pub fn new(architecture: &Architecture, params: Parameters) -> Result<Self, DinoError> {
        Ok(Self {
            backbone: Backbone::new(architecture.backbone, &params)?,
            dino_head: Head::new("dino_head", &params)?,
            ibot_head: architecture.ibot_head.map(|_| Head::new("ibot_head", &params)).transpose()?,
            params,
        })
    }

    /// Logits of `features` `[C + M, D]`, divided by `temp`: its first C = `cls` rows through the DINO head, the rest through the iBOT
    /// head. Returns `[C, K]` and `[M, K of the iBOT head]`.
    pub fn logits(&self, features: &Tensor, cls: i64, temp: f64) -> (Tensor, Tensor) {
        self.through_heads(features, cls, |head, x| head.logits(x, temp))
    }

    /// As [`Network::logits`], up to the last layers: `[C, bottleneck]` and `[M, bottleneck]`.
    pub fn bottlenecks(&self, features: &Tensor, cls: i64) -> (Tensor, Tensor) {
        self.through_heads(features, cls, Head::bottleneck)
    }

    /// The last layer of the DINO head, and that of the iBOT head where it has its own: `[K, bottleneck]`.
    pub fn last_layers(&self) -> (Tensor, Option<Tensor>) {
        (self.dino_head.last_layer(), self.ibot_head.as_ref().map(Head::last_layer))
    }

    /// A shared head sees all rows in one pass.
    fn through_heads(&self, rows: &Tensor, cls: i64, pass: impl Fn(&Head, &Tensor) -> Tensor) -> (Tensor, Tensor) {
        let split = |t: &Tensor| (t.narrow(0, 0, cls), t.narrow(0, cls, rows.size()[0] - cls));
        match &self.ibot_head {
            None => split(&pass(&self.dino_head, rows)),
            Some(ibot_head) => {
                let (first, rest) = split(rows);
                (pass(&self.dino_head, &first), pass(ibot_head, &rest))
            }
        }
    }
}
