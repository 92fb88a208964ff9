//! Whether a model was trained on images that it is scored on.
//!
//! The record of `shard-builder leaks` says so, where there is one, near-copies included. Without one, two sets share images where they
//! are the same set, hold images of the same source and path, or hold the same pixels. Patches of one colour share their
//! pixels with every other such patch and count for nothing.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use run_spec::ids::Digest;
use shards::ShardSet;
use shards::leaks::FoundLeaks;
use store::Store;

/// What two sets share, by the first thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shared {
    /// They are one set.
    Set,
    /// An image of the same source and path.
    Image {
        /// Name of the source.
        source: String,
        /// Path in the source.
        image: String,
    },
    /// The same pixels under other names.
    Pixels {
        /// Id of the patch or cell of the evaluation set.
        id: Digest,
    },
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set => write!(f, "the model was trained on this very set"),
            Self::Image { source, image } => write!(f, "both sets contain image {image} of source {source}"),
            Self::Pixels { id } => write!(f, "the training set contains the pixels of {}", id.short()),
        }
    }
}

/// Where to look for what was trained on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places<'a> {
    /// Where the training set lies, if that is known; another set that lies there now does not count.
    pub(crate) train: Option<&'a str>,
    /// A folder of records of leaks, besides those that lie beside the sets.
    pub(crate) leaks: Option<&'a str>,
}

/// Whether the set that a run was trained on shares images with `eval`; `None` where the training set is not known.
///
/// `trained_on` is the digest of the training set.
///
/// # Errors
/// An evaluation set that cannot be read.
pub(crate) fn found(trained_on: &Digest, places: &Places<'_>, eval: &ShardSet) -> Result<Option<bool>> {
    if *trained_on == eval.digest() {
        tracing::warn!("transductive: {}", Shared::Set);
        return Ok(Some(true));
    }
    if let Some(found) = recorded(trained_on, places, eval) {
        let pairs = found.leaks.pairs();
        if pairs > 0 {
            tracing::warn!(
                "transductive: the training set contains copies of images of this set ({}, listed in {})",
                terminal::counted(pairs, "pair"),
                found.table_uri()
            );
        }
        return Ok(Some(pairs > 0));
    }
    let Some(uri) = places.train else {
        tracing::warn!("name the training set with --train-shards to find out whether it contains images of this set");
        return Ok(None);
    };
    let train = match Store::open(uri).map_err(Into::into).and_then(|store| ShardSet::open(&store)) {
        Ok(train) if train.digest() == *trained_on => train,
        Ok(_) => {
            tracing::warn!(
                "{uri} is not the set on which the run was trained, so nobody knows whether images are shared"
            );
            return Ok(None);
        }
        Err(error) => {
            tracing::warn!(
                "{uri}: the training set cannot be read, so nobody knows whether images are shared: {error}"
            );
            return Ok(None);
        }
    };
    let shared = shared(&train, eval)?;
    if let Some(shared) = &shared {
        tracing::warn!("transductive: {shared}");
    }
    Ok(Some(shared.is_some()))
}

/// The record of what the two sets share. One that cannot be read is warned of: the sets are then compared here.
fn recorded(trained_on: &Digest, places: &Places<'_>, eval: &ShardSet) -> Option<FoundLeaks> {
    let train = places.train.and_then(|uri| Store::open(uri).ok());
    // Keys of records begin with the name of their folder.
    let more = places.leaks.and_then(|uri| Store::open_file(uri).ok()).map(|(store, _)| store);
    let stores: Vec<&Store> = [Some(eval.store()), train.as_ref(), more.as_ref()].into_iter().flatten().collect();
    FoundLeaks::find(&stores, trained_on, &eval.digest()).unwrap_or_else(|error| {
        tracing::warn!("the record of leaks cannot be read: {error}");
        None
    })
}

/// The first thing that `train` shares with `eval`.
fn shared(train: &ShardSet, eval: &ShardSet) -> Result<Option<Shared>> {
    let mut images = HashSet::new();
    let mut pixels = HashMap::new();
    for (row, meta) in (0u64..).zip(eval.metas()) {
        pixels.entry(meta.pixel_digest).or_insert((row, meta.id));
        images.insert((meta.source, meta.image));
    }
    for meta in train.metas() {
        if let Some((row, id)) = pixels.get(&meta.pixel_digest).copied() {
            if !of_one_colour(&eval.rgb(row)?) {
                return Ok(Some(Shared::Pixels { id }));
            }
            pixels.remove(&meta.pixel_digest);
        }
        let key = (meta.source, meta.image);
        if images.contains(&key) {
            return Ok(Some(Shared::Image { source: key.0.to_string(), image: key.1.to_string() }));
        }
    }
    Ok(None)
}

