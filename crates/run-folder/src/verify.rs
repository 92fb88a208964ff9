//! A whole run, checked key by key against the digests that its records name.

use std::collections::{BTreeMap, BTreeSet};

use run_spec::ids::{Digest, Step};
use serde::Serialize;
use serde_json::Value;

use crate::found::{self, Found};
use crate::metrics::json_lines;
use crate::set_aside::SetAside;
use crate::{
    CaptureRecord, CheckpointKey, CheckpointRecord, FinalRecord, KeptFeatures, Run, RunError, RunKey, RunRecord,
    StopRecord,
};

/// What a check of a run found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Keys that are as they were written.
    pub whole: usize,
    /// What is damaged or missing, by key.
    pub damages: Vec<Damage>,
    /// Keys that were set aside before, with what is wrong with each.
    pub set_aside: BTreeMap<String, String>,
    /// Keys that no record names: left by an attempt that was killed, or put there by others. They count for nothing.
    pub unnamed: Vec<String>,
    /// Keys that could only be read, because the version that wrote them named no digest.
    pub without_digest: Vec<String>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The key of what is damaged.
    pub key: String,
    /// What is wrong with it, in words.
    pub what: String,
    /// What a person can do about it.
    pub remedy: String,
    /// Whether the run can go on once the key is set aside.
    pub can_be_set_aside: bool,
}

/// Checks the run: that every key it names is there, and is what was written. Reads everything, and changes nothing.
///
/// # Errors
/// The store's; [`RunError::NoRun`] where there is nothing. Damage is a result, not an error.
pub fn verify(run: &Run) -> Result<Verification, RunError> {
    let keys: BTreeSet<String> = run.store().list("")?.into_iter().collect();
    if keys.is_empty() {
        return Err(RunError::NoRun { uri: run.uri() });
    }
    let set_aside = run.set_aside()?;
    let report = Verification { set_aside, ..Verification::default() };
    let mut check =
        Check { run, keys, seen: BTreeSet::new(), named: BTreeMap::new(), unchecked_metrics: false, report };
    check.run_record()?;
    check.small_records()?;
    check.checkpoints()?;
    check.captures()?;
    check.finals()?;
    check.metrics()?;
    check.features()?;
    check.rest();
    let strangers = run.store().strangers("")?.into_iter().map(|stranger| stranger.name);
    check.report.unnamed.extend(strangers);
    Ok(check.report)
}

impl Run {
    /// Sets aside what `verification` found damaged and what the run can go on without, and gives the key of the record
    /// that says so. None where there is nothing to set aside.
    ///
    /// # Errors
    /// The store's.
    pub fn repair(&self, verification: &Verification, code: &str) -> Result<Option<String>, RunError> {
        let aside = verification.damages.iter().filter(|damage| damage.can_be_set_aside);
        let keys: BTreeMap<String, String> = aside.map(|damage| (damage.key.clone(), damage.what.clone())).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.put_aside(keys, code)?))
    }
}

/// A check under way.
struct Check<'a> {
    run: &'a Run,
    keys: BTreeSet<String>,
    /// Keys that some record accounts for.
    seen: BTreeSet<String>,
    /// Metrics files that records name.
    named: BTreeMap<String, Digest>,
    /// A checkpoint of an older version names none.
    unchecked_metrics: bool,
    report: Verification,
}

