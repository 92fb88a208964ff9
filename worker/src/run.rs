//! The folder of a run: what was asked for, who worked on it, its checkpoints and metrics. Every key is written once.
//!
//! ```text
//! run.json                                  resolved config, shard set, seed: what the run is
//! attempts/0001.json                        one per start, with the code version
//! metrics/00000000-a0001.jsonl              lines of the steps from 0 on, published with the checkpoint after them
//! checkpoints/00000050-a0001.safetensors    the whole training state before step 50
//! checkpoints/00000050-a0001.json           its record, published last: no record, no checkpoint
//! final.json                                the run is done
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use run_spec::ids::{Digest, digest_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Store, StoreError};

use crate::weights::InitRecord;

/// What a run is. Starting it again with anything else is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// Resolved configuration.
    pub(crate) config: Value,
    /// Digest of the resolved configuration, but for the local files that metrics go to.
    pub(crate) config_digest: Digest,
    /// Digest of the shard set.
    pub(crate) shards: Digest,
    /// Rows of the shard set.
    pub(crate) rows: u64,
    /// Code version that began the run.
    pub(crate) code: String,
    /// The weights it started from; none when they were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<InitRecord>,
}

/// Keys that say where a run computes, not what: a run may go on with others.
const WHERE: [&str; 7] =
    ["/device", "/collective", "/train/threads", "/train/data_threads", "/train/step_deadline_s", SIDES[0], SIDES[1]];

/// Those among them that name local files, which have no part in the digest either.
const SIDES: [&str; 2] = ["/log/tensorboard", "/log/prometheus"];

/// A configuration without some of its keys. Taken out, not emptied: a run begun before a key was there lacks it.
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
    /// The record of a run with this configuration on this shard set.
    pub(crate) fn new(config: Value, shards: Digest, rows: u64) -> Self {
        Self {
            config_digest: digest_json(&without(&config, &SIDES)),
            config,
            shards,
            rows,
            code: crate::version::CODE.to_owned(),
            init: None,
        }
    }

    /// Checks that this is the run that `begun` records at `uri`: the same images and, but for where it computes, the
    /// same configuration.
    pub(crate) fn same_as(&self, begun: &Self, uri: &str) -> Result<()> {
        if begun.shards != self.shards {
            bail!(
                "{uri}/run.json: this run was begun on shard set {}, not {}; give the same --shards or another --out",
                begun.shards.short(),
                self.shards.short()
            );
        }
        // A run begun before weights were recorded has no digest to compare.
        if let (Some(then), Some(now)) = (&begun.init, &self.init)
            && then.digest != now.digest
        {
            bail!(
                "{uri}/run.json: init.weights held another file when this run was begun ({}, now {}); put it back or give another --out",
                then.digest.short(),
                now.digest.short()
            );
        }
        let (then, now) = (without(&begun.config, &WHERE), without(&self.config, &WHERE));
        if digest_json(&then) != digest_json(&now) {
            let changed = differing_keys(&then, &now);
            bail!(
                "{uri}/run.json: this run was begun with another configuration ({changed}); give the same one or another --out"
            );
        }
        Ok(())
    }
}

/// What is published after a checkpoint's bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointRecord {
    /// Steps done; the next step is this one.
    pub(crate) step: u64,
    /// Attempt that wrote it.
    pub(crate) attempt: u32,
    /// Key of the bytes.
    pub(crate) key: String,
    /// Their number.
    pub(crate) bytes: u64,
    /// Their digest.
    pub(crate) digest: Digest,
    /// Failed steps directly before it, so that a restart does not forget them.
    pub(crate) failed_in_a_row: u32,
    /// Seconds of training up to here, over all attempts.
    pub(crate) seconds: f64,
}

/// The record of a run that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FinalRecord {
    /// The last checkpoint.
    pub(crate) checkpoint: CheckpointRecord,
    /// Where it ran, in words.
    pub(crate) device: String,
    /// Steps that were skipped because a loss or gradient was not finite.
    pub(crate) failed_steps: u64,
}

