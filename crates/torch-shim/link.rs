//! The build script of every package that makes an executable with LibTorch in it (`build = "../torch-shim/link.rs"`).
//! It writes the library folder into the executable, and holds on to libtorch_cuda where there is one: nothing in Rust
//! refers to it, and rustc links with --as-needed, so it would be dropped silently.
#![allow(clippy::print_stdout, reason = "a build script speaks to cargo through stdout")]

use std::{env, path::PathBuf};

/// The folder of LibTorch's shared libraries, as torch-sys found it.
pub(crate) fn libtorch() -> PathBuf {
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("the package must depend on torch-sys directly");
    PathBuf::from(lib).canonicalize().expect("the folder of LibTorch exists: run `make setup`")
}

/// Prints the linker's arguments.
pub(crate) fn main() {
    let lib = libtorch();
    let cuda = lib.join("libtorch_cuda.so");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed={}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if cuda.exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}
