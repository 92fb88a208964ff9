//! Metrics: JSON lines, published with the checkpoint after their steps or with the stop that ends an attempt.

use std::collections::BTreeMap;

use run_spec::ids::{Attempt, Digest, Step};

use crate::found::{self, Found};
use crate::{
    CheckpointKey, CheckpointRecord, MetricsKey, MetricsLine, Run, RunError, RunKey, StepMetrics, StepOutcome,
    StopRecord,
};

/// Files of metrics by key, with the digests of their bytes.
type Names = BTreeMap<String, Digest>;

impl Run {
    /// Publishes the metrics of the steps from `from` on, and gives their key and digest. The same lines may be published
    /// again, for instance when nobody knows whether it was done.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_metrics(&self, from: Step, attempt: Attempt, lines: &str) -> Result<(String, Digest), RunError> {
        let key = RunKey::Metrics(MetricsKey { from, attempt }).to_string();
        self.store().ensure(&key, lines.to_owned().into())?;
        Ok((key, Digest::of(lines.as_bytes())))
    }

    /// Whether any attempt has published metrics.
    ///
    /// # Errors
    /// The store's.
    pub fn has_metrics(&self) -> Result<bool, RunError> {
        Ok(!self.store().list("metrics")?.is_empty())
    }

    /// Publishes that an attempt stopped for good, with the metrics up to there.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_stop(&self, stop: &StopRecord) -> Result<(), RunError> {
        self.store().create_record(&RunKey::Stop(stop.stop_key()).to_string(), stop)?;
        Ok(())
    }

    /// The metrics files of the steps up to a checkpoint, for those that go on from it. Where an older version wrote the
    /// checkpoint and named none, all that are there count.
    ///
    /// # Errors
    /// The store's.
    pub fn metrics_up_to(&self, checkpoint: &CheckpointRecord) -> Result<Names, RunError> {
        if let Some(names) = &checkpoint.metrics {
            return Ok(names.clone());
        }
        let keys = self.store().list("metrics")?;
        let named = |key: String| -> Result<(String, Digest), RunError> {
            let digest = Digest::of(&self.store().get(&key)?);
            Ok((key, digest))
        };
        keys.into_iter().map(named).collect()
    }

    /// The metrics lines published so far, by step. Of a step that several attempts did, the latest attempt's counts; steps
    /// that were left out, and files that were set aside, are not among them.
    ///
    /// # Errors
    /// The store's; [`RunError::Metrics`].
    pub fn metrics(&self) -> Result<BTreeMap<Step, StepMetrics>, RunError> {
        let aside = self.set_aside()?;
        let mut keys: Vec<(String, Option<Digest>)> = match self.newest_names()? {
            Some(names) => names.into_iter().map(|(key, digest)| (key, Some(digest))).collect(),
            None => self.store().list("metrics")?.into_iter().map(|key| (key, None)).collect(),
        };
        keys.retain(|(key, _)| !aside.contains_key(key));
        keys.sort_by_key(|(key, _)| key.parse::<RunKey>().ok().and_then(|key| key.attempt()));
        let mut lines = BTreeMap::new();
        for (key, digest) in keys {
            for line in self.lines_of(&key, digest.as_ref())? {
                if let StepOutcome::Done(metrics) = line.outcome {
                    lines.insert(line.step, *metrics);
                }
            }
        }
        Ok(lines)
    }

    /// The lines of a file, checked against its digest where one is known.
    fn lines_of(&self, key: &str, digest: Option<&Digest>) -> Result<Vec<MetricsLine>, RunError> {
        let damaged = |what: String| RunError::Metrics { uri: self.store().uri_of(key), what };
        let bytes = match digest {
            Some(digest) => match found::bytes(self.store(), key, digest)? {
                Found::Whole(bytes) => bytes,
                Found::Damaged(what) => return Err(damaged(what)),
                Found::Missing => return Err(damaged("it is missing".to_owned())),
            },
            None => self.store().get(key)?,
        };
        json_lines(&bytes).map_err(damaged)
    }

    /// The files that the newest record names; none where it is of an older version or there is no record.
    fn newest_names(&self) -> Result<Option<Names>, RunError> {
        let mut records: Vec<(CheckpointKey, Option<Names>)> = Vec::new();
        let of = |record: CheckpointRecord| (record.checkpoint_key(), record.metrics);
        records.extend(self.checkpoints()?.into_iter().map(of));
        for key in self.store().list("stops")? {
            if let Found::Whole(stop) = found::record::<StopRecord>(self.store(), &key)? {
                records.push((CheckpointKey { attempt: stop.attempt, step: stop.step }, Some(stop.metrics)));
            }
        }
        for (_, last) in self.finals()? {
            if let Found::Whole(last) = last {
                records.push(of(last.checkpoint));
            }
        }
        Ok(records.into_iter().max_by_key(|(key, _)| *key).and_then(|(_, names)| names))
    }
}

/// The lines of a metrics file, or what is wrong with one of them.
pub(crate) fn json_lines(bytes: &[u8]) -> Result<Vec<MetricsLine>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let line = |(number, line): (usize, &str)| -> Result<MetricsLine, String> {
        serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))
    };
    text.lines().enumerate().map(line).collect()
}
