//! Writes a shard set of three patches (to the store named by the first argument), opens it, and reads one back.

use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardSet, ShardWriter, shard_key};
use store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args().nth(1).unwrap_or_else(|| "memory://round-trip".to_owned());
    let store = Store::open(&uri)?;
    let (product, codec) = (Product::Patches, Codec::Png);
    let mut writer = ShardWriter::new(product, codec, ShardLimits::default());
    for n in 0..3u8 {
        let rgb = RgbImage::from_fn(8, 8, |x, y| {
            image::Rgb([0, 1, 2].map(|channel| (((y * 8 + x) * 3) as u8 + channel).wrapping_mul(n)))
        });
        let encoded = codec.encode(&rgb)?;
        let (source, image) = ("example".to_owned(), format!("smear-{n}.png"));
        let key = PatchKey { source: &source, image: &image, x: 0, y: 0, w: 8, h: 8, product };
        let id = patch_id(&key);
        writer.push(PatchRow {
            id,
            pixel_digest: encoded.pixel_digest,
            group: format!("example/{image}"),
            path: format!("{}.{}", id.short(), codec.extension()),
            bytes: encoded.bytes,
            label: (n > 0).then(|| "discocyte".to_owned()),
            licence: "CC0-1.0".to_owned(),
            source,
            image,
            x: 0,
            y: 0,
            w: 8,
            h: 8,
        })?;
    }
    let shard = writer.finish(&shard_key(0))?;
    shard.publish(&store)?;
    let header = Header { product, codec, builder: "example 1".to_owned(), config: Digest::of(b"none"), patch_px: 8 };
    let mut manifest = Manifest::builder(header);
    manifest.add(&shard);
    let digest = manifest.finish().publish(&store)?;

    let set = ShardSet::open(&store)?;
    assert_eq!((set.len(), set.digest()), (3, digest));
    set.write_split("folds", &shards::grouped_kfold(set.metas(), 3, 0)?)?;
    assert_eq!(set.meta(2)?.label.as_deref(), Some("discocyte"));
    assert_eq!(set.rgb(2)?.as_raw()[191], 191u8.wrapping_mul(2));
    assert!(shards::verify(&store, shards::VerifyOptions::default())?.is_good());
    Ok(())
}
