//! Files that are not what they claim: each gives one clear error, never a panic and never wrong pixels.

use crate::common::{publish, rows};
use bytes::Bytes;
use proptest::prelude::*;
use run_spec::ids::Digest;
use shards::{MANIFEST_KEY, ShardError, ShardSet, VerifyOptions, digest_of, shard_key, verify};
use store::Store;

/// A set of one shard whose file is replaced by `damage(file)`; the manifest keeps the size when `keep_size`.
fn damaged(name: &str, damage: impl Fn(Vec<u8>) -> Vec<u8>, agree: bool) -> Store {
    let store = Store::open(&format!("memory://{name}")).unwrap();
    let manifest = publish(&store, &rows(3, 12), 100);
    let file = store.get(&shard_key(0)).unwrap().to_vec();
    let bytes = damage(file.clone());
    store.delete(&shard_key(0)).unwrap();
    store.create(&shard_key(0), bytes.clone().into()).unwrap();
    if agree {
        let entry = &manifest.shards[0];
        let text = String::from_utf8(manifest.to_bytes().to_vec()).unwrap();
        let text = text
            .replace(&entry.digest.to_string(), &Digest::of(&bytes).to_string())
            .replace(&format!("\"bytes\":{}", entry.bytes), &format!("\"bytes\":{}", bytes.len()));
        store.delete(MANIFEST_KEY).unwrap();
        store.create(MANIFEST_KEY, text.into()).unwrap();
    }
    store
}

fn open_error(store: &Store) -> ShardError {
    ShardSet::open(store).expect_err("a damaged set was opened")
}

