//! The crate from outside: beside scikit-learn, umap-learn and zadu, on any number of threads, and at its limits.

#![allow(clippy::unwrap_used, reason = "a test panics where its golden file is not what it should be")]

mod golden;
mod limits;
mod threads;
