//! The training configuration that a command line names.

use std::path::Path;

use anyhow::{Context, Result};
use run_spec::config::ResolvedConfig;

/// Reads a configuration file with `--set` changes.
pub(crate) fn read(path: &Path, sets: &[String]) -> Result<ResolvedConfig> {
    let bytes = std::fs::read(path).with_context(|| format!("read the train config {}", path.display()))?;
    Ok(ResolvedConfig::from_yaml(&bytes, &path.display().to_string(), sets)?)
}