/// A run's folder in a store.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    store: Store,
}

impl Run {
    /// The run at `uri`.
    pub(crate) fn at(uri: &str) -> Result<Self> {
        Ok(Self { store: Store::open(uri)? })
    }

    /// Its store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Writes what the run is, or checks that it is the same run. Gives what it was begun with.
    pub(crate) fn begin(&self, record: &RunRecord) -> Result<RunRecord> {
        if self.store.ensure_free("run.json", record)? {
            return Ok(record.clone());
        }
        let begun = self.record()?;
        record.same_as(&begun, self.store.uri())?;
        if begun.code != record.code {
            tracing::warn!(began = begun.code, now = record.code, "the run goes on with another code version");
        }
        Ok(begun)
    }

    /// What the run is.
    pub(crate) fn record(&self) -> Result<RunRecord> {
        self.json("run.json")?.with_context(|| format!("{}: there is no run here", self.store.uri()))
    }

    /// Claims the next attempt number.
    pub(crate) fn claim_attempt(&self) -> Result<u32> {
        let claim = serde_json::json!({ "code": crate::version::CODE, "pid": std::process::id(), "host": host() });
        let taken = self.store.list("attempts")?.len() as u32;
        for attempt in taken + 1..taken + 1000 {
            if self.store.ensure_free(&format!("attempts/{attempt:04}.json"), &claim)? {
                return Ok(attempt);
            }
        }
        bail!("{}: no attempt number could be claimed", self.store.uri())
    }

    /// Checks that no later attempt has begun: this one was then declared dead, perhaps while it only could not be
    /// reached, and what it computes is no longer wanted.
    pub(crate) fn still_ours(&self, attempt: u32) -> Result<()> {
        let latest = self.store.list("attempts")?.iter().filter_map(|key| attempt_of(key)).max().unwrap_or(0);
        if latest > attempt {
            bail!(
                "{}: attempt {latest} has taken this run over from attempt {attempt}, which ends here and publishes nothing more",
                self.store.uri()
            );
        }
        Ok(())
    }

