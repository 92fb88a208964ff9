//! The contract on memory and on a directory, and recovery under injected faults. On S3 both run in `tests/s3_store.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use clock::{Clock, SteppedClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{Fault, Store, StoreError, Waiting, contract};

#[test]
fn memory_keeps_the_contract() {
    contract::run(&Store::open("memory://contract").unwrap());
    contract::run(&Store::open("memory://contract/below/here").unwrap());
}

#[test]
fn a_directory_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    contract::run(&Store::open(root.path().join("plain").to_str().unwrap()).unwrap());
    contract::run(&Store::open(root.path().join("odd näme #1 100%").to_str().unwrap()).unwrap());
    contract::run(&Store::open(&format!("file://{}/by%20uri", root.path().display())).unwrap());
    assert!(root.path().join("by uri").is_dir());
}

#[test]
fn opening_for_reading_makes_no_directory() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("typo");
    let store = Store::open(missing.to_str().unwrap()).unwrap();
    let error = store.get("manifest.json").unwrap_err();
    assert_eq!(error, StoreError::NotFound { uri: format!("{}/manifest.json", missing.display()) });
    assert!(store.list("").unwrap().is_empty());
    assert!(!missing.exists());
}

#[test]
fn a_false_conflict_is_tried_again() {
    let store = Store::open("memory://false-conflict").unwrap();
    // Call 0 is the put, call 1 the look, call 2 the second put.
    store.with_faults([(0, Fault::FalseConflict)]).create("k", "v".into()).unwrap();
    assert_eq!(store.get("k").unwrap(), "v");
}

#[test]
fn conflicts_without_a_winner_end() {
    let store = Store::open("memory://endless-conflict").unwrap();
    let faulty = store.with_faults((0..20).step_by(2).map(|call| (call, Fault::FalseConflict)));
    assert!(matches!(faulty.create("k", "v".into()), Err(StoreError::Unavailable { .. })));
    assert!(!store.exists("k").unwrap());
}

#[test]
fn faults_become_errors_by_what_the_caller_can_do() {
    let store = Store::open("memory://faults").unwrap();
    let unavailable = store.with_faults([(0, Fault::Unavailable)]);
    assert!(matches!(unavailable.create("k", "v".into()), Err(StoreError::Unavailable { .. })));
    assert!(!store.exists("k").unwrap());
    assert!(matches!(store.with_faults([(0, Fault::Denied)]).get("k"), Err(StoreError::Denied { .. })));
}

#[test]
fn a_create_whose_answer_is_lost_has_won_and_a_later_one_has_not() {
    let store = Store::open("memory://lost-answer").unwrap();
    store.with_faults([(0, Fault::LostReply)]).create("k", "same".into()).unwrap();
    let late = store.with_faults([(0, Fault::LostReply)]).create("k", "same".into());
    // The same bytes, but not this call's: whoever claims with equal records must not both win.
    assert!(matches!(late, Err(StoreError::AlreadyExists { .. })), "{late:?}");
}

#[test]
fn lost_answers_without_end_are_told_with_address_operation_and_attempts() {
    let store = Store::open("memory://lost-for-good").unwrap();
    let error = store.with_faults((0..9).map(|call| (call, Fault::LostReply))).get("k").unwrap_err();
    // Nothing is there, which the third answer would have said.
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    store.create("k", "v".into()).unwrap();
    let text = store.with_faults((0..9).map(|call| (call, Fault::LostReply))).get("k").unwrap_err().to_string();
    assert!(text.starts_with("memory://lost-for-good/k could not be read in 1 attempt ("), "{text}");
}

#[test]
fn damage_on_the_way_is_read_again_and_damage_that_stays_is_told() {
    let store = Store::open("memory://damage").unwrap();
    store.create("k", "all of the bytes".into()).unwrap();
    for fault in [Fault::WrongByte, Fault::Truncated] {
        assert_eq!(store.with_faults([(0, fault), (1, fault)]).get("k").unwrap(), "all of the bytes");
        let error = store.with_faults((0..9).map(|call| (call, fault))).get("k").unwrap_err();
        assert_eq!(error, StoreError::Damaged { uri: "memory://damage/k".into(), reads: 3 });
    }
    assert_eq!(store.with_faults([(0, Fault::Truncated)]).get_range("k", 4..6).unwrap(), "of");
    let cut = store.with_faults((0..9).map(|call| (call, Fault::Truncated))).get_range("k", 4..6);
    assert!(matches!(cut, Err(StoreError::Damaged { .. })), "{cut:?}");
}

fn quarter_of_an_hour() -> Waiting {
    Waiting { limit: Duration::from_secs(900), ..Waiting::default() }
}

/// A store in memory that is patient for a quarter of an hour, has answered once, and is then away for `calls` calls.
fn away_for(name: &str, calls: u64) -> (Store, Arc<SteppedClock>) {
    let clock = Arc::new(SteppedClock::default());
    let store = Store::open(&format!("memory://{name}")).unwrap();
    store.create("there", "v".into()).unwrap();
    let store = store.with_faults((1..=calls).map(|call| (call, Fault::Unavailable)));
    let store = store.waiting_by(quarter_of_an_hour(), Arc::clone(&clock) as Arc<dyn Clock>);
    assert!(store.exists("there").unwrap());
    (store, clock)
}

