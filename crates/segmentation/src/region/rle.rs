//! COCO's compressed run lengths: five bits a character, each number after the second as a difference to the last but one.

use super::RegionError;

/// Bits that a run length may have: images of 2^40 pixels are none.
const MOST_BITS: u32 = 40;

/// The run lengths of a compressed text.
///
/// # Errors
/// A character that is none of the code, a text that ends within a number, a length below 0 or of more than an image has.
pub fn counts_of_text(text: &str) -> Result<Vec<u64>, RegionError> {
    let mut counts: Vec<i64> = Vec::new();
    let (mut number, mut bits) = (0_i64, 0);
    for (at, byte) in text.bytes().enumerate() {
        let code = byte.checked_sub(48).filter(|code| *code < 64 && bits < MOST_BITS);
        let code = code.ok_or(RegionError::Damaged(at))?;
        number |= i64::from(code & 0x1f) << bits;
        bits += 5;
        if code & 0x20 > 0 {
            continue;
        }
        if code & 0x10 > 0 {
            number |= -1 << bits;
        }
        if counts.len() > 2 {
            number += counts[counts.len() - 2];
        }
        if !(0..1 << MOST_BITS).contains(&number) {
            return Err(RegionError::Damaged(at));
        }
        counts.push(number);
        (number, bits) = (0, 0);
    }
    if bits > 0 {
        return Err(RegionError::Damaged(text.len()));
    }
    Ok(counts.into_iter().map(|count| count as u64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_texts_are_reasons() {
        assert_eq!(counts_of_text(""), Ok(Vec::new()));
        assert_eq!(counts_of_text("1"), Ok(vec![1]));
        for (text, at) in [("o", 1), ("\u{e4}", 0), ("1 ", 1), ("oooooooooo", 8), ("@", 0)] {
            assert_eq!(counts_of_text(text), Err(RegionError::Damaged(at)), "{text}");
        }
    }
}
