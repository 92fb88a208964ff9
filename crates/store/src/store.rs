//! The blocking facade.

use crate::faulty::{Fault, Faulty};
use crate::key::{join, path, verify_key};
use crate::open::{Backend, Kind, backend};
use crate::runtime::wait;
use crate::uri::Location;
use crate::{StoreError, local};
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Files up to this size go to S3 in one create-only request; larger ones in parts.
const ONE_REQUEST: u64 = 512 << 20;
/// Bytes of one part of a large upload, and how many are under way at once.
const PART: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 4;
/// How often a create that was refused although nothing exists is tried again.
const CREATE_TRIES: u32 = 5;

/// A place for create-only records: a directory, an S3 prefix, or a named store in memory.
///
/// Cheap to clone; all calls block and may come from any thread.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
    root: Arc<str>,
    prefix: String,
    uri: String,
}

impl Store {
    /// Opens the store at `uri`: a path, `file:///path`, `s3://bucket/prefix` or `memory://name`.
    ///
    /// Touches neither disk nor network: a missing directory shows at the first read, and the first create makes it.
    ///
    /// # Errors
    /// [`StoreError::BadUri`].
    pub fn open(uri: &str) -> Result<Self, StoreError> {
        let location = Location::parse(uri)?;
        let uri = location.uri();
        Ok(Self { backend: backend(&location)?, root: uri.as_str().into(), prefix: String::new(), uri })
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
        Self { backend: self.backend.clone(), root: Arc::clone(&self.root), uri: join(&self.root, &prefix), prefix }
    }

    /// This store with faults injected at the given calls to the backend, counted from 0: for tests of recovery.
    pub fn with_faults(&self, faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let mut store = self.clone();
        store.backend.objects = Arc::new(Faulty::new(Arc::clone(&self.backend.objects), faults));
        store
    }

