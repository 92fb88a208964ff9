//! Builds the backend behind an address.

use crate::StoreError;
use crate::error::scrub;
use crate::retry::REQUESTS;
use crate::uri::Location;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::time::Duration;

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
    /// S3: large files go up in parts.
    S3,
    /// This process's memory.
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
        Location::S3 { bucket, prefix } => {
            let client = |defaults| s3(bucket, defaults);
            let clients = client(READS).and_then(|reads| Ok((reads, client(WRITES)?)));
            let (reads, writes) = clients.map_err(|e| StoreError::BadUri { uri, why: scrub(&e.to_string()) })?;
            Ok(Backend { reads, writes, base: Path::from(prefix.as_str()), kind: Kind::S3, direct: false })
        }
        Location::Memory { name, prefix } => Ok(same(memory(name), Path::from(prefix.as_str()), Kind::Memory)),
    }
}

/// A client setting that holds where the environment says nothing: its key, its variable, its value.
type Setting = (ClientConfigKey, &'static str, &'static str);
/// A whole request may take minutes for a 256 MiB shard on a slow line; the client's default is 30 s.
const WHOLE: Setting = (ClientConfigKey::Timeout, "AWS_TIMEOUT", "600s");
/// A reply that stalls is given up and its rest asked for again.
const READS: &[Setting] = &[WHOLE, (ClientConfigKey::ReadTimeout, "AWS_READ_TIMEOUT", "30s")];
/// The wait for the answer to a large upload counts as a stall, so writes have no such limit.
const WRITES: &[Setting] = &[WHOLE, (ClientConfigKey::ReadTimeout, "AWS_TIMEOUT", "600s")];

/// An S3 client from the environment, with retries that end: each request is sent at most 7 times, and not again later
/// than 90 s after the first.
fn s3(bucket: &str, defaults: &[Setting]) -> object_store::Result<Arc<dyn ObjectStore>> {
    static PROVIDER: Once = Once::new();
    // Fails when the program has chosen a provider already, which is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: REQUESTS as usize - 1,
        retry_timeout: Duration::from_secs(90),
    };
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
    if std::env::var_os("AWS_CHECKSUM_ALGORITHM").is_none() {
        // Not every server compares the bytes with the signature that covers them; with a checksum beside them they do.
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    for (key, variable, value) in defaults {
        let value = std::env::var(variable).unwrap_or_else(|_| (*value).to_owned());
        builder = builder.with_config(AmazonS3ConfigKey::Client(*key), value);
    }
    Ok(Arc::new(builder.build()?))
}

/// The named in-memory store; the same name is the same store for the whole process.
fn memory(name: &str) -> Arc<dyn ObjectStore> {
    static STORES: OnceLock<Mutex<HashMap<String, Arc<InMemory>>>> = OnceLock::new();
    let stores = STORES.get_or_init(Mutex::default);
    let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(stores.entry(name.to_owned()).or_default()) as Arc<dyn ObjectStore>
}
