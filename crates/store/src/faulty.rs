//! A backend that fails on purpose, call by call.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
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
    /// A reading's reply ends in its middle without saying so; other calls work.
    Truncated,
    /// A reading's reply has a wrong byte; other calls work.
    WrongByte,
}

impl Fault {
    fn error(self, location: &Path) -> Error {
        let (path, source) = (location.to_string(), "injected".into());
        match self {
            Self::Denied => Error::PermissionDenied { path, source },
            Self::FalseConflict => Error::AlreadyExists { path, source },
            Self::LostReply => {
                let source = Box::new(HttpError::new_boxed(HttpErrorKind::Interrupted, source));
                Error::Generic { store: "Faulty", source }
            }
            Self::Unavailable | Self::Truncated | Self::WrongByte => Error::Generic { store: "Faulty", source },
        }
    }
}

/// Faults by the number of the call (from 0, over all kinds of calls and all clients of a store).
#[derive(Debug)]
pub(crate) struct Faults {
    faults: BTreeMap<u64, Fault>,
    calls: AtomicU64,
}

impl Faults {
    pub(crate) fn new(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self { faults: faults.into_iter().collect(), calls: AtomicU64::new(0) }
    }

    /// The fault of this call, if any: an error now, or `Some` when something happens to the reply after the work.
    fn gate(&self, location: &Path) -> Result<Option<Fault>> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.faults.get(&call).copied() {
            None => Ok(None),
            Some(fault @ (Fault::LostReply | Fault::Truncated | Fault::WrongByte)) => Ok(Some(fault)),
            Some(fault) => Err(fault.error(location)),
        }
    }
}

/// Passes every call on, except those that have a fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    faults: Arc<Faults>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    fn gate(&self, location: &Path) -> Result<Option<Fault>> {
        self.faults.gate(location)
    }
}

fn lose<T>(fault: Option<Fault>, location: &Path, reply: T) -> Result<T> {
    match fault {
        Some(Fault::LostReply) => Err(Fault::LostReply.error(location)),
        _ => Ok(reply),
    }
}

async fn damage(fault: Option<Fault>, reply: GetResult) -> Result<GetResult> {
    let Some(fault @ (Fault::Truncated | Fault::WrongByte)) = fault else { return Ok(reply) };
    let (meta, range, attributes, extensions) =
        (reply.meta.clone(), reply.range.clone(), reply.attributes.clone(), reply.extensions.clone());
    let mut bytes = reply.bytes().await?.to_vec();
    let middle = bytes.len() / 2;
    match fault {
        Fault::Truncated => bytes.truncate(middle),
        _ => bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1),
    }
    let payload = GetResultPayload::Stream(stream::once(async move { Ok(Bytes::from(bytes)) }).boxed());
    Ok(GetResult { payload, meta, range, attributes, extensions })
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
        damage(fault, lose(fault, location, self.inner.get_opts(location, options).await?)?).await
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
