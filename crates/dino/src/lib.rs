//! The method: self-distillation with masked patches (DINOv2, arXiv:2304.07193), as RedDino (arXiv:2508.08180) trains it.
//!
//! [`State`] is all that training carries; [`State::step`] learns from one [`CropBatch`] through a `&dyn Collective`;
//! [`State::queue`] and [`State::read`] are its two halves, between which the next step can be queued.
//! [`Encoder`] is a frozen backbone for probes. There is no network, no file (but [`stepfile`]) and no thread here.
//!
//! Rules: names are sorted wherever order matters; randomness comes from keyed streams; the loss is the same function on
//! any number of ranks, because what the reference does per rank is done per loss group (`docs/adr/0004-loss-groups.md`).

pub mod backbone;
mod batch;
pub mod centering;
pub mod collapse;
mod cost;
pub mod ema;
mod error;
pub mod export;
mod features;
pub mod head;
mod incoming;
pub mod init;
pub mod koleo;
pub mod losses;
pub mod masks;
mod moments;
mod network;
pub mod optim;
mod outgoing;
pub mod params;
mod parcel;
pub mod projection;
mod queued;
mod report;
mod resnet;
mod share;
pub mod sigreg;
mod state;
mod step;
pub mod stepfile;
mod student;
mod targets;
pub mod tensor_bytes;
pub mod weights;
pub mod wide;

pub use backbone::Backbone;
pub use batch::CropBatch;
pub use cost::Cost;
pub use error::{DinoError, NonFinite, Quantity};
pub use features::{Encoder, Token, features};
pub use incoming::Incoming;
pub use masks::MaskPlan;
pub use network::{Architecture, Network};
pub use queued::{QueuedStep, ReadStep};
pub use report::{Losses, StepReport};
pub use resnet::ResNet50;
pub use share::RankShare;
pub use state::{Settings, State};
