//! CVAT's XML for images: `<image name width height>` with `<box>`, `<polygon>`, `<points>`, `<ellipse>`, `<mask>`, `<tag>`.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::entry::{LabelEntry, StatedSize};
use super::numbers::{NO_NUMBERS, box_at, point_at, size_of};
use super::outline::{Outline, Ring};
use crate::annotation::Geometry;
use crate::schema::text::shortened;

/// Deepest nesting that is read; CVAT needs eight.
const DEEPEST: usize = 32;
/// Largest mask of one cell, px.
const MOST_PIXELS: u64 = 16 << 20;

/// Attributes of an element, by name.
type Attributes = BTreeMap<String, String>;

/// Reads the shapes of a CVAT file called `file`, each with what the file calls its image.
///
/// # Errors
/// A file that is not CVAT's XML for images.
pub(super) fn entries(text: &str, file: &str) -> Result<Vec<(String, LabelEntry)>, String> {
    let mut reader = Reader::from_str(text);
    let mut all = Vec::new();
    let mut image: Option<CvatImage> = None;
    let (mut depth, mut is_cvat) = (0_usize, false);
    loop {
        let event = reader.read_event().map_err(|error| format!("is not XML ({error})"))?;
        let (start, is_open) = match &event {
            Event::Start(start) => (start, true),
            Event::Empty(start) => (start, false),
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                if end.name().as_ref() == "image" {
                    image = None;
                }
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        depth += usize::from(is_open);
        let name = start.name();
        let kind: &str = name.as_ref();
        if depth > DEEPEST {
            return Err("is nested too deeply".to_owned());
        } else if kind == "annotations" && depth == 1 {
            is_cvat = true;
        } else if kind == "image" {
            image = is_open.then(|| CvatImage::of(start)).transpose()?;
        } else if kind == "track" {
            return Err("is a track of CVAT for video; export it as CVAT for images".to_owned());
        } else if let Some(image) = image.as_mut().filter(|_| depth == 2 + usize::from(is_open)) {
            all.extend(image.shapes(kind, start, file)?);
        }
    }
    match (depth, is_cvat) {
        (0, true) => Ok(all),
        (0, false) => Err("is not CVAT's XML for images: it has no `<annotations>`".to_owned()),
        _ => Err("ends in the middle".to_owned()),
    }
}

/// The image whose shapes are read.
struct CvatImage {
    name: String,
    size: StatedSize,
    shapes: usize,
}

impl CvatImage {
    fn of(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut attributes = attributes(start)?;
        let size = size_of(text_of(&attributes, "width"), text_of(&attributes, "height"));
        Ok(Self { name: attributes.remove("name").unwrap_or_default(), size, shapes: 0 })
    }

    /// The labels of one shape: one for each point of several.
    fn shapes(&mut self, kind: &str, start: &BytesStart<'_>, file: &str) -> Result<Vec<(String, LabelEntry)>, String> {
        let attributes = attributes(start)?;
        self.shapes += 1;
        let at = format!("{file} {} of `{}`, shape {}", shortened(kind), shortened(&self.name), self.shapes);
        let label = text_of(&attributes, "label").to_owned();
        let entry = LabelEntry { size: self.size.clone(), ..LabelEntry::new(at.clone(), Ok(label)) };
        let entries = drawn(kind, &attributes, entry).unwrap_or_else(|reason| vec![LabelEntry::unusable(at, reason)]);
        Ok(entries.into_iter().map(|entry| (self.name.clone(), entry)).collect())
    }
}

fn attributes(start: &BytesStart<'_>) -> Result<Attributes, String> {
    let mut all = Attributes::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("is not XML ({error})"))?;
        let value =
            attribute.normalized_value(XmlVersion::default()).map_err(|error| format!("is not XML ({error})"))?;
        all.insert(attribute.key.as_ref().to_owned(), value.into_owned());
    }
    Ok(all)
}

fn text_of<'a>(attributes: &'a Attributes, name: &str) -> &'a str {
    attributes.get(name).map_or("", String::as_str)
}

