//! Files of points: lines `x y class`, in pixels.

use super::entry::LabelEntry;
use super::numbers::NO_NUMBERS;
use crate::annotation::Geometry;

/// Reads the lines of a file of points. Empty lines are left out; a line that cannot be used is an entry with its reason.
pub(crate) fn points(text: &str) -> Result<Vec<LabelEntry>, String> {
    let entry = |(index, line): (usize, &str)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<f64>().ok().filter(|value| value.is_finite());
        let (geometry, label) = match words.as_slice() {
            [] => return None,
            [x, y, class] => match (number(x), number(y)) {
                (Some(x), Some(y)) => (Some(Geometry::Point { x, y }), Ok((*class).to_owned())),
                _ => (None, Err(NO_NUMBERS.to_owned())),
            },
            _ => (None, Err("not of the form `x y class`".to_owned())),
        };
        Some(LabelEntry { geometry, ..LabelEntry::new(format!("line {}", index + 1), label) })
    };
    Ok(text.lines().enumerate().filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_points_keep_their_place_in_the_file() {
        let entries = points("1 2 0\n\nx 2 0\n1 2\n 5.5 6 burr \n").expect("points");
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0].geometry, Some(Geometry::Point { x: 1.0, y: 2.0 }));
        assert_eq!((entries[1].at.as_str(), entries[1].label.is_err()), ("line 3", true));
        assert!(entries[2].label.is_err());
        assert_eq!((entries[3].at.as_str(), entries[3].label.as_deref()), ("line 5", Ok("burr")));
    }
}
