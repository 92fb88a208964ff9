//! What a damaged, torn, missing or moved key of a run does, and how the run goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use run_folder::{
    CaptureRecord, CheckpointRecord, Parts, Retention, Run, RunError, RunRecord, StopRecord, Verification, verify,
};
use run_spec::ids::Digest;
use serde_json::json;

/// A run in a folder, as training writes it: checkpoints at the given steps, each with the metrics up to it.
struct Folder {
    folder: tempfile::TempDir,
    run: Run,
    metrics: BTreeMap<String, Digest>,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::at(folder.path().to_str().unwrap()).unwrap();
        run.begin(&RunRecord::new(json!({"seed": 1}), Digest::of(b"shards"), 9, "1.0")).unwrap();
        run.claim_attempt("1.0").unwrap();
        Self { folder, run, metrics: BTreeMap::new() }
    }

    fn checkpoint(&mut self, attempt: u32, step: u64, keep: usize) -> CheckpointRecord {
        self.checkpoint_after(attempt, step, keep, &BTreeSet::new())
    }

    fn checkpoint_after(
        &mut self,
        attempt: u32,
        step: u64,
        keep: usize,
        passed_over: &BTreeSet<String>,
    ) -> CheckpointRecord {
        let line = format!("{{\"step\":{},\"loss\":1.5}}\n", step - 1);
        self.metrics.extend([self.run.publish_metrics((step - 10).into(), attempt.into(), &line).unwrap()]);
        let bytes = vec![step as u8; 64].into();
        let metrics = Some(self.metrics.clone());
        self.run
            .publish_checkpoint(
                record(attempt, step, metrics),
                bytes,
                Retention { keep, passed_over, best: false, every: None },
            )
            .unwrap()
    }

    /// Three checkpoints and the end.
    fn done() -> Self {
        let mut it = Self::new();
        it.checkpoint(1, 10, 3);
        it.checkpoint(1, 20, 3);
        let last = it.checkpoint(1, 30, 3);
        it.run.finish(last, "CPU".to_owned(), 1.into()).unwrap();
        it
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.folder.path().join(key)
    }

    fn empty(&self, key: &str) {
        assert!(self.path(key).exists(), "{key}");
        std::fs::write(self.path(key), "").unwrap();
    }

    /// Changes one byte in the middle.
    fn flip(&self, key: &str) {
        let mut bytes = std::fs::read(self.path(key)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(self.path(key), bytes).unwrap();
    }

    fn steps(&self) -> Vec<u64> {
        self.run.checkpoints().unwrap().iter().map(|record| record.step.get()).collect()
    }

    fn verified(&self) -> Verification {
        verify(&self.run).unwrap()
    }

    fn damaged(&self) -> Vec<String> {
        self.verified().damages.into_iter().map(|damage| damage.key).collect()
    }

    fn repair(&self) {
        self.run.repair(&self.verified(), "1.0").unwrap().unwrap();
        assert_eq!(self.damaged(), [""; 0], "what was set aside is damage no more");
    }
}

fn record(attempt: u32, step: u64, metrics: Option<BTreeMap<String, Digest>>) -> CheckpointRecord {
    CheckpointRecord { metrics, ..CheckpointRecord::without_bytes(attempt.into(), step.into()) }
}

/// Every file below `folder`, to see that nothing is moved or deleted.
fn files(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => out.extend(files(&entry.path())),
            false => drop(out.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
        }
    }
    out
}

#[test]
fn an_undamaged_run_is_whole_to_the_last_key() {
    let it = Folder::done();
    it.run.store().create_record("restarts/0001.json", &json!({"step": 10})).unwrap();
    let found = it.verified();
    assert_eq!((found.damages.len(), found.unnamed.len(), found.without_digest.len()), (0, 0, 0), "{found:?}");
    assert_eq!(found.whole, files(it.folder.path()).len());
    assert_eq!(it.run.repair(&found, "1.0").unwrap(), None);
}

#[test]
fn a_changed_byte_in_any_file_is_found_at_its_key_and_nowhere_else() {
    let keys = [
        "run.json",
        "attempts/0001.json",
        "checkpoints/00000010-a0001.json",
        "checkpoints/00000020-a0001.safetensors",
        "metrics/00000010-a0001.jsonl",
        "final.json",
    ];
    for key in keys {
        let it = Folder::done();
        it.flip(key);
        let damages = it.verified().damages;
        assert_eq!(damages.iter().map(|damage| damage.key.as_str()).collect::<Vec<_>>(), [key], "{damages:?}");
        assert!(!damages[0].remedy.is_empty() && damages[0].can_be_set_aside == (key != "run.json"), "{damages:?}");
        std::fs::remove_file(it.path(key)).unwrap();
        // Nothing names an attempt or an older checkpoint, and without its final record a run only has not ended.
        let named = key != "attempts/0001.json" && key != "checkpoints/00000010-a0001.json" && key != "final.json";
        assert_eq!(it.damaged(), if named { vec![key.to_owned()] } else { Vec::new() });
    }
}

