//! Notes by which the ranks of a start find one another (`collective::rendezvous`): `meetings/NAME.json`, left once, small, of no
//! use later.

use serde::{Deserialize, Serialize};
use store::StoreError;

use crate::{Run, RunError};

/// A note of rank 0.
#[derive(Debug, Serialize, Deserialize)]
struct Meeting {
    note: String,
}

impl Run {
    /// Leaves the note of the meeting `name`; false where one is there already.
    ///
    /// # Errors
    /// The store's.
    pub fn leave_note(&self, name: &str, note: &str) -> Result<bool, RunError> {
        Ok(self.store().create_record_once(&key(name), &Meeting { note: note.to_owned() })?)
    }

    /// The note of the meeting `name`, if it is there.
    ///
    /// # Errors
    /// The store's; a note that is damaged.
    pub fn note(&self, name: &str) -> Result<Option<String>, RunError> {
        match self.store().read_record::<Meeting>(&key(name)) {
            Ok(meeting) => Ok(Some(meeting.note)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn key(name: &str) -> String {
    format!("meetings/{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_left_once_and_begins_no_run() {
        let run = Run::at("memory://meetings").unwrap();
        assert_eq!(run.note("a").unwrap(), None);
        assert!(run.leave_note("a", "1\n2\nn1").unwrap());
        assert!(!run.leave_note("a", "other").unwrap());
        assert_eq!(run.note("a").unwrap().as_deref(), Some("1\n2\nn1"));
        assert!(matches!(run.record(), Err(RunError::NoRun { .. })));
    }
}
