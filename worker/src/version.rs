//! The code version: crate version and commit at build time, `-dirty` appended where tracked files were changed.

/// For example `0.1.0+0123456789ab` or `0.1.0+0123456789ab-dirty`.
pub(crate) const CODE: &str = env!("REDDINO_VERSION");
