//! Tables of labels, with a box per row or an image per row.

use std::collections::{BTreeMap, HashMap};

use segmentation::RunOrder;

use super::entry::LabelEntry;
use super::numbers::{NO_NUMBERS, place_of, size_of};
use super::outline::Outline;
use super::quotes::{check_quotes, holds_rows};
use super::{decimal, runs};
use crate::annotation::LabelIssue;
use crate::error::TableError;
use crate::reading::text;
use crate::schema::text::{plain, shortened};
use crate::schema::{BoxColumns, ImageKey, RunColumns, TableForm};

/// A table of labels, its rows filed by image.
#[derive(Debug)]
pub(crate) struct LabelTable {
    rows: BTreeMap<String, Vec<LabelEntry>>,
    /// Rows whose image column names no image, by what stands there.
    nameless: Vec<(String, LabelIssue)>,
}

impl LabelTable {
    /// Reads a table of boxes or points. Its rows may say of which size their image is.
    ///
    /// # Errors
    /// A missing column, or one that occurs twice.
    pub(crate) fn boxes(file: TableFile<'_>, columns: &BoxColumns, key: &ImageKey) -> Result<Self, TableError> {
        let reason = "the description names no columns of places".to_owned();
        let place = columns.place().ok_or(TableError::NotATable { reason })?;
        let mut wanted = vec![columns.image.as_str(), columns.label.as_str()];
        wanted.extend(place.names());
        let sides = wanted.len();
        let size = columns.width.as_deref().zip(columns.height.as_deref());
        wanted.extend(size.into_iter().flat_map(|(width, height)| [width, height]));
        let size = |cells: &[String]| match cells.get(sides).zip(cells.get(sides + 1)) {
            Some((width, height)) => size_of(width, height),
            None => Ok(None),
        };
        let (mut rows, separator) = rows(file, &wanted)?;
        let numbers = rows.iter().flat_map(|row| row.cells.iter().skip(2)).map(String::as_str);
        let decimal = decimal::of_table(file.form, separator, numbers)?;
        for number in rows.iter_mut().flat_map(|row| row.cells.iter_mut().skip(2)) {
            *number = decimal::pointed(number, decimal).into_owned();
        }
        Ok(Self::filed(rows, key, |TableRow { at, cells, .. }| {
            let geometry = place_of(place, &cells[2..sides]);
            let label = geometry.map(|_| cells[1].clone()).ok_or_else(|| NO_NUMBERS.to_owned());
            LabelEntry { geometry, size: size(&cells), ..LabelEntry::new(at, label) }
        }))
    }

    /// Reads a table of classes.
    ///
    /// # Errors
    /// A missing column, or one that occurs twice.
    pub(crate) fn classes(file: TableFile<'_>, columns: [&str; 2], key: &ImageKey) -> Result<Self, TableError> {
        let entry = |TableRow { at, mut cells, .. }: TableRow| LabelEntry::new(at, Ok(cells.remove(1)));
        Ok(Self::filed(rows(file, &columns)?.0, key, entry))
    }

    /// Reads a table of run lengths, counted from `first` in `order`. Without a column of labels every cell has the label `name`.
    ///
    /// # Errors
    /// A missing column, or one that occurs twice.
    pub(crate) fn runs(
        file: TableFile<'_>,
        columns: &RunColumns,
        (order, first, name): (RunOrder, u8, Option<&str>),
        key: &ImageKey,
    ) -> Result<Self, TableError> {
        let mut wanted = vec![columns.image.as_str(), columns.runs.as_str()];
        wanted.extend([&columns.label, &columns.width, &columns.height].into_iter().flatten().map(String::as_str));
        let label_at = columns.label.as_ref().map(|_| 2);
        let size_at = columns.width.as_ref().map(|_| 2 + usize::from(label_at.is_some()));
        Ok(Self::filed(rows(file, &wanted)?.0, key, |TableRow { at, cells, .. }| {
            let label = label_at.map_or(name.unwrap_or_default(), |at| &cells[at]).to_owned();
            let size = size_at.map_or(Ok(None), |at| size_of(&cells[at], &cells[at + 1]));
            match runs::read(&cells[1], first) {
                Ok(runs) => {
                    LabelEntry { size, ..LabelEntry::new(at, Ok(label)) }.with_outline(Outline::Runs(runs, order))
                }
                Err(reason) => LabelEntry::unusable(at, reason),
            }
        }))
    }

