//! Run lengths as Kaggle's competitions write them: `first length first length …`.

/// First pixel, from 0, and length of each run of a text whose pixels are counted from `first`. A text of `-1` and an empty one hold no
/// cell.
///
/// # Errors
/// The reason for the report: no pairs of numbers; a pixel before the first.
pub(super) fn read(text: &str, first: u8) -> Result<Vec<(u64, u64)>, String> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    if text.is_empty() || text == "-1" {
        return Err("has no run lengths: no cell".to_owned());
    }
    let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
    let numbers = numbers.ok_or("its run lengths are not whole numbers")?;
    let (pairs, []) = numbers.as_chunks::<2>() else {
        return Err(format!("has {} numbers; run lengths are pairs of a first pixel and a length", numbers.len()));
    };
    let from_0 = |[start, length]: &[u64; 2]| match (start.checked_sub(first.into()), length) {
        (Some(start), 1..) => Ok((start, *length)),
        (Some(_), 0) => Err("has a run of length 0".to_owned()),
        (None, _) => {
            Err("has a run at pixel 0, and pixels are counted from 1; write `first: 0` if they are not".to_owned())
        }
    };
    pairs.iter().map(from_0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_everything_else_is_a_reason() {
        assert_eq!(read("1 3 10 2", 1), Ok(vec![(0, 3), (9, 2)]));
        assert_eq!(read("[0, 3]", 0), Ok(vec![(0, 3)]));
        for (text, words) in [
            ("", "no cell"),
            ("-1", "no cell"),
            ("1 2 3", "3 numbers"),
            ("0 2", "first: 0"),
            ("1 0", "length 0"),
            ("1 x", "whole numbers"),
            ("1 99999999999999999999999", "whole numbers"),
        ] {
            assert!(read(text, 1).expect_err("a reason").contains(words), "{text}");
        }
    }
}
