//! Creating: one winner, and a winner that learns it even when the answer was lost.
//!
//! After a refused create the object itself decides. Absent: S3 answers 409 to creates that ran at the same time,
//! sometimes with nothing written, so it is tried again. Marked by this very call: an earlier try had won and its answer
//! was lost. Anything else: another was first.

use crate::mark::Mark;
use crate::open::Kind;
use crate::outcome::{Outcome, io_kind};
use crate::retry::{BEGINNINGS, answer_was_lost, pause};
use crate::{Store, StoreError, local};
use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{
    Attributes, GetOptions, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    WriteMultipart,
};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Files up to this size go to a bucket in one create-only request; larger ones in parts.
const ONE_REQUEST: u64 = 512 << 20;
/// As [`ONE_REQUEST`], of bytes in memory, which carry their digest either way.
const LARGE: u64 = 128 << 20;
/// Bytes of one part of a large upload, and how many are under way at once.
const PART: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 4;
/// How often a create that was refused although nothing exists is tried again.
const CREATE_TRIES: u32 = 5;

/// What the key says after a create without a clear answer.
enum Found {
    Nothing,
    Ours,
    Theirs,
}

/// What goes up in parts.
enum Source {
    Bytes(Bytes),
    /// A file and its path.
    File(std::fs::File, String),
}

impl Source {
    /// Part `number`; empty after the last.
    fn part(&mut self, number: u64) -> Result<Bytes, StoreError> {
        let at = number * PART as u64;
        match self {
            Self::Bytes(bytes) => {
                let start = bytes.len().min(usize::try_from(at).unwrap_or(usize::MAX));
                Ok(bytes.slice(start..bytes.len().min(start + PART)))
            }
            Self::File(file, path) => {
                let mut part = Vec::with_capacity(PART);
                file.seek(SeekFrom::Start(at))
                    .and_then(|_| file.take(PART as u64).read_to_end(&mut part))
                    .map_err(|error| StoreError::Source { path: path.clone(), detail: error.to_string() })?;
                Ok(part.into())
            }
        }
    }
}

impl Store {
    /// Creates `key`. Atomic: readers see all bytes or no key; of several writers one wins. Durable when it returns.
    ///
    /// A lost answer of the server is not an error: the key's content shows who wrote it. In a bucket more than 128 MiB go up in parts:
    /// no service takes more than 5 GB in one request. They appear whole or not at all, but the check that the key is free
    /// and the end of the upload are two steps, so such keys must be unique to their writer.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when another was first, [`Full`](StoreError::Full), and as [`get`](Self::get).
    /// After [`Unavailable`](StoreError::Unavailable) the key may or may not be there.
    pub fn create(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(key)?;
        if self.backend.kind == Kind::Bucket && bytes.len() as u64 > LARGE {
            return self.upload(key, &mut Source::Bytes(bytes));
        }
        if self.backend.kind == Kind::Directory {
            return self.create_in_directory(key, &path, &bytes);
        }
        let mark = Mark::new();
        let attributes = mark.attributes(Some(&bytes));
        let (mut lost, mut conflicts) = (0, 0);
        let (mut patient, uri) = (self.patience.wait(), self.uri_of(key));
        loop {
            let put = self.put_once(&path, &bytes, &attributes);
            patient.ended(&put, &uri);
            let Err(error) = put else { return Ok(()) };
            let refused = matches!(error, object_store::Error::AlreadyExists { .. });
            if !(refused || answer_was_lost(&error) || Outcome::of(&error).came_damaged()) {
                // The mark stays: if this try was stored after all, the next is refused and finds its own mark.
                if patient.again(&error, &uri) {
                    continue;
                }
                return self.name("created", key, Err(error));
            }
            match self.found(key, &mark)? {
                Found::Ours => return Ok(()),
                Found::Theirs => return Err(StoreError::AlreadyExists { uri }),
                Found::Nothing if refused => conflicts += 1,
                Found::Nothing => lost += 1,
            }
            if conflicts == CREATE_TRIES {
                let detail = "each time it conflicted with another create, and none won".to_owned();
                let (operation, attempts) = ("created", conflicts + lost);
                return Err(StoreError::Unavailable { uri, operation, attempts, detail });
            }
            if lost == BEGINNINGS {
                if !patient.again(&error, &uri) {
                    return self.name("created", key, Err(error));
                }
                lost = 0;
            }
            pause(conflicts + lost);
        }
    }

    /// One create-only request.
    fn put_once(&self, path: &ObjectPath, bytes: &Bytes, attributes: &Attributes) -> object_store::Result<PutResult> {
        let (objects, path, payload) = (Arc::clone(&self.backend.writes), path.clone(), bytes.clone());
        let options = PutOptions { mode: PutMode::Create, attributes: attributes.clone(), ..Default::default() };
        self.wait(async move { objects.put_opts(&path, PutPayload::from(payload), options).await })
    }

