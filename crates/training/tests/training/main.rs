//! Whole runs in this process: one rank, a shard set and a run in memory.

mod common;
mod published;
mod runs;
