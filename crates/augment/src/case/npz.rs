//! NumPy's array files, from bytes: `.npy` and the zip archive of them, `.npz`.

use std::io::Read;

use super::Arrays;
use crate::error::AugmentError;

/// An array of numbers, whatever type it was stored in.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sides; empty for a single number.
    pub shape: Vec<usize>,
    /// Values in row order.
    pub data: Vec<f64>,
}

fn wrong(reason: impl Into<String>) -> AugmentError {
    AugmentError::Case { reason: reason.into() }
}

/// Reads a `.npy` file (versions 1 to 3; little-endian numbers).
///
/// # Errors
/// [`AugmentError::Case`] for anything else, naming what is unsupported or cut off.
pub fn parse_npy(bytes: &[u8]) -> Result<Array, AugmentError> {
    let cut = || wrong("npy: the file is cut off");
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return Err(wrong("npy: the magic number is missing"));
    }
    let (length, start): (usize, usize) = match bytes.get(6).ok_or_else(cut)? {
        1 => (u16::from_le_bytes(bytes.get(8..10).and_then(|b| b.try_into().ok()).ok_or_else(cut)?) as usize, 10),
        2 | 3 => (u32::from_le_bytes(bytes.get(8..12).and_then(|b| b.try_into().ok()).ok_or_else(cut)?) as usize, 12),
        version => return Err(wrong(format!("npy: version {version} is unknown"))),
    };
    let body = start.checked_add(length).ok_or_else(cut)?;
    let header = bytes.get(start..body).and_then(|h| std::str::from_utf8(h).ok()).ok_or_else(cut)?;
    let field = |name: &str| {
        let at = header.find(&format!("'{name}':"))? + name.len() + 3;
        Some(header[at..].trim_start())
    };
    let lacks = |name: &str| wrong(format!("npy: the header lacks {name}"));
    let columns_first = field("fortran_order").ok_or_else(|| lacks("fortran_order"))?.starts_with("True");
    let shape = field("shape").and_then(|s| s.strip_prefix('(')).and_then(|s| s.split(')').next());
    let shape: Vec<usize> = shape
        .ok_or_else(|| lacks("shape"))?
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().map_err(|_| wrong(format!("npy: {side:?} is no side"))))
        .collect::<Result<_, _>>()?;
    let kind = field("descr").and_then(|d| d.strip_prefix('\'')).and_then(|d| d.split('\'').next());
    let kind = kind.ok_or_else(|| lacks("descr"))?;
    let count = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side)).ok_or_else(cut)?;
    let data = numbers(kind, &bytes[body..], count)?;
    let data = if columns_first { row_order(&shape, &data) } else { data };
    Ok(Array { shape, data })
}

/// From column order (the first index changes fastest) to row order.
fn row_order(shape: &[usize], data: &[f64]) -> Vec<f64> {
    let at = |mut i: usize| {
        let (mut from, mut step) = (0, data.len());
        for &side in shape.iter().rev() {
            step /= side;
            from += i % side * step;
            i /= side;
        }
        data[from]
    };
    (0..data.len()).map(at).collect()
}

/// `count` numbers of NumPy's type `kind`.
fn numbers(kind: &str, bytes: &[u8], count: usize) -> Result<Vec<f64>, AugmentError> {
    macro_rules! read {
        ($type:ty) => {{
            const SIZE: usize = size_of::<$type>();
            let bytes = count.checked_mul(SIZE).and_then(|n| bytes.get(..n));
            let bytes = bytes.ok_or_else(|| wrong("npy: the file is cut off"))?;
            let number = |b: &[u8]| <$type>::from_le_bytes(b.try_into().expect("chunks have this size")) as f64;
            Ok(bytes.chunks_exact(SIZE).map(number).collect())
        }};
    }
    match kind {
        "<f8" => read!(f64),
        "<f4" => read!(f32),
        "<i8" => read!(i64),
        "<i4" => read!(i32),
        "<i2" => read!(i16),
        "|i1" => read!(i8),
        "<u8" => read!(u64),
        "<u4" => read!(u32),
        "<u2" => read!(u16),
        "|u1" | "|b1" => read!(u8),
        other => Err(wrong(format!("npy: type {other} is not supported"))),
    }
}

