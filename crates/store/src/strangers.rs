//! What lies beside the keys: files that killed creates left behind, and files of others whose names no key can spell.
//!
//! A directory's creates are staged in `KEY#N` and linked into place. A process that is killed in between leaves that file, which
//! [`Store::list`] passes over. Readers that list the folder themselves may not.

use crate::key::{join, path, verify_key};
use crate::open::Kind;
use crate::retry;
use crate::runtime::wait;
use crate::{Store, StoreError};
use futures_util::TryStreamExt;
use object_store::path::Path as ObjectPath;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file or object of the store whose name is not a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Its name, relative to the store; where it is not UTF-8, with replacement characters.
    pub name: String,
    /// Where it is the staging file of a create: the key that was to be created.
    pub unfinished: Option<String>,
}

impl Store {
    /// All files below `prefix` whose names are not keys, sorted by name: what [`list`](Self::list) passes over.
    ///
    /// In a bucket they are objects of other tools; uploads in parts that were not ended are not among them, since no
    /// request that all services know lists those.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn strangers(&self, prefix: &str) -> Result<Vec<Stranger>, StoreError> {
        let prefix = prefix.trim_end_matches('/');
        let mut names = match self.backend.kind {
            Kind::Directory => {
                let mut names = Vec::new();
                walk(&self.folder().join(prefix), prefix, &mut names)
                    .map_err(|error| StoreError::from_io(error, "listed", self.uri_of(prefix)))?;
                names
            }
            Kind::Bucket | Kind::Memory => self.object_names(prefix)?,
        };
        names.retain(|name| verify_key(name).is_err());
        names.sort_unstable();
        Ok(names.into_iter().map(|name| Stranger { unfinished: staged_key(&name), name }).collect())
    }

    /// Removes the staging files that killed creates of keys below `prefix` left behind, and returns their names.
    ///
    /// Call it only where each such key exists or will never count. A process that is still writing one of them is told that
    /// its key exists already, if it does, or writes it again.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn remove_unfinished(&self, prefix: &str, counts: impl Fn(&str) -> bool) -> Result<Vec<String>, StoreError> {
        let mut removed = Vec::new();
        for stranger in self.strangers(prefix)? {
            if stranger.unfinished.as_deref().is_none_or(|key| !counts(key)) {
                continue;
            }
            match fs::remove_file(self.folder().join(&stranger.name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::from_io(error, "deleted", self.uri_of(&stranger.name)));
                }
                _ => removed.push(stranger.name),
            }
        }
        Ok(removed)
    }

    /// Bytes that may still be written, where the file system says; nothing for buckets and memory.
    pub fn room(&self) -> Option<u64> {
        if self.backend.kind != Kind::Directory {
            return None;
        }
        let folder = self.folder();
        let there = folder.ancestors().find(|folder| folder.is_dir())?;
        let facts = rustix::fs::statvfs(there).ok()?;
        facts.f_bavail.checked_mul(facts.f_frsize)
    }

    fn folder(&self) -> PathBuf {
        Path::new(&*self.root).join(&self.prefix)
    }

    fn object_names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let below = path(&self.backend.base, &join(&self.prefix, prefix));
        let own = path(&self.backend.base, &self.prefix);
        let listed = retry::begin_again(|| {
            let (objects, below) = (Arc::clone(&self.backend.reads), below.clone());
            wait(async move { objects.list(Some(&below)).map_ok(|meta| meta.location).try_collect().await })
        });
        let paths: Vec<ObjectPath> = match listed {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            other => self.name("listed", prefix, other)?,
        };
        let name = |path: &ObjectPath| {
            let parts = path.prefix_match(&own)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        Ok(paths.iter().filter_map(name).collect())
    }
}

/// The key whose staging file has this name.
fn staged_key(name: &str) -> Option<String> {
    let (key, number) = name.rsplit_once('#')?;
    let counted = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (counted && verify_key(key).is_ok()).then(|| key.to_owned())
}

/// Adds the names of all files below `folder`, itself called `name`. A link to a folder is not followed.
fn walk(folder: &Path, name: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let own = join(name, &entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), &own, names)?,
            false => names.push(own),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_names_lead_back_to_their_key() {
        for (name, key) in [
            ("shards/00000.parquet#1", Some("shards/00000.parquet")),
            ("a#12", Some("a")),
            ("a#1x", None),
            ("a#", None),
            ("a b#1", None),
            ("#1", None),
        ] {
            assert_eq!(staged_key(name).as_deref(), key, "{name}");
        }
    }

    #[test]
    fn strangers_are_named_and_only_staging_files_removed() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path().to_str().unwrap()).unwrap();
        store.create("a/key", "x".into()).unwrap();
        for name in ["a/key#1", "a/key copy", "a/other#3", "b#1"] {
            fs::write(root.path().join(name), "x").unwrap();
        }
        let names = |prefix: &str| -> Vec<String> {
            store.strangers(prefix).unwrap().into_iter().map(|stranger| stranger.name).collect()
        };
        assert_eq!(names(""), ["a/key copy", "a/key#1", "a/other#3", "b#1"]);
        assert_eq!(store.child("a").strangers("").unwrap().len(), 3);
        assert_eq!(store.remove_unfinished("a", |key| key == "a/key").unwrap(), ["a/key#1"]);
        assert_eq!(names("a"), ["a/key copy", "a/other#3"]);
        assert_eq!(names("nowhere"), [""; 0]);
        assert!(store.room().unwrap() > 0);
        assert_eq!(Store::open("memory://strangers").unwrap().room(), None);
    }
}
