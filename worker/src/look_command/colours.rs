//! Numbers as colours: three principal components of tokens as red, green and blue, and shares of attention on a scale.

use anyhow::Result;
use feature_map::Points;
use feature_map::pca::Pca;
use imaging::{RgbImage, picture_table::enlarged};

/// Shares of all tokens that are darker than the least and lighter than the largest intensity of a colour.
const CUT: f64 = 0.01;
/// Points of matplotlib's viridis at even distances; it grows lighter throughout and is safe for the colour-blind.
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];
/// Side of a drawn image, px, or a little less: patches are whole pixels.
const TILE: u32 = 160;

/// The first three principal components of tokens, as red, green and blue.
#[derive(Debug)]
pub(super) struct Basis {
    pca: Pca,
    /// The coordinates that are dark and bright, for each component.
    ranges: [[f64; 2]; 3],
}

impl Basis {
    /// Fits a basis to tokens `[n, dim]`. From 1 % to 99 % of their coordinates a colour grows brighter.
    pub(super) fn fit(dim: usize, tokens: &[f32]) -> Result<Self> {
        let points = Points::new(dim, tokens)?;
        let pca = Pca::fit(points, 3)?;
        let places = pca.transform(points)?;
        let range = |axis: usize| {
            let mut along: Vec<f64> = places.iter().skip(axis).step_by(3).copied().collect();
            along.sort_by(f64::total_cmp);
            let at = |share: f64| along[((along.len() - 1) as f64 * share).round() as usize];
            [at(CUT), at(1.0 - CUT)]
        };
        Ok(Self { ranges: [range(0), range(1), range(2)], pca })
    }

    /// The share of variance, from 0 to 1, that the three colours show.
    pub(super) fn explained(&self) -> f64 {
        self.pca.explained_variance_ratio().iter().sum()
    }

    /// The colours of tokens `[n, dim]`.
    pub(super) fn colours(&self, dim: usize, tokens: &[f32]) -> Result<Vec<[u8; 3]>> {
        let places = self.pca.transform(Points::new(dim, tokens)?)?;
        let colour = |place: &[f64]| std::array::from_fn(|axis| intensity(place[axis], self.ranges[axis]));
        Ok(places.chunks_exact(3).map(colour).collect())
    }
}

fn intensity(value: f64, [dark, bright]: [f64; 2]) -> u8 {
    if bright <= dark {
        return 128;
    }
    ((value - dark) / (bright - dark) * 255.0).round().clamp(0.0, 255.0) as u8
}

/// Shares on the scale of viridis, from 0 to `largest`.
pub(super) fn on_scale(shares: &[f32], largest: f32) -> Vec<[u8; 3]> {
    let colour = |&share: &f32| {
        let at = if largest > 0.0 { (share / largest).clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32 } else { 0.0 };
        let below = (at as usize).min(VIRIDIS.len() - 2);
        let part = at - below as f32;
        let between = |channel: usize| {
            let [from, to] = [VIRIDIS[below], VIRIDIS[below + 1]].map(|colour| f32::from(colour[channel]));
            (from + (to - from) * part).round() as u8
        };
        std::array::from_fn(between)
    };
    shares.iter().map(colour).collect()
}

/// Colours of a grid of patches, `across` in a row, each as a square.
pub(super) fn squares(colours: &[[u8; 3]], across: u32) -> RgbImage {
    let down = colours.len() as u32 / across.max(1);
    let small = RgbImage::from_fn(across, down, |x, y| image::Rgb(colours[(y * across + x) as usize]));
    enlarged(&small, times(across))
}

/// Side of the square of a patch, px, where there are `across` in a row.
pub(super) fn times(across: u32) -> u32 {
    (TILE / across.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    fn tokens(n: usize, dim: usize) -> Vec<f32> {
        let mut draws = stream(4, "test", &[]);
        (0..n * dim).map(|i| (draws.normal() * (1.0 + (i % dim) as f64)) as f32).collect()
    }

    #[test]
    fn red_green_and_blue_are_the_principal_components_of_all_tokens() {
        let (dim, tokens) = (6, tokens(400, 6));
        let basis = Basis::fit(dim, &tokens).unwrap();
        let colours = basis.colours(dim, &tokens).unwrap();
        let points = Points::new(dim, &tokens).unwrap();
        let pca = Pca::fit(points, 3).unwrap();
        let places = pca.transform(points).unwrap();
        assert!((basis.explained() - pca.explained_variance_ratio().iter().sum::<f64>()).abs() < 1e-12);
        for axis in 0..3 {
            let along: Vec<(f64, u8)> = (0..400).map(|i| (places[i * 3 + axis], colours[i][axis])).collect();
            let mut sorted = along.clone();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            // A larger coordinate is never darker; the outermost hundredths are black and white of the colour.
            assert!(sorted.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            assert!(sorted[..4].iter().all(|(_, colour)| *colour == 0) && sorted[396..].iter().all(|(_, c)| *c == 255));
            let [low, high] = [sorted[4].0, sorted[395].0];
            let expected = |value: f64| ((value - low) / (high - low) * 255.0).clamp(0.0, 255.0);
            assert!(along.iter().all(|(value, colour)| (expected(*value) - f64::from(*colour)).abs() <= 0.5 + 1e-9));
        }
        // A token has its colour whichever others come with it.
        assert_eq!(basis.colours(dim, &tokens[6 * 10..6 * 11]).unwrap(), colours[10..11]);
    }

    #[test]
    fn tokens_that_are_all_equal_are_grey() {
        let basis = Basis::fit(4, &[1.0; 40]).unwrap();
        assert_eq!(basis.colours(4, &[1.0; 4]).unwrap(), [[128; 3]]);
    }

    #[test]
    fn the_scale_goes_from_dark_to_light() {
        let colours = on_scale(&[0.0, 0.125, 0.0625, 1.0, 2.0], 1.0);
        assert_eq!(colours, [[68, 1, 84], [71, 44, 122], [70, 23, 103], [253, 231, 37], [253, 231, 37]]);
        assert_eq!(on_scale(&[0.0], 0.0), [[68, 1, 84]]);
    }

    #[test]
    fn patches_are_squares_of_whole_pixels() {
        let image = squares(&[[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], 2);
        assert_eq!(image.dimensions(), (160, 160));
        assert_eq!((image.get_pixel(79, 79).0, image.get_pixel(80, 79).0), ([1, 2, 3], [4, 5, 6]));
        assert_eq!(times(16), 10);
        assert_eq!((times(37), times(500)), (4, 1));
    }
}
