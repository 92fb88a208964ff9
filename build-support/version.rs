// The code version a program reports and writes into what it makes: crate version + commit, `-dirty` where tracked files
// were changed, `unknown` outside a checkout. Included by build scripts; it sets the variable REDDINO_VERSION.

use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Sets `REDDINO_VERSION` for `env!`, and asks cargo to look again when the checkout changes.
pub(crate) fn emit() {
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = match git(&["rev-parse", "--short=12", "HEAD"]) {
        None => "unknown".to_owned(),
        Some(commit) => {
            let changed =
                git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|status| !status.is_empty());
            if changed { format!("{commit}-dirty") } else { commit }
        }
    };
    println!("cargo:rustc-env=REDDINO_VERSION={version}+{commit}");
    if let Some(folder) = git(&["rev-parse", "--absolute-git-dir"]) {
        for file in ["HEAD", "index", "refs/heads", "packed-refs"] {
            let path = format!("{folder}/{file}");
            if std::path::Path::new(&path).exists() {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    }
    for folder in ["build.rs", "src", "../crates", "../build-support"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
