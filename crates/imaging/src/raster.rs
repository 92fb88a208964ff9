//! Decoded samples of any kind to 8-bit RGB: the rules of docs/source-details.md, in one place.

use image::{DynamicImage, RgbImage};

use crate::error::Problem;

/// A picture as its file holds it.
#[derive(Debug)]
pub(crate) struct Raster {
    /// Width of the picture in pixels.
    pub(crate) width: u32,
    /// Height of the picture in pixels.
    pub(crate) height: u32,
    /// Colour channels, then one of alpha if there is any; row by row, pixel by pixel.
    pub(crate) samples: Samples,
    /// What the colour channels mean.
    pub(crate) colour: Colour,
    /// What the last channel means.
    pub(crate) alpha: Alpha,
}

/// Samples, of the whole range of their type.
#[derive(Debug)]
pub(crate) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

/// What colour channels mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Grey,
    Rgb,
    Cmyk,
    /// Of JFIF: the whole range, neutral at 128.
    YCbCr,
}

/// What a channel after the colours means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// The picture does not have this channel.
    None,
    /// Opacity; colours are as they are.
    Straight,
    /// Opacity, by which colours are multiplied already.
    Premultiplied,
    /// No one says; it is left out.
    Unknown,
}

impl Colour {
    fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }
}

impl Raster {
    /// The picture of a decoder of the `image` crate.
    pub(crate) fn of(image: DynamicImage) -> Result<Self, Problem> {
        let (width, height) = (image.width(), image.height());
        let (colour, alpha) = match image.color().channel_count() {
            1 => (Colour::Grey, Alpha::None),
            2 => (Colour::Grey, Alpha::Straight),
            3 => (Colour::Rgb, Alpha::None),
            _ => (Colour::Rgb, Alpha::Straight),
        };
        let samples = match image {
            DynamicImage::ImageLuma8(pixels) => Samples::Eight(pixels.into_raw()),
            DynamicImage::ImageLumaA8(pixels) => Samples::Eight(pixels.into_raw()),
            DynamicImage::ImageRgb8(pixels) => Samples::Eight(pixels.into_raw()),
            DynamicImage::ImageRgba8(pixels) => Samples::Eight(pixels.into_raw()),
            DynamicImage::ImageLuma16(pixels) => Samples::Sixteen(pixels.into_raw()),
            DynamicImage::ImageLumaA16(pixels) => Samples::Sixteen(pixels.into_raw()),
            DynamicImage::ImageRgb16(pixels) => Samples::Sixteen(pixels.into_raw()),
            DynamicImage::ImageRgba16(pixels) => Samples::Sixteen(pixels.into_raw()),
            other => {
                let what = format!("{:?} is not read", other.color());
                return Err(Problem::unsupported(what, "save it with 8 or 16 bits a value"));
            }
        };
        Ok(Self { width, height, samples, colour, alpha })
    }

    /// The picture whose samples are the numbers of `colours`.
    ///
    /// # Errors
    /// The samples are not colours.
    pub(crate) fn coloured(self, colours: &[[u8; 3]; 256]) -> Result<RgbImage, Problem> {
        let (Samples::Eight(numbers), Colour::Grey) = (self.samples, self.colour) else {
            return Err(Problem::damaged("its samples do not represent colours"));
        };
        let rgb = numbers.into_iter().flat_map(|number| colours[usize::from(number)]).collect();
        RgbImage::from_raw(self.width, self.height, rgb)
            .ok_or_else(|| Problem::damaged("has fewer pixels than it says"))
    }

    /// The picture as 8-bit RGB. `bits` is how many of 16 bits its camera uses, where the description says it.
    ///
    /// # Errors
    /// Samples that do not say what they mean; a picture that is transparent everywhere.
    pub(crate) fn into_rgb(self, bits: Option<u8>, notes: &mut Vec<String>) -> Result<RgbImage, Problem> {
        let Self { width, height, samples, colour, alpha } = self;
        let channels = colour.channels() + usize::from(alpha != Alpha::None);
        let samples = match samples {
            Samples::Eight(samples) => samples,
            Samples::Sixteen(samples) => {
                let most = whole_range(&samples, colour.channels(), channels, bits, notes)?;
                samples.iter().map(|&sample| eight(sample, most)).collect()
            }
        };
        let rgb = match (colour, alpha) {
            (Colour::Rgb, Alpha::None) => samples,
            _ => {
                seen(&samples, channels, alpha, notes)?;
                let pixels = samples.chunks_exact(channels);
                pixels.flat_map(|pixel| over_white(rgb(&pixel[..colour.channels()], colour), pixel, alpha)).collect()
            }
        };
        RgbImage::from_raw(width, height, rgb).ok_or_else(|| Problem::damaged("has fewer pixels than it says"))
    }
}

