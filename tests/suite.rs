//! All system tests, in one program: linking is what takes time.

mod architecture;
mod chain;
mod circles;
mod closed_pipe;
mod cloud_store;
mod ranks;
mod runs;
mod s3;
mod s3_builders;
mod s3_store;
mod schemas;
mod slurm;
mod slurm_sweep;
mod stops;
mod two_hundred_steps;
