//! Rows that show nothing or show it badly, and sources brought to one scale, through the program.

use std::collections::BTreeMap;

use crate::support::{Bench, picture, report, run, stderr, stdout};
use image::{Rgb, RgbImage};

/// Four fields of 32 pixels in a row: a picture, white glass, grey grain, and a soft ramp of colour.
fn field() -> RgbImage {
    let sharp = picture(32, 32, 7);
    RgbImage::from_fn(128, 32, |x, y| match x / 32 {
        0 => *sharp.get_pixel(x, y),
        1 => Rgb([255; 3]),
        2 => Rgb([180 + ((x * 7 + y * 13) % 9) as u8; 3]),
        _ => Rgb([200, 100 + (x - 96) as u8, 150]),
    })
}

fn flaws(bench: &Bench, out: &str) -> BTreeMap<String, (String, String)> {
    let rows = report(&bench.path(out), "report/quality-");
    rows.into_iter().map(|row| (row["x"].clone(), (row["flaws"].clone(), row["action"].clone()))).collect()
}

#[test]
fn rows_with_flaws_are_counted_and_kept_flagged_or_dropped() {
    let bench = Bench::new();
    bench.describe("a", "images: {include: ['*.png']}\nquality: {out_of_focus: {action: flag}}");
    bench.save("a", "field.png", &field());
    let kept = bench.build("kept", &["--size", "32"]);
    assert!(kept.status.success());
    let said = stdout(&kept);
    assert!(said.contains("a: 2 blank, 2 out of focus, 1 saturated (1 kept, 2 flagged)"), "{said}");
    assert_eq!(bench.open("kept").len(), 4);
    let expected = |blank: &str| {
        BTreeMap::from([
            (
                "32".to_owned(),
                ("blank; out of focus; saturated".to_owned(), if blank == "drop" { "drop" } else { "flag" }.to_owned()),
            ),
            ("64".to_owned(), ("blank".to_owned(), blank.to_owned())),
            ("96".to_owned(), ("out of focus".to_owned(), "flag".to_owned())),
        ])
    };
    assert_eq!(flaws(&bench, "kept"), expected("keep"));
    // Flagged rows are rows, and the report names them by the ids that they have in the set.
    let ids: Vec<String> = bench.open("kept").metas().map(|row| row.id.to_string()).collect();
    assert!(report(&bench.path("kept"), "report/quality-").iter().all(|row| ids.contains(&row["id"])));
    for more in [&["--spool-gib", "0"][..], &[]] {
        let out = format!("dropped{}", more.len());
        let dropped = bench.build(&out, &[&["--size", "32", "--blank", "drop"], more].concat());
        assert!(stdout(&dropped).contains("(1 flagged, 2 dropped)"), "{}", stdout(&dropped));
        assert_eq!(bench.open(&out).metas().map(|row| row.x).collect::<Vec<_>>(), [0, 96]);
        assert_eq!(flaws(&bench, &out), expected("drop"));
    }
    assert_eq!(bench.files("dropped2"), bench.files("dropped0"));
}

#[test]
fn an_image_of_which_no_row_is_left_is_reported() {
    let bench = Bench::new();
    bench.describe("a", "images: {include: ['*.png']}");
    bench.save("a", "field.png", &field());
    bench.save("a", "white.png", &RgbImage::from_pixel(64, 64, Rgb([255; 3])));
    let made = bench.build("set", &["--size", "32", "--saturated", "drop"]);
    assert!(made.status.success() && stdout(&made).contains("1 × none of its rows passes the quality rule"));
    assert_eq!(
        report(&bench.path("set"), "report/quality-").iter().filter(|row| row["image"] == "white.png").count(),
        4
    );
    let wrong = bench.build("none", &["--blank", "hide"]);
    assert!(!wrong.status.success() && stderr(&wrong).contains("drop"));
}

#[test]
fn sources_are_brought_to_one_scale() {
    let bench = Bench::new();
    bench.describe("fine", "images: {include: ['*.png']}\num_per_px: 0.05");
    bench.describe("unknown", "images: {include: ['*.png']}");
    // Blocks of 2 x 2 equal pixels: half the size shows each block once, but for what the filter takes from its neighbours.
    let small = picture(64, 32, 3);
    bench.save("fine", "a.png", &RgbImage::from_fn(128, 64, |x, y| *small.get_pixel(x / 2, y / 2)));
    bench.save("unknown", "b.png", &picture(64, 32, 5));
    let refused = bench.build("none", &["--size", "32", "--um-per-px", "0.1"]);
    assert!(!refused.status.success());
    assert!(
        stderr(&refused).contains("`unknown`") && stderr(&refused).contains("--unknown-scale keep"),
        "{}",
        stderr(&refused)
    );
    let made = bench.build("set", &["--size", "32", "--um-per-px", "0.1", "--unknown-scale", "keep"]);
    assert!(made.status.success());
    let set = bench.open("set");
    let places: Vec<_> = set.metas().map(|row| (row.source.to_string(), row.x, row.w)).collect();
    let place = |source: &str, x, w| (source.to_owned(), x, w);
    assert_eq!(
        places,
        [place("fine", 0, 64), place("fine", 64, 64), place("unknown", 0, 32), place("unknown", 32, 32)]
    );
    let shown = set.rgb(0).expect("pixels");
    assert_eq!(shown.dimensions(), (32, 32));
    let mut off = 0.0;
    for (index, pixel) in shown.chunks_exact(3).enumerate() {
        let there = small.get_pixel(index as u32 % 32, index as u32 / 32);
        off += pixel.iter().zip(there.0).map(|(&a, b)| (f64::from(a) - f64::from(b)).abs()).sum::<f64>();
    }
    let mean = off / shown.as_raw().len() as f64;
    assert!(mean < 8.0, "mean difference {mean} levels");
    let (uri, sources, data) = (bench.path("set"), bench.path("sources"), bench.path("data"));
    let verified = run(&[
        "verify",
        uri.to_str().expect("UTF-8"),
        "--sources",
        sources.to_str().expect("UTF-8"),
        "--data",
        data.to_str().expect("UTF-8"),
    ]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("4 random rows were cut again"), "{}", stdout(&verified));
}