fn number(attributes: &Attributes, name: &str) -> Result<f64, String> {
    let number = text_of(attributes, name).trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| NO_NUMBERS.to_owned())
}

fn drawn(kind: &str, attributes: &Attributes, entry: LabelEntry) -> Result<Vec<LabelEntry>, String> {
    let of = |name| number(attributes, name);
    let turned = text_of(attributes, "rotation").trim().parse::<f64>().unwrap_or_default();
    Ok(vec![match kind {
        "box" => boxed([of("xtl")?, of("ytl")?, of("xbr")?, of("ybr")?], turned, entry),
        "polygon" => entry.with_outline(Outline::polygon(points(attributes)?)),
        "ellipse" if turned == 0.0 => {
            let (x, y, rx, ry) = (of("cx")?, of("cy")?, of("rx")?, of("ry")?);
            entry.at_place(box_at([x - rx, y - ry, 2.0 * rx, 2.0 * ry]).ok_or(NO_NUMBERS)?)
        }
        "ellipse" => return Err("is an ellipse that is turned; export it as a polygon".to_owned()),
        "mask" => entry.with_outline(mask(attributes)?),
        "points" => {
            let points = points(attributes)?;
            let place = |[x, y]: [f64; 2]| Ok(entry.clone().at_place(point_at(x, y).ok_or(NO_NUMBERS)?));
            return points.into_iter().map(place).collect();
        }
        "tag" => return Err("is a tag of the whole image and has no place".to_owned()),
        other => return Err(format!("is a `{}`, which is not the shape of a cell", shortened(other))),
    }])
}

/// A box, or the outline of one that is turned by so many degrees about its middle.
fn boxed([x0, y0, x1, y1]: [f64; 4], turned: f64, entry: LabelEntry) -> LabelEntry {
    if turned == 0.0 || !turned.is_finite() {
        return entry.at_place(Geometry::Box { x0, y0, x1, y1 });
    }
    let (sin, cos) = turned.to_radians().sin_cos();
    let (mx, my) = (f64::midpoint(x0, x1), f64::midpoint(y0, y1));
    let corner = |[x, y]: [f64; 2]| {
        let (dx, dy) = (x - mx, y - my);
        [mx + dx * cos - dy * sin, my + dx * sin + dy * cos]
    };
    entry.with_outline(Outline::polygon([[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(corner).to_vec()))
}

/// The corners of an outline in px, from the attribute `points`, which reads `x,y;x,y;…`.
fn points(attributes: &Attributes) -> Result<Ring, String> {
    let parse = |text: &str| text.trim().parse::<f64>().ok();
    let point = |text: &str| text.split_once(',').and_then(|(x, y)| Some([parse(x)?, parse(y)?]));
    let points: Option<Ring> = text_of(attributes, "points").split(';').map(point).collect();
    points.ok_or_else(|| NO_NUMBERS.to_owned())
}

/// A mask: run lengths of pixels outside, inside, outside …, along the rows of its box.
fn mask(attributes: &Attributes) -> Result<Outline, String> {
    let whole = |name| {
        let number = number(attributes, name)?;
        let is_whole = number >= 0.0 && number < f64::from(u32::MAX) && number.fract() == 0.0;
        is_whole.then_some(number as u32).ok_or_else(|| format!("its {name} is not a whole number"))
    };
    let place @ [_, _, w, h] = [whole("left")?, whole("top")?, whole("width")?, whole("height")?];
    let pixels = u64::from(w) * u64::from(h);
    if pixels > MOST_PIXELS {
        return Err(format!("is a mask of {w}×{h} pixels, larger than any cell"));
    }
    let (mut inside, mut is_inside) = (Vec::new(), false);
    for run in text_of(attributes, "rle").split(',') {
        let run: u64 = run.trim().parse().map_err(|_| "its run lengths are not whole numbers".to_owned())?;
        if inside.len() as u64 + run > pixels {
            return Err("its run lengths hold more pixels than its box".to_owned());
        }
        inside.resize(inside.len() + run as usize, is_inside);
        is_inside = !is_inside;
    }
    Ok(Outline::Part(place, inside))
}
