//! From YAML and deltas to a configuration, with messages that name file, key and remedy.

use serde_json::Value;

use super::{ConfigError, Delta, TrainConfig};
use crate::layer::{layer_over, put};
use crate::typed;
use crate::yaml::Places;

impl TrainConfig {
    /// Lays a mapping of deltas (nested sections or dotted keys) over this configuration.
    ///
    /// # Errors
    /// As [`ResolvedConfig::from_yaml`](super::ResolvedConfig::from_yaml).
    pub fn with_deltas(&self, deltas: &Value, what: &str) -> Result<Self, ConfigError> {
        let mut user = Value::Null;
        for (key, value) in deltas.as_object().into_iter().flatten() {
            put(&mut user, key, value.clone()).map_err(|message| ConfigError::BadValue {
                what: what.to_owned(),
                key: key.clone(),
                message,
            })?;
        }
        let merged = layer_over(&Self::default().to_value(), self.to_value(), user, what)?;
        checked(&merged).map_err(|error| error.of(what))
    }

    /// The configuration as JSON, every key present.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        (self.optim.epochs * self.optim.epoch_length as f64) as u64 + u64::from(self.train.extra_step)
    }

    /// Patches along one side of a global crop.
    pub fn grid(&self) -> i64 {
        self.crops.global_size / self.model.patch
    }

    /// Seed of the initial weights.
    pub fn init_seed(&self) -> u64 {
        self.init.seed.unwrap_or(self.seed)
    }
}

/// The configuration that `merged` says; errors name no file.
pub(super) fn checked(merged: &Value) -> Result<TrainConfig, ConfigError> {
    checked_by(merged, TrainConfig::validate)
}

/// The same, checked by `check`.
pub(super) fn checked_by(merged: &Value, check: Check) -> Result<TrainConfig, ConfigError> {
    let config: TrainConfig = typed::read(merged, "")?;
    check(&config, "")?;
    Ok(config)
}

/// Which of the values must fit each other; its second argument names the file in errors.
pub(super) type Check = fn(&TrainConfig, &str) -> Result<(), ConfigError>;

/// Names whoever gave the key last: a delta, else a line of the file.
pub(super) fn blamed(error: ConfigError, places: &Places, deltas: &[Delta]) -> ConfigError {
    match deltas.iter().rev().find(|delta| delta.concerns(error.key())) {
        Some(delta) => error.of(&delta.what),
        None => error.at(places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Centering, ResolvedConfig};
    use crate::yaml::Yaml;

    fn refused(yaml: &str) -> String {
        ResolvedConfig::from_yaml(yaml, "a.yaml", &[]).unwrap_err().to_string()
    }

    #[test]
    fn every_published_configuration_reads() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/train");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let read = ResolvedConfig::from_yaml(&text, &file.display().to_string(), &[]);
            assert!(read.is_ok(), "{}", read.unwrap_err());
        }
    }

    #[test]
    fn the_defaults_are_valid_and_round_trip() {
        let resolved = ResolvedConfig::from_yaml("", "a.yaml", &[]).unwrap();
        assert_eq!(*resolved, TrainConfig::default());
        assert_eq!(resolved.record().resolve("again").unwrap(), resolved);
    }

    #[test]
    fn file_then_sets() {
        let config = ResolvedConfig::from_yaml(
            "loss: {n_local: 8}\nseed: 4",
            "a.yaml",
            &["loss.n_local=0".into(), "loss.centering=centering".into(), "optim.lr=1e-3".into()],
        )
        .unwrap();
        assert_eq!((config.loss.n_local, config.seed, config.optim.lr), (0, 4, Some(1e-3)));
        assert_eq!(config.loss.centering, Centering::MovingAverage);
    }

    #[test]
    fn messages_name_file_key_and_remedy() {
        assert_eq!(refused("seed: 1\nlos: {}"), "a.yaml line 2: unknown key `los`; did you mean `loss`?");
        assert_eq!(
            refused("loss: {centering: sinkhorn}"),
            "a.yaml line 1: `loss.centering`: one of sinkhorn_knopp, centering, none is expected, not the text \"sinkhorn\"; did you mean `sinkhorn_knopp`?"
        );
        assert!(refused("model: {heads: 7}").contains("`model.heads`: 7 heads do not divide"));
        assert!(refused("crops: {local_size: 100}").contains("multiple of model.patch 14"));
        assert!(
            refused("loss:\n  koleo_weight: -5").starts_with("a.yaml line 2: `loss.koleo_weight`: a number from 0 is")
        );
    }

    #[test]
    fn a_model_that_is_not_trained_needs_no_local_crops_that_fit() {
        // What a sweep writes for its random baseline: the model and the size of a view, defaults for the rest.
        let sizes = "model: {patch: 16}\ncrops: {global_size: 224}\n";
        assert!(refused(sizes).contains("`crops.local_size`: 98 is not a multiple of model.patch 16"));
        let read = |yaml: &str| ResolvedConfig::untrained(yaml, "a.yaml", &[]);
        assert_eq!(read(sizes).unwrap().model.patch, 16);
        let error = read("model: {patch: 16}\ncrops: {global_size: 98}").unwrap_err().to_string();
        assert_eq!(error, "a.yaml line 2: `crops.global_size`: 98 is not a multiple of model.patch 16: choose one");
    }

    #[test]
    fn whoever_gave_the_value_is_named() {
        let sets = ["loss.koleo_weight=-5".to_owned()];
        let error = ResolvedConfig::from_yaml("loss: {koleo_weight: 0.1}", "a.yaml", &sets).unwrap_err().to_string();
        assert_eq!(error, "--set loss.koleo_weight=-5: `loss.koleo_weight`: a number from 0 is expected, not -5");
        let line =
            Delta { what: "s.yaml line 9".to_owned(), key: "model".to_owned(), value: serde_json::json!({"dim": 0}) };
        let error = ResolvedConfig::from_layers(Yaml::parse("", "a.yaml").unwrap(), &[line]).unwrap_err().to_string();
        assert_eq!(error, "s.yaml line 9: `model.dim`: a number from 1 to 1048576 is expected, not 0");
    }

    #[test]
    fn weights_of_sources_are_joined_over_layers() {
        let sets = ["data.source_weights.a=1", "data.source_weights.b=2"].map(str::to_owned);
        let text = "data: {sampling: weights, source_weights: {b: 5, c: 3}}";
        let config = ResolvedConfig::from_yaml(text, "a.yaml", &sets).unwrap();
        let weights: Vec<_> = config.into_config().data.source_weights.into_iter().collect();
        assert_eq!(weights, [("a".to_owned(), 1.0), ("b".to_owned(), 2.0), ("c".to_owned(), 3.0)]);
    }

    #[test]
    fn deltas_may_be_dotted_or_nested() {
        let base = TrainConfig::default();
        let a = base.with_deltas(&serde_json::json!({"loss.koleo_weight": 0.1}), "arm").unwrap();
        let b = base.with_deltas(&serde_json::json!({"loss": {"koleo_weight": 0.1}}), "arm").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.loss.koleo_weight, 0.1);
    }
}
