//! One process per GPU: train, step, probe, embed, export, augment, plan, bench.
fn main() {}
