mod damage;
mod kinds;

use std::path::{Path, PathBuf};

use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(name)).expect("golden file")
}

/// Largest difference of any value from what Pillow sees.
fn difference(name: &str) -> u8 {
    let seen = decode(&read(name), DecodeLimits::default()).unwrap_or_else(|reason| panic!("{name}: {reason}")).rgb;
    let expected = image::load_from_memory(&read(&format!("{name}.expected.png"))).expect("golden file").into_rgb8();
    assert_eq!(seen.dimensions(), expected.dimensions(), "{name}");
    seen.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels")
}

#[test]
fn lossless_formats_are_read_to_the_bit() {
    for name in [
        "plain.png",
        "plain.bmp",
        "plain.tif",
        "profile.png",
        "profile.tif",
        "lossless.webp",
        "png-data.jpg",
        "palette.png",
        "palette.bmp",
        "palette.tif",
        "palette-lzw.tif",
        "grey16.png",
        "grey16.tif",
        "alpha.png",
        "two-pages.tif",
        "rgb16.png",
        "rgb16.tif",
        "interlaced.png",
        "tiles.tif",
        "strips.tif",
        "packbits.tif",
        "deflate.tif",
        "lzw.tif",
        "palette-alpha.png",
        "grey-alpha.png",
    ] {
        assert_eq!(difference(name), 0, "{name}");
    }
}

#[test]
fn lossy_and_cmyk_images_are_read_closely_and_upright() {
    for (name, most) in
        [("plain.jpg", 6), ("progressive.jpg", 6), ("grey.jpg", 4), ("exif-6.jpg", 6), ("cmyk.jpg", 8), ("cmyk.tif", 2)]
    {
        assert!(difference(name) <= most, "{name}: {}", difference(name));
    }
}

#[test]
fn every_page_of_a_tiff_is_read_by_its_number() {
    for (name, magic) in [("pages.tif", 42), ("pages-big.tif", 43)] {
        let bytes = read(name);
        assert_eq!(bytes[2], magic);
        assert_eq!(pages(&bytes), [true, true, false, true], "{name}");
        for number in 1..=4 {
            let seen = decode_page(&bytes, number, DecodeLimits::default()).expect("a page");
            let expected =
                image::load_from_memory(&read(&format!("{name}.{number}.expected.png"))).expect("golden file");
            assert_eq!(seen.rgb, expected.into_rgb8(), "{name}, page {number}");
            assert!(seen.notes.is_empty(), "{name}, page {number}: {:?}", seen.notes);
        }
        let first = decode(&bytes, DecodeLimits::default()).expect("the first page");
        assert_eq!(first.notes, ["only the first of 4 pages is read"], "{name}");
        for none in [0, 5] {
            assert!(decode_page(&bytes, none, DecodeLimits::default()).is_err(), "{name}, page {none}");
        }
    }
    let png = read("plain.png");
    assert_eq!(pages(&png), [true]);
    assert!(decode_page(&png, 2, DecodeLimits::default()).expect_err("one page").to_string().contains("no page 2"));
    assert_eq!(pages(b""), [true]);
}

#[test]
fn what_happened_on_the_way_is_noted() {
    let note = |name: &str| decode(&read(name), DecodeLimits::default()).expect("decodes").notes.join("; ");
    assert_eq!(note("plain.png"), "");
    assert!(note("two-pages.tif").contains("first of 2 pages"));
    assert!(note("exif-6.jpg").contains("upright"));
    assert!(note("alpha.png").contains("white"));
    assert_eq!(decode(&read("png-data.jpg"), DecodeLimits::default()).expect("decodes").format, "png");
}

#[test]
fn a_file_that_ends_early_is_a_reason_and_never_half_an_image() {
    for name in
        ["plain.jpg", "progressive.jpg", "plain.png", "interlaced.png", "plain.bmp", "strips.tif", "lossless.webp"]
    {
        let bytes = read(name);
        for share in [50, 70, 90] {
            let cut = &bytes[..bytes.len() * share / 100];
            let reason = decode(cut, DecodeLimits::default()).expect_err("half an image").to_string();
            assert!(reason.starts_with("unreadable"), "{name} at {share} %: {reason}");
        }
    }
}

