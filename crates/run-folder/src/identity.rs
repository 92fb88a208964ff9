//! What makes two runs the same: the images, the initial weights, and every key of the configuration that can change weights.

use run_spec::ids::{Digest, digest_json};
use serde_json::Value;
use std::collections::BTreeSet;

use crate::{RunError, RunRecord};

/// Keys that say where and how a run computes, what it writes down and how often, but change no weight: a run may go on
/// with others.
const OPERATIONAL: [&str; 10] = [
    "/device",
    "/collective",
    "/train/threads",
    "/train/data_threads",
    "/train/read_threads",
    "/train/step_deadline_s",
    "/train/activation_checkpointing",
    "/checkpoint",
    "/log",
    "/store",
];

/// Those among them that have no part in the digest of a configuration either: local files, and sections that older
/// versions did not have.
const UNDIGESTED: [&str; 3] = ["/log/tensorboard", "/log/prometheus", "/store"];

/// The digest of a resolved configuration, by which result rows name it.
pub fn config_digest(config: &Value) -> Digest {
    digest_json(&without(config, &UNDIGESTED))
}

/// A configuration without some of its keys. They are taken out, not emptied: a run that was begun before a key existed
/// lacks it.
fn without(config: &Value, keys: &[&str]) -> Value {
    let mut config = config.clone();
    for key in keys {
        if let Some((section, key)) = key.rsplit_once('/')
            && let Some(section) = config.pointer_mut(section).and_then(Value::as_object_mut)
        {
            section.remove(key);
        }
    }
    config
}

impl RunRecord {
    /// Checks that this is the run that `begun` records at `uri`: the same images, the same initial weights and, but for
    /// keys that change no weight, the same configuration.
    ///
    /// # Errors
    /// [`RunError::OtherShards`], [`RunError::OtherWeights`], [`RunError::OtherConfig`].
    pub fn same_as(&self, begun: &Self, uri: &str) -> Result<(), RunError> {
        let uri = || uri.to_owned();
        if begun.shards != self.shards {
            let (begun, given) = (begun.shards.short(), self.shards.short());
            return Err(RunError::OtherShards { uri: uri(), begun, given });
        }
        // A run begun before weights were recorded has no digest to compare.
        if let (Some(then), Some(now)) = (&begun.init, &self.init)
            && then.digest != now.digest
        {
            let (begun, given) = (then.digest.short(), now.digest.short());
            return Err(RunError::OtherWeights { uri: uri(), begun, given });
        }
        let (then, now) = (without(&begun.config, &OPERATIONAL), without(&self.config, &OPERATIONAL));
        if digest_json(&then) != digest_json(&now) {
            return Err(RunError::OtherConfig { uri: uri(), changed: differing_keys(&then, &now).join("; ") });
        }
        Ok(())
    }
}

/// The dotted keys in which two configurations differ, each with both values: `loss.koleo_weight: 0.0 then, 0.1 now`.
pub fn differing_keys(then: &Value, now: &Value) -> Vec<String> {
    fn walk(a: &Value, b: &Value, path: &str, out: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
                for key in keys {
                    let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(&a[key], &b[key], &full, out);
                }
            }
            _ if a != b => out.push(format!("{path}: {a} then, {b} now")),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(then, now, "", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(config: Value) -> RunRecord {
        RunRecord::new(config, Digest::of(b"shards"), 9, "1.0")
    }

    #[test]
    fn where_metrics_go_and_how_the_store_is_asked_have_no_part_in_the_digest() {
        let before = config_digest(&json!({"seed": 1, "log": {"every_steps": 5}}));
        let log = json!({"every_steps": 5, "tensorboard": "/tb", "prometheus": null});
        assert_eq!(before, config_digest(&json!({"seed": 1, "log": log, "store": {"retry_for": 9}})));
        assert_ne!(before, config_digest(&json!({"seed": 2, "log": {"every_steps": 5}})));
    }

    #[test]
    fn keys_that_change_no_weight_may_change_on_resume() {
        let begun = record(json!({"seed": 1, "device": "cpu", "train": {"batch_size": 8, "threads": 1}}));
        let now = record(json!({
            "seed": 1,
            "device": "cuda",
            "collective": "solo",
            "train": {
                "batch_size": 8, "threads": 8, "data_threads": 2, "read_threads": 4, "step_deadline_s": 60.0,
                "activation_checkpointing": true,
            },
            "checkpoint": {"every_steps": 7, "keep": 1},
            "log": {"every_steps": 3, "collapse_every_steps": 9},
            "store": {"retry_for": 60},
        }));
        now.same_as(&begun, "x").unwrap();
        begun.same_as(&now, "x").unwrap();
        for (key, other) in
            [("/seed", json!(2)), ("/train/batch_size", json!(16)), ("/train/threads", json!({"not": "a number"}))]
        {
            let mut config = begun.config.clone();
            *config.pointer_mut(key).unwrap() = other;
            assert_eq!(record(config).same_as(&begun, "x").is_ok(), key == "/train/threads", "{key}");
        }
    }

    #[test]
    fn what_differs_is_told_by_key() {
        let begun = record(json!({"loss": {"koleo_weight": 0.0}}));
        let error = record(json!({"loss": {"koleo_weight": 0.1}})).same_as(&begun, "x").unwrap_err();
        assert!(error.to_string().contains("loss.koleo_weight: 0.0 then, 0.1 now"), "{error}");
        let mut other = begun.clone();
        other.shards = Digest::of(b"others");
        assert!(other.same_as(&begun, "x").unwrap_err().to_string().contains("--shards"));
    }
}
