//! What a create leaves beside an object's bytes: who made it, and their digest. Two pieces of user metadata.
//!
//! The first answers "was that me?" after an answer was lost: a retried create that finds the key taken is the winner if
//! the mark is its own, whatever the bytes are. The second lets every reader of a whole object see damage on the way.
//! A directory has neither: its creates return once and its reads come from the file system.

use object_store::{Attribute, AttributeValue, Attributes};
use run_spec::ids::Digest;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

// Azure takes only names that are identifiers of C#, and some proxies drop headers with underscores: letters alone.
const MAKER: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("reddinocreate"));
const DIGEST: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("reddinodigest"));

/// The mark of one create call; no other has the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    /// Draws a mark that no other call on any machine has.
    pub(crate) fn new() -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        // `RandomState` is seeded by the operating system, so equal numbers on two machines differ here.
        let random = (RandomState::new().build_hasher().finish(), RandomState::new().build_hasher().finish());
        let all = format!("{random:?} {call} {} {:?}", std::process::id(), SystemTime::now());
        Self(Digest::of(all.as_bytes()).to_string()[..32].to_owned())
    }

    /// The attributes of an object that this call makes of `bytes`; without, for an upload in parts.
    pub(crate) fn attributes(&self, bytes: Option<&[u8]>) -> Attributes {
        let maker = (MAKER, AttributeValue::from(self.0.clone()));
        let digest = bytes.map(|bytes| (DIGEST, AttributeValue::from(Digest::of(bytes).to_string())));
        std::iter::once(maker).chain(digest).collect()
    }

    /// Whether this call made the object with these attributes.
    pub(crate) fn made(&self, attributes: &Attributes) -> bool {
        attributes.get(&MAKER).is_some_and(|maker| **maker == *self.0)
    }
}

/// Whether `bytes` are those that were created, as far as the attributes tell: objects of other tools carry no digest.
pub(crate) fn agrees(attributes: &Attributes, bytes: &[u8]) -> bool {
    attributes.get(&DIGEST).is_none_or(|digest| **digest == *Digest::of(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_knows_its_own_object_and_no_other() {
        let (mine, other) = (Mark::new(), Mark::new());
        assert_ne!(mine, other);
        let attributes = mine.attributes(Some(b"x"));
        assert!(mine.made(&attributes) && !other.made(&attributes) && !mine.made(&Attributes::new()));
        assert!(agrees(&attributes, b"x") && !agrees(&attributes, b"y") && agrees(&Attributes::new(), b"y"));
    }
}
