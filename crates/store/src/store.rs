//! The blocking facade: opening, listing, deleting. Reading is in `read`, creating in `create`.

use crate::StoreError;
use crate::faulty::{Fault, Faults, Faulty};
use crate::key::{join, path, verify_key};
use crate::open::{Backend, Kind, backend};
use crate::patience::{Patience, Waiting};
use crate::retry;
use crate::runtime;
use crate::uri::Location;
use clock::Clock;
use futures_util::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A place for create-only records: a directory, a prefix of a bucket, or a named store in memory.
///
/// Cheap to clone; all calls block and may come from any thread.
///
/// # Examples
///
/// ```
/// use store::{Store, StoreError};
///
/// let store = Store::open("memory://example")?;
/// store.create("runs/a/notes.txt", "first".into())?;
/// assert_eq!(store.get("runs/a/notes.txt")?, "first");
/// assert_eq!(store.list("runs")?, ["runs/a/notes.txt"]);
///
/// // A key is never overwritten.
/// let again = store.create("runs/a/notes.txt", "second".into());
/// assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
///
/// // A child sees the keys below a prefix.
/// assert_eq!(store.child("runs/a").get("notes.txt")?, "first");
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) backend: Backend,
    pub(crate) root: Arc<str>,
    pub(crate) prefix: String,
    pub(crate) patience: Arc<Patience>,
    uri: String,
}

impl Store {
    /// Opens the store at `uri`: a path, `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`
    /// or `memory://name`.
    ///
    /// Touches neither disk nor network: a missing directory shows at the first read, and the first create makes it.
    ///
    /// # Errors
    /// [`StoreError::BadUri`] and [`StoreError::Misspelt`].
    pub fn open(uri: &str) -> Result<Self, StoreError> {
        let location = Location::parse(uri)?;
        let uri = location.uri();
        let patience = Arc::new(Patience::none());
        Ok(Self { backend: backend(&location)?, root: uri.as_str().into(), prefix: String::new(), patience, uri })
    }

    /// Opens the folder of the file at `uri`, and gives the key of the file in it.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`], and those of [`open`](Self::open).
    pub fn open_file(uri: &str) -> Result<(Self, String), StoreError> {
        let (folder, name) = crate::uri::folder_and_name(uri)?;
        Ok((Self::open(folder)?, name.to_owned()))
    }

    /// The address of this store, normalised, without credentials.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The address of `key`, for messages.
    pub fn uri_of(&self, key: &str) -> String {
        join(&self.uri, key)
    }

    /// The store below `prefix`. A bad prefix shows at the first call that uses it.
    pub fn child(&self, prefix: &str) -> Self {
        let prefix = join(&self.prefix, prefix.trim_end_matches('/'));
        let (root, patience) = (Arc::clone(&self.root), Arc::clone(&self.patience));
        Self { backend: self.backend.clone(), root, uri: join(&self.root, &prefix), patience, prefix }
    }

    /// The store at another place of the same backend.
    pub(crate) fn based(&self, uri: String, base: ObjectPath) -> Self {
        let backend = Backend { base, ..self.backend.clone() };
        Self { backend, root: uri.as_str().into(), prefix: String::new(), patience: Arc::clone(&self.patience), uri }
    }

    /// This store, which is waited for up to `limit` in each call when it is away after it has answered before. A directory
    /// is never waited for.
    pub fn patient(&self, limit: Duration) -> Self {
        self.waiting(Waiting { limit, ..Waiting::default() })
    }

    /// This store, which is waited for as `waiting` says. A directory is never waited for.
    pub fn waiting(&self, waiting: Waiting) -> Self {
        Self { patience: Arc::new(Patience::of(waiting)), ..self.clone() }
    }

    /// As [`waiting`](Self::waiting), by a clock of the caller's: for tests.
    pub fn waiting_by(&self, waiting: Waiting, clock: Arc<dyn Clock>) -> Self {
        Self { patience: Arc::new(Patience::by(waiting, clock)), ..self.clone() }
    }

