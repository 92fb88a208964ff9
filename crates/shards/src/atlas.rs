//! A sprite atlas: small pictures of all rows of a set, many to a sheet, for pages that show cells without reading shards.
//!
//! ```text
//! <digest of the set>/sheet-0.jpg, …     tiles row by row, white behind pictures that are not square
//!                     atlas.json         their record, published last
//! ```
//! Keys are written once. Sheets are JPEG without EXIF; of the source they hold pixels, made smaller, and nothing else.

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder, Rgb};
use imaging::RgbImage;
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::ShardError;

/// Quality of the sheets: a cell of 48 pixels takes some 900 bytes.
const QUALITY: u8 = 85;
/// Longest side of a sheet in pixels: phones show no larger pictures.
const SHEET_SIDE: u32 = 4096;
/// Side of a tile for sets of up to so many rows, so that all sheets together stay below some 12 MB.
const TILES: [(u64, u32); 3] = [(4_096, 64), (10_000, 48), (24_000, 32)];

/// The record of an atlas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Atlas {
    /// The set that it shows.
    pub shards: Digest,
    /// Side of a tile in pixels.
    pub tile: u32,
    /// The sheets; tile `n` shows row `n` of the set.
    pub sheets: Vec<AtlasSheet>,
}

/// One picture of an atlas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtlasSheet {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Tiles in a row.
    pub columns: u32,
    /// Number of its first tile.
    pub first: u64,
    /// How many tiles it holds.
    pub count: u64,
}

impl Atlas {
    /// Side of the tiles for a set of `rows`; `None` where there are too many for an atlas, or none.
    pub fn tile_for(rows: u64) -> Option<u32> {
        TILES.into_iter().find(|&(most, _)| rows > 0 && rows <= most).map(|(_, tile)| tile)
    }

    /// Publishes the atlas of the set `shards` from the tiles of all its rows, in order, each `tile` pixels wide and high.
    /// One that is there stays.
    ///
    /// # Errors
    /// The store's, also where another program has left other sheets; [`ShardError::Image`] from the encoder.
    pub fn publish(store: &Store, shards: Digest, tile: u32, tiles: &[RgbImage]) -> Result<Self, ShardError> {
        let columns = (SHEET_SIDE / tile).max(1);
        let mut sheets = Vec::new();
        for (number, of_sheet) in tiles.chunks((columns * columns) as usize).enumerate() {
            let count = of_sheet.len() as u64;
            let columns = columns.min((count as f64).sqrt().ceil() as u32);
            let bytes = encoded(&sheet(of_sheet, tile, columns))?;
            let (digest, first) = (Digest::of(&bytes), sheets.iter().map(|sheet: &AtlasSheet| sheet.count).sum());
            store.ensure(&sheet_key(&shards, number), Bytes::from(bytes))?;
            sheets.push(AtlasSheet { digest, columns, first, count });
        }
        let atlas = Self { shards, tile, sheets };
        store.create_record_once(&record_key(&shards), &atlas)?;
        Ok(atlas)
    }

    /// Whether the atlas of a set is there.
    ///
    /// # Errors
    /// The store's.
    pub fn is_there(store: &Store, shards: &Digest) -> Result<bool, ShardError> {
        Ok(store.exists(&record_key(shards))?)
    }

    /// The record of the atlas of a set.
    ///
    /// # Errors
    /// The store's, also if the set has no atlas.
    pub fn read(store: &Store, shards: &Digest) -> Result<Self, ShardError> {
        Ok(store.read_record(&record_key(shards))?)
    }

    /// The bytes of sheet `number`, a JPEG file.
    ///
    /// # Errors
    /// The store's; [`ShardError::Image`] for bytes of another digest.
    pub fn sheet(&self, store: &Store, number: usize) -> Result<Bytes, ShardError> {
        let key = sheet_key(&self.shards, number);
        let bytes = store.get(&key)?;
        if self.sheets.get(number).is_some_and(|sheet| sheet.digest == Digest::of(&bytes)) {
            return Ok(bytes);
        }
        Err(unusable(format!("{} is not the sheet that its record names", store.uri_of(&key))))
    }
}

/// `rgb` as a tile: made to fit, in the middle of a white square.
pub fn tile_of(rgb: &RgbImage, tile: u32) -> RgbImage {
    let (width, height) = rgb.dimensions();
    let longest = width.max(height).max(1);
    let side = |length: u32| (length * tile).div_ceil(longest).clamp(1, tile);
    let small = imageops::resize(rgb, side(width), side(height), FilterType::Triangle);
    if small.dimensions() == (tile, tile) {
        return small;
    }
    let mut square = RgbImage::from_pixel(tile, tile, Rgb([255; 3]));
    let (left, top) = ((tile - small.width()) / 2, (tile - small.height()) / 2);
    imageops::replace(&mut square, &small, i64::from(left), i64::from(top));
    square
}

