//! The colour histogram: what a probe reaches from colours alone, without any model.
//!
//! Joint RGB histogram of 8 × 8 × 8 bins of equal width, as fractions of the pixels. Position and shape are thrown away,
//! so a model that does not beat it has learnt nothing a stain would not tell. Deterministic; no parameters.

/// Bins that each colour channel is divided into.
const BINS: usize = 8;
/// Features of a histogram.
pub const DIM: usize = BINS * BINS * BINS;

/// The histogram of an image, `[DIM]`, summing to 1; bin = (r·8 + g)·8 + b.
///
/// `rgb` holds the pixels as interleaved RGB8, in any order of rows. An image without pixels gives zeros; bytes after
/// the last whole pixel are ignored.
pub fn colour_histogram(rgb: &[u8]) -> Vec<f32> {
    let mut counts = vec![0u32; DIM];
    let bin = |v: u8| usize::from(v) * BINS / 256;
    let pixels = rgb.chunks_exact(3);
    let n = pixels.len().max(1) as f64;
    for pixel in pixels {
        counts[(bin(pixel[0]) * BINS + bin(pixel[1])) * BINS + bin(pixel[2])] += 1;
    }
    counts.into_iter().map(|c| (f64::from(c) / n) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_falls_into_the_bin_of_its_colour() {
        let histogram = colour_histogram(&[0, 0, 0, 31, 31, 31, 255, 0, 32, 255, 255, 255]);
        assert_eq!((histogram[0], histogram[7 * 64 + 1], histogram[DIM - 1]), (0.5, 0.25, 0.25));
        assert_eq!(histogram.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn shape_and_position_do_not_matter() {
        let image = [[10u8, 200, 30], [250, 1, 2], [10, 200, 30]];
        let mut turned = image;
        turned.reverse();
        assert_eq!(colour_histogram(image.as_flattened()), colour_histogram(turned.as_flattened()));
        assert_eq!(colour_histogram(&[]), vec![0.0; DIM]);
    }
}
