//! The pixels of a TIFF page, chunk by chunk: strips or tiles, interleaved or in planes, of any compression that is read.
//!
//! The `tiff` crate decodes a chunk; what its samples mean and where they belong is decided here. Sizes come from the file: a page is
//! decoded only once the area of its chunks, and of the JPEG or WebP images inside them, is known to be within the limits.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;
use tiff::ColorType;
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::error::{NotACellNumber, Problem};
use crate::raster::{Alpha, Colour, Raster, Samples};
use crate::tiff_file::{Edited, View};
use crate::{DecodeLimits, foreign, jpeg};

/// TIFF's number of JPEG.
const JPEG: u16 = 7;
/// TIFF's number of WebP, as GDAL writes it.
const WEBP: u16 = 50_001;
/// Number of slices of a volume, as SGI and medical programs write it.
const IMAGE_DEPTH: u16 = 32_997;
/// The same of a tile.
const TILE_DEPTH: u16 = 32_998;
/// Largest number of channels: samples with more do not form a picture.
const MOST_CHANNELS: usize = 8;

/// What helps against samples of another kind.
const EIGHT_OR_SIXTEEN: &str = "save it with 8 or 16 bits";

/// A page that is ready to be decoded.
pub(crate) struct Pixels<'a> {
    decoder: Decoder<Edited<'a>>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    colour: ColorType,
    /// Samples of a pixel in a chunk: of planes one.
    chunk_channels: usize,
    planes: u32,
    /// Size of a chunk, px.
    chunk: (u32, u32),
    across: u32,
    down: u32,
    /// Remarks on the images inside its chunks, for the person who reads the report.
    notes: Vec<String>,
}

/// A decoded part of a page.
struct Part {
    x: usize,
    y: usize,
    /// Width in pixels, which is the length of each row.
    width: usize,
    plane: usize,
}

impl<'a> Pixels<'a> {
    /// # Errors
    /// What is not read, or is over the limits.
    pub(crate) fn open(file: Edited<'a>, limits: DecodeLimits) -> Result<Self, Problem> {
        let bytes = file.whole();
        let limit = |of: u64| usize::try_from(of).unwrap_or(usize::MAX);
        let mut decoder = Decoder::new(file)?;
        let mut bounds = Limits::default();
        bounds.decoding_buffer_size = limit(limits.pixels.saturating_mul(16));
        bounds.intermediate_buffer_size = bytes.len();
        decoder = decoder.with_limits(bounds);
        let (width, height) = decoder.dimensions()?;
        limits.allow(width, height).map_err(|problem| match problem {
            Problem::TooManyPixels { width, height, limit } => Problem::TooLargeAPage { width, height, limit },
            other => other,
        })?;
        let compression = first_number(&mut decoder, Tag::Compression, 1)?;
        if let Some(name) = foreign::compression(compression) {
            return Err(foreign::compressed(&name));
        }
        refuse_volumes(&mut decoder)?;
        let colour = decoder.colortype()?;
        let planar = first_number(&mut decoder, Tag::PlanarConfiguration, 1)? == 2;
        let channels = usize::from(first_number(&mut decoder, Tag::SamplesPerPixel, 1)?);
        if channels > MOST_CHANNELS {
            return Err(Problem::unsupported(format!("has {channels} channels"), "save one as grey or three as RGB"));
        }
        if usize::from(colour.num_samples()) < channels
            && !planar
            && first_number(&mut decoder, Tag::Predictor, 1)? != 1
        {
            return Err(Problem::unsupported(format!("has {channels} channels behind a predictor"), "save it as RGB"));
        }
        let (chunk_width, chunk_height) = decoder.chunk_dimensions();
        let chunk_height = match decoder.get_chunk_type() {
            ChunkType::Strip => chunk_height.min(height),
            ChunkType::Tile => chunk_height,
        };
        let (across, down) = (width.div_ceil(chunk_width.max(1)), height.div_ceil(chunk_height.max(1)));
        let area = [across, chunk_width, down, chunk_height]
            .into_iter()
            .try_fold(1_u64, |area, side| area.checked_mul(side.into()));
        if area.is_none_or(|area| area > limits.pixels.saturating_mul(2)) {
            return Err(Problem::TooLargeTiles { width: chunk_width, height: chunk_height });
        }
        let planes = if planar { u32::from(colour.num_samples()) } else { 1 };
        let chunk_channels = if planar { 1 } else { channels.min(colour.num_samples().into()) };
        let chunk = (chunk_width, chunk_height);
        let notes = Vec::new();
        let mut page = Self { decoder, width, height, colour, chunk_channels, planes, chunk, across, down, notes };
        if matches!(compression, JPEG | WEBP) {
            page.look_inside(bytes, compression, if planar { 1 } else { channels })?;
        }
        Ok(page)
    }

