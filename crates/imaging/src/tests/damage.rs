//! JPEGs that are damaged inside and end as whole ones do, and those that hold more than one picture.

use super::kinds::golden as kinds;
use super::*;

const END: [u8; 2] = [0xff, 0xd9];

/// Where the data of the first pass begins.
fn data(bytes: &[u8]) -> usize {
    let header = bytes.windows(2).position(|two| two == [0xff, 0xda]).expect("a pass");
    header + 2 + usize::from(bytes[header + 3])
}

fn reason(bytes: &[u8]) -> String {
    decode(bytes, DecodeLimits::default()).map(|decoded| decoded.notes).expect_err("damage").to_string()
}

fn notes(bytes: &[u8]) -> String {
    decode(bytes, DecodeLimits::default()).unwrap_or_else(|reason| panic!("{reason}")).notes.join("; ")
}

#[test]
fn a_jpeg_that_is_damaged_inside_is_refused_though_it_ends() {
    for name in ["plain.jpg", "grey.jpg", "cmyk.jpg", "progressive.jpg", "exif-6.jpg"] {
        let bytes = read(name);
        assert!(!notes(&bytes).contains("end"), "{name}");
        let (start, end) = (data(&bytes), bytes.len() - 2);
        for share in [10, 50, 90] {
            let at = start + (end - start) * share / 100;
            let cut = [&bytes[..at], &END].concat();
            let mut zeros = bytes.clone();
            let from = at.min(end - 100);
            zeros[from..end].fill(0);
            let joined = [&bytes[..at], &bytes].concat();
            for (what, damaged) in [("cut", cut), ("zeros", zeros), ("joined", joined)] {
                let reason = reason(&damaged);
                assert!(reason.starts_with("unreadable jpeg") && reason.contains("again"), "{name} {what}: {reason}");
            }
        }
        let mut middle = bytes.clone();
        let at = start + (end - start) / 3;
        middle[at..at + 100].fill(0);
        assert!(reason(&middle).contains("again"), "{name}");
    }
}

#[test]
fn a_progressive_jpeg_that_lacks_a_pass_is_refused() {
    let bytes = read("progressive.jpg");
    let passes: Vec<usize> = (0..bytes.len() - 1).filter(|at| bytes[*at..at + 2] == [0xff, 0xda]).collect();
    assert!(passes.len() > 3, "{passes:?}");
    for pass in &passes[1..] {
        let reason = reason(&[&bytes[..*pass], &END].concat());
        assert!(reason.contains("ends before the last pass"), "{reason}");
    }
}

#[test]
fn what_follows_the_end_is_noted_and_the_first_picture_read() {
    let bytes = read("plain.jpg");
    let alone = decode(&bytes, DecodeLimits::default()).expect("whole").rgb;
    for (more, words) in [
        (read("grey.jpg"), "another image follows its end"),
        ([vec![0; 5], read("grey.jpg")].concat(), "another image follows its end"),
        (b"trailer".to_vec(), "bytes follow its end"),
    ] {
        let both = decode(&[bytes.clone(), more].concat(), DecodeLimits::default()).expect("whole");
        assert_eq!(both.rgb, alone);
        assert!(both.notes.iter().any(|note| note.contains(words)), "{:?}", both.notes);
    }
}

#[test]
fn a_damaged_jpeg_inside_a_tiff_is_refused() {
    for name in ["ycbcr-444.tif", "ycbcr-420.tif", "jpeg-grey.tif"] {
        let bytes = std::fs::read(kinds().join(name)).expect("golden file");
        assert_eq!(notes(&bytes), "", "{name}");
        let start = data(&bytes);
        let end = start + bytes[start..].windows(2).position(|two| two == END).expect("an end");
        let mut damaged = bytes.clone();
        damaged[start + (end - start) / 2..end].fill(0);
        let reason = reason(&damaged);
        assert!(reason.contains("is a damaged JPEG") && reason.contains("again"), "{name}: {reason}");
    }
}

#[test]
fn every_reason_says_what_to_do() {
    let limits = DecodeLimits::default();
    let png = read("plain.png");
    let tiff = |name: &str| std::fs::read(kinds().join(name)).expect("golden file");
    // Little-endian or not: the value of a tag of one number of 16 bits.
    let with = |mut bytes: Vec<u8>, tag: u16, value: u16| {
        let big = bytes[0] == b'M';
        let number = |of: u16| if big { of.to_be_bytes() } else { of.to_le_bytes() };
        let entry = [number(tag), number(3)].concat();
        let at = bytes.windows(4).rposition(|four| four == entry).expect("a tag");
        bytes[at + 8..at + 10].copy_from_slice(&number(value));
        bytes
    };
    let mut zstd = tiff("zstd.tif");
    let frame = zstd.windows(4).position(|four| four == [0x28, 0xb5, 0x2f, 0xfd]).expect("a frame");
    zstd[frame] = 0;
    for (what, bytes, words) in [
        ("cut", png[..png.len() / 2].to_vec(), "again"),
        ("zstd", zstd, "again"),
        ("CIELab", with(read("strips.tif"), 262, 8), "save it as"),
        ("unknown compression", with(read("strips.tif"), 259, 65_000), "export"),
        ("no page", b"II\x2a\0\0\0\0\0".to_vec(), "again"),
    ] {
        let reason = decode(&bytes, limits).map(|decoded| decoded.notes).expect_err(what).to_string();
        assert!(reason.contains(words), "{what}: {reason}");
    }
    // The tag of the predictor becomes that of the depth of a volume's tiles.
    let mut volume = tiff("zstd.tif");
    let big = volume[0] == b'M';
    let number = |of: u16| if big { of.to_be_bytes() } else { of.to_le_bytes() };
    let at = volume.windows(4).rposition(|four| four == [number(317), number(3)].concat());
    if let Some(at) = at {
        volume[at..at + 2].copy_from_slice(&number(32_998));
        volume[at + 8..at + 10].copy_from_slice(&number(2));
        assert!(reason(&volume).contains("save each slice"), "{}", reason(&volume));
    }
    let few = DecodeLimits { pixels: 1, setting: Some("--max-pixels"), ..limits };
    let reason = numbers(&tiff("mask-u16.tif"), few).expect_err("over the limit").to_string();
    assert!(
        reason.ends_with("over the limit of 1; describe whole slides with `slides: {}`; see --max-pixels"),
        "{reason}"
    );
    let unnamed = numbers(&tiff("mask-u16.tif"), DecodeLimits { setting: None, ..few }).expect_err("over the limit");
    assert!(!unnamed.to_string().contains("see"), "only the caller knows what raises the limit: {unnamed}");
    assert!(matches!(unnamed, DecodeError::Unreadable { problem, .. } if problem.is_limit()));
}
