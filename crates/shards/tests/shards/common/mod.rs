//! Small shard sets for tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test support; each test file uses a part")]

use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardWriter, shard_key};
use store::Store;

/// A patch that differs with every argument.
pub fn row(source: &str, image: &str, n: u32, side: u32, label: Option<&str>) -> PatchRow {
    let data = (0..side * side * 3).map(|i| (i.wrapping_mul(n * 2 + 1) ^ (i / 7)) as u8).collect();
    let encoded = Codec::Png.encode(&RgbImage::from_raw(side, side, data).unwrap()).unwrap();
    let (x, y) = (n as i32 * 10 - 5, -3);
    let product = Product::Patches;
    let id = patch_id(&PatchKey { source, image, x: x.into(), y: y.into(), w: side, h: side, product });
    PatchRow {
        id,
        pixel_digest: encoded.pixel_digest,
        source: source.into(),
        image: image.into(),
        group: format!("{source}/{image}"),
        x,
        y,
        w: side,
        h: side,
        label: label.map(Into::into),
        licence: "MIT".into(),
        path: format!("{}.png", id.short()),
        bytes: encoded.bytes,
    }
}

/// Ten images of two sources with `per_image` patches each.
pub fn rows(per_image: u32, side: u32) -> Vec<PatchRow> {
    let mut rows = Vec::new();
    for image in 0..10u32 {
        let source = if image < 6 { "alpha" } else { "beta ß" };
        for n in 0..per_image {
            let label = [None, Some("discocyte"), Some("target")][((image + n) % 3) as usize];
            rows.push(row(source, &format!("folder/{image} ö.jpg"), image * 100 + n, side, label));
        }
    }
    rows
}

/// Publishes `rows` in shards of `per_shard`, and the manifest.
pub fn publish(store: &Store, rows: &[PatchRow], per_shard: u64) -> Manifest {
    let header = Header {
        product: Product::Patches,
        codec: Codec::Png,
        builder: "test 1".into(),
        config: Digest::of(b"config"),
        patch_px: 16,
    };
    let mut manifest = Manifest::builder(header);
    for (number, part) in (0..).zip(rows.chunks(per_shard as usize)) {
        let mut writer = ShardWriter::new(Product::Patches, Codec::Png, ShardLimits::default());
        part.iter().for_each(|row| writer.push(row.clone()).unwrap());
        let shard = writer.finish(&shard_key(number)).unwrap();
        shard.publish(store).unwrap();
        manifest.add(&shard);
    }
    let manifest = manifest.finish();
    manifest.publish(store).unwrap();
    manifest
}
