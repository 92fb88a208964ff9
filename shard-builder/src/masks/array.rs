//! Masks and flows as files: PNG, TIFF, NumPy's `.npy`, Cellpose's `_seg.npy`. All come from outside; nothing is trusted.

use imaging::{DecodeLimits, Numbers};
use npyz::{DType, Endianness, NpyHeader, Order};

use super::pickle::{self, Found};
use super::plane::Labels;

/// Bytes with which a `.npy` begins.
const NPY: &[u8] = b"\x93NUMPY";

/// A file of masks.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn labels(bytes: &[u8], most_pixels: u64) -> Result<Labels, String> {
    if bytes.starts_with(NPY) { of_npy(bytes, most_pixels) } else { of_picture(bytes, most_pixels) }
}

fn of_picture(bytes: &[u8], most_pixels: u64) -> Result<Labels, String> {
    let limits = DecodeLimits { pixels: most_pixels, ..DecodeLimits::default() };
    let Numbers { width, height, values } = imaging::numbers(bytes, limits)?;
    Ok(Labels { height: height as usize, width: width as usize, numbers: values })
}

fn of_npy(bytes: &[u8], most_pixels: u64) -> Result<Labels, String> {
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).map_err(|e| e.to_string())?;
    let found = if header.dtype().uses_pickled_array() {
        // Cellpose's `_seg.npy`: one Python dictionary.
        pickle::masks(rest)?
    } else {
        let kind = match header.dtype() {
            DType::Plain(kind) if kind.endianness() != Endianness::Big => {
                format!("{}{}", kind.type_char().to_str(), kind.size_field())
            }
            other => return Err(format!("elements of type {} are no masks", other.descr())),
        };
        Found { shape: header.shape().to_vec(), kind, fortran: header.order() == Order::Fortran, bytes: rest }
    };
    let count = size(&found.shape, most_pixels)?;
    let width = match found.kind.as_str() {
        "u1" | "i1" | "b1" => 1,
        "u2" | "i2" => 2,
        "u4" | "i4" => 4,
        "u8" | "i8" => 8,
        other => return Err(format!("elements of type {other} are no masks; whole numbers are")),
    };
    if found.bytes.len() != count * width {
        return Err(format!("{} bytes of masks where {} should be", found.bytes.len(), count * width));
    }
    let signed = found.kind.starts_with('i');
    let numbers = found.bytes.chunks_exact(width).map(|bytes| number(bytes, signed)).collect::<Result<_, _>>()?;
    Ok(plane(&found.shape, numbers, found.fortran))
}

/// The number of a cell in little-endian bytes.
fn number(bytes: &[u8], signed: bool) -> Result<u32, String> {
    let number = bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let unused = u64::BITS - 8 * bytes.len() as u32;
    // The sign stands in the first bit of what was written.
    let below_zero = (number << unused).cast_signed() >> unused;
    if signed && below_zero < 0 {
        return Err(imaging::no_number(&below_zero));
    }
    u32::try_from(number).map_err(|_| imaging::no_number(&number))
}

/// A file of flows, `[3, height, width]`, and its height and width.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn flows(bytes: &[u8], most_pixels: u64) -> Result<((usize, usize), Vec<f32>), String> {
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).map_err(|e| e.to_string())?;
    let wanted = "flows are an array of f32 [3, height, width], rows first: down, right, cell probability";
    let &[3, height, width] = header.shape() else {
        return Err(format!("its shape is {:?}; {wanted}", header.shape()));
    };
    let count = size(&[height, width], most_pixels / 3)?;
    if header.dtype().descr() != "'<f4'" || header.order() == Order::Fortran {
        return Err(format!("its elements are {} in {:?}'s order; {wanted}", header.dtype().descr(), header.order()));
    }
    let (values, []) = rest.as_chunks::<4>() else { return Err("it is cut off".to_owned()) };
    if values.len() != 3 * count {
        return Err(format!("{} numbers where {} should be", values.len(), 3 * count));
    }
    let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Ok(((height as usize, width as usize), values))
}

/// The number of pixels of two sides.
fn size(shape: &[u64], most: u64) -> Result<usize, String> {
    let &[height, width] = shape else { return Err(format!("its shape is {shape:?}; masks are [height, width]")) };
    match height.checked_mul(width) {
        Some(pixels) if pixels <= most && height > 0 && width > 0 => Ok(pixels as usize),
        _ => Err(format!("{width}×{height} pixels are none, or more than the limit of {most}")),
    }
}

fn plane(shape: &[u64], numbers: Vec<u32>, fortran: bool) -> Labels {
    let (height, width) = (shape[0] as usize, shape[1] as usize);
    let numbers = if fortran {
        (0..height * width).map(|at| numbers[at % width * height + at / width]).collect()
    } else {
        numbers
    };
    Labels { height, width, numbers }
}
