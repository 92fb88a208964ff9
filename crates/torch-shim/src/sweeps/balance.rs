//! The teacher's side: the sums of Sinkhorn-Knopp over exponentials of logits, whose rows and columns are scaled in place once, at the end.

use super::{
    apart,
    lanes::{LANES, STRETCH, dot, exp, largest},
    parallel::each,
    values, values_mut, wide,
};
use tch::Tensor;

/// The most parts that rows are cut into for sums over them.
const PARTS: usize = 64;

/// The fewest rows of a part: each part costs a vector of sums.
const LEAST_ROWS: usize = 32;

/// Stands for the mass of a row that reaches no prototype.
const TINY: f64 = 1e-34;

/// A matrix of exponentials on its way to targets.
///
/// Sums over rows are made in parts of rows whose number depends on the number of rows alone, and added in their order.
#[derive(Debug)]
pub struct Balance {
    /// `[N, K]`: `exp((logits − top of the row) / temp)`.
    q: Tensor,
    width: usize,
    /// Rows of a part.
    rows: usize,
    /// `[parts, K]`: sums over the rows of each part.
    masses: Vec<f32>,
    /// What the first masses of each part are relative to: the largest logit of its rows, divided by the temperature.
    tops: Vec<f32>,
}

impl Balance {
    /// Takes exponentials of `logits` `[N, K]`, which fit ([`super::fit`]), divided by `temp`, each row below its own maximum.
    pub fn of(mut logits: Tensor, temp: f64) -> Self {
        let size = logits.size();
        let (n, width) = (size[0] as usize, size[1] as usize);
        let rows = n.div_ceil(PARTS).max(LEAST_ROWS);
        let parts = n.div_ceil(rows);
        let (mut masses, mut tops) = (vec![0.0; parts * width], vec![0.0; parts]);
        let parts = values_mut(&mut logits).chunks_mut(rows * width);
        let factor = (1.0 / temp) as f32;
        each(parts.zip(masses.chunks_exact_mut(width)).zip(&mut tops).collect(), |((part, mass), top)| {
            let highest = |highest: f32, row: &mut [f32]| begin(row, mass, factor, highest);
            *top = part.chunks_exact_mut(width).fold(f32::NEG_INFINITY, highest) * factor;
        });
        Self { q: logits, width, rows, masses, tops }
    }

    /// The exponentials `[N, K]`.
    pub fn exponentials(&self) -> &Tensor {
        &self.q
    }

    /// How many numbers are kept of sums over parts of rows.
    pub fn sums(&self) -> usize {
        self.masses.len()
    }

    /// The largest logit divided by the temperature, `[1]`.
    pub fn top(&self) -> Tensor {
        Tensor::from_slice(&[self.tops.iter().copied().fold(f32::NEG_INFINITY, f32::max)])
    }

    /// `Σ_n exp(logits_nk / temp − top)`, `[K]`; `top` `[1]` is at least the own ([`Balance::top`]).
    pub fn first_mass(&self, top: &Tensor) -> Tensor {
        let top = values(top)[0];
        self.mass(&self.tops.iter().map(|own| exp(own - top)).collect::<Vec<_>>())
    }

    /// Scales the columns by `column` `[K]` and then every row to a sum of 1: the sum of each column after that, `[K]`.
    pub fn next_mass(&mut self, column: &Tensor) -> Tensor {
        let (width, column) = (self.width, values(column));
        let parts = values(&self.q).chunks(self.rows * width);
        each(parts.zip(self.masses.chunks_exact_mut(width)).collect(), |(part, mass)| {
            mass.fill(0.0);
            part.chunks_exact(width).for_each(|row| add_row(mass, row, column));
        });
        self.mass(&vec![1.0; self.tops.len()])
    }

    /// The targets `[N, K]`: columns scaled by `column` `[K]`, and then every row to a sum of 1.
    pub fn finish(mut self, column: &Tensor) -> Tensor {
        apart(&self.q, column);
        let column = values(column);
        let rows = values_mut(&mut self.q).chunks_exact_mut(self.width);
        each(rows.collect(), |row| scale_row(row, column));
        self.q
    }

    /// The masses of all parts, each times its factor, added up.
    fn mass(&self, factors: &[f32]) -> Tensor {
        let (masses, width) = (&self.masses, self.width);
        let mut sums = vec![0.0; width];
        each(sums.chunks_mut(STRETCH).enumerate().collect(), |(i, sums)| {
            for (mass, &factor) in masses.chunks_exact(width).zip(factors) {
                add_scaled(sums, &mass[i * STRETCH..][..sums.len()], factor);
            }
        });
        Tensor::from_slice(&sums)
    }
}

wide! {
    /// Makes a row of logits exponentials below its own maximum, and adds them to `mass`, which is kept relative to the highest
    /// maximum so far: takes that of the rows before, and gives that with this row.
    fn begin(row: &mut [f32], mass: &mut [f32], factor: f32, highest: f32) -> f32 = begin_body;
    /// Adds a row of exponentials, scaled by `column` and to a sum of 1, to `mass` without `column`.
    fn add_row(mass: &mut [f32], row: &[f32], column: &[f32]) -> () = add_row_body;
    /// Scales a row by `column` and to a sum of 1.
    fn scale_row(row: &mut [f32], column: &[f32]) -> () = scale_row_body;
    /// `sums += factor · mass`.
    fn add_scaled(sums: &mut [f32], mass: &[f32], factor: f32) -> () = add_scaled_body;
}

