//! The Parquet patch format, versions 1 and 2 (`docs/adr/0003-shard-format-v1.md`, `docs/adr/0026-splits-that-readers-see.md`).
//!
//! A *shard set* is a store with `shards/CONTENT/NNNNN.parquet` (version 2: `train-NNNNN.parquet`), one `manifest.json` published last, and `splits/NAME.parquet`. Beside it lie
//! [`fingerprints`], by which copies in other sets are found, and records of such searches ([`leaks`]).
//! A shard is an ordinary Parquet file that pyarrow, DuckDB and Hugging Face `datasets` read; its image column holds one
//! row per page, uncompressed, so that [`ShardSet::image_bytes`] is one ranged read of that image and nothing else.
//!
//! Everything is checked where it enters: the manifest's version, each shard's schema and counts when the set is opened,
//! each image's pixel digest when it is decoded. Hostile files give a [`ShardError`], never a panic. Writing is
//! deterministic: the same rows give the same bytes.
//!
//! Rows of a set are numbered from 0 over its shards in manifest order. Nothing here knows about training or tensors.

pub mod atlas;
mod cache;
mod claim;
mod codec;
mod columns;
mod error;
pub mod fingerprints;
mod found;
mod layout;
pub mod leaks;
mod load;
mod manifest;
mod page;
mod row;
mod set;
mod split;
mod split_file;
mod strays;
mod verify;
mod writer;

pub use cache::{CacheReport, ShardCache};
pub use claim::Claim;
pub use codec::{Codec, Encoded, digest_of};
pub use error::ShardError;
pub use found::FoundRows;
pub use imaging::RgbImage;
pub use layout::{CARD_KEY, CLAIM_KEY, EXAMPLES_KEY, planned_shard_key, report_key, shard_folder, split_shard_key};
pub use manifest::{Header, MANIFEST_KEY, Manifest, ManifestBuilder, ShardEntry, SourceEntry, shard_key};
pub use row::{PatchRow, RowMeta};
pub use set::ShardSet;
pub use split::{Split, SplitKind, grouped_kfold, leave_one_source_out};
pub use split_file::split_key;
pub use strays::{Stray, StrayKind, remove_debris, strays};
pub use verify::{Report, SplitReport, VerifyOptions, verify};
pub use writer::{FinishedShard, ShardLimits, ShardSplit, ShardWriter};
