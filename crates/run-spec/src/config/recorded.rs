//! A resolved configuration as records hold it, and which of its keys decide what.
//!
//! A record may come from another version, with fewer keys or others, so it stays JSON until somebody asks what a key is.
//! Which keys name an experiment, which may change while a run goes on and which make a model is said here and nowhere else.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ConfigError, ResolvedConfig, TrainConfig};
use crate::ids::{Digest, Seed, digest_json, trial_digest};

/// Keys that say where and how a run computes, what it writes down and how often, but change no weight: a run may go on
/// with others.
const OPERATIONAL: [&str; 12] = [
    "/device",
    "/collective",
    "/train/threads",
    "/train/data_threads",
    "/train/read_threads",
    "/train/step_deadline_s",
    "/train/activation_checkpointing",
    "/train/deterministic",
    "/train/zero1",
    "/checkpoint",
    "/log",
    "/store",
];

/// Those of them that the digest of a configuration leaves out too: local files, and sections that older versions did not
/// have.
const UNDIGESTED: [&str; 3] = ["/log/tensorboard", "/log/prometheus", "/store"];

/// Operational keys that came after digests of whole configurations were written down: no digest covers them, so those stay.
const LATER: [&str; 9] = [
    "/log/grid_kg_per_kwh",
    "/log/probe_every_steps",
    "/log/probe_shards",
    "/log/probe_split",
    "/checkpoint/keep_best",
    "/checkpoint/keep_every",
    "/checkpoint/sharded",
    "/train/deterministic",
    "/train/zero1",
];

/// Keys that came after digests were written down, each with the value that leaves things as they were: with that value no digest covers them, so those stay.
const SINCE: [(&str, Neutral); 2] =
    [("/loss/sigreg_weight", Neutral::Number(0.0)), ("/train/wire", Neutral::Word("as_computed"))];

/// A value that leaves things as they were.
#[derive(Debug, Clone, Copy)]
enum Neutral {
    Number(f64),
    Word(&'static str),
}

impl Neutral {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Number(number) => value.as_f64() == Some(number),
            Self::Word(word) => value.as_str() == Some(word),
        }
    }
}

/// Keys that decide about a model before it is trained.
const UNTRAINED: [&str; 2] = ["/model", "/crops/global_size"];

/// Keys that say where features are computed; they change no score.
const PLACE: [&str; 2] = ["/device", "/train/threads"];

/// A resolved configuration in a record: all keys that the version that wrote it had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedConfig(Value);

impl RecordedConfig {
    /// The JSON, every key present.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The configuration with its types. Keys that are missing have their defaults. `what` names the record in messages.
    ///
    /// # Errors
    /// [`ConfigError`] for a key or a value that this version does not know.
    pub fn resolve(&self, what: &str) -> Result<ResolvedConfig, ConfigError> {
        Ok(ResolvedConfig::recorded(TrainConfig::default().with_deltas(&self.0, what)?, self.clone()))
    }

    /// The digest by which result rows and checkpoints name the configuration: of all keys but those that only say where
    /// metrics go and how a store is asked.
    pub fn digest(&self) -> Digest {
        digest_json(&without(&counted(&self.0), &UNDIGESTED))
    }

    /// The digest of every key that decides or names anything, seed and paths included.
    pub fn digest_of_all_keys(&self) -> Digest {
        digest_json(&counted(&self.0))
    }

    /// The dotted keys in which this run would differ from the one that `begun` describes, each with both values:
    /// `loss.koleo_weight: 0.0 then, 0.1 now`. Empty where it is the same run, which may go on; keys that change no weight
    /// do not count.
    pub fn changes_since(&self, begun: &Self) -> Vec<String> {
        let [then, now] = [begun, self].map(|config| without(&counted(&config.0), &OPERATIONAL));
        if digest_json(&then) == digest_json(&now) { Vec::new() } else { differing_keys(&then, &now) }
    }

    /// What is left when the seed is taken out: what all seeds of an arm share.
    pub fn without_seed(&self) -> ArmConfig {
        ArmConfig(without(&self.0, &["/seed"]))
    }
}

impl From<Value> for RecordedConfig {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

/// What all seeds of an arm share: a resolved configuration without its seed, as plans hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArmConfig(Value);

impl ArmConfig {
    /// The JSON, every key but the seed present.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The configuration of one seed: what the worker reads and what is kept beside the run.
    pub fn with_seed(&self, seed: Seed) -> RecordedConfig {
        let mut config = self.0.clone();
        if let Some(map) = config.as_object_mut() {
            map.insert("seed".to_owned(), Value::from(seed.get()));
        }
        RecordedConfig(config)
    }

    /// The configuration with its types, its seed the default. `what` names the arm in messages.
    ///
    /// # Errors
    /// [`ConfigError`] for a key or a value that this version does not know.
    pub fn resolve(&self, what: &str) -> Result<TrainConfig, ConfigError> {
        TrainConfig::default().with_deltas(&self.0, what)
    }

