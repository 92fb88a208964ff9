//! Reading: whole objects checked against the digest they were created with, ranges against their length.

use crate::local;
use crate::mark::agrees;
use crate::retry::{self, BEGINNINGS};
use crate::{Store, StoreError};
use bytes::Bytes;
use object_store::{GetOptions, ObjectStoreExt};
use std::ops::Range;
use std::sync::Arc;

impl Store {
    /// All bytes of `key`.
    ///
    /// In a bucket and in memory they are those that [`create`](Self::create) was given: a digest travels with the object, and
    /// a reply that does not agree with it is read again. A directory, and objects that other tools have put into a bucket, carry
    /// none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`Denied`](StoreError::Denied), [`Unavailable`](StoreError::Unavailable),
    /// [`Damaged`](StoreError::Damaged), [`BadKey`](StoreError::BadKey).
    pub fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let path = self.path(key)?;
        for reading in 1..=BEGINNINGS {
            let read = self.outlast(key, || {
                let (objects, path) = (Arc::clone(&self.backend.reads), path.clone());
                self.wait(async move {
                    let found = objects.get(&path).await?;
                    let (size, attributes) = (found.meta.size, found.attributes.clone());
                    Ok((size, attributes, found.bytes().await?))
                })
            });
            let (size, attributes, bytes) = self.name("read", key, read)?;
            if bytes.len() as u64 == size && agrees(&attributes, &bytes) {
                return Ok(bytes);
            }
            self.on_damage(key, reading);
        }
        Err(self.damaged(key))
    }

    /// Bytes `range` of `key`, in one request. Their number is checked; what they say, only the caller can check.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`StoreError::Range`] when the object ends before the range does.
    pub fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(key)?;
        let short = |size| StoreError::Range { uri: self.uri_of(key), start: range.start, end: range.end, size };
        if range.start >= range.end {
            return if range.start == range.end { Ok(Bytes::new()) } else { Err(short(0)) };
        }
        if self.backend.direct {
            let read = local::read_range(&self.file(key)?, range.clone());
            return match read {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(size)) => Err(short(size)),
                Err(error) => Err(StoreError::from_io(error, "read", self.uri_of(key))),
            };
        }
        let (mut reading, mut patient, uri) = (1, self.patience.wait(), self.uri_of(key));
        while reading <= BEGINNINGS {
            let read = retry::begin_again(|| {
                let (objects, path) = (Arc::clone(&self.backend.reads), path.clone());
                let options = GetOptions::new().with_range(Some(range.clone()));
                self.wait(async move {
                    let found = objects.get_opts(&path, options).await?;
                    Ok((found.meta.size, found.bytes().await?))
                })
            });
            patient.ended(&read, &uri);
            match read {
                Ok((_, bytes)) if bytes.len() as u64 == range.end - range.start => return Ok(bytes),
                Ok((size, _)) if size < range.end => return Err(short(size)),
                Ok(_) => {
                    self.on_damage(key, reading);
                    reading += 1;
                }
                // Backends word a range beyond the end each in its own way; the size tells, once the store answers.
                Err(error @ object_store::Error::Generic { .. }) => match self.size(key) {
                    Ok(size) if size < range.end => return Err(short(size)),
                    Ok(_) if patient.again(&error, &uri) => {}
                    _ => return self.name("read", key, Err(error)),
                },
                Err(error) => return self.name("read", key, Err(error)),
            }
        }
        Err(self.damaged(key))
    }

    /// Bytes in `key`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn size(&self, key: &str) -> Result<u64, StoreError> {
        let path = self.path(key)?;
        let found = self.outlast(key, || {
            let (objects, path) = (Arc::clone(&self.backend.reads), path.clone());
            self.wait(async move { objects.head(&path).await.map(|meta| meta.size) })
        });
        self.name("looked up", key, found)
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

    fn on_damage(&self, key: &str, reading: u32) {
        tracing::warn!(key = self.uri_of(key), reading, "the store returned damaged bytes: reading again");
        retry::pause(reading);
    }

    fn damaged(&self, key: &str) -> StoreError {
        StoreError::Damaged { uri: self.uri_of(key), reads: BEGINNINGS }
    }
}