    /// [`create`](Self::create) in a directory, where an answer is never lost.
    fn create_in_directory(&self, key: &str, path: &ObjectPath, bytes: &Bytes) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let put = self.put_once(path, bytes, &Attributes::default());
            self.patience.answered(&put);
            let Err(error) = put else { return Ok(()) };
            tries += 1;
            // The staging file was removed by someone who tidied up: either the key exists by now, or it is written again.
            let tidied_up = io_kind(&error) == Some(ErrorKind::NotFound);
            if tidied_up && self.exists(key)? {
                return Err(StoreError::AlreadyExists { uri: self.uri_of(key) });
            }
            if !tidied_up || tries == BEGINNINGS {
                return self.name("created", key, Err(error));
            }
        }
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

    /// Creates `key` from a file of any size without holding it in memory whole (up to 512 MiB are, in a bucket).
    ///
    /// On a directory as atomic as [`create`](Self::create). In a bucket a file above 512 MiB goes up in parts: it appears whole
    /// or not at all, but the check that the key is free and the end of the upload are two steps, so such keys must be
    /// unique to their writer (attempt number in the key, then a small record that publishes it). It carries no digest.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`StoreError::Source`] when `file` cannot be read.
    pub fn create_file(&self, key: &str, file: &Path) -> Result<(), StoreError> {
        let unreadable =
            |e: std::io::Error| StoreError::Source { path: file.display().to_string(), detail: e.to_string() };
        let mut source = std::fs::File::open(file).map_err(unreadable)?;
        let size = source.metadata().map_err(unreadable)?.len();
        if self.backend.kind == Kind::Directory {
            return local::create_file(file, &self.file(key)?)
                .map_err(|e| StoreError::from_io(e, "created", self.uri_of(key)));
        }
        if size <= ONE_REQUEST {
            let mut bytes = Vec::with_capacity(size as usize);
            source.read_to_end(&mut bytes).map_err(unreadable)?;
            return self.create(key, bytes.into());
        }
        self.upload(key, &mut Source::File(source, file.display().to_string()))
    }

    /// Uploads in parts, from the start again for as long as this store's patience lasts while the store is away.
    fn upload(&self, key: &str, source: &mut Source) -> Result<(), StoreError> {
        let path = self.path(key)?;
        if self.exists(key)? {
            return Err(StoreError::AlreadyExists { uri: self.uri_of(key) });
        }
        let mark = Mark::new();
        let attributes = match source {
            Source::Bytes(bytes) => mark.attributes(Some(bytes)),
            Source::File(..) => mark.attributes(None),
        };
        let (mut patient, uri) = (self.patience.wait(), self.uri_of(key));
        loop {
            let uploaded = self.upload_once(&path, attributes.clone(), source)?;
            patient.ended(&uploaded, &uri);
            let Err(error) = uploaded else { return Ok(()) };
            // The end was repeated after a lost answer, and the server no longer knows the upload.
            if matches!(self.found(key, &mark)?, Found::Ours) {
                return Ok(());
            }
            if !patient.again(&error, &uri) {
                return self.name("created", key, Err(error));
            }
        }
    }

    /// One upload. The outer error is that of the source.
    fn upload_once(
        &self,
        path: &ObjectPath,
        attributes: Attributes,
        source: &mut Source,
    ) -> Result<object_store::Result<()>, StoreError> {
        let mut options = PutMultipartOptions::from(attributes);
        if let Some(policy) = self.patience.of_parts() {
            options = options.with_retry_policy(policy);
        }
        let (objects, path) = (Arc::clone(&self.backend.writes), path.clone());
        let begun = self.wait(async move { objects.put_multipart_opts(&path, options).await });
        let mut upload = match begun {
            Ok(upload) => WriteMultipart::new_with_chunk_size(upload, PART),
            Err(error) => return Ok(Err(error)),
        };
        for number in 0.. {
            let part = match source.part(number) {
                Ok(part) if part.is_empty() => break,
                Ok(part) => part,
                Err(error) => {
                    // The parts cost storage until the bucket's lifecycle rule ends them; say the first error only.
                    let _ = self.wait(upload.abort());
                    return Err(error);
                }
            };
            // The upload itself comes back even where a part of it failed.
            let step = self.wait(async move {
                let ready = upload.wait_for_capacity(PARTS_AT_ONCE).await;
                if ready.is_ok() {
                    upload.put(part);
                }
                Ok((upload, ready))
            });
            match step {
                Ok((going, Ok(()))) => upload = going,
                Ok((failed, Err(error))) => {
                    let _ = self.wait(failed.abort());
                    return Ok(Err(error));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(self.wait(upload.finish()).map(drop))
    }

    /// Whose object `key` holds.
    fn found(&self, key: &str, mark: &Mark) -> Result<Found, StoreError> {
        let path: ObjectPath = self.path(key)?;
        let looked = self.outlast(key, || {
            let (objects, path) = (Arc::clone(&self.backend.writes), path.clone());
            let options = GetOptions::new().with_head(true);
            self.wait(async move { objects.get_opts(&path, options).await.map(|found| found.attributes) })
        });
        match looked {
            Ok(attributes) if mark.made(&attributes) => Ok(Found::Ours),
            Ok(_) => Ok(Found::Theirs),
            Err(object_store::Error::NotFound { .. }) => Ok(Found::Nothing),
            Err(error) => self.name("looked up", key, Err(error)),
        }
    }
}
