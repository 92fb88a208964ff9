//! Keys: slash-separated parts of a portable alphabet, so that one key means the same on a directory and on S3.

use crate::StoreError;
use object_store::path::Path;

/// Longest key. S3 allows 1024 bytes for prefix and key together.
const MAX_KEY: usize = 900;
/// Longest part: file systems allow 255 bytes, and a staging name needs a suffix.
const MAX_PART: usize = 200;

fn is_portable(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-=+@,".contains(c)
}

/// Why `key` is none, or `None` for a good key.
fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.len() > MAX_KEY {
        return Some("it is longer than 900 bytes");
    }
    if key.starts_with('/') {
        return Some("it is absolute");
    }
    for part in key.split('/') {
        match part {
            "" => return Some("it has an empty part"),
            "." | ".." => return Some("it climbs with . or .."),
            part if part.len() > MAX_PART => return Some("a part is longer than 200 bytes"),
            part if !part.chars().all(is_portable) => {
                return Some("it has a character outside the portable set");
            }
            _ => {}
        }
    }
    None
}

/// Checks `key`. # Errors: [`StoreError::BadKey`].
pub(crate) fn verify_key(key: &str) -> Result<(), StoreError> {
    match fault(key) {
        None => Ok(()),
        Some(why) => Err(StoreError::BadKey { key: key.chars().take(200).collect(), why: why.into() }),
    }
}

/// Joins a prefix (possibly empty) and a key.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    match (prefix.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (_, true) => prefix.to_owned(),
        _ => format!("{prefix}/{key}"),
    }
}

/// `base` followed by the parts of `key`, which must have passed [`verify_key`].
pub(crate) fn path(base: &Path, key: &str) -> Path {
    let mut path = base.clone();
    for part in key.split('/').filter(|p| !p.is_empty()) {
        path = path.join(part);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_escape_or_differ_between_stores_are_refused() {
        for bad in ["", "/a", "a//b", "a/", "../a", "a/../b", "./a", "a b", "a\\b", "a#1", "ä", "a\0", "a%2e"] {
            assert!(verify_key(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["manifest.json", "runs/0f3a/attempt-2/checkpoint_000100.safetensors", "a=b,c@d+e"] {
            verify_key(good).unwrap();
        }
    }
}
