//! Rows that show nothing or are hard to see: what is measured of a row, and which flaws it has by the rule of its source.

use imaging::RgbImage;

use crate::schema::{FlawAction, QualityRule};

/// What is measured of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// Share of pixels that stand out from the field: whose green is not near the row's median.
    pub shown: f64,
    /// Variance of the Laplacian of the green channel, in squared levels.
    pub sharpness: f64,
    /// Share of pixels with a channel at 255.
    pub clipped: f64,
}

/// What may be wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Next to nothing stands out from the field.
    Blank,
    /// Too little detail: out of focus.
    OutOfFocus,
    /// Too many pixels at the end of the camera's range.
    Saturated,
}

impl Flaw {
    /// All of them, in the order in which they are named.
    pub const ALL: [Self; 3] = [Self::Blank, Self::OutOfFocus, Self::Saturated];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::OutOfFocus => "out of focus",
            Self::Saturated => "saturated",
        }
    }
}

/// A row with flaws, by its place in its image.
#[derive(Debug, Clone, PartialEq)]
pub struct FlawedRow {
    /// Left edge in source pixels.
    pub x: i32,
    /// Top edge in source pixels.
    pub y: i32,
    /// Width in source pixels.
    pub w: u32,
    /// Height in source pixels.
    pub h: u32,
    /// What was measured of it.
    pub measures: Measures,
    /// The flaws; never empty.
    pub flaws: Vec<Flaw>,
    /// What happens to it: the strongest of the flaws' actions.
    pub action: FlawAction,
}

/// Measures a row as it is stored. What is shown and clipped are shares of every second pixel of every second row, sharpness is of every
/// second row: measuring all would cost a sixth of a build.
pub(crate) fn measure(image: &RgbImage, rule: &QualityRule) -> Measures {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut greens = [0_u32; 256];
    let mut clipped = 0_u32;
    for row in image.as_raw().chunks_exact((3 * width).max(1)).step_by(2) {
        for pixel in row.as_chunks::<3>().0.iter().step_by(2) {
            let [r, g, b] = *pixel;
            greens[usize::from(g)] += 1;
            clipped += u32::from(r.max(g).max(b) == 255);
        }
    }
    let count: u32 = greens.iter().sum();
    let mut below = 0;
    let median = greens.iter().take_while(|&&of_level| {
        below += of_level;
        2 * below < count
    });
    let median = median.count();
    let apart = |level: usize| level.abs_diff(median) >= usize::from(rule.blank.contrast);
    let shown: u32 = greens.iter().enumerate().filter(|(level, _)| apart(*level)).map(|(_, of_level)| of_level).sum();
    let pixels = f64::from(count.max(1));
    Measures {
        shown: f64::from(shown) / pixels,
        sharpness: curvature(image.as_raw(), width, height),
        clipped: f64::from(clipped) / pixels,
    }
}

/// Variance of the Laplacian of the green channel over the pixels of every second row that have four neighbours; 0 if there are none.
fn curvature(rgb: &[u8], width: usize, height: usize) -> f64 {
    if width < 3 || height < 3 {
        return 0.0;
    }
    let stride = 3 * width;
    let (mut sum, mut squares, mut count) = (0_i64, 0_i64, 0_u32);
    for y in (1..height - 1).step_by(2) {
        let [above, here, below] = [y - 1, y, y + 1].map(|row| &rgb[row * stride..(row + 1) * stride]);
        let green = |row: &[u8], at: usize| i32::from(row[at]);
        let (mut of_row, mut squares_of_row) = (0_i32, 0_i64);
        for at in (4..stride - 3).step_by(3) {
            let bend =
                green(above, at) + green(below, at) + green(here, at - 3) + green(here, at + 3) - 4 * green(here, at);
            of_row += bend;
            squares_of_row += i64::from(bend * bend);
        }
        sum += i64::from(of_row);
        squares += squares_of_row;
        count += width as u32 - 2;
    }
    let count = f64::from(count);
    let mean = sum as f64 / count;
    squares as f64 / count - mean * mean
}

/// The flaws of a row and the strongest of their actions; nothing for a row without.
pub(crate) fn judge(measures: Measures, rule: &QualityRule) -> Option<(Vec<Flaw>, FlawAction)> {
    let QualityRule { blank, out_of_focus, saturated } = rule;
    let all = [
        (Flaw::Blank, measures.shown < blank.least, blank.action),
        (Flaw::OutOfFocus, measures.sharpness < out_of_focus.least, out_of_focus.action),
        (Flaw::Saturated, measures.clipped > saturated.most, saturated.action),
    ];
    let found: Vec<_> = all.into_iter().filter(|(_, is, _)| *is).collect();
    let action = found.iter().map(|(_, _, action)| action.unwrap_or(FlawAction::Keep)).max()?;
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
        let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([150 + ((x * 7 + y * 13) % 9) as u8; 3]));
        assert_eq!(flaws(&noise), [Flaw::Blank]);
        assert_eq!(flaws(&RgbImage::from_pixel(9, 9, Rgb([255; 3]))), Flaw::ALL);
        assert_eq!(flaws(&RgbImage::from_pixel(1, 1, Rgb([0; 3]))), [Flaw::Blank, Flaw::OutOfFocus]);
    }

    #[test]
    fn the_variance_of_the_laplacian_is_that_of_its_definition() {
        let image = RgbImage::from_fn(7, 6, |x, y| Rgb([0, ((x * 31 + y * 17) % 29) as u8 * 8, 255]));
        let green = |x: u32, y: u32| f64::from(image.get_pixel(x, y)[1]);
        let bend = |x, y| green(x - 1, y) + green(x + 1, y) + green(x, y - 1) + green(x, y + 1) - 4.0 * green(x, y);
        let bends: Vec<f64> = [1, 3].into_iter().flat_map(|y| (1..6).map(move |x| bend(x, y))).collect();
        let mean = bends.iter().sum::<f64>() / 10.0;
        let variance = bends.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 10.0;
        assert!((curvature(image.as_raw(), 7, 6) - variance).abs() < 1e-9);
    }

    #[test]
    fn the_strongest_action_counts() {
        let mut rule = QualityRule::default();
        let white = Measures { shown: 0.0, sharpness: 0.0, clipped: 1.0 };
        assert_eq!(judge(white, &rule).map(|(_, action)| action), Some(FlawAction::Keep));
        rule.saturated.action = Some(FlawAction::Flag);
        assert_eq!(judge(white, &rule).map(|(_, action)| action), Some(FlawAction::Flag));
        rule.blank.action = Some(FlawAction::Drop);
        assert_eq!(judge(white, &rule).map(|(_, action)| action), Some(FlawAction::Drop));
        assert_eq!(judge(Measures { shown: 1.0, sharpness: 1e3, clipped: 0.0 }, &rule), None);
    }
}