    /// Checks the images inside the chunks, which have sizes of their own.
    fn look_inside(&mut self, bytes: &[u8], compression: u16, channels: usize) -> Result<(), Problem> {
        let (offsets, lengths) = match self.decoder.get_chunk_type() {
            ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
            ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
        };
        let tables = match self.decoder.find_tag(Tag::JPEGTables)? {
            Some(tables) => Some(tables.into_u8_vec()?),
            None => None,
        };
        let mut all = |tag| self.decoder.find_tag_unsigned_vec::<u64>(tag).map_err(Problem::from);
        let (offsets, lengths) = (all(offsets)?.unwrap_or_default(), all(lengths)?.unwrap_or_default());
        for (index, (offset, length)) in offsets.into_iter().zip(lengths).enumerate() {
            let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let inside = end
                .and_then(|end| bytes.get(start..end))
                .ok_or_else(|| Problem::damaged("the file ends before its image does"))?;
            let size = match compression {
                JPEG => jpeg::size(inside).filter(|frame| frame.channels == channels).map(|frame| frame.size),
                _ => WebPDecoder::new(Cursor::new(inside)).ok().map(|decoder| decoder.dimensions()),
            };
            let rows = self.height - (index as u32 / self.across % self.down) * self.chunk.1;
            let fits = size.is_some_and(|(width, height)| {
                width == self.chunk.0 && (rows.min(self.chunk.1)..=self.chunk.1).contains(&height)
            });
            if !fits {
                let (width, height) = size.unwrap_or_default();
                let (across, down) = self.chunk;
                return Err(Problem::Damaged(format!(
                    "part {index} holds an image of {width}×{height} px where one of {across}×{down} belongs"
                )));
            }
            if compression == JPEG {
                let whole = jpeg::whole(inside, tables.as_deref());
                let whole = whole.map_err(|problem| Problem::Part { part: index, problem: problem.into() })?;
                self.notes.extend(whole.notes().into_iter().map(|note| format!("a JPEG inside it: {note}")));
            }
        }
        Ok(())
    }

    /// The page as a picture.
    ///
    /// # Errors
    /// Samples that are no colours, or none of 8 or 16 bits; damage.
    pub(crate) fn raster(mut self, view: &View, notes: &mut Vec<String>) -> Result<Raster, Problem> {
        self.notes.sort();
        self.notes.dedup();
        notes.append(&mut self.notes);
        let (colour, alpha) = self.meaning()?;
        let channels = usize::from(self.colour.num_samples());
        let alpha = if view.unknown_extra && alpha == Alpha::Straight { Alpha::Unknown } else { alpha };
        self.refuse_fractions()?;
        if self.number(Tag::SamplesPerPixel, 1)? as usize > channels {
            notes.push("channels beside its colours are left out".to_owned());
        }
        let (width, height) = (self.width, self.height);
        let pixels = width as usize * height as usize;
        let samples = match self.colour.bit_depth() {
            bits @ (1 | 2 | 4 | 8) => {
                // The numbers of a palette's colours are not scaled to the whole range.
                let scale = if view.palette.is_some() { 1 } else { u8::MAX / (u8::MAX >> (8 - bits)) };
                Samples::Eight(self.eight(bits, scale, pixels * channels)?)
            }
            16 => Samples::Sixteen(self.sixteen(pixels * channels)?),
            bits => {
                let what = format!("holds {bits}-bit numbers");
                return Err(Problem::unsupported(what, "save it with 8 or 16 bits a value"));
            }
        };
        Ok(Raster { width, height, samples, colour, alpha })
    }

    /// Samples that are whole numbers from 0 are pictures; of others no one states the range.
    fn refuse_fractions(&mut self) -> Result<(), Problem> {
        let (what, remedy) = match self.number(Tag::SampleFormat, 1)? {
            1 => return Ok(()),
            2 => ("holds signed numbers, whose range is unknown", "save it with 8 or 16 bits from 0"),
            3 => ("holds floating-point numbers, whose range is unknown", EIGHT_OR_SIXTEEN),
            _ => ("holds numbers of an unknown kind", EIGHT_OR_SIXTEEN),
        };
        Err(Problem::unsupported(what, remedy))
    }

