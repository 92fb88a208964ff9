//! Which worker runs the trials, and whether what it made may be used again.
//!
//! The version is asked of the worker itself (`worker version --json`). A clean version names the code, so its results
//! hold for every sweep. A dirty or unknown one names nothing: its results belong to one run of one sweep, made by one
//! binary. Such a run continues after a kill as long as plan and binary are the same; once it has ended, the next starts afresh.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};

/// The version of the code that runs the trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// Crate version and commit, as the worker says it.
    pub(crate) version: String,
    /// Digest of the worker's binary; only where the version is dirty or unknown.
    pub(crate) binary: Option<Digest>,
}

#[derive(Deserialize)]
struct Answer {
    version: String,
}

impl Code {
    /// Asks the worker at `path`.
    pub(crate) fn ask(worker: &Path) -> Result<Self> {
        let output = Command::new(worker).args(["version", "--json"]).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("run {} version --json", worker.display()))?;
        ensure!(
            output.status.success(),
            "{} version --json failed ({}): {}",
            worker.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} version --json did not answer {{\"version\": …}}", worker.display()))?;
        if reusable(&answer.version) {
            return Ok(Self { version: answer.version, binary: None });
        }
        let bytes = std::fs::read(worker).with_context(|| format!("cannot read {}", worker.display()))?;
        Ok(Self { version: answer.version, binary: Some(Digest::of(&bytes)) })
    }

    /// Whether results of this code hold beyond one run of one sweep.
    pub(crate) fn reusable(&self) -> bool {
        self.binary.is_none()
    }

    /// What goes into a trial's digest. `run` is the run of sweep `name`, and counts only where results are not reusable.
    pub(crate) fn label(&self, name: &str, run: u32) -> String {
        match &self.binary {
            None => self.version.clone(),
            Some(binary) => format!("{} binary {binary} sweep {name} run {run}", self.version),
        }
    }
}

/// A version names code when it is neither dirty nor unknown and carries a commit.
fn reusable(version: &str) -> bool {
    !version.contains("dirty") && !version.contains("unknown") && version.contains('+')
}

/// The worker to use: the one asked for, else the one beside this program, else the first on `PATH`.
pub(crate) fn find_worker(asked: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = asked {
        ensure!(path.is_file(), "--worker {}: no such file", path.display());
        return std::path::absolute(path).with_context(|| format!("--worker {}", path.display()));
    }
    let own = std::env::current_exe().context("find the path of this program")?;
    let beside = own.parent().map(|folder| folder.join("worker"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = beside.into_iter().chain(std::env::split_paths(&on_path).map(|folder| folder.join("worker")));
    match candidates.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "there is no `worker` in the folder of {} or on PATH: build it with `cargo build -p worker`, or name it with --worker",
            own.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_commit_is_reusable() {
        assert!(reusable("0.1.0+1a2b3c4"));
        for version in ["0.1.0+1a2b3c4-dirty", "0.1.0+unknown", "0.1.0"] {
            assert!(!reusable(version), "{version}");
        }
    }

    #[test]
    fn a_dirty_label_differs_by_binary_sweep_and_run() {
        let clean = Code { version: "0.1.0+a".into(), binary: None };
        assert_eq!(clean.label("s", 1), clean.label("t", 2));
        let dirty = |bytes: &[u8]| Code { version: "0.1.0+a-dirty".into(), binary: Some(Digest::of(bytes)) };
        let base = dirty(b"x").label("s", 1);
        for other in [dirty(b"y").label("s", 1), dirty(b"x").label("t", 1), dirty(b"x").label("s", 2)] {
            assert_ne!(base, other);
        }
    }
}
