//! Keys that no longer count because they are damaged. A create-only record names them; nothing is moved or deleted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::found::{self, Found};
use crate::{Run, RunError, RunKey};

/// The record `set-aside/N.json`: keys that readers leave out because they are damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetAside {
    /// What is wrong, by key.
    pub(crate) keys: BTreeMap<String, String>,
    /// Version of the program that set them aside.
    pub(crate) code: String,
}

impl Run {
    /// The keys that do not count any more, with what is wrong with each. A damaged record of this kind sets nothing aside.
    ///
    /// # Errors
    /// The store's.
    pub fn set_aside(&self) -> Result<BTreeMap<String, String>, RunError> {
        let mut keys = BTreeMap::new();
        for key in self.store().list("set-aside")? {
            match found::record::<SetAside>(self.store(), &key)? {
                Found::Whole(record) => keys.extend(record.keys),
                Found::Damaged(what) => tracing::warn!(key, what, "a record of what was set aside is damaged"),
                Found::Missing => {}
            }
        }
        Ok(keys)
    }

    /// Sets `keys` aside, each with what is wrong with it, and gives the key of the record that says so.
    ///
    /// # Errors
    /// The store's; [`RunError::NoAttempt`] when others took a thousand numbers meanwhile.
    pub fn put_aside(&self, keys: BTreeMap<String, String>, code: &str) -> Result<String, RunError> {
        let taken = self.store().list("set-aside")?.len();
        let record = SetAside { keys, code: code.to_owned() };
        for number in taken + 1..taken + 1000 {
            let key = RunKey::SetAside(number).to_string();
            if self.store().create_record_once(&key, &record)? {
                return Ok(key);
            }
        }
        Err(RunError::NoAttempt { uri: self.uri() })
    }
}
