//! The code version: shard sets and reports name the code that made them.

#[path = "../build-support/version.rs"]
mod version;

fn main() {
    version::emit();
}
