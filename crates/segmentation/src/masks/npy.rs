//! Masks and flows as files: PNG, TIFF, NumPy's `.npy`, Cellpose's `_seg.npy`. All come from outside; nothing is trusted.

use std::fmt::Display;

use imaging::{DecodeLimits, NotACellNumber, Numbers};
use npyz::{DType, Deserialize, NpyFile, NpyHeader, Order, TypeRead};

use super::dynamics::Flows;
use super::labels::Labels;
use super::pickle;
use crate::error::MaskError;

/// Bytes with which a `.npy` begins.
const NPY: &[u8] = b"\x93NUMPY";
/// Longest header that is parsed, bytes: arrays of numbers have some hundred. The parser takes as much memory as a header says it is long.
const MOST_HEADER: usize = 4096;

/// An array of whole numbers, not yet read.
#[derive(Debug, PartialEq)]
pub(super) struct RawArray<'a> {
    /// Rows and columns, if it is one of masks.
    pub(super) shape: Vec<u64>,
    /// Type of an element.
    pub(super) element: DType,
    /// Whether columns come first.
    pub(super) fortran: bool,
    /// Bytes of the elements, in the order that the header names.
    pub(super) bytes: &'a [u8],
}

/// A file of masks.
///
/// # Errors
/// A file that holds no masks.
pub(super) fn labels(bytes: &[u8], limits: DecodeLimits) -> Result<Labels, MaskError> {
    if bytes.starts_with(NPY) { of_npy(bytes, limits) } else { of_image(bytes, limits) }
}

fn of_image(bytes: &[u8], limits: DecodeLimits) -> Result<Labels, MaskError> {
    let Numbers { width, height, values } = imaging::numbers(bytes, limits)?;
    Ok(Labels { height: height as usize, width: width as usize, numbers: values })
}

fn of_npy(bytes: &[u8], limits: DecodeLimits) -> Result<Labels, MaskError> {
    let (header, rest) = header(bytes)?;
    let array = if header.dtype().uses_pickled_array() {
        // Cellpose's `_seg.npy`: one Python dictionary.
        pickle::masks(rest)?
    } else {
        let fortran = header.order() == Order::Fortran;
        RawArray { shape: header.shape().to_vec(), element: header.dtype(), fortran, bytes: rest }
    };
    let &[height, width] = array.shape.as_slice() else { return Err(MaskError::Shape(array.shape)) };
    let count = pixels(height, width, limits.pixels)?;
    let numbers = numbers(&array, count)?;
    Ok(plane((height as usize, width as usize), numbers, array.fortran))
}

/// The parsed header of a `.npy` file, and what follows it.
fn header(bytes: &[u8]) -> Result<(NpyHeader, &[u8]), MaskError> {
    let text = header_text(bytes).ok_or_else(|| MaskError::Header("its header is cut off".to_owned()))?;
    if text.len() > MOST_HEADER {
        return Err(MaskError::Header(format!(
            "its header of {} bytes is not that of an array of numbers",
            text.len()
        )));
    }
    let mut rest = bytes;
    // The parser quotes the whole header below the first line of its message.
    let reason = |error: std::io::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let header = NpyHeader::from_reader(&mut rest).map_err(|error| MaskError::Header(reason(error)))?;
    Ok((header, rest))
}

/// The text of a header: its length stands before it, in two bytes of version 1 and in four of later versions.
fn header_text(bytes: &[u8]) -> Option<&[u8]> {
    let (fixed, rest) = bytes.split_at_checked(NPY.len() + 2)?;
    let (length, text) = rest.split_at_checked(if fixed[NPY.len()] == 1 { 2 } else { 4 })?;
    text.get(..length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)))
}

/// All elements of an array as numbers of cells.
fn numbers(array: &RawArray<'_>, count: usize) -> Result<Vec<u32>, MaskError> {
    let DType::Plain(element) = &array.element else {
        return Err(MaskError::ElementType(array.element.descr()));
    };
    match format!("{}{}", element.type_char().to_str(), element.size_field()).as_str() {
        "u1" => each::<u8>(array, count),
        "u2" => each::<u16>(array, count),
        "u4" => each::<u32>(array, count),
        "u8" => each::<u64>(array, count),
        "i1" => each::<i8>(array, count),
        "i2" => each::<i16>(array, count),
        "i4" => each::<i32>(array, count),
        "i8" => each::<i64>(array, count),
        "b1" => each::<bool>(array, count),
        _ => Err(MaskError::ElementType(array.element.descr())),
    }
}

/// The same for elements of one type.
fn each<T: Deserialize + TryInto<u32> + Display + Copy>(
    array: &RawArray<'_>,
    count: usize,
) -> Result<Vec<u32>, MaskError> {
    let expected = count.saturating_mul(size_of::<T>());
    if array.bytes.len() != expected {
        return Err(MaskError::Length { found: array.bytes.len(), expected });
    }
    let unreadable = |error: &dyn Display| MaskError::ElementType(format!("{}: {error}", array.element.descr()));
    let reader = T::reader(&array.element).map_err(|error| unreadable(&error))?;
    let element = |bytes: &[u8]| {
        let value: T = reader.read_one(bytes).map_err(|error| unreadable(&error))?;
        value.try_into().map_err(|_| NotACellNumber(value.to_string()).into())
    };
    array.bytes.chunks_exact(size_of::<T>()).map(element).collect()
}

/// An array of flows, `[3, height, width]`.
#[derive(Debug)]
pub(super) struct FlowArray {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl FlowArray {
    /// Reads a `.npy` of flows.
    ///
    /// # Errors
    /// An array of other elements or of another shape; damage.
    pub(super) fn read(bytes: &[u8], limits: DecodeLimits) -> Result<Self, MaskError> {
        let (header, rest) = header(bytes)?;
        let &[3, height, width] = header.shape() else {
            return Err(MaskError::NotFlows(format!("its shape is {:?}", header.shape())));
        };
        let count = pixels(height, width, limits.pixels / 3)?;
        let (element, order) = (header.dtype().descr(), header.order());
        if element != "'<f4'" || order == Order::Fortran {
            return Err(MaskError::NotFlows(format!("its elements are {element} in {order:?}'s order")));
        }
        let expected = 3 * count * size_of::<f32>();
        if rest.len() != expected {
            return Err(MaskError::Length { found: rest.len(), expected });
        }
        let values = NpyFile::with_header(header, rest).into_vec();
        let values = values.map_err(|error| MaskError::NotFlows(error.to_string()))?;
        Ok(Self { height: height as usize, width: width as usize, values })
    }

    /// Splits the array into its three planes: the flow downwards, the flow to the right, and the cell probability.
    pub(super) fn flows(&self) -> Flows<'_> {
        let Self { height, width, ref values } = *self;
        let (down, others) = values.split_at(height * width);
        let (right, cellprob) = others.split_at(height * width);
        Flows { height, width, down, right, cellprob }
    }
}

/// The number of pixels of two sides.
fn pixels(height: u64, width: u64, limit: u64) -> Result<usize, MaskError> {
    match height.checked_mul(width) {
        Some(pixels) if pixels <= limit && height > 0 && width > 0 => Ok(pixels as usize),
        _ => Err(MaskError::Pixels { width, height, limit }),
    }
}

fn plane((height, width): (usize, usize), numbers: Vec<u32>, fortran: bool) -> Labels {
    let numbers = if fortran {
        (0..height * width).map(|at| numbers[at % width * height + at / width]).collect()
    } else {
        numbers
    };
    Labels { height, width, numbers }
}
