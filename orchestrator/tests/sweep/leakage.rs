//! A sweep does not begin where its training set is known to hold evaluation images, or where nobody has looked.

use shards::Manifest;
use shards::leaks::{Comparison, Leak, LeakKind, LeakSide, LeakedSource, Leaks};
use store::Store;

use crate::harness::{Bench, SWEEP};

/// Records what the sets of a bench share: `leaked` images of source `web`.
fn record(bench: &Bench, compared: Comparison, leaked: u64) {
    let store = |name: &str| Store::open(bench.path(name).to_str().unwrap()).unwrap();
    let side = |name: &str| LeakSide {
        shards: Manifest::read(&store(name)).unwrap().digest(),
        images: 40,
        near: 40,
        small: 0,
        sources: (leaked > 0).then(|| LeakedSource { source: "web".into(), leaked, images: 40 }).into_iter().collect(),
    };
    let leak = |number: u64| Leak {
        kind: LeakKind::Near,
        score: 0.9,
        train_source: "web".into(),
        train_image: format!("{number}.png"),
        evaluation_source: "held-out".into(),
        evaluation_image: format!("{number}.png"),
    };
    let found: Vec<Leak> = (0..leaked).map(leak).collect();
    let leaks = Leaks::new("test".into(), compared, (side("train"), side("cells")), &found, 0);
    leaks.publish(&store("cells"), b"a table".to_vec(), None).unwrap();
}

#[test]
fn evidence_waits_for_a_record_and_found_copies_are_refused_with_their_remedy() {
    let evidence = SWEEP.replace("evidence: false\n", "");
    let bench = Bench::new().sweep(&evidence);
    for args in [&["--dry-run"][..], &[]] {
        let run = bench.run(args).ends(1);
        let (train, cells) = (bench.path("train"), bench.path("cells"));
        let told = format!("run `shard-builder leaks {} {}`", train.display(), cells.display());
        assert!(run.err.contains(&told), "{}", run.err);
    }
    record(&bench, Comparison::Exact, 2);
    let run = bench.run(&[]).ends(1);
    assert!(run.err.contains("2 of 40 images of source web (pairs: 2 near; "), "{}", run.err);
    let record_uri = run.err.split("--images-in ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(record_uri.ends_with("/exact.json") && std::path::Path::new(record_uri).is_file(), "{record_uri}");
    assert!(run.err.contains("Warning: ") && run.err.contains("by bytes and pixels alone"), "{}", run.err);
    assert_eq!(bench.calls("train").len(), 0);

    // A later search with fingerprints, which found nothing.
    record(&bench, Comparison::Near, 0);
    let run = bench.run(&["--dry-run"]).ends(0);
    assert!(!run.err.contains("Warning"), "{}", run.err);
    bench.run(&[]).ends(0);
}

#[test]
fn a_sweep_may_warn_of_copies_or_call_a_set_transductive() {
    let bench = Bench::new();
    record(&bench, Comparison::Near, 3);
    let run = bench.run(&["--dry-run"]).ends(0);
    assert!(run.err.contains("Warning: ") && run.err.contains("3 of 40 images of source web"), "{}", run.err);
    let evidence = SWEEP.replace("evidence: false\n", "");
    let bench = bench.sweep(&format!("{evidence}leakage: allow\n"));
    assert!(!bench.run(&["--dry-run"]).ends(0).err.contains("Warning"));
    let bench = bench.sweep(&evidence.replace("split: grouped}", "split: grouped, transductive: true}"));
    bench.run(&["--dry-run"]).ends(0);
    let bench = bench.sweep(&evidence);
    bench.run(&["--dry-run"]).ends(1);
}