    /// Publishes the metrics of the steps from `from` on. Without lines nothing is written.
    pub(crate) fn publish_metrics(&self, from: u64, attempt: u32, lines: &str) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let key = format!("metrics/{from:08}-a{attempt:04}.jsonl");
        self.store.create(&key, lines.to_owned().into()).with_context(|| format!("publish {key}"))
    }

    /// The metrics lines published so far, by step. Of a step that several attempts did, the latest attempt's counts;
    /// steps that were left out are not among them.
    pub(crate) fn metrics(&self) -> Result<BTreeMap<u64, Value>> {
        let mut keys = self.store.list("metrics")?;
        keys.sort_by_key(|key| key.rsplit_once("-a").map(|(_, attempt)| attempt.to_owned()));
        let mut lines = BTreeMap::new();
        for key in keys {
            let bytes = self.store.get(&key)?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                let line: Value = serde_json::from_str(line).with_context(|| format!("{key} is damaged"))?;
                if let (Some(step), true) = (line["step"].as_u64(), line["failed"].is_null()) {
                    lines.insert(step, line);
                }
            }
        }
        Ok(lines)
    }

    /// Publishes a checkpoint: bytes first, record last. Then older ones beyond `keep` are removed.
    pub(crate) fn publish_checkpoint(
        &self,
        mut record: CheckpointRecord,
        bytes: Vec<u8>,
        keep: usize,
    ) -> Result<CheckpointRecord> {
        let stem = format!("checkpoints/{:08}-a{:04}", record.step, record.attempt);
        record.key = format!("{stem}.safetensors");
        record.bytes = bytes.len() as u64;
        record.digest = Digest::of(&bytes);
        self.store.create(&record.key, bytes.into()).with_context(|| format!("write {}", record.key))?;
        self.create_json(&format!("{stem}.json"), &record)?;
        self.prune(keep)?;
        Ok(record)
    }

    /// Records of all checkpoints, oldest first. A later attempt counts more than a later step: an attempt that was
    /// declared dead and went on all the same must not come between.
    pub(crate) fn checkpoints(&self) -> Result<Vec<CheckpointRecord>> {
        let keys = self.store.list("checkpoints")?;
        let mut records: Vec<CheckpointRecord> = Vec::new();
        for key in keys.iter().filter(|key| key.ends_with(".json")) {
            records.extend(self.json(key)?);
        }
        records.sort_by_key(|record| (record.attempt, record.step));
        Ok(records)
    }

    /// The newest checkpoint (of `step`, if given) whose bytes are whole.
    ///
    /// A damaged one is passed over with a warning: an older state costs time, a wrong one costs the run.
    pub(crate) fn load_checkpoint(&self, step: Option<u64>) -> Result<Option<(CheckpointRecord, bytes::Bytes)>> {
        for record in self.checkpoints()?.into_iter().rev().filter(|r| step.is_none_or(|step| r.step == step)) {
            match self.store.get(&record.key) {
                Ok(bytes) if Digest::of(&bytes) == record.digest => return Ok(Some((record, bytes))),
                Ok(_) | Err(StoreError::Damaged { .. }) => {
                    tracing::warn!(key = record.key, "checkpoint is damaged (digest differs): trying an older one")
                }
                Err(StoreError::NotFound { .. }) => {
                    tracing::warn!(key = record.key, "checkpoint is missing: trying an older one")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The bytes of the checkpoint that `record` publishes.
    pub(crate) fn read_checkpoint(&self, record: &CheckpointRecord) -> Result<bytes::Bytes> {
        let bytes = self.store.get(&record.key)?;
        if Digest::of(&bytes) != record.digest {
            bail!("{} is damaged on its way to this rank (digest differs); start the run again", record.key);
        }
        Ok(bytes)
    }

    /// Marks the run as done.
    pub(crate) fn finish(&self, record: &FinalRecord) -> Result<()> {
        self.store.ensure_free("final.json", record)?;
        Ok(())
    }

    /// The record of a run that is done.
    pub(crate) fn finished(&self) -> Result<Option<FinalRecord>> {
        self.json("final.json")
    }

    fn prune(&self, keep: usize) -> Result<()> {
        let records = self.checkpoints()?;
        for record in records.iter().rev().skip(keep.max(1)) {
            // The record goes first: what is listed must be there.
            self.store.delete(&format!("{}.json", record.key.trim_end_matches(".safetensors")))?;
            self.store.delete(&record.key)?;
        }
        Ok(())
    }

    fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        match self.store.get(key) {
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is not what a worker writes", self.store.uri_of(key)))?,
            )),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create_json(&self, key: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value)?;
        self.store.create(key, bytes.into()).with_context(|| format!("write {key}"))
    }
}

/// Writes a JSON record where there is none yet.
trait EnsureFree {
    /// True if it was written, false if something was there already.
    fn ensure_free(&self, key: &str, value: &impl Serialize) -> Result<bool>;
}

impl EnsureFree for Store {
    fn ensure_free(&self, key: &str, value: &impl Serialize) -> Result<bool> {
        match self.create(key, serde_json::to_vec_pretty(value)?.into()) {
            Ok(()) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("write {key}")),
        }
    }
}

/// `attempts/0012.json` to 12.
fn attempt_of(key: &str) -> Option<u32> {
    key.strip_prefix("attempts/")?.strip_suffix(".json")?.parse().ok()
}

