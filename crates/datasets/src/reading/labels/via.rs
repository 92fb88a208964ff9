//! The VGG Image Annotator, versions 1 and 2: a project, its annotations as JSON, or as CSV.

use serde_json::{Map, Value};

use super::entry::LabelEntry;
use super::json;
use super::numbers::{NO_NUMBERS, box_at, point_at};
use super::outline::Outline;
use super::table::{TableFile, TableRow, rows};
use crate::schema::TableForm;
use crate::schema::text::shortened;

/// Reads the regions of a file called `file`, each with what the file calls its image. `attribute` is that with the label.
///
/// # Errors
/// A file that VIA 1 and 2 do not write.
pub(super) fn entries(text: &str, file: &str, attribute: &str) -> Result<Vec<(String, LabelEntry)>, String> {
    if !text.trim_start().starts_with('{') {
        return table(text, file, attribute);
    }
    if text.len() > json::MOST_BYTES {
        return Err(format!("is a JSON of more than {} MiB", json::MOST_BYTES >> 20));
    }
    let mut all: Map<String, Value> = json::read(text, "a VIA file")?;
    if let Some(Value::Object(images)) = all.remove("_via_img_metadata") {
        all = images;
    } else if all.contains_key("metadata") && all.contains_key("project") {
        return Err("is a project of VIA 3; export it as COCO".to_owned());
    }
    let mut entries = Vec::new();
    for (key, image) in &all {
        let Some(name) = image.get("filename").and_then(Value::as_str) else {
            return Err(format!("is not a VIA file: `{}` has no `filename`", shortened(key)));
        };
        // A list in version 2, numbered keys in version 1.
        let regions: Vec<&Value> = match image.get("regions") {
            Some(Value::Array(regions)) => regions.iter().collect(),
            Some(Value::Object(regions)) => regions.values().collect(),
            _ => Vec::new(),
        };
        for (index, region) in regions.into_iter().enumerate() {
            let at = format!("{file} region {} of `{}`", index + 1, shortened(name));
            let nothing = Value::Null;
            let part = |name: &str| region.get(name).unwrap_or(&nothing);
            entries.push((name.to_owned(), entry(at, part("shape_attributes"), part("region_attributes"), attribute)));
        }
    }
    Ok(entries)
}

/// The rows of a CSV that VIA exports: shapes and attributes are JSON in its cells.
fn table(text: &str, file: &str, attribute: &str) -> Result<Vec<(String, LabelEntry)>, String> {
    // Versions 1 and 2 begin the header with `#filename` and `filename`.
    let first = if text.trim_start().starts_with('#') { "#filename" } else { "filename" };
    let wanted = [first, "region_shape_attributes", "region_attributes"];
    let form = TableForm { separator: Some(','), ..TableForm::default() };
    let table = TableFile { bytes: text.as_bytes(), path: file, form: &form };
    let (rows, _) = rows(table, &wanted).map_err(|error| format!("is not a VIA file: {error}"))?;
    let parsed = |cell: &String| -> Value { serde_json::from_str(cell).unwrap_or_default() };
    let filed = |TableRow { at, cells, flaw }: TableRow| {
        let (shape, attributes) = (parsed(&cells[1]), parsed(&cells[2]));
        // An image without regions has a row too.
        let is_empty = matches!(&shape, Value::Object(none) if none.is_empty());
        let entry = flaw.map_or_else(
            || entry(at.clone(), &shape, &attributes, attribute),
            |reason| LabelEntry::unusable(at.clone(), reason),
        );
        (!is_empty).then(|| (cells[0].clone(), entry))
    };
    Ok(rows.into_iter().filter_map(filed).collect())
}

fn entry(at: String, shape: &Value, attributes: &Value, attribute: &str) -> LabelEntry {
    let drawn = label(attributes, attribute).and_then(|label| drawn(shape, LabelEntry::new(at.clone(), Ok(label))));
    drawn.unwrap_or_else(|reason| LabelEntry::unusable(at, reason))
}

/// The label: a text, or the one box that is ticked.
fn label(attributes: &Value, attribute: &str) -> Result<String, String> {
    match attributes.get(attribute) {
        Some(Value::String(label)) => Ok(label.clone()),
        Some(Value::Number(label)) => Ok(label.to_string()),
        Some(Value::Object(ticked)) => {
            let ticked: Vec<&String> =
                ticked.iter().filter(|(_, is)| **is == Value::Bool(true)).map(|it| it.0).collect();
            match ticked.as_slice() {
                [label] => Ok((*label).clone()),
                several => Err(format!("{} options of `{attribute}` are ticked, not one", several.len())),
            }
        }
        _ => Err(format!("has no attribute `{attribute}`")),
    }
}

fn drawn(shape: &Value, entry: LabelEntry) -> Result<LabelEntry, String> {
    let of = |name: &str| shape.get(name).and_then(Value::as_f64).ok_or(NO_NUMBERS);
    let all = |name: &str| -> Option<Vec<f64>> { shape.get(name)?.as_array()?.iter().map(Value::as_f64).collect() };
    let around = |rx: f64, ry: f64| {
        let (x, y) = (of("cx")?, of("cy")?);
        box_at([x - rx, y - ry, 2.0 * rx, 2.0 * ry]).ok_or(NO_NUMBERS)
    };
    let place = match shape.get("name").and_then(Value::as_str).unwrap_or_default() {
        "rect" => box_at([of("x")?, of("y")?, of("width")?, of("height")?]).ok_or(NO_NUMBERS)?,
        "circle" => around(of("r")?, of("r")?)?,
        "ellipse" if shape.get("theta").and_then(Value::as_f64).is_none_or(|theta| theta == 0.0) => {
            around(of("rx")?, of("ry")?)?
        }
        "ellipse" => return Err("is an ellipse that is turned; draw it as a polygon".to_owned()),
        "point" => point_at(of("cx")?, of("cy")?).ok_or(NO_NUMBERS)?,
        "polygon" => {
            let (xs, ys) = all("all_points_x").zip(all("all_points_y")).ok_or(NO_NUMBERS)?;
            if xs.len() != ys.len() {
                return Err(format!("has {} x and {} y", xs.len(), ys.len()));
            }
            let points = xs.into_iter().zip(ys).map(|(x, y)| [x, y]).collect();
            return Ok(entry.with_outline(Outline::polygon(points)));
        }
        other => return Err(format!("is a shape `{}`, which is not that of a cell", shortened(other))),
    };
    Ok(entry.at_place(place))
}
