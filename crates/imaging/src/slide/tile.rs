//! The pixels of a region, tile by tile.

use std::io::{Cursor, Read, Seek, SeekFrom};

use image::codecs::webp::WebPDecoder;
use image::{ImageDecoder, ImageFormat, Rgb, RgbImage};
use tiff::decoder::DecodingResult;

use super::directory::TagReader;
use super::levels::{Inside, Level};
use super::{Area, unread};
use crate::error::Problem;
use crate::jpeg;
use crate::raster::{Alpha, Colour, Raster, Samples};

/// Bytes of a tile beside its samples, at most.
const BESIDE: u64 = 1 << 16;

impl Level {
    /// The pixels of an area that lies in the level.
    pub(super) fn region<R: Read + Seek>(&self, reader: &mut TagReader<R>, area: Area) -> Result<RgbImage, Problem> {
        let mut region = RgbImage::from_pixel(area.width, area.height, Rgb([255; 3]));
        let (across, down) = self.part;
        let columns = self.size.0.div_ceil(across);
        for row in area.y / down..(area.y + area.height).div_ceil(down) {
            for column in area.x / across..(area.x + area.width).div_ceil(across) {
                if let Some(tile) = self.tile(reader, row * columns + column)? {
                    place(&mut region, area, &tile, (column * across, row * down));
                }
            }
        }
        Ok(region)
    }

    /// A tile without what hangs over the edge of the level; nothing where the file keeps none.
    fn tile<R: Read + Seek>(&self, reader: &mut TagReader<R>, index: u32) -> Result<Option<RgbImage>, Problem> {
        let Some(&(at, bytes)) = self.tiles.get(index as usize).filter(|(_, bytes)| *bytes > 0) else {
            return Ok(None);
        };
        let samples = u64::from(self.part.0) * u64::from(self.part.1) * self.channels as u64;
        if bytes > 2 * samples + BESIDE {
            return Err(Problem::Damaged(format!("tile {index} has {bytes} bytes, more than its pixels need")));
        }
        let mut colour = self.colour;
        if let Some(kind) = self.inside {
            let mut inside = self.head.clone().unwrap_or_default();
            let head = inside.len();
            inside.resize(head + bytes as usize, 0);
            let file = reader.inner();
            let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut inside[head..]));
            read.map_err(|error| unread(&error))?;
            if self.head.is_some() {
                inside.extend([0xff, 0xd9]);
            }
            self.look_inside(index, (kind, &inside))?;
            // What the JPEG says of itself is true where the page says otherwise: files were converted with their tags left as they were.
            colour = match jpeg::transform(&inside).filter(|_| kind == Inside::Jpeg && self.channels == 3) {
                Some(0) => Colour::Rgb,
                Some(1) => Colour::YCbCr,
                _ => colour,
            };
            if self.head.is_some() {
                return Ok(Some(image::load_from_memory_with_format(&inside, ImageFormat::Jpeg)?.into_rgb8()));
            }
        }
        let (width, height) = reader.chunk_data_dimensions(index);
        let DecodingResult::U8(samples) = reader.read_chunk(index)? else {
            return Err(Problem::damaged("its samples are of another type than it says"));
        };
        let samples = Samples::Eight(samples);
        let raster = Raster { width, height, samples, colour, alpha: Alpha::None };
        raster.into_rgb(None, &mut Vec::new()).map(Some)
    }

    /// Checks a JPEG or a WebP, which have sizes of their own, before it is decoded.
    fn look_inside(&self, index: u32, (kind, inside): (Inside, &[u8])) -> Result<(), Problem> {
        let size = match kind {
            Inside::Jpeg => jpeg::size(inside).filter(|frame| frame.channels == self.channels).map(|frame| frame.size),
            Inside::WebP => WebPDecoder::new(Cursor::new(inside)).ok().map(|decoder| decoder.dimensions()),
        };
        let (across, down) = self.part;
        let row = index / self.size.0.div_ceil(across);
        let rows = (self.size.1 - row * down).min(down);
        let fits = |size: (u32, u32)| size.0 == across && (rows..=down).contains(&size.1);
        if !size.is_some_and(fits) {
            let (width, height) = size.unwrap_or_default();
            return Err(Problem::Damaged(format!(
                "tile {index} holds an image of {width}×{height} px where one of {across}×{down} belongs"
            )));
        }
        if kind == Inside::WebP {
            return Ok(());
        }
        let whole = jpeg::whole(inside, self.tables.as_deref());
        whole.map(drop).map_err(|problem| Problem::Part { part: index as usize, problem: problem.into() })
    }
}

/// Copies what a tile at `(left, top)` and a region have in common.
fn place(region: &mut RgbImage, area: Area, tile: &RgbImage, (left, top): (u32, u32)) {
    let (x0, x1) = (left.max(area.x), (left + tile.width()).min(area.x + area.width));
    let (y0, y1) = (top.max(area.y), (top + tile.height()).min(area.y + area.height));
    let line = 3 * x1.saturating_sub(x0) as usize;
    let at = |image: &RgbImage, x: u32, y: u32| 3 * (y as usize * image.width() as usize + x as usize);
    for y in y0..y1 {
        let (to, from) = (at(region, x0 - area.x, y - area.y), at(tile, x0 - left, y - top));
        (**region)[to..to + line].copy_from_slice(&(**tile)[from..from + line]);
    }
}
