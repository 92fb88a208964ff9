//! Puts the commit into the program: shard sets and reports name the code that made them.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn main() {
    let commit = match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(commit) => {
            let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|list| !list.is_empty());
            if changed { format!("{commit}-dirty") } else { commit }
        }
        None => "unknown".to_owned(),
    };
    println!("cargo::rustc-env=REDDINO_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        // The log of HEAD grows with each commit and each checkout.
        println!("cargo::rerun-if-changed={log}");
    }
}
