//! Arrays of numbers from the bytes of NumPy's files: `.npy`, and the zip archive of them, `.npz`.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use npyz::{NpyFile, NpyHeader, Order, npz};
use zip::ZipArchive;

use crate::error::AugmentError;

/// An array of numbers, whatever type it was stored in.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths of the axes; empty for a single number.
    pub shape: Vec<usize>,
    /// Values in row order.
    pub data: Vec<f64>,
}

/// The arrays of one case or archive, by the names they were saved under.
pub type Arrays = BTreeMap<String, Array>;

fn wrong(reason: impl Into<String>) -> AugmentError {
    AugmentError::Case { reason: reason.into() }
}

/// Longest header that is parsed, in bytes; arrays of numbers need about a hundred. The parser allocates as many bytes as the
/// file announces, so a damaged length is refused before.
const LONGEST_HEADER: usize = 4096;

/// Whether the header's length, in two bytes of version 1 and four of later ones, is that of an array of numbers.
fn has_plain_header(bytes: &[u8]) -> bool {
    let length = match bytes.get(6) {
        Some(1) => bytes.get(8..10),
        _ => bytes.get(8..12),
    };
    let length = length.map(|bytes| bytes.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)));
    length.is_some_and(|length| length <= LONGEST_HEADER)
}

/// Reads a `.npy` file of little-endian numbers.
///
/// # Errors
/// [`AugmentError::Case`] for anything else, naming what is unsupported or cut off.
pub fn parse_npy(bytes: &[u8]) -> Result<Array, AugmentError> {
    if !has_plain_header(bytes) {
        return Err(wrong("npy: the header is cut off, or longer than that of an array of numbers"));
    }
    let mut body = bytes;
    let header = NpyHeader::from_reader(&mut body).map_err(|e| wrong(format!("npy: {e}")))?;
    let sides = header.shape().iter().map(|&side| usize::try_from(side));
    let shape = sides.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(format!("npy: {e}")))?;
    let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
    let needed = count.and_then(|count| count.checked_mul(header.dtype().num_bytes()?));
    // Before anything is allocated for the numbers.
    if needed.is_none_or(|needed| needed > body.len()) {
        return Err(wrong("npy: the file is cut off"));
    }
    let columns_first = header.order() == Order::Fortran;
    let data = numbers(NpyFile::with_header(header, body))?;
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

/// All numbers of a file in the order stored, converted to f64.
fn numbers(file: NpyFile<&[u8]>) -> Result<Vec<f64>, AugmentError> {
    macro_rules! read {
        ($type:ty) => {
            file.into_vec::<$type>().map(|numbers| numbers.into_iter().map(|number| number as f64).collect())
        };
    }
    let read = match file.dtype().descr().trim_matches('\'') {
        "<f8" => read!(f64),
        "<f4" => read!(f32),
        "<i8" => read!(i64),
        "<i4" => read!(i32),
        "<i2" => read!(i16),
        "|i1" => read!(i8),
        "<u8" => read!(u64),
        "<u4" => read!(u32),
        "<u2" => read!(u16),
        "|u1" => read!(u8),
        "|b1" => file.into_vec::<bool>().map(|flags| flags.into_iter().map(|flag| f64::from(u8::from(flag))).collect()),
        other => return Err(wrong(format!("npy: type {other} is not supported"))),
    };
    read.map_err(|e| wrong(format!("npy: {e}")))
}

/// Largest size of one array in bytes, so that a small hostile archive cannot fill the memory.
const LARGEST: u64 = 1 << 30;

/// Reads a `.npz` archive (stored or deflated entries).
///
/// # Errors
/// [`AugmentError::Case`] for bytes that are not a zip archive, a damaged archive, or an array that [`parse_npy`] refuses.
pub fn parse_npz(bytes: &[u8]) -> Result<Arrays, AugmentError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| wrong(format!("npz: {e}")))?;
    let mut arrays = Arrays::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| wrong(format!("npz: {e}")))?;
        let file = entry.name().map_err(|e| wrong(format!("npz: {e}")))?.into_owned();
        let mut unpacked = Vec::new();
        entry.take(LARGEST).read_to_end(&mut unpacked).map_err(|e| wrong(format!("npz: {file}: {e}")))?;
        let name = npz::array_name_from_file_name(&file).unwrap_or(&file);
        arrays.insert(name.to_owned(), parse_npy(&unpacked)?);
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
        assert!(parse_npy(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{").unwrap_err().to_string().contains("longer"));
        assert!(parse_npz(b"PK\x05\x06").is_err());
        assert!(parse_npz(b"nothing").is_err());
    }
}
