//! A backend that fails on purpose, call by call.

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a call to the backend does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server cannot be reached; nothing happens.
    Unavailable,
    /// The credentials are refused; nothing happens.
    Denied,
    /// "Already exists" although nothing does, as S3's 409 after creates at the same time.
    FalseConflict,
    /// The work is done and the reply is lost.
    LostReply,
}

impl Fault {
    fn error(self, location: &Path) -> Error {
        let (path, source) = (location.to_string(), "injected".into());
        match self {
            Self::Denied => Error::PermissionDenied { path, source },
            Self::FalseConflict => Error::AlreadyExists { path, source },
            Self::Unavailable | Self::LostReply => Error::Generic { store: "Faulty", source },
        }
    }
}

/// Passes every call on, except those named in `faults` by their number (from 0, over all kinds of calls).
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    faults: BTreeMap<u64, Fault>,
    calls: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self { inner, faults: faults.into_iter().collect(), calls: AtomicU64::new(0) }
    }

    /// The fault of this call, if any: an error now, or `Some` when the reply is to be lost after the work.
    fn gate(&self, location: &Path) -> Result<Option<Fault>> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.faults.get(&call) {
            None => Ok(None),
            Some(Fault::LostReply) => Ok(Some(Fault::LostReply)),
            Some(fault) => Err(fault.error(location)),
        }
    }
}

fn lose<T>(fault: Option<Fault>, location: &Path, reply: T) -> Result<T> {
    match fault {
        None => Ok(reply),
        Some(fault) => Err(fault.error(location)),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let fault = self.gate(location)?;
        lose(fault, location, self.inner.put_opts(location, payload, opts).await?)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.gate(location)?;
        lose(fault, location, self.inner.put_multipart_opts(location, opts).await?)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.gate(location)?;
        lose(fault, location, self.inner.get_opts(location, options).await?)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.gate(&Path::default()) {
            Err(error) => stream::once(async move { Err(error) }).boxed(),
            Ok(_) => self.inner.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.gate(prefix.unwrap_or(&Path::default())) {
            Err(error) => stream::once(async move { Err(error) }).boxed(),
            Ok(_) => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let at = prefix.cloned().unwrap_or_default();
        let fault = self.gate(&at)?;
        lose(fault, &at, self.inner.list_with_delimiter(prefix).await?)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let fault = self.gate(to)?;
        lose(fault, to, self.inner.copy_opts(from, to, options).await?)
    }
}
