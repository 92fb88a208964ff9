//! The settings of a case: the documented defaults, with the user's values over them.

use crate::DinoError;
use run_spec::{
    config::{Precision, TrainConfig},
    layer::{ConfigError, layer},
};
use serde_json::{Value, json};

/// The defaults of `docs/step-files.md`, word for word. They are also the schema: another key is refused.
const DEFAULTS: &str = r#"{
  "model":   {"dim": 384, "depth": 12, "heads": 6, "patch": 14, "ln_eps": 1e-6, "offset": 0.1, "ffn": "mlp", "registers": 0},
  "head":    {"separate": false},
  "loss":    {"n_local": 1, "local_loss_above": 1, "dino_normaliser": "published", "student_temp": 0.1, "dino_weight": 1.0, "ibot_weight": 1.0,
              "koleo_weight": 0.0, "koleo_norm_eps": 1e-8, "koleo_pair_eps": 1e-4, "koleo_log_eps": 1e-8,
              "centering": "sinkhorn_knopp", "sk_iterations": 3, "center_momentum": 0.9},
  "optim":   {"base_lr": 2e-4, "lr": null, "min_lr": 1e-6, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "wd": 0.04, "wd_end": 0.2,
              "clip": 3.0, "patch_embed_lr_mult": 0.2, "layerwise_decay": 1.0, "warmup_epochs": 0.1,
              "freeze_last_layer_epochs": 0, "epochs": 10, "epoch_length": 3200, "loss_scale": 65536},
  "teacher": {"momentum": 0.994, "momentum_end": 1.0, "temp_start": 0.04, "temp": 0.07, "temp_epochs": 30},
  "start_iteration": 0, "adam_steps_done": 0, "steps": 1, "ranks": 1
}"#;

/// A case, as far as its settings tell.
#[derive(Debug)]
pub(super) struct Case {
    merged: Value,
    what: String,
    /// Iteration of the first step in the schedules.
    pub(super) start_iteration: u64,
    /// Steps that the moments already hold.
    pub(super) adam_steps_done: u64,
    /// Number of optimiser steps to run.
    pub(super) steps: u64,
    /// Number of loss groups, one for each rank of the reference.
    pub(super) ranks: u64,
}

impl Case {
    /// Reads JSON `text`; `what` names the file.
    pub(super) fn read(text: &str, what: &str) -> Result<Self, DinoError> {
        let syntax =
            |error: serde_json::Error| ConfigError::Syntax { what: what.to_owned(), message: error.to_string() };
        let defaults: Value = serde_json::from_str(DEFAULTS).map_err(syntax)?;
        let user: Value = serde_json::from_str(text).map_err(syntax)?;
        let merged = layer(&defaults, user, what)?;
        let count = |key: &str, least: u64| {
            merged[key]
                .as_u64()
                .filter(|&n| n >= least)
                .ok_or_else(|| bad(what, key, format!("{} is not a whole number from {least}", merged[key])))
        };
        Ok(Self {
            start_iteration: count("start_iteration", 0)?,
            adam_steps_done: count("adam_steps_done", 0)?,
            steps: count("steps", 1)?,
            ranks: count("ranks", 1)?,
            what: what.to_owned(),
            merged,
        })
    }

    /// The training configuration of the case, where a loss group has `images` images. What the tensors say (sizes of
    /// heads and crops) is not in it.
    pub(super) fn config(&self, dtype: Precision, images: u64) -> Result<TrainConfig, DinoError> {
        let section = |name: &str| self.merged[name].clone();
        // Crop sizes are those of the batch; here they only have to be multiples of the patch.
        let patch = self.merged["model"]["patch"].clone();
        let deltas = json!({
            "model": section("model"), "head": section("head"), "loss": section("loss"),
            "optim": section("optim"), "teacher": section("teacher"),
            "crops": {"global_size": patch, "local_size": patch},
            "train": {"batch_size": images * self.ranks, "loss_groups": self.ranks, "precision": dtype},
        });
        Ok(TrainConfig::default().with_deltas(&deltas, &self.what)?)
    }
}

fn bad(what: &str, key: &str, message: String) -> ConfigError {
    ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let case = Case::read(text, "settings.json");
        case.and_then(|case| case.config(Precision::F32, 4).map(drop)).unwrap_err().to_string()
    }

    #[test]
    fn no_key_is_the_documented_default() {
        let case = Case::read("{}", "settings.json").unwrap();
        let config = case.config(Precision::F64, 4).unwrap();
        let plain = TrainConfig::default();
        assert_eq!(config.optim, plain.optim);
        assert_eq!(config.teacher, plain.teacher);
        assert_eq!(config.loss, plain.loss);
        assert_eq!((case.steps, case.ranks, case.start_iteration), (1, 1, 0));
    }

    #[test]
    fn refusals_name_file_key_and_remedy() {
        assert_eq!(
            refused(r#"{"loss": {"koleo_wieght": 1}}"#),
            "settings.json: unknown key `loss.koleo_wieght`; did you mean `loss.koleo_weight`?"
        );
        assert!(refused(r#"{"loss": {"centering": "sinkhorn"}}"#).contains("`loss.centering`"));
        assert!(refused(r#"{"steps": 0}"#).contains("`steps`: 0 is not a whole number from 1"));
        assert!(refused("{").starts_with("settings.json: "));
        // A key of the training configuration that the format does not have.
        assert!(refused(r#"{"model": {"drop_path": 0.1}}"#).contains("`model.drop_path`"));
    }
}
