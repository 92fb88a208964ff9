//! Pascal VOC files: `<object><name/><bndbox><xmin/><ymin/><xmax/><ymax/></bndbox></object>`.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::labels::{Entry, box_of};

/// Deepest nesting that is read; VOC needs four.
const DEEPEST: usize = 32;

/// Reads the objects of a VOC file. The error is a reason for the report.
pub(crate) fn boxes(text: &str) -> Result<Vec<Entry>, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut object = Object::default();
    let mut entries = Vec::new();
    loop {
        match reader.read_event().map_err(|error| format!("is no XML ({error})"))? {
            Event::Start(start) => {
                if path.len() == DEEPEST {
                    return Err("is nested too deeply".to_owned());
                }
                path.push(start.name().as_ref().to_owned());
            }
            Event::Text(part) => object.take(&path, &part),
            Event::GeneralRef(name) => {
                let character = match &*name {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    other => return Err(format!("uses the entity `{other}`, which is not read")),
                };
                object.take(&path, character);
            }
            Event::End(_) => {
                let closed = path.pop();
                if closed.as_deref() == Some("object") {
                    entries.push(std::mem::take(&mut object).entry(entries.len() + 1));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if path.is_empty() { Ok(entries) } else { Err("ends in the middle".to_owned()) }
}

#[derive(Default)]
struct Object {
    name: String,
    corners: [String; 4],
}

impl Object {
    fn take(&mut self, path: &[String], text: &str) {
        let tail: Vec<&str> = path.iter().rev().take(3).map(String::as_str).collect();
        let corner = match tail.as_slice() {
            ["name", "object", ..] => return self.name.push_str(text.trim()),
            ["xmin", "bndbox", "object"] => 0,
            ["ymin", "bndbox", "object"] => 1,
            ["xmax", "bndbox", "object"] => 2,
            ["ymax", "bndbox", "object"] => 3,
            _ => return,
        };
        self.corners[corner].push_str(text.trim());
    }

    fn entry(self, number: usize) -> Entry {
        let at = format!("object {number}");
        let place = box_of(self.corners.each_ref().map(String::as_str));
        match place {
            Some(_) => Entry { at, place, label: Ok(self.name) },
            None => Entry { at, place, label: Err("box has no four numbers".to_owned()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::labels::Shape;

    #[test]
    fn objects_become_boxes_and_parts_of_objects_do_not_confuse() {
        let text = "<annotation><filename>x</filename><object><name>R&amp;C</name><part><name>no</name></part>\
            <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>\
            <object><name>WBC</name><bndbox><xmin>1</xmin></bndbox></object></annotation>";
        let entries = boxes(text).expect("xml");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].label.as_deref(), Ok("R&C"));
        assert_eq!(entries[0].place, Some(Shape::Box { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0 }));
        assert!(entries[1].label.is_err());
    }

    #[test]
    fn broken_files_are_reasons_and_not_panics() {
        assert!(boxes("<annotation><object>").is_err());
        assert!(boxes("<a></b>").is_err());
        assert!(boxes(&"<a>".repeat(100_000)).is_err());
        assert!(boxes("").expect("nothing").is_empty());
    }
}
