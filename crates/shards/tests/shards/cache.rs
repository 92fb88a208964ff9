//! The local cache of whole shards: what it serves, what it makes room for, and what it never does.

use crate::common::{publish, row};
use shards::{CacheReport, Manifest, PatchRow, ShardCache, ShardSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;

/// Two shards of eight rows, all different from those of another `source`.
fn set(store: &Store, source: &str) -> Manifest {
    let rows: Vec<PatchRow> = (0..16).map(|n| row(source, "a.png", n, 24, None)).collect();
    publish(store, &rows, 8)
}

fn open(store: &Store, folder: &Path, limit: u64) -> (ShardSet, Arc<ShardCache>) {
    let cache = Arc::new(ShardCache::open(folder, limit).unwrap());
    (ShardSet::open_with(store, Some(Arc::clone(&cache))).unwrap(), cache)
}

/// Reads every row, and waits until the cache has decided about every shard.
fn read_all(set: &ShardSet, cache: &ShardCache) -> CacheReport {
    for row in 0..set.len() {
        set.rgb(row).unwrap();
    }
    let start = Instant::now();
    loop {
        let report = cache.report();
        if report.here + report.no_room + report.failed == set.manifest().shards.len() as u64 {
            return report;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the cache decides nothing: {report:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

fn delete_shards(store: &Store, manifest: &Manifest) {
    manifest.shards.iter().for_each(|shard| store.delete(&shard.key).unwrap());
}

#[test]
fn a_shard_that_is_here_is_not_read_from_the_store_again() {
    let (store, folder) = (Store::open("memory://cache-hit").unwrap(), tempfile::tempdir().unwrap());
    let manifest = set(&store, "s");
    let (whole, cache) = open(&store, folder.path(), 1 << 30);
    let report = read_all(&whole, &cache);
    assert_eq!((report.here, report.no_room, report.failed), (2, 0, 0));
    delete_shards(&store, &manifest);
    (0..16).for_each(|row| drop(whole.rgb(row).unwrap()));
    assert!(cache.report().hits >= report.hits + 16);
    assert!(files(folder.path(), "part").is_empty());
}

#[test]
fn another_process_finds_what_is_here() {
    let (store, folder) = (Store::open("memory://cache-shared").unwrap(), tempfile::tempdir().unwrap());
    let manifest = set(&store, "s");
    let (first, cache) = open(&store, folder.path(), 1 << 30);
    read_all(&first, &cache);
    let (second, other) = open(&store, folder.path(), 1 << 30);
    delete_shards(&store, &manifest);
    let report = read_all(&second, &other);
    assert_eq!((report.hits, report.misses), (16, 0));
}

#[test]
fn a_full_cache_keeps_what_it_has_and_the_rest_is_read_row_by_row() {
    let (store, folder) = (Store::open("memory://cache-full").unwrap(), tempfile::tempdir().unwrap());
    let manifest = set(&store, "s");
    let limit = manifest.shards[0].bytes.max(manifest.shards[1].bytes);
    let (whole, cache) = open(&store, folder.path(), limit);
    let report = read_all(&whole, &cache);
    assert_eq!((report.here, report.no_room, report.failed), (1, 1, 0));
    let kept = files(folder.path(), "shard");
    read_all(&whole, &cache);
    assert_eq!(files(folder.path(), "shard"), kept);
    assert_eq!(kept.iter().map(|file| file.metadata().unwrap().len()).sum::<u64>(), manifest.shards[0].bytes);
}

#[test]
fn shards_of_other_sets_make_room() {
    let (store, folder) = (Store::open("memory://cache-room").unwrap(), tempfile::tempdir().unwrap());
    let old = set(&store.child("old"), "old");
    let new = set(&store.child("new"), "new");
    let limit = old.shards.iter().chain(&new.shards).map(|shard| shard.bytes).sum::<u64>() - 1;
    let (first, cache) = open(&store.child("old"), folder.path(), limit);
    assert_eq!(read_all(&first, &cache).here, 2);
    let (second, cache) = open(&store.child("new"), folder.path(), limit);
    assert_eq!(read_all(&second, &cache).here, 2);
    let names: Vec<PathBuf> = files(folder.path(), "shard");
    assert_eq!(names.len(), 3, "one of the old set's had to go, and no more: {names:?}");
    for shard in &new.shards {
        assert!(names.contains(&folder.path().join(format!("{}.shard", shard.digest))));
    }
    // The set that was read first has open what it had, and reads the rest from the store.
    (0..16).for_each(|row| drop(first.rgb(row).unwrap()));
}

#[test]
fn a_damaged_copy_is_thrown_away_and_the_store_read() {
    let (store, folder) = (Store::open("memory://cache-damage").unwrap(), tempfile::tempdir().unwrap());
    set(&store, "s");
    let (whole, cache) = open(&store, folder.path(), 1 << 30);
    read_all(&whole, &cache);
    let pixels: Vec<_> = (0..16).map(|row| whole.rgb(row).unwrap()).collect();
    for file in files(folder.path(), "shard") {
        // In place, as a disk would: the reader has the file open.
        use std::os::unix::fs::FileExt;
        let length = file.metadata().unwrap().len();
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .write_all_at(&vec![0x55; length as usize], 0)
            .unwrap();
    }
    for (row, pixels) in (0..).zip(&pixels) {
        assert_eq!(whole.rgb(row).unwrap(), *pixels);
        assert_eq!(whole.rgb_of(row, b"no image").unwrap(), *pixels);
    }
    assert_eq!(cache.report().failed, 2);
    assert!(files(folder.path(), "shard").is_empty());
}

#[test]
fn what_a_killed_process_left_behind_is_no_obstacle() {
    let (store, folder) = (Store::open("memory://cache-stale").unwrap(), tempfile::tempdir().unwrap());
    let manifest = set(&store, "s");
    for shard in &manifest.shards {
        std::fs::write(folder.path().join(format!("{}.part", shard.digest)), vec![1; shard.bytes as usize + 9])
            .unwrap();
    }
    let stray = manifest.digest();
    std::fs::write(folder.path().join(format!("{stray}.part")), vec![1; 1 << 20]).unwrap();
    let limit = manifest.shards.iter().map(|shard| shard.bytes).sum();
    let (whole, cache) = open(&store, folder.path(), limit);
    assert_eq!(read_all(&whole, &cache).here, 2);
    assert!(files(folder.path(), "part").is_empty());
}

#[test]
fn a_shard_that_is_not_what_the_manifest_says_is_not_kept() {
    let (store, folder) = (Store::open("memory://cache-wrong").unwrap(), tempfile::tempdir().unwrap());
    let manifest = set(&store, "s");
    let (whole, cache) = open(&store, folder.path(), 1 << 30);
    // The same length, the same pages but for one byte of the last: only the digest of the file tells.
    let key = &manifest.shards[1].key;
    let mut bytes = store.get(key).unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    store.delete(key).unwrap();
    store.create(key, bytes.into()).unwrap();
    let report = read_all(&whole, &cache);
    assert_eq!((report.here, report.failed), (1, 1));
    assert_eq!(files(folder.path(), "shard").len(), 1);
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = ShardCache::open(&file, 1).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("another folder"), "{error}");
}
