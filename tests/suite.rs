//! All system tests, in one program: linking is what takes time.

#![allow(clippy::too_many_lines, reason = "a test tells its story from beginning to end")]

mod architecture;
mod chain;
mod circles;
mod closed_pipe;
mod cloud_store;
mod drill;
mod leaks;
mod nesting;
mod probing;
mod ranks;
mod restarts;
mod runs;
mod s3;
mod s3_builders;
mod s3_store;
mod schemas;
mod slurm;
mod slurm_sweep;
mod stops;
mod two_hundred_steps;
