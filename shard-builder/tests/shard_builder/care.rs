//! Splits, verification and the contact sheet, through the program.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Bench, is_shard, picture, run, stderr, stdout};

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
fn split_says_what_each_fold_holds_and_warns_of_unequal_ones() {
    let bench = Bench::new();
    bench.describe(
        "x",
        "images: {include: ['*/*.png']}\nlabel: {from: folder}\ngroup: {by: pattern, pattern: '(p\\d+)-'}",
    );
    for (name, seed) in [("rare/p0-0", 0), ("common/p0-1", 1), ("common/p0-2", 2), ("common/p1-3", 3)] {
        bench.save("x", &format!("{name}.png"), &picture(64, 64, seed));
    }
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let uri = bench.path("set").to_str().expect("UTF-8").to_owned();
    let split = |folds: &str| run(&["split", &uri, "--name", "s", "--kind", "grouped-kfold", "--folds", folds]);
    let made = split("2");
    let line = |first: &str| {
        let said = stdout(&made);
        let line = said.lines().find(|line| line.split_whitespace().next() == Some(first)).expect("a line").to_owned();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((line("0"), line("1")), (vec!["1".into(), "12".into()], vec!["1".into(), "4".into()]));
    assert_eq!(
        (line("common"), line("rare")),
        (vec!["8".into(), "4".into(), "12".into()], vec!["4".into(), "0".into(), "4".into()])
    );
    let warned = stderr(&made);
    assert!(
        warned
            .contains("very different sizes: fold 1 has 4 rows, fold 0 12; the largest group, x/p0, has 12 of all 16"),
        "{warned}"
    );
    assert!(warned.contains("label rare has no row in fold 1"), "{warned}");
    let few = stderr(&split("3"));
    assert!(few.contains("2 groups for 3 folds: ask for at most 2 with --folds, or let `group`"), "{few}");
}

#[test]
fn a_split_that_copies_make_impossible_names_them() {
    let bench = Bench::new();
    for source in ["x", "y"] {
        bench.describe(source, "images: {include: ['*.png']}");
        for index in 0..3 {
            bench.save(source, &format!("{index}.png"), &picture(64, 64, index));
        }
    }
    // Each image of `y` is one of `x`, and one more image of `x` ties them all together.
    bench.describe("x", "images: {include: ['*.png']}\nsame_as: [{image: 0.png, source: y, of: 1.png}, {image: 1.png, source: y, of: 2.png}]");
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let uri = bench.path("set").to_str().expect("UTF-8").to_owned();
    let said = stderr(&run(&["split", &uri, "--name", "s", "--kind", "grouped-kfold", "--folds", "4"]));
    assert!(said.contains("1 group for 4 folds, because copies joined 6 groups of the sources into 3 (3 pairs, listed in report/copies-"), "{said}");
    assert!(said.contains("a split needs at least two groups") && !said.contains("--near-copies"), "{said}");
    let said = stderr(&run(&["split", &uri, "--name", "s", "--kind", "leave-one-source-out"]));
    assert!(
        said.contains("no group holds images of source \"y\" alone") && said.contains("because copies joined"),
        "{said}"
    );
}

#[test]
fn verify_notices_one_changed_byte_and_a_missing_shard() {
    let bench = bench();
    let path = bench.path("set");
    let uri = path.to_str().expect("UTF-8");
    let shard = bench.files("set").into_iter().find(|(name, _)| is_shard(name)).expect("a shard");
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

#[test]
fn a_source_is_removed_into_a_new_set_and_diff_says_what_differs() {
    let bench = bench();
    let path = |name: &str| bench.path(name).to_str().expect("UTF-8").to_owned();
    let digest = bench.open("set").digest().to_string();
    std::fs::create_dir_all(bench.path("runs/a")).expect("folder");
    std::fs::write(bench.path("runs/a/run.json"), format!("{{\"shards\":\"{digest}\"}}")).expect("record");
    std::fs::write(bench.path("runs/other.json"), "{}").expect("record");
    let removed = run(&["remove", &path("set"), "--source", "y", "--out", &path("less"), "--results", &path("runs")]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    let said = stdout(&removed);
    assert!(said.contains("96 of 144 rows") && said.contains("a/run.json") && !said.contains("other.json"), "{said}");
    assert!(run(&["verify", &path("less")]).status.success());
    let (old, new) = (bench.open("set"), bench.open("less"));
    let rest: Vec<_> = old.metas().filter(|row| &*row.source != "y").collect();
    assert!(new.metas().eq(rest));
    let diff = stdout(&run(&["diff", &path("set"), &path("less")]));
    let line = |source: &str| {
        let line =
            diff.lines().find(|line| line.split_whitespace().next() == Some(source)).expect("a line of the source");
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("x")[..3], ["48", "0", "0"]);
    assert_eq!(line("y")[..3], ["0", "48", "0"]);
    assert!(stdout(&run(&["diff", &path("set"), &path("set")])).contains("the same"));
    let unknown = run(&["remove", &path("set"), "--source", "w", "--out", &path("none")]);
    assert!(stderr(&unknown).contains("x, y, z"), "{}", stderr(&unknown));
}

#[test]
fn the_licence_gate_leaves_sources_out_and_says_so() {
    let bench = bench();
    let file = bench.path("sources/y.yaml");
    let text = std::fs::read_to_string(&file).expect("description");
    std::fs::write(&file, text.replace("licence: MIT", "licence: CC BY-NC 4.0")).expect("description");
    let made = bench.build("free", &["--size", "32", "--licences", "permissive"]);
    assert!(made.status.success() && stderr(&made).contains("CC BY-NC 4.0"), "{}", stderr(&made));
    let set = bench.open("free");
    assert!(set.metas().all(|row| &*row.source != "y") && set.len() == 96);
}

#[test]
fn rows_are_cut_again_from_their_sources_and_a_changed_source_shows() {
    let bench = bench();
    let path = |name: &str| bench.path(name).to_str().expect("UTF-8").to_owned();
    let verify = || {
        let (set, sources, data) = (path("set"), path("sources"), path("data"));
        run(&["verify", &set, "--sources", &sources, "--data", &data, "--recut", "1000"])
    };
    let good = verify();
    assert!(good.status.success() && stdout(&good).contains("144 random rows were cut again"), "{}", stderr(&good));
    bench.save("y", "common/p0-1.png", &picture(64, 64, 900));
    let bad = verify();
    assert!(!bad.status.success());
    assert!(stderr(&bad).contains("4 of 144 rows") && stderr(&bad).contains("common/p0-1.png"), "{}", stderr(&bad));
}
