//! TensorBoard event files: TFRecord frames around `Event` messages of protocol buffers, of which only the fields that
//! scalars need are written. Checked byte for byte against TensorBoard's own writer (tests/golden/events.tfevents).
//!
//! A file begins with a START mark at its first step: readers then drop what earlier files in the folder say about that step
//! and later ones, so a step that was done again after a restart is drawn once.

use std::io::{self, Write};

use prost::encoding::encode_varint;

/// Table of CRC-32C (Castagnoli), byte by byte.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The checksum of TFRecord: CRC-32C, turned and shifted so that a checksum of checksums stays one.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0_u32, |crc, byte| (crc >> 8) ^ CRC[((crc ^ u32::from(*byte)) & 0xff) as usize]);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Length, its checksum, payload, its checksum; all little-endian.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), payload, &masked_crc(payload).to_le_bytes()].concat()
}

/// A field of wire type 2: text or a message.
fn field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// `Event { wall_time = 1, step = 2, <what> }`; a step of 0 is the default and not written.
fn event(wall_time: f64, step: u64, what: (u8, &[u8])) -> Vec<u8> {
    let mut out = vec![0x09];
    out.extend_from_slice(&wall_time.to_le_bytes());
    if step > 0 {
        out.push(0x10);
        encode_varint(step, &mut out);
    }
    field(what.0, what.1, &mut out);
    out
}

const FILE_VERSION: u8 = 0x1a;
const SUMMARY: u8 = 0x2a;
const SESSION_LOG: u8 = 0x3a;
/// `SessionLog { status = 1: START }`.
const START: [u8; 2] = [0x08, 0x01];

/// An event file being written.
#[derive(Debug)]
pub struct EventFile<W> {
    out: W,
}

impl<W: Write> EventFile<W> {
    /// Begins a file whose first step is `first_step`. `wall_time` in seconds since 1970, here and below.
    ///
    /// # Errors
    /// `out` does not take the bytes.
    pub fn begin(mut out: W, wall_time: f64, first_step: u64) -> io::Result<Self> {
        let mut bytes = frame(&event(wall_time, 0, (FILE_VERSION, b"brain.Event:2")));
        bytes.extend(frame(&event(wall_time, first_step, (SESSION_LOG, &START))));
        out.write_all(&bytes)?;
        Ok(Self { out })
    }

    /// Goes on with a file that was begun.
    #[cfg(test)]
    pub(crate) fn of(out: W) -> Self {
        Self { out }
    }

    /// Writes the values of a step as one record.
    ///
    /// # Errors
    /// `out` does not take the bytes; the file then ends in a broken record, and nothing may be added to it.
    pub fn scalars(&mut self, wall_time: f64, step: u64, values: &[(String, f64)]) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut one = Vec::new();
            field(0x0a, tag.as_bytes(), &mut one);
            one.push(0x15);
            one.extend_from_slice(&(*value as f32).to_le_bytes());
            field(0x0a, &one, &mut summary);
        }
        self.out.write_all(&frame(&event(wall_time, step, (SUMMARY, &summary))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32C, before the mask.
        let masked = masked_crc(b"123456789");
        assert_eq!(masked.wrapping_sub(0xa282_ead8).rotate_left(15), 0xe306_9283);
    }

    #[test]
    fn a_file_has_the_bytes_of_tensorboards_own_writer() {
        // tests/golden/make_events.py writes the same events.
        let mut bytes = Vec::new();
        let mut file = EventFile::begin(&mut bytes, 1_700_000_000.25, 300).unwrap();
        let values = [("loss".to_owned(), 7.625), ("grad_norm/backbone".to_owned(), 0.1)];
        file.scalars(1_700_000_001.5, 300, &values).unwrap();
        file.scalars(1_700_000_002.0, 4_000_000_000, &[("lr".to_owned(), 0.0)]).unwrap();
        file.scalars(1_700_000_003.0, 0, &[("loss".to_owned(), -1.5)]).unwrap();
        assert_eq!(bytes, include_bytes!("../../../../tests/golden/events.tfevents"));
    }
}
