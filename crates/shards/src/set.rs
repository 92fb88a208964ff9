//! A shard set opened for reading: any row's columns from memory, any row's image in one ranged read.

use crate::cache::CachedSet;
use crate::codec::digest_of;
use crate::load::{LoadedShard, NO_LABEL, Names, PackedRow, load_shard};
use crate::page::image_of_page;
use crate::{CacheReport, Manifest, RgbImage, RowMeta, ShardCache, ShardError, Split};
use bytes::Bytes;
use parquet::file::metadata::ColumnChunkMetaData;
use run_spec::ids::Digest;
use run_spec::plan::SourceRows;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::Store;

/// Shards opened at the same time: two requests each, and the waiting is for the network.
const OPENERS: usize = 8;
/// How often damaged bytes are read before they are taken to be damaged where they lie.
const READINGS: u32 = 3;

/// An open shard set. Cheap to clone; all methods take `&self` and may be called from any thread.
///
/// # Examples
///
/// Writes a set of one black patch, and reads it:
///
/// ```
/// use run_spec::ids::{Digest, PatchKey, Product, patch_id};
/// use shards::{
///     Codec, Header, Manifest, PatchRow, RgbImage, ShardError, ShardLimits, ShardSet, ShardWriter, shard_key,
/// };
/// use store::Store;
///
/// let store = Store::open("memory://example")?;
/// let (product, codec) = (Product::Patches, Codec::Png);
/// let image = codec.encode(&RgbImage::new(8, 8))?;
/// let id = patch_id(&PatchKey { source: "smears", image: "a.png", x: 0, y: 0, w: 8, h: 8, product });
///
/// let mut writer = ShardWriter::new(product, codec, ShardLimits::default());
/// writer.push(PatchRow {
///     id,
///     pixel_digest: image.pixel_digest,
///     source: "smears".to_owned(),
///     image: "a.png".to_owned(),
///     group: "smears/patient-1".to_owned(),
///     x: 0,
///     y: 0,
///     w: 8,
///     h: 8,
///     label: None,
///     licence: "CC-BY-4.0".to_owned(),
///     bytes: image.bytes,
///     path: format!("{id}.png"),
/// })?;
/// let shard = writer.finish(&shard_key(0))?;
/// shard.publish(&store)?;
///
/// // The manifest comes last: it makes the set exist.
/// let config = Digest::of(b"the configuration of the build");
/// let header = Header { product, codec, builder: "example 1.0".to_owned(), config, patch_px: 8 };
/// let mut manifest = Manifest::builder(header);
/// manifest.add(&shard);
/// let digest = manifest.finish().publish(&store)?;
///
/// let set = ShardSet::open(&store)?;
/// assert_eq!((set.len(), set.digest()), (1, digest));
/// assert_eq!(&*set.meta(0)?.source, "smears");
/// assert_eq!(set.rgb(0)?, RgbImage::new(8, 8));
/// # Ok::<(), ShardError>(())
/// ```
#[derive(Clone)]
pub struct ShardSet {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    manifest: Manifest,
    digest: Digest,
    shards: Vec<Shard>,
    rows: Vec<PackedRow>,
    names: Vec<Arc<str>>,
    roles: BTreeMap<String, String>,
    cache: Option<CachedSet>,
}

struct Shard {
    key: String,
    digest: Digest,
    bytes: u64,
    first_row: u64,
    column: ColumnChunkMetaData,
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uri, rows) = (self.inner.store.uri(), self.len());
        f.debug_struct("ShardSet").field("uri", &uri).field("rows", &rows).finish_non_exhaustive()
    }
}

impl ShardSet {
    /// Opens the set at `store`: reads the manifest, and each shard's footer, page index and small columns.
    ///
    /// About 112 bytes per row stay in memory, and the distinct names. File digests are not checked here, which would read
    /// everything (see [`verify`](crate::verify)); pixels are, as they are decoded.
    ///
    /// # Errors
    /// The store's, and [`ShardError`]'s for a set that is not what its manifest says.
    pub fn open(store: &Store) -> Result<Self, ShardError> {
        Self::open_with(store, None)
    }

