//! What the programs must agree on: ids, configuration, schedules, the plan of the data walk, keyed random streams.
//!
//! Everything here is pure: no tensors, no clock, no files, no network. A value computed here is the same on every
//! rank, thread, platform and version of the toolchain, because shards, checkpoints and result tables are named by it.
//!
//! * [`ids`]: digests, patch ids, canonical JSON, trial digests.
//! * [`seed`]: random streams keyed by what they are for, never by who asks.
//! * [`yaml`]: the text of a person, with the line of each key and mistakes in plain words.
//! * [`layer`]: YAML over defaults; an unknown key is refused and the nearest known one named.
//! * [`typed`]: a value as a type; an error names the key, what was found and what is expected.
//! * [`config`]: the training configuration.
//! * [`schedule`]: learning rate, weight decay, momentum and teacher temperature of an iteration.
//! * [`plan`]: which rows form the global batch of a step, and which of them a rank takes.

pub mod config;
pub mod ids;
pub mod layer;
pub mod plan;
pub mod schedule;
pub mod seed;
pub mod typed;
pub mod yaml;
