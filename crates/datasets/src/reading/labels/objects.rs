//! JSON of nested lists, read by paths: `images.*`, `objects.*`, `bounding_box.minimum.c`.

use serde_json::Value;

use super::entry::LabelEntry;
use super::json;
use super::numbers::{NO_NUMBERS, place_of, size_of};
use crate::schema::BoxColumns;
use crate::schema::text::shortened;

/// The paths by which a JSON is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectPaths<'a> {
    /// From the top to each image.
    pub(super) images: &'a str,
    /// From an image to each of its objects.
    pub(super) objects: &'a str,
    /// From an image to its name and size, from an object to its label and place.
    pub(super) columns: &'a BoxColumns,
}

/// Reads the objects of a JSON called `file`, each with what the file calls its image.
///
/// # Errors
/// The text is not JSON or is too long, or the paths do not lead to an image.
pub(super) fn entries(text: &str, file: &str, paths: ObjectPaths<'_>) -> Result<Vec<(String, LabelEntry)>, String> {
    if text.len() > json::MOST_BYTES {
        return Err(format!("is a JSON of more than {} MiB", json::MOST_BYTES >> 20));
    }
    let all: Value = json::read(text, "a JSON")?;
    let images = each(&all, paths.images);
    if images.is_empty() {
        return Err(format!("has nothing at `{}` (label.images)", shortened(paths.images)));
    }
    let mut entries = Vec::new();
    for (number, image) in images.into_iter().enumerate() {
        let name = text_at(image, &paths.columns.image).unwrap_or_default();
        for (index, object) in each(image, paths.objects).into_iter().enumerate() {
            let at = format!("{file} object {} of image {}", index + 1, number + 1);
            entries.push((name.clone(), entry(at, image, object, paths.columns)));
        }
    }
    Ok(entries)
}

fn entry(at: String, image: &Value, object: &Value, columns: &BoxColumns) -> LabelEntry {
    let label =
        text_at(object, &columns.label).ok_or_else(|| format!("has nothing at `{}`", shortened(&columns.label)));
    let side = |path: &Option<String>| path.as_ref().and_then(|path| text_at(image, path)).unwrap_or_default();
    let size = size_of(&side(&columns.width), &side(&columns.height));
    let geometry = columns.place().and_then(|place| {
        let texts: Option<Vec<String>> = place.names().iter().map(|path| text_at(object, path)).collect();
        place_of(place, &texts?)
    });
    match geometry {
        Some(geometry) => LabelEntry { size, ..LabelEntry::new(at, label) }.at_place(geometry),
        None => LabelEntry::unusable(at, NO_NUMBERS),
    }
}

/// All values at a path of names and numbers between dots; `*` stands for each value of a list or a map.
fn each<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let next = |value: &'a Value| -> Vec<&'a Value> {
            match value {
                Value::Array(list) if step == "*" => list.iter().collect(),
                Value::Object(map) if step == "*" => map.values().collect(),
                Value::Array(list) => step.parse().ok().and_then(|at: usize| list.get(at)).into_iter().collect(),
                Value::Object(map) => map.get(step).into_iter().collect(),
                _ => Vec::new(),
            }
        };
        found = found.into_iter().flat_map(next).collect();
    }
    found
}

/// The one text or number at a path.
fn text_at(value: &Value, path: &str) -> Option<String> {
    match each(value, path).as_slice() {
        [Value::String(text)] => Some(text.clone()),
        [Value::Number(number)] => Some(number.to_string()),
        [Value::Bool(flag)] => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotation::Geometry;

    fn columns(json: &str) -> BoxColumns {
        serde_json::from_str(json).expect("columns")
    }

    #[test]
    fn nested_objects_are_read_by_their_paths() {
        let columns = columns(
            r#"{"image": "image.pathname", "label": "category", "xmin": "bounding_box.minimum.c", "ymin": "bounding_box.minimum.r",
                "xmax": "bounding_box.maximum.c", "ymax": "bounding_box.maximum.r", "width": "image.shape.c", "height": "image.shape.r"}"#,
        );
        let text = r#"[{"image": {"pathname": "/images/a.png", "shape": {"r": 10, "c": 20}}, "objects": [
            {"bounding_box": {"minimum": {"r": 1, "c": 2}, "maximum": {"r": 5, "c": 8}}, "category": "red blood cell"},
            {"bounding_box": {"minimum": {"r": 1}}, "category": "ring"}, {"category": 7}]}, {"objects": 3}]"#;
        let paths = ObjectPaths { images: "*", objects: "objects.*", columns: &columns };
        let entries = entries(text, "t.json", paths).expect("objects");
        let (image, first) = &entries[0];
        assert_eq!((image.as_str(), first.label.as_deref()), ("/images/a.png", Ok("red blood cell")));
        assert_eq!(first.geometry, Some(Geometry::Box { x0: 2.0, y0: 1.0, x1: 8.0, y1: 5.0 }));
        assert_eq!(first.size, Ok(Some((20.0, 10.0))));
        assert_eq!(entries.len(), 3);
        assert!(entries[1].1.label.is_err() && entries[2].1.label.is_err());
        let nowhere =
            super::entries(text, "t.json", ObjectPaths { images: "data.*", ..paths }).expect_err("nothing there");
        assert!(nowhere.contains("label.images"), "{nowhere}");
    }
}
