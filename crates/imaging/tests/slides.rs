//! Slides beside tifffile (`tests/golden/make_slides.py`), and hostile ones.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imaging::slide::{Area, Slide};
use imaging::{DecodeError, DecodeLimits};

/// A file in memory; clones share its bytes.
type File = Cursor<Arc<[u8]>>;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/slides")
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(name)).expect("golden file")
}

fn open(bytes: &[u8]) -> Result<Slide<File>, DecodeError> {
    Slide::open(Cursor::new(bytes.into()), DecodeLimits::default())
}

/// The largest difference of any value from what tifffile reads, over all regions that it has read, and how many those are.
fn difference(name: &str) -> (u8, usize) {
    let slide = open(&bytes_of(name)).unwrap_or_else(|reason| panic!("{name}: {reason}"));
    let (mut most, mut regions) = (0, 0);
    for file in std::fs::read_dir(golden()).expect("golden files") {
        let path = file.expect("golden file").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let Some(place) = file.strip_prefix(&format!("{name}.L")).and_then(|rest| rest.strip_suffix(".png")) else {
            continue;
        };
        let numbers: Vec<u32> = place.split('-').map(|number| number.parse().expect("a number")).collect();
        let expected = image::open(&path).expect("a region").into_rgb8();
        let (width, height) = expected.dimensions();
        let area = Area { x: numbers[1], y: numbers[2], width, height };
        let seen = slide.read(numbers[0] as usize, area).unwrap_or_else(|reason| panic!("{file}: {reason}"));
        most = seen.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0).max(most);
        regions += 1;
    }
    (most, regions)
}

#[test]
fn regions_are_those_that_tifffile_reads() {
    for (name, most) in
        [("big-endian.tif", 0), ("sub.ome.tif", 0), ("rgb.svs", 3), ("ycbcr.svs", 6), ("ndpi-like.tif", 3)]
    {
        let (difference, regions) = difference(name);
        assert!(difference <= most && regions == 3, "{name}: {regions} regions differ by up to {difference}");
    }
}

#[test]
fn levels_and_scale_are_those_of_the_file() {
    for name in ["big-endian.tif", "sub.ome.tif", "rgb.svs", "ycbcr.svs", "ndpi-like.tif"] {
        let slide = open(&bytes_of(name)).expect("a slide");
        assert_eq!(slide.levels(), [(480, 352), (120, 88)], "{name}: neither thumbnail nor label is a level");
        assert_eq!(slide.um_per_px(), Some(0.25), "{name}");
        assert!((slide.downsampling(1) - 4.0).abs() < 1e-9);
        assert_eq!(slide.overview().expect("small").dimensions(), (480, 352));
    }
}

#[test]
fn regions_outside_and_files_of_other_kinds_are_refused() {
    let slide = open(&bytes_of("sub.ome.tif")).expect("a slide");
    for area in [(479, 0, 2, 1), (0, 352, 1, 1), (u32::MAX, 0, 2, 1)] {
        let area = Area { x: area.0, y: area.1, width: area.2, height: area.3 };
        assert!(slide.read(0, area).is_err_and(|reason| reason.to_string().contains("outside level 0")), "{area:?}");
    }
    assert!(slide.read(2, Area { x: 0, y: 0, width: 1, height: 1 }).is_err());
    let dicom = [vec![0; 128], b"DICM".to_vec(), vec![0; 99]].concat();
    assert!(open(&dicom).is_err_and(|reason| reason.to_string().contains("DICOM")));
    assert!(open(&bytes_of("rgb.svs.L1-30-20.png")).is_err_and(|reason| reason.to_string().contains("is not a TIFF")));
    assert!(open(b"").is_err());
}

/// A tile that is not there is white; every other change of a byte, and every cut, is an error or pixels, and never more memory than the
/// limits.
#[test]
fn hostile_files_are_refused_or_read() {
    let whole = Area { x: 0, y: 0, width: 120, height: 88 };
    for name in ["sub.ome.tif", "ycbcr.svs", "ndpi-like.tif"] {
        let bytes = bytes_of(name);
        for cut in (0..bytes.len()).step_by(bytes.len() / 40) {
            if let Ok(slide) = open(&bytes[..cut]) {
                drop(slide.read(slide.levels().len() - 1, whole));
            }
        }
        // The directories of these files lie at their ends and between the levels; every 97th byte meets many tags.
        for at in (0..bytes.len()).step_by(97) {
            for value in [0, 0xff] {
                let mut hurt = bytes.clone();
                hurt[at] = value;
                if let Ok(slide) = open(&hurt) {
                    drop(slide.read(slide.levels().len() - 1, whole));
                }
            }
        }
    }
}
