//! Why a step, a load or a file was refused.

use collective::CollectiveError;
use run_spec::layer::ConfigError;
use run_spec::plan::Place;
use std::fmt;
use std::path::PathBuf;
use torch_shim::ShimError;

/// The first number of a step that was NaN or infinite. As text: `loss.ibot`, `norm.backbone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonFinite {
    /// What kind of number it is.
    pub quantity: Quantity,
    /// Name of the loss term (`dino_global`, `ibot`, …) or of the submodule (`backbone`, …).
    pub name: &'static str,
}

/// What a step computes and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// A term of the loss of one step, in nats.
    Loss,
    /// The L2 norm of one submodule's gradient before clipping.
    GradientNorm,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = match self.quantity {
            Quantity::Loss => "loss",
            Quantity::GradientNorm => "norm",
        };
        write!(f, "{quantity}.{}", self.name)
    }
}

/// Errors of the method. None of them leaves a state half changed, but for a peer that is lost while ranks that share moments exchange
/// weights: such a state refuses to go on ([`DinoError::Torn`]).
#[derive(Debug, thiserror::Error)]
pub enum DinoError {
    /// A loss term or a gradient norm is NaN or infinite. Nothing was changed: the same step may be tried on other data.
    #[error("{0} is NaN or infinite; the step was skipped and the state is unchanged")]
    NonFinite(NonFinite),
    /// The step was queued behind one that was not finite. Nothing was changed: queue it again.
    #[error("a step before this one was not finite; this one was skipped with it and the state is unchanged")]
    Behind,
    /// A batch whose tensors do not fit each other or the model.
    #[error("the batch's {what} has shape {found:?}, but {expected}")]
    Batch {
        /// The tensor that does not fit.
        what: &'static str,
        /// The shape that it has.
        found: Vec<i64>,
        /// What would fit, in words.
        expected: String,
    },
    /// More ranks than images in a step.
    #[error("a step of {total} images cannot be shared by {world} ranks; raise train.batch_size or start fewer ranks")]
    Ranks {
        /// Images of the global batch.
        total: u64,
        /// Number of ranks in the world.
        world: usize,
    },
    /// Ranks that hold different states.
    #[error(
        "after {step} steps the ranks no longer hold the same weights; a device or a library is at fault: \
         run `worker doctor` on each node, then start the run again from its last checkpoint"
    )]
    Apart {
        /// Optimiser steps that the state had taken.
        step: u64,
    },
    /// Loss groups that are no equal parts of the global batch.
    #[error("train.loss_groups {groups} does not divide a global batch of {total} images")]
    Groups {
        /// Loss groups of the global batch.
        groups: u64,
        /// Images of the global batch.
        total: u64,
    },
    /// Parts of gradient accumulation that cut a loss group in which KoLeo or SIGReg acts.
    #[error(
        "train.gradient_accumulation {parts} cuts a rank's {images} images within a loss group of {group}, whose features \
         KoLeo and SIGReg need all at once: raise train.loss_groups so that each part is whole groups, or set loss.koleo_weight and loss.sigreg_weight to 0"
    )]
    Accumulation {
        /// Parts that the configuration asks for.
        parts: u64,
        /// Images of the rank.
        images: i64,
        /// Images of a loss group.
        group: i64,
    },
    /// A step among other ranks than those that share the moments.
    #[error(
        "train.zero1: the moments of AdamW are shared out for rank {} of {}, and this step needs those of rank {} of {}; make the state \
         for the ranks that take the step (State::of_rank), or set train.zero1 to false",
        .made.rank, .made.world, .needed.rank, .needed.world
    )]
    Shares {
        /// Whose share the state was made with.
        made: Place,
        /// Whose share the step needs.
        needed: Place,
    },
    /// An earlier step ended while ranks that share moments exchanged weights.
    #[error(
        "train.zero1: a step ended while the ranks exchanged their weights, so that some are older than others; start the run again from \
         its last checkpoint"
    )]
    Torn,
    /// Tensors that are not the ones the model has.
    #[error("{what} does not fit this model: {}", differences(.missing, .unexpected, .misshapen))]
    Tensors {
        /// Where they came from.
        what: String,
        /// Names the model has and the file has not.
        missing: Vec<String>,
        /// Names the file has and the model has not.
        unexpected: Vec<String>,
        /// Names with both shapes, in words.
        misshapen: Vec<String>,
    },
    /// A setting whose value this code does not compute.
    #[error("{0}")]
    Unsupported(String),
    /// Settings that do not read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that cannot be read or written.
    #[error("cannot {action} {}: {message}", .path.display())]
    File {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file that it was tried on.
        path: PathBuf,
        /// What the operating system or the parser said.
        message: String,
    },
    /// Bytes that are no tensors.
    #[error(transparent)]
    Bytes(#[from] crate::tensor_bytes::BytesError),
    /// The other ranks are gone.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// LibTorch refused a call of the shim.
    #[error(transparent)]
    Shim(#[from] ShimError),
}

/// At most five names of each kind: a wrong model differs in hundreds.
fn differences(missing: &[String], unexpected: &[String], misshapen: &[String]) -> String {
    let part = |label: &str, names: &[String]| {
        let more = match names.len().saturating_sub(5) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first = names.iter().take(5).map(String::as_str);
        let first = first.collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("{label} {first}{more}"))
    };
    [part("missing", missing), part("unexpected", unexpected), part("of another shape", misshapen)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}