#[test]
fn a_record_replaced_by_another_whole_one_is_found() {
    let it = Folder::done();
    std::fs::copy(it.path("checkpoints/00000020-a0001.json"), it.path("checkpoints/00000030-a0001.json")).unwrap();
    assert_eq!(it.damaged(), ["checkpoints/00000030-a0001.json", "final.json"]);
    let it = Folder::done();
    let other = Folder::new();
    other.run.store().create_record("other.json", &RunRecord::new(json!({}), Digest::of(b"x"), 1, "2.0")).unwrap();
    std::fs::copy(other.path("other.json"), it.path("run.json")).unwrap();
    assert_eq!(it.damaged(), ["run.json"]);
}

#[test]
fn a_torn_record_goes_back_to_the_checkpoint_before() {
    let it = Folder::done();
    it.empty("final.json");
    assert_eq!(it.run.finished().unwrap(), None);
    it.empty("checkpoints/00000030-a0001.json");
    let loaded = it.run.newest_whole().unwrap().unwrap();
    assert_eq!((loaded.record.step.get(), it.run.read_checkpoint(&loaded.record).unwrap()[0]), (20, 20));
    assert_eq!(loaded.passed_over, BTreeSet::from(["checkpoints/00000030-a0001.json".to_owned()]));
    assert_eq!(it.steps(), [10, 20]);
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_does_not_begin_again_by_itself() {
    let it = Folder::done();
    for step in [10, 20, 30] {
        it.flip(&format!("checkpoints/000000{step}-a0001.safetensors"));
    }
    let error = it.run.newest_whole().unwrap_err();
    assert!(matches!(error, RunError::NoneWhole { count: 3, .. }), "{error}");
    assert!(error.to_string().contains("set them aside"), "{error}");
    let before = files(it.folder.path());
    it.repair();
    assert!(it.run.newest_whole().unwrap().is_none(), "set aside on request, they no longer stand in the way");
    let after = files(it.folder.path());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "nothing is moved, changed or deleted");
    assert_eq!(after.len(), before.len() + 1);
    assert!(Folder::new().run.newest_whole().unwrap().is_none());
}

#[test]
fn results_take_the_last_checkpoint_and_no_other_unless_asked() {
    let mut it = Folder::new();
    assert!(matches!(it.run.last_checkpoint(), Err(RunError::NoCheckpoint { .. })));
    it.checkpoint(1, 10, 3);
    let last = it.checkpoint(1, 20, 3);
    assert_eq!(it.run.last_checkpoint().unwrap().0.step, 20);
    it.run.finish(last, "CPU".to_owned(), 1.into()).unwrap();
    it.flip("checkpoints/00000020-a0001.safetensors");
    let error = it.run.last_checkpoint().unwrap_err().to_string();
    assert!(error.contains("worker verify") && error.contains("--step"), "{error}");
    assert_eq!(it.run.checkpoint_of(10.into()).unwrap().1[0], 10);
    let error = it.run.checkpoint_of(20.into()).unwrap_err().to_string();
    assert!(error.contains("an older checkpoint is not used in its place"), "{error}");
    let error = it.run.checkpoint_of(15.into()).unwrap_err().to_string();
    assert!(error.ends_with("no whole checkpoint of step 15; kept are those of steps 10, 20"), "{error}");
    it.empty("final.json");
    assert!(matches!(it.run.last_checkpoint(), Err(RunError::LastDamaged { uri, .. }) if uri.ends_with("final.json")));
}

#[test]
fn a_repaired_run_goes_on_from_the_newest_whole_checkpoint_and_ends_again() {
    let mut it = Folder::done();
    it.flip("checkpoints/00000030-a0001.safetensors");
    assert_eq!(it.damaged(), ["checkpoints/00000030-a0001.safetensors", "final.json"]);
    it.repair();
    assert_eq!(it.run.finished().unwrap(), None);
    assert_eq!(it.run.newest_whole().unwrap().unwrap().record.step, 20);
    let attempt = it.run.claim_attempt("1.0").unwrap();
    let last = it.checkpoint(attempt.get(), 30, 3);
    it.run.finish(last, "CPU".to_owned(), attempt).unwrap();
    let last = it.run.finished().unwrap().unwrap();
    assert_eq!((last.checkpoint.attempt.get(), it.run.last_checkpoint().unwrap().0.step.get()), (2, 30));
    assert!(it.path("final-a0002.json").exists() && it.path("final.json").exists());
    assert_eq!(it.damaged(), [""; 0]);
}