#[test]
fn a_store_that_is_away_for_minutes_is_waited_for_in_every_call() {
    let minutes = |name: &str, call: &dyn Fn(&Store)| {
        let (store, clock) = away_for(name, 25);
        call(&store);
        assert!((300..900).contains(&clock.now().as_secs()), "{name}: {} s", clock.now().as_secs());
    };
    minutes("away-create", &|store| store.create("k", "v".into()).unwrap());
    minutes("away-get", &|store| assert_eq!(store.get("there").unwrap(), "v"));
    minutes("away-list", &|store| assert_eq!(store.list("").unwrap(), ["there"]));
    minutes("away-size", &|store| assert_eq!(store.size("there").unwrap(), 1));
    minutes("away-range", &|store| assert_eq!(store.get_range("there", 0..1).unwrap(), "v"));
    minutes("away-delete", &|store| store.delete("there").unwrap());
}

#[test]
fn patience_ends_and_is_not_wasted_on_refusals_or_on_a_store_that_never_answered() {
    let (store, clock) = away_for("away-for-good", 100_000);
    assert!(matches!(store.create("k", "v".into()), Err(StoreError::Unavailable { .. })));
    assert_eq!(clock.now().as_secs(), 900);
    let clock = Arc::new(SteppedClock::default());
    let patient = |store: &Store| store.waiting_by(quarter_of_an_hour(), Arc::clone(&clock) as Arc<dyn Clock>);
    let store = patient(&Store::open("memory://refused").unwrap());
    store.create("k", "v".into()).unwrap();
    let refused = store.with_faults((0..9).map(|call| (call, Fault::Denied)));
    assert!(matches!(refused.get("k"), Err(StoreError::Denied { .. })));
    assert!(matches!(store.get("other"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.get_range("k", 0..9), Err(StoreError::Range { .. })));
    assert!(matches!(store.create("k", "w".into()), Err(StoreError::AlreadyExists { .. })));
    let never = Store::open("memory://never").unwrap().with_faults((0..99).map(|call| (call, Fault::Unavailable)));
    assert!(matches!(patient(&never).get("k"), Err(StoreError::Unavailable { .. })));
    assert_eq!(clock.now().as_secs(), 0);
    // Unless the address is known to be right: a run that goes on, for instance.
    let known = Waiting { known: true, ..quarter_of_an_hour() };
    let later = Store::open("memory://later").unwrap().with_faults((0..9).map(|call| (call, Fault::Unavailable)));
    let later = later.waiting_by(known, Arc::clone(&clock) as Arc<dyn Clock>);
    assert!(!later.exists("k").unwrap());
    assert!((5..300).contains(&clock.now().as_secs()), "{} s", clock.now().as_secs());
}

/// A clock that asks for hurry at a moment.
#[derive(Debug)]
struct Asked {
    slept: SteppedClock,
    at: Duration,
    hurry: Arc<AtomicBool>,
}

impl Clock for Asked {
    fn now(&self) -> Duration {
        self.slept.now()
    }

    fn sleep(&self, time: Duration) {
        self.slept.sleep(time);
        self.hurry.fetch_or(self.slept.now() >= self.at, Ordering::Relaxed);
    }
}

#[test]
fn a_process_that_is_asked_to_end_waits_no_longer() {
    for (asked, ended) in [(0, 10), (4, 10), (100, 100)] {
        let waiting = Waiting { known: true, ..quarter_of_an_hour() };
        let (at, hurry) = (Duration::from_secs(asked), Arc::clone(&waiting.hurry));
        let clock = Arc::new(Asked { slept: SteppedClock::default(), at, hurry });
        let store = Store::open("memory://hurry").unwrap().with_faults((0..999).map(|call| (call, Fault::Unavailable)));
        let store = store.waiting_by(waiting, Arc::clone(&clock) as Arc<dyn Clock>);
        assert!(matches!(store.get("k"), Err(StoreError::Unavailable { .. })));
        assert!((ended..ended + 2).contains(&clock.now().as_secs()), "{asked}: {} s", clock.now().as_secs());
    }
}

#[test]
fn a_create_that_was_done_while_the_store_seemed_away_has_won() {
    let (store, _) = away_for("away-lost", 0);
    let store = store.with_faults([(0, Fault::LostReply), (1, Fault::Unavailable), (2, Fault::Unavailable)]);
    store.create("k", "v".into()).unwrap();
    assert_eq!(store.get("k").unwrap(), "v");
}

#[test]
fn a_stale_staging_file_neither_shows_nor_blocks() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().to_str().unwrap()).unwrap();
    std::fs::write(root.path().join("k#1"), b"half").unwrap();
    store.create("k", Bytes::from_static(b"whole")).unwrap();
    assert_eq!(store.list("").unwrap(), ["k"]);
    assert_eq!(store.get("k").unwrap(), "whole");
}

/// A file-size limit refuses bytes as a full disk does, but holds for a whole process: so this test runs itself again in
/// one of its own, which finds `STORE_UNDER_TEST` set and writes.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_half_key() {
    if let Ok(root) = std::env::var("STORE_UNDER_TEST") {
        let store = Store::open(&root).unwrap();
        let error = store.create("k", vec![1; 1 << 20].into()).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        let error = store.create_file("k", &std::env::current_exe().unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact a_full_disk_leaves_no_half_key --nocapture")
        .arg(std::env::current_exe().unwrap())
        .env("STORE_UNDER_TEST", root.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let store = Store::open(root.path().to_str().unwrap()).unwrap();
    assert!(store.list("").unwrap().is_empty());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "a staging file was left behind");
}
