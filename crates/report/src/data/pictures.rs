//! What a page shows of single cells: their pictures, the mistakes about them, their places on a map, and what models see in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Some wrong predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistakes {
    /// Whose mistakes, in words.
    pub title: String,
    /// How they were chosen.
    pub how: String,
    /// The cells.
    pub cells: Vec<Mistake>,
}

/// One wrong prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// The cell's picture in the atlas.
    pub tile: Option<u32>,
    /// Its true class.
    pub truth: String,
    /// The predicted class.
    pub predicted: String,
    /// Probability of the predicted class, mean over seeds.
    pub probability: Option<f64>,
    /// Source of the cell.
    pub source: String,
    /// Image, slide or patient of the cell.
    pub group: String,
}

/// A map of features; the lists have one entry for each cell, positions in the lists of names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// What it is a map of, and how it was made.
    pub note: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Names of the sources.
    pub sources: Vec<String>,
    /// Names of the folds.
    pub folds: Vec<String>,
    /// Position from left to right.
    pub x: Vec<f32>,
    /// Position from below to above.
    pub y: Vec<f32>,
    /// True class.
    pub truth: Vec<u32>,
    /// Predicted class.
    #[serde(default)]
    pub predicted: Option<Vec<u32>>,
    /// Source.
    #[serde(default)]
    pub source: Option<Vec<u32>>,
    /// Fold.
    #[serde(default)]
    pub fold: Option<Vec<u32>>,
    /// Picture in the atlas.
    #[serde(default)]
    pub tile: Option<Vec<u32>>,
}

/// Pictures of cells, many to a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Atlas {
    /// Side of a tile in pixels.
    pub tile: u32,
    /// The sheets; tiles are numbered through all of them.
    pub sheets: Vec<Sheet>,
}

/// One picture that holds many tiles, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// Tiles in a row.
    pub columns: u32,
    /// Number of its first tile.
    pub first: u32,
    /// How many tiles it holds.
    pub count: u32,
    /// The picture as a `data:` URI.
    pub image: String,
}

impl Sheet {
    /// A sheet from the bytes of a JPEG file.
    pub fn of_jpeg(bytes: &[u8], columns: u32, first: u32, count: u32) -> Self {
        Self { columns, first, count, image: data_uri("image/jpeg", bytes) }
    }
}

/// Pictures of what models see in images, as `worker look` draws them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// What was looked at and by which models.
    pub facts: Vec<(String, String)>,
    /// The pictures, in order.
    pub sheets: Vec<LookSheet>,
}

/// One picture of a [`Look`]. It says itself how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookSheet {
    /// What it shows.
    pub title: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// A `data:` URI.
    pub image: String,
}

impl LookSheet {
    /// A picture from the bytes of a PNG file of that size.
    pub fn of_png(title: String, bytes: &[u8], (width, height): (u32, u32)) -> Self {
        Self { title, width, height, image: data_uri("image/png", bytes) }
    }
}

fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}
