//! Which squares of a slide show smear and not glass, by an overview of the slide.
//!
//! A pixel of the overview shows smear if it is darker than glass by the rule's contrast, in the channel that differs most. What a scanner
//! fills in where it scanned nothing (white of 255, black of 0 to 3) is neither smear, nor does it say what colour glass has.

use imaging::RgbImage;

use crate::schema::SmearRule;

/// Levels up to which all channels of black filling are: JPEG changes them a little.
const BLACK: u8 = 3;
/// Share of the overview that is darker than the colour that is taken for glass.
const GLASS: f64 = 0.9;

/// Which pixels of an overview show smear, as counts that give the share in any rectangle.
#[derive(Debug)]
pub(crate) struct SmearMap {
    width: usize,
    height: usize,
    /// (width + 1) × (height + 1) sums over all pixels above and to the left.
    sums: Vec<u32>,
    /// Colour that was taken for glass.
    pub(crate) glass: [u8; 3],
}

impl SmearMap {
    /// The map of a slide by its overview.
    pub(crate) fn of(overview: &RgbImage, rule: &SmearRule) -> Self {
        let (width, height) = (overview.width() as usize, overview.height() as usize);
        let glass = rule.glass.unwrap_or_else(|| glass(overview));
        let mut sums = vec![0_u32; (width + 1) * (height + 1)];
        for (y, row) in overview.rows().enumerate() {
            let mut of_row = 0;
            for (x, pixel) in row.enumerate() {
                let darker = glass.iter().zip(pixel.0).map(|(glass, value)| glass.saturating_sub(value)).max();
                of_row += u32::from(darker >= Some(rule.contrast) && !is_filling(pixel.0));
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + of_row;
            }
        }
        Self { width, height, sums, glass }
    }

    /// The share of pixels in a square that show smear; of at least the pixel that it begins in. Its left, top, right and bottom edges are
    /// shares of the width and height of the slide.
    pub(crate) fn share(&self, [left, top, right, bottom]: [f64; 4]) -> f64 {
        let place = |share: f64, side: usize| (share * side as f64).round() as usize;
        let (x0, y0) = (place(left, self.width).min(self.width - 1), place(top, self.height).min(self.height - 1));
        let (x1, y1) =
            (place(right, self.width).clamp(x0 + 1, self.width), place(bottom, self.height).clamp(y0 + 1, self.height));
        let sum = |x: usize, y: usize| i64::from(self.sums[y * (self.width + 1) + x]);
        let smear = sum(x1, y1) - sum(x0, y1) - sum(x1, y0) + sum(x0, y0);
        smear as f64 / ((x1 - x0) * (y1 - y0)) as f64
    }
}

fn is_filling(pixel: [u8; 3]) -> bool {
    pixel == [255; 3] || pixel.iter().all(|value| *value <= BLACK)
}

/// For each channel, the value below which a share of [`GLASS`] of the pixels lies, filling left out; white if all is filling.
fn glass(overview: &RgbImage) -> [u8; 3] {
    let mut counts = [[0_u64; 256]; 3];
    for pixel in overview.pixels().filter(|pixel| !is_filling(pixel.0)) {
        counts.iter_mut().zip(pixel.0).for_each(|(counts, value)| counts[usize::from(value)] += 1);
    }
    counts.map(|counts| {
        let most = counts.iter().sum::<u64>() as f64 * GLASS;
        let mut below = 0;
        let value = counts.iter().position(|count| {
            below += count;
            below as f64 >= most && below > 0
        });
        value.map_or(255, |value| value as u8)
    })
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Glass on the left, smear in the middle half of the rest, white filling on the right.
    fn slide() -> RgbImage {
        RgbImage::from_fn(100, 40, |x, y| match (x, y) {
            (0..60, _) => Rgb([236, 234, 238]),
            (60..80, 10..30) => Rgb([200, 140, 150]),
            (60..80, _) => Rgb([234, 232, 236]),
            _ => Rgb([255; 3]),
        })
    }

    #[test]
    fn smear_is_what_is_darker_than_the_glass_of_its_slide() {
        let map = SmearMap::of(&slide(), &SmearRule::default());
        assert_eq!(map.glass, [236, 234, 238]);
        let share = |left: f64, top: f64, right: f64, bottom: f64| map.share([left, top, right, bottom]);
        assert_eq!(share(0.0, 0.0, 0.6, 1.0), 0.0);
        assert_eq!(share(0.6, 0.0, 0.8, 1.0), 0.5);
        assert_eq!(share(0.6, 0.25, 0.8, 0.75), 1.0);
        assert_eq!(share(0.8, 0.0, 1.0, 1.0), 0.0);
        assert_eq!(share(0.7, 0.5, 0.7001, 0.5001), 1.0, "less than a pixel is the pixel that it lies in");
        assert_eq!(share(1.0, 1.0, 1.0, 1.0), 0.0);
    }

    #[test]
    fn a_rule_may_say_what_glass_is() {
        let said = SmearRule { glass: Some([150; 3]), ..SmearRule::default() };
        assert_eq!(SmearMap::of(&slide(), &said).share([0.0, 0.0, 1.0, 1.0]), 0.0);
        let strict = SmearRule { contrast: 200, ..SmearRule::default() };
        assert_eq!(SmearMap::of(&slide(), &strict).share([0.6, 0.0, 0.8, 1.0]), 0.0);
        assert_eq!(SmearMap::of(&RgbImage::from_pixel(3, 2, Rgb([0; 3])), &SmearRule::default()).glass, [255; 3]);
    }
}
