//! What makes two runs the same: the images, the initial weights, and every key of the configuration that can change weights.

use crate::{RunError, RunRecord};

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
        match self.config.changes_since(&begun.config) {
            changed if changed.is_empty() => Ok(()),
            changed => {
                let changed = changed.iter().map(|change| format!("\n  {change}")).collect();
                Err(RunError::OtherConfig { uri: uri(), changed })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::ids::Digest;
    use serde_json::json;

    #[test]
    fn another_configuration_or_shard_set_is_another_run() {
        let record = |weight: f64, shards: &[u8]| {
            RunRecord::new(json!({"loss": {"koleo_weight": weight}}), Digest::of(shards), 9, "1.0")
        };
        let begun = record(0.0, b"shards");
        record(0.0, b"shards").same_as(&begun, "x").unwrap();
        let error = record(0.1, b"shards").same_as(&begun, "x").unwrap_err().to_string();
        assert!(error.ends_with("(worker train --out):\n  loss.koleo_weight: 0.0 then, 0.1 now"), "{error}");
        assert!(
            record(0.0, b"others").same_as(&begun, "x").unwrap_err().to_string().contains("give the same shard set")
        );
    }
}
