//! Files of slide exports, scanners and mask programs (`tests/golden/make_kinds.py`).

use super::*;

pub(super) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kinds")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(name)).expect("golden file")
}

fn decoded(name: &str) -> DecodedImage {
    decode(&read(name), DecodeLimits::default()).unwrap_or_else(|reason| panic!("{name}: {reason}"))
}

fn refused(name: &str) -> String {
    decode(&read(name), DecodeLimits::default()).map(|decoded| decoded.notes).expect_err(name).to_string()
}

/// Largest difference of any value from what tifffile sees.
fn difference(name: &str) -> u8 {
    let expected = image::load_from_memory(&read(&format!("{name}.expected.png"))).expect("golden file").into_rgb8();
    let seen = decoded(name).rgb;
    assert_eq!(seen.dimensions(), expected.dimensions(), "{name}");
    seen.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels")
}

#[test]
fn tiffs_without_loss_are_read_to_the_bit() {
    for name in [
        "planar-tiles.tif",
        "planar-strips.tif",
        "zstd.tif",
        "zstd-16.tif",
        "one-tile.tif",
        "webp.tif",
        "white-is-zero.tif",
        "bilevel-lzw.tif",
        "palette-8.tif",
        "alpha-straight.tif",
        "alpha-premultiplied.tif",
        "extra.tif",
        "moves.png",
        "still.png",
        "moves.webp",
    ] {
        assert_eq!(difference(name), 0, "{name}");
    }
}

#[test]
fn jpegs_in_a_tiff_are_read_as_tifffile_reads_them() {
    for (name, most) in
        [("ycbcr-444.tif", 3), ("ycbcr-422.tif", 6), ("ycbcr-420.tif", 6), ("jpeg-grey.tif", 2), ("jpeg-rgb.tif", 2)]
    {
        let difference = difference(name);
        assert!(difference <= most, "{name}: {difference}");
    }
}

#[test]
fn masks_of_any_whole_numbers_are_read_as_they_are() {
    for name in ["mask-u32.tif", "mask-u32-tiles.tif", "mask-i32.tif", "mask-f32.tif", "mask-u16.tif"] {
        let seen = numbers(&read(name), DecodeLimits::default()).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let expected = read(&format!("{name}.expected.u32"));
        let expected = expected.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        assert_eq!((seen.width, seen.height), (42, 26), "{name}");
        assert!(seen.values.into_iter().eq(expected), "{name}");
    }
    let reason = |name| numbers(&read(name), DecodeLimits::default()).expect_err(name).to_string();
    assert!(reason("mask-negative.tif").contains("holds -1, which is not a cell number"));
    assert!(reason("float.tif").contains("channels"));
    assert!(
        numbers(&super::read("grey.jpg"), DecodeLimits::default())
            .is_err_and(|error| error.to_string().contains("JPEG"))
    );
}

#[test]
fn values_whose_range_no_one_states_are_refused_with_a_remedy() {
    for (name, words) in [
        ("twelve.tif", "only 12 of 16 bits"),
        ("float.tif", "floating-point numbers"),
        ("signed.tif", "signed numbers"),
        ("wide.tif", "32-bit numbers"),
        ("channels.tif", "2 channels"),
        ("clear.png", "transparent everywhere"),
        ("jpeg-2000.tif", "JPEG 2000"),
        ("aperio.tif", "SVS"),
        ("lzma.tif", "LZMA"),
    ] {
        let reason = refused(name);
        assert!(reason.contains(words), "{name}: {reason}");
        assert!(["save", "export", "remove", "say"].iter().any(|remedy| reason.contains(remedy)), "{name}: {reason}");
    }
}

