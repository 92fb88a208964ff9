//! Link arguments for LibTorch and the code version.

#[path = "../crates/torch-shim/link.rs"]
mod link;
#[path = "../build-support/version.rs"]
mod version;

fn main() {
    link::main();
    version::emit();
}