#[test]
fn a_header_of_60000_by_60000_is_refused_before_memory_is_taken() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let length = u32::try_from(data.len()).expect("short").to_be_bytes();
        [&length, kind.as_slice(), data, &checksum(kind, data).to_be_bytes()].concat()
    };
    let side = 60_000_u32.to_be_bytes();
    let head = [side.as_slice(), &side, &[8, 2, 0, 0, 0]].concat();
    let png =
        [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(b"IHDR", &head), &chunk(b"IDAT", &[]), &chunk(b"IEND", &[])].concat();
    let mut jpeg = read("plain.jpg");
    let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).expect("a frame");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let mut tiff = read("strips.tif");
    for tag in [256_u16, 257] {
        let entry = tag.to_le_bytes();
        let at = tiff.windows(4).rposition(|four| four == [entry[0], entry[1], 4, 0]).expect("a size");
        tiff[at + 8..at + 12].copy_from_slice(&60_000_u32.to_le_bytes());
    }
    // A strip cannot hold as much as this TIFF says: that is noticed first.
    assert!(decode(&tiff, DecodeLimits::default()).is_err());
    for (name, bytes) in [("png", png), ("jpeg", jpeg)] {
        let reason = decode(&bytes, DecodeLimits::default()).expect_err("3.6 billion pixels").to_string();
        assert!(reason.contains("60000×60000") && reason.contains("over the limit"), "{name}: {reason}");
    }
}

/// The checksum of a PNG chunk.
fn checksum(kind: &[u8], data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    crc.sum()
}

#[test]
fn hostile_files_are_reasons_and_never_panics() {
    let limits = DecodeLimits { file_bytes: 1 << 20, pixels: 100_000, setting: None };
    for reason in
        [decode(b"", limits), decode(b"hello, I am a label file", limits), decode(b"GIF89a\x01\x00\x01\x00", limits)]
    {
        assert!(reason.is_err());
    }
    // A header that promises far more pixels than the limit.
    let mut bomb = read("plain.bmp");
    bomb[18..26].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    assert!(decode(&bomb, limits).expect_err("bomb").to_string().contains("limit"));
    let folders = [golden(), kinds::golden()].map(|folder| std::fs::read_dir(folder).expect("golden folder"));
    for entry in folders.into_iter().flatten() {
        let bytes = std::fs::read(entry.expect("entry").path()).expect("golden file");
        for length in (0..bytes.len()).step_by(37) {
            drop(decode(&bytes[..length], limits));
            drop(numbers(&bytes[..length], limits));
            pages(&bytes[..length]);
        }
        let mut random = run_spec::seed::stream(7, "hostile-files", &[bytes.len() as u64]);
        for _ in 0..60 {
            let mut broken = bytes.clone();
            for _ in 0..4 {
                let at = random.below(bytes.len().min(400) as u64) as usize;
                broken[at] = random.below(256) as u8;
            }
            drop(decode(&broken, limits));
            drop(numbers(&broken, limits));
            drop(decode_page(&broken, pages(&broken).len() as u32, limits));
        }
    }
}

#[test]
fn a_colour_profile_is_noted_by_name_and_not_applied() {
    for name in ["profile.jpg", "profile.png", "profile.tif"] {
        let decoded = decode(&read(name), DecodeLimits::default()).expect("golden file");
        assert_eq!(decoded.notes, ["its colour profile (sRGB built-in) is not applied"], "{name}");
        assert!(difference(name) <= 6, "{name}");
    }
    let plain = decode(&read("plain.png"), DecodeLimits::default()).expect("golden file");
    assert!(plain.notes.is_empty());
}

/// The decoder's own seek reads the first page before any other, and gives up where it cannot: why a page is chosen by an edited view
/// of the file instead (ADR 0015).
#[test]
fn a_page_behind_one_that_no_decoder_understands_is_read() {
    let whole = read("pages.tif");
    let tiff = Tiff::open(&whole).expect("a TIFF");
    let first = tiff.pages()[0];
    let mut damaged = whole.clone();
    damaged[tiff.place_of_tag(first, 262).expect("a tag of colours")..][..2].copy_from_slice(&[99, 99]);
    assert!(tiff::decoder::Decoder::new(Cursor::new(&damaged[..])).is_err(), "there would be nothing to seek in");
    assert!(decode_page(&damaged, 1, DecodeLimits::default()).is_err());
    for page in 2..=4 {
        let [seen, expected] = [&damaged, &whole].map(|bytes| decode_page(bytes, page, DecodeLimits::default()));
        assert_eq!(seen.expect("a page").rgb, expected.expect("a page").rgb, "page {page}");
    }
}
