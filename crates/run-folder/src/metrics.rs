//! Metrics: JSON lines, published with the checkpoint after their steps.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Run, RunError};

impl Run {
    /// Publishes the metrics of the steps from `from` on. Without lines nothing is written.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_metrics(&self, from: u64, attempt: u32, lines: &str) -> Result<(), RunError> {
        if !lines.is_empty() {
            self.store().create(&format!("metrics/{from:08}-a{attempt:04}.jsonl"), lines.to_owned().into())?;
        }
        Ok(())
    }

    /// The metrics lines published so far, by step. Of a step that several attempts did, the latest attempt's counts;
    /// steps that were left out are not among them.
    ///
    /// # Errors
    /// The store's; [`RunError::Metrics`].
    pub fn metrics(&self) -> Result<BTreeMap<u64, Value>, RunError> {
        let mut keys = self.store().list("metrics")?;
        keys.sort_by_key(|key| key.rsplit_once("-a").map(|(_, attempt)| attempt.to_owned()));
        let mut lines = BTreeMap::new();
        for key in keys {
            let bytes = self.store().get(&key)?;
            for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                let line: Value = serde_json::from_str(line).map_err(|error| RunError::Metrics {
                    uri: self.store().uri_of(&key),
                    line: number + 1,
                    reason: error.to_string(),
                })?;
                if let (Some(step), true) = (line["step"].as_u64(), line["failed"].is_null()) {
                    lines.insert(step, line);
                }
            }
        }
        Ok(lines)
    }
}
