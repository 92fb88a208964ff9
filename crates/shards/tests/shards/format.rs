//! What the format promises: one page per image, one read per patch, the same bytes for the same rows, files that last.

use crate::common::{publish, row, rows};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use proptest::prelude::*;
use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use shards::{
    Codec, FinishedShard, Header, Manifest, ShardLimits, ShardSet, ShardSplit, ShardWriter, VerifyOptions, digest_of,
    shard_key, split_shard_key, verify,
};
use std::path::Path;
use store::{Fault, Store};

#[test]
fn each_image_has_a_page_of_its_own() {
    let store = Store::open("memory://pages").unwrap();
    let rows = rows(30, 24);
    publish(&store, &rows, 1000);
    let file = store.get(&shard_key(0)).unwrap();
    let metadata =
        ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required).parse_and_finish(&file).unwrap();
    assert_eq!(metadata.num_row_groups(), 1);
    let index = metadata.page_index_for_row_group(0);
    let bytes_column = metadata.row_group(0).column(11);
    assert_eq!(bytes_column.column_path().string(), "image.bytes");
    assert_eq!(bytes_column.dictionary_page_offset(), None);
    let pages = index.page_locations(11).unwrap();
    assert_eq!(pages.len(), rows.len());
    for (page, row) in pages.iter().zip(&rows) {
        let overhead = page.compressed_page_size as usize - row.bytes.len();
        assert!(overhead < 64, "{overhead} bytes of header");
    }
    for small in 0..11 {
        assert_eq!(index.page_locations(small).unwrap().len(), 1, "column {small} has pages like any other file");
    }
}

#[test]
fn a_patch_is_one_read_of_little_more_than_its_bytes() {
    let store = Store::open("memory://one-read").unwrap();
    let rows = rows(3, 40);
    publish(&store, &rows, 8);
    // Manifest: size and bytes; four shards: two reads each. Every later call but one is made to fail.
    let opening = 2 + 4 * 2;
    let watched = store.with_faults((0..100).filter(|call| *call > opening).map(|call| (call, Fault::Unavailable)));
    let set = ShardSet::open(&watched).unwrap();
    assert_eq!(set.image_bytes(17).unwrap(), rows[17].bytes);
    assert!(set.image_bytes(17).is_err(), "the first image took one call, so the second meets the first fault");
    set.meta(17).unwrap();
}

#[test]
fn the_same_rows_give_the_same_files() {
    let rows = rows(20, 12);
    let (a, b) = (Store::open("memory://same/a").unwrap(), Store::open("memory://same/b").unwrap());
    assert_eq!(publish(&a, &rows, 64).digest(), publish(&b, &rows, 64).digest());
    for key in a.list("").unwrap() {
        assert_eq!(a.get(&key).unwrap(), b.get(&key).unwrap(), "{key}");
    }
}

#[test]
fn a_resumed_build_finds_what_it_wrote() {
    let store = Store::open("memory://resume").unwrap();
    let mut writer = ShardWriter::new(Product::Patches, Codec::Png, ShardLimits { rows: 7, bytes: 1 << 20 });
    for row in rows(1, 12) {
        if !writer.is_full() {
            writer.push(row).unwrap();
        }
    }
    assert_eq!(writer.rows(), 7);
    let shard = writer.finish(&shard_key(0)).unwrap();
    shard.publish(&store).unwrap();
    shard.publish(&store).unwrap();
    let find = |product| FinishedShard::find(&store, &shard_key(0), 7, (product, Codec::Png));
    assert_eq!(find(Product::Patches).unwrap().unwrap().0, shard);
    assert!(find(Product::Cells).is_err(), "a shard of another product");
}

#[test]
fn a_good_set_verifies_and_says_what_it_holds() {
    let store = Store::open("memory://good").unwrap();
    let mut rows = rows(4, 16);
    // A copy of the first patch under another name: its pixels lie in two groups.
    let copy = row("gamma", "copy.png", 0, 16, None);
    rows.push(copy);
    publish(&store, &rows, 9);
    let set = ShardSet::open(&store).unwrap();
    let own: Vec<(String, Vec<_>)> = set.source_rows().into_iter().map(|s| (s.name, s.runs)).collect();
    let stretch = |name: &str, rows| (name.into(), Vec::from([rows]));
    assert_eq!(own, [stretch("alpha", 0..24), stretch("beta ß", 24..40), stretch("gamma", 40..41)]);
    let split = shards::grouped_kfold(set.metas(), 4, 3).unwrap();
    set.write_split("folds", &split).unwrap();
    set.write_split("folds", &split).unwrap();
    set.write_split("sources", &shards::leave_one_source_out(set.metas()).unwrap()).unwrap();
    assert_eq!(set.split("folds").unwrap(), split);
    let report = verify(&store, VerifyOptions::default()).unwrap();
    assert!(report.is_good(), "{:?}", report.faults);
    assert_eq!((report.rows, report.shards, report.images_decoded, report.groups), (41, 5, 41, 11));
    let sources: Vec<(&str, u64, u64)> = report.sources.iter().map(|s| (s.name.as_str(), s.rows, s.images)).collect();
    assert_eq!(sources, [("alpha", 24, 6), ("beta ß", 16, 4), ("gamma", 1, 1)]);
    assert_eq!(report.splits[1].name, "sources");
    assert_eq!(report.splits[1].rows, [24, 16, 1]);
    assert_eq!(report.splits[1].shared_pixels, 1);
}