#[test]
fn a_torn_final_record_is_written_anew_under_the_attempts_number() {
    let it = Folder::done();
    it.empty("final.json");
    let last = it.run.newest_whole().unwrap().unwrap().record;
    it.run.finish(last, "CPU".to_owned(), 2.into()).unwrap();
    assert_eq!(it.run.last_checkpoint().unwrap().0.step, 30);
    assert!(it.path("final-a0002.json").exists());
    assert_eq!(it.damaged(), ["final.json"]);
}

#[test]
fn only_an_attempt_that_wrote_a_whole_checkpoint_removes_older_ones_and_damaged_ones_do_not_count() {
    let mut it = Folder::new();
    for step in [10, 20, 30] {
        it.checkpoint(1, step, 2);
    }
    assert_eq!(it.steps(), [20, 30]);
    it.flip("checkpoints/00000030-a0001.safetensors");
    let passed_over = it.run.newest_whole().unwrap().unwrap().passed_over;
    it.checkpoint_after(2, 30, 2, &passed_over);
    // Two are to be kept: the new one and the one before the damaged one, which counts for nothing.
    assert!(it.run.checkpoint_of(20.into()).is_ok());
    it.checkpoint_after(2, 40, 2, &passed_over);
    assert_eq!(it.steps(), [30, 40]);
    // An attempt that was taken over removes nothing of the attempt that took over.
    it.checkpoint(1, 50, 1);
    assert_eq!(it.run.newest_whole().unwrap().unwrap().record.step, 40);
}

#[test]
fn bytes_that_were_never_published_are_removed_in_time_and_are_no_damage() {
    let mut it = Folder::new();
    it.run.store().create("checkpoints/00000005-a0001.safetensors", "half".into()).unwrap();
    it.checkpoint(1, 10, 1);
    assert!(!it.path("checkpoints/00000005-a0001.safetensors").exists());
    it.run.store().create("checkpoints/00000015-a0001.safetensors", "half".into()).unwrap();
    // What a create that was killed leaves beside its key.
    std::fs::write(it.path("checkpoints/00000015-a0001.json#1"), "ha").unwrap();
    let found = it.verified();
    let unnamed = ["checkpoints/00000015-a0001.safetensors", "checkpoints/00000015-a0001.json#1"];
    assert_eq!((found.damages.len(), found.unnamed), (0, unnamed.map(str::to_owned).to_vec()));
}

#[test]
fn bytes_of_a_later_step_that_a_dead_attempt_never_published_are_removed_and_those_set_aside_stay() {
    let mut it = Folder::new();
    it.checkpoint(1, 10, 3);
    for step in [20, 30] {
        it.checkpoint(1, step, 3);
        it.flip(&format!("checkpoints/000000{step}-a0001.safetensors"));
    }
    it.repair();
    let orphans = ["checkpoints/00000040-a0001.safetensors", "checkpoints/00000040-a0001-r0001.part"];
    let own = "checkpoints/00000040-a0002-r0000.part";
    for key in orphans.into_iter().chain([own]) {
        it.run.store().create(key, "half".into()).unwrap();
    }
    it.checkpoint(2, 20, 3);
    assert!(orphans.iter().all(|key| !it.path(key).exists()) && it.path(own).exists());
    assert!(it.path("checkpoints/00000030-a0001.safetensors").exists(), "what was set aside");
    assert_eq!(it.steps(), [10, 20]);
}

#[test]
fn every_so_many_steps_a_checkpoint_stays() {
    let mut it = Folder::new();
    let publish = |it: &mut Folder, step: u64| {
        let retention = Retention { keep: 1, passed_over: &BTreeSet::new(), best: false, every: Some(20) };
        it.run.publish_checkpoint(record(1, step, None), vec![1; 9].into(), retention).unwrap();
        it.steps()
    };
    assert_eq!([10, 20, 30, 40].map(|step| publish(&mut it, step)).last().unwrap(), &[20, 40]);
    assert_eq!(publish(&mut it, 50), [20, 40, 50]);
}

