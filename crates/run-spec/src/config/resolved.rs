//! A resolved configuration: with its types for the programs, as JSON for records and digests.

use std::ops::Deref;

use serde_json::Value;

use super::read::{Check, blamed, checked_by};
use super::{ConfigError, Delta, RecordedConfig, TrainConfig};
use crate::ids::Digest;
use crate::layer::layer_over;
use crate::yaml::{FileKind, Yaml};

/// A configuration in which every key has its value: what the program computes with, and what is logged, stored and
/// digested. It reads like the [`TrainConfig`] that it holds.
///
/// ```
/// use run_spec::config::ResolvedConfig;
///
/// let sets = ["optim.lr=1e-3".to_owned()];
/// let config = ResolvedConfig::from_yaml("seed: 4", "tiny.yaml", &sets)?;
/// assert_eq!((config.seed, config.optim.lr), (4, Some(1e-3)));
/// assert_eq!(config.record().value()["optim"]["lr"], 1e-3);
/// # Ok::<(), run_spec::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedConfig {
    config: TrainConfig,
    record: RecordedConfig,
}

impl ResolvedConfig {
    /// Reads YAML `text` (or the bytes of a file) over the defaults, then `sets` (`a.b=value`) over both, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`], naming `what` (the file), the line, the key and the remedy.
    pub fn from_yaml(text: &(impl AsRef<[u8]> + ?Sized), what: &str, sets: &[String]) -> Result<Self, ConfigError> {
        Self::read(text.as_ref(), what, sets, TrainConfig::validate)
    }

    /// The same for a model that is not trained, whose file may say nothing of its training: what training alone needs is not
    /// checked.
    ///
    /// # Errors
    /// As [`ResolvedConfig::from_yaml`].
    pub fn untrained(text: &(impl AsRef<[u8]> + ?Sized), what: &str, sets: &[String]) -> Result<Self, ConfigError> {
        Self::read(text.as_ref(), what, sets, TrainConfig::validate_untrained)
    }

    fn read(text: &[u8], what: &str, sets: &[String], check: Check) -> Result<Self, ConfigError> {
        // The file first: its mistakes are older than those of the command line.
        let yaml = Yaml::read(text, what)?;
        let deltas = sets.iter().map(|set| Delta::set(set)).collect::<Result<Vec<_>, _>>()?;
        Self::layered(yaml, &deltas, check)
    }

    /// Lays a file over the defaults, then `deltas` in their order, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the line, or the delta, that gave the key.
    pub fn from_layers(file: Yaml, deltas: &[Delta]) -> Result<Self, ConfigError> {
        Self::layered(file, deltas, TrainConfig::validate)
    }

    fn layered(file: Yaml, deltas: &[Delta], check: Check) -> Result<Self, ConfigError> {
        let schema = TrainConfig::default().to_value();
        let Yaml { value, places } = file;
        FileKind::Training.check(&value).map_err(|error| error.at(&places))?;
        let mut merged = layer_over(&schema, schema.clone(), value, "").map_err(|error| error.at(&places))?;
        for delta in deltas {
            merged = layer_over(&schema, merged, delta.alone()?, &delta.what)?;
        }
        checked_by(&merged, check).map(Self::from).map_err(|error| blamed(error, &places, deltas))
    }

    /// `config` as it was read from `record`, which stays as it was written.
    pub(super) fn recorded(config: TrainConfig, record: RecordedConfig) -> Self {
        Self { config, record }
    }

    /// The configuration as records hold it.
    pub fn record(&self) -> &RecordedConfig {
        &self.record
    }

    /// The digest by which result rows and checkpoints name the configuration.
    pub fn digest(&self) -> Digest {
        self.record.digest()
    }

    /// The configuration alone, to be changed.
    pub fn into_config(self) -> TrainConfig {
        self.config
    }
}

impl Deref for ResolvedConfig {
    type Target = TrainConfig;

    fn deref(&self) -> &TrainConfig {
        &self.config
    }
}

impl From<TrainConfig> for ResolvedConfig {
    fn from(config: TrainConfig) -> Self {
        let record = RecordedConfig::from(config.to_value());
        Self { config, record }
    }
}

impl From<&ResolvedConfig> for RecordedConfig {
    fn from(config: &ResolvedConfig) -> Self {
        config.record.clone()
    }
}

impl From<ResolvedConfig> for Value {
    fn from(config: ResolvedConfig) -> Self {
        config.record.value().clone()
    }
}