    /// This store with faults injected at the given calls to the backend, counted from 0: for tests of recovery.
    pub fn with_faults(&self, faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let mut store = self.clone();
        let faults = Arc::new(Faults::new(faults));
        let faulty = |objects: &Arc<dyn ObjectStore>| Arc::new(Faulty::new(Arc::clone(objects), Arc::clone(&faults)));
        store.backend.reads = faulty(&self.backend.reads);
        store.backend.writes = faulty(&self.backend.writes);
        store.backend.direct = false;
        store
    }

    /// All keys below `prefix` (whole parts: `run` does not match `runs/a`; empty for all), sorted, relative to the store.
    ///
    /// # Errors
    /// As [`get`](Self::get), without `NotFound`: nothing there is an empty list.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let own = path(&self.backend.base, &self.prefix);
        let key = |meta: &ObjectMeta| {
            let parts = meta.location.prefix_match(&own)?;
            Some(parts.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        // Files that no key can spell (an editor's backup, a half upload) are not records.
        let listed = self.objects(prefix)?;
        let mut keys: Vec<String> = listed.iter().filter_map(key).filter(|key| verify_key(key).is_ok()).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// When anything below `prefix` was last written, in seconds since 1970, by the clock of the store; `None` where nothing is
    /// there. Use it only to judge whether the writer is still alive.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn last_write(&self, prefix: &str) -> Result<Option<u64>, StoreError> {
        let written = |meta: &ObjectMeta| u64::try_from(meta.last_modified.timestamp()).ok();
        Ok(self.objects(prefix)?.iter().filter_map(written).max())
    }

    /// All objects below `prefix`.
    fn objects(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let prefix = prefix.trim_end_matches('/');
        let whole = join(&self.prefix, prefix);
        if !whole.is_empty() {
            verify_key(&whole)?;
        }
        let below = path(&self.backend.base, &whole);
        let listed = self.outlast(prefix, || {
            let (objects, below) = (Arc::clone(&self.backend.reads), below.clone());
            self.wait(async move { objects.list(Some(&below)).try_collect().await })
        });
        match listed {
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            other => self.name("listed", prefix, other),
        }
    }

    /// Deletes `key`; one that is not there is no error. For garbage collection only: records are never deleted to be
    /// written anew.
    ///
    /// # Errors
    /// As [`get`](Self::get), without `NotFound`.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let deleted = self.outlast(key, || {
            let (objects, path) = (Arc::clone(&self.backend.writes), path.clone());
            self.wait(async move { objects.delete(&path).await })
        });
        match self.name("deleted", key, deleted) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Does `call` again while its answer is lost, and for as long as this store's patience lasts while the store is away.
    pub(crate) fn outlast<T>(
        &self,
        key: &str,
        mut call: impl FnMut() -> object_store::Result<T>,
    ) -> object_store::Result<T> {
        let (mut wait, uri) = (self.patience.wait(), self.uri_of(key));
        loop {
            match retry::begin_again(&mut call) {
                Err(error) if self.backend.kind != Kind::Directory && wait.again(&error, &uri) => {}
                result => {
                    wait.ended(&result, &uri);
                    return result;
                }
            }
        }
    }

    /// Waits for `future` on the shared runtime; in a process that was asked to end, not for ever.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> object_store::Result<T> {
        if self.backend.kind == Kind::Directory {
            return runtime::wait(future);
        }
        let given_up = || object_store::Error::Generic {
            store: "store",
            source: "no answer came, and the process was asked to end".into(),
        };
        runtime::wait_unless(future, self.patience.gives_up()).unwrap_or_else(|| Err(given_up()))
    }

    pub(crate) fn path(&self, key: &str) -> Result<ObjectPath, StoreError> {
        // The key itself must be one: an empty key below a prefix would name the prefix.
        verify_key(key)?;
        let whole = join(&self.prefix, key);
        verify_key(&whole)?;
        Ok(path(&self.backend.base, &whole))
    }

    /// The file of `key`, in a store that is a directory.
    pub(crate) fn file(&self, key: &str) -> Result<PathBuf, StoreError> {
        verify_key(key)?;
        let whole = join(&self.prefix, key);
        verify_key(&whole)?;
        Ok(Path::new(&*self.root).join(whole))
    }

    /// Names the key and what was to be done with it in an error.
    pub(crate) fn name<T>(
        &self,
        operation: &'static str,
        key: &str,
        result: object_store::Result<T>,
    ) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::from_object_store(error, operation, self.uri_of(key)))
    }
}
