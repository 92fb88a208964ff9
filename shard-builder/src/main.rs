//! Turns blood-smear datasets into Parquet shards.
fn main() {}
