//! Ranks as processes with a CUDA device each, over NCCL. The library is opened at run time; see [`Library`].

mod library;
mod sys;

pub use library::{Library, NcclError, OVERRIDE, Version, version};
pub use sys::UniqueId;
