//! Rules by which a table could hold labels, by the names in its header.

use segmentation::RunOrder;

use crate::schema::{BoxColumns, ImageKey, LabelRule, RunColumns, TableForm, Units};

/// The ways in which a table or a label file may name an image, in the order in which they are tried.
pub(super) fn keys() -> impl Iterator<Item = ImageKey> {
    [ImageKey::Name, ImageKey::Path, ImageKey::Base, ImageKey::Stem, ImageKey::Number].into_iter()
}

/// Names of columns, without case and marks, that name an image.
const IMAGE: [&str; 11] =
    ["image", "imageid", "filename", "file", "name", "img", "imagename", "path", "imagepath", "id", "sample"];
/// Those that hold a label.
const LABEL: [&str; 8] = ["label", "class", "classlabel", "classname", "category", "type", "celltype", "diagnosis"];
/// Those that hold run lengths.
const RUNS: [&str; 5] = ["encodedpixels", "rle", "annotation", "runs", "segmentation"];

/// The columns of a table.
struct Header(Vec<String>);

impl Header {
    /// The first line of a table, cut at whichever separator cuts it most.
    fn of(text: &str) -> Option<Self> {
        let line = text.lines().next()?.trim_start_matches('\u{feff}');
        let separator = [',', ';', '\t'].into_iter().max_by_key(|separator| line.matches(*separator).count())?;
        Some(Self(line.split(separator).map(|name| name.trim().trim_matches('"').to_owned()).collect()))
    }

    /// All columns of one of these names.
    fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a String> {
        self.0.iter().filter(|column| {
            let plain: String = column.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
            names.contains(&plain.as_str())
        })
    }

    fn first(&self, names: &[&str]) -> Option<String> {
        self.all(names).next().cloned()
    }

    /// The columns that place a box or a point; `None` if the table has none.
    fn place(&self, image: &str, label: &str) -> Option<BoxColumns> {
        let none = BoxColumns {
            image: image.to_owned(),
            label: label.to_owned(),
            xmin: self.first(&["xmin", "x1", "x0", "left"]),
            ymin: self.first(&["ymin", "y1", "y0", "top"]),
            xmax: self.first(&["xmax", "x2", "right"]),
            ymax: self.first(&["ymax", "y2", "bottom"]),
            x: None,
            y: None,
            centre_x: None,
            centre_y: None,
            w: None,
            h: None,
            width: None,
            height: None,
        };
        if none.place().is_some() {
            return Some(none);
        }
        let none = BoxColumns { xmin: None, ymin: None, xmax: None, ymax: None, ..none };
        let (x, y) = (self.first(&["x", "xtopleft"])?, self.first(&["y", "ytopleft"])?);
        let sides = self.first(&["w", "width"]).zip(self.first(&["h", "height"]));
        Some(match sides {
            Some((w, h)) => BoxColumns { x: Some(x), y: Some(y), w: Some(w), h: Some(h), ..none },
            None => BoxColumns { centre_x: Some(x), centre_y: Some(y), ..none },
        })
    }
}

/// Rules by which a table holds boxes, points, run lengths or classes. Several columns may name the image.
pub(super) fn rules(text: &str, file: &str) -> Vec<LabelRule> {
    let Some(header) = Header::of(text) else { return Vec::new() };
    let (runs, label) = (header.first(&RUNS), header.first(&LABEL));
    header.all(&IMAGE).flat_map(|image| of_image(&header, file, image, (runs.as_deref(), label.as_deref()))).collect()
}

fn of_image(header: &Header, file: &str, image: &str, columns: (Option<&str>, Option<&str>)) -> Vec<LabelRule> {
    match columns {
        (Some(runs), label) => of_runs(file, image, runs, label),
        (None, Some(label)) => match header.place(image, label) {
            Some(columns) => of_boxes(file, &columns),
            None => of_classes(file, image, label),
        },
        (None, None) => Vec::new(),
    }
}

/// Rules that read boxes in pixels and as fractions; only the right unit gives boxes of the size of cells.
fn of_boxes(file: &str, columns: &BoxColumns) -> Vec<LabelRule> {
    let rule = |(key, units)| {
        let (file, columns) = (file.to_owned(), columns.clone());
        LabelRule::CsvBoxes { file, columns, units, table: TableForm::default(), key }
    };
    keys().flat_map(|key| [(key.clone(), Units::Fractions), (key, Units::Pixels)]).map(rule).collect()
}

fn of_classes(file: &str, image: &str, label: &str) -> Vec<LabelRule> {
    let rule = |key| {
        let (file, image, class) = (file.to_owned(), image.to_owned(), label.to_owned());
        LabelRule::CsvClass { file, image, class, table: TableForm::default(), key }
    };
    keys().map(rule).collect()
}

/// Run lengths in either order, of which one gives cells and the other stripes.
fn of_runs(file: &str, image: &str, runs: &str, label: Option<&str>) -> Vec<LabelRule> {
    let name = if label.is_none() { Some("cell".to_owned()) } else { None };
    let (image, runs, label) = (image.to_owned(), runs.to_owned(), label.map(str::to_owned));
    let columns = RunColumns { image, runs, label, width: None, height: None };
    let rule = |(key, order)| LabelRule::CsvRuns {
        file: file.to_owned(),
        columns: columns.clone(),
        order,
        first: 1,
        name: name.clone(),
        table: TableForm::default(),
        key,
    };
    keys().flat_map(|key| [(key.clone(), RunOrder::Columns), (key, RunOrder::Rows)]).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_a_table_may_hold_and_every_column_that_may_name_the_image_is_tried() {
        let boxes = rules("image_id,image,xmin,ymin,xmax,ymax,label\n1,a.png,0,0,1,1,rbc", "t.csv");
        let columns: Vec<&str> = boxes
            .iter()
            .filter_map(|rule| {
                if let LabelRule::CsvBoxes { columns, .. } = rule { Some(columns.image.as_str()) } else { None }
            })
            .collect();
        assert_eq!(columns.len(), 20);
        assert!(columns.contains(&"image_id") && columns.contains(&"image"));
        assert!(matches!(rules("ID;Cell type", "t.csv")[0], LabelRule::CsvClass { .. }));
        assert!(
            matches!(&rules("id,x,y,label", "t.csv")[0], LabelRule::CsvBoxes { columns, .. } if columns.centre_x.is_some())
        );
        assert!(matches!(&rules("ImageId,EncodedPixels", "t.csv")[0], LabelRule::CsvRuns { name: Some(_), .. }));
        assert!(rules("a,b,c", "t.csv").is_empty() && rules("", "t.csv").is_empty());
    }
}
