//! The store: reachable, and create-only in fact. Probe keys lie under `doctor/<random>/` and are gone afterwards.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use shards::ShardSet;
use store::{Store, StoreError};

use super::finding::Finding;

/// Writers that race for one key.
const RACERS: u8 = 8;
const REMEDY: &str =
    "check the address, its permissions and the server, which must honour the condition of a create (docs/storage.md)";

/// Puts the store at `uri` to the test.
pub(crate) fn check(uri: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(credentials(uri, |name| std::env::var_os(name).is_some()));
    findings.push(match Store::open(uri).map_err(Into::into).and_then(|store| probe_and_clean(&store)) {
        Ok(()) => Finding::ok(
            "store",
            format!("{uri}: create-only, one of {RACERS} racing creates wins, reads back, deletes"),
        ),
        Err(error) => Finding::fail("store", format!("{uri}: {}", crate::sentence(&error)), REMEDY),
    });
    findings.extend(folder_of(uri).map(|folder| super::node::disk("store disk", &folder)));
    findings
}

/// Opens the shard set at `uri`.
pub(crate) fn shards(uri: &str) -> Finding {
    let opened = Store::open(uri).map_err(anyhow::Error::from).and_then(|store| Ok(ShardSet::open(&store)?));
    match opened {
        Ok(set) if set.is_empty() => {
            Finding::fail("shards", format!("{uri}: the set has no rows"), "build it anew with `shard-builder build`")
        }
        Ok(set) => {
            Finding::ok("shards", format!("{uri}: {}, {}", terminal::counted(set.len(), "row"), set.digest().short()))
        }
        Err(error) => {
            let remedy = "give the folder that `shard-builder build --out` wrote";
            Finding::fail("shards", format!("{uri}: {}", crate::sentence(&error)), remedy)
        }
    }
}

/// Whether the variables that the store reads are set, never what they hold; `None` for a directory.
fn credentials(uri: &str, set: impl Fn(&str) -> bool) -> Option<Finding> {
    let any = |names: &[&str]| names.iter().any(|name| set(name));
    let (name, missing) = match uri.split_once("://")?.0 {
        "s3" => (
            "s3 credentials",
            (any(ID) != any(SECRET)).then_some("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"),
        ),
        // Two ways to one end, and the machine's role is a third: none is missing.
        "gs" => ("gs credentials", None),
        "az" => (
            "az credentials",
            (!any(&["AZURE_STORAGE_ACCOUNT_NAME"]))
                .then_some("set AZURE_STORAGE_ACCOUNT_NAME and a key, token or client of it"),
        ),
        _ => return None,
    };
    // Of several names for one thing those that are set are told, and the first where none is.
    let words = variables(uri).iter().flat_map(|names| {
        let given: Vec<String> = names.iter().filter(|name| set(name)).map(|name| format!("{name} set")).collect();
        if given.is_empty() { vec![format!("{} not set", names[0])] } else { given }
    });
    let words = words.collect::<Vec<_>>().join(", ");
    let of_machine = format!("none in the environment, so the role of this machine is used: {words}");
    Some(match missing {
        Some(remedy) => Finding::fail(name, words, remedy),
        None if variables(uri).iter().take(CREDENTIALS).any(|names| any(names)) => Finding::ok(name, words),
        None => Finding::not_checked(name, of_machine),
    })
}

const ID: &[&str] = &["AWS_ACCESS_KEY_ID"];
const SECRET: &[&str] = &["AWS_SECRET_ACCESS_KEY"];

/// How many of [`variables`], from the first, give access to the store.
const CREDENTIALS: usize = 3;

/// The variables by which the store at `uri` is reached; each with the other names that the client knows for it.
fn variables(uri: &str) -> &'static [&'static [&'static str]] {
    match uri.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => &[
            ID,
            SECRET,
            &["AWS_SESSION_TOKEN", "AWS_TOKEN"],
            &["AWS_REGION", "AWS_DEFAULT_REGION"],
            &["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"],
            &["AWS_ALLOW_HTTP"],
        ],
        Some("gs") => &[
            &["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY"],
            &["GOOGLE_APPLICATION_CREDENTIALS"],
            &["GOOGLE_BEARER_TOKEN"],
            &["GOOGLE_BASE_URL"],
            &["GOOGLE_ALLOW_HTTP"],
        ],
        Some("az") => &[
            &["AZURE_STORAGE_ACCOUNT_NAME"],
            &["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY"],
            &["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"],
            &["AZURE_CLIENT_ID", "AZURE_STORAGE_CLIENT_ID"],
            &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
            &["AZURE_ALLOW_HTTP"],
        ],
        _ => &[],
    }
}

/// The local folder of an address; `None` for buckets and memory.
fn folder_of(uri: &str) -> Option<PathBuf> {
    match uri.strip_prefix("file://") {
        Some(path) => Some(PathBuf::from(path)),
        None if uri.contains("://") => None,
        None => Some(PathBuf::from(uri)),
    }
}

fn probe_and_clean(store: &Store) -> Result<()> {
    in_probe(store, probed)
}

