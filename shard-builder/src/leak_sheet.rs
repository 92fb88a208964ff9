//! The picture of the pairs that two sets share: both images of each pair side by side, as far as the sets show them.

use std::collections::HashMap;
use std::io::Cursor;

use anyhow::{Context, Result};
use datasets::schema::name_of;
use image::imageops::{self, FilterType};
use imaging::RgbImage;
use imaging::contact_sheet::{self, Strip};
use shards::fingerprints::{ImagePrint, PrintParts, PrintView};
use shards::leaks::LeakKind;

use crate::compared_set::ComparedSet;
use crate::leak_search::SharedImage;
use terminal::thousands;

/// Thumbnails in a line of the sheet: four pairs.
const COLUMNS: u32 = 8;

/// The first `most` of `pairs` as PNG, a strip for each kind. A side is the grey picture of its fingerprint, or else the first patch
/// or cell of the image.
///
/// # Errors
/// A set that cannot be read.
pub(crate) fn sheet(sets: [&ComparedSet; 2], pairs: &[SharedImage], most: usize) -> Result<Vec<u8>> {
    let shown = &pairs[..most.min(pairs.len())];
    let pictures = [
        pictures(sets[0], &shown.iter().map(|pair| pair.train).collect::<Vec<_>>())?,
        pictures(sets[1], &shown.iter().map(|pair| pair.evaluation).collect::<Vec<_>>())?,
    ];
    let mut strips = Vec::new();
    for of_kind in shown.chunk_by(|p, q| p.kind == q.kind) {
        let mut tiles = Vec::new();
        for (number, pair) in of_kind.iter().enumerate() {
            for (side, image) in [(0, pair.train), (1, pair.evaluation)] {
                let (_, path) = &sets[side].images[image];
                let caption = format!("{} {:.2} {}", number + 1, pair.score, name_of(path));
                tiles.push((tile(sets[side], image, &pictures[side])?, caption));
            }
        }
        let kind = of_kind[0].kind;
        let all = pairs.iter().filter(|pair| pair.kind == kind).count() as u64;
        strips.push(Strip { title: format!("{}: {} of {} pairs", words(kind), of_kind.len(), thousands(all)), tiles });
    }
    let mut bytes = Cursor::new(Vec::new());
    contact_sheet::strips(&strips, COLUMNS)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .context("encode the picture of the pairs")?;
    Ok(bytes.into_inner())
}

/// What a kind is called on the sheet.
fn words(kind: LeakKind) -> &'static str {
    match kind {
        LeakKind::Bytes => "same bytes",
        LeakKind::Pixels => "same pixels",
        LeakKind::Near => "near-copies",
        LeakKind::Name => "same name, different content",
    }
}

/// The stored pictures of some images.
fn pictures(set: &ComparedSet, wanted: &[usize]) -> Result<HashMap<usize, RgbImage>> {
    let mut found = HashMap::new();
    for number in 0..set.blocks() {
        if wanted.iter().all(|image| found.contains_key(image)) {
            break;
        }
        let prints = set.block(number, PrintParts::All)?.into_iter().filter(|(image, _)| wanted.contains(image));
        found.extend(prints.filter_map(|(image, print)| Some((image, picture(&print)?))));
    }
    Ok(found)
}

/// The picture of the whole image in its own proportions; of a square image its only picture.
fn picture(print: &ImagePrint) -> Option<RgbImage> {
    let PrintView { picture, .. } = print.whole.as_ref().or(print.centre.as_ref())?;
    let side = u32::try_from(picture.len().isqrt()).ok()?;
    let rgb = RgbImage::from_raw(side, side, picture.iter().flat_map(|&grey| [grey; 3]).collect())?;
    if print.whole.is_none() {
        return Some(rgb);
    }
    let longer = print.width.max(print.height).max(1);
    let scaled = |length: u32| (length * side).div_ceil(longer).clamp(1, side);
    Some(imageops::resize(&rgb, scaled(print.width), scaled(print.height), FilterType::Triangle))
}

fn tile(set: &ComparedSet, image: usize, pictures: &HashMap<usize, RgbImage>) -> Result<RgbImage> {
    match pictures.get(&image) {
        Some(picture) => Ok(picture.clone()),
        None => Ok(set.set.rgb(set.first_rows[image])?),
    }
}
