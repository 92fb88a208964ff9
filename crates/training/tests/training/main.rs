//! Whole runs in this process: one rank, a shard set and a run in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod crossings;
#[allow(dead_code, reason = "the tests of the collectives use the rest")]
#[path = "../../../collective/tests/collective/nccl_double/mod.rs"]
mod nccl_double;
mod online_probe;
mod published;
mod runs;
mod sharded;