    /// As [`open`](Self::open), with images read from `cache` where their shards are in it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(store: &Store, cache: Option<Arc<ShardCache>>) -> Result<Self, ShardError> {
        let manifest = Manifest::read(store)?;
        let digest = manifest.digest();
        let mut shards = Vec::with_capacity(manifest.shards.len());
        let mut rows = Vec::with_capacity(usize::try_from(manifest.rows).unwrap_or(0).min(1 << 24));
        let mut names = Names::default();
        let mut roles = BTreeMap::new();
        for (entry, loaded) in manifest.shards.iter().zip(load_all(store, &manifest)) {
            let LoadedShard { rows: packed, names: own, column, roles: of_shard } = loaded?;
            roles.extend(of_shard);
            let numbers: Vec<u32> = own.texts.iter().map(|text| names.number(text)).collect();
            let first_row = rows.len() as u64;
            rows.extend(packed.into_iter().map(|row| renumbered(row, &numbers)));
            let (digest, bytes) = (entry.digest, entry.bytes);
            shards.push(Shard { key: entry.key.clone(), digest, bytes, first_row, column });
        }
        let names = names.texts;
        let cache = cache.map(|cache| CachedSet::new(cache, &manifest));
        Ok(Self {
            inner: Arc::new(Inner { store: store.clone(), manifest, digest, shards, rows, names, roles, cache }),
        })
    }

    /// Rows in the set.
    pub fn len(&self) -> u64 {
        self.inner.rows.len() as u64
    }

    /// Whether the set has no rows.
    pub fn is_empty(&self) -> bool {
        self.inner.rows.is_empty()
    }

    /// The digest of the manifest, which names the set.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// What the set holds.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The store that holds it.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// How the cache that the set was opened with has done so far.
    pub fn cache_report(&self) -> Option<CacheReport> {
        self.inner.cache.as_ref().map(CachedSet::report)
    }

    /// The columns of `row` without its image; from memory.
    ///
    /// # Errors
    /// [`ShardError::NoRow`].
    pub fn meta(&self, row: u64) -> Result<RowMeta, ShardError> {
        Ok(self.unpacked(self.packed(row)?))
    }

    /// The columns of all rows, in order; from memory.
    pub fn metas(&self) -> impl Iterator<Item = RowMeta> + '_ {
        self.inner.rows.iter().map(|row| self.unpacked(row))
    }

    /// The rows of each source, by name; what a plan that gives sources their shares is made of.
    pub fn source_rows(&self) -> Vec<SourceRows> {
        let mut sources: BTreeMap<&str, Vec<Range<u64>>> = BTreeMap::new();
        for (row, packed) in (0..).zip(&self.inner.rows) {
            let runs = sources.entry(&self.inner.names[packed.source as usize]).or_default();
            match runs.last_mut() {
                Some(run) if run.end == row => run.end = row + 1,
                _ => runs.push(row..row + 1),
            }
        }
        sources.into_iter().map(|(name, runs)| SourceRows { name: name.to_owned(), runs }).collect()
    }

    /// The role of each source, as the column `role` says it; empty for a set without splits.
    pub fn roles(&self) -> &BTreeMap<String, String> {
        &self.inner.roles
    }

    /// The encoded image of `row`: one ranged read of at most 1.1 times its bytes (a page header of some 30 bytes is all
    /// that comes with it).
    ///
    /// # Errors
    /// [`ShardError::NoRow`], the store's, [`ShardError::Row`] for a damaged page.
    pub fn image_bytes(&self, row: u64) -> Result<Bytes, ShardError> {
        read_again(|| self.page(row).inspect_err(|_| self.distrust_cache(row)))
    }

    fn page(&self, row: u64) -> Result<Bytes, ShardError> {
        let packed = self.packed(row)?;
        let shard = self.shard(row);
        let range = packed.page_at..packed.page_at + u64::from(packed.page_bytes);
        let store = &self.inner.store;
        let near = self
            .inner
            .cache
            .as_ref()
            .and_then(|cache| cache.get_range(store, &shard.key, shard.digest, shard.bytes, range.clone()));
        let page = match near {
            Some(page) => page,
            None => store.get_range(&shard.key, range)?,
        };
        image_of_page(&shard.column, packed.page_at, page)
            .map_err(|e| ShardError::row(&self.inner.store.uri_of(&shard.key), row - shard.first_row, e.to_string()))
    }

    /// The decoded image of `row`, checked against its pixel digest. A damaged one is read again: it may be whole where it
    /// lies, and have come damaged over the network.
    ///
    /// # Errors
    /// As [`image_bytes`](Self::image_bytes); [`ShardError::Row`] for bytes that are no image of the set's codec,
    /// [`ShardError::Pixels`] for other pixels than were written.
    pub fn rgb(&self, row: u64) -> Result<RgbImage, ShardError> {
        read_again(|| {
            let decoded = self.page(row).and_then(|bytes| self.decoded(row, &bytes));
            decoded.inspect_err(|_| self.distrust_cache(row))
        })
    }

    /// [`rgb`](Self::rgb) of bytes that [`image_bytes`](Self::image_bytes) has read before; read again where they are damaged.
    ///
    /// # Errors
    /// As [`rgb`](Self::rgb).
    pub fn rgb_of(&self, row: u64, bytes: &[u8]) -> Result<RgbImage, ShardError> {
        self.decoded(row, bytes).or_else(|_| {
            self.distrust_cache(row);
            self.rgb(row)
        })
    }

    fn decoded(&self, row: u64, bytes: &[u8]) -> Result<RgbImage, ShardError> {
        let packed = self.packed(row)?;
        let shard = self.shard(row);
        let name = || self.inner.store.uri_of(&shard.key);
        let local = row - shard.first_row;
        let rgb = self.inner.manifest.codec.decode(bytes).map_err(|e| ShardError::row(&name(), local, e))?;
        let (expected, found) = (packed.pixel_digest, digest_of(&rgb));
        if expected != found {
            return Err(ShardError::Pixels { shard: name(), row: local, expected, found });
        }
        Ok(rgb)
    }

    fn distrust_cache(&self, row: u64) {
        if let (Some(cache), Ok(_)) = (&self.inner.cache, self.packed(row)) {
            cache.forget(self.shard(row).digest);
        }
    }

    /// The split called `name`, which must cover every group of the set.
    ///
    /// # Errors
    /// The store's; [`ShardError::Split`].
    pub fn split(&self, name: &str) -> Result<Split, ShardError> {
        let split = Split::read(&self.inner.store, name, &self.digest())?;
        split.verify_covers(name, self.groups())?;
        Ok(split)
    }

    /// Publishes `split` under `name`, or proves that the same one is there already.
    ///
    /// # Errors
    /// The store's; [`ShardError::Split`] for one that does not cover the set.
    pub fn write_split(&self, name: &str, split: &Split) -> Result<(), ShardError> {
        split.verify_covers(name, self.groups())?;
        split.write(&self.inner.store, name, &self.digest())
    }

    /// Names of the published splits, sorted.
    ///
    /// # Errors
    /// The store's.
    pub fn split_names(&self) -> Result<Vec<String>, ShardError> {
        let name = |key: String| Some(key.strip_prefix("splits/")?.strip_suffix(".parquet")?.to_owned());
        Ok(self.inner.store.list("splits")?.into_iter().filter_map(name).collect())
    }

    fn groups(&self) -> impl Iterator<Item = &str> {
        self.inner.rows.iter().map(|row| &*self.inner.names[row.group as usize])
    }

    fn packed(&self, row: u64) -> Result<&PackedRow, ShardError> {
        let found = usize::try_from(row).ok().and_then(|row| self.inner.rows.get(row));
        found.ok_or_else(|| ShardError::NoRow {
            uri: self.inner.store.uri().to_owned(),
            row,
            rows: self.inner.rows.len() as u64,
        })
    }

    /// The shard of a row that exists.
    fn shard(&self, row: u64) -> &Shard {
        let after = self.inner.shards.partition_point(|shard| shard.first_row <= row);
        &self.inner.shards[after - 1]
    }

    fn unpacked(&self, row: &PackedRow) -> RowMeta {
        unpacked(row, &self.inner.names)
    }
}

