//! The numbers of a PNG as they are stored: those of a palette's colours, or grey of any depth, which an image would be scaled from.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use crate::error::Problem;
use crate::{DecodeLimits, Numbers};

/// Reads the numbers of a grey PNG or of one with a palette.
///
/// # Errors
/// Colours or transparency beside the numbers; damage; more pixels than `limits` allow.
pub(crate) fn numbers(bytes: &[u8], limits: DecodeLimits) -> Result<Numbers, Problem> {
    let memory = Limits { bytes: limits.bounds().max_alloc.unwrap_or(u64::MAX).try_into().unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), memory);
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info()?;
    let info = reader.info();
    let (width, height, colour, depth) = (info.width, info.height, info.color_type, info.bit_depth);
    limits.allow(width, height)?;
    if !matches!(colour, ColorType::Grayscale | ColorType::Indexed) {
        return Err(Problem::NotNumbers(format!(
            "is {colour:?} and not a grey picture of numbers; save masks as grey PNG or TIFF"
        )));
    }
    let room = reader.output_buffer_size().ok_or(Problem::TooMuchMemory)?;
    let line = reader.output_line_size(width).ok_or(Problem::TooMuchMemory)?;
    let mut packed = vec![0; room];
    reader.next_frame(&mut packed)?;
    let mut values = Vec::with_capacity(width as usize * height as usize);
    for row in packed.chunks_exact(line) {
        add_row(&mut values, row, width as usize, depth);
    }
    Ok(Numbers { width, height, values })
}

/// Adds the numbers of a row, which are packed from the high bits down where they have fewer than eight.
fn add_row(values: &mut Vec<u32>, row: &[u8], width: usize, depth: BitDepth) {
    match depth {
        BitDepth::Eight => values.extend(row.iter().map(|&value| u32::from(value))),
        BitDepth::Sixteen => {
            values.extend(row.as_chunks::<2>().0.iter().map(|&pair| u32::from(u16::from_be_bytes(pair))));
        }
        BitDepth::One | BitDepth::Two | BitDepth::Four => {
            let bits = depth as usize;
            let least = (1_u8 << bits) - 1;
            let number = |at: usize| row[at * bits / 8] >> (8 - bits - at * bits % 8) & least;
            values.extend((0..width).map(|at| u32::from(number(at))));
        }
    }
}

impl From<DecodingError> for Problem {
    fn from(error: DecodingError) -> Self {
        match error {
            DecodingError::LimitsExceeded => Self::TooMuchMemory,
            other => Self::damaged(other.to_string().lines().next().unwrap_or_default().to_owned()),
        }
    }
}