/// Bits of 16 at or below which a picture would be black to the eye: at most 16 levels would be left.
const BLACK: u32 = 12;
/// One in so many samples may be saturated or belong to something drawn into the picture, and says nothing of the camera's range.
const FEW: usize = 50;
/// The same of samples most of which have one value, as a scale bar, a legend or a border has.
const DRAWN: usize = 2;

/// How often each value occurs among the colours of 16-bit samples.
struct Counts {
    of: Vec<usize>,
    all: usize,
}

impl Counts {
    fn new(samples: &[u16], colours: usize, channels: usize) -> Self {
        let mut of = vec![0; 1 << u16::BITS];
        for pixel in samples.chunks_exact(channels) {
            pixel[..colours].iter().for_each(|&sample| of[usize::from(sample)] += 1);
        }
        let all = of.iter().sum();
        Self { of, all }
    }

    fn largest(&self) -> u16 {
        self.of.iter().rposition(|count| *count > 0).unwrap_or(0) as u16
    }

    /// How many samples need more than so many bits.
    fn above(&self, bits: u32) -> usize {
        self.of[1 << bits.min(u16::BITS)..].iter().sum()
    }

    /// Whether those are so few, or so alike, that they say nothing of the others.
    fn are_strays(&self, bits: u32) -> bool {
        let above = &self.of[1 << bits.min(u16::BITS)..];
        let count = above.iter().sum::<usize>();
        // What stands alone on black is the picture.
        let few = count * FEW <= self.all || self.have_one_value(bits) && count * DRAWN < self.all;
        count == 0 || few && self.of[0] + count < self.all
    }

    /// Whether most of the samples above so many bits have one value: they were drawn, or are saturated.
    fn have_one_value(&self, bits: u32) -> bool {
        let above = &self.of[1 << bits.min(u16::BITS)..];
        let (count, most) = (above.iter().sum::<usize>(), above.iter().copied().max().unwrap_or(0));
        most * 2 >= count
    }

    /// The fewest bits that all but strays need.
    fn bits(&self) -> u32 {
        (0..u16::BITS).find(|bits| self.are_strays(*bits)).unwrap_or(u16::BITS)
    }
}

/// The sample that is white in 16-bit samples, of which only `colours` of `channels` are looked at.
fn whole_range(
    samples: &[u16],
    colours: usize,
    channels: usize,
    bits: Option<u8>,
    notes: &mut Vec<String>,
) -> Result<u16, Problem> {
    let counts = Counts::new(samples, colours, channels);
    match bits {
        Some(bits) => said_range(&counts, u32::from(bits).clamp(1, u16::BITS), notes),
        None => guessed_range(&counts, notes),
    }
}

/// The range that the description says the camera has. What lies above is white.
fn said_range(counts: &Counts, bits: u32, notes: &mut Vec<String>) -> Result<u16, Problem> {
    let above = counts.above(bits);
    if above > 0 && !counts.are_strays(bits) {
        let (all, largest) = (counts.all, counts.largest());
        let holds =
            format!("holds {above} of {all} values of more than the {bits} bits of `images.bits` (largest {largest})");
        return Err(Problem::BitDepth(format!("{holds}; say how many bits its camera has")));
    }
    if above > 0 {
        notes.push(format!(
            "values of more than the {bits} bits of `images.bits` ({above} of them) are taken for white"
        ));
    }
    Ok(u16::MAX >> (u16::BITS - bits))
}

/// All 16 bits, unless the picture would be black.
fn guessed_range(counts: &Counts, notes: &mut Vec<String>) -> Result<u16, Problem> {
    let (used, largest) = (counts.bits(), counts.largest());
    let above = counts.above(used);
    let but = if above > 0 { format!(" by all but {above} of its values") } else { String::new() };
    if used <= BLACK {
        let seen = format!("only {used} of 16 bits are used{but} (largest value {largest}), so it would be black");
        let remedy = if counts.have_one_value(used) {
            "say what its camera has in the description, as in `images: {bits: 12}`, or `bits: 16` if it is so dark"
        } else {
            "if those are its cells, say `images: {bits: 16}` in the description; if they are not, what its camera has, as in `bits: 12`"
        };
        return Err(Problem::BitDepth(format!("{seen}; {remedy}")));
    }
    if used < u16::BITS {
        let remedy = "if that is not its light, say what its camera has in the description, as in `images: {bits: 12}`";
        notes.push(format!("only {used} of 16 bits are used{but}; {remedy}"));
    }
    Ok(u16::MAX)
}

