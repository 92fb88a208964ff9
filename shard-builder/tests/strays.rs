//! A set's folder holds what its manifest names: other sets are refused before anything is read, and debris is named and removed.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::{Bench, picture, run, stderr, stdout};

const ALL: &str = "images: {include: ['**/*.png']}";
const OPTIONS: [&str; 4] = ["--size", "32", "--rows-per-shard", "4"];

fn bench() -> Bench {
    let bench = Bench::new();
    for (source, seed) in [("a", 0), ("b", 40)] {
        bench.describe(source, ALL);
        for index in 0..3 {
            bench.save(source, &format!("{index}.png"), &picture(64, 64, seed + index));
        }
    }
    bench
}

/// What a build leaves that is killed after its first two shards: no manifest, no card, and a staging file.
fn killed(bench: &Bench, whole: &str, out: &str) {
    let files = bench.files(whole);
    let shards = files.keys().filter(|name| name.ends_with(".parquet")).take(2);
    for name in shards.chain([&"build.json".to_owned()]) {
        put(&bench.path(out).join(name), &files[name]);
    }
    let third = files.keys().filter(|name| name.ends_with(".parquet")).nth(2).expect("three shards");
    put(&bench.path(out).join(format!("{third}#1")), b"half a sha");
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    std::fs::write(path, bytes).expect("file");
}

fn uri(bench: &Bench, out: &str) -> String {
    bench.path(out).to_str().expect("UTF-8").to_owned()
}

/// The shards that lie where the set's card tells readers to look, by a listing of the folder.
fn listed(bench: &Bench, out: &str) -> Vec<String> {
    let card = std::fs::read_to_string(bench.path(out).join("README.md")).expect("a card");
    let glob = card.lines().find_map(|line| line.trim().strip_prefix("data_files: ")).expect("data_files").to_owned();
    let folder = glob.strip_suffix("/*.parquet").expect("a glob of one folder").to_owned();
    let mut names: Vec<String> = bench
        .files(out)
        .into_keys()
        .filter(|name| Path::new(name).parent() == Some(Path::new(&folder)) && name.ends_with(".parquet"))
        .collect();
    names.sort();
    names
}

fn named(bench: &Bench, out: &str) -> Vec<String> {
    bench.open(out).manifest().shards.iter().map(|shard| shard.key.clone()).collect()
}

#[test]
fn a_killed_build_is_no_set_refuses_others_and_ends_without_debris() {
    let bench = bench();
    assert!(bench.build("whole", &OPTIONS).status.success());
    killed(&bench, "whole", "killed");
    let before = bench.files("killed");
    let other = bench.build("killed", &["--size", "16", "--rows-per-shard", "4"]);
    let said = stderr(&other);
    assert!(!other.status.success() && said.contains("2 shards lie there of a build"), "{said}");
    assert!(said.contains("--out") && !said.contains("read a"), "refused before images are read: {said}");
    assert_eq!(bench.files("killed"), before);
    let unfinished = run(&["verify", &uri(&bench, "killed")]);
    let said = stderr(&unfinished);
    assert!(!unfinished.status.success() && said.contains("2 shards and no manifest"), "{said}");
    assert!(said.contains("run the same build again"), "{said}");
    let resumed = bench.build("killed", &OPTIONS);
    assert!(
        resumed.status.success() && stdout(&resumed).contains("2 of the shards were found"),
        "{}",
        stdout(&resumed)
    );
    assert_eq!(bench.files("killed"), bench.files("whole"));
    assert!(run(&["verify", &uri(&bench, "killed")]).status.success());
}

#[test]
fn shards_of_an_interrupted_build_of_other_images_are_never_among_those_that_readers_list() {
    let bench = bench();
    assert!(bench.build("first", &OPTIONS).status.success());
    killed(&bench, "first", "set");
    let old = bench.files("first").into_iter().find(|(name, _)| name.contains("report/images-")).expect("a report");
    put(&bench.path("set").join(&old.0), &old.1);
    bench.save("b", "0.png", &picture(64, 64, 900));
    assert!(bench.build("set", &OPTIONS).status.success());
    assert_eq!(listed(&bench, "set"), named(&bench, "set"));
    let files = bench.files("set");
    assert_eq!(files.keys().filter(|name| name.ends_with(".parquet")).count(), named(&bench, "set").len());
    assert!(!files.contains_key(&old.0) && files.keys().all(|name| !name.contains('#')), "{:?}", files.keys());
    assert!(run(&["verify", &uri(&bench, "set")]).status.success());
    // The configuration is the same and the images are not: the set stays, and nothing of the late build does.
    bench.save("b", "0.png", &picture(64, 64, 901));
    let late = bench.build("set", &OPTIONS);
    assert!(!late.status.success() && stderr(&late).contains("with other rows"), "{}", stderr(&late));
    assert!(bench.files("set") == files, "{:?}", bench.files("set").keys());
    assert!(run(&["verify", &uri(&bench, "set")]).status.success());
}

