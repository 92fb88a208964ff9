//! Readings that may find damage: what is damaged is a finding, and only trouble with the store is an error.

use bytes::Bytes;
use run_spec::ids::Digest;
use serde::de::DeserializeOwned;
use store::{Store, StoreError};

/// Bytes that are read at once while a digest is computed.
const PIECE: u64 = 64 << 20;

/// What a reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    Whole(T),
    /// Why it does not count.
    Damaged(String),
    Missing,
}

impl<T> Found<T> {
    /// The same finding with another value.
    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Whole(value) => Found::Whole(with(value)),
            Self::Damaged(what) => Found::Damaged(what),
            Self::Missing => Found::Missing,
        }
    }
}

fn found<T>(result: Result<T, StoreError>) -> Result<Found<T>, StoreError> {
    match result {
        Ok(value) => Ok(Found::Whole(value)),
        Err(StoreError::NotFound { .. }) => Ok(Found::Missing),
        Err(error) => error.damage().map(Found::Damaged).ok_or(error),
    }
}

/// Reads the record `key`; one that is missing or damaged is an answer and not an error.
pub(crate) fn record<T: DeserializeOwned>(store: &Store, key: &str) -> Result<Found<T>, StoreError> {
    found(store.read_record(key))
}

/// The bytes of `key`, which should have `digest`.
pub(crate) fn bytes(store: &Store, key: &str, digest: &Digest) -> Result<Found<Bytes>, StoreError> {
    Ok(match found(store.get(key))? {
        Found::Whole(bytes) if Digest::of(&bytes) != *digest => Found::Damaged(differs(bytes.len() as u64)),
        other => other,
    })
}

/// Whether the bytes of `key` have `digest`, without holding all of them at once.
pub(crate) fn digest(store: &Store, key: &str, digest: &Digest) -> Result<Found<()>, StoreError> {
    pieces(store, key, digest, &mut |_, _| {})
}

/// As [`digest`](self::digest), and shows `take` the bytes piece by piece, each with its offset: a reading that found damage begins
/// again at 0.
pub(crate) fn pieces(
    store: &Store,
    key: &str,
    digest: &Digest,
    take: &mut dyn FnMut(u64, &Bytes),
) -> Result<Found<()>, StoreError> {
    let mut last = Found::Missing;
    // A range carries no digest of its own, so damage is believed when it is read twice.
    for _ in 0..2 {
        let size = match found(store.size(key))? {
            Found::Whole(size) => size,
            Found::Damaged(what) => return Ok(Found::Damaged(what)),
            Found::Missing => return Ok(Found::Missing),
        };
        let mut hasher = blake3::Hasher::new();
        for start in (0..size).step_by(PIECE as usize) {
            let piece = store.get_range(key, start..size.min(start + PIECE))?;
            hasher.update(&piece);
            take(start, &piece);
        }
        if Digest::from_bytes(*hasher.finalize().as_bytes()) == *digest {
            return Ok(Found::Whole(()));
        }
        last = Found::Damaged(differs(size));
    }
    Ok(last)
}

fn differs(size: u64) -> String {
    match size {
        0 => "it is empty".to_owned(),
        size => format!("its digest differs ({size} bytes)"),
    }
}
