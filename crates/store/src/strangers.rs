//! What lies beside the keys: files that killed creates left behind, and files of others whose names no key can spell.
//!
//! A directory's creates are staged in `KEY#N` and linked into place. A process that is killed in between leaves that file, which
//! [`Store::list`] passes over. Readers that list the folder themselves may not.

use crate::key::{join, path, verify_key};
use crate::open::Kind;
use crate::retry;
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
    /// Call it only where each such key exists or will never count. A process that is still writing one of them gets the error
    /// that its key exists, if it does, or writes it again.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn remove_unfinished(&self, prefix: &str, counts: impl Fn(&str) -> bool) -> Result<Vec<String>, StoreError> {
        let mut removed = Vec::new();
        // Only a directory's creates leave such files: in a bucket there is nothing to list for.
        if self.backend.kind != Kind::Directory {
            return Ok(removed);
        }
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

    /// The folder of a store that is a directory, with links followed as far as it exists; nothing for buckets and memory.
    pub fn directory(&self) -> Option<PathBuf> {
        (self.backend.kind == Kind::Directory).then(|| real(&self.folder()))
    }

    /// The stores in whose folders or prefixes this one lies, from the nearest to the root or the bucket.
    ///
    /// Touches the file system of a directory, whose links are followed, and no network.
    pub fn above(&self) -> Vec<Self> {
        let places: Vec<(String, ObjectPath)> = match self.directory() {
            Some(folder) => {
                let place =
                    |folder: &Path| Some((folder.display().to_string(), ObjectPath::from_absolute_path(folder).ok()?));
                folder.ancestors().skip(1).filter_map(place).collect()
            }
            None => {
                let own = path(&self.backend.base, &self.prefix);
                let parts: Vec<_> = own.parts().collect();
                let mut uri = self.uri();
                let mut places = Vec::new();
                for length in (0..parts.len()).rev() {
                    uri = uri.rsplit_once('/').map_or(uri, |(above, _)| above);
                    places.push((uri.to_owned(), parts[..length].iter().cloned().collect()));
                }
                places
            }
        };
        places.into_iter().map(|(uri, base)| self.based(uri, base)).collect()
    }

    /// Removes the folders below `prefix` that hold nothing, in a store that is a directory: what deleted keys leave there.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn prune(&self, prefix: &str) -> Result<(), StoreError> {
        if self.backend.kind != Kind::Directory {
            return Ok(());
        }
        prune(&self.folder().join(prefix), false)
            .map_err(|error| StoreError::from_io(error, "deleted", self.uri_of(prefix)))
    }

    fn folder(&self) -> PathBuf {
        Path::new(&*self.root).join(&self.prefix)
    }

    fn object_names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let below = path(&self.backend.base, &join(&self.prefix, prefix));
        let own = path(&self.backend.base, &self.prefix);
        let listed = retry::begin_again(|| {
            let (objects, below) = (Arc::clone(&self.backend.reads), below.clone());
            self.wait(async move { objects.list(Some(&below)).map_ok(|meta| meta.location).try_collect().await })
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

/// A path with links followed as far as it exists.
fn real(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match there {
        Some((above, found)) => folder.strip_prefix(above).map_or_else(|_| folder.to_owned(), |rest| found.join(rest)),
        None => folder.to_owned(),
    }
}

/// Removes the empty folders below `folder`, and itself where it may go.
fn prune(folder: &Path, may_go: bool) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            prune(&entry.path(), true)?;
        }
    }
    if may_go && fs::read_dir(folder)?.next().is_none() {
        // A writer may put something there meanwhile, and then it stays.
        drop(fs::remove_dir(folder));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_above_are_named_and_links_followed() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir_all(root.join("set/shards")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("set/shards"), root.join("link")).unwrap();
        let above = |name: &str| Store::open(root.join(name).to_str().unwrap()).unwrap().above();
        let uri = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let first = |name: &str| above(name).iter().take(2).map(|store| store.uri().to_owned()).collect::<Vec<_>>();
        assert_eq!(first("set/shards/new/deep"), [uri("set/shards/new"), uri("set/shards")]);
        #[cfg(unix)]
        assert_eq!(first("link/new"), [uri("set/shards"), uri("set")]);
        let set = above("set/new").remove(0);
        set.create("key", "x".into()).unwrap();
        assert_eq!(fs::read(root.join("set/key")).unwrap(), b"x");
        let uris = |uri: &str| -> Vec<String> {
            Store::open(uri).unwrap().above().iter().map(|store| store.uri().to_owned()).collect()
        };
        assert_eq!(uris("memory://above/a/b"), ["memory://above/a", "memory://above"]);
        let memory = Store::open("memory://above").unwrap();
        memory.create("a/key", "x".into()).unwrap();
        assert_eq!(memory.child("a/b").above()[0].list("").unwrap(), ["key"]);
        assert_eq!(uris("memory://above"), [""; 0]);
    }

    #[test]
    fn empty_folders_go_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path().to_str().unwrap()).unwrap();
        fs::create_dir_all(root.path().join("a/empty/deep")).unwrap();
        store.create("a/full/key", "x".into()).unwrap();
        store.prune("a").unwrap();
        store.prune("nowhere").unwrap();
        assert!(!root.path().join("a/empty").exists() && store.exists("a/full/key").unwrap());
        store.delete("a/full/key").unwrap();
        store.prune("a").unwrap();
        assert!(root.path().join("a").is_dir() && !root.path().join("a/full").exists());
    }

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
        let elsewhere = Store::open("memory://strangers-removed").unwrap();
        assert_eq!(elsewhere.remove_unfinished("", |_| true).unwrap(), [""; 0]);
        assert!(store.room().unwrap() > 0);
        assert_eq!(Store::open("memory://strangers").unwrap().room(), None);
    }
}
