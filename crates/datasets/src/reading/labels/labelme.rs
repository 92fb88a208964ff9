//! LabelMe files: `shapes` of points, rectangles, circles and polygons, in pixels.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use imaging::DecodeLimits;
use serde::Deserialize;

use super::entry::{LabelEntry, StatedSize};
use super::json::{self, Many};
use super::numbers::{NO_NUMBERS, box_at, box_between, point_at, size_of_numbers};
use super::outline::Outline;
use crate::schema::text::shortened;

/// Largest mask of one shape, px.
const MOST_PIXELS: u64 = 16 << 20;

/// The file, as far as it is read. The image that it may hold is passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    shapes: Many<Shape>,
    #[serde(default)]
    image_width: Option<f64>,
    #[serde(default)]
    image_height: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Shape {
    label: String,
    #[serde(default)]
    points: Vec<[f64; 2]>,
    /// Old versions draw polygons alone and do not say so.
    #[serde(default = "polygon")]
    shape_type: String,
    #[serde(default)]
    mask: Option<String>,
}

fn polygon() -> String {
    "polygon".to_owned()
}

/// Reads the shapes of a LabelMe file. A shape that cannot be used is an entry with its reason.
pub(super) fn shapes(text: &str) -> Result<Vec<LabelEntry>, String> {
    let file: File = json::read(text, "a LabelMe file")?;
    let size = size_of_numbers(file.image_width.unwrap_or_default(), file.image_height.unwrap_or_default());
    let shapes = file.shapes.0.into_iter().enumerate();
    Ok(shapes.map(|(index, shape)| entry(format!("shape {}", index + 1), shape, &size)).collect())
}

fn entry(at: String, shape: Shape, size: &StatedSize) -> LabelEntry {
    let entry = LabelEntry { size: size.clone(), ..LabelEntry::new(at, Ok(shape.label)) };
    let place = match (shape.shape_type.as_str(), shape.points.as_slice()) {
        ("polygon", points) => return entry.with_outline(Outline::polygon(points.to_vec())),
        ("rectangle", &[[ax, ay], [bx, by]]) => box_between([ax, ay, bx, by]),
        ("circle", &[[x, y], [on_x, on_y]]) => {
            let radius = (on_x - x).hypot(on_y - y);
            box_at([x - radius, y - radius, 2.0 * radius, 2.0 * radius])
        }
        ("point", &[[x, y]]) => point_at(x, y),
        ("mask", &[[ax, ay], [bx, by]]) => {
            return match mask([ax, ay, bx, by], shape.mask.as_deref()) {
                Ok(outline) => entry.with_outline(outline),
                Err(reason) => LabelEntry::unusable(entry.at, reason),
            };
        }
        (kind @ ("rectangle" | "circle" | "point" | "mask"), points) => {
            return LabelEntry::unusable(entry.at, format!("is a {kind} of {} points", points.len()));
        }
        (kind, _) => {
            let reason = format!("is a shape `{}`, which is not that of a cell", shortened(kind));
            return LabelEntry::unusable(entry.at, reason);
        }
    };
    match place {
        Some(place) => entry.at_place(place),
        None => LabelEntry::unusable(entry.at, NO_NUMBERS),
    }
}

/// The picture of a mask between two corners, both of which belong to it.
fn mask([ax, ay, bx, by]: [f64; 4], text: Option<&str>) -> Result<Outline, String> {
    let bytes = BASE64_STANDARD.decode(text.ok_or("is a mask without a picture")?);
    let bytes = bytes.map_err(|error| format!("the picture of its mask is not base64 ({error})"))?;
    let limits = DecodeLimits { pixels: MOST_PIXELS, ..DecodeLimits::default() };
    let picture = imaging::numbers(&bytes, limits).map_err(|error| format!("the picture of its mask {error}"))?;
    let corner = |at: f64| (at >= 0.0 && at < f64::from(u32::MAX)).then_some(at as u32).ok_or(NO_NUMBERS);
    let (x, y) = (corner(ax)?, corner(ay)?);
    let sides = (corner(bx)?.wrapping_sub(x).wrapping_add(1), corner(by)?.wrapping_sub(y).wrapping_add(1));
    if sides != (picture.width, picture.height) {
        return Err("the picture of its mask is not as large as its points say".to_owned());
    }
    let inside = picture.values.iter().map(|value| *value > 0).collect();
    Ok(Outline::Part([x, y, picture.width, picture.height], inside))
}
