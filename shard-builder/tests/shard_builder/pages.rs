//! TIFFs of several pages, through the program.

use crate::support::{Bench, picture, run, stderr, stdout};

/// Four pages, the third a smaller copy of the first (`crates/imaging/tests/golden/make_formats.py`).
const PAGES: &[u8] = include_bytes!("../../../crates/imaging/tests/golden/formats/pages.tif");

const ALL: &str = "images: {include: ['**/*.tif'], pages: all}\nlabel: {from: csv-class, file: classes.csv, image: image, class: class}";

#[test]
fn each_page_is_an_image_with_label_and_group_of_its_file() {
    let bench = Bench::new();
    bench.describe("one", ALL);
    bench.write("one", "a/stack.tif", PAGES);
    bench.save("one", "single.tif", &picture(40, 24, 99));
    bench.write("one", "other#2.tif", PAGES);
    bench.write("one", "classes.csv", b"image,class\nstack.tif,round\nsingle.tif,flat\n");
    let made = bench.build("set", &["--size", "8"]);
    assert!(made.status.success(), "{}", stderr(&made));

    let rows: Vec<(String, String)> =
        bench.images("set").iter().map(|row| (row["image"].clone(), row["reason"].clone())).collect();
    let named = |image: &str, reason: &str| (image.to_owned(), reason.to_owned());
    assert_eq!(
        rows,
        [
            named("a/stack#2.tif", ""),
            named("a/stack#3.tif", "the file calls this page a smaller copy or a mask of another"),
            named("a/stack#4.tif", ""),
            named("a/stack.tif", ""),
            named("other#2.tif", "named like a page of another file; rename it"),
            named("single.tif", ""),
        ]
    );

    let set = bench.open("set");
    assert_eq!(set.len(), 4 * 15);
    for row in set.metas() {
        let (label, group) = if row.image.contains("stack") { ("round", "stack") } else { ("flat", "single") };
        assert_eq!(row.label.as_deref(), Some(label), "{}", row.image);
        assert!(row.group.contains(group), "{} is in {}", row.image, row.group);
    }

    let (set, sources, data) = (bench.path("set"), bench.path("sources"), bench.path("data"));
    let [set, sources, data] = [&set, &sources, &data].map(|path| path.to_str().expect("UTF-8"));
    let verified = run(&["verify", set, "--sources", sources, "--data", data, "--recut", "60"]);
    assert!(verified.status.success() && stdout(&verified).contains("60 random rows"), "{}", stderr(&verified));
    // Pages of one file are no copies of each other for it.
    let listed = run(&["duplicates", sources, "--data", data]);
    assert!(!stdout(&listed).contains("same bytes"), "{}", stdout(&listed));
}

#[test]
fn pages_are_encoded_the_same_when_nothing_was_spooled() {
    let bench = Bench::new();
    bench.describe("one", "images: {include: ['*.tif'], pages: all}");
    bench.write("one", "stack.tif", PAGES);
    assert!(bench.build("spooled", &["--size", "8"]).status.success());
    assert!(bench.build("again", &["--size", "8", "--spool-gib", "0"]).status.success());
    assert!(bench.files("spooled") == bench.files("again"));
}

#[test]
fn by_default_the_first_page_is_read_and_the_others_are_counted() {
    let bench = Bench::new();
    bench.describe("one", "images: {include: ['*.tif']}");
    bench.write("one", "stack#2.tif", PAGES);
    assert!(bench.build("set", &["--size", "8"]).status.success());
    let rows = bench.images("set");
    assert_eq!((rows.len(), rows[0]["image"].as_str()), (1, "stack#2.tif"));
    assert!(rows[0]["notes"].contains("first of 4 pages"), "{:?}", rows[0]);
}
