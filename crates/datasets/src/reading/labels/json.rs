//! JSON of label files, which may hold anything: no more entries than a dataset has cells, no deeper than the parser goes.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

/// Most entries of a list that are read.
const MOST_ENTRIES: usize = 4_000_000;
/// Most bytes of a JSON that is read whole, into some twenty times as much memory.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// Reads a JSON that should be `what` (`a COCO file`).
///
/// # Errors
/// The reason for the report, with the line.
pub(super) fn read<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("is not {what}: {error}"))
}

/// A list of at most [`MOST_ENTRIES`].
#[derive(Debug)]
pub(super) struct Many<T>(pub(super) Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut many = Vec::new();
        while let Some(entry) = list.next_element()? {
            if many.len() == MOST_ENTRIES {
                return Err(A::Error::custom(format!("a list has more than {MOST_ENTRIES} entries")));
            }
            many.push(entry);
        }
        Ok(Many(many))
    }
}
