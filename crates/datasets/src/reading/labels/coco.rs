//! COCO JSON: `images`, `annotations` with boxes, polygons or run lengths, `categories`.

use std::collections::HashMap;

use segmentation::counts_of_text;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::entry::LabelEntry;
use super::json::{self, Many};
use super::numbers::{NO_NUMBERS, box_at};
use super::outline::{Outline, Polygon};
use crate::annotation::Geometry;
use crate::schema::text::shortened;

/// The file, as far as it is read.
#[derive(Debug, Deserialize)]
struct File {
    images: Many<Image>,
    #[serde(default)]
    annotations: Many<Annotation>,
    #[serde(default)]
    categories: Many<Category>,
}

#[derive(Debug, Deserialize)]
struct Image {
    id: Id,
    file_name: String,
    #[serde(default)]
    width: f64,
    #[serde(default)]
    height: f64,
}

#[derive(Debug, Deserialize)]
struct Category {
    id: Id,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    image_id: Option<Id>,
    #[serde(default)]
    category_id: Option<Id>,
    #[serde(default)]
    bbox: Option<Vec<f64>>,
    #[serde(default)]
    segmentation: Option<Segmentation>,
    #[serde(default)]
    iscrowd: Option<Crowd>,
}

/// A number, as COCO has it, or a text, as some programs write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&shortened(text)),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Crowd {
    Number(f64),
    Flag(bool),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    Runs { counts: Counts, size: [u32; 2] },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Counts {
    Text(String),
    Numbers(Vec<u64>),
}

/// Reads the annotations of a COCO file called `file`, each with what the file calls its image. Annotations of no known image are called
/// by the number that they give.
///
/// # Errors
/// A file that is not COCO JSON.
pub(super) fn entries(text: &str, file: &str) -> Result<Vec<(String, LabelEntry)>, String> {
    let File { images: Many(images), annotations: Many(annotations), categories: Many(categories) } =
        json::read(text, "a COCO file")?;
    let images = Images::of(&images);
    let mut names: HashMap<&Id, Result<&str, String>> = HashMap::new();
    for Category { id, name } in &categories {
        let before = names.insert(id, Ok(name.as_str()));
        if before.is_some_and(|before| before != Ok(name.as_str())) {
            names.insert(id, Err(format!("two categories have the id {id}")));
        }
    }
    let label = |annotation: &Annotation| -> Result<String, String> {
        let id = annotation.category_id.as_ref().ok_or("has no category_id")?;
        let name = names.get(id).cloned().unwrap_or_else(|| Err(format!("category {id} is not in `categories`")))?;
        Ok(name.to_owned())
    };
    let filed = |(index, annotation): (usize, Annotation)| {
        let number = annotation.id.as_ref().map_or_else(|| format!("number {}", index + 1), |id| format!("id {id}"));
        let at = format!("{file} annotation {number}");
        let label = label(&annotation);
        let (image, size) = match images.of_annotation(&annotation) {
            Ok(found) => found,
            Err((name, reason)) => return (name, LabelEntry::unusable(at, reason)),
        };
        let entry = label.and_then(|label| drawn(annotation).map(|drawn| (label, drawn)));
        (
            image.to_owned(),
            match entry {
                Ok((label, (geometry, outline))) => {
                    LabelEntry { geometry, outline, size, ..LabelEntry::new(at, Ok(label)) }
                }
                Err(reason) => LabelEntry::unusable(at, reason),
            },
        )
    };
    Ok(annotations.into_iter().enumerate().map(filed).collect())
}

/// The images of the file by id, and how often an id and a name occur.
struct Images<'a> {
    by_id: HashMap<&'a Id, (&'a Image, u32)>,
    by_name: HashMap<&'a str, u32>,
}

impl<'a> Images<'a> {
    fn of(images: &'a [Image]) -> Self {
        let mut all = Self { by_id: HashMap::new(), by_name: HashMap::new() };
        for image in images {
            all.by_id.entry(&image.id).or_insert((image, 0)).1 += 1;
            *all.by_name.entry(&image.file_name).or_default() += 1;
        }
        all
    }

    /// The name of the image of an annotation and its size. The error is what to call it by, and the reason.
    fn of_annotation(&self, annotation: &Annotation) -> Result<(&'a str, super::entry::StatedSize), (String, String)> {
        let id = annotation.image_id.as_ref().ok_or_else(|| (String::new(), "has no image_id".to_owned()))?;
        let name_of_id = format!("image id {id}");
        let Some(&(image, times)) = self.by_id.get(id) else {
            return Err((name_of_id, format!("image {id} is not in `images`")));
        };
        if times > 1 {
            return Err((image.file_name.clone(), format!("{times} images of the file have the id {id}")));
        }
        if let Some(times) = self.by_name.get(image.file_name.as_str()).filter(|times| **times > 1) {
            let reason = format!("{times} images of the file are called `{}`", shortened(&image.file_name));
            return Err((image.file_name.clone(), reason));
        }
        let size = super::numbers::size_of_numbers(image.width, image.height);
        Ok((&image.file_name, size))
    }
}

/// What an annotation draws.
fn drawn(annotation: Annotation) -> Result<(Option<Geometry>, Option<Outline>), String> {
    let crowd = match annotation.iscrowd {
        Some(Crowd::Number(number)) => number != 0.0,
        Some(Crowd::Flag(flag)) => flag,
        None => false,
    };
    if crowd {
        return Err("is a crowd (`iscrowd`) and not one cell".to_owned());
    }
    let geometry = match annotation.bbox.as_deref() {
        None | Some([]) => None,
        Some(&[x, y, w, h]) => Some(box_at([x, y, w, h]).ok_or(NO_NUMBERS)?),
        Some(other) => return Err(format!("its bbox has {} numbers; x, y, width and height are four", other.len())),
    };
    let outline = annotation.segmentation.map_or(Ok(None), outline)?;
    match (&geometry, &outline) {
        (None, None) => Err("has neither a bbox nor a segmentation".to_owned()),
        _ => Ok((geometry, outline)),
    }
}

fn outline(segmentation: Segmentation) -> Result<Option<Outline>, String> {
    match segmentation {
        Segmentation::Polygons(polygons) if polygons.is_empty() => Ok(None),
        Segmentation::Polygons(polygons) => {
            let polygons = polygons.iter().map(|numbers| match numbers.as_chunks::<2>() {
                (points, []) => Ok(Polygon { outer: points.to_vec(), holes: Vec::new() }),
                _ => Err("a polygon has an odd number of coordinates".to_owned()),
            });
            Ok(Some(Outline::Polygons(polygons.collect::<Result<_, String>>()?)))
        }
        Segmentation::Runs { counts, size: [height, width] } => {
            let counts = match counts {
                Counts::Text(text) => counts_of_text(&text).map_err(|error| error.to_string())?,
                Counts::Numbers(numbers) => numbers,
            };
            Ok(Some(Outline::Counts { counts, size: (width, height) }))
        }
        Segmentation::Other(IgnoredAny) => {
            Err("its segmentation is neither a list of polygons nor run lengths with a size".to_owned())
        }
    }
}