#[test]
fn rows_can_be_read_from_many_threads() {
    let store = Store::open("memory://threads").unwrap();
    let rows = rows(8, 16);
    publish(&store, &rows, 11);
    let set = ShardSet::open(&store).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (set, rows) = (set.clone(), &rows);
            scope.spawn(move || {
                for i in (thread..rows.len()).step_by(4) {
                    assert_eq!(digest_of(&set.rgb(i as u64).unwrap()), rows[i].pixel_digest);
                }
            });
        }
    });
}

/// Written by `cargo run -p shards --example round_trip -- tests/golden/shards-v1` with parquet 60.1.0; kept for ever, so
/// that a later reader still reads the first sets.
#[test]
fn the_first_shards_ever_written_still_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/shards-v1");
    let store = Store::open(root.to_str().unwrap()).unwrap();
    let report = verify(&store, VerifyOptions::default()).unwrap();
    assert!(report.is_good(), "{:?}", report.faults);
    assert_eq!((report.rows, report.splits.len()), (3, 1));
    let set = ShardSet::open(&store).unwrap();
    assert_eq!(&*set.meta(1).unwrap().image, "smear-1.png");
    assert_eq!(set.rgb(1).unwrap().into_raw(), (0..192).collect::<Vec<u8>>());
}

#[test]
fn rows_of_a_split_are_read_as_others_and_say_where_they_belong() {
    let store = Store::open("memory://splits").unwrap();
    let roles = [("alpha", "training"), ("beta ß", "evaluation")].map(|(source, role)| (source.into(), role.into()));
    let split = |name: &str| ShardSplit { name: name.into(), roles: roles.clone().into() };
    let writer = |name| ShardWriter::new(Product::Patches, Codec::Png, ShardLimits::default()).of_split(split(name));
    let (train, test): (Vec<_>, Vec<_>) = rows(3, 16).into_iter().partition(|row| row.source == "alpha");
    let content = Digest::of(b"content");
    let config = Digest::of(b"config");
    let header =
        Header { product: Product::Patches, codec: Codec::Png, builder: "test 1".into(), config, patch_px: 16 };
    let mut manifest = Manifest::builder(header);
    for (number, (name, rows)) in [("train", &train), ("test", &test)].into_iter().enumerate() {
        let mut writer = writer(name);
        rows.iter().for_each(|row| writer.push(row.clone()).unwrap());
        let shard = writer.finish(&split_shard_key(&content, name, number as u64)).unwrap();
        shard.publish(&store).unwrap();
        manifest.add(&shard);
    }
    let manifest = manifest.finish();
    manifest.publish(&store).unwrap();
    let set = ShardSet::open(&store).unwrap();
    assert_eq!((manifest.version(), set.manifest().shard_splits()), (2, vec!["train", "test"]));
    assert_eq!(set.roles().get("beta ß").map(String::as_str), Some("evaluation"));
    assert!(set.manifest().split_glob("test").ends_with("/test-*.parquet"));
    for (at, row) in train.iter().chain(&test).enumerate() {
        assert_eq!(set.meta(at as u64).unwrap().id, row.id);
        assert_eq!(set.image_bytes(at as u64).unwrap(), &row.bytes);
    }
    let mut other = writer("train");
    other.push(test[0].clone()).unwrap();
    assert!(other.finish(&split_shard_key(&content, "test", 9)).is_err(), "a key of another split");
    let mut foreign = test[0].clone();
    foreign.source = "gamma".into();
    let key = PatchKey {
        source: "gamma",
        image: &foreign.image,
        x: foreign.x.into(),
        y: foreign.y.into(),
        w: 16,
        h: 16,
        product: Product::Patches,
    };
    foreign.id = patch_id(&key);
    assert!(writer("train").push(foreign).unwrap_err().to_string().contains("no role"));
    // A shard under a key of another split.
    let moved = Store::open("memory://splits-moved").unwrap();
    let entry = manifest.shards[1].clone();
    let key = entry.key.replace("test-", "train-");
    moved.ensure(&key, store.get(&entry.key).unwrap()).unwrap();
    let found = FinishedShard::find(&moved, &key, entry.rows, (Product::Patches, Codec::Png));
    assert!(found.unwrap_err().to_string().contains("split"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_rows_come_back_as_they_were(
        texts in prop::collection::vec(("[a-zé ]{1,12}", ".{1,20}", prop::option::of("\\PC{0,8}"), 1u32..20), 1..40),
        per_shard in 1u64..50,
    ) {
        let rows: Vec<_> = (0u32..).zip(&texts)
            .map(|(n, (source, image, label, side))| row(source, image, n, *side, label.as_deref()))
            .collect();
        static CASE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let case = CASE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let store = Store::open(&format!("memory://any/{case}")).unwrap();
        let manifest = publish(&store, &rows, per_shard);
        let set = ShardSet::open(&store).unwrap();
        prop_assert_eq!(set.len(), rows.len() as u64);
        prop_assert_eq!(set.digest(), manifest.digest());
        for (i, row) in (0u64..).zip(&rows) {
            let meta = set.meta(i).unwrap();
            prop_assert_eq!(meta.id, row.id);
            prop_assert_eq!((&*meta.source, &*meta.image, &*meta.group), (&*row.source, &*row.image, &*row.group));
            prop_assert_eq!(meta.label.as_deref(), row.label.as_deref());
            prop_assert_eq!((meta.x, meta.y, meta.w, meta.h), (row.x, row.y, row.w, row.h));
            prop_assert_eq!(set.image_bytes(i).unwrap(), &row.bytes);
            prop_assert_eq!(digest_of(&set.rgb(i).unwrap()), row.pixel_digest);
        }
        prop_assert!(set.meta(set.len()).is_err());
        let report = verify(&store, VerifyOptions { pixels: false, threads: 2 }).unwrap();
        prop_assert!(report.is_good());
    }
}
