//! Result rows in a store: one create-only key per attempt, read back by prefix.
//!
//! Nothing is ever rewritten. A trial that was run twice leaves two keys; the table counts equal rows once and refuses
//! rows that disagree.

use store::{Store, StoreError};

use crate::row::{from_json_lines, to_json_lines};
use crate::{ResultRow, ResultsError};

/// Ending of the keys that hold result rows.
pub const SUFFIX: &str = ".results.jsonl";

/// Writes `rows` under `key` + [`SUFFIX`].
///
/// # Errors
/// [`ResultsError::NotFinite`] for a row that may not be stored; [`ResultsError::Store`] with
/// [`StoreError::AlreadyExists`] if the key is taken by other rows. The same rows once more are no error.
pub fn record(store: &Store, key: &str, rows: &[ResultRow]) -> Result<(), ResultsError> {
    let text = to_json_lines(rows)?;
    let key = format!("{key}{SUFFIX}");
    match store.create(&key, text.clone().into()) {
        Err(StoreError::AlreadyExists { .. }) if store.get(&key)? == text.as_bytes() => Ok(()),
        other => Ok(other?),
    }
}

/// All rows recorded below `prefix` (`""` for the whole store), in the order of their keys.
///
/// # Errors
/// [`ResultsError::Store`] if the store cannot be read, [`ResultsError::Json`] for a key whose text is no record.
pub fn collect(store: &Store, prefix: &str) -> Result<Vec<ResultRow>, ResultsError> {
    let mut rows = Vec::new();
    for key in store.list(prefix)?.into_iter().filter(|k| k.ends_with(SUFFIX)) {
        let bytes = store.get(&key)?;
        rows.extend(from_json_lines(&String::from_utf8_lossy(&bytes), &store.uri_of(&key))?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn rows_come_back_and_a_record_never_changes() {
        let store = Store::open("memory://results-ledger").unwrap();
        let (a, b) = (row("a", 0, "0", 0.5), row("b", 0, "0", 0.25));
        record(&store, "trials/b/1", std::slice::from_ref(&b)).unwrap();
        record(&store, "trials/a/1", std::slice::from_ref(&a)).unwrap();
        store.create("trials/a/log.jsonl", "{}".into()).unwrap();
        record(&store, "trials/a/1", std::slice::from_ref(&a)).unwrap();
        assert!(matches!(record(&store, "trials/a/1", std::slice::from_ref(&b)), Err(ResultsError::Store(_))));
        assert_eq!(collect(&store, "").unwrap(), [a, b.clone()]);
        assert_eq!(collect(&store, "trials/b").unwrap(), [b]);
    }

    #[test]
    fn a_broken_record_is_named_by_its_uri() {
        let store = Store::open("memory://results-ledger-broken").unwrap();
        store.create("a.results.jsonl", "{\n".into()).unwrap();
        let error = collect(&store, "").unwrap_err().to_string();
        assert!(error.contains("a.results.jsonl"), "{error}");
    }
}
