// Link arguments of every package that makes an executable on LibTorch. Included by build scripts; the package must
// depend on torch-sys directly, since cargo hands its metadata to direct dependents only.

/// Sets the run path, and keeps the CUDA library where the layout has it: nothing of Rust's refers to it, so the
/// linker would drop it and LibTorch would find no CUDA.
pub fn emit() {
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        println!("cargo:warning=torch-sys gave no library folder: is it a direct dependency?");
        return;
    };
    let lib = std::path::PathBuf::from(lib);
    let lib = lib.canonicalize().unwrap_or(lib);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-search=native={}", lib.display());
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