/// A sample as 8 bits: `most` becomes 255, rounded to the nearest.
fn eight(sample: u16, most: u16) -> u8 {
    let (sample, most) = (u32::from(sample), u32::from(most));
    ((sample * 255 + most / 2) / most).min(255) as u8
}

/// Notes how the last channel is used: as transparency, or as colour.
fn seen(samples: &[u8], channels: usize, alpha: Alpha, notes: &mut Vec<String>) -> Result<(), Problem> {
    let mut opacities = samples.chunks_exact(channels).map(|pixel| pixel[channels - 1]);
    match alpha {
        Alpha::None => {}
        Alpha::Unknown => notes.push("a channel beside its colours is left out".to_owned()),
        Alpha::Straight | Alpha::Premultiplied if opacities.clone().all(|opacity| opacity == 0) => {
            return Err(Problem::unsupported(
                "is transparent everywhere, so it shows nothing",
                "remove its alpha channel",
            ));
        }
        Alpha::Straight | Alpha::Premultiplied if opacities.any(|opacity| opacity < 255) => {
            notes.push("transparency laid over white".to_owned());
        }
        Alpha::Straight | Alpha::Premultiplied => {}
    }
    Ok(())
}

fn over_white(rgb: [u8; 3], pixel: &[u8], alpha: Alpha) -> [u8; 3] {
    let opacity = u32::from(pixel.last().copied().unwrap_or(255));
    rgb.map(|value| match alpha {
        Alpha::None | Alpha::Unknown => value,
        Alpha::Straight => ((u32::from(value) * opacity + 255 * (255 - opacity) + 127) / 255).min(255) as u8,
        Alpha::Premultiplied => (u32::from(value) + 255 - opacity).min(255) as u8,
    })
}

fn rgb(colours: &[u8], colour: Colour) -> [u8; 3] {
    match (colour, colours) {
        (Colour::Rgb, &[r, g, b]) => [r, g, b],
        (Colour::YCbCr, &[y, cb, cr]) => of_ycbcr(y, cb, cr),
        (Colour::Cmyk, &[c, m, y, k]) => [c, m, y].map(|ink| {
            let light = (255 - u32::from(ink)) * (255 - u32::from(k));
            ((light + 127) / 255) as u8
        }),
        (_, colours) => [colours[0]; 3],
    }
}

