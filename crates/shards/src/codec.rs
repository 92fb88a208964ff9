//! Image bytes to pixels and back, within limits: a patch is small, whatever its header claims.

use crate::ShardError;
use crate::error::one_line;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, Limits};
use imaging::RgbImage;
use run_spec::ids::{Digest, pixel_digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

/// Longest side of a stored image, in pixels.
const MAX_SIDE: u32 = 8192;
/// Memory one decode may take, in bytes.
const MAX_ALLOC: u64 = 512 << 20;
/// Quality of JPEG shards: small, and close to lossless for the eye.
const JPEG_QUALITY: u8 = 95;

/// The digest of an image's pixels: that which readers find in the manifest's rows and check.
pub fn digest_of(rgb: &RgbImage) -> Digest {
    pixel_digest(rgb.width(), rgb.height(), rgb)
}

/// How the images of a shard set are encoded; recorded in its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Lossless: the source's pixels; the default.
    Png,
    /// Quality 95; about a fifth of the size, and not the source's pixels.
    Jpeg,
}

/// An encoded image, and the digest of the pixels that readers will decode from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes of the image file.
    pub bytes: Vec<u8>,
    /// Digest after decoding; equals that of the input for lossless codecs.
    pub pixel_digest: Digest,
}

impl Codec {
    /// The usual file-name ending, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }

    /// Encodes `rgb`. Deterministic for one version of the encoder.
    ///
    /// # Errors
    /// [`ShardError::Image`] for an empty or oversized image, or data of the wrong length.
    pub fn encode(self, rgb: &RgbImage) -> Result<Encoded, ShardError> {
        let (width, height) = rgb.dimensions();
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(self.bad(format!("{width}x{height} pixels")));
        }
        // A buffer may be longer than its image.
        if rgb.as_raw().len() != width as usize * height as usize * 3 {
            return Err(self.bad(format!("{} bytes for {width}x{height} RGB pixels", rgb.as_raw().len())));
        }
        let mut bytes = Vec::new();
        let color = ExtendedColorType::Rgb8;
        let written = match self {
            // Chosen by `make bench-shards` (docs/log.md): a sixth larger than the best of PNG, thirty times as fast to
            // write, and of all filters the fastest to read.
            Self::Png => PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Up)
                .write_image(rgb, width, height, color),
            Self::Jpeg => {
                JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).write_image(rgb, width, height, color)
            }
        };
        written.map_err(|e| self.bad(e))?;
        let pixel_digest = match self {
            Self::Png => digest_of(rgb),
            Self::Jpeg => digest_of(&self.decode(&bytes)?),
        };
        Ok(Encoded { bytes, pixel_digest })
    }

    /// Decodes an image of this codec to RGB, within 8192 pixels a side and 512 MiB.
    ///
    /// # Errors
    /// [`ShardError::Image`]: other bytes, another codec, alpha or more than 8 bits a channel, or beyond the limits.
    pub fn decode(self, bytes: &[u8]) -> Result<RgbImage, ShardError> {
        let cursor = Cursor::new(bytes);
        match self {
            Self::Png => self.pixels(PngDecoder::with_limits(cursor, limits()).map_err(|e| self.bad(e))?),
            Self::Jpeg => self.pixels(JpegDecoder::new(cursor).map_err(|e| self.bad(e))?),
        }
    }

    fn pixels(self, mut decoder: impl ImageDecoder) -> Result<RgbImage, ShardError> {
        decoder.set_limits(limits()).map_err(|e| self.bad(e))?;
        let (width, height) = decoder.dimensions();
        let color = decoder.color_type();
        let length = usize::try_from(decoder.total_bytes()).map_err(|e| self.bad(e))?;
        if !matches!(color, ColorType::Rgb8 | ColorType::L8) {
            return Err(self.bad(format!("its pixels are {color:?}")));
        }
        let mut data = vec![0; length];
        decoder.read_image(&mut data).map_err(|e| self.bad(e))?;
        if color == ColorType::L8 {
            data = data.into_iter().flat_map(|grey| [grey; 3]).collect();
        }
        RgbImage::from_raw(width, height, data).ok_or_else(|| self.bad("fewer pixels than its header says"))
    }

    fn bad(self, why: impl ToString) -> ShardError {
        ShardError::Image { codec: self.to_string(), why: one_line(&why.to_string()) }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    limits
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
        })
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "png" => Ok(Self::Png),
            "jpeg" => Ok(Self::Jpeg),
            other => Err(format!("codec {other:?} is unknown: png or jpeg")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, height: u32) -> RgbImage {
        let data = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        RgbImage::from_raw(width, height, data).unwrap()
    }

    #[test]
    fn png_is_lossless_and_jpeg_records_what_is_decoded() {
        let rgb = image(17, 9);
        let png = Codec::Png.encode(&rgb).unwrap();
        assert_eq!(Codec::Png.decode(&png.bytes).unwrap(), rgb);
        assert_eq!(png.pixel_digest, digest_of(&rgb));
        let jpeg = Codec::Jpeg.encode(&rgb).unwrap();
        assert_eq!(digest_of(&Codec::Jpeg.decode(&jpeg.bytes).unwrap()), jpeg.pixel_digest);
        assert_ne!(jpeg.pixel_digest, digest_of(&rgb));
    }

    #[test]
    fn a_png_that_claims_to_be_huge_is_refused_before_memory_is_taken() {
        let mut bytes = Codec::Png.encode(&image(4, 4)).unwrap().bytes;
        bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        assert!(matches!(Codec::Png.decode(&bytes), Err(ShardError::Image { .. })));
    }

    #[test]
    fn another_codec_is_refused() {
        let png = Codec::Png.encode(&image(4, 4)).unwrap().bytes;
        assert!(Codec::Jpeg.decode(&png).is_err());
        assert!(Codec::Png.decode(b"").is_err());
        assert!(Codec::Png.encode(&RgbImage::from_raw(2, 2, vec![0; 13]).unwrap()).is_err());
    }
}