    /// The URI of the initial weights, if the configuration names any.
    pub fn init_weights(&self) -> Option<&str> {
        self.0.pointer("/init/weights").and_then(Value::as_str)
    }

    /// The seed of the initial weights, where it is not the trial's.
    pub fn init_seed(&self) -> Option<Seed> {
        self.0.pointer("/init/seed").and_then(Value::as_u64).map(Seed::new)
    }

    /// Threads of a process; 0 for one per core.
    pub fn threads(&self) -> u64 {
        self.0.pointer("/train/threads").and_then(Value::as_u64).unwrap_or(0)
    }

    /// The digest of a trial with this configuration: initial weights count by the digest of their file, not by where the
    /// file is. `code` is the version of the program that trains.
    pub fn trial_digest(&self, init_weights: Option<&Digest>, shards: &Digest, code: &str) -> Digest {
        let mut config = counted(&self.0);
        if let (Some(digest), Some(weights)) = (init_weights, config.pointer_mut("/init/weights")) {
            *weights = Value::String(format!("blake3:{digest}"));
        }
        trial_digest(&config, shards, code)
    }

    /// The keys that decide about the model before training.
    pub fn untrained(&self) -> Self {
        Self(only(&self.0, &UNTRAINED))
    }

    /// No key at all: the configuration of features that no model makes.
    pub fn empty() -> Self {
        Self(Value::Object(Map::new()))
    }

    /// The same keys and where `other` computes, which no digest covers.
    #[must_use]
    pub fn placed_as(mut self, other: &Self) -> Self {
        for key in PLACE {
            put(&mut self.0, key, other.0.pointer(key).cloned().unwrap_or(Value::Null));
        }
        self
    }