/// `rgb` is `[height × width × 3]`.
fn of_one_colour(rgb: &[u8]) -> bool {
    rgb.chunks_exact(3).all(|pixel| pixel == &rgb[..3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::ids::Product;
    use shards::leaks::{Comparison, Leak, LeakKind, LeakSide, Leaks};
    use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardWriter};

    fn at(uri: &str) -> Places<'_> {
        Places { train: Some(uri), leaks: None }
    }

    /// A set of one row: source, image, and a pixel pattern (0 is one colour).
    fn set(source: &str, image: &str, pattern: u8) -> ShardSet {
        let size = 8u32;
        let data =
            (0..size * size * 3).map(|i| if pattern == 0 { 200 } else { (i as u8).wrapping_mul(pattern) }).collect();
        let encoded = Codec::Png.encode(&RgbImage::from_raw(size, size, data).unwrap()).unwrap();
        let key = run_spec::ids::PatchKey { source, image, x: 0, y: 0, w: size, h: size, product: Product::Cells };
        let mut writer = ShardWriter::new(Product::Cells, Codec::Png, ShardLimits::default());
        writer
            .push(PatchRow {
                id: run_spec::ids::patch_id(&key),
                pixel_digest: encoded.pixel_digest,
                source: source.into(),
                image: image.into(),
                group: image.into(),
                x: 0,
                y: 0,
                w: size,
                h: size,
                label: Some("a".into()),
                licence: "CC0".into(),
                bytes: encoded.bytes,
                path: format!("{}.png", image.replace('/', "_")),
            })
            .unwrap();
        let store = Store::open(&format!("memory://transductive-{source}-{image}-{pattern}")).unwrap();
        let shard = writer.finish(&shards::shard_key(0)).unwrap();
        shard.publish(&store).unwrap();
        let header = Header {
            product: Product::Cells,
            codec: Codec::Png,
            builder: "test".into(),
            config: Digest::of(b"config"),
            patch_px: size,
        };
        let mut manifest = Manifest::builder(header);
        manifest.add(&shard);
        manifest.finish().publish(&store).unwrap();
        ShardSet::open(&store).unwrap()
    }

    #[test]
    fn images_are_shared_by_name_or_by_pixels_but_not_by_being_blank() {
        let eval = set("chula", "1.png", 7);
        let image = Shared::Image { source: "chula".into(), image: "1.png".into() };
        assert_eq!(shared(&set("chula", "1.png", 11), &eval).unwrap(), Some(image));
        assert!(matches!(shared(&set("other", "9.png", 7), &eval).unwrap(), Some(Shared::Pixels { .. })));
        assert_eq!(shared(&set("chula", "2.png", 11), &eval).unwrap(), None);
        assert_eq!(shared(&set("other", "9.png", 0), &set("chula", "3.png", 0)).unwrap(), None);
    }

    #[test]
    fn an_unknown_training_set_is_not_called_disjoint() {
        let eval = set("chula", "4.png", 7);
        assert_eq!(found(&eval.digest(), &Places::default(), &eval).unwrap(), Some(true));
        assert_eq!(found(&Digest::of(b"gone"), &Places::default(), &eval).unwrap(), None);
        assert_eq!(found(&Digest::of(b"gone"), &at("memory://nothing-here"), &eval).unwrap(), None);
        let train = set("chula", "5.png", 11);
        let uri = train.store().uri().to_owned();
        assert_eq!(found(&train.digest(), &at(&uri), &eval).unwrap(), Some(false));
        assert_eq!(found(&Digest::of(b"replaced"), &at(&uri), &eval).unwrap(), None, "another set lies there now");
    }
    #[test]
    fn a_record_of_leaks_is_believed_wherever_it_lies() {
        let (train, eval) = (set("chula", "6.png", 11), set("chula", "7.png", 7));
        let store = Store::open("memory://transductive-sweep").unwrap();
        let leak = Leak {
            kind: LeakKind::Near,
            score: 0.9,
            train_source: "chula".into(),
            train_image: "6.png".into(),
            evaluation_source: "chula".into(),
            evaluation_image: "7.png".into(),
        };
        let side =
            |set: &ShardSet| LeakSide { shards: set.digest(), images: 1, near: 1, small: 0, sources: Vec::new() };
        let record = Leaks::new("test".into(), Comparison::Near, (side(&train), side(&eval)), &[leak], 0);
        let uri = train.store().uri().to_owned();
        let places = Places { train: Some(&uri), leaks: Some("memory://transductive-sweep/leaks") };
        assert_eq!(found(&train.digest(), &places, &eval).unwrap(), Some(false), "no two pixels are shared");
        record.publish(&store, Vec::new(), None).unwrap();
        assert_eq!(found(&train.digest(), &places, &eval).unwrap(), Some(true));
        let gone = Places { train: None, ..places };
        assert_eq!(found(&train.digest(), &gone, &eval).unwrap(), Some(true), "the training set need not be there");
    }
}
