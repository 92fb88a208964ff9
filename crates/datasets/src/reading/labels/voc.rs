//! Pascal VOC files: `<size><width/><height/></size>` and
//! `<object><name/><bndbox><xmin/><ymin/><xmax/><ymax/></bndbox></object>`.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::entry::{LabelEntry, StatedSize};
use super::numbers::{box_of, size_of};
use crate::schema::text::shortened;

/// Deepest nesting that is read; VOC needs four.
const DEEPEST: usize = 32;

/// Reads the objects of a VOC file, each with the size that the file says of its image. The error is a reason for the report.
pub(crate) fn boxes(text: &str) -> Result<Vec<LabelEntry>, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut file = Fields::<2>::default();
    let mut object = Fields::<5>::default();
    let mut entries = Vec::new();
    loop {
        match reader.read_event().map_err(|error| format!("is not XML ({error})"))? {
            Event::Start(start) => {
                if path.len() == DEEPEST {
                    return Err("is nested too deeply".to_owned());
                }
                path.push(start.name().as_ref().to_owned());
                file.begin(of_file(&path));
                object.begin(of_object(&path));
            }
            Event::Text(part) => {
                file.take(of_file(&path), &part);
                object.take(of_object(&path), &part);
            }
            Event::CData(part) => {
                file.take(of_file(&path), &part);
                object.take(of_object(&path), &part);
            }
            Event::GeneralRef(name) => {
                let character =
                    character(&name).ok_or_else(|| format!("uses the entity `{}`, which is not read", &*name))?;
                let character = character.to_string();
                file.take(of_file(&path), &character);
                object.take(of_object(&path), &character);
            }
            Event::End(_) => {
                let closed = path.pop();
                if closed.as_deref() == Some("object") {
                    entries.push(entry(&std::mem::take(&mut object), entries.len() + 1));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !path.is_empty() {
        return Err("ends in the middle".to_owned());
    }
    let size = size(&file);
    entries.iter_mut().for_each(|entry: &mut LabelEntry| entry.size.clone_from(&size));
    Ok(entries)
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Which field of the file an element is.
fn of_file(path: &[String]) -> Option<usize> {
    match path {
        [_, size, side] if size == "size" => ["width", "height"].iter().position(|name| name == side),
        _ => None,
    }
}

/// Which field of an object an element is: four corners and the name.
fn of_object(path: &[String]) -> Option<usize> {
    let tail: Vec<&str> = path.iter().rev().take(3).map(String::as_str).collect();
    match tail.as_slice() {
        ["name", "object", ..] => Some(4),
        [corner, "bndbox", "object"] => ["xmin", "ymin", "xmax", "ymax"].iter().position(|name| name == corner),
        _ => None,
    }
}

/// Texts of elements, each of which must occur once.
struct Fields<const N: usize>([Vec<String>; N]);

impl<const N: usize> Default for Fields<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Vec::new()))
    }
}

impl<const N: usize> Fields<N> {
    fn begin(&mut self, field: Option<usize>) {
        if let Some(field) = field {
            self.0[field].push(String::new());
        }
    }

    fn take(&mut self, field: Option<usize>, text: &str) {
        if let Some(last) = field.and_then(|field| self.0[field].last_mut()) {
            last.push_str(text);
        }
    }

    fn only(&self, field: usize) -> Option<&str> {
        if let [text] = self.0[field].as_slice() { Some(text.trim()) } else { None }
    }
}

fn entry(object: &Fields<5>, number: usize) -> LabelEntry {
    let at = format!("object {number}");
    let corners = [0, 1, 2, 3].map(|corner| object.only(corner).unwrap_or_default());
    let (geometry, label) = match (box_of(corners), object.only(4)) {
        (Some(place), Some(name)) => (Some(place), Ok(name.to_owned())),
        (Some(_), None) => (None, Err("has no name, or several".to_owned())),
        (None, _) => (None, Err("has no box of four numbers, or several".to_owned())),
    };
    LabelEntry { geometry, ..LabelEntry::new(at, label) }
}

/// What the file says of the size of its image. Several sizes must be the same.
fn size(file: &Fields<2>) -> StatedSize {
    let side = |field: usize| {
        let mut texts = file.0[field].iter().map(|text| text.trim());
        let first = texts.next().unwrap_or_default();
        match texts.find(|other| *other != first) {
            Some(other) => {
                let (first, other) = (shortened(first), shortened(other));
                Err(format!("the size of its image is given as `{first}` and as `{other}`"))
            }
            None => Ok(first),
        }
    };
    size_of(side(0)?, side(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotation::Geometry;

    #[test]
    fn objects_become_boxes_and_parts_of_objects_do_not_confuse() {
        let text = "<annotation><filename>x</filename><object><name>R&amp;C &#38; more</name><part><name>no</name></part>\
            <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>\
            <object><name>WBC</name><bndbox><xmin>1</xmin></bndbox></object></annotation>";
        let entries = boxes(text).expect("xml");
        assert_eq!((entries.len(), &entries[0].size), (2, &Ok(None)));
        assert_eq!(entries[0].label.as_deref(), Ok("R&C & more"));
        assert_eq!(entries[0].geometry, Some(Geometry::Box { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0 }));
        assert!(entries[1].label.is_err());
    }

    #[test]
    fn an_object_of_two_names_or_boxes_is_none_and_never_their_sum() {
        let corners = "<xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>";
        for object in [
            format!("<name>a</name><name>b</name><bndbox>{corners}</bndbox>"),
            format!("<name>a</name><bndbox>{corners}</bndbox><bndbox>{corners}</bndbox>"),
        ] {
            let entries = boxes(&format!("<annotation><object>{object}</object></annotation>")).expect("xml");
            assert!(entries[0].label.as_ref().expect_err("no label").contains("several"), "{entries:?}");
        }
    }

    #[test]
    fn the_size_of_the_image_is_read_and_zeros_say_nothing() {
        let of = |size: &str| {
            let text = format!("<annotation><object/><object></object><size>{size}</size></annotation>");
            boxes(&text).expect("xml")[0].size.clone()
        };
        assert_eq!(of("<width>320</width><height> 200 </height><depth>3</depth>"), Ok(Some((320.0, 200.0))));
        assert_eq!(of("<width><![CDATA[320]]></width><height>2&#48;0</height>"), Ok(Some((320.0, 200.0))));
        assert_eq!(of("<width>3<!-- wide -->20</width><height>\n<![CDATA[ 2]]>00</height>"), Ok(Some((320.0, 200.0))));
        assert!(of("<width><![CDATA[x]]></width><height>200</height>").is_err());
        assert_eq!(of("<width>0</width><height>0</height>"), Ok(None));
        assert_eq!(of("<width>9</width><height>8</height><width>9</width><height>8</height>"), Ok(Some((9.0, 8.0))));
        for bad in
            ["<width>320</width>", "<width>-320</width><height>200</height>", "<width>abc</width><height>200</height>"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
        let two = of("<width>9</width><height>8</height><width>7</width>").expect_err("contradictory");
        assert!(two.contains("`9` and as `7`"), "{two}");
    }

    #[test]
    fn broken_files_are_reasons_and_not_panics() {
        assert!(boxes("<annotation><object>").is_err());
        assert!(boxes("<a></b>").is_err());
        assert!(boxes(&"<a>".repeat(100_000)).is_err());
        assert!(boxes("<a>&nbsp;</a>").is_err());
        assert!(boxes("").expect("nothing").is_empty());
    }
}
