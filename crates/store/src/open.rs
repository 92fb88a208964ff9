//! Builds the backend behind an address.

use crate::StoreError;
use crate::cloud;
use crate::endpoint;
use crate::error::scrub;
use crate::uri::Location;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A backend and where in it the store begins.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) reads: Arc<dyn ObjectStore>,
    pub(crate) writes: Arc<dyn ObjectStore>,
    pub(crate) base: Path,
    pub(crate) kind: Kind,
    /// Ranges are read from the file itself, on the caller's thread: a tenth of the time of three changes of thread. Not where
    /// faults are injected, which act on `reads`.
    pub(crate) direct: bool,
}

/// What differs between backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory: large files are linked into place.
    Directory,
    /// A bucket: large files go up in parts.
    Bucket,
    /// The memory of this process.
    Memory,
}

pub(crate) fn backend(location: &Location) -> Result<Backend, StoreError> {
    let uri = location.uri();
    let same = |objects: Arc<dyn ObjectStore>, base, kind| Backend {
        reads: Arc::clone(&objects),
        writes: objects,
        base,
        kind,
        direct: kind == Kind::Directory,
    };
    match location {
        Location::Directory(path) => {
            // The root is not created here: opening a mistyped address for reading must not make a directory.
            let base = Path::from_absolute_path(path)
                .map_err(|e| StoreError::BadUri { uri: uri.clone(), why: e.to_string() })?;
            Ok(same(Arc::new(LocalFileSystem::new().with_fsync(true)), base, Kind::Directory))
        }
        Location::Bucket { service, bucket, prefix } => {
            endpoint::verify(*service, &uri, |name| std::env::var(name).ok())?;
            let clients = cloud::clients(*service, bucket);
            let (reads, writes) = clients.map_err(|e| StoreError::BadUri { uri, why: scrub(&e.to_string()) })?;
            Ok(Backend { reads, writes, base: Path::from(prefix.as_str()), kind: Kind::Bucket, direct: false })
        }
        Location::Memory { name, prefix } => Ok(same(memory(name), Path::from(prefix.as_str()), Kind::Memory)),
    }
}

/// The named in-memory store; the same name is the same store for the whole process.
fn memory(name: &str) -> Arc<dyn ObjectStore> {
    static STORES: OnceLock<Mutex<HashMap<String, Arc<InMemory>>>> = OnceLock::new();
    let stores = STORES.get_or_init(Mutex::default);
    let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(stores.entry(name.to_owned()).or_default()) as Arc<dyn ObjectStore>
}