    /// The digest of all keys.
    pub fn digest(&self) -> Digest {
        digest_json(&self.0)
    }
}

impl From<Value> for ArmConfig {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

/// The keys of a configuration that count in digests.
fn counted(config: &Value) -> Value {
    let as_before = |(key, neutral): &&(&str, Neutral)| config.pointer(key).is_some_and(|value| neutral.is(value));
    let unchanged: Vec<&str> = SINCE.iter().filter(as_before).map(|(key, _)| *key).collect();
    without(&without(config, &LATER), &unchanged)
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

/// Some keys of a configuration, null where it lacks them.
fn only(config: &Value, keys: &[&str]) -> Value {
    let mut out = Value::Object(Map::new());
    for key in keys {
        put(&mut out, key, config.pointer(key).cloned().unwrap_or(Value::Null));
    }
    out
}

/// Puts `value` under a JSON pointer, making sections as needed.
fn put(config: &mut Value, key: &str, value: Value) {
    let mut slot = config;
    for part in key.split('/').skip(1) {
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot = &mut slot[part];
    }
    *slot = value;
}

/// The dotted keys in which two configurations differ, each with both values.
fn differing_keys(then: &Value, now: &Value) -> Vec<String> {
    fn walk(a: &Value, b: &Value, path: &str, out: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
                for key in keys {
                    walk(&a[key], &b[key], &crate::layer::join(path, key), out);
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

    fn recorded(config: Value) -> RecordedConfig {
        RecordedConfig(config)
    }

    #[test]
    fn where_metrics_go_and_how_the_store_is_asked_have_no_part_in_the_digest() {
        let before = recorded(json!({"seed": 1, "log": {"every_steps": 5}})).digest();
        let log = json!({"every_steps": 5, "tensorboard": "/tb", "prometheus": null});
        assert_eq!(before, recorded(json!({"seed": 1, "log": log, "store": {"retry_for": 9}})).digest());
        assert_ne!(before, recorded(json!({"seed": 2, "log": {"every_steps": 5}})).digest());
    }

    #[test]
    fn the_online_probe_is_in_no_digest() {
        let before =
            recorded(json!({"seed": 1, "log": {"every_steps": 5}, "checkpoint": {"every_steps": 9, "keep": 3}}));
        let mut now = before.clone();
        for (key, value) in LATER.iter().zip([json!(10), json!("s3://b/small"), json!("folds"), json!(true)]) {
            put(&mut now.0, key, value);
        }
        assert_ne!(before, now);
        let trial = |config: &RecordedConfig| config.without_seed().trial_digest(None, &Digest::of(b"shards"), "1.0");
        assert_eq!((before.digest(), trial(&before)), (now.digest(), trial(&now)));
        assert_eq!(before.digest_of_all_keys(), now.digest_of_all_keys());
        assert!(now.changes_since(&before).is_empty());
    }

    #[test]
    fn who_holds_the_moments_is_in_no_digest() {
        let before = recorded(json!({"seed": 1, "train": {"batch_size": 8}}));
        let trial = |config: &RecordedConfig| config.without_seed().trial_digest(None, &Digest::of(b"shards"), "1.0");
        for zero1 in [true, false] {
            let now = recorded(json!({"seed": 1, "train": {"batch_size": 8, "zero1": zero1}}));
            assert_eq!((before.digest(), trial(&before)), (now.digest(), trial(&now)));
            assert_eq!(before.digest_of_all_keys(), now.digest_of_all_keys());
            assert!(now.changes_since(&before).is_empty() && before.changes_since(&now).is_empty());
        }
    }

    #[test]
    fn a_new_key_counts_where_it_changes_something() {
        let old = recorded(json!({"seed": 1, "loss": {"koleo_weight": 0.1}}));
        let with = |weight: f64| recorded(json!({"seed": 1, "loss": {"koleo_weight": 0.1, "sigreg_weight": weight}}));
        let trial = |config: &RecordedConfig| config.without_seed().trial_digest(None, &Digest::of(b"shards"), "1.0");
        let digests = |config: &RecordedConfig| (config.digest(), config.digest_of_all_keys(), trial(config));
        assert_eq!(digests(&old), digests(&with(0.0)));
        assert_eq!(with(0.0).changes_since(&old), Vec::<String>::new());
        let (before, after) = (digests(&old), digests(&with(0.1)));
        assert!(before.0 != after.0 && before.1 != after.1 && before.2 != after.2);
        assert_eq!(with(0.1).changes_since(&old), ["loss.sigreg_weight: null then, 0.1 now"]);
    }

    #[test]
    fn a_run_may_go_on_with_other_keys_that_change_no_weight() {
        let begun = recorded(json!({"seed": 1, "device": "cpu", "train": {"batch_size": 8, "threads": 1}}));
        let now = recorded(json!({
            "seed": 1,
            "device": "cuda",
            "collective": "solo",
            "train": {
                "batch_size": 8, "threads": 8, "data_threads": 2, "read_threads": 4, "step_deadline_s": 60.0,
                "activation_checkpointing": true, "deterministic": true, "zero1": true,
            },
            "checkpoint": {"every_steps": 7, "keep": 1},
            "log": {"every_steps": 3, "collapse_every_steps": 9},
            "store": {"retry_for": 60},
        }));
        assert_eq!((now.changes_since(&begun), begun.changes_since(&now)), (Vec::new(), Vec::new()));
        for (key, other) in
            [("/seed", json!(2)), ("/train/batch_size", json!(16)), ("/train/threads", json!({"not": "a number"}))]
        {
            let mut config = begun.clone();
            *config.0.pointer_mut(key).unwrap() = other;
            assert_eq!(config.changes_since(&begun).is_empty(), key == "/train/threads", "{key}");
        }
    }

    #[test]
    fn what_differs_is_named_by_key() {
        let (then, now) = ([0.0, 0.1]).map(|weight| recorded(json!({"loss": {"koleo_weight": weight}}))).into();
        assert_eq!(now.changes_since(&then), ["loss.koleo_weight: 0.0 then, 0.1 now"]);
    }

    #[test]
    fn a_trial_knows_its_initial_weights_by_content_and_not_by_place() {
        let config =
            |place: Value| recorded(json!({"seed": 3, "init": {"weights": place, "seed": null}})).without_seed();
        let of = |place: &str, bytes: &[u8]| {
            config(json!(place)).trial_digest(Some(&Digest::of(bytes)), &Digest::of(b"shards"), "1.0")
        };
        assert_eq!(of("a.pth", b"weights"), of("s3://b/a.pth", b"weights"));
        assert_ne!(of("a.pth", b"weights"), of("a.pth", b"others"));
        let drawn = config(json!(null));
        let expected = trial_digest(&json!({"init": {"weights": null, "seed": null}}), &Digest::of(b"shards"), "1.0");
        assert_eq!(drawn.trial_digest(None, &Digest::of(b"shards"), "1.0"), expected);
    }

    #[test]
    fn a_record_of_an_older_version_has_the_defaults_of_what_it_lacks() {
        let old = recorded(json!({"seed": 7, "loss": {"n_local": 8}}));
        let resolved = old.resolve("run.json").unwrap();
        assert_eq!((resolved.seed, resolved.loss.n_local, resolved.head.prototypes), (7, 8, 65536));
        assert_eq!(resolved.record(), &old, "what was recorded stays as it was");
        let error = recorded(json!({"los": {}})).resolve("run.json").unwrap_err().to_string();
        assert!(error.starts_with("run.json: unknown key `los`"), "{error}");
    }

    #[test]
    fn an_untrained_model_is_its_sizes_and_where_it_computes_is_added_after() {
        let config = json!({"model": {"dim": 96}, "crops": {"global_size": 28, "local_size": 14}, "device": "cpu",
            "train": {"threads": 2, "batch_size": 4}, "loss": {}});
        let arm = recorded(config).without_seed();
        let untrained = arm.untrained();
        assert_eq!(untrained.value(), &json!({"model": {"dim": 96}, "crops": {"global_size": 28}}));
        let placed = ArmConfig::empty().placed_as(&arm);
        assert_eq!(placed.value(), &json!({"device": "cpu", "train": {"threads": 2}}));
        assert_eq!(placed.with_seed(3.into()).value()["seed"], json!(3));
    }
}
