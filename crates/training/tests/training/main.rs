//! Whole runs in this process: one rank, a shard set and a run in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod online_probe;
mod published;
mod runs;
mod sharded;