#[test]
fn verify_names_strays_and_debris_with_the_remedy() {
    let bench = bench();
    assert!(bench.build("set", &OPTIONS).status.success());
    let out = bench.path("set");
    let shard = named(&bench, "set")[0].clone();
    let bytes = bench.files("set")[&shard].clone();
    put(&out.join("notes.txt"), b"a person's notes harm nobody");
    put(&out.join("shards/.DS_Store"), b"nor does this");
    assert!(run(&["verify", &uri(&bench, "set")]).status.success());
    let folder = Path::new(&shard).parent().expect("folder").to_str().expect("UTF-8").to_owned();
    for stray in [
        format!("{folder}/99999.parquet"),
        format!("{folder}/00000 (1).parquet"),
        "shards/00000.parquet".to_owned(),
        "features.parquet".to_owned(),
        format!("{shard}#1"),
        "splits/g.parquet#2".to_owned(),
        "report/images-0123456789ab.csv".to_owned(),
    ] {
        put(&out.join(&stray), &bytes);
        let verify = run(&["verify", &uri(&bench, "set")]);
        let said = stderr(&verify);
        assert!(!verify.status.success() && said.contains("1 fault\n"), "{stray}: {said}");
        assert!(said.contains(&format!("/{stray} ")) && said.contains("delete it"), "{stray}: {said}");
        std::fs::remove_file(out.join(&stray)).expect("remove");
    }
    // What a builder left goes when the build is run again; what a person put there stays and is named.
    put(&out.join(format!("{shard}#1")), b"half");
    put(&out.join("shards/0123456789ab/00000.parquet"), &bytes);
    put(&out.join("features.parquet"), &bytes);
    assert!(bench.build("set", &OPTIONS).status.success());
    let said = stderr(&run(&["verify", &uri(&bench, "set")]));
    assert!(said.contains("1 fault\n") && said.contains("features.parquet"), "{said}");
}

#[test]
fn a_place_that_cannot_be_written_or_holds_other_files_is_refused_before_images_are_read() {
    let bench = bench();
    put(&bench.path("old/shards/00000-0123456789ab.parquet"), b"by an earlier version");
    put(&bench.path("other/README.md"), b"about something else");
    put(&bench.path("file"), b"not a folder");
    for (out, says) in [
        ("old", "shards/00000-0123456789ab.parquet lies there, but no set"),
        ("other", "README.md lies there, but no set"),
        ("file", "Not a directory"),
    ] {
        let made = bench.build(out, &OPTIONS);
        let said = stderr(&made);
        assert!(!made.status.success() && said.contains(says) && !said.contains("read a"), "{out}: {said}");
    }
    assert_eq!(std::fs::read(bench.path("other/README.md")).expect("kept"), b"about something else");
    assert_eq!(bench.files("old").len(), 1);
    for command in ["duplicates", "segment"] {
        let mut program = support::program();
        let program = program.arg(command).arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
        let more: &[&str] = if command == "segment" { &["--diameter", "20"] } else { &[] };
        let said = stderr(&program.arg("--out").arg(bench.path("file")).args(more).output().expect("starts"));
        assert!(said.contains("make the folder") && !said.contains("read a"), "{command}: {said}");
    }
    // Nobody may write there, whoever runs the tests.
    if cfg!(target_os = "linux") {
        let mut command = support::program();
        let command = command.arg("build").arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
        let made = command.args(["--out", "/sys/reddino-no-set"]).output().expect("shard-builder starts");
        let said = stderr(&made);
        assert!(!made.status.success() && said.contains("/sys/reddino-no-set") && !said.contains("read a"), "{said}");
    }
}

#[test]
fn remove_writes_what_build_writes_refuses_other_places_and_goes_on() {
    let bench = bench();
    bench.describe("c", &format!("{ALL}\nquality: {{blank: {{least: 1.0, action: flag}}}}"));
    bench.save("c", "0.png", &picture(64, 64, 80));
    bench.write("c", "broken.png", b"\x89PNG\r\n\x1a\n");
    bench.save("a", "copy.png", &picture(64, 64, 80));
    assert!(bench.build("set", &OPTIONS).status.success());
    let remove = |out: &str| run(&["remove", &uri(&bench, "set"), "--source", "b", "--out", &uri(&bench, out)]);
    let set = bench.files("set");
    let refused = remove("set");
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("is taken") && !said.contains("copy shards"), "{said}");
    assert_eq!(bench.files("set"), set);
    let made = remove("less");
    assert!(made.status.success(), "{}", stderr(&made));
    let less = bench.files("less");
    let kinds = |files: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        let kind = |name: &String| name.rsplit_once('-').map_or(name.clone(), |(kind, _)| kind.to_owned());
        files.keys().filter(|name| !name.starts_with("shards/")).map(kind).collect()
    };
    assert_eq!(kinds(&less), kinds(&set));
    let card = String::from_utf8(less["README.md"].clone()).expect("UTF-8");
    assert!(
        card.contains("from 2 public sources") && card.contains("| c | 1 | 4 | 1 | MIT | M | training |"),
        "{card}"
    );
    assert!(card.contains("1 pairs with the same bytes") && card.contains("- c: 4 blank (4 flagged)"), "{card}");
    assert!(!card.contains("| b |") && card.contains("- **c**: T. H. C\n"), "{card}");
    assert_eq!(listed(&bench, "less"), named(&bench, "less"));
    let images = bench.images("less");
    assert!(images.len() == 6 && images.iter().all(|row| row["source"] != "b"), "{images:?}");
    let picture = image::load_from_memory(&less["examples.png"]).expect("a picture");
    let before = image::load_from_memory(&set["examples.png"]).expect("a picture");
    assert!(picture.width() == before.width() && picture.height() < before.height());
    assert!(run(&["verify", &uri(&bench, "less")]).status.success());
    assert!(remove("less").status.success(), "a finished removal may be asked for again");
    assert_eq!(bench.files("less"), less);
    killed(&bench, "less", "killed");
    assert!(remove("killed").status.success());
    assert_eq!(bench.files("killed"), less);
    let twice = run(&["remove", &uri(&bench, "less"), "--source", "a", "--out", &uri(&bench, "twice")]);
    assert!(twice.status.success(), "{}", stderr(&twice));
    let card = String::from_utf8(bench.files("twice")["README.md"].clone()).expect("UTF-8");
    assert!(card.contains("- **c**: T. H. C\n") && !card.contains("**a**"), "{card}");
}
