//! Whole shards kept in a local folder, up to a limit of bytes, shared by all processes of a node.
//!
//! A walk over a set touches its rows in random order, so throwing out what was used longest ago would throw out everything
//! before it is used again. What is here therefore stays: shards are fetched in the order in which they are first touched until
//! the folder is full, the rest is read row by row as without a cache. Room is made only at the cost of shards that this set
//! does not have. A read never waits for a fetch: until the shard is here, it goes to the store.

use crate::{Manifest, ShardError};
use bytes::Bytes;
use run_spec::ids::Digest;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use store::Store;

/// Bytes fetched at a time: what a fetch holds in memory.
const PIECE: u64 = 8 << 20;
/// Ending of whole shards.
const WHOLE: &str = "shard";
/// Ending of shards on their way.
const PART: &str = "part";

/// A folder of whole shards, named by their digests.
#[derive(Debug)]
pub struct ShardCache {
    inner: Arc<Inner>,
    wanted: Sender<Wanted>,
}

/// How a cache has done so far, in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheReport {
    /// Shards that reads are served from.
    pub here: u64,
    /// Shards for which there is no room.
    pub no_room: u64,
    /// Shards that could not be fetched or were not what the manifest says.
    pub failed: u64,
    /// Reads served from the folder.
    pub hits: u64,
    /// Reads that went to the store.
    pub misses: u64,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    limit: u64,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    shards: HashMap<Digest, Slot>,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
enum Slot {
    /// The fetcher was asked for it and has not ended.
    Wanted,
    /// Another process fetches it.
    Elsewhere,
    Here(Arc<File>),
    NoRoom,
    Failed,
}

#[derive(Debug)]
struct Wanted {
    store: Store,
    key: String,
    digest: Digest,
    bytes: u64,
    /// The shards of the set, which make no room for each other.
    set: Arc<HashSet<Digest>>,
}

/// A set's part of a cache.
#[derive(Debug, Clone)]
pub(crate) struct CachedSet {
    cache: Arc<ShardCache>,
    set: Arc<HashSet<Digest>>,
}

impl ShardCache {
    /// A cache in `folder`, made if need be, of at most `limit` bytes whoever fetched them.
    ///
    /// # Errors
    /// [`ShardError::Cache`] for a folder that cannot be made or written.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, ShardError> {
        let bad = |e: io::Error| ShardError::Cache { folder: folder.display().to_string(), why: e.to_string() };
        fs::create_dir_all(folder).map_err(bad)?;
        let inner = Arc::new(Inner { folder: folder.to_owned(), limit, slots: Mutex::default() });
        inner.lock().map_err(bad)?;
        let (wanted, queue) = channel();
        let fetcher = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("shard cache".to_owned())
            .spawn(move || fetcher.fetch_all(&queue))
            .map_err(bad)?;
        Ok(Self { inner, wanted })
    }

    /// How it has done so far.
    pub fn report(&self) -> CacheReport {
        let slots = self.inner.slots();
        let count = |is: fn(&Slot) -> bool| slots.shards.values().filter(|slot| is(slot)).count() as u64;
        CacheReport {
            here: count(|slot| matches!(slot, Slot::Here(_))),
            no_room: count(|slot| matches!(slot, Slot::NoRoom)),
            failed: count(|slot| matches!(slot, Slot::Failed)),
            hits: slots.hits,
            misses: slots.misses,
        }
    }
}

impl CachedSet {
    pub(crate) fn new(cache: Arc<ShardCache>, manifest: &Manifest) -> Self {
        Self { cache, set: Arc::new(manifest.shards.iter().map(|shard| shard.digest).collect()) }
    }

    /// These bytes of the shard, if it is here. If not, it is asked for, once.
    pub(crate) fn get_range(
        &self,
        store: &Store,
        key: &str,
        digest: Digest,
        bytes: u64,
        range: Range<u64>,
    ) -> Option<Bytes> {
        let inner = &self.cache.inner;
        let found = {
            let mut slots = inner.slots();
            if let None | Some(Slot::Elsewhere) = slots.shards.get(&digest)
                && let Some(file) = inner.found(digest, bytes)
            {
                slots.shards.insert(digest, Slot::Here(Arc::new(file)));
            }
            let found = match slots.shards.get(&digest) {
                Some(Slot::Here(file)) => Some(Arc::clone(file)),
                Some(_) => None,
                None => {
                    slots.shards.insert(digest, Slot::Wanted);
                    let (store, key, set) = (store.clone(), key.to_owned(), Arc::clone(&self.set));
                    // The fetcher lives as long as the sender does.
                    drop(self.cache.wanted.send(Wanted { store, key, digest, bytes, set }));
                    None
                }
            };
            match found {
                Some(_) => slots.hits += 1,
                None => slots.misses += 1,
            }
            found
        };
        let mut data = vec![0; usize::try_from(range.end - range.start).ok()?];
        match found?.read_exact_at(&mut data, range.start) {
            Ok(()) => Some(data.into()),
            Err(_) => {
                self.forget(digest);
                None
            }
        }
    }

