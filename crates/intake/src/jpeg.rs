//! What the markers of a JPEG say, read before it is decoded: whether it ends, and how large its frame is.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{DynamicImage, ImageDecoder, Limits};

/// What the markers of a JPEG say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Markers {
    /// The first frame; nothing where none begins.
    pub(crate) frame: Option<Frame>,
    /// Number of scans whose header was found.
    pub(crate) scans: u32,
    /// Whether an end-of-image marker follows.
    pub(crate) ends: bool,
}

/// The frame of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Width and height, px.
    pub(crate) size: (u32, u32),
    /// Components of a pixel.
    pub(crate) channels: usize,
    /// Whether it is baseline or extended, and so of one pass.
    sequential: bool,
}

/// Side of a block of a JPEG, in pixels.
const BLOCK: usize = 8;
/// What the decoder fills the rest of a picture with.
const GIVEN_UP: u8 = 128;

/// Reads the markers up to the end of the image, or of the bytes.
pub(crate) fn markers(bytes: &[u8]) -> Markers {
    let mut found = Markers::default();
    let mut at = 2;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xff)) {
        at += next;
        let Some(&marker) = bytes.get(at + 1) else { break };
        match marker {
            0xff => at += 1,
            // Stuffed bytes, restarts and markers without a length.
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 => {
                found.ends = true;
                break;
            }
            _ => {
                let Some([high, low, rest @ ..]) = bytes.get(at + 2..) else { break };
                let begins = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
                if let ([_, h1, h0, w1, w0, channels, ..], true) = (rest, begins && found.frame.is_none()) {
                    let size = (u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into());
                    found.frame = Some(Frame { size, channels: (*channels).into(), sequential: marker <= 0xc1 });
                }
                found.scans += u32::from(marker == 0xda);
                at += 2 + usize::from(u16::from_be_bytes([*high, *low])).max(2);
            }
        }
    }
    found
}

/// The picture of a JPEG that lacks nothing but its end marker; nothing where a part of its data is missing too. What the decoder
/// makes of the missing bits depends on what follows, so it is given several endings.
pub(crate) fn without_end(bytes: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let Markers { frame: Some(Frame { sequential: true, size, .. }), scans: 1, .. } = markers(bytes) else {
        return None;
    };
    // Enough for a row of blocks: one that the decoder cannot end is grey with either ending.
    let length = 4096 + 32 * size.0 as usize;
    let ended = |filling: u8| [bytes, &vec![filling; length], &[0xff, 0xd9]].concat();
    // Zeros are short codes that decode to a pattern; the other two are long ones, at which the decoder may give up.
    let endings = [0x00, 0x55, 0xaa].iter().map(|filling| decoded(&ended(*filling), limits));
    let pictures: Vec<DynamicImage> = endings.collect::<Option<_>>()?;
    let one = pictures.first()?;
    // From where the decoder gives up, the picture is of one grey, and its last block always lies behind that place.
    let (width, height) = (one.width() as usize, one.height() as usize);
    let channels = one.color().channel_count() as usize;
    let rows = one.as_bytes().chunks(width * channels).skip(height.saturating_sub(BLOCK));
    let gave_up = rows.flat_map(|row| &row[width.saturating_sub(BLOCK) * channels..]).all(|value| *value == GIVEN_UP);
    let same = pictures.iter().all(|picture| picture.as_bytes() == one.as_bytes());
    (!gave_up && same).then(|| [bytes, &[0xff, 0xd9]].concat())
}

fn decoded(bytes: &[u8], limits: &Limits) -> Option<DynamicImage> {
    let mut decoder = JpegDecoder::new(Cursor::new(bytes)).ok()?;
    decoder.set_limits(limits.clone()).ok()?;
    DynamicImage::from_decoder(decoder).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_followed_through_segments_and_scans() {
        // A thumbnail's end inside a segment is not the image's.
        let file = b"\xff\xd8\xff\xe1\0\x06\xff\xd9\xff\xda\xff\xc2\0\x0b\x08\0\x10\0\x20\x01\0\0\0\xff\xda\0\x02\x12\xff\0\xff\xd0\x34";
        let found = markers(file);
        let frame = Frame { size: (32, 16), channels: 1, sequential: false };
        assert_eq!(found, Markers { frame: Some(frame), scans: 1, ends: false });
        assert!(markers(&[file.as_slice(), b"\xff\xd9"].concat()).ends);
        for end in 0..file.len() {
            assert!(!markers(&file[..end]).ends);
        }
        assert_eq!(markers(b""), Markers::default());
    }
}