#[test]
fn twelve_bits_are_read_by_the_camera_s_range() {
    let how = DecodeOptions { bits: Some(12), ..DecodeOptions::default() };
    let twelve = decode_with(&read("twelve.tif"), how).expect("12 bits").rgb;
    let sixteen = decoded("zstd-16.tif").rgb;
    let apart = twelve.iter().zip(sixteen.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(apart <= Some(1), "{apart:?}");
    let few = DecodeOptions { bits: Some(10), ..DecodeOptions::default() };
    assert!(decode_with(&read("twelve.tif"), few).expect_err("more bits").to_string().contains("images.bits"));
}

#[test]
fn what_is_left_out_is_noted() {
    for (name, words) in [
        ("moves.png", "only the first of 3 frames"),
        ("still.png", "not the 2 frames beside it"),
        ("moves.webp", "only the first of 3 frames"),
        ("alpha-straight.tif", "transparency laid over white"),
        ("alpha-premultiplied.tif", "transparency laid over white"),
        ("extra.tif", "left out"),
    ] {
        let notes = decoded(name).notes.join("; ");
        assert!(notes.contains(words), "{name}: {notes}");
    }
    assert!(decoded("ycbcr-420.tif").notes.is_empty());
}

#[test]
fn a_jpeg_that_lacks_only_its_end_is_read_and_noted_and_half_a_jpeg_is_not() {
    for name in ["plain.jpg", "grey.jpg", "cmyk.jpg"] {
        let bytes = super::read(name);
        let without = &bytes[..bytes.len() - 2];
        let decoded = decode(without, DecodeLimits::default()).expect("all its pixels are there");
        assert!(decoded.notes.iter().any(|note| note.contains("end marker")), "{name}: {:?}", decoded.notes);
        assert_eq!(decoded.rgb, decode(&bytes, DecodeLimits::default()).expect("whole").rgb, "{name}");
        for missing in 3..bytes.len() / 3 {
            match decode(&bytes[..bytes.len() - missing], DecodeLimits::default()) {
                // The last byte may hold no bit of the picture.
                Ok(cut) => assert!(cut.rgb == decoded.rgb, "{name} without {missing} bytes"),
                Err(error) => {
                    let reason = error.to_string();
                    assert!(reason.contains("ends before"), "{name} without {missing} bytes: {reason}");
                }
            }
        }
    }
    // A pass of a progressive file that is missing is known by the bits that were never sent.
    let progressive = super::read("progressive.jpg");
    let decoded =
        decode(&progressive[..progressive.len() - 2], DecodeLimits::default()).expect("all its passes are there");
    assert!(decoded.notes.iter().any(|note| note.contains("end marker")), "{:?}", decoded.notes);
}

#[test]
fn a_tile_that_holds_a_larger_image_than_it_says_is_refused_before_it_is_decoded() {
    for name in ["ycbcr-420.tif", "jpeg-grey.tif"] {
        let mut bytes = read(name);
        let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).expect("a frame");
        bytes[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        let reason = decode(&bytes, DecodeLimits::default()).expect_err("a bomb").to_string();
        assert!(reason.contains("65535×65535"), "{reason}");
    }
    let mut bytes = read("one-tile.tif");
    for tag in [322_u16, 323] {
        // A tag, its type (long) and its count come before the value.
        let [high, low] = tag.to_be_bytes();
        let entry = bytes.windows(8).position(|eight| [high, low] == eight[..2] && eight[4..] == [0, 0, 0, 1]);
        let at = entry.expect("a tile's side");
        bytes[at + 2..at + 12].copy_from_slice(&[0, 4, 0, 0, 0, 1, 0, 1, 0, 0]);
    }
    let reason = decode(&bytes, DecodeLimits::default()).expect_err("a bomb").to_string();
    assert!(reason.contains("tiles of 65536×65536"), "{reason}");
}

#[test]
fn files_that_are_no_images_say_what_they_are_and_what_to_do() {
    for (bytes, words) in [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".as_slice(), "git lfs pull"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"GIF89a\x01\x00\x01\x00", "PNG"),
        (b"hello, I am a label file", "JPEG, PNG, BMP, TIFF, WebP"),
    ] {
        let reason = decode(bytes, DecodeLimits::default()).expect_err("no image").to_string();
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(sniff(b"\0\0\0\x18ftypheic"), Some("a HEIC image"));
    assert_eq!(sniff(b"version https://git-lfs.github.com/spec/v1"), None);
}
