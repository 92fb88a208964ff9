//! A linear axis: its range, its ticks at round numbers, and where a value lies.

/// Maps values of `[lo, hi]` to pixels of `[start, end]` (`end < start` for an axis that grows upwards).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    pub(super) lo: f64,
    pub(super) hi: f64,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Axis {
    /// An axis that holds all finite `values` with 4 % of air at both ends; around a single value, a range that has a width.
    pub(super) fn holding(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|v| v.is_finite()) {
            lo = lo.min(value);
            hi = hi.max(value);
        }
        if lo > hi {
            (lo, hi) = (0.0, 1.0);
        }
        let air = if hi > lo { 0.04 * (hi - lo) } else { (0.05 * hi.abs()).max(1e-3) };
        Self { lo: lo - air, hi: hi + air, start, end }
    }

    /// The pixel of `value`.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.start + (value - self.lo) / (self.hi - self.lo) * (self.end - self.start)
    }

    /// The pixel of `value`, held within the axis.
    pub(super) fn clamped(&self, value: f64) -> f64 {
        self.at(value.clamp(self.lo, self.hi))
    }

    /// About `wanted` round numbers within the axis, with their labels.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let step = round_step((self.hi - self.lo) / wanted.max(1) as f64);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.lo / step).ceil() as i64;
        let last = (self.hi / step).floor() as i64;
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                (value, label(value, decimals))
            })
            .collect()
    }
}

/// The round number (1, 2 or 5 times a power of ten) next to `raw`.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = raw / power;
    let round = if factor < 1.5 {
        1.0
    } else if factor < 3.5 {
        2.0
    } else if factor < 7.5 {
        5.0
    } else {
        10.0
    };
    round * power
}

fn label(value: f64, decimals: usize) -> String {
    if decimals == 0 && value.abs() >= 10_000.0 {
        return format!("{}k", value / 1000.0);
    }
    format!("{value:.decimals$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(lo: f64, hi: f64) -> Vec<String> {
        Axis { lo, hi, start: 0.0, end: 100.0 }.ticks(5).into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(0.37, 0.53), ["0.38", "0.40", "0.42", "0.44", "0.46", "0.48", "0.50", "0.52"]);
        assert_eq!(labels(-3.0, 103.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(0.0, 52_000.0), ["0", "10k", "20k", "30k", "40k", "50k"]);
        assert_eq!(labels(-1.0, 1.0), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
    }

    #[test]
    fn a_single_value_still_has_an_axis() {
        let axis = Axis::holding([2.0].into_iter(), 0.0, 100.0);
        assert_eq!(axis.at(2.0), 50.0);
        assert!(Axis::holding([f64::NAN].into_iter(), 0.0, 1.0).at(0.5).is_finite());
        assert_eq!(axis.clamped(1e9), 100.0);
    }
}
