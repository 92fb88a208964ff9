//! Link arguments for LibTorch and the code version.

#[path = "../build-support/libtorch.rs"]
mod libtorch;
#[path = "../build-support/version.rs"]
mod version;

fn main() {
    libtorch::emit();
    version::emit();
}
