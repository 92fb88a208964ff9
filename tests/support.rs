//! What system tests share: where the programs and the real images are, and how a test says that it was skipped.

pub mod azure_server;
pub mod fault_proxy;
pub mod gcs_double;
mod http;
pub mod own_process;
pub mod s3_server;
pub mod slurm_cluster;
pub mod tiny_run;
mod watched;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Path of a program of this workspace, beside the test's own executable.
///
/// # Panics
/// If it was not built: `cargo test --workspace` builds it, a test run alone may not.
pub fn program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own executable");
    let path = exe.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace --bins` first", path.display());
    path
}

/// Folder of real images, if it is there.
///
/// Where it is not, the test says `SKIPPED` and returns, unless `REDDINO_REQUIRE` names `shared-data`.
///
/// # Panics
/// If real images are required and missing.
pub fn shared_data(test: &str) -> Option<PathBuf> {
    let base = std::env::var_os("REDDINO_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let data = base.join("data");
    if data.is_dir() {
        return Some(data);
    }
    skipped(test, "shared-data", &format!("real images, and {} is not there", data.display()));
    None
}

/// Says that `test` is skipped since it needs `needs`.
///
/// # Panics
/// `REDDINO_REQUIRE` names `what`.
pub fn skipped(test: &str, what: &str, needs: &str) {
    let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
    let named = required.split(',').any(|name| name.trim() == what);
    assert!(!named, "{test} needs {needs}, and REDDINO_REQUIRE names {what}");
    #[allow(clippy::print_stderr, reason = "a skipped test must be seen and counted")]
    {
        eprintln!("SKIPPED: {test} needs {needs}");
    }
}

/// Runs a program to its end.
///
/// # Panics
/// If it fails, with what it printed.
pub fn run(program_name: &str, args: &[&str]) -> Output {
    let output = Command::new(program(program_name)).args(args).output().expect("the program starts");
    assert!(
        output.status.success(),
        "{program_name} {args:?} ended with {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
