//! A grey picture and what is done to it before cells are looked for: running means, a threshold, distances.

use imaging::RgbImage;

/// Levels of a histogram.
const LEVELS: usize = 256;

/// A grey picture, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// The green channel, which haemoglobin and the usual stains both darken; 0 to 255.
    pub(super) fn green(image: &RgbImage) -> Self {
        let values = image.pixels().map(|pixel| f32::from(pixel[1])).collect();
        Self { width: image.width() as usize, height: image.height() as usize, values }
    }

    /// The same shape with other values.
    pub(super) fn with(&self, values: Vec<f32>) -> Self {
        Self { width: self.width, height: self.height, values }
    }

    /// `times` running means of 2·`radius` + 1 pixels along both directions, the edge repeated: near a Gaussian of
    /// variance `times`·`radius`·(`radius` + 1)/3.
    pub(super) fn blurred(&self, radius: usize, times: usize) -> Self {
        let mut out = self.clone();
        for _ in 0..times {
            running_mean(&mut out.values, self.height, self.width, 1, self.width, radius);
            running_mean(&mut out.values, self.width, 1, self.width, self.height, radius);
        }
        out
    }
}

/// Means along `lines` lines of `length` values: line `i` starts at `i`·`pitch`, its values lie `step` apart.
fn running_mean(values: &mut [f32], lines: usize, pitch: usize, step: usize, length: usize, radius: usize) {
    let mut means = vec![0.0; length];
    for start in (0..lines).map(|line| line * pitch) {
        let at = |index: usize| start + index.min(length - 1) * step;
        // Sums in f64: what is added is later taken away again, and must leave nothing behind.
        let mut sum = f64::from(values[start]) * radius as f64;
        sum += (0..=radius).map(|index| f64::from(values[at(index)])).sum::<f64>();
        for (index, mean) in means.iter_mut().enumerate() {
            *mean = (sum / (2 * radius + 1) as f64) as f32;
            sum += f64::from(values[at(index + radius + 1)]) - f64::from(values[at(index.saturating_sub(radius))]);
        }
        for (index, mean) in means.iter().enumerate() {
            values[start + index * step] = *mean;
        }
    }
}

/// The threshold between two classes that parts them best (Otsu, IEEE TSMC 9, 1979), and the two means; nothing where
/// all values are the same. Values at or below the threshold are one class.
pub(super) fn otsu(values: &[f32]) -> Option<(f32, f32, f32)> {
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    if high <= low {
        return None;
    }
    let width = (high - low) / LEVELS as f32;
    let centre = |level: usize| f64::from(low) + f64::from(width) * (level as f64 + 0.5);
    let mut histogram = [0_u64; LEVELS];
    for &value in values {
        histogram[(((value - low) / width) as usize).min(LEVELS - 1)] += 1;
    }
    let count = values.len() as f64;
    let total: f64 = histogram.iter().enumerate().map(|(level, &n)| n as f64 * centre(level)).sum();
    let (mut below, mut sum_below) = (0.0, 0.0);
    let mut best = (f64::MIN, 0, 0.0, 0.0);
    for (level, &n) in histogram.iter().enumerate().take(LEVELS - 1) {
        below += n as f64;
        sum_below += n as f64 * centre(level);
        if below == 0.0 || below == count {
            continue;
        }
        let (dark, light) = (sum_below / below, (total - sum_below) / (count - below));
        let between = below * (count - below) * (light - dark) * (light - dark);
        if between > best.0 {
            best = (between, level, dark, light);
        }
    }
    Some((centre(best.1) as f32, best.2 as f32, best.3 as f32))
}

/// The squared distance of each pixel to the nearest pixel that is not `inside`; beyond the picture nothing is outside.
/// Exact, in two passes of lower envelopes of parabolas (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012).
pub(super) fn squared_distance(inside: &[bool], width: usize, height: usize) -> Vec<f32> {
    let far = ((width + height) * (width + height)) as f32;
    let mut squares: Vec<f32> = inside.iter().map(|&inside| if inside { far } else { 0.0 }).collect();
    let mut column = vec![0.0; height];
    for x in 0..width {
        let of = |y: usize| y * width + x;
        for (y, value) in column.iter_mut().enumerate() {
            *value = squares[of(y)];
        }
        for (y, value) in envelope(&column).into_iter().enumerate() {
            squares[of(y)] = value;
        }
    }
    for row in squares.chunks_exact_mut(width) {
        let nearest = envelope(row);
        row.copy_from_slice(&nearest);
    }
    squares
}

/// min over q of (p − q)² + `f`(q), for each p.
fn envelope(f: &[f32]) -> Vec<f32> {
    let n = f.len();
    let mut roots = vec![0_usize; n];
    let mut from = vec![f64::NEG_INFINITY; n + 1];
    let mut last = 0;
    from[1] = f64::INFINITY;
    let height = |q: usize| f64::from(f[q]) + (q * q) as f64;
    for q in 1..n {
        loop {
            let root = roots[last];
            let meet = (height(q) - height(root)) / (2 * (q - root)) as f64;
            if meet > from[last] {
                last += 1;
                roots[last] = q;
                from[last] = meet;
                from[last + 1] = f64::INFINITY;
                break;
            }
            // from[0] is below every meeting place, so this ends.
            last -= 1;
        }
    }
    let mut at = 0;
    (0..n)
        .map(|p| {
            while from[at + 1] < p as f64 {
                at += 1;
            }
            let apart = p.abs_diff(roots[at]);
            (apart * apart) as f32 + f[roots[at]]
        })
        .collect()
}