/// A row with its names.
pub(crate) fn unpacked(row: &PackedRow, names: &[Arc<str>]) -> RowMeta {
    let name = |number: u32| Arc::clone(&names[number as usize]);
    RowMeta {
        id: row.id,
        pixel_digest: row.pixel_digest,
        source: name(row.source),
        image: name(row.image),
        group: name(row.group),
        x: row.x,
        y: row.y,
        w: row.w,
        h: row.h,
        label: (row.label != NO_LABEL).then(|| name(row.label)),
        licence: name(row.licence),
    }
}

fn renumbered(mut row: PackedRow, numbers: &[u32]) -> PackedRow {
    for name in [&mut row.source, &mut row.image, &mut row.group, &mut row.licence] {
        *name = numbers[*name as usize];
    }
    if row.label != NO_LABEL {
        row.label = numbers[row.label as usize];
    }
    row
}

/// Loads all shards, some at a time; results are in manifest order.
fn load_all(store: &Store, manifest: &Manifest) -> Vec<Result<LoadedShard, ShardError>> {
    let next = AtomicUsize::new(0);
    let open = || {
        let mut loaded = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = manifest.shards.get(i) else { return loaded };
            let fetch = |range| store.get_range(&entry.key, range).map_err(|e| shorter(e, store, entry));
            let uri = store.uri_of(&entry.key);
            let result = read_again(|| load_shard(&uri, entry, (manifest.product, manifest.codec), &fetch));
            loaded.push((i, result));
        }
    };
    let mut loaded: Vec<_> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS.min(manifest.shards.len())).map(|_| scope.spawn(open)).collect();
        openers.into_iter().flat_map(|opener| opener.join().expect("openers do not panic")).collect()
    });
    loaded.sort_by_key(|(i, _)| *i);
    loaded.into_iter().map(|(_, result)| result).collect()
}

/// Reads up to `READINGS` times while what comes is damaged; what the store could not deliver it has tried enough.
fn read_again<T>(read: impl Fn() -> Result<T, ShardError>) -> Result<T, ShardError> {
    for _ in 1..READINGS {
        match read() {
            Err(ShardError::Row { .. } | ShardError::Pixels { .. } | ShardError::Format { .. }) => {}
            other => return other,
        }
    }
    read()
}

fn shorter(error: store::StoreError, store: &Store, entry: &crate::ShardEntry) -> ShardError {
    match error {
        store::StoreError::Range { size, .. } => {
            let subject = store.uri_of(&entry.key);
            ShardError::Count { subject, what: "bytes", expected: entry.bytes, found: size }
        }
        other => other.into(),
    }
}