/// A checkpoint of step 20 whose bytes three ranks have written.
fn in_parts(it: &mut Folder) -> Vec<u8> {
    let whole: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8).collect();
    let parts = Parts::of(whole.len() as u64, 3);
    let mut record = record(1, 20, Some(it.metrics.clone()));
    let (key, mut values) = (record.checkpoint_key(), Vec::new());
    for rank in 0..3 {
        let range = parts.range(rank);
        let bytes = whole[range.start as usize..range.end as usize].to_vec();
        values.extend(parts.values(range.start, &bytes));
        record.parts.push(it.run.write_part(key, (rank as u32).into(), bytes.into()).unwrap());
    }
    record.key = key.bytes();
    (record.bytes, record.digest) = (whole.len() as u64, parts.digest(&values).unwrap());
    let retention = Retention { keep: 3, passed_over: &BTreeSet::new(), best: false, every: None };
    it.run.publish_record(&record, retention).unwrap();
    whole
}

#[test]
fn a_checkpoint_in_parts_is_read_as_one_and_a_damaged_part_damages_it() {
    let mut it = Folder::new();
    it.checkpoint(1, 10, 3);
    let whole = in_parts(&mut it);
    let (record, bytes) = it.run.last_checkpoint().unwrap();
    assert_eq!(
        (bytes.as_ref(), record.digest),
        (&whole[..], Digest::of(&whole)),
        "the bytes that one rank would have written"
    );
    let mut seen = Vec::new();
    let loaded = it.run.load_newest(|record, at, piece| {
        assert_eq!((record.step.get(), at), (20, seen.len() as u64));
        seen.extend_from_slice(piece);
        Ok::<_, RunError>(())
    });
    assert_eq!((loaded.unwrap().unwrap().record, seen), (record.clone(), whole));
    let refused = it.run.load_newest(|_, _, _| Err(RunError::NoRun { uri: "refused".to_owned() }));
    assert!(matches!(refused, Err(RunError::NoRun { .. })), "{refused:?}");
    it.run.finish(record, "CPU".to_owned(), 1.into()).unwrap();
    assert_eq!((it.damaged(), it.verified().unnamed.len()), (Vec::<String>::new(), 0));

    let part = "checkpoints/00000020-a0001-r0001.part";
    it.flip(part);
    assert_eq!(it.damaged(), [part, "final.json"]);
    // What is said of damaged bytes does not count.
    let loaded = it.run.load_newest(|record, _, _| match record.step.get() {
        20 => Err(RunError::NoRun { uri: "refused".to_owned() }),
        _ => Ok(()),
    });
    assert_eq!(loaded.unwrap().unwrap().record.step, 10);
    it.repair();
    assert_eq!((it.steps(), it.verified().unnamed.len()), (vec![10], 0));
    it.checkpoint(2, 30, 1);
    assert!(it.path(part).exists(), "what was set aside stays");
}

#[test]
fn old_parts_go_with_their_record() {
    let mut it = Folder::new();
    in_parts(&mut it);
    it.checkpoint(1, 30, 1);
    assert_eq!(
        it.run.store().list("checkpoints").unwrap(),
        ["checkpoints/00000030-a0001.json", "checkpoints/00000030-a0001.safetensors"]
    );
}

#[test]
fn what_earlier_attempts_left_half_written_is_removed_by_the_next_whole_checkpoint() {
    let mut it = Folder::new();
    let left =
        ["checkpoints/00000010-a0001.safetensors#1", "checkpoints/00000020-a0002.safetensors#1", "checkpoints/notes#1"];
    it.checkpoint(1, 10, 2);
    for name in left {
        std::fs::write(it.path(name), "half").unwrap();
    }
    it.checkpoint(2, 20, 2);
    let there = left.map(|name| it.path(name).exists());
    assert_eq!(there, [false, true, true], "what this attempt may still write, and files of others, stay");
}

#[test]
fn metrics_are_those_that_the_newest_record_names() {
    let mut it = Folder::new();
    it.checkpoint(1, 10, 3);
    // Published by an attempt that was killed before its checkpoint: the next attempt does these steps again.
    it.run.publish_metrics(10.into(), 1.into(), "{\"step\":15,\"loss\":9.0}\n").unwrap();
    assert_eq!(it.run.metrics().unwrap().keys().copied().collect::<Vec<_>>(), [9]);
    let (key, digest) = it.run.publish_metrics(10.into(), 2.into(), "{\"step\":15,\"loss\":2.0}\n").unwrap();
    let mut metrics = it.metrics.clone();
    metrics.insert(key.clone(), digest);
    it.run
        .publish_stop(&StopRecord { step: 16.into(), attempt: 2.into(), reason: "not finite".to_owned(), metrics })
        .unwrap();
    assert_eq!(it.run.metrics().unwrap()[&15.into()].loss, Some(2.0), "a stop keeps the metrics up to it");
    it.flip(&key);
    let error = it.run.metrics().unwrap_err().to_string();
    assert!(error.contains(&key) && error.contains("set it aside"), "{error}");
    it.repair();
    assert_eq!(it.run.metrics().unwrap().keys().copied().collect::<Vec<_>>(), [9]);
}

