//! Replays the reference's recorded cases on real smears, when `shared/reference/augment-cases` is there.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops at what it did not expect, and tells what it skipped"
)]

use std::path::{Path, PathBuf};

use augment::case::{Arrays, Case, Output, parse_npz};
use augment::{ALL_33, PixelBuffer};
use run_spec::config::ChannelOrder;

fn shared() -> Option<PathBuf> {
    let shared = match std::env::var_os("REDDINO_SHARED") {
        Some(given) => PathBuf::from(given),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let cases = shared.join("reference/augment-cases");
    if cases.is_dir() {
        return Some(cases);
    }
    let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|r| r == "shared-data"), "{} is required but missing", cases.display());
    eprintln!("SKIPPED: {} is missing", cases.display());
    None
}

fn load(path: &Path) -> PixelBuffer {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb8();
    PixelBuffer::new(image.height() as usize, image.width() as usize, image.into_raw()).unwrap()
}

/// Share of pixels that differ and the largest difference.
fn difference(got: &PixelBuffer, want: &PixelBuffer) -> (f64, u8) {
    assert_eq!((got.height, got.width), (want.height, want.width));
    let pairs = || got.data.chunks_exact(3).zip(want.data.chunks_exact(3));
    let differing = pairs().filter(|(a, b)| a != b).count();
    let largest = got.data.iter().zip(&want.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    (differing as f64 / pairs().count() as f64, largest)
}

#[test]
fn every_recorded_case_comes_out_as_the_reference_made_it() {
    let Some(root) = shared() else { return };
    let mut replayed: Vec<String> = Vec::new();
    let mut wrong = Vec::new();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    folders.sort();
    for folder in folders {
        let arrays = match std::fs::read(folder.join("arrays.npz")) {
            Ok(bytes) => parse_npz(&bytes).unwrap(),
            Err(_) => Arrays::new(),
        };
        let json = std::fs::read_to_string(folder.join("params.json")).unwrap();
        let case = Case::from_params(&json, &arrays).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        match case.apply(&load(&folder.join("input.png")), ChannelOrder::Bgr).unwrap() {
            Output::Image(got) => {
                let (share, largest) = difference(&got, &load(&folder.join("expected.png")));
                if share > 0.001 || largest > 1 {
                    wrong.push(format!("{}: {:.4} % differ, by up to {largest}", folder.display(), share * 100.0));
                } else if largest > 0 {
                    eprintln!("{}: {:.4} % differ, by up to {largest}", folder.display(), share * 100.0);
                }
            }
            Output::Float { data, .. } => {
                let want = &arrays["expected"].data;
                let largest = data.iter().zip(want).map(|(&a, &b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
                if data.len() != want.len() || largest > 0.0 {
                    wrong.push(format!("{}: floats differ by up to {largest}", folder.display()));
                }
            }
        }
        replayed.push(case.name().to_owned());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<_> = ALL_33.iter().filter(|name| !replayed.iter().any(|r| r == *name)).collect();
    assert!(missing.is_empty(), "no case of {missing:?}");
}