    /// Files the entries of a file about many images by what it calls the image of each.
    pub(super) fn of_entries(entries: Vec<(String, LabelEntry)>, key: &ImageKey) -> Self {
        let mut table = Self { rows: BTreeMap::new(), nameless: Vec::new() };
        for (image, entry) in entries {
            match key.of_cell(&image) {
                Some(name) => table.rows.entry(name).or_default().push(entry),
                None => {
                    let name = shortened(&image);
                    let reason = format!("`{name}` names no image");
                    table.nameless.push((name, LabelIssue { at: entry.at, reason }));
                }
            }
        }
        table
    }

    /// Files rows, whose first cell names the image.
    fn filed(rows: Vec<TableRow>, key: &ImageKey, entry: impl Fn(TableRow) -> LabelEntry) -> Self {
        let mut table = Self { rows: BTreeMap::new(), nameless: Vec::new() };
        for row in rows {
            match key.of_cell(&row.cells[0]) {
                Some(name) => {
                    let (at, flaw) = (row.at.clone(), row.flaw.clone());
                    let entry = match flaw {
                        Some(reason) => LabelEntry::unusable(at, reason),
                        None => entry(row),
                    };
                    table.rows.entry(name).or_default().push(entry);
                }
                None => {
                    let name = shortened(&row.cells[0]);
                    let reason = row.flaw.unwrap_or_else(|| format!("`{name}` names no image"));
                    table.nameless.push((name, LabelIssue { at: row.at, reason }));
                }
            }
        }
        table
    }

    /// The rows about the image that the table calls `key`.
    pub(crate) fn of(&self, key: &str) -> &[LabelEntry] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    /// The rows about images that are not `there`, by what they call them.
    pub(crate) fn strays(&self, there: impl Fn(&str) -> bool) -> Vec<(String, LabelIssue)> {
        let unclaimed = self.rows.iter().filter(|(key, _)| !there(key));
        let strays = unclaimed.flat_map(|(key, rows)| rows.iter().map(move |row| (key.clone(), row)));
        let strays = strays.map(|(key, row)| {
            let key = shortened(&key);
            let reason = format!("there is no image `{key}` that the description includes");
            (key, LabelIssue { at: row.at.clone(), reason })
        });
        strays.chain(self.nameless.iter().cloned()).collect()
    }
}

/// A row of a table, as it is read.
#[derive(Debug)]
pub(super) struct TableRow {
    /// Its table and line, as messages name them.
    pub(super) at: String,
    /// The cells of the wanted columns, in their order.
    pub(super) cells: Vec<String>,
    /// Why it cannot be used.
    pub(super) flaw: Option<String>,
}

/// What stands between the cells of a row: a comma, or what programs write where the comma is the decimal point.
const SEPARATORS: [(u8, &str); 3] = [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs")];

/// A table as it lies in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableFile<'a> {
    /// The bytes of the file, in the encoding that the description names.
    pub(crate) bytes: &'a [u8],
    /// Its path, for messages.
    pub(crate) path: &'a str,
    /// How it is written.
    pub(crate) form: &'a TableForm,
}

/// Reads the columns `wanted` of each row, and tells the separator. The separator is the stated one, or the first of [`SEPARATORS`] at which the header splits into
/// names that include all of `wanted`.
pub(super) fn rows(
    TableFile { bytes, path, form }: TableFile<'_>,
    wanted: &[&str],
) -> Result<(Vec<TableRow>, u8), TableError> {
    let decoded = form.encoding().map(|encoding| encoding.decode(bytes).0);
    let bytes = decoded.as_ref().map_or(bytes, |text| text.as_bytes());
    let text = text::labels(bytes).map_err(|reason| TableError::NotATable { reason })?;
    // The reader numbers a row after CR and LF as the line before.
    let text = text.replace("\r\n", "\n");
    let (stated, text) = stated_separator(&text)?;
    let (by_whom, stated) = match form.separator() {
        Some(separator) => ("the description", Some(separator)),
        None => ("its first line", stated),
    };
    let separator = stated.unwrap_or_else(|| separator(text, wanted, form.header));
    check_quotes(text, separator)?;
    let mut reader = reader(text, separator, form.header);
    let header = header(&mut reader, form.header)?;
    let separators = match stated {
        Some(separator) => format!("`{}`, as {by_whom} says", char::from(separator).escape_debug()),
        None => SEPARATORS.map(|(_, name)| name).join(" or "),
    };
    let columns = columns(&header, wanted, &separators)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let at = format!("{path} line {}", record.position().map_or(0, csv::Position::line));
        let cells: Vec<String> = columns.iter().map(|&column| record.get(column).unwrap_or("").to_owned()).collect();
        rows.push(TableRow { at, flaw: flaw(&record, &cells, (header.len(), separator)), cells });
    }
    Ok((rows, separator))
}

