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
    let top = row.chunks(STRETCH).fold(f32::NEG_INFINITY, |top, stretch| top.max(largest(stretch)));
    let (kept, weight) = match top > highest {
        true => (exp((highest - top) * factor), 1.0),
        false => (1.0, exp((top - highest) * factor)),
    };
    let one = |s: &mut f32, m: &mut f32| {
        *s = exp((*s - top) * factor);
        *m = m.mul_add(kept, *s * weight);
    };
    let ((s, s_rest), (m, m_rest)) = (row.as_chunks_mut::<LANES>(), mass.as_chunks_mut::<LANES>());
    for (s, m) in s.iter_mut().zip(m) {
        for l in 0..LANES {
            one(&mut s[l], &mut m[l]);
        }
    }
    s_rest.iter_mut().zip(m_rest).for_each(|(s, m)| one(s, m));
    if top > highest { top } else { highest }
}

/// The reciprocal of a row's sum where its columns are scaled by `column`.
#[inline(always)]
fn scale_of(row: &[f32], column: &[f32]) -> f32 {
    let sum: f64 = row.chunks(STRETCH).zip(column.chunks(STRETCH)).map(|(row, column)| dot(row, column)).sum();
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
    row.iter_mut().zip(column).for_each(|(q, column)| *q = *q * column * scale);
}

#[inline(always)]
fn add_scaled_body(sums: &mut [f32], mass: &[f32], factor: f32) {
    sums.iter_mut().zip(mass).for_each(|(sum, mass)| *sum = mass.mul_add(factor, *sum));
}
