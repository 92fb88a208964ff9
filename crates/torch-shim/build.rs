//! Compiles the shim against the same LibTorch that torch-sys links to.
#![allow(clippy::print_stdout, reason = "a build script speaks to cargo through stdout")]

#[path = "link.rs"]
mod link;

fn main() {
    link::main();
    let lib = link::libtorch();
    let include = lib.parent().expect("the library folder has a parent").join("include");
    println!("cargo:rerun-if-changed=shim/shim.cpp");
    println!("cargo:rerun-if-changed=link.rs");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .file("shim/shim.cpp")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .compile("reddino_torch_shim");
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
}