    pub(crate) fn report(&self) -> CacheReport {
        self.cache.report()
    }

    /// Takes a shard that turned out damaged out of the cache.
    pub(crate) fn forget(&self, digest: Digest) {
        let inner = &self.cache.inner;
        let mut slots = inner.slots();
        if let Some(slot @ Slot::Here(_)) = slots.shards.get_mut(&digest) {
            *slot = Slot::Failed;
            // Whoever else reads it finds the damage too, or has it gone.
            drop(fs::remove_file(inner.path(digest, WHOLE)));
        }
    }
}

impl Inner {
    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        // Each change is one insertion: a panic elsewhere leaves nothing half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, digest: Digest, ending: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{ending}"))
    }

    /// A shard that this or another process has put here. It counts as used now.
    fn found(&self, digest: Digest, bytes: u64) -> Option<File> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(digest, WHOLE)).ok()?;
        if file.metadata().ok()?.len() != bytes {
            return None;
        }
        drop(file.set_modified(SystemTime::now()));
        Some(file)
    }

    fn fetch_all(&self, queue: &Receiver<Wanted>) {
        for wanted in queue {
            let slot = match self.fetch(&wanted) {
                Ok(slot) => slot,
                Err(_) => Slot::Failed,
            };
            self.slots().shards.insert(wanted.digest, slot);
        }
    }

    /// Brings a shard here, if there is room.
    fn fetch(&self, wanted: &Wanted) -> Result<Slot, ShardError> {
        let bad = |e: io::Error| ShardError::Cache { folder: self.folder.display().to_string(), why: e.to_string() };
        let Some(mut part) = self.reserve(wanted).map_err(bad)? else {
            let there = self.path(wanted.digest, PART).exists() || self.path(wanted.digest, WHOLE).exists();
            return Ok(if there { Slot::Elsewhere } else { Slot::NoRoom });
        };
        let path = self.path(wanted.digest, PART);
        let fetched = (|| {
            let mut hasher = blake3::Hasher::new();
            for start in (0..wanted.bytes).step_by(PIECE as usize) {
                let piece = wanted.store.get_range(&wanted.key, start..wanted.bytes.min(start + PIECE))?;
                hasher.update(&piece);
                part.write_all(&piece).map_err(bad)?;
            }
            let found = Digest::from_bytes(*hasher.finalize().as_bytes());
            if found != wanted.digest {
                let shard = wanted.store.uri_of(&wanted.key);
                return Err(ShardError::Digest { shard, expected: wanted.digest, found });
            }
            part.sync_data().map_err(bad)?;
            fs::rename(&path, self.path(wanted.digest, WHOLE)).map_err(bad)
        })();
        if fetched.is_err() {
            drop(fs::remove_file(&path));
        }
        fetched?;
        Ok(self.found(wanted.digest, wanted.bytes).map_or(Slot::Failed, |file| Slot::Here(Arc::new(file))))
    }

    /// An empty file for the shard with its room set aside, locked for as long as it is open; nothing where there is no room
    /// or another process fetches it.
    fn reserve(&self, wanted: &Wanted) -> io::Result<Option<File>> {
        let _one_at_a_time = self.lock()?;
        if self.path(wanted.digest, WHOLE).exists() {
            return Ok(None);
        }
        let mut total = wanted.bytes;
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let Some(digest) = digest_of(&path) else { continue };
            let ending = path.extension().unwrap_or_default();
            let facts = entry.metadata()?;
            if ending == PART {
                if digest == wanted.digest {
                    continue;
                }
                // One whose process has ended is locked by nobody.
                if File::open(&path)?.try_lock().is_ok() {
                    fs::remove_file(&path)?;
                    continue;
                }
            } else if ending != WHOLE {
                continue;
            } else if !wanted.set.contains(&digest) {
                others.push((facts.modified()?, facts.len(), path));
            }
            total += facts.len();
        }
        others.sort();
        for (_, bytes, path) in others {
            if total <= self.limit {
                break;
            }
            fs::remove_file(path)?;
            total -= bytes;
        }
        if total > self.limit {
            return Ok(None);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.path(wanted.digest, PART))?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        // Its length is what others count as taken.
        file.set_len(wanted.bytes)?;
        Ok(Some(file))
    }

    /// Held while room is counted and set aside.
    fn lock(&self) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.folder.join("lock"))?;
        file.lock()?;
        Ok(file)
    }
}

fn digest_of(path: &Path) -> Option<Digest> {
    path.file_stem()?.to_str()?.parse().ok()
}
