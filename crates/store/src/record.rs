//! JSON records that carry their own digest, so that a reader knows a damaged one from a whole one.
//!
//! A record is a JSON object. Its field `record_digest` holds the BLAKE3 of the canonical JSON (RFC 8785) of all other
//! fields. Records that older versions wrote have no such field and are read unchecked.

use bytes::Bytes;
use run_spec::ids::{Digest, digest_json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Store, StoreError};

/// The field of a record that holds its digest.
const FIELD: &str = "record_digest";

/// Why bytes are not a whole record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No bytes at all: what a crash of the machine leaves of a file that was being written.
    #[error("it is empty")]
    Empty,
    /// Not a JSON object, for instance because the end is cut off.
    #[error("it is not a JSON object ({0})")]
    Syntax(String),
    /// The fields are not those that were written.
    #[error("its content does not match its digest")]
    Digest,
    /// A JSON object with other fields than this version knows.
    #[error("its fields are not those of this version ({0})")]
    Fields(String),
}

/// The bytes of `record` as indented JSON with its digest, ended by a newline. The same record gives the same bytes.
///
/// # Errors
/// [`RecordError::Fields`] when `record` does not serialise to a JSON object.
pub fn seal<T: Serialize>(record: &T) -> Result<Vec<u8>, RecordError> {
    let fields = |error: serde_json::Error| RecordError::Fields(error.to_string());
    let mut value = serde_json::to_value(record).map_err(fields)?;
    let digest = digest_json(&value);
    let object = value.as_object_mut().ok_or_else(|| RecordError::Fields("a record is a JSON object".to_owned()))?;
    object.insert(FIELD.to_owned(), Value::String(digest.to_string()));
    let mut bytes = serde_json::to_vec_pretty(&value).map_err(fields)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The record in `bytes`, checked against its digest where it carries one.
///
/// # Errors
/// [`RecordError`], by what is wrong with the bytes.
pub fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(RecordError::Empty);
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| RecordError::Syntax(error.to_string()))?;
    let object = value.as_object_mut().ok_or_else(|| RecordError::Syntax("another JSON value".to_owned()))?;
    if let Some(stated) = object.remove(FIELD)
        && stated != Value::String(digest_json(&value).to_string())
    {
        return Err(RecordError::Digest);
    }
    serde_json::from_value(value).map_err(|error| RecordError::Fields(error.to_string()))
}

impl Store {
    /// Creates the record `key` and returns the digest of its bytes, which a parent record can name.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`StoreError::Record`] when `record` is not a JSON object.
    pub fn create_record<T: Serialize>(&self, key: &str, record: &T) -> Result<Digest, StoreError> {
        let bytes = seal(record).map_err(|reason| StoreError::Record { uri: self.uri_of(key), reason })?;
        let digest = Digest::of(&bytes);
        self.create(key, Bytes::from(bytes))?;
        Ok(digest)
    }

    /// Creates the record `key` unless something is there: true if it was created, false if another was first.
    ///
    /// # Errors
    /// As [`create_record`](Self::create_record), but for [`StoreError::AlreadyExists`].
    pub fn create_record_once<T: Serialize>(&self, key: &str, record: &T) -> Result<bool, StoreError> {
        match self.create_record(key, record) {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the record `key` where damage is a finding: the inner error says what is wrong with a record that is damaged or
    /// gone ([`StoreError::Record`], [`StoreError::Damaged`], [`StoreError::NotFound`]).
    ///
    /// # Errors
    /// All other trouble of the store.
    pub fn read_record_if_whole<T: DeserializeOwned>(&self, key: &str) -> Result<Result<T, StoreError>, StoreError> {
        match self.read_record(key) {
            Err(error) if error.damage().is_none() && !error.is_not_found() => Err(error),
            other => Ok(other),
        }
    }

    /// Reads the record `key`.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`StoreError::Record`] for bytes that are not a whole record of this type.
    pub fn read_record<T: DeserializeOwned>(&self, key: &str) -> Result<T, StoreError> {
        let bytes = self.get(key)?;
        unseal(&bytes).map_err(|reason| StoreError::Record { uri: self.uri_of(key), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        step: u64,
        seconds: f64,
        digest: String,
    }

    fn example() -> Example {
        Example { step: u64::MAX, seconds: 0.1 + 0.2, digest: "its own field of this name".into() }
    }

    #[test]
    fn a_record_reads_back_and_any_changed_value_is_noticed() {
        let text = String::from_utf8(seal(&example()).unwrap()).unwrap();
        assert_eq!(unseal::<Example>(text.as_bytes()).unwrap(), example());
        let moved: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(unseal::<Example>(moved.to_string().as_bytes()).unwrap(), example(), "layout does not count");
        let edited = text.replace("0.30000000000000004", "0.3");
        assert_ne!(edited, text);
        assert_eq!(unseal::<Example>(edited.as_bytes()), Err(RecordError::Digest));
    }

    #[test]
    fn records_of_older_versions_have_no_digest_and_are_read() {
        let old = serde_json::to_vec(&example()).unwrap();
        assert_eq!(unseal::<Example>(&old).unwrap(), example());
    }

    #[test]
    fn what_is_not_a_whole_record_is_told_apart() {
        assert_eq!(unseal::<Example>(b" \n"), Err(RecordError::Empty));
        assert!(matches!(unseal::<Example>(b"{\"step\": 1"), Err(RecordError::Syntax(_))));
        assert!(matches!(unseal::<Example>(b"[1]"), Err(RecordError::Syntax(_))));
        assert!(matches!(unseal::<Example>(b"{\"step\": 1}"), Err(RecordError::Fields(_))));
        assert!(matches!(seal(&[1, 2]), Err(RecordError::Fields(_))));
    }

    #[test]
    fn a_damaged_record_names_its_place() {
        let store = Store::open("memory://records").unwrap();
        let digest = store.create_record("a/record.json", &example()).unwrap();
        assert_eq!(digest, Digest::of(&store.get("a/record.json").unwrap()));
        assert_eq!(store.read_record::<Example>("a/record.json").unwrap(), example());
        store.create("a/empty.json", Bytes::new()).unwrap();
        let error = store.read_record::<Example>("a/empty.json").unwrap_err().to_string();
        assert_eq!(
            error,
            "memory://records/a/empty.json is damaged: it is empty; restore it from a copy, or set it aside"
        );
    }
}
