//! Splits, verification and the contact sheet, through the program.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{Bench, picture, run, stderr, stdout};

fn bench() -> Bench {
    let bench = Bench::new();
    for (source, seed) in [("x", 0), ("y", 40), ("z", 80)] {
        bench.describe(
            source,
            "images: {include: ['*/*.png']}\nlabel: {from: folder}\ngroup: {by: pattern, pattern: '(p\\d+)-'}",
        );
        for index in 0..12_u32 {
            let label = if index % 3 == 0 { "rare" } else { "common" };
            bench.save(source, &format!("{label}/p{}-{index}.png", index / 2), &picture(64, 64, seed + index));
        }
    }
    assert!(bench.build("set", &["--size", "32", "--rows-per-shard", "50"]).status.success());
    bench
}

#[test]
fn splits_follow_groups_and_verify_proves_it() {
    let bench = bench();
    let path = bench.path("set");
    let uri = path.to_str().expect("UTF-8");
    let split = run(&["split", uri, "--name", "five", "--kind", "grouped-kfold", "--folds", "5", "--seed", "3"]);
    assert!(split.status.success(), "{}", stderr(&split));
    assert!(run(&["split", uri, "--name", "loso", "--kind", "leave-one-source-out"]).status.success());
    let set = bench.open("set");
    let mut folds: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let five = set.split("five").expect("split");
    for row in 0..set.len() {
        let group = set.meta(row).expect("row").group.to_string();
        folds.entry(group.clone()).or_default().insert(five.fold_of(&group).expect("every group has a fold"));
    }
    assert_eq!(folds.len(), 18);
    assert!(folds.values().all(|folds| folds.len() == 1));
    assert_eq!(folds.values().flatten().collect::<BTreeSet<_>>().len(), 5);
    let verify = run(&["verify", uri]);
    assert!(verify.status.success(), "{}", stderr(&verify));
    assert!(stdout(&verify).contains("five") && stdout(&verify).contains("loso"), "{}", stdout(&verify));
    let again = run(&["split", uri, "--name", "five", "--kind", "grouped-kfold", "--folds", "3"]);
    assert!(!again.status.success(), "a split of that name exists");
}

#[test]
fn verify_notices_one_changed_byte_and_a_missing_shard() {
    let bench = bench();
    let path = bench.path("set");
    let uri = path.to_str().expect("UTF-8");
    let shard = bench.files("set").into_iter().find(|(name, _)| name.ends_with(".parquet")).expect("a shard");
    let mut bytes = shard.1.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path.join(&shard.0), bytes).expect("write");
    let run_changed = run(&["verify", uri]);
    assert!(!run_changed.status.success());
    assert!(stderr(&run_changed).contains(".parquet"), "{}", stderr(&run_changed));
    std::fs::remove_file(path.join(&shard.0)).expect("remove");
    assert!(!run(&["verify", uri]).status.success());
}

#[test]
fn show_lists_sources_and_draws_them() {
    let bench = bench();
    let path = bench.path("set");
    let uri = path.to_str().expect("UTF-8");
    let sheet = bench.path("sheet.png");
    let show = run(&["show", uri, "--contact-sheet", sheet.to_str().expect("UTF-8"), "--samples", "4"]);
    assert!(show.status.success(), "{}", stderr(&show));
    for word in ["x", "y", "z", "MIT", "common", "rare", "48"] {
        assert!(stdout(&show).contains(word), "{word}: {}", stdout(&show));
    }
    let drawn = image::open(&sheet).expect("a PNG");
    assert!(drawn.width() > 4 * 128 && drawn.height() > 3 * 128);
    let missing = run(&["show", bench.path("nowhere").to_str().expect("UTF-8")]);
    assert!(!missing.status.success() && stderr(&missing).contains("nowhere"), "{}", stderr(&missing));
}
