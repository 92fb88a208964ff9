//! Turns blood-smear datasets into Parquet shards.

mod cut;
mod intake;
mod output;
mod plan;
mod report;
mod source;
mod survey;

fn main() {}
