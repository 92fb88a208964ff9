//! GeoJSON as QuPath exports objects: points and polygons in pixels of the full image, with a classification.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::entry::LabelEntry;
use super::json::{self, Many};
use super::numbers::{NO_NUMBERS, point_at};
use super::outline::{Outline, Polygon, Ring};
use crate::schema::text::shortened;

/// All objects of an image, or one of them.
#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    features: Option<Many<Feature>>,
    #[serde(default)]
    geometry: Option<Shape>,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Debug, Deserialize)]
struct Feature {
    #[serde(default)]
    geometry: Option<Shape>,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    #[serde(default, alias = "object_type")]
    object_type: Option<String>,
    #[serde(default)]
    classification: Option<Classification>,
}

/// A name, several (of a derived class), or the name alone as other programs write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Classification {
    Named { name: String },
    Several { names: Vec<String> },
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Shape {
    Point {
        coordinates: Position,
    },
    MultiPoint {
        coordinates: Vec<Position>,
    },
    Polygon {
        coordinates: Vec<Vec<Position>>,
    },
    MultiPolygon {
        coordinates: Vec<Vec<Vec<Position>>>,
    },
    #[serde(untagged)]
    Other(IgnoredAny),
}

/// x and y; a third number is a height.
type Position = Vec<f64>;

/// Kinds of QuPath objects that are not cells.
const NO_CELLS: [&str; 4] = ["tile", "tma_core", "tmaCore", "root"];

/// Reads the objects of a GeoJSON. An object that cannot be used is an entry with its reason.
pub(super) fn objects(text: &str) -> Result<Vec<LabelEntry>, String> {
    let what = "a GeoJSON of objects";
    // Older versions of QuPath write a list of features.
    let features = if text.trim_start().starts_with('[') {
        json::read::<Many<Feature>>(text, what)?.0
    } else {
        match json::read(text, what)? {
            File { features: Some(features), .. } => features.0,
            File { geometry: None, .. } => return Err(format!("is not {what}: it has no features")),
            File { geometry, properties, .. } => vec![Feature { geometry, properties }],
        }
    };
    Ok(features.into_iter().enumerate().flat_map(|(index, feature)| entries(index + 1, feature)).collect())
}

/// The labels of one object: one for each point of several.
fn entries(number: usize, feature: Feature) -> Vec<LabelEntry> {
    let at = format!("object {number}");
    let entry = LabelEntry::new(at.clone(), label(feature.properties.unwrap_or_default()));
    if entry.label.is_err() {
        return vec![entry];
    }
    let places: Result<Vec<LabelEntry>, String> = match feature.geometry {
        Some(Shape::Point { coordinates }) => point(entry, &coordinates).map(|entry| vec![entry]),
        Some(Shape::MultiPoint { coordinates }) => {
            let named = |index: usize| LabelEntry { at: format!("{at} point {}", index + 1), ..entry.clone() };
            coordinates.iter().enumerate().map(|(index, position)| point(named(index), position)).collect()
        }
        Some(Shape::Polygon { coordinates }) => outlined(entry, vec![coordinates]),
        Some(Shape::MultiPolygon { coordinates }) => outlined(entry, coordinates),
        Some(Shape::Other(IgnoredAny)) => Err("is neither a point nor a polygon".to_owned()),
        None => Err("has no geometry".to_owned()),
    };
    places.unwrap_or_else(|reason| vec![LabelEntry::unusable(at, reason)])
}

fn label(properties: Properties) -> Result<String, String> {
    if let Some(kind) = properties.object_type.filter(|kind| NO_CELLS.contains(&kind.as_str())) {
        return Err(format!("is a {} and not a cell", shortened(&kind)));
    }
    match properties.classification {
        Some(Classification::Named { name } | Classification::Text(name)) => Ok(name),
        Some(Classification::Several { names }) => Ok(names.join(": ")),
        None => Err("has no classification".to_owned()),
    }
}

fn xy(position: &Position) -> Result<[f64; 2], String> {
    match position.as_slice() {
        [x, y] | [x, y, _] => Ok([*x, *y]),
        other => Err(format!("has a position of {} numbers", other.len())),
    }
}

fn point(entry: LabelEntry, position: &Position) -> Result<LabelEntry, String> {
    let [x, y] = xy(position)?;
    Ok(entry.at_place(point_at(x, y).ok_or(NO_NUMBERS)?))
}

/// Polygons, each with the ring around it first and then those of its holes.
fn outlined(entry: LabelEntry, polygons: Vec<Vec<Vec<Position>>>) -> Result<Vec<LabelEntry>, String> {
    let ring = |ring: &Vec<Position>| ring.iter().map(xy).collect::<Result<Ring, String>>();
    let polygon = |rings: Vec<Vec<Position>>| {
        let mut rings = rings.iter().map(ring);
        let outer = rings.next().ok_or("is a polygon without points")??;
        Ok(Polygon { outer, holes: rings.collect::<Result<_, String>>()? })
    };
    let polygons = polygons.into_iter().map(polygon).collect::<Result<_, String>>()?;
    Ok(vec![entry.with_outline(Outline::Polygons(polygons))])
}