impl Check<'_> {
    fn counts(&self, key: &str) -> bool {
        !self.report.set_aside.contains_key(key)
    }

    fn with(&self, prefix: &str) -> Vec<String> {
        self.keys.iter().filter(|key| key.starts_with(prefix) && self.counts(key)).cloned().collect()
    }

    fn whole(&mut self, key: &str) {
        self.seen.insert(key.to_owned());
        self.report.whole += 1;
    }

    fn damage(&mut self, key: &str, what: impl Into<String>, remedy: &str, can_be_set_aside: bool) {
        self.seen.insert(key.to_owned());
        if self.report.damages.iter().any(|damage| damage.key == key) {
            return;
        }
        let (key, what, remedy) = (key.to_owned(), what.into(), remedy.to_owned());
        self.report.damages.push(Damage { key, what, remedy, can_be_set_aside });
    }

    /// Counts what was found at `key`, and gives it if it is whole.
    fn judge<T>(&mut self, key: &str, found: Found<T>, remedy: &str, can_be_set_aside: bool) -> Option<T> {
        match found {
            Found::Whole(value) => {
                self.whole(key);
                return Some(value);
            }
            Found::Damaged(what) => self.damage(key, what, remedy, can_be_set_aside),
            Found::Missing => self.damage(key, "it is missing", remedy, can_be_set_aside),
        }
        None
    }

    fn run_record(&mut self) -> Result<(), RunError> {
        let found = found::record::<RunRecord>(self.run.store(), "run.json")?;
        self.judge("run.json", found, "restore it from a copy, or train again into another folder", false);
        Ok(())
    }

    /// Records that nothing else depends on.
    fn small_records(&mut self) -> Result<(), RunError> {
        for key in [self.with("attempts/"), self.with("restarts/")].concat() {
            let found = found::record::<Value>(self.run.store(), &key)?;
            self.judge(&key, found, "set it aside: its number is all that counts", true);
        }
        for key in self.with("set-aside/") {
            let found = found::record::<SetAside>(self.run.store(), &key)?;
            self.judge(&key, found, "set it aside: what it named is found again by this check", true);
        }
        for key in self.with("stops/") {
            let found = found::record::<StopRecord>(self.run.store(), &key)?;
            let remedy = "set it aside: the metrics after the last checkpoint before it no longer count";
            if let Some(stop) = self.judge(&key, found, remedy, true) {
                self.named.extend(stop.metrics);
            }
        }
        Ok(())
    }

    fn checkpoints(&mut self) -> Result<(), RunError> {
        let checkpoints = self.run.published()?;
        let mut whole_before: Option<Step> = None;
        let newest = checkpoints.last().copied();
        for checkpoint in checkpoints {
            let remedy = remedy_of_checkpoint(whole_before, newest == Some(checkpoint));
            let found = self.run.checkpoint(checkpoint)?;
            let Some(record) = self.judge(&checkpoint.record(), found, &remedy, true) else {
                // The bytes are of no use without their record.
                let bytes = self.keys.iter().filter(|key| CheckpointKey::of(key) == Some(checkpoint));
                self.seen.extend(bytes.cloned());
                continue;
            };
            let mut whole = true;
            for (key, _, digest) in record.files() {
                let found = found::digest(self.run.store(), &key, &digest)?;
                whole &= self.judge(&key, found, &remedy, true).is_some();
            }
            if whole {
                whole_before = Some(record.step);
            }
            match record.metrics {
                Some(names) => self.named.extend(names),
                None => self.unchecked_metrics = true,
            }
        }
        Ok(())
    }

    fn captures(&mut self) -> Result<(), RunError> {
        for key in self.with("failed/").into_iter().filter(|key| key.ends_with(".json")) {
            let remedy = "set it aside: this rank's part of the failed step can no longer be replayed";
            let found = found::record::<CaptureRecord>(self.run.store(), &key)?;
            let Some(record) = self.judge(&key, found, remedy, true) else { continue };
            if self.counts(&record.key) {
                let found = found::digest(self.run.store(), &record.key, &record.digest)?;
                self.judge(&record.key, found, remedy, true);
            }
        }
        Ok(())
    }

    fn finals(&mut self) -> Result<(), RunError> {
        let remedy = "set it aside and start `worker train` again, which ends the run once more";
        for key in self.with("final").into_iter().filter(|key| matches!(key.parse(), Ok(RunKey::Final(_)))) {
            let found = found::record::<FinalRecord>(self.run.store(), &key)?;
            let Some(last) = self.judge(&key, found, remedy, true) else { continue };
            if let Some(why) = self.broken(&last)? {
                self.damage(&key, why, remedy, true);
                self.report.whole -= 1;
            }
            match last.checkpoint.metrics {
                Some(names) => self.named.extend(names),
                None => self.unchecked_metrics = true,
            }
        }
        Ok(())
    }

    /// Why what a final record names is not there as it names it.
    fn broken(&mut self, last: &FinalRecord) -> Result<Option<String>, RunError> {
        let checkpoint = &last.checkpoint;
        let files = checkpoint.files().into_iter().map(|(key, ..)| key);
        for key in std::iter::once(checkpoint.record_key()).chain(files) {
            if !self.counts(&key) {
                return Ok(Some(format!("its checkpoint was set aside: {key}")));
            }
            if self.report.damages.iter().any(|damage| damage.key == key) {
                return Ok(Some(format!("its checkpoint is damaged: {key}")));
            }
        }
        if !self.seen.contains(&checkpoint.record_key()) {
            self.last_is_missing(checkpoint);
            return Ok(Some(format!("its checkpoint is missing: {}", checkpoint.record_key())));
        }
        for (key, digest) in &last.names {
            if found::digest(self.run.store(), key, digest)? == Found::Whole(()) {
                continue;
            }
            if key == "run.json" {
                let remedy = "restore it from a copy, or train again into another folder";
                self.damage(key, "it is not the one that the final record names", remedy, false);
                continue;
            }
            return Ok(Some(format!("{key} is not the record that it names")));
        }
        Ok(None)
    }

    fn last_is_missing(&mut self, checkpoint: &CheckpointRecord) {
        let remedy = "restore it and its record from a copy, or set them aside and start `worker train` again";
        self.damage(&checkpoint.record_key(), "it is missing", remedy, true);
    }

    fn metrics(&mut self) -> Result<(), RunError> {
        let remedy = "restore it from a copy, or set it aside: its steps are then missing in `worker curves` and `worker metrics`";
        for (key, digest) in std::mem::take(&mut self.named) {
            if self.counts(&key) {
                let found = found::digest(self.run.store(), &key, &digest)?;
                self.judge(&key, found, remedy, true);
            }
        }
        if !self.unchecked_metrics {
            return Ok(());
        }
        for key in self.with("metrics/") {
            if self.seen.contains(&key) {
                continue;
            }
            match json_lines(&self.run.store().get(&key)?) {
                Ok(_) => self.report.without_digest.push(key.clone()),
                Err(what) => self.damage(&key, what, remedy, true),
            }
            self.seen.insert(key);
        }
        Ok(())
    }

    /// Kept features are a cache: the next probe removes damaged ones by itself.
    fn features(&mut self) -> Result<(), RunError> {
        let remedy = "nothing needs it: the next probe removes it and makes the features again";
        for key in self.with("features/") {
            let Ok(RunKey::Features(of)) = key.parse() else { continue };
            let found = found::record::<KeptFeatures>(self.run.store(), &key)?;
            let Some(record) = self.judge(&key, found, remedy, true) else { continue };
            let bytes = RunKey::FeaturesBytes(of).to_string();
            let found = found::digest(self.run.store(), &bytes, &record.digest)?;
            self.judge(&bytes, found, remedy, true);
        }
        Ok(())
    }

    /// What is left over.
    fn rest(&mut self) {
        let rest = self.keys.iter().filter(|key| !self.seen.contains(*key) && self.counts(key));
        self.report.unnamed = rest.filter(|key| !self.beside_set_aside(key)).cloned().collect();
    }

    /// Whether another part of a checkpoint was set aside.
    fn beside_set_aside(&self, key: &str) -> bool {
        CheckpointKey::of(key).is_some_and(|checkpoint| {
            self.report.set_aside.keys().any(|aside| CheckpointKey::of(aside) == Some(checkpoint))
        })
    }
}

/// What to do about a damaged checkpoint, after which `worker train` goes on from step `before`.
fn remedy_of_checkpoint(before: Option<Step>, newest: bool) -> String {
    match (newest, before) {
        (false, _) => "restore it from a copy, or set it aside: training goes on from a newer one".to_owned(),
        (true, Some(step)) => format!(
            "restore it from a copy, or set it aside and start `worker train` again, which goes on from step {step}"
        ),
        (true, None) => {
            "restore it from a copy, or set it aside and start `worker train` again, which begins at step 0".to_owned()
        }
    }
}
