//! A curve that is drawn while it grows: few points however long the run is.

/// Points above which neighbours are joined.
const MOST: usize = 256;
/// Letters of a drawn curve, from low to high.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Values over steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Curve {
    /// First step and mean value of a few neighbours each.
    points: Vec<(u64, f64)>,
    /// Values behind a point; the last may have fewer.
    each: u32,
    /// Values behind the last point.
    of_last: u32,
}

impl Curve {
    /// Adds the value of a step. One that is not after the last takes the place of what followed it: an attempt that goes on
    /// from a checkpoint does some steps again.
    pub(crate) fn push(&mut self, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        let again = self.points.iter().position(|(of, _)| *of >= step);
        if let Some(again) = again {
            self.points.truncate(again);
            self.of_last = self.each;
        }
        match self.points.last_mut() {
            Some((_, mean)) if self.of_last < self.each => {
                self.of_last += 1;
                *mean += (value - *mean) / f64::from(self.of_last);
            }
            _ => {
                self.points.push((step, value));
                self.of_last = 1;
            }
        }
        if self.points.len() > MOST {
            let joined = |pair: &[(u64, f64)]| {
                let sum: f64 = pair.iter().map(|(_, value)| value).sum();
                (pair[0].0, sum / pair.len() as f64)
            };
            self.points = self.points.chunks(2).map(joined).collect();
            self.each = 2 * self.each.max(1);
            self.of_last = self.each;
        }
    }

    /// The points: first step and mean value.
    pub(crate) fn points(&self) -> &[(u64, f64)] {
        &self.points
    }

    /// The last value, or the mean of the last few.
    pub(crate) fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| *value)
    }

    /// The curve as `width` letters, or fewer where there are fewer points.
    pub(crate) fn letters(&self, width: usize) -> String {
        let values: Vec<f64> = self.points.iter().map(|(_, value)| *value).collect();
        let size = values.len().div_ceil(width.max(1)).max(1);
        let means: Vec<f64> = values.chunks(size).map(|of| of.iter().sum::<f64>() / of.len() as f64).collect();
        let (lo, hi) = means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
        let level = |value: f64| if hi > lo { ((value - lo) / (hi - lo) * 7.0).round() as usize } else { 3 };
        means.into_iter().map(|value| LEVELS[level(value).min(7)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_stays_a_few_points_with_its_shape() {
        let mut curve = Curve::default();
        (0..100_000).for_each(|step| curve.push(step, (100_000 - step) as f64));
        assert!((MOST / 2..=MOST).contains(&curve.points().len()), "{}", curve.points().len());
        assert!(curve.points().is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
        assert_eq!(curve.letters(8), "█▇▆▅▄▃▂▁");
        assert!(curve.last().unwrap() < 1_000.0);
    }

    #[test]
    fn steps_that_are_done_again_take_the_place_of_the_first_ones() {
        let mut curve = Curve::default();
        [(0, 4.0), (1, 3.0), (2, 9.0), (1, 2.0), (2, f64::NAN), (3, 1.0)]
            .into_iter()
            .for_each(|(s, v)| curve.push(s, v));
        assert_eq!(curve.points(), [(0, 4.0), (1, 2.0), (3, 1.0)]);
        assert_eq!(Curve::default().letters(5), "");
    }
}
