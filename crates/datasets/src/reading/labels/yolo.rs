//! YOLO files: `class x y width height`, or `class x y x y x y …` around a cell, in fractions of the image; and the names of the classes.

use run_spec::yaml::Yaml;
use serde_json::Value;

use super::entry::LabelEntry;
use super::numbers::{NO_NUMBERS, scaled};
use super::outline::Outline;
use crate::annotation::Geometry;
use crate::reading::text;
use crate::schema::text::shortened;

/// How far a fraction may lie outside 0 to 1, as by rounding.
const SLACK: f64 = 0.01;

/// Reads the lines of a YOLO file of an image of `size`. Empty lines are left out; a line that cannot be used is an entry with its reason.
pub(super) fn lines(text: &str, names: Option<&[String]>, size: (f64, f64)) -> Result<Vec<LabelEntry>, String> {
    let entry = |(index, line): (usize, &str)| {
        let at = format!("line {}", index + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        let (class, numbers) = words.split_first()?;
        Some(match class_name(class, names).and_then(|label| Ok((label, fractions(numbers)?))) {
            Err(reason) => LabelEntry::unusable(at, reason),
            Ok((label, numbers)) => scaled(drawn(LabelEntry::new(at, Ok(label)), &numbers), size),
        })
    };
    Ok(text.lines().enumerate().filter_map(entry).collect())
}

/// The name of a class that a line gives by its number.
fn class_name(class: &str, names: Option<&[String]>) -> Result<String, String> {
    let shown = shortened(class);
    let number: usize = class.parse().map_err(|_| format!("`{shown}` is not the number of a class"))?;
    let Some(names) = names else { return Ok(number.to_string()) };
    let name = names.get(number).filter(|name| !name.is_empty());
    name.cloned().ok_or_else(|| format!("class {number} has no name; the file of names has {}", names.len()))
}

/// The numbers behind the class of a line.
fn fractions(words: &[&str]) -> Result<Vec<f64>, String> {
    match words.len() {
        5 => return Err("has five numbers behind its class, as a prediction with its confidence".to_owned()),
        4 => {}
        points if points >= 6 && points.is_multiple_of(2) => {}
        other => {
            return Err(format!("has {other} numbers behind its class; a box has 4, an outline an even number from 6"));
        }
    }
    let numbers: Option<Vec<f64>> = words.iter().map(|word| word.parse().ok()).collect();
    let numbers = numbers.ok_or(NO_NUMBERS)?;
    match numbers.iter().find(|number| !(-SLACK..=1.0 + SLACK).contains(*number)) {
        Some(number) => Err(format!("{number} is not a fraction of the image, 0 to 1")),
        None => Ok(numbers),
    }
}

fn drawn(entry: LabelEntry, numbers: &[f64]) -> LabelEntry {
    match *numbers {
        [x, y, w, h] => {
            let (left, right) = (x - w / 2.0, x + w / 2.0);
            let (top, bottom) = (y - h / 2.0, y + h / 2.0);
            entry.at_place(Geometry::Box { x0: left, y0: top, x1: right, y1: bottom })
        }
        _ => entry.with_outline(Outline::polygon(numbers.as_chunks::<2>().0.to_vec())),
    }
}

/// The names of classes by their numbers: a name a line, or `names` of a YAML called `file`.
///
/// # Errors
/// A YAML without `names`.
pub(super) fn names(bytes: &[u8], file: &str) -> Result<Vec<String>, String> {
    let text = text::labels(bytes)?;
    let is_yaml = [".yaml", ".yml"].iter().any(|ending| file.to_ascii_lowercase().ends_with(ending));
    if !is_yaml {
        let mut names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        return Ok(names);
    }
    let yaml = Yaml::parse(&text, file).map_err(|error| error.to_string())?;
    let name = |value: &Value| match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let unnamed = || format!("{file} has no `names`, a list or a map from numbers to names");
    match yaml.value.get("names") {
        Some(Value::Array(all)) => all.iter().map(name).collect::<Option<_>>().ok_or_else(unnamed),
        Some(Value::Object(all)) => {
            let mut names = Vec::new();
            for (number, value) in all {
                let number = number.parse::<usize>().ok().filter(|number| *number < 10_000).ok_or_else(unnamed)?;
                names.resize(names.len().max(number + 1), String::new());
                names[number] = name(value).ok_or_else(unnamed)?;
            }
            Ok(names)
        }
        _ => Err(unnamed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_outlines_are_told_by_how_many_numbers_they_have() {
        let names = ["rbc".to_owned(), "wbc".to_owned()];
        let text = "1 0.5 0.5 0.2 0.4\n\n0 0.1 0.1 0.3 0.1 0.3 0.2\n0 0.5 0.5 0.2 0.4 0.9\n7 0.5 0.5 0.2 0.4\nx 0 0 0 0\n0 50 50 20 20\n0 1 2";
        let entries = lines(text, Some(&names), (100.0, 50.0)).expect("lines");
        assert_eq!(entries[0].geometry, Some(Geometry::Box { x0: 40.0, y0: 15.0, x1: 60.0, y1: 35.0 }));
        assert_eq!(entries[0].label.as_deref(), Ok("wbc"));
        assert_eq!(entries[1].outline, Some(Outline::polygon(vec![[10.0, 5.0], [30.0, 5.0], [30.0, 10.0]])));
        let reasons: Vec<String> =
            entries[2..].iter().map(|entry| entry.label.clone().expect_err("a reason")).collect();
        for (reason, words) in
            reasons.iter().zip(["confidence", "class 7 has no name", "number of a class", "fraction", "2 numbers"])
        {
            assert!(reason.contains(words), "{reason}");
        }
        assert_eq!(lines("3 0.5 0.5 1 1", None, (9.0, 9.0)).expect("lines")[0].label.as_deref(), Ok("3"));
    }

    #[test]
    fn names_are_lines_or_those_of_a_yaml() {
        assert_eq!(names(b"rbc\r\n wbc \n\n", "classes.txt").expect("names"), ["rbc", "wbc"]);
        assert_eq!(names(b"nc: 2\nnames: [rbc, wbc]\n", "data.yaml").expect("names"), ["rbc", "wbc"]);
        assert_eq!(names(b"names:\n  0: rbc\n  2: wbc\n", "data.yaml").expect("names"), ["rbc", "", "wbc"]);
        for bad in ["nc: 2\n", "names: {99999999: x}\n", "names: [[1]]\n"] {
            assert!(names(bad.as_bytes(), "d.yml").expect_err("refused").contains("names"), "{bad}");
        }
    }
}