/// ITU-R BT.601 of the whole range, in fixed point as libjpeg rounds it.
fn of_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb]
        .map(|sum| ((sum + half) >> 16).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(samples: Samples, alpha: Alpha, bits: Option<u8>) -> (Result<Vec<u8>, String>, String) {
        let mut notes = Vec::new();
        let raster = Raster { width: 2, height: 1, samples, colour: Colour::Grey, alpha };
        let rgb = raster
            .into_rgb(bits, &mut notes)
            .map(|rgb| rgb.pixels().map(|pixel| pixel[0]).collect())
            .map_err(|problem| problem.to_string());
        (rgb, notes.join("; "))
    }

    #[test]
    fn sixteen_bits_become_eight_and_fewer_are_never_taken_for_sixteen() {
        let of = |values: [u16; 2], bits| read(Samples::Sixteen(values.to_vec()), Alpha::None, bits);
        assert_eq!(of([128, 65_535], None), (Ok(vec![0, 255]), String::new()));
        let (dark, _) = of([16, 4095], None);
        assert!(dark.is_err_and(|reason| reason.contains("only 12 of 16 bits") && reason.contains("images: {bits:")));
        let (dim, note) = of([0, 16_383], None);
        assert_eq!(dim, Ok(vec![0, 64]));
        assert!(note.contains("only 14 of 16 bits"), "{note}");
        assert_eq!(of([2048, 4095], Some(12)), (Ok(vec![128, 255]), String::new()));
        assert_eq!(of([0, 300], Some(16)), (Ok(vec![0, 1]), String::new()), "said to be dark");
        assert!(of([0, 4096], Some(12)).0.is_err_and(|reason| reason.contains("4096")));
        assert!(of([0, 0], None).0.is_err());
    }

    /// A hot pixel, saturated spots and a scale bar say nothing of the camera's range.
    #[test]
    #[allow(clippy::too_many_lines, reason = "a list of cases")]
    fn a_few_large_values_do_not_make_twelve_bits_sixteen() {
        let picture = |few: &[u16]| {
            let mut samples: Vec<u16> = (0..1000).map(|at| 1500 + (at * 37 % 2500) as u16).collect();
            samples.iter_mut().zip(few).for_each(|(sample, value)| *sample = *value);
            samples
        };
        let of = |samples: Vec<u16>, bits| {
            let mut notes = Vec::new();
            let raster = Raster {
                width: 1000,
                height: 1,
                samples: Samples::Sixteen(samples),
                colour: Colour::Grey,
                alpha: Alpha::None,
            };
            let read = raster
                .into_rgb(bits, &mut notes)
                .map(|rgb| rgb.pixels().map(|pixel| pixel[0]).collect::<Vec<_>>())
                .map_err(|problem| problem.to_string());
            (read, notes.join("; "))
        };
        let several: Vec<u16> = (0..20).map(|at| 60_000 + 100 * at).collect();
        for few in [&[65_535][..], &[65_535; 30], &[40_000; 200], &several] {
            let (read, _) = of(picture(few), None);
            let reason = read.expect_err("black");
            let count = few.len();
            assert!(reason.contains(&format!("by all but {count} of its values")), "{reason}");
            assert!(reason.contains("only 12 of 16 bits") && reason.contains("bits: 12"), "{reason}");
            assert_eq!(
                reason.contains("if those are its cells, say `images: {bits: 16}`"),
                *few == several,
                "{reason}"
            );
            let (read, note) = of(picture(few), Some(12));
            let (plain, _) = of(picture(&[]), Some(12));
            let (read, plain) = (read.expect("12 bits"), plain.expect("12 bits"));
            assert!(read[..count].iter().all(|value| *value == 255) && read[count..] == plain[count..]);
            assert!(note.contains(&format!("({count} of them) are taken for white")), "{note}");
            assert!(of(picture(few), Some(16)).0.is_ok(), "said to be so dark");
        }
        // Too many to be strays: the range is another one.
        let (read, note) = of(picture(&(0..200).map(|at| 5000 + at).collect::<Vec<_>>()), None);
        assert!(read.is_ok() && note.contains("only 13 of 16 bits"), "{note}");
        let (read, _) = of(picture(&(0..200).map(|at| 5000 + at).collect::<Vec<_>>()), Some(12));
        assert!(read.is_err_and(|reason| reason.contains("200 of 1000 values")));
        // A legend: white with the grey edges of its letters; and a border of nearly half of the picture.
        let legend: Vec<u16> = (0..60).map(|at| if at % 6 == 0 { 30_000 + at * 300 } else { 65_535 }).collect();
        for drawn in [legend, vec![65_535; 440]] {
            assert!(of(picture(&drawn), None).0.is_err_and(|reason| reason.contains("only 12 of 16 bits")));
            assert!(of(picture(&drawn), Some(12)).0.is_ok());
        }
        // What stands on black alone is a picture of its own, however little it is.
        let sparse = |at: u16| if at < 12 { 20_000 + 3000 * at } else { 0 };
        assert!(of((0..1000).map(sparse).collect(), None).0.is_ok());
        assert!(of((0..1000).map(|at| if at < 100 { 65_535 } else { 0 }).collect(), None).0.is_ok());
    }

    #[test]
    fn alpha_is_laid_over_white_by_what_it_means() {
        let of = |alpha| read(Samples::Eight(vec![100, 51, 100, 255]), alpha, None);
        assert_eq!(of(Alpha::Straight), (Ok(vec![224, 100]), "transparency laid over white".to_owned()));
        let (premultiplied, _) = of(Alpha::Premultiplied);
        assert_eq!(premultiplied, Ok(vec![255, 100]));
        let (unknown, note) = of(Alpha::Unknown);
        assert_eq!((unknown, note.contains("left out")), (Ok(vec![100, 100]), true));
        let clear = read(Samples::Eight(vec![100, 0, 100, 0]), Alpha::Straight, None);
        assert!(clear.0.is_err_and(|reason| reason.contains("transparent everywhere")));
    }

    #[test]
    fn luminance_and_colour_differences_are_those_of_jfif() {
        assert_eq!(of_ycbcr(77, 128, 128), [77; 3]);
        assert_eq!(of_ycbcr(76, 85, 255), [254, 0, 0]);
        assert_eq!(of_ycbcr(29, 255, 107), [0, 0, 254]);
    }
}
