//! Whether a model was trained on images that it is scored on.
//!
//! Two sets share images where they are the same set, hold images of the same source and path, or hold the same pixels.
//! Patches of one colour share their pixels with every other such patch and count for nothing.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use run_spec::ids::Digest;
use shards::ShardSet;
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
            Self::Image { source, image } => write!(f, "both sets hold image {image} of source {source}"),
            Self::Pixels { id } => write!(f, "the training set holds the pixels of {}", id.short()),
        }
    }
}

/// Whether the set that a run was trained on shares images with `eval`; `None` where the training set is not known.
///
/// * `trained_on` digest of the training set.
/// * `uri` where the training set lies, if that is known; another set that lies there now does not count.
///
/// # Errors
/// An evaluation set that cannot be read.
pub(crate) fn found(trained_on: &Digest, uri: Option<&str>, eval: &ShardSet) -> Result<Option<bool>> {
    if *trained_on == eval.digest() {
        tracing::warn!("transductive: {}", Shared::Set);
        return Ok(Some(true));
    }
    let Some(uri) = uri else {
        tracing::warn!("name the training set with --train-shards to find out whether it holds images of this set");
        return Ok(None);
    };
    let train = match Store::open(uri).map_err(Into::into).and_then(|store| ShardSet::open(&store)) {
        Ok(train) if train.digest() == *trained_on => train,
        Ok(_) => {
            tracing::warn!(
                uri,
                "another set than the run was trained on lies here: whether images are shared is not known"
            );
            return Ok(None);
        }
        Err(error) => {
            tracing::warn!(uri, %error, "the training set cannot be read: whether images are shared is not known");
            return Ok(None);
        }
    };
    let shared = shared(&train, eval)?;
    if let Some(shared) = &shared {
        tracing::warn!("transductive: {shared}");
    }
    Ok(Some(shared.is_some()))
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
    use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardWriter};

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
        assert_eq!(found(&eval.digest(), None, &eval).unwrap(), Some(true));
        assert_eq!(found(&Digest::of(b"gone"), None, &eval).unwrap(), None);
        assert_eq!(found(&Digest::of(b"gone"), Some("memory://nothing-here"), &eval).unwrap(), None);
        let train = set("chula", "5.png", 11);
        let uri = train.store().uri().to_owned();
        assert_eq!(found(&train.digest(), Some(&uri), &eval).unwrap(), Some(false));
        assert_eq!(found(&Digest::of(b"replaced"), Some(&uri), &eval).unwrap(), None, "another set lies there now");
    }
}