    /// All bytes of `key`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`Denied`](StoreError::Denied), [`Unavailable`](StoreError::Unavailable),
    /// [`BadKey`](StoreError::BadKey).
    pub fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let path = self.path(key)?;
        let objects = Arc::clone(&self.backend.objects);
        self.name(key, wait(async move { objects.get(&path).await?.bytes().await }))
    }

    /// Bytes `range` of `key`, in one request.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`StoreError::Range`] when the object ends before the range does.
    pub fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(key)?;
        let short = |size| StoreError::Range { uri: self.uri_of(key), start: range.start, end: range.end, size };
        if range.start >= range.end {
            return if range.start == range.end { Ok(Bytes::new()) } else { Err(short(0)) };
        }
        let objects = Arc::clone(&self.backend.objects);
        let options = GetOptions::new().with_range(Some(range.clone()));
        let result = wait(async move { objects.get_opts(&path, options).await?.bytes().await });
        match result {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(bytes) => Err(short(range.start + bytes.len() as u64)),
            // Backends word a range beyond the end each in its own way; the size tells.
            Err(error @ object_store::Error::Generic { .. }) => match self.size(key) {
                Ok(size) if size < range.end => Err(short(size)),
                _ => self.name(key, Err(error)),
            },
            Err(error) => self.name(key, Err(error)),
        }
    }

    /// Bytes in `key`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn size(&self, key: &str) -> Result<u64, StoreError> {
        let path = self.path(key)?;
        let objects = Arc::clone(&self.backend.objects);
        self.name(key, wait(async move { objects.head(&path).await.map(|meta| meta.size) }))
    }

    /// Whether `key` was created.
    ///
    /// # Errors
    /// As [`get`](Self::get), without `NotFound`.
    pub fn exists(&self, key: &str) -> Result<bool, StoreError> {
        match self.size(key) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates `key`. Atomic: readers see all bytes or no key; of several writers one wins. Durable when it returns.
    ///
    /// After a lost reply the key may hold this very call's bytes and yet `AlreadyExists` be returned: a caller who must
    /// know reads it back, or uses [`ensure`](Self::ensure).
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when another was first, [`Full`](StoreError::Full), and as [`get`](Self::get).
    pub fn create(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let mut wait_ms = 100;
        for _ in 0..CREATE_TRIES {
            let (objects, path, payload) = (Arc::clone(&self.backend.objects), path.clone(), bytes.clone());
            let options = PutOptions::from(PutMode::Create);
            let result = wait(async move { objects.put_opts(&path, PutPayload::from(payload), options).await });
            match self.name(key, result) {
                Ok(_) => return Ok(()),
                // S3 answers 409 to creates that ran at the same time, sometimes with nothing written, and the client
                // reports that as AlreadyExists too. Only an object that is there proves a winner.
                Err(StoreError::AlreadyExists { .. })
                    if self.backend.kind != Kind::Directory && !self.exists(key)? =>
                {
                    std::thread::sleep(Duration::from_millis(wait_ms));
                    wait_ms *= 2;
                }
                Err(error) => return Err(error),
            }
        }
        let detail = format!("creates of this key conflicted {CREATE_TRIES} times and none won");
        Err(StoreError::Unavailable { uri: self.uri_of(key), detail })
    }

    /// Creates `key`, or proves that it holds exactly these bytes already. Returns whether this call created it.
    ///
    /// # Errors
    /// [`StoreError::Differs`] when it holds others, and as [`create`](Self::create).
    pub fn ensure(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        match self.create(key, bytes.clone()) {
            Ok(()) => Ok(true),
            Err(StoreError::AlreadyExists { uri }) => match self.get(key)? == bytes {
                true => Ok(false),
                false => Err(StoreError::Differs { uri }),
            },
            Err(error) => Err(error),
        }
    }

    /// Creates `key` from a file of any size without holding it in memory whole (up to 512 MiB are, on S3).
    ///
    /// On a directory as atomic as [`create`](Self::create). On S3 a file above 512 MiB goes up in parts: it appears whole
    /// or not at all, but the check that the key is free and the end of the upload are two steps, so such keys must be
    /// unique to their writer (attempt number in the key, then a small record that publishes it).
    ///
    /// # Errors
    /// As [`create`](Self::create); [`StoreError::Source`] when `file` cannot be read.
    pub fn create_file(&self, key: &str, file: &Path) -> Result<(), StoreError> {
        let unreadable =
            |e: std::io::Error| StoreError::Source { path: file.display().to_string(), detail: e.to_string() };
        let mut source = std::fs::File::open(file).map_err(unreadable)?;
        let size = source.metadata().map_err(unreadable)?.len();
        if self.backend.kind == Kind::Directory {
            verify_key(&join(&self.prefix, key))?;
            let to = Path::new(&*self.root).join(join(&self.prefix, key));
            return local::create_file(file, &to).map_err(|e| StoreError::from_io(e, self.uri_of(key)));
        }
        if size <= ONE_REQUEST {
            let mut bytes = Vec::with_capacity(size as usize);
            source.read_to_end(&mut bytes).map_err(unreadable)?;
            return self.create(key, bytes.into());
        }
        self.upload_parts(key, &mut source, unreadable)
    }

    fn upload_parts(
        &self,
        key: &str,
        source: &mut std::fs::File,
        unreadable: impl Fn(std::io::Error) -> StoreError,
    ) -> Result<(), StoreError> {
        let path = self.path(key)?;
        if self.exists(key)? {
            return Err(StoreError::AlreadyExists { uri: self.uri_of(key) });
        }
        let objects = Arc::clone(&self.backend.objects);
        let upload = self.name(key, wait(async move { objects.put_multipart(&path).await }))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        loop {
            let mut part = Vec::with_capacity(PART);
            match source.by_ref().take(PART as u64).read_to_end(&mut part) {
                Ok(0) => return self.name(key, wait(upload.finish())).map(drop),
                Ok(_) => {}
                Err(error) => {
                    // The parts cost storage until the bucket's lifecycle rule ends them; say the first error only.
                    let _ = wait(upload.abort());
                    return Err(unreadable(error));
                }
            }
            let step = wait(async move {
                let ready = upload.wait_for_capacity(PARTS_AT_ONCE).await;
                if ready.is_ok() {
                    upload.put(Bytes::from(part));
                }
                (upload, ready)
            });
            upload = step.0;
            if let Err(error) = step.1 {
                let _ = wait(upload.abort());
                return self.name(key, Err(error));
            }
        }
    }

    /// All keys below `prefix` (whole parts: `run` does not match `runs/a`; empty for all), sorted, relative to the store.
    ///
    /// # Errors
    /// As [`get`](Self::get), without `NotFound`: nothing there is an empty list.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = prefix.trim_end_matches('/');
        let whole = join(&self.prefix, prefix);
        if !whole.is_empty() {
            verify_key(&whole)?;
        }
        let below = path(&self.backend.base, &whole);
        let own = path(&self.backend.base, &self.prefix);
        let objects = Arc::clone(&self.backend.objects);
        let listed = wait(async move { objects.list(Some(&below)).map_ok(|meta| meta.location).try_collect().await });
        let paths: Vec<ObjectPath> = match listed {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            other => self.name(prefix, other)?,
        };
        let key = |path: &ObjectPath| {
            let parts = path.prefix_match(&own)?;
            Some(parts.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        // Files that no key can spell (an editor's backup, a half upload) are not records.
        let mut keys: Vec<String> = paths.iter().filter_map(key).filter(|key| verify_key(key).is_ok()).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// Deletes `key`; one that is not there is no error. For garbage collection only: records are never deleted to be
    /// written anew.
    ///
    /// # Errors
    /// As [`get`](Self::get), without `NotFound`.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let objects = Arc::clone(&self.backend.objects);
        match self.name(key, wait(async move { objects.delete(&path).await })) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    fn path(&self, key: &str) -> Result<ObjectPath, StoreError> {
        // The key itself must be one: an empty key below a prefix would name the prefix.
        verify_key(key)?;
        let whole = join(&self.prefix, key);
        verify_key(&whole)?;
        Ok(path(&self.backend.base, &whole))
    }

    fn name<T>(&self, key: &str, result: object_store::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::from_object_store(error, self.uri_of(key)))
    }
}