/// Largest size of one array, so that a small hostile archive cannot fill the memory.
const LARGEST: u64 = 1 << 30;

/// Reads a `.npz` archive (stored or deflated entries).
///
/// # Errors
/// [`AugmentError::Case`] when it is no such archive, is damaged, or holds an array that [`parse_npy`] refuses.
pub fn parse_npz(bytes: &[u8]) -> Result<Arrays, AugmentError> {
    let cut = || wrong("npz: the archive is cut off");
    let u16_at = |at: usize| {
        let b = bytes.get(at..at.checked_add(2)?)?;
        Some(u16::from_le_bytes([b[0], b[1]]) as usize)
    };
    let u32_at = |at: usize| Some(u16_at(at)? | u16_at(at.checked_add(2)?)? << 16);
    // The directory's end record: the last signature in the file.
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or_else(|| wrong("npz: this is no zip archive"))?;
    let entries = u16_at(end + 10).ok_or_else(cut)?;
    let mut at = u32_at(end + 16).ok_or_else(cut)?;
    let mut arrays = Arrays::new();
    for _ in 0..entries {
        if bytes.get(at..at.saturating_add(4)) != Some(b"PK\x01\x02") {
            return Err(cut());
        }
        let word = |offset: usize| u16_at(at + offset).ok_or_else(cut);
        let long = |offset: usize| u32_at(at + offset).ok_or_else(cut);
        let (method, packed, local) = (word(10)?, long(20)?, long(42)?);
        let (name_length, extra, comment) = (word(28)?, word(30)?, word(32)?);
        let name = bytes.get(at + 46..at + 46 + name_length).ok_or_else(cut)?;
        let name = String::from_utf8_lossy(name).into_owned();
        at += 46 + name_length + extra + comment;
        let skip = u16_at(local + 26).zip(u16_at(local + 28)).ok_or_else(cut)?;
        let start = local + 30 + skip.0 + skip.1;
        let body = bytes.get(start..start.saturating_add(packed)).ok_or_else(cut)?;
        let array = match method {
            0 => parse_npy(body)?,
            8 => {
                let mut unpacked = Vec::new();
                flate2::read::DeflateDecoder::new(body)
                    .take(LARGEST)
                    .read_to_end(&mut unpacked)
                    .map_err(|e| wrong(format!("npz: {name}: {e}")))?;
                parse_npy(&unpacked)?
            }
            other => return Err(wrong(format!("npz: {name} is packed by method {other}; only deflate is supported"))),
        };
        arrays.insert(name.trim_end_matches(".npy").to_owned(), array);
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn reads_shape_and_numbers() {
        let array = parse_npy(&npy("<i4", "(2, 1)", &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])).unwrap();
        assert_eq!(array, Array { shape: vec![2, 1], data: vec![1.0, -1.0] });
        assert_eq!(parse_npy(&npy("|u1", "()", &[7])).unwrap().data, [7.0]);
    }

    #[test]
    fn column_order_is_turned() {
        let mut bytes = npy("|u1", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
        let at = bytes.windows(5).position(|w| w == b"False").unwrap();
        bytes[at..at + 5].copy_from_slice(b"True ");
        assert_eq!(parse_npy(&bytes).unwrap().data, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn hostile_files_are_refused_not_believed() {
        assert!(parse_npy(&npy("<f8", "(9999999999, 9999999999)", &[0; 8])).is_err());
        assert!(parse_npy(&npy("<f8", "(2,)", &[0; 8])).is_err());
        assert!(parse_npy(&npy("|O", "(1,)", &[0; 8])).is_err());
        assert!(parse_npy(b"\x93NUMPY\x01").is_err());
        assert!(parse_npz(b"PK\x05\x06").is_err());
        assert!(parse_npz(b"nothing").is_err());
    }
}
