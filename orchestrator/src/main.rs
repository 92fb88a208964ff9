//! Schedules ablation sweeps and writes result tables.
fn main() {}
