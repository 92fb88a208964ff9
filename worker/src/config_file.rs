//! The training configuration that a command line names.

use std::path::Path;

use anyhow::Result;
use run_spec::config::ResolvedConfig;

/// Reads a configuration file with `--set` changes.
pub(crate) fn read(path: &Path, sets: &[String]) -> Result<ResolvedConfig> {
    Ok(ResolvedConfig::from_yaml(&bytes(path)?, &path.display().to_string(), sets)?)
}

/// Reads the configuration of a model that is not trained, which may fit no training.
pub(crate) fn read_untrained(path: &Path, sets: &[String]) -> Result<ResolvedConfig> {
    Ok(ResolvedConfig::untrained(&bytes(path)?, &path.display().to_string(), sets)?)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    Ok(terminal::read_file("train config", path)?)
}