    /// The `count` samples of a page with up to eight `bits`; fewer than eight are each multiplied by `scale`.
    fn eight(&mut self, bits: u8, scale: u8, count: usize) -> Result<Vec<u8>, Problem> {
        let mut samples = vec![0_u8; count];
        self.parts(|part, decoded, frame| match decoded {
            DecodingResult::U8(part_samples) if bits == 8 => frame.place(&mut samples, &part, &part_samples),
            DecodingResult::U8(packed) => frame.place(&mut samples, &part, &unpacked(&packed, part.width, bits, scale)),
            _ => Err(Problem::damaged("its samples are of another type than it says")),
        })?;
        Ok(samples)
    }

    /// The `count` samples of a page with 16 bits.
    fn sixteen(&mut self, count: usize) -> Result<Vec<u16>, Problem> {
        let mut samples = vec![0_u16; count];
        self.parts(|part, decoded, frame| match decoded {
            DecodingResult::U16(part_samples) => frame.place(&mut samples, &part, &part_samples),
            _ => Err(Problem::damaged("its samples are of another type than it says")),
        })?;
        Ok(samples)
    }

    /// The page as whole numbers, one a pixel.
    ///
    /// # Errors
    /// Several channels, fractions, numbers that a cell cannot have; damage.
    pub(crate) fn numbers(mut self) -> Result<Vec<u32>, Problem> {
        let ColorType::Gray(bits) = self.colour else {
            let channels = self.colour.num_samples();
            return Err(Problem::NotNumbers(format!(
                "has {channels} channels; save masks as grey, with one number a pixel"
            )));
        };
        if self.number(Tag::PhotometricInterpretation, 1)? == 0 {
            return Err(Problem::NotNumbers("calls 0 white; save masks with 0 as black".to_owned()));
        }
        let mut numbers = vec![0_u32; self.width as usize * self.height as usize];
        self.parts(|part, decoded, frame| {
            let decoded = match decoded {
                DecodingResult::U8(packed) if bits < 8 => DecodingResult::U8(unpacked(&packed, part.width, bits, 1)),
                other => other,
            };
            frame.place(&mut numbers, &part, &whole(decoded)?)
        })?;
        Ok(numbers)
    }

    fn number(&mut self, tag: Tag, default: u16) -> Result<u16, Problem> {
        let all = self.decoder.find_tag_unsigned_vec::<u16>(tag)?;
        Ok(all.and_then(|all| all.first().copied()).unwrap_or(default))
    }

    /// What the samples mean.
    fn meaning(&mut self) -> Result<(Colour, Alpha), Problem> {
        let alpha = match self.number(Tag::ExtraSamples, 0)? {
            1 => Alpha::Premultiplied,
            2 => Alpha::Straight,
            _ => Alpha::Unknown,
        };
        match self.colour {
            ColorType::Gray(_) => Ok((Colour::Grey, Alpha::None)),
            ColorType::RGB(_) => Ok((Colour::Rgb, Alpha::None)),
            ColorType::CMYK(_) => Ok((Colour::Cmyk, Alpha::None)),
            ColorType::YCbCr(_) => Ok((Colour::YCbCr, Alpha::None)),
            ColorType::RGBA(_) => Ok((Colour::Rgb, alpha)),
            ColorType::CMYKA(_) => Ok((Colour::Cmyk, alpha)),
            ColorType::Multiband { num_samples: 2, .. } if alpha != Alpha::Unknown => Ok((Colour::Grey, alpha)),
            ColorType::Multiband { num_samples, .. } => {
                let what = format!("has {num_samples} channels that it does not call colours");
                Err(Problem::unsupported(what, "save it as grey or RGB"))
            }
            other => {
                Err(Problem::unsupported(format!("its colours are {other:?}, which is not read"), "save it as RGB"))
            }
        }
    }

