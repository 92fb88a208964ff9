//! `--expect KEY=VALUE`: a command refuses to begin where something is not what its caller planned with.
//!
//! A sweep plans with one worker, one shard set and one file of initial weights, and runs for days. Whatever is replaced
//! meanwhile behind the same path is found here, by the process that would use it, before it does any work.

use std::str::FromStr;

use anyhow::{Context, Result};
use run_spec::ids::Digest;
use run_spec::layer::nearest;

/// What can be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The code version of this worker.
    Code,
    /// The digest of this worker's file, for a version that names no commit.
    Binary,
    /// The digest of the shard set under `--shards`.
    Shards,
    /// The digest of the file of `--split`.
    Split,
    /// The digest of the file of `init.weights`.
    InitWeights,
}

const KEYS: [(&str, Key); 5] = [
    ("code", Key::Code),
    ("binary", Key::Binary),
    ("shards", Key::Shards),
    ("split", Key::Split),
    ("init_weights", Key::InitWeights),
];

impl Key {
    fn name(self) -> &'static str {
        KEYS.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }

    /// The subject of a refusal, and what to do about it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Code | Self::Binary => ("this worker", "restore the planned worker, or plan again with this one"),
            Self::Shards => ("the shard set", "restore the planned set, or plan again with this one"),
            Self::Split => ("the split", "restore the planned split, or plan again with this one"),
            Self::InitWeights => ("the file of init.weights", "restore the planned file, or plan again with this one"),
        }
    }
}

/// One thing that must be as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    key: Key,
    value: String,
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?}: KEY=VALUE is expected"))?;
        match KEYS.iter().find(|(known, _)| *known == name) {
            Some((_, key)) => Ok(Self { key: *key, value: value.to_owned() }),
            None => {
                let names = KEYS.map(|(name, _)| name);
                let hint = nearest(name, names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Err(format!("`{name}` cannot be expected: known are {}{hint}", names.join(", ")))
            }
        }
    }
}

/// Something is not what was planned. The program ends with [`NOT_AS_PLANNED`](run_folder::failure::NOT_AS_PLANNED).
#[derive(Debug)]
pub(crate) struct NotAsPlanned(String);

impl std::fmt::Display for NotAsPlanned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAsPlanned {}

/// Checks this program itself.
///
/// # Errors
/// [`NotAsPlanned`]; a program file that cannot be read.
pub(crate) fn program(expected: &[Expectation]) -> Result<()> {
    compare(expected, Key::Code, "", crate::version::CODE)?;
    if !expected.iter().any(|expectation| expectation.key == Key::Binary) {
        return Ok(());
    }
    // The running file, not what lies under its name now.
    let bytes = std::fs::read("/proc/self/exe").or_else(|_| std::fs::read(std::env::current_exe()?));
    let found = Digest::of(&bytes.context("cannot read this program's own file")?).to_string();
    Ok(compare(expected, Key::Binary, "", &found)?)
}

/// Checks the digest of what was found at `place`.
///
/// # Errors
/// [`NotAsPlanned`].
pub(crate) fn digest(expected: &[Expectation], key: Key, place: &str, found: &Digest) -> Result<(), NotAsPlanned> {
    compare(expected, key, place, &found.to_string())
}

fn compare(expected: &[Expectation], key: Key, place: &str, found: &str) -> Result<(), NotAsPlanned> {
    let expectation = expected.iter().find(|expectation| expectation.key == key);
    let Some(planned) = expectation.map(|expectation| &expectation.value).filter(|value| *value != found) else {
        return Ok(());
    };
    let (subject, remedy) = key.words();
    let place = if place.is_empty() { String::new() } else { format!(" {place}") };
    let name = key.name();
    Err(NotAsPlanned(format!(
        "{subject}{place} is not what was planned: {name} is {found}, but {planned} was planned; {remedy}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_planned_passes_and_anything_else_is_refused_with_the_remedy() {
        let digest_of = |bytes: &[u8]| Digest::of(bytes);
        let expected: Vec<Expectation> =
            [format!("code={}", crate::version::CODE), format!("shards={}", digest_of(b"a"))]
                .iter()
                .map(|e| e.parse().unwrap())
                .collect();
        program(&expected).unwrap();
        digest(&expected, Key::Shards, "./set", &digest_of(b"a")).unwrap();
        digest(&expected, Key::Split, "grouped", &digest_of(b"anything")).unwrap();
        let error = digest(&expected, Key::Shards, "./set", &digest_of(b"b")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("the shard set ./set is not what was planned") && text.contains("plan again"),
            "{text}"
        );
        let other: Vec<Expectation> = vec!["code=0.0.0+other".parse().unwrap()];
        assert!(program(&other).unwrap_err().to_string().starts_with("this worker is not what was planned: code is"));
    }

    #[test]
    fn a_binary_is_known_by_its_bytes() {
        let own = Digest::of(&std::fs::read("/proc/self/exe").unwrap());
        program(&[format!("binary={own}").parse().unwrap()]).unwrap();
        assert!(program(&["binary=0".parse().unwrap()]).is_err());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let error = "shard=1".parse::<Expectation>().unwrap_err();
        assert!(error.contains("did you mean `shards`?"), "{error}");
        assert!("code".parse::<Expectation>().is_err());
    }
}
