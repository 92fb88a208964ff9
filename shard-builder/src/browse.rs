//! `show --html`: a set as one page that opens from disk: its rows as small pictures, to be filtered by source, label, quality and copies.
//!
//! Nothing is fetched, and the page's security policy forbids it. Names from the set are never markup: the script makes texts of them, and the
//! data hold no `<` that could end their element.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Cursor;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops;
use imaging::RgbImage;
use rayon::prelude::*;
use serde::Serialize;
use shards::ShardSet;
use shards::atlas::tile_of;

use crate::set_report::SetReport;
use terminal::{counted, thousands};

const FRAME: &str = include_str!("browse/page.html");
const STYLE: &str = include_str!("browse/style.css");
const SCRIPT: &str = include_str!("browse/page.js");
/// Side of a picture, px.
const TILE: u32 = 72;
/// Pictures along a side of a sheet.
const ALONG: u32 = 48;
/// Quality of the sheets.
const QUALITY: u8 = 82;
/// Copies of its image that a row names.
const MOST_COPIES: usize = 8;

/// What the page shows.
#[derive(Debug, Serialize)]
struct Data {
    about: String,
    tile: u32,
    sheets: Vec<Sheet>,
    /// All texts, each once; rows name them by position.
    names: Vec<String>,
    rows: Vec<Row>,
}

/// Pictures of some rows in one.
#[derive(Debug, Serialize)]
struct Sheet {
    first: usize,
    columns: u32,
    url: String,
}

#[derive(Debug, Serialize)]
struct Row {
    row: u64,
    source: usize,
    image: usize,
    group: usize,
    label: usize,
    role: usize,
    flaws: usize,
    x: i32,
    y: i32,
    w: u32,
    h: u32,
    copies: Vec<usize>,
}

/// Texts, each once.
#[derive(Debug, Default)]
struct Texts {
    all: Vec<String>,
    places: HashMap<String, usize>,
}

impl Texts {
    fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        self.all.push(text.to_owned());
        self.places.insert(text.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// The page of a set with at most `most` of its rows, at even distances.
///
/// # Errors
/// A row or a report that cannot be read.
pub(crate) fn page(set: &ShardSet, most: u64) -> Result<String> {
    let shown = set.len().min(most);
    let rows: Vec<u64> =
        (0..shown).map(|number| (u128::from(number) * u128::from(set.len()) / u128::from(shown)) as u64).collect();
    let report = SetReport::read(set)?;
    let mut texts = Texts::default();
    texts.place("");
    let (flaws, copies) = (flaws(&report), copies(&report));
    let mut listed = Vec::with_capacity(rows.len());
    for &row in &rows {
        let meta = set.meta(row)?;
        let none = BTreeSet::new();
        let of_image = copies.get(&(meta.source.to_string(), meta.image.to_string())).unwrap_or(&none);
        listed.push(Row {
            row,
            source: texts.place(&meta.source),
            image: texts.place(&meta.image),
            group: texts.place(&meta.group),
            label: texts.place(meta.label.as_deref().unwrap_or_default()),
            role: texts.place(&role(set, &report, &meta.source)),
            flaws: texts.place(flaws.get(&meta.id.to_string()).map_or("", String::as_str)),
            x: meta.x,
            y: meta.y,
            w: meta.w,
            h: meta.h,
            copies: of_image.iter().take(MOST_COPIES).map(|copy| texts.place(copy)).collect(),
        });
    }
    let tiles: Vec<RgbImage> =
        rows.par_iter().map(|&row| Ok(tile_of(&set.rgb(row)?, TILE))).collect::<Result<_, shards::ShardError>>()?;
    let sheets = tiles.chunks((ALONG * ALONG) as usize).enumerate().map(|(number, tiles)| sheet(number, tiles));
    let manifest = set.manifest();
    let part = if shown < set.len() { format!("{} of ", thousands(shown)) } else { String::new() };
    let about = format!(
        "{part}{} {} of {}, set {}, built by {}",
        thousands(set.len()),
        manifest.product,
        counted(manifest.sources.len(), "source"),
        set.digest().short(),
        manifest.builder
    );
    let sheets = sheets.collect::<Result<_>>()?;
    let data = Data { about, tile: TILE, sheets, names: texts.all, rows: listed };
    Ok(filled(&format!("Blood smears: {} {}", thousands(set.len()), manifest.product), &serde_json::to_string(&data)?))
}

/// What a source is used for: as the set's columns say, or its description in the report.
fn role(set: &ShardSet, report: &SetReport, source: &str) -> String {
    if let Some(role) = set.roles().get(source) {
        return role.clone();
    }
    let described = report.sources().iter().find(|described| described["name"] == source);
    described.map_or(String::new(), |described| described["role"].as_str().unwrap_or("training").to_owned())
}

/// The flaws of rows, by id.
fn flaws(report: &SetReport) -> BTreeMap<String, String> {
    let flaw = |mut row: BTreeMap<String, String>| Some((row.remove("id")?, row.remove("flaws")?));
    report.records("quality").into_iter().filter_map(flaw).collect()
}

/// Source and path of an image.
type ImageName = (String, String);

/// The copies of images, by source and path: how, and of what.
fn copies(report: &SetReport) -> BTreeMap<ImageName, BTreeSet<String>> {
    let mut copies: BTreeMap<ImageName, BTreeSet<String>> = BTreeMap::new();
    for row in report.records("copies") {
        let text = |column: &str| row.get(column).cloned().unwrap_or_default();
        for (own, other) in [("a", "b"), ("b", "a")] {
            let image = (text(&format!("source_{own}")), text(&format!("image_{own}")));
            let copy =
                format!("{} {} ({})", text(&format!("source_{other}")), text(&format!("image_{other}")), text("how"));
            copies.entry(image).or_default().insert(copy);
        }
    }
    copies
}

fn sheet(number: usize, tiles: &[RgbImage]) -> Result<Sheet> {
    let columns = ALONG.min(tiles.len() as u32).max(1);
    let lines = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(columns * TILE, lines * TILE, image::Rgb([255; 3]));
    for (at, tile) in (0_u32..).zip(tiles) {
        imageops::replace(&mut sheet, tile, i64::from(at % columns * TILE), i64::from(at / columns * TILE));
    }
    let mut jpeg = Cursor::new(Vec::new());
    sheet.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).context("encode small pictures")?;
    let url = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg.into_inner()));
    Ok(Sheet { first: number * (ALONG * ALONG) as usize, columns, url })
}

/// The frame with everything in its place. What is put in is not searched again: a name may hold the name of a place.
fn filled(title: &str, data: &str) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let (mut page, mut rest) = (String::new(), FRAME);
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        match place {
            "TITLE" => page.push_str(&title),
            "STYLE" => page.push_str(STYLE.trim_end()),
            "DATA" => page.push_str(&data.replace('<', "\\u003c")),
            _ => page.push_str(SCRIPT.trim_end()),
        }
        rest = after;
    }
    page + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup_and_nothing_is_fetched() {
        let page = filled("a & <b>", r#"{"about": "</script><script>alert(1)</script> {{SCRIPT}}"}"#);
        assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
        assert!(page.contains("<title>a &amp; &lt;b></title>") && page.contains("{{SCRIPT}}\"}"), "{page}");
        assert!(page.contains("default-src 'none'") && page.contains("findLastIndex"));
        for address in ["http://", "https://", "@import", "src=\"", "fetch("] {
            assert!(!page.contains(address), "{address}");
        }
    }
}