fn sheet(tiles: &[RgbImage], tile: u32, columns: u32) -> RgbImage {
    let lines = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(columns * tile, lines * tile, Rgb([255; 3]));
    for (number, picture) in (0u32..).zip(tiles) {
        let (left, top) = (number % columns * tile, number / columns * tile);
        imageops::replace(&mut sheet, picture, i64::from(left), i64::from(top));
    }
    sheet
}

fn encoded(sheet: &RgbImage) -> Result<Vec<u8>, ShardError> {
    let mut bytes = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut bytes, QUALITY).write_image(
        sheet,
        sheet.width(),
        sheet.height(),
        ExtendedColorType::Rgb8,
    );
    written.map_err(|error| unusable(error.to_string()))?;
    Ok(bytes)
}

fn unusable(why: String) -> ShardError {
    ShardError::Image { codec: "atlas".to_owned(), why }
}

fn sheet_key(shards: &Digest, number: usize) -> String {
    format!("{shards}/sheet-{number}.jpg")
}

fn record_key(shards: &Digest) -> String {
    format!("{shards}/atlas.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tile of one colour.
    fn plain(tile: u32, number: usize) -> RgbImage {
        RgbImage::from_pixel(tile, tile, Rgb([(number * 37 % 200) as u8, 90, (number % 7 * 30) as u8]))
    }

    #[test]
    fn a_tile_shows_its_row_on_any_sheet() {
        let store = Store::open("memory://atlas").unwrap();
        let (shards, tile) = (Digest::of(b"set"), 64);
        assert!(!Atlas::is_there(&store, &shards).unwrap());
        let tiles: Vec<RgbImage> = (0..4_100).map(|number| plain(tile, number)).collect();
        let atlas = Atlas::publish(&store, shards, tile, &tiles).unwrap();
        let held: Vec<(u64, u64, u32)> = atlas.sheets.iter().map(|s| (s.first, s.count, s.columns)).collect();
        assert_eq!(held, [(0, 4096, 64), (4096, 4, 2)]);
        assert_eq!(Atlas::read(&store, &shards).unwrap(), atlas);
        for number in [0, 65, 4095, 4096, 4099] {
            let at = atlas.sheets.iter().position(|s| number < s.first + s.count).unwrap();
            let sheet = image::load_from_memory(&atlas.sheet(&store, at).unwrap()).unwrap().into_rgb8();
            let place = (number - atlas.sheets[at].first) as u32;
            let (column, line) = (place % atlas.sheets[at].columns, place / atlas.sheets[at].columns);
            let seen = sheet.get_pixel(column * tile + 32, line * tile + 32);
            let close =
                seen.0.iter().zip(plain(tile, number as usize).get_pixel(0, 0).0).all(|(a, b)| a.abs_diff(b) < 6);
            assert!(close, "tile {number}: {seen:?}");
        }
        // Once more: it stays as it is.
        assert_eq!(Atlas::publish(&store, shards, tile, &tiles).unwrap(), atlas);
    }

    #[test]
    fn sheets_hold_no_metadata_and_damage_is_noticed() {
        let store = Store::open("memory://atlas-damage").unwrap();
        let atlas = Atlas::publish(&store, Digest::of(b"set"), 32, &[plain(32, 1)]).unwrap();
        let bytes = atlas.sheet(&store, 0).unwrap();
        assert!(!bytes.windows(4).any(|four| four == b"Exif"));
        let other =
            Atlas { sheets: vec![AtlasSheet { digest: Digest::of(b"other"), ..atlas.sheets[0].clone() }], ..atlas };
        assert!(other.sheet(&store, 0).unwrap_err().to_string().contains("sheet-0.jpg"));
    }

    #[test]
    fn pictures_keep_their_shape() {
        let wide = RgbImage::from_pixel(80, 40, Rgb([10, 20, 30]));
        let tile = tile_of(&wide, 32);
        assert_eq!(tile.dimensions(), (32, 32));
        assert_eq!(
            (tile.get_pixel(0, 0).0, tile.get_pixel(16, 16).0, tile.get_pixel(16, 31).0),
            ([255; 3], [10, 20, 30], [255; 3])
        );
        assert_eq!(tile_of(&RgbImage::new(5, 5), 32).dimensions(), (32, 32));
    }

    #[test]
    fn large_sets_get_smaller_tiles_and_huge_ones_none() {
        let of = [0, 1, 4_096, 4_097, 20_000, 24_001].map(Atlas::tile_for);
        assert_eq!(of, [None, Some(64), Some(64), Some(48), Some(32), None]);
    }
}
