//! Tables of labels: one box a row, or one image a row.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow, ensure};

use super::describe::{BoxColumns, ImageKey};
use super::labels::{Entry, Issue, box_of, column_key};
use super::text;

/// A table, filed by image.
#[derive(Debug)]
pub(crate) struct Table {
    rows: BTreeMap<String, Vec<Entry>>,
    /// Rows whose image column names no image, by what stands there.
    nameless: Vec<(String, Issue)>,
}

impl Table {
    /// Reads a table of boxes. Its rows may say of which size their image is.
    ///
    /// # Errors
    /// A missing column, or one that occurs twice.
    pub(crate) fn boxes(bytes: &[u8], file: &str, columns: &BoxColumns, key: ImageKey) -> Result<Self> {
        let BoxColumns { image, xmin, ymin, xmax, ymax, label, width, height } = columns;
        let mut wanted = vec![image.as_str(), xmin, ymin, xmax, ymax, label];
        let size = width.as_deref().zip(height.as_deref());
        wanted.extend(size.into_iter().flat_map(|(width, height)| [width, height]));
        let number = |text: Option<&String>| text?.parse::<f64>().ok().filter(|side| *side > 0.0);
        Ok(Self::filed(rows(bytes, file, &wanted)?, key, |Row { at, cells, .. }| {
            let place = box_of([&cells[1], &cells[2], &cells[3], &cells[4]]);
            let label = place.map(|_| cells[5].clone()).ok_or_else(|| "coordinates are no numbers".to_owned());
            Entry { at, place, label, size: number(cells.get(6)).zip(number(cells.get(7))) }
        }))
    }

    /// Reads a table of classes.
    ///
    /// # Errors
    /// As [`Self::boxes`].
    pub(crate) fn classes(bytes: &[u8], file: &str, image: &str, class: &str, key: ImageKey) -> Result<Self> {
        let rows = rows(bytes, file, &[image, class])?;
        let entry = |Row { at, mut cells, .. }: Row| Entry { at, place: None, label: Ok(cells.remove(1)), size: None };
        Ok(Self::filed(rows, key, entry))
    }

    /// Files rows, whose first cell names the image.
    fn filed(rows: Vec<Row>, key: ImageKey, entry: impl Fn(Row) -> Entry) -> Self {
        let mut table = Self { rows: BTreeMap::new(), nameless: Vec::new() };
        for row in rows {
            match column_key(&row.cells[0], key) {
                Some(name) => {
                    let (at, flaw) = (row.at.clone(), row.flaw.clone());
                    let entry = match flaw {
                        Some(reason) => Entry { at, place: None, label: Err(reason), size: None },
                        None => entry(row),
                    };
                    table.rows.entry(name).or_default().push(entry);
                }
                None => {
                    let reason = format!("`{}` names no image", row.cells[0]);
                    table.nameless.push((row.cells[0].clone(), Issue { at: row.at, reason }));
                }
            }
        }
        table
    }

    /// The rows about the image that the table calls `key`.
    pub(crate) fn of(&self, key: &str) -> &[Entry] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    /// The rows about images that are not `there`, by what they call them.
    pub(crate) fn strays(&self, there: impl Fn(&str) -> bool) -> Vec<(String, Issue)> {
        let unclaimed = self.rows.iter().filter(|(key, _)| !there(key));
        let strays = unclaimed.flat_map(|(key, rows)| rows.iter().map(move |row| (key.clone(), row)));
        let strays = strays.map(|(key, row)| {
            let reason = format!("there is no image `{key}`");
            (key, Issue { at: row.at.clone(), reason })
        });
        strays.chain(self.nameless.iter().cloned()).collect()
    }
}

/// A row of a table.
#[derive(Debug)]
struct Row {
    /// Table and line.
    at: String,
    /// The wanted cells.
    cells: Vec<String>,
    /// Why it cannot be used.
    flaw: Option<String>,
}

/// Reads the columns `wanted` of each row.
fn rows(bytes: &[u8], file: &str, wanted: &[&str]) -> Result<Vec<Row>> {
    let text = text::of(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().with_context(|| format!("read the header of {file}"))?.clone();
    let mut places = Vec::with_capacity(wanted.len());
    for &name in wanted {
        let mut found = (0..header.len()).filter(|&column| &header[column] == name);
        let place = found.next().ok_or_else(|| {
            let has: Vec<&str> = header.iter().collect();
            anyhow!("{file} has no column `{name}`; it has {}", has.join(", "))
        })?;
        ensure!(
            found.next().is_none(),
            "{file} has two columns `{name}`; rename one, so that it is clear which is meant"
        );
        places.push(place);
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("read {file}"))?;
        let at = format!("{file} line {}", record.position().map_or(0, csv::Position::line));
        let cells = places.iter().map(|&place| record.get(place).unwrap_or("").to_owned()).collect();
        let surplus = record.iter().skip(header.len()).any(|cell| !cell.is_empty());
        let uneven = record.len() < header.len() || surplus;
        let flaw = uneven.then(|| format!("has {} cells under a header of {}", record.len(), header.len()));
        rows.push(Row { at, cells, flaw });
    }
    Ok(rows)
}

