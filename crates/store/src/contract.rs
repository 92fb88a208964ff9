//! What every backend must do, as one suite of assertions: run on a directory, on memory, and on a real S3 server.

use crate::{Store, StoreError};
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs the suite below `store`, which must be empty; leaves it empty.
///
/// # Panics
/// On the first promise that the backend breaks.
pub fn run(store: &Store) {
    assert_eq!(keys(store, ""), [""; 0], "the contract needs an empty store");
    create_is_once_and_reads_back(store);
    ranges_are_exact(store);
    listing_is_sorted_and_by_parts(store);
    the_last_write_has_a_time(store);
    children_are_prefixes(store);
    files_are_created_once(store);
    one_of_many_writers_wins(store);
    bad_keys_are_refused(store);
    for key in keys(store, "") {
        store.delete(&key).expect("delete");
    }
    store.delete("never/was").expect("deleting nothing succeeds");
    assert_eq!(keys(store, ""), [""; 0]);
}

fn keys(store: &Store, prefix: &str) -> Vec<String> {
    store.list(prefix).expect("list")
}

fn create_is_once_and_reads_back(store: &Store) {
    assert!(!store.exists("a/one").expect("exists"));
    assert!(matches!(store.get("a/one"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.size("a/one"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.get_range("a/one", 0..1), Err(StoreError::NotFound { .. })));
    store.create("a/one", Bytes::from_static(b"first")).expect("create");
    let again = store.create("a/one", Bytes::from_static(b"second"));
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })), "{again:?}");
    assert_eq!(store.get("a/one").expect("get"), "first");
    assert_eq!(store.size("a/one").expect("size"), 5);
    assert!(!store.ensure("a/one", "first".into()).expect("same bytes"));
    assert!(matches!(store.ensure("a/one", "other".into()), Err(StoreError::Differs { .. })));
    assert!(store.ensure("a/two", Bytes::new()).expect("an empty object"));
    assert_eq!(store.get("a/two").expect("get"), "");
}

fn ranges_are_exact(store: &Store) {
    assert_eq!(store.get_range("a/one", 1..3).expect("range"), "ir");
    assert_eq!(store.get_range("a/one", 0..5).expect("range"), "first");
    assert_eq!(store.get_range("a/one", 2..2).expect("range"), "");
    for range in [3..9, 5..6, 90..91] {
        let result = store.get_range("a/one", range);
        assert!(matches!(result, Err(StoreError::Range { size: 5, .. })), "{result:?}");
    }
}

fn the_last_write_has_a_time(store: &Store) {
    let written = store.last_write("list").expect("a time");
    assert!(written.is_some_and(|unix_s| unix_s > 1_000_000_000), "{written:?}");
    assert_eq!(store.last_write("nothing").expect("nothing there"), None);
}

fn listing_is_sorted_and_by_parts(store: &Store) {
    for key in ["list/b", "list/a/2", "list/a/10", "listing/x"] {
        store.create(key, Bytes::from_static(b"x")).expect("create");
    }
    assert_eq!(keys(store, "list"), ["list/a/10", "list/a/2", "list/b"]);
    assert_eq!(keys(store, "list/"), keys(store, "list"));
    assert_eq!(keys(store, "nothing"), [""; 0]);
}

fn children_are_prefixes(store: &Store) {
    let child = store.child("list").child("a");
    assert_eq!(child.uri(), format!("{}/list/a", store.uri()));
    assert_eq!(keys(&child, ""), ["10", "2"]);
    assert_eq!(child.get("2").expect("get"), "x");
    assert!(matches!(store.child("../up").get("x"), Err(StoreError::BadKey { .. })));
    assert!(matches!(store.child("list").get(""), Err(StoreError::BadKey { .. })));
}

fn files_are_created_once(store: &Store) {
    let path = std::env::temp_dir().join(format!("reddino-store-contract-{}", std::process::id()));
    std::fs::write(&path, vec![7u8; 3 << 20]).expect("write a temporary file");
    store.create_file("files/big", &path).expect("create_file");
    let again = store.create_file("files/big", &path);
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })), "{again:?}");
    assert_eq!(store.size("files/big").expect("size"), 3 << 20);
    std::fs::remove_file(&path).expect("remove the temporary file");
    assert!(matches!(store.create_file("files/none", &path), Err(StoreError::Source { .. })));
    assert!(!store.exists("files/none").expect("exists"));
}

fn one_of_many_writers_wins(store: &Store) {
    for round in 0..3 {
        let key = format!("race/{round}");
        let wins = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let (key, wins) = (&key, &wins);
                scope.spawn(move || match store.create(key, vec![writer; 1000].into()) {
                    Ok(()) => drop(wins.fetch_add(1, Ordering::SeqCst)),
                    Err(StoreError::AlreadyExists { .. }) => {}
                    Err(error) => panic!("a racing create failed: {error}"),
                });
            }
        });
        assert_eq!(wins.load(Ordering::SeqCst), 1, "winners of round {round}");
        let bytes = store.get(&key).expect("get");
        assert!(bytes.len() == 1000 && bytes.iter().all(|&b| b == bytes[0]), "a torn record");
    }
}

fn bad_keys_are_refused(store: &Store) {
    for key in ["../x", "/etc/passwd", "a//b", "a/./b", "", "a b"] {
        assert!(matches!(store.create(key, Bytes::new()), Err(StoreError::BadKey { .. })), "{key:?}");
        assert!(matches!(store.get(key), Err(StoreError::BadKey { .. })), "{key:?}");
    }
}