#[test]
fn metrics_of_an_older_version_are_read_and_named_from_the_next_checkpoint_on() {
    let mut it = Folder::new();
    it.run.publish_metrics(0.into(), 1.into(), "{\"step\":3}\n").unwrap();
    let old = it
        .run
        .publish_checkpoint(
            record(1, 5, None),
            "x".into(),
            Retention { keep: 2, passed_over: &BTreeSet::new(), best: false, every: None },
        )
        .unwrap();
    assert_eq!(it.run.metrics().unwrap().len(), 1);
    assert_eq!(it.verified().without_digest, ["metrics/00000000-a0001.jsonl"]);
    it.metrics = it.run.metrics_up_to(&old).unwrap();
    it.checkpoint(2, 15, 1);
    assert_eq!(it.run.metrics().unwrap().len(), 2);
    assert_eq!(it.verified().without_digest, [""; 0]);
}

#[test]
fn a_capture_is_covered_by_its_record() {
    let it = Folder::done();
    let key = "failed/00000012-a0001-r0000.safetensors".to_owned();
    let capture = CaptureRecord {
        step: 12.into(),
        attempt: 1.into(),
        rank: 0.into(),
        world: 1.into(),
        term: "koleo".to_owned(),
        key: String::new(),
        bytes: 0,
        digest: Digest::of(b""),
    };
    it.run.publish_capture(capture, "batch".into()).unwrap();
    assert_eq!(it.damaged(), [""; 0]);
    assert_eq!(it.run.capture(12.into(), 0.into()).unwrap().1, "batch");
    let error = it.run.capture(13.into(), 0.into()).unwrap_err().to_string();
    assert!(error.contains("captured are steps: 12"), "{error}");
    it.flip(&key);
    assert!(matches!(it.run.capture(12.into(), 0.into()), Err(RunError::CaptureDamaged { .. })));
    assert_eq!(it.damaged(), [key]);
}

#[test]
fn a_torn_record_of_what_was_set_aside_sets_nothing_aside_and_is_repaired_too() {
    let it = Folder::done();
    it.flip("checkpoints/00000030-a0001.safetensors");
    it.repair();
    it.empty("set-aside/1.json");
    assert_eq!(it.verified().damages.len(), 3);
    it.repair();
    assert_eq!(it.run.finished().unwrap(), None);
}

#[test]
fn nothing_is_no_run() {
    assert!(matches!(verify(&Run::at("memory://nothing-here").unwrap()), Err(RunError::NoRun { .. })));
}

#[test]
fn the_best_checkpoint_stays_beside_the_newest() {
    let run = Run::at("memory://the-best").unwrap();
    run.begin(&RunRecord::new(serde_json::json!({}), Digest::of(b""), 1, "1.0")).unwrap();
    let attempt = run.claim_attempt("1.0").unwrap();
    let passed_over = BTreeSet::new();
    let publish = |step: u64, score: Option<f64>, best: bool| {
        let record = CheckpointRecord { attempt, score, ..record(1, step, None) };
        let retention = Retention { keep: 2, passed_over: &passed_over, best, every: None };
        run.publish_checkpoint(record, vec![step as u8; 9].into(), retention).unwrap();
        run.checkpoints().unwrap().iter().map(|record| record.step.get()).collect::<Vec<_>>()
    };
    publish(10, Some(0.5), true);
    publish(20, Some(0.7), true);
    publish(30, Some(0.7), true);
    // Of equal scores the first; one that was written when asked to stop has none.
    assert_eq!(publish(35, None, true), [20, 30, 35]);
    assert_eq!(publish(40, Some(0.6), true), [20, 35, 40]);
    assert_eq!(publish(50, Some(0.8), true), [40, 50]);
    assert_eq!(publish(60, Some(0.1), true), [50, 60]);
    assert_eq!(publish(70, Some(0.1), true), [50, 60, 70]);
    assert_eq!(publish(80, Some(0.1), false), [70, 80]);
}
