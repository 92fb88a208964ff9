//! Planes of numbers of any size: reading between their places, and means over windows.

/// A picture of one number a place.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Brightness of each pixel, row by row from the top.
    pub(crate) values: Vec<f32>,
}

impl Plane {
    /// A plane of the same size with what `of` makes of each place's number.
    pub(crate) fn map(&self, values: impl IntoIterator<Item = f32>) -> Self {
        Self { width: self.width, height: self.height, values: values.into_iter().collect() }
    }

    /// Value and slopes at a place, measured from the middle of the first pixel; nothing outside.
    #[inline(always)]
    pub(crate) fn sample(&self, (x, y): (f32, f32)) -> Option<(f32, f32, f32)> {
        let (most_x, most_y) = (self.width as f32 - 1.0, self.height as f32 - 1.0);
        if !(x >= 0.0 && y >= 0.0 && x <= most_x && y <= most_y) {
            return None;
        }
        // On the last row and column the place is the far end of the cell before.
        let (left, top) = ((x as usize).min(self.width - 2), (y as usize).min(self.height - 2));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let at = top * self.width + left;
        let (p, q) = (self.values[at], self.values[at + 1]);
        let (r, s) = (self.values[at + self.width], self.values[at + self.width + 1]);
        let (above, below) = (p + (q - p) * fx, r + (s - r) * fx);
        Some((above + (below - above) * fy, (q - p) + ((s - r) - (q - p)) * fy, below - above))
    }

    /// `times` running means over 2·`radius` + 1 places along both directions; at the edges over the places that there are.
    pub(crate) fn blurred(&self, radius: usize, times: usize) -> Self {
        let mut plane = self.clone();
        let mut line = Vec::new();
        for _ in 0..times {
            for row in plane.values.chunks_exact_mut(self.width) {
                means(row, radius, &mut line);
            }
            plane = plane.columns(radius);
        }
        plane
    }

    /// Running means along the columns: all columns at once, from line to line.
    fn columns(&self, radius: usize) -> Self {
        let (width, height) = (self.width, self.height);
        let mut sums = vec![0.0_f64; width];
        let mut values = Vec::with_capacity(self.values.len());
        let add = |sums: &mut [f64], at: usize, sign: f64| {
            let row = &self.values[at * width..(at + 1) * width];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += sign * f64::from(*value));
        };
        (0..radius.min(height)).for_each(|at| add(&mut sums, at, 1.0));
        for at in 0..height {
            if at + radius < height {
                add(&mut sums, at + radius, 1.0);
            }
            let count = (at + radius + 1).min(height) - at.saturating_sub(radius);
            values.extend(sums.iter().map(|sum| (*sum / count as f64) as f32));
            if at >= radius {
                add(&mut sums, at - radius, -1.0);
            }
        }
        Self { width, height, values }
    }
}

/// Running means along one row, in place.
fn means(row: &mut [f32], radius: usize, before: &mut Vec<f32>) {
    before.clear();
    before.extend_from_slice(row);
    let mut sum: f64 = before.iter().take(radius).map(|value| f64::from(*value)).sum();
    for (at, mean) in row.iter_mut().enumerate() {
        sum += before.get(at + radius).map_or(0.0, |value| f64::from(*value));
        let count = (at + radius + 1).min(before.len()) - at.saturating_sub(radius);
        *mean = (sum / count as f64) as f32;
        if at >= radius {
            sum -= f64::from(before[at - radius]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_over_windows_are_those_of_the_definition() {
        let (width, height) = (7, 5);
        let values: Vec<f32> = (0..width * height).map(|at| ((at * 37) % 23) as f32).collect();
        let plane = Plane { width, height, values };
        for radius in [1, 2, 6] {
            let seen = plane.blurred(radius, 1);
            for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
                let columns = x.saturating_sub(radius)..(x + radius + 1).min(width);
                let window: Vec<f32> = (y.saturating_sub(radius)..(y + radius + 1).min(height))
                    .flat_map(|row| plane.values[row * width..][columns.clone()].to_vec())
                    .collect();
                let mean = window.iter().sum::<f32>() / window.len() as f32;
                assert!((seen.values[y * width + x] - mean).abs() < 1e-4, "{x} {y} {radius}");
            }
        }
    }

    #[test]
    fn values_between_places_are_weighed_and_nothing_is_outside() {
        let plane = Plane { width: 3, height: 2, values: vec![0.0, 2.0, 4.0, 10.0, 12.0, 14.0] };
        assert_eq!(plane.sample((0.5, 0.5)), Some((6.0, 2.0, 10.0)));
        assert_eq!(plane.sample((2.0, 1.0)).map(|(value, ..)| value), Some(14.0));
        assert!(plane.sample((2.01, 0.0)).is_none() && plane.sample((-0.01, 0.0)).is_none());
    }
}
