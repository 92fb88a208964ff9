//! The code version: reports and repairs name the code that made them.

#[path = "../build-support/version.rs"]
mod version;

fn main() {
    version::emit();
}