/// Reads two columns of a table as a map from image to text. The error is the reason for which an image has none.
///
/// # Errors
/// As [`Table::boxes`].
pub(crate) fn texts(
    bytes: &[u8],
    file: &str,
    image: &str,
    text: &str,
    key: ImageKey,
) -> Result<HashMap<String, Result<String, String>>> {
    let table = Table::classes(bytes, file, image, text, key)?;
    let text = |rows: Vec<Entry>| {
        let other = rows.iter().find(|row| row.label != rows[0].label);
        match other {
            Some(other) => Err(format!("{} and {} contradict each other", rows[0].at, other.at)),
            None => rows[0].label.clone().map_err(|reason| format!("{} {reason}", rows[0].at)),
        }
    };
    Ok(table.rows.into_iter().map(|(image, rows)| (image, text(rows))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::labels::Shape;

    #[test]
    fn a_missing_column_is_named_with_those_there_are_and_a_double_one_refused() {
        let error =
            |text: &[u8]| Table::classes(text, "t.csv", "image", "b", ImageKey::Name).expect_err("refused").to_string();
        let missing = error(b"a,b\n1,2\n");
        assert!(missing.contains("t.csv") && missing.contains("`image`") && missing.contains("a, b"), "{missing}");
        assert!(error(b"image,b,b\n1,2,3\n").contains("two columns `b`"));
    }

    fn columns(width: Option<&str>) -> BoxColumns {
        BoxColumns {
            image: "image".into(),
            xmin: "x0".into(),
            ymin: "y0".into(),
            xmax: "x1".into(),
            ymax: "y1".into(),
            label: "label".into(),
            width: width.map(str::to_owned),
            height: width.map(|_| "h".to_owned()),
        }
    }

    #[test]
    fn boxes_are_filed_by_image_and_bad_numbers_kept_as_such() {
        let text = b"\xef\xbb\xbfimage,x0,y0,x1,y1,label\na.png,0,0.5,1,1,rbc\na.png,0,?,1,1,rbc\na.png,0,0,1\n";
        let table = Table::boxes(text, "t.csv", &columns(None), ImageKey::Name).expect("table");
        let rows = table.of("a.png");
        assert_eq!(rows[0].place, Some(Shape::Box { x0: 0.0, y0: 0.5, x1: 1.0, y1: 1.0 }));
        assert!(rows[1].label.is_err() && rows[1].at.ends_with("line 3"), "{:?}", rows[1]);
        assert_eq!(rows[2].label, Err("has 4 cells under a header of 6".to_owned()));
    }

    #[test]
    fn a_row_may_say_of_which_size_its_image_is() {
        let text = b"image,x0,y0,x1,y1,label,w,h\na.png,0,0,9,9,rbc,640,480\na.png,0,0,9,9,rbc,0,0\n";
        let table = Table::boxes(text, "t.csv", &columns(Some("w")), ImageKey::Name).expect("table");
        let sizes: Vec<_> = table.of("a.png").iter().map(|row| row.size).collect();
        assert_eq!(sizes, [Some((640.0, 480.0)), None]);
    }

    #[test]
    fn rows_about_no_image_are_told_with_their_lines() {
        let text = b"image,b\n7,x\n8,y\n,z\nseven,z\n";
        let table = Table::classes(text, "t.csv", "image", "b", ImageKey::Number).expect("table");
        let strays: Vec<(String, String)> =
            table.strays(|key| key == "7").into_iter().map(|(name, issue)| (name, issue.at)).collect();
        let expected = [("8", "t.csv line 3"), ("", "t.csv line 4"), ("seven", "t.csv line 5")];
        assert_eq!(strays, expected.map(|(name, at)| (name.to_owned(), at.to_owned())));
    }

    #[test]
    fn two_groups_of_one_image_are_none() {
        let text = b"image,g\na,1\na,1\nb,1\nb,2\n";
        let groups = texts(text, "t.csv", "image", "g", ImageKey::Name).expect("table");
        assert_eq!(groups["a"], Ok("1".to_owned()));
        assert_eq!(groups["b"], Err("t.csv line 4 and t.csv line 5 contradict each other".to_owned()));
    }
}
