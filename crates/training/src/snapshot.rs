//! Checkpoints of a run as tensors, and whether their bytes belong to it: the facts in their header say so.

use dino::{Incoming, State, tensor_bytes};
use run_folder::CheckpointRecord;
use run_spec::ids::Digest;
use serde_json::Value;
use tch::Tensor;

use crate::error::{Result, TrainingError};

/// The tensors of a checkpoint of the run whose configuration has the digest `config`.
///
/// A checkpoint that was copied from another run is whole by its digest, and wrong all the same: the facts in its header
/// say so. Checkpoints of older versions have no such fact and are read unchecked.
///
/// # Errors
/// [`TrainingError::OtherRun`]; damaged bytes.
pub fn of_run(bytes: &[u8], key: &str, config: &Digest) -> Result<Vec<(String, Tensor)>> {
    verify_run(bytes, key, config)?;
    Ok(tensor_bytes::from_bytes(bytes, key)?)
}

/// A checkpoint that is read piece by piece into a state.
#[derive(Debug)]
pub(crate) struct Loading<'a> {
    state: &'a mut State,
    config: Digest,
    /// What came before the header was whole.
    head: Vec<u8>,
    incoming: Option<Incoming>,
}

impl<'a> Loading<'a> {
    /// Into `state`, of a run whose configuration has the digest `config`.
    pub(crate) fn into(state: &'a mut State, config: Digest) -> Self {
        Self { state, config, head: Vec::new(), incoming: None }
    }

    /// Takes the piece that begins at `at`; the first one begins a checkpoint anew.
    ///
    /// # Errors
    /// As [`of_run`], and tensors that the state has not, before anything of it is changed.
    pub(crate) fn take(&mut self, record: &CheckpointRecord, at: u64, piece: &[u8]) -> Result<()> {
        if at == 0 {
            (self.head, self.incoming) = (Vec::new(), None);
        }
        if let Some(incoming) = &mut self.incoming {
            incoming.take(at, piece);
            return Ok(());
        }
        self.head.extend_from_slice(piece);
        if self.head.len() as u64 == record.bytes || header(&self.head).is_some() {
            verify_run(&self.head, &record.key, &self.config)?;
            let mut incoming = Incoming::of(self.state, &self.head, &record.key)?;
            incoming.take(0, &std::mem::take(&mut self.head));
            self.incoming = Some(incoming);
        }
        Ok(())
    }

    /// The state holds the checkpoint that was taken last.
    pub(crate) fn finish(self) -> Result<()> {
        match self.incoming {
            Some(incoming) => Ok(incoming.finish(self.state)?),
            None => Ok(()),
        }
    }
}

fn verify_run(bytes: &[u8], key: &str, config: &Digest) -> Result<()> {
    if let Some(found) = config_of(bytes)
        && found != config.to_string()
    {
        let found = found.get(..12).unwrap_or(&found).to_owned();
        return Err(TrainingError::OtherRun { key: key.to_owned(), found, expected: config.short().to_owned() });
    }
    Ok(())
}

/// The header of a checkpoint, where it is whole.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    bytes.get(8..length.checked_add(8)?)
}

/// The digest of the configuration in the header of a checkpoint.
fn config_of(bytes: &[u8]) -> Option<String> {
    let header: Value = serde_json::from_slice(header(bytes)?).ok()?;
    let facts: Value = serde_json::from_str(header["__metadata__"][tensor_bytes::FACTS_KEY].as_str()?).ok()?;
    facts["config"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let config = Digest::of(b"config");
        let tensors = [("a".to_owned(), Tensor::from_slice(&[1f32, 2.0]))];
        let bytes =
            tensor_bytes::to_bytes_with_facts(&tensors, &[("step", "3".to_owned()), ("config", config.to_string())])
                .unwrap();
        assert_eq!(of_run(&bytes, "k", &config).unwrap().len(), 1);
        let error = of_run(&bytes, "k", &Digest::of(b"other")).unwrap_err().to_string();
        assert!(error.contains("k is a checkpoint of another run"), "{error}");
        let old = tensor_bytes::to_bytes_with_facts(&tensors, &[("step", "3".to_owned())]).unwrap();
        assert_eq!(of_run(&old, "k", &config).unwrap().len(), 1);
    }
}
