//! Which images KoLeo must not push apart, as numbers: images of the same number are excluded from each other's neighbours.

use run_spec::config::KoleoExclude;
use run_spec::ids::Digest;
use shards::{RgbImage, RowMeta};

/// Standard deviation of the grey levels (of 255) below which an image is blank. Empty fields of the smears that this was
/// set by have 1 to 2.2, and the emptiest with a cell 6.5.
const BLANK_STD: f64 = 4.0;

/// The number of all blank images.
const BLANK: i64 = 0;

/// The number of an image: below 2⁵³, so that ranks can exchange it as f64.
pub(crate) fn number_of(exclude: KoleoExclude, meta: &RowMeta, pixels: &RgbImage) -> i64 {
    if std_of_grey(pixels) < BLANK_STD {
        return BLANK;
    }
    match exclude {
        KoleoExclude::None | KoleoExclude::Copies => of(meta.pixel_digest),
        // No path holds a zero byte.
        KoleoExclude::SameImage => of(Digest::of(format!("{}\0{}", meta.source, meta.image).as_bytes())),
    }
}

/// The first 52 bits, and one above them, so that none is [`BLANK`].
fn of(digest: Digest) -> i64 {
    let first = digest.as_bytes().iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    (first >> 12 | 1 << 52) as i64
}

/// Standard deviation of the luma (ITU-R BT.601) of interleaved RGB.
fn std_of_grey(rgb: &[u8]) -> f64 {
    let grey = |p: &[u8]| (299 * u64::from(p[0]) + 587 * u64::from(p[1]) + 114 * u64::from(p[2])) / 1000;
    let (mut count, mut sum, mut squares) = (0u64, 0u64, 0u64);
    for g in rgb.chunks_exact(3).map(grey) {
        (count, sum, squares) = (count + 1, sum + g, squares + g * g);
    }
    let count = count.max(1) as f64;
    let mean = sum as f64 / count;
    (squares as f64 / count - mean * mean).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(levels: impl Iterator<Item = u8>) -> RgbImage {
        RgbImage::from_raw(8, 8, levels.take(64).flat_map(|level| [level; 3]).collect()).unwrap()
    }

    fn meta(image: &str, pixels: &RgbImage) -> RowMeta {
        RowMeta {
            id: Digest::of(image.as_bytes()),
            pixel_digest: shards::digest_of(pixels),
            source: "a".into(),
            image: image.into(),
            group: "g".into(),
            x: 0,
            y: 0,
            w: 8,
            h: 8,
            label: None,
            licence: "CC0-1.0".into(),
        }
    }

    #[test]
    fn copies_patches_of_an_image_and_blanks_share_a_number() {
        let cells = image((0..).map(|i: u32| (i * 4 % 256) as u8));
        let others = image((0..).map(|i: u32| (i * 3 % 256) as u8));
        let [pale, dim] = [230, 40].map(|level| image((0..).map(move |i: u32| level + (i % 3) as u8)));
        let n = |exclude, path: &str, pixels: &RgbImage| number_of(exclude, &meta(path, pixels), pixels);
        use KoleoExclude::{Copies, SameImage};
        assert_eq!(n(Copies, "x", &cells), n(Copies, "y", &cells));
        assert_ne!(n(Copies, "x", &cells), n(Copies, "x", &others));
        assert_eq!(n(SameImage, "x", &cells), n(SameImage, "x", &others));
        assert_ne!(n(SameImage, "x", &cells), n(SameImage, "y", &cells));
        for exclude in [Copies, SameImage] {
            assert_eq!((n(exclude, "x", &pale), n(exclude, "y", &dim)), (BLANK, BLANK));
            let number = n(exclude, "x", &cells);
            assert!(number > BLANK && number < 1 << 53, "{number}");
        }
    }
}