fn footer_length(file: &[u8]) -> usize {
    let at = file.len() - 8;
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn a_truncated_shard_says_how_much_is_missing() {
    let store = damaged("truncated", |file| file[..file.len() - 100].to_vec(), false);
    let error = open_error(&store);
    assert!(matches!(error, ShardError::Count { what: "bytes", .. }), "{error}");
    assert!(!verify(&store, VerifyOptions::default()).unwrap().is_good());
    let consistent = damaged("truncated-and-agreed", |file| file[..file.len() - 100].to_vec(), true);
    assert!(matches!(open_error(&consistent), ShardError::Format { .. }));
}

#[test]
fn an_empty_or_tiny_shard_is_no_shard() {
    let empty = damaged("empty", |_| Vec::new(), true);
    assert!(matches!(open_error(&empty), ShardError::Format { .. }));
    let tiny = damaged("tiny", |_| b"PAR1PAR1PAR1".to_vec(), true);
    assert!(matches!(open_error(&tiny), ShardError::Format { .. }));
    let missing = Store::open("memory://missing-shard").unwrap();
    publish(&missing, &rows(1, 12), 100);
    missing.delete(&shard_key(0)).unwrap();
    assert!(matches!(open_error(&missing), ShardError::Store(store::StoreError::NotFound { .. })));
}

#[test]
fn a_footer_that_claims_to_be_huge_is_refused() {
    for claim in [u32::MAX, 1 << 30, 100_000] {
        let huge = |mut file: Vec<u8>| {
            let at = file.len() - 8;
            file[at..at + 4].copy_from_slice(&claim.to_le_bytes());
            file
        };
        let error = open_error(&damaged(&format!("huge-{claim}"), huge, true));
        assert!(matches!(error, ShardError::Format { .. }), "{error}");
    }
}

#[test]
fn a_changed_byte_is_found_by_its_digest_and_by_its_pixels() {
    let flip = |mut file: Vec<u8>| {
        let start = file.windows(4).position(|w| w == b"IDAT").unwrap() + 12;
        file[start] ^= 0x40;
        file
    };
    let store = damaged("flipped", flip, false);
    let report = verify(&store, VerifyOptions::default()).unwrap();
    assert!(matches!(report.faults[..], [ShardError::Digest { .. }]), "{:?}", report.faults);
    // Without a full check, the row shows it when it is read.
    let set = ShardSet::open(&store).unwrap();
    let bad: Vec<ShardError> = (0..set.len()).filter_map(|row| set.rgb(row).err()).collect();
    assert!(matches!(bad[..], [ShardError::Row { .. } | ShardError::Pixels { .. }]), "{bad:?}");
}

#[test]
fn another_table_is_refused_by_its_columns() {
    use arrow_array::{Int32Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    let other = |_| {
        let batch =
            RecordBatch::try_from_iter([("n", std::sync::Arc::new(Int32Array::from(vec![1, 2])) as _)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let error = open_error(&damaged("other-table", other, true));
    assert!(error.to_string().contains("\"n\""), "{error}");
    let text = open_error(&damaged("text", |_| b"hello, this is a text file\n".to_vec(), true)).to_string();
    assert!(text.contains("shards/00000.parquet is not a shard"), "{text}");
}

#[test]
fn a_manifest_of_another_version_or_none_is_refused() {
    let store = Store::open("memory://other-version").unwrap();
    let error = ShardSet::open(&store).unwrap_err();
    assert!(matches!(error, ShardError::Store(store::StoreError::NotFound { .. })), "{error}");
    let text = String::from_utf8(publish(&store, &rows(1, 12), 100).to_bytes().to_vec()).unwrap();
    store.delete(MANIFEST_KEY).unwrap();
    store.create(MANIFEST_KEY, text.replace("\"version\":1", "\"version\":7").into()).unwrap();
    let error = ShardSet::open(&store).unwrap_err();
    assert!(matches!(&error, ShardError::Version { found, .. } if found == "reddino-shards 7"), "{error}");
}

#[test]
fn wrong_sums_are_found() {
    let store = Store::open("memory://wrong-sums").unwrap();
    let manifest = publish(&store, &rows(2, 12), 100);
    let text = String::from_utf8(manifest.to_bytes().to_vec()).unwrap();
    let wrong = text.replace("\"images\":6", "\"images\":7").replace("\"MIT\"", "\"GPL-3.0\"");
    assert_ne!(wrong, text);
    store.delete(MANIFEST_KEY).unwrap();
    store.create(MANIFEST_KEY, wrong.into()).unwrap();
    let report = verify(&store, VerifyOptions::default()).unwrap();
    assert_eq!(report.fault_count, 3, "{:?}", report.faults);
}

#[test]
fn rows_that_lie_are_refused_at_the_door_or_found() {
    let mut row = rows(1, 12).remove(0);
    let new = || shards::ShardWriter::new(run_spec::ids::Product::Patches, shards::Codec::Png, Default::default());
    row.x += 1;
    assert!(matches!(new().push(row.clone()), Err(ShardError::Input { .. })));
    assert!(new().finish("shards/x").is_err(), "a shard without rows");
    // One row twice, one image in two groups, one wrong pixel digest.
    let mut rows = rows(2, 12);
    rows.push(rows[0].clone());
    rows[3].group = "elsewhere".into();
    rows[5].pixel_digest = Digest::of(b"other pixels");
    let store = Store::open("memory://lying-rows").unwrap();
    publish(&store, &rows, 8);
    let report = verify(&store, VerifyOptions::default()).unwrap();
    let texts: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:#?}");
    assert!(texts[0].contains("decodes to pixels"), "{texts:#?}");
    assert!(texts[1..].iter().any(|t| t.contains("occurs twice")), "{texts:#?}");
    assert!(texts[1..].iter().any(|t| t.contains("elsewhere")), "{texts:#?}");
}

#[test]
fn a_split_of_another_set_or_with_other_groups_is_refused() {
    let (a, b) = (Store::open("memory://split-a").unwrap(), Store::open("memory://split-b").unwrap());
    publish(&a, &rows(2, 12), 100);
    publish(&b, &rows(3, 12)[..20], 100);
    let (set_a, set_b) = (ShardSet::open(&a).unwrap(), ShardSet::open(&b).unwrap());
    let split = shards::grouped_kfold(set_a.metas(), 3, 0).unwrap();
    assert!(matches!(set_b.write_split("x", &split), Err(ShardError::Split { .. })));
    set_a.write_split("x", &split).unwrap();
    let other = shards::grouped_kfold(set_a.metas(), 2, 0).unwrap();
    assert!(matches!(set_a.write_split("x", &other), Err(ShardError::Store(store::StoreError::Differs { .. }))));
    b.create("splits/x.parquet", a.get("splits/x.parquet").unwrap()).unwrap();
    let error = set_b.split("x").unwrap_err();
    assert!(error.to_string().contains("was made for shard set"), "{error}");
    b.create("splits/y.parquet", Bytes::from_static(b"PAR1")).unwrap();
    assert!(matches!(set_b.split("y"), Err(ShardError::Split { .. })));
    let report = verify(&b, VerifyOptions::default()).unwrap();
    assert_eq!(report.fault_count, 2, "{:?}", report.faults);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Footer, index, headers and data, with a manifest that agrees with the damage: reading ends in an error or in the
    /// right pixels.
    #[test]
    fn random_damage_never_panics(seed in 0u32..u32::MAX, at in 0.0f64..1.0, in_tail: bool, value: u8, length in 1usize..6) {
        let store = damaged(&format!("random-{seed}-{value}"), |mut file| {
            let tail = footer_length(&file) + 400;
            let start = if in_tail { file.len().saturating_sub(tail) } else { 0 };
            let at = start + ((file.len() - start) as f64 * at) as usize;
            let end = (at + length).min(file.len());
            file[at..end].iter_mut().for_each(|b| *b = b.wrapping_add(value));
            file
        }, true);
        let expected = rows(3, 12);
        if let Ok(set) = ShardSet::open(&store) {
            for row in 0..set.len() {
                if let Ok(rgb) = set.rgb(row) {
                    prop_assert_eq!(digest_of(&rgb), set.meta(row).unwrap().pixel_digest);
                    prop_assert!(expected.iter().any(|r| r.pixel_digest == digest_of(&rgb)));
                }
            }
        }
        for key in store.list("").unwrap() {
            store.delete(&key).unwrap();
        }
    }
}

/// A set whose one shard is `file`, which was found by `make fuzz`.
fn found_by_fuzzing(name: &str, file: &[u8]) -> Store {
    let manifest = include_str!("../../../../tests/golden/shards-v1/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
    manifest["bytes"] = file.len().into();
    manifest["shards"][0]["bytes"] = file.len().into();
    manifest["shards"][0]["digest"] = Digest::of(file).to_string().into();
    let store = Store::open(&format!("memory://{name}")).unwrap();
    store.create(MANIFEST_KEY, manifest.to_string().into()).unwrap();
    store.create("shards/00000.parquet", file.to_vec().into()).unwrap();
    store
}

/// A page whose encoding names a dictionary that is not there, at which Parquet's reader panics.
#[test]
fn a_page_without_its_dictionary_is_an_error() {
    let store = found_by_fuzzing("dictionary", include_bytes!("hostile/dictionary.parquet"));
    let set = ShardSet::open(&store).unwrap();
    let errors = (0..set.len()).filter(|&row| set.rgb(row).is_err()).count();
    assert!(errors > 0, "every row was decoded");
    assert!(!verify(&store, VerifyOptions::default()).unwrap().is_good());
    let (product, codec) = (set.manifest().product, set.manifest().codec);
    let found = shards::FinishedShard::find(&store, "shards/00000.parquet", set.len(), (product, codec));
    assert!(matches!(found, Err(ShardError::Row { .. })), "{found:?}");
}

/// A page header that ends in the middle of a list of two thousand million numbers, which Parquet's reader skips one by one
/// beyond the end of the file: minutes, where an end of the bytes were no error.
#[test]
fn a_page_header_that_names_more_than_there_is_ends_at_once() {
    let store = found_by_fuzzing("endless-header", include_bytes!("hostile/endless-header.parquet"));
    let error = open_error(&store);
    assert!(matches!(error, ShardError::Format { .. }), "{error}");
}
