//! Size, write and read speed of lossless codecs on the images of a set; JPEG beside them.

use anyhow::{Result, ensure};
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::{ExtendedColorType, ImageDecoder, ImageEncoder};
use serde_json::{Value, json};
use shards::{RgbImage, ShardSet};
use std::io::Cursor;
use std::time::Instant;

use crate::stored;

/// Images that are tried, evenly over the set.
const IMAGES: u64 = 200;

type Encode = Box<dyn Fn(&RgbImage) -> Result<Vec<u8>>>;
type Decode = Box<dyn Fn(&[u8], usize) -> Result<Vec<u8>>>;

struct Candidate {
    name: String,
    lossless: bool,
    encode: Encode,
    decode: Decode,
}

/// A row for each codec.
pub(crate) fn table(set: &ShardSet) -> Result<Value> {
    let count = IMAGES.min(set.len());
    ensure!(count > 0, "the set has no rows");
    let images: Vec<RgbImage> = (0..count).map(|i| Ok(set.rgb(i * set.len() / count)?)).collect::<Result<_>>()?;
    let rows: Vec<Value> = candidates().iter().map(|candidate| measure(candidate, &images)).collect::<Result<_>>()?;
    Ok(Value::Array(rows))
}

fn measure(candidate: &Candidate, images: &[RgbImage]) -> Result<Value> {
    let start = Instant::now();
    let files: Vec<Vec<u8>> = images.iter().map(&candidate.encode).collect::<Result<_>>()?;
    let wrote = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let pixels: Vec<Vec<u8>> = files
        .iter()
        .zip(images)
        .map(|(file, image)| (candidate.decode)(file, image.as_raw().len()))
        .collect::<Result<_>>()?;
    let read = start.elapsed().as_secs_f64();
    if candidate.lossless {
        ensure!(
            pixels.iter().zip(images).all(|(pixels, image)| pixels == image.as_raw()),
            "{}: other pixels",
            candidate.name
        );
    }
    let n = images.len() as f64;
    let bytes: usize = files.iter().map(Vec::len).sum();
    Ok(json!({
        "codec": candidate.name,
        "lossless": candidate.lossless,
        "bytes_per_image": bytes as f64 / n,
        "writes_per_s": n / wrote,
        "reads_per_s": n / read,
    }))
}

#[allow(clippy::too_many_lines, reason = "a list of what is compared")]
fn candidates() -> Vec<Candidate> {
    let mut all = Vec::new();
    for (compression, level) in [(CompressionType::Fast, "fast"), (CompressionType::Default, "level 6")] {
        for (filter, name) in [
            (FilterType::Sub, "Sub"),
            (FilterType::Up, "Up"),
            (FilterType::Avg, "Average"),
            (FilterType::Paeth, "Paeth"),
            (FilterType::Adaptive, "adaptive"),
        ] {
            all.push(Candidate {
                name: format!("PNG {level}, {name}"),
                lossless: true,
                encode: Box::new(move |image| {
                    file(|bytes| write(PngEncoder::new_with_quality(bytes, compression, filter), image))
                }),
                decode: Box::new(|file, len| pixels(PngDecoder::new(Cursor::new(file))?, len)),
            });
        }
    }
    all.push(Candidate {
        name: "QOI".to_owned(),
        lossless: true,
        encode: Box::new(|image| Ok(qoi::encode_to_vec(image.as_raw(), image.width(), image.height())?)),
        decode: Box::new(|file, _| Ok(qoi::decode_to_vec(file)?.1)),
    });
    all.push(Candidate {
        name: "WebP lossless".to_owned(),
        lossless: true,
        encode: Box::new(|image| file(|bytes| write(WebPEncoder::new_lossless(bytes), image))),
        decode: Box::new(|file, len| pixels(WebPDecoder::new(Cursor::new(file))?, len)),
    });
    for level in [1, 3] {
        all.push(Candidate {
            name: format!("raw, zstd {level}"),
            lossless: true,
            encode: Box::new(move |image| Ok(zstd::bulk::compress(image, level)?)),
            decode: Box::new(|file, len| Ok(zstd::bulk::decompress(file, len)?)),
        });
    }
    all.push(Candidate {
        name: "PNG stored Up, zstd 1".to_owned(),
        lossless: true,
        encode: Box::new(|image| Ok(zstd::bulk::compress(&stored::png(image), 1)?)),
        decode: Box::new(|file, len| {
            pixels(PngDecoder::new(Cursor::new(zstd::bulk::decompress(file, len + len / 8 + 1024)?))?, len)
        }),
    });
    all.push(Candidate {
        name: "JPEG quality 95".to_owned(),
        lossless: false,
        encode: Box::new(|image| file(|bytes| write(JpegEncoder::new_with_quality(bytes, 95), image))),
        decode: Box::new(|file, len| pixels(JpegDecoder::new(Cursor::new(file))?, len)),
    });
    all
}

fn file(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes)?;
    Ok(bytes)
}

fn write(encoder: impl ImageEncoder, image: &RgbImage) -> Result<()> {
    Ok(encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8)?)
}

fn pixels(decoder: impl ImageDecoder, length: usize) -> Result<Vec<u8>> {
    ensure!(decoder.total_bytes() == length as u64, "another number of pixels");
    let mut data = vec![0; length];
    decoder.read_image(&mut data)?;
    Ok(data)
}
