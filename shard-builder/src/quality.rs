//! Rows that show nothing, or show it badly.

use image::RgbImage;

use crate::source::quality_rule::{Action, QualityRule};

/// What is measured of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measures {
    /// Share of pixels with colour.
    pub(crate) coloured: f64,
    /// Variance of the Laplacian of the brightness, in squared levels.
    pub(crate) sharpness: f64,
    /// Share of pixels with a channel at 255.
    pub(crate) clipped: f64,
}

/// What may be wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// Too little colour.
    Blank,
    /// Too little detail.
    OutOfFocus,
    /// Too much at the end of the range.
    Saturated,
}

impl Flaw {
    /// All of them, in the order in which they are named.
    pub(crate) const ALL: [Self; 3] = [Self::Blank, Self::OutOfFocus, Self::Saturated];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::OutOfFocus => "out of focus",
            Self::Saturated => "saturated",
        }
    }
}

/// A row with flaws.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Flawed {
    /// Left edge in source pixels.
    pub(crate) x: i32,
    /// Top edge.
    pub(crate) y: i32,
    /// Width.
    pub(crate) w: u32,
    /// Height.
    pub(crate) h: u32,
    /// What was measured.
    pub(crate) measures: Measures,
    /// What is wrong; not empty.
    pub(crate) flaws: Vec<Flaw>,
    /// What becomes of it: the strongest of the flaws' actions.
    pub(crate) action: Action,
}

/// Measures a row as it is stored.
pub(crate) fn measure(image: &RgbImage, rule: &QualityRule) -> Measures {
    let (width, height) = (image.width() as usize, image.height() as usize);
    // In 1/256, so that no pixel needs a division: coloured where 256 least ≤ factor greatest.
    let factor = ((1.0 - rule.blank.saturation) * 256.0).round() as u32;
    let (mut coloured, mut clipped) = (0_u64, 0_u64);
    let mut brightness = vec![0_i32; width * height];
    for (bright, pixel) in brightness.iter_mut().zip(image.as_raw().as_chunks::<3>().0) {
        let [r, g, b] = pixel.map(u32::from);
        let (least, greatest) = (r.min(g).min(b), r.max(g).max(b));
        coloured += u64::from(greatest > 0 && 256 * least <= factor * greatest);
        clipped += u64::from(greatest == 255);
        *bright = (77 * r + 150 * g + 29 * b + 128) as i32 >> 8;
    }
    let pixels = (width * height).max(1) as f64;
    Measures {
        coloured: coloured as f64 / pixels,
        sharpness: curvature(&brightness, width, height),
        clipped: clipped as f64 / pixels,
    }
}

/// Variance of the Laplacian over the pixels that have four neighbours; 0 if there are none.
fn curvature(levels: &[i32], width: usize, height: usize) -> f64 {
    if width < 3 || height < 3 {
        return 0.0;
    }
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for y in 1..height - 1 {
        let [above, here, below] = [y - 1, y, y + 1].map(|row| &levels[row * width..(row + 1) * width]);
        let (mut of_row, mut squares_of_row) = (0_i32, 0_i64);
        for x in 1..width - 1 {
            let bend = above[x] + below[x] + here[x - 1] + here[x + 1] - 4 * here[x];
            of_row += bend;
            squares_of_row += i64::from(bend * bend);
        }
        sum += i64::from(of_row);
        squares += squares_of_row;
    }
    let count = ((width - 2) * (height - 2)) as f64;
    let mean = sum as f64 / count;
    squares as f64 / count - mean * mean
}

/// The flaws of a row and the strongest of their actions; nothing for a row without.
pub(crate) fn judge(measures: Measures, rule: &QualityRule) -> Option<(Vec<Flaw>, Action)> {
    let QualityRule { blank, out_of_focus, saturated } = rule;
    let all = [
        (Flaw::Blank, measures.coloured < blank.least, blank.action),
        (Flaw::OutOfFocus, measures.sharpness < out_of_focus.least, out_of_focus.action),
        (Flaw::Saturated, measures.clipped > saturated.most, saturated.action),
    ];
    let found: Vec<_> = all.into_iter().filter(|(_, is, _)| *is).collect();
    let action = found.iter().map(|(_, _, action)| action.unwrap_or(Action::Keep)).max()?;
    Some((found.into_iter().map(|(flaw, ..)| flaw).collect(), action))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn flaws(image: &RgbImage) -> Vec<Flaw> {
        let rule = QualityRule::default();
        judge(measure(image, &rule), &rule).map_or_else(Vec::new, |(flaws, _)| flaws)
    }

    /// A pink disc, with an edge `soft` pixels wide, on `ground`.
    fn cell(ground: u8, soft: f32) -> RgbImage {
        RgbImage::from_fn(64, 64, |x, y| {
            let away = ((x as f32 - 32.0).powi(2) + (y as f32 - 32.0).powi(2)).sqrt();
            let inside = ((20.0 - away) / soft + 0.5).clamp(0.0, 1.0);
            Rgb([200, 120, 130].map(|c: u8| (f32::from(ground) * (1.0 - inside) + f32::from(c) * inside) as u8))
        })
    }

    #[test]
    fn a_cell_has_no_flaw_and_each_flaw_is_found() {
        assert_eq!(flaws(&cell(230, 2.0)), []);
        assert_eq!(flaws(&cell(230, 40.0)), [Flaw::OutOfFocus]);
        assert_eq!(flaws(&cell(255, 2.0)), [Flaw::Saturated]);
        let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([200 + ((x * 7 + y * 13) % 9) as u8; 3]));
        assert_eq!(flaws(&noise), [Flaw::Blank]);
        assert_eq!(flaws(&RgbImage::from_pixel(9, 9, Rgb([255; 3]))), Flaw::ALL);
        assert_eq!(flaws(&RgbImage::from_pixel(1, 1, Rgb([0; 3]))), [Flaw::Blank, Flaw::OutOfFocus]);
    }

    #[test]
    fn the_variance_of_the_laplacian_is_that_of_its_definition() {
        // A single bright pixel in 5 x 5: of the nine inner pixels it bends by −40, its four neighbours by 10.
        let mut levels = vec![7; 25];
        levels[12] = 17;
        let values = [0.0, 10.0, 0.0, 10.0, -40.0, 10.0, 0.0, 10.0, 0.0];
        let mean = values.iter().sum::<f64>() / 9.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 9.0;
        assert!((curvature(&levels, 5, 5) - variance).abs() < 1e-9);
    }

    #[test]
    fn the_strongest_action_counts() {
        let mut rule = QualityRule::default();
        let white = Measures { coloured: 0.0, sharpness: 0.0, clipped: 1.0 };
        assert_eq!(judge(white, &rule).map(|(_, action)| action), Some(Action::Keep));
        rule.saturated.action = Some(Action::Flag);
        assert_eq!(judge(white, &rule).map(|(_, action)| action), Some(Action::Flag));
        rule.blank.action = Some(Action::Drop);
        assert_eq!(judge(white, &rule).map(|(_, action)| action), Some(Action::Drop));
        assert_eq!(judge(Measures { coloured: 1.0, sharpness: 1e3, clipped: 0.0 }, &rule), None);
    }
}