fn reader(text: &str, separator: u8, has_header: bool) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).trim(csv::Trim::All).flexible(true).has_headers(has_header);
    builder.from_reader(text.as_bytes())
}

/// The names of the columns: those of the first line, or their numbers.
fn header(reader: &mut csv::Reader<&[u8]>, has_header: bool) -> Result<csv::StringRecord, csv::Error> {
    let first = reader.headers()?;
    Ok(if has_header { first.clone() } else { (1..=first.len()).map(|number| number.to_string()).collect() })
}

/// The separator that a first line `sep=;` states, as Excel writes and reads it, and the text after that line, whose line break stays so
/// that lines keep their numbers.
fn stated_separator(text: &str) -> Result<(Option<u8>, &str), TableError> {
    let (line, rest) = text.split_at(text.find(['\r', '\n']).unwrap_or(text.len()));
    let line = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line);
    let Some(stated) = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).map(|_| &line[4..]) else {
        return Ok((None, text));
    };
    match *stated.as_bytes() {
        [separator] if separator.is_ascii() && separator != b'"' => Ok((Some(separator), rest)),
        _ => Err(TableError::Separator { line: shortened(line) }),
    }
}

/// The separator by which the header holds all `wanted` columns; a comma where none does, for the message.
fn separator(text: &str, wanted: &[&str], has_header: bool) -> u8 {
    let holds = |separator: u8| {
        let mut reader = reader(text, separator, has_header);
        header(&mut reader, has_header)
            .is_ok_and(|header| wanted.iter().all(|name| header.iter().any(|own| own == *name)))
    };
    SEPARATORS.into_iter().map(|(separator, _)| separator).find(|separator| holds(*separator)).unwrap_or(b',')
}

/// The positions of the `wanted` columns. `separators` are those that were tried, for the message.
fn columns(header: &csv::StringRecord, wanted: &[&str], separators: &str) -> Result<Vec<usize>, TableError> {
    let mut columns = Vec::with_capacity(wanted.len());
    for &name in wanted {
        let mut found = (0..header.len()).filter(|&column| &header[column] == name);
        let column = found.next().ok_or_else(|| TableError::NoColumn {
            name: name.to_owned(),
            separators: separators.to_owned(),
            columns: header.iter().take(30).map(shortened).collect(),
        })?;
        if found.next().is_some() {
            return Err(TableError::TwoColumns { name: name.to_owned() });
        }
        columns.push(column);
    }
    Ok(columns)
}

/// Why a record cannot be used, under a header of so many cells.
fn flaw(record: &csv::StringRecord, cells: &[String], (header, separator): (usize, u8)) -> Option<String> {
    let surplus = record.iter().skip(header).any(|cell| !cell.is_empty());
    if let Some(swallowed) = record.iter().find(|cell| holds_rows(cell, header, separator)) {
        let runs = swallowed.lines().count();
        return Some(format!(
            "holds a quoted cell of {runs} lines that look like rows; close its quote or take it out"
        ));
    }
    if record.len() < header || surplus {
        return Some(format!("has {} cells under a header of {header}", record.len()));
    }
    cells.iter().find_map(|cell| plain(cell).err())
}