/// Runs `work` on the store below a random prefix, and leaves nothing of it.
pub(super) fn in_probe<T>(store: &Store, work: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    let unique = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot draw a random name")?;
    let prefix = format!("doctor/{}", unique.trim());
    let root = folder_of(store.uri());
    let root_was_there = root.as_ref().is_some_and(|root| root.exists());
    let probe = store.child(&prefix);
    let result = work(&probe);
    let cleaned = clean(&probe);
    if let Some(root) = root {
        // Only empty folders can be removed so: what others keep beside the probe stays.
        let made = [Some(root.join(&prefix)), Some(root.join("doctor")), (!root_was_there).then_some(root)];
        made.into_iter().flatten().take_while(|folder| remove_empty(folder)).for_each(drop);
    }
    let result = result?;
    cleaned.map(|()| result)
}

fn remove_empty(folder: &Path) -> bool {
    std::fs::remove_dir(folder).is_ok()
}

fn clean(probe: &Store) -> Result<()> {
    for key in probe.list("")? {
        probe.delete(&key)?;
    }
    ensure!(probe.list("")?.is_empty(), "{}: keys are still listed after they were deleted", probe.uri());
    Ok(())
}

fn probed(probe: &Store) -> Result<()> {
    ensure!(probe.list("")?.is_empty(), "a random prefix is not empty");
    probe.create("one", Bytes::from_static(b"first"))?;
    match probe.create("one", Bytes::from_static(b"second")) {
        Err(StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error).context("a second create of one key fails, but not because the key is there"),
        Ok(()) => anyhow::bail!("a second create of one key was accepted: runs could overwrite each other's records"),
    }
    ensure!(probe.get("one")? == "first", "a key does not read back as it was written");
    ensure!(probe.get_range("one", 1..3)? == "ir", "a ranged read gives other bytes than asked for");
    let wins = race(probe)?;
    ensure!(wins == 1, "{wins} of {RACERS} racing creates won, not one");
    let bytes = probe.get("race")?;
    ensure!(bytes.len() == 1000 && bytes.iter().all(|&b| b == bytes[0]), "racing creates left a torn record");
    Ok(())
}

/// How many racing creates of one key were told that they won.
fn race(probe: &Store) -> Result<usize> {
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let wins = &wins;
                scope.spawn(move || match probe.create("race", vec![racer; 1000].into()) {
                    Ok(()) => {
                        wins.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    }
                    Err(StoreError::AlreadyExists { .. }) => Ok(()),
                    Err(error) => Err(error).context("a racing create failed"),
                })
            })
            .collect();
        racers
            .into_iter()
            .try_for_each(|racer| racer.join().unwrap_or_else(|_| anyhow::bail!("a racing create panicked")))
    })?;
    Ok(wins.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn a_good_store_passes_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let uri = folder.path().to_str().unwrap();
        assert_eq!(check(uri)[0].outcome, Outcome::Ok, "{:?}", check(uri));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let new = folder.path().join("new");
        assert_eq!(check(new.to_str().unwrap())[0].outcome, Outcome::Ok);
        assert!(!new.exists(), "a store that was not there is not there afterwards");
    }

    #[test]
    fn what_others_keep_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("doctor")).unwrap();
        std::fs::write(folder.path().join("doctor/mine"), "x").unwrap();
        assert_eq!(check(folder.path().to_str().unwrap())[0].outcome, Outcome::Ok);
        let left: Vec<_> =
            std::fs::read_dir(folder.path().join("doctor")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["mine"]);
    }

    #[test]
    fn a_store_that_cannot_be_written_fails_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "no folder").unwrap();
        let finding = check(file.to_str().unwrap()).remove(0);
        assert_eq!(finding.outcome, Outcome::Fail, "{finding:?}");
        assert!(finding.remedy.is_some());
    }

    #[test]
    fn credentials_are_told_as_set_or_not() {
        assert!(credentials("/data", |_| false).is_none());
        let without = |uri: &str| credentials(uri, |_| false).unwrap();
        for (uri, outcome) in
            [("s3://b", Outcome::NotChecked), ("gs://b", Outcome::NotChecked), ("az://c", Outcome::Fail)]
        {
            assert_eq!(without(uri).outcome, outcome, "{uri}");
        }
        assert!(without("s3://b").detail.starts_with("none in the environment, so the role of this machine is used: "));
        assert_eq!(credentials("s3://b", |_| true).unwrap().outcome, Outcome::Ok);
        let half = credentials("s3://b", |name| name == "AWS_SECRET_ACCESS_KEY").unwrap();
        assert_eq!(half.outcome, Outcome::Fail);
        assert!(half.detail.contains("AWS_SECRET_ACCESS_KEY set"), "{}", half.detail);
    }

    #[test]
    fn the_variables_told_are_those_that_the_store_reads() {
        let told = |name: &str| credentials("s3://b", |variable| variable == name).unwrap().detail;
        for name in ["AWS_ENDPOINT", "AWS_ENDPOINT_URL"] {
            let detail = told(name);
            assert!(
                detail.contains(&format!("{name} set")) && !detail.contains("AWS_ENDPOINT_URL not set"),
                "{detail}"
            );
        }
        assert!(told("AWS_REGION").contains("AWS_ENDPOINT not set"));
    }
}