/// Name of this node.
pub(crate) fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Dotted names of the keys in which two configurations differ.
fn differing_keys(a: &Value, b: &Value) -> String {
    fn walk(a: &Value, b: &Value, path: &str, out: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
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
    walk(a, b, "", &mut out);
    out.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> (tempfile::TempDir, Run) {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::at(folder.path().to_str().unwrap()).unwrap();
        (folder, run)
    }

    fn record(step: u64) -> CheckpointRecord {
        let digest = Digest::of(b"");
        CheckpointRecord { step, attempt: 1, key: String::new(), bytes: 0, digest, failed_in_a_row: 0, seconds: 0.0 }
    }

    #[test]
    fn where_metrics_go_is_no_part_of_the_run() {
        let (_folder, run) = run();
        let record = |log: Value| RunRecord::new(json!({"seed": 1, "log": log}), Digest::of(b"shards"), 9);
        let before = record(json!({"every_steps": 5}));
        let beside = record(json!({"every_steps": 5, "tensorboard": "/tb", "prometheus": null}));
        assert_eq!(before.config_digest, beside.config_digest);
        run.begin(&before).unwrap();
        run.begin(&beside).unwrap();
    }

    #[test]
    fn another_configuration_is_refused_by_key() {
        let (_folder, run) = run();
        let shards = Digest::of(b"shards");
        run.begin(&RunRecord::new(json!({"loss": {"koleo_weight": 0.0}}), shards, 9)).unwrap();
        run.begin(&RunRecord::new(json!({"loss": {"koleo_weight": 0.0}}), shards, 9)).unwrap();
        let error = run.begin(&RunRecord::new(json!({"loss": {"koleo_weight": 0.1}}), shards, 9)).unwrap_err();
        assert!(error.to_string().contains("loss.koleo_weight: 0.0 then, 0.1 now"), "{error}");
        let error =
            run.begin(&RunRecord::new(json!({"loss": {"koleo_weight": 0.0}}), Digest::of(b"x"), 9)).unwrap_err();
        assert!(error.to_string().contains("--shards"), "{error}");
    }

    #[test]
    fn only_the_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over() {
        let (folder, run) = run();
        for step in [10, 20, 30] {
            run.publish_checkpoint(record(step), vec![step as u8; 64], 2).unwrap();
        }
        let steps: Vec<u64> = run.checkpoints().unwrap().iter().map(|record| record.step).collect();
        assert_eq!(steps, [20, 30]);
        std::fs::write(folder.path().join("checkpoints/00000030-a0001.safetensors"), [7; 63]).unwrap();
        let (found, bytes) = run.load_checkpoint(None).unwrap().unwrap();
        assert_eq!((found.step, bytes[0]), (20, 20));
    }

    #[test]
    fn another_place_is_no_other_run() {
        let (_folder, run) = run();
        let shards = Digest::of(b"shards");
        let config = |device: &str, threads: u64| json!({"device": device, "train": {"threads": threads}});
        run.begin(&RunRecord::new(config("cpu", 1), shards, 9)).unwrap();
        let begun = run.begin(&RunRecord::new(config("cuda", 8), shards, 9)).unwrap();
        assert_eq!(begun.config, config("cpu", 1), "the run keeps the record that it was begun with");
        let mut later = config("cpu", 1);
        later["train"]["step_deadline_s"] = json!(600.0);
        run.begin(&RunRecord::new(later, shards, 9)).unwrap();
    }

    #[test]
    fn an_attempt_that_was_taken_over_neither_publishes_nor_comes_between() {
        let (_folder, run) = run();
        let first = run.claim_attempt().unwrap();
        run.publish_checkpoint(record(10), vec![1; 8], 3).unwrap();
        run.still_ours(first).unwrap();
        let second = run.claim_attempt().unwrap();
        let error = run.still_ours(first).unwrap_err().to_string();
        assert!(error.contains("attempt 2 has taken this run over from attempt 1"), "{error}");
        run.publish_checkpoint(CheckpointRecord { attempt: second, ..record(20) }, vec![2; 8], 3).unwrap();
        // It looked before the second began and writes after: the key has its number, and counts less.
        run.publish_checkpoint(record(30), vec![1; 8], 3).unwrap();
        assert_eq!(run.load_checkpoint(None).unwrap().unwrap().0.step, 20);
    }

    #[test]
    fn attempts_are_numbered() {
        let (_folder, run) = run();
        assert_eq!((run.claim_attempt().unwrap(), run.claim_attempt().unwrap()), (1, 2));
    }
}
