//! From YAML and deltas to a configuration, with messages that name file, key and remedy.

use serde::Serialize;
use serde_json::Value;

use super::{ConfigError, TrainConfig};
use crate::layer::{layer, nearest, parse_yaml, put, set_key};

impl TrainConfig {
    /// Reads YAML `text` over the defaults, then `sets` (`a.b=value`) over both, and checks the whole.
    ///
    /// Returns the configuration and its resolved form, which is what is logged, stored and digested.
    ///
    /// # Errors
    /// [`ConfigError`], naming `what` (the file), the key and the remedy.
    pub fn from_yaml(text: &str, what: &str, sets: &[String]) -> Result<(Self, Value), ConfigError> {
        let mut merged = layer(&Self::default().to_value(), parse_yaml(text, what)?, what)?;
        for set in sets {
            let mut user = Value::Null;
            set_key(&mut user, set)?;
            merged = layer(&merged, user, &format!("--set {set}"))?;
        }
        Self::from_value(merged, what)
    }

    /// Lays a mapping of deltas (nested sections or dotted keys) over this configuration.
    ///
    /// # Errors
    /// As [`TrainConfig::from_yaml`].
    pub fn with_deltas(&self, deltas: &Value, what: &str) -> Result<(Self, Value), ConfigError> {
        let mut user = Value::Null;
        for (key, value) in deltas.as_object().into_iter().flatten() {
            put(&mut user, key, value.clone()).map_err(|message| ConfigError::BadValue {
                what: what.to_owned(),
                key: key.clone(),
                message,
            })?;
        }
        Self::from_value(layer(&self.to_value(), user, what)?, what)
    }

    fn from_value(value: Value, what: &str) -> Result<(Self, Value), ConfigError> {
        let mut config = Self::default();
        read(&mut config.seed, &value, what, "seed")?;
        read(&mut config.device, &value, what, "device")?;
        read(&mut config.collective, &value, what, "collective")?;
        read(&mut config.channel_order, &value, what, "channel_order")?;
        config.model = read_section(&value, what, "model")?;
        config.head = read_section(&value, what, "head")?;
        config.loss = read_section(&value, what, "loss")?;
        config.optim = read_section(&value, what, "optim")?;
        config.teacher = read_section(&value, what, "teacher")?;
        config.masks = read_section(&value, what, "masks")?;
        config.data = read_section(&value, what, "data")?;
        config.crops = read_section(&value, what, "crops")?;
        config.augmentation = read_section(&value, what, "augmentation")?;
        config.train = read_section(&value, what, "train")?;
        config.checkpoint = read_section(&value, what, "checkpoint")?;
        config.log = read_section(&value, what, "log")?;
        config.init = read_section(&value, what, "init")?;
        config.validate(what)?;
        let resolved = config.to_value();
        Ok((config, resolved))
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

fn read<T: serde::de::DeserializeOwned>(slot: &mut T, value: &Value, what: &str, key: &str) -> Result<(), ConfigError> {
    *slot = T::deserialize(&value[key]).map_err(|error| bad_value(what, key, &value[key], &error))?;
    Ok(())
}

/// Reads a section key by key, so that the message names the key and not only the section.
fn read_section<T>(value: &Value, what: &str, section: &str) -> Result<T, ConfigError>
where
    T: serde::de::DeserializeOwned + Serialize + Default,
{
    let defaults = serde_json::to_value(T::default()).unwrap_or(Value::Null);
    for (key, given) in value[section].as_object().into_iter().flatten() {
        let mut one = defaults.clone();
        one[key] = given.clone();
        T::deserialize(&one).map_err(|error| bad_value(what, &format!("{section}.{key}"), given, &error))?;
    }
    T::deserialize(&value[section]).map_err(|error| bad_value(what, section, &value[section], &error))
}

fn bad_value(what: &str, key: &str, given: &Value, error: &serde_json::Error) -> ConfigError {
    let message = error.to_string();
    // serde lists the known words between backticks; the nearest is named when one is meant.
    let words: Vec<&str> =
        message.split("expected").skip(1).flat_map(|tail| tail.split('`').skip(1).step_by(2)).collect();
    let hint = given.as_str().and_then(|word| nearest(word, words)).map(|word| format!("; did you mean `{word}`?"));
    ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message: message + &hint.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Centering;

    fn refused(yaml: &str) -> String {
        TrainConfig::from_yaml(yaml, "a.yaml", &[]).unwrap_err().to_string()
    }

    #[test]
    fn every_published_configuration_reads() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/train");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let read = TrainConfig::from_yaml(&text, &file.display().to_string(), &[]);
            assert!(read.is_ok(), "{}", read.unwrap_err());
        }
    }

    #[test]
    fn the_defaults_are_valid_and_round_trip() {
        let (config, resolved) = TrainConfig::from_yaml("", "a.yaml", &[]).unwrap();
        assert_eq!(config, TrainConfig::default());
        assert_eq!(serde_json::from_value::<TrainConfig>(resolved).unwrap(), config);
    }

    #[test]
    fn file_then_sets() {
        let (config, _) = TrainConfig::from_yaml(
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
        assert_eq!(refused("los: {}"), "a.yaml: unknown key `los`; did you mean `loss`?");
        assert!(
            refused("loss: {centering: sinkhorn}").contains("`loss.centering`"),
            "{}",
            refused("loss: {centering: sinkhorn}")
        );
        assert!(refused("loss: {centering: sinkhorn}").contains("did you mean `sinkhorn_knopp`?"));
        assert!(refused("model: {heads: 7}").contains("`model.heads`: 7 heads do not divide"));
        assert!(refused("crops: {local_size: 100}").contains("multiple of model.patch 14"));
        assert!(refused("optim: {lr: fast}").contains("`optim.lr`"));
        assert!(refused("train: {step_deadline_s: 0}").contains("`train.step_deadline_s`: 0 is no time to wait"));
    }

    #[test]
    fn deltas_may_be_dotted_or_nested() {
        let base = TrainConfig::default();
        let (a, _) = base.with_deltas(&serde_json::json!({"loss.koleo_weight": 0.1}), "arm").unwrap();
        let (b, _) = base.with_deltas(&serde_json::json!({"loss": {"koleo_weight": 0.1}}), "arm").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.loss.koleo_weight, 0.1);
    }
}