    /// Decodes all parts in turn.
    fn parts(
        &mut self,
        mut take: impl FnMut(Part, DecodingResult, &Frame) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let frame = Frame {
            width: self.width as usize,
            height: self.height as usize,
            channels: self.chunk_channels * self.planes as usize,
            chunk_channels: self.chunk_channels,
        };
        for index in 0..self.across * self.down * self.planes {
            let (plane, index_in_plane) = (index / (self.across * self.down), index % (self.across * self.down));
            let (column, row) = (index_in_plane % self.across, index_in_plane / self.across);
            let x = column * self.chunk.0;
            let part = Part {
                x: x as usize,
                y: (row * self.chunk.1) as usize,
                width: self.chunk.0.min(self.width - x) as usize,
                plane: plane as usize,
            };
            let decoded = self.decoder.read_chunk(index)?;
            take(part, decoded, &frame)?;
        }
        Ok(())
    }
}

/// The number under `tag`, or `default` where the page lacks it.
fn first_number(decoder: &mut Decoder<Edited<'_>>, tag: Tag, default: u16) -> Result<u16, Problem> {
    Ok(decoder.find_tag_unsigned(tag)?.unwrap_or(default))
}

fn refuse_volumes(decoder: &mut Decoder<Edited<'_>>) -> Result<(), Problem> {
    for (tag, what) in [(IMAGE_DEPTH, "it is a volume"), (TILE_DEPTH, "its tiles are volumes")] {
        let slices = first_number(decoder, Tag::Unknown(tag), 1)?;
        if slices > 1 {
            let what = format!("{what} of {slices} slices");
            return Err(Problem::unsupported(what, "save each slice as a page or a file"));
        }
    }
    Ok(())
}

/// Where samples of parts go.
struct Frame {
    width: usize,
    height: usize,
    channels: usize,
    chunk_channels: usize,
}

impl Frame {
    /// Puts the samples of a part where they belong. It may hold more rows than are in the image, never fewer.
    fn place<T: Copy>(&self, to: &mut [T], part: &Part, from: &[T]) -> Result<(), Problem> {
        let line = part.width * self.chunk_channels;
        let rows = from.chunks_exact(line.max(1)).take(self.height - part.y);
        for (row, samples) in rows.enumerate() {
            let start = ((part.y + row) * self.width + part.x) * self.channels;
            if self.chunk_channels == self.channels {
                to[start..start + line].copy_from_slice(samples);
            } else {
                let plane = to[start + part.plane..].iter_mut().step_by(self.channels);
                plane.zip(samples).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }
}

/// Samples of fewer than eight bits, each `scale` times its number. Rows begin on whole bytes.
fn unpacked(packed: &[u8], width: usize, bits: u8, scale: u8) -> Vec<u8> {
    let line = (width * usize::from(bits)).div_ceil(8).max(1);
    let sample = |row: &[u8], x: usize| {
        let bit = x * usize::from(bits);
        let shift = 8 - usize::from(bits) - bit % 8;
        (row[bit / 8] >> shift & (u8::MAX >> (8 - bits))) * scale
    };
    packed.chunks_exact(line).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// Samples of any type as numbers of cells.
fn whole(decoded: DecodingResult) -> Result<Vec<u32>, Problem> {
    fn each<T: Copy + std::fmt::Display>(
        samples: Vec<T>,
        number: impl Fn(T) -> Option<u32>,
    ) -> Result<Vec<u32>, Problem> {
        let one = |sample: T| number(sample).ok_or_else(|| NotACellNumber(sample.to_string()).into());
        samples.into_iter().map(one).collect()
    }
    let of_float =
        |value: f64| ((0.0..=f64::from(u32::MAX)).contains(&value) && value.fract() == 0.0).then_some(value as u32);
    match decoded {
        DecodingResult::U8(samples) => each(samples, |sample| Some(sample.into())),
        DecodingResult::U16(samples) => each(samples, |sample| Some(sample.into())),
        DecodingResult::U32(samples) => Ok(samples),
        DecodingResult::U64(samples) => each(samples, |sample| sample.try_into().ok()),
        DecodingResult::I8(samples) => each(samples, |sample| sample.try_into().ok()),
        DecodingResult::I16(samples) => each(samples, |sample| sample.try_into().ok()),
        DecodingResult::I32(samples) => each(samples, |sample| sample.try_into().ok()),
        DecodingResult::I64(samples) => each(samples, |sample| sample.try_into().ok()),
        DecodingResult::F32(samples) => each(samples, |sample| of_float(sample.into())),
        DecodingResult::F64(samples) => each(samples, of_float),
        DecodingResult::F16(_) => {
            Err(Problem::NotNumbers("holds 16-bit fractions; save masks as whole numbers".to_owned()))
        }
    }
}