/// Reads two columns of a table as a map from what names the image to the text. The error is the reason for which an image has none.
///
/// # Errors
/// A missing column, or one that occurs twice.
pub(crate) fn texts(
    file: TableFile<'_>,
    columns: [&str; 2],
    key: &ImageKey,
) -> Result<HashMap<String, Result<String, String>>, TableError> {
    let table = LabelTable::classes(file, columns, key)?;
    let text = |rows: Vec<LabelEntry>| {
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
    use crate::annotation::Geometry;

    fn csv(bytes: &[u8]) -> TableFile<'_> {
        const FORM: &TableForm = &TableForm { separator: None, header: true, decimal: None, encoding: None };
        TableFile { bytes, path: "t.csv", form: FORM }
    }

    #[test]
    fn a_missing_column_is_named_with_those_there_are_and_a_double_one_refused() {
        let error = |text: &[u8]| {
            LabelTable::classes(csv(text), ["image", "b"], &ImageKey::Name).expect_err("refused").to_string()
        };
        let missing = error(b"a,b\n1,2\n");
        assert!(missing.contains("`image`") && missing.contains("a, b"), "{missing}");
        assert!(error(b"image,b,b\n1,2,3\n").contains("two columns `b`"));
    }

    fn columns(width: Option<&str>) -> BoxColumns {
        BoxColumns {
            image: "image".into(),
            xmin: Some("x0".into()),
            ymin: Some("y0".into()),
            xmax: Some("x1".into()),
            ymax: Some("y1".into()),
            x: None,
            y: None,
            centre_x: None,
            centre_y: None,
            w: None,
            h: None,
            label: "label".into(),
            width: width.map(str::to_owned),
            height: width.map(|_| "h".to_owned()),
        }
    }

    #[test]
    fn boxes_are_filed_by_image_and_bad_numbers_kept_as_such() {
        let text = b"\xef\xbb\xbfimage,x0,y0,x1,y1,label\na.png,0,0.5,1,1,rbc\na.png,0,?,1,1,rbc\na.png,0,0,1\n";
        let table = LabelTable::boxes(csv(text), &columns(None), &ImageKey::Name).expect("table");
        let rows = table.of("a.png");
        assert_eq!(rows[0].geometry, Some(Geometry::Box { x0: 0.0, y0: 0.5, x1: 1.0, y1: 1.0 }));
        assert!(rows[1].label.is_err() && rows[1].at.ends_with("line 3"), "{:?}", rows[1]);
        assert_eq!(rows[2].label, Err("has 4 cells under a header of 6".to_owned()));
    }

    #[test]
    fn a_row_may_say_of_which_size_its_image_is() {
        let text = b"image,x0,y0,x1,y1,label,w,h\na.png,0,0,9,9,rbc,640,480\na.png,0,0,9,9,rbc,0,0\n";
        let table = LabelTable::boxes(csv(text), &columns(Some("w")), &ImageKey::Name).expect("table");
        let sizes: Vec<_> = table.of("a.png").iter().map(|row| row.size.clone()).collect();
        assert_eq!(sizes, [Ok(Some((640.0, 480.0))), Ok(None)]);
    }

    #[test]
    fn the_separator_is_the_one_by_which_the_header_holds_the_columns() {
        for separator in [",", ";", "\t"] {
            let text = "image|b|note\na|rbc|x".replace('|', separator);
            let table = LabelTable::classes(csv(text.as_bytes()), ["image", "b"], &ImageKey::Name).expect("table");
            assert_eq!(table.of("a")[0].label.as_deref(), Ok("rbc"), "{separator:?}");
        }
        let error = LabelTable::classes(csv(b"image|b\na|rbc"), ["image", "b"], &ImageKey::Name).expect_err("refused");
        assert!(error.to_string().contains("commas or semicolons or tabs"), "{error}");
    }

    #[test]
    fn a_first_line_of_excel_says_the_separator_and_lines_keep_their_numbers() {
        let table = |text: &str| LabelTable::classes(csv(text.as_bytes()), ["image", "b"], &ImageKey::Name);
        for (first, separator) in [("sep=;", ";"), ("\u{feff}SEP=,", ","), ("sep=\t", "\t"), ("\"sep=|\"", "|")] {
            for end in ["\n", "\r\n"] {
                let text = [first, &format!("image{separator}b"), &format!("a{separator}rbc"), ""].join(end);
                let table = table(&text).expect("a table");
                let row = &table.of("a")[0];
                assert_eq!((row.label.as_deref(), row.at.as_str()), (Ok("rbc"), "t.csv line 3"), "{text:?}");
            }
        }
        for bad in ["sep=", "sep=ab", "sep=\"", "sep=ü"] {
            let error = table(&format!("{bad}\nimage;b\na;rbc\n")).expect_err("refused").to_string();
            assert!(error.contains("take the line out"), "{bad}: {error}");
        }
        let windows = table("image,b\r\na,rbc\r\nb,wbc\r\n").expect("a table");
        assert_eq!((windows.of("a")[0].at.as_str(), windows.of("b")[0].at.as_str()), ("t.csv line 2", "t.csv line 3"));
        let other = table("sep=,\nimage;b\na;rbc\n").expect_err("refused").to_string();
        assert!(other.contains("between `,`, as its first line says") && other.contains("image;b"), "{other}");
    }

    #[test]
    fn a_quoted_cell_swallows_no_rows() {
        let table = |text: &str| LabelTable::classes(csv(text.as_bytes()), ["image", "b"], &ImageKey::Name);
        let open = format!("{:#}", table("image,b\na,\"rbc\nb,wbc\n").expect_err("an open quote"));
        assert!(open.contains("line 2"), "{open}");
        // Closed by chance, rows later: the row that swallowed others is none, in a wanted cell or in another.
        for text in ["image,b\na,\"rbc\nb,wbc\nc,\"\n", "image,b,note\na,rbc,\"x\nb,wbc,y\nc,rbc,\"\n"] {
            let table = table(text).expect("closed");
            let row = &table.of("a")[0];
            assert!(row.label.as_ref().expect_err("no label").contains("look like rows"), "{row:?}");
            assert_eq!(row.at, "t.csv line 2");
        }
        let notes = table("image,b,note\na,rbc,\"two\nlines\"\nb,\"r\nbc\",x\n").expect("table");
        assert_eq!(notes.of("a")[0].label.as_deref(), Ok("rbc"));
        assert!(notes.of("b")[0].label.as_ref().expect_err("no label").contains("line break"));
    }

    #[test]
    fn rows_about_no_image_are_told_with_their_lines() {
        let text = b"image,b\n7,x\n8,y\n,z\nseven,z\n";
        let table = LabelTable::classes(csv(text), ["image", "b"], &ImageKey::Number).expect("table");
        let strays: Vec<(String, String)> =
            table.strays(|key| key == "7").into_iter().map(|(name, issue)| (name, issue.at)).collect();
        let expected = [("8", "t.csv line 3"), ("", "t.csv line 4"), ("seven", "t.csv line 5")];
        assert_eq!(strays, expected.map(|(name, at)| (name.to_owned(), at.to_owned())));
    }

    #[test]
    fn two_groups_of_one_image_are_none() {
        let text = b"image,g\na,1\na,1\nb,1\nb,2\n";
        let groups = texts(csv(text), ["image", "g"], &ImageKey::Name).expect("table");
        assert_eq!(groups["a"], Ok("1".to_owned()));
        assert_eq!(groups["b"], Err("t.csv line 4 and t.csv line 5 contradict each other".to_owned()));
    }

    #[test]
    fn a_table_may_have_no_header_another_separator_and_an_old_encoding() {
        let form = TableForm {
            separator: Some('|'),
            header: false,
            encoding: Some("windows-1252".to_owned()),
            ..TableForm::default()
        };
        let file = TableFile { bytes: b"a.png|1|K\xf6rper\nb.png|2|x\n", path: "t.csv", form: &form };
        let table = LabelTable::classes(file, ["1", "3"], &ImageKey::Name).expect("table");
        let row = &table.of("a.png")[0];
        assert_eq!((row.label.as_deref(), row.at.as_str()), (Ok("K\u{f6}rper"), "t.csv line 1"));
        assert_eq!(table.of("b.png")[0].at, "t.csv line 2");
        let error = LabelTable::classes(file, ["1", "4"], &ImageKey::Name).expect_err("three columns").to_string();
        assert!(error.contains("no column `4`") && error.contains("1, 2, 3"), "{error}");
    }

    #[test]
    fn places_are_corners_sides_centres_or_points() {
        let none = || BoxColumns {
            image: "1".into(),
            label: "2".into(),
            xmin: None,
            ymin: None,
            xmax: None,
            ymax: None,
            ..columns(None)
        };
        let named = |number: u32| Some(number.to_string());
        let sides = BoxColumns { x: named(3), y: named(4), w: named(5), h: named(6), ..none() };
        let centre = BoxColumns { centre_x: named(3), centre_y: named(4), w: named(5), h: named(6), ..none() };
        let point = BoxColumns { centre_x: named(3), centre_y: named(4), ..none() };
        let form = TableForm { header: false, ..TableForm::default() };
        let file = TableFile { bytes: b"C:\\x\\a.png,rbc,10,20,4,6\n", path: "t.csv", form: &form };
        let place = |columns: &BoxColumns| {
            LabelTable::boxes(file, columns, &ImageKey::Base).expect("table").of("a.png")[0].geometry
        };
        assert_eq!(place(&sides), Some(Geometry::Box { x0: 10.0, y0: 20.0, x1: 14.0, y1: 26.0 }));
        assert_eq!(place(&centre), Some(Geometry::Box { x0: 8.0, y0: 17.0, x1: 12.0, y1: 23.0 }));
        assert_eq!(place(&point), Some(Geometry::Point { x: 10.0, y: 20.0 }));
        assert!(none().place().is_none() && BoxColumns { x: named(1), ..columns(None) }.place().is_none());
    }
}