#[inline(always)]
fn begin_body(row: &mut [f32], mass: &mut [f32], factor: f32, highest: f32) -> f32 {
    let top = largest(row);
    let (kept, weight) = match top > highest {
        true => (exp((highest - top) * factor), 1.0),
        false => (1.0, exp((top - highest) * factor)),
    };
    let ((whole, rest), (sums, sums_rest)) = (row.as_chunks_mut::<LANES>(), mass.as_chunks_mut::<LANES>());
    for (s, m) in whole.iter_mut().zip(sums) {
        for l in 0..LANES {
            let e = exp((s[l] - top) * factor);
            s[l] = e;
            m[l] = m[l].mul_add(kept, e * weight);
        }
    }
    for (s, m) in rest.iter_mut().zip(sums_rest) {
        *s = exp((*s - top) * factor);
        *m = m.mul_add(kept, *s * weight);
    }
    if top > highest { top } else { highest }
}

/// The reciprocal of a row's sum where its columns are scaled by `column`.
#[inline(always)]
fn scale_of(row: &[f32], column: &[f32]) -> f32 {
    let mut sum = 0.0;
    for (row, column) in row.chunks(STRETCH).zip(column.chunks(STRETCH)) {
        sum += dot(row, column);
    }
    // A sum that is no number stays none.
    let sum = if sum < TINY { TINY } else { sum };
    (1.0 / sum) as f32
}

#[inline(always)]
fn add_row_body(mass: &mut [f32], row: &[f32], column: &[f32]) {
    add_scaled_body(mass, row, scale_of(row, column));
}

#[inline(always)]
fn scale_row_body(row: &mut [f32], column: &[f32]) {
    let scale = scale_of(row, column);
    for (q, column) in row.iter_mut().zip(column) {
        *q = *q * column * scale;
    }
}

#[inline(always)]
fn add_scaled_body(sums: &mut [f32], mass: &[f32], factor: f32) {
    for (sum, mass) in sums.iter_mut().zip(mass) {
        *sum = mass.mul_add(factor, *sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

    /// A fixed, uneven pattern between −`height` and `height`.
    fn pattern(n: i64, k: i64, height: f64) -> Tensor {
        ((Tensor::arange(n * k, F64) * 1.7).sin() * height).view([n, k]).to_kind(Kind::Float)
    }

    /// Three iterations as SwAV writes them, on one rank.
    fn plain(logits: &Tensor, temp: f64) -> Tensor {
        let mut q = (logits.to_kind(Kind::Double) / temp).softmax(1, Kind::Double);
        // The scale of a row decides about the first masses: that of the exponentials themselves.
        q *= (logits.to_kind(Kind::Double) / temp).logsumexp([1].as_slice(), true).exp();
        for _ in 0..3 {
            q = &q / q.sum_dim_intlist([0].as_slice(), true, Kind::Double);
            q = &q / q.sum_dim_intlist([1].as_slice(), true, Kind::Double);
        }
        q
    }

    fn swept(logits: &Tensor, temp: f64) -> Tensor {
        let mut balance = Balance::of(logits.copy(), temp);
        let mut mass = balance.first_mass(&balance.top());
        for _ in 0..2 {
            mass = balance.next_mass(&mass.reciprocal());
        }
        balance.finish(&mass.reciprocal())
    }

    #[test]
    fn targets_are_those_of_operators_in_f64() {
        // One part of rows, and many; one stretch of a row, and many.
        for (n, k) in [(1, 3), (5, 33), (40, 4096), (200, 9001)] {
            let logits = pattern(n, k, 0.5);
            let (found, exact) = (swept(&logits, 0.05), plain(&logits, 0.05));
            let gap = (&found - &exact).abs().max().double_value(&[]) / exact.max().double_value(&[]);
            assert!(gap < 3e-6, "{n} × {k}: {gap:.1e}");
        }
    }

    #[test]
    fn rows_far_below_the_highest_keep_their_targets() {
        // The second row's exponentials vanish beside those of the first, which is 200 above.
        let logits = Tensor::cat(&[pattern(1, 50, 1.0) + 10.0, pattern(1, 50, 1.0)], 0);
        let sums = swept(&logits, 0.05).sum_dim_intlist([1].as_slice(), false, Kind::Double);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let logits = pattern(150, 5000, 0.5);
        let results = [1, 2, 5].map(|threads| {
            tch::set_num_threads(threads);
            swept(&logits, 0.05)
        });
        assert!(results.iter().all(|found| found.equal(&results[0])));
    }

    #[test]
    fn narrow_registers_give_the_same_bits() {
        let (mut wide, column) = (pattern(1, 5000, 0.5), pattern(1, 5000, 3.0).abs() + 1.0);
        let (mut narrow, mut masses) = (wide.copy(), [vec![0.25; 5000], vec![0.25; 5000]]);
        let [a, b] = &mut masses;
        let column = values(&column);
        let highest = begin(values_mut(&mut wide), a, 20.0, 0.1);
        assert_eq!(highest, begin_body(values_mut(&mut narrow), b, 20.0, 0.1));
        assert!(wide.equal(&narrow) && a == b);
        add_row(a, values(&wide), column);
        add_row_body(b, values(&narrow), column);
        assert_eq!(a, b);
        scale_row(values_mut(&mut wide), column);
        scale_row_body(values_mut(&mut narrow), column);
        assert!(wide.equal(&narrow));
    }

    #[test]
    fn what_is_not_finite_spreads_as_in_operators() {
        for broken in [f64::NAN, f64::INFINITY] {
            let logits = pattern(40, 100, 0.5);
            let _ = logits.get(1).get(40).fill_(broken);
            assert!(swept(&logits, 0.05).sum(Kind::Double).double_value(&[]).is_nan());
        }
    }
}
