//! Tables of labels: one box a row, or one image a row.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow};

use super::describe::{BoxColumns, ImageKey};
use super::labels::{Entry, box_columns, box_of, column_key};

/// Reads a table of boxes, filed by image.
///
/// # Errors
/// A missing column, or a table that is no CSV.
pub(crate) fn boxes(
    bytes: &[u8],
    file: &str,
    columns: &BoxColumns,
    key: ImageKey,
) -> Result<HashMap<String, Vec<Entry>>> {
    rows(bytes, file, box_columns(columns), key, 4, |[xmin, ymin, xmax, ymax, _, label], at| {
        let place = box_of([xmin, ymin, xmax, ymax]);
        let label = if place.is_some() { Ok(label.to_owned()) } else { Err("coordinates are no numbers".to_owned()) };
        Entry { at, place, label }
    })
}

/// Reads a table of classes, filed by image.
///
/// # Errors
/// As [`boxes`].
pub(crate) fn classes(
    bytes: &[u8],
    file: &str,
    image: &str,
    class: &str,
    key: ImageKey,
) -> Result<HashMap<String, Vec<Entry>>> {
    rows(bytes, file, [image, class], key, 0, |[_, class], at| Entry { at, place: None, label: Ok(class.to_owned()) })
}

/// Reads `columns` of each row; the one at `image` names the image.
fn rows<const N: usize>(
    bytes: &[u8],
    file: &str,
    columns: [&str; N],
    key: ImageKey,
    image: usize,
    entry: impl Fn([&str; N], String) -> Entry,
) -> Result<HashMap<String, Vec<Entry>>> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let header = reader.headers().with_context(|| format!("read the header of {file}"))?.clone();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(columns) {
        *place = header.iter().position(|column| column == name).ok_or_else(|| {
            let has: Vec<&str> = header.iter().collect();
            anyhow!("{file} has no column `{name}`; it has {}", has.join(", "))
        })?;
    }
    let mut table: HashMap<String, Vec<Entry>> = HashMap::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("read {file}"))?;
        let at = format!("{file} line {}", record.position().map_or(0, csv::Position::line));
        let cells = places.map(|place| record.get(place).unwrap_or(""));
        if let Some(name) = column_key(cells[image], key) {
            table.entry(name).or_default().push(entry(cells, at));
        }
    }
    Ok(table)
}

/// Reads two columns of a table as a map from image to text.
///
/// # Errors
/// As [`boxes`].
pub(crate) fn texts(
    bytes: &[u8],
    file: &str,
    image: &str,
    text: &str,
    key: ImageKey,
) -> Result<HashMap<String, String>> {
    let table = classes(bytes, file, image, text, key)?;
    Ok(table
        .into_iter()
        .filter_map(|(image, rows)| rows.into_iter().next().and_then(|row| row.label.ok()).map(|text| (image, text)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::labels::Shape;

    #[test]
    fn a_missing_column_is_named_with_those_there_are() {
        let error = classes(b"a,b\n1,2\n", "t.csv", "image", "b", ImageKey::Name).expect_err("missing").to_string();
        assert!(error.contains("t.csv") && error.contains("`image`") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn boxes_are_filed_by_image_and_bad_numbers_kept_as_such() {
        let columns = BoxColumns {
            image: "image".into(),
            xmin: "x0".into(),
            ymin: "y0".into(),
            xmax: "x1".into(),
            ymax: "y1".into(),
            label: "label".into(),
        };
        let text = b"\xef\xbb\xbfimage,x0,y0,x1,y1,label\na.png,0,0.5,1,1,rbc\na.png,0,?,1,1,rbc\n";
        let table = boxes(text, "t.csv", &columns, ImageKey::Name).expect("table");
        let rows = &table["a.png"];
        assert_eq!(rows[0].place, Some(Shape::Box { x0: 0.0, y0: 0.5, x1: 1.0, y1: 1.0 }));
        assert!(rows[1].label.is_err() && rows[1].at.ends_with("line 3"), "{:?}", rows[1]);
    }
}
