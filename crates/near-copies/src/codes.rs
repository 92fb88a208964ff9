//! Short codes of signatures, by which most pairs of a large collection are ruled out before their signatures are compared.
//!
//! All signatures are alike by what all pictures have in common, so the mean of the collection is taken away first; what is left of two
//! fields correlates by some hundredths and of two copies by half and more. The low harmonics change least when a picture is trimmed, turned or
//! compressed again, and neighbouring rings say the same. So forty numbers, of [`CODE_HARMONICS`] harmonics of [`GROUPS`] groups of rings, rule out
//! all but one pair in a hundred, and the [`LOW_HARMONICS`] harmonics of all rings all but a few in a million (docs/adr/0027). Whole numbers
//! in either case: a candidate is one on every machine.

use crate::fingerprint::{HARMONICS, SHIFTS, View};

/// Rings that the windows of all changes of scale have in common.
const WINDOW: usize = 40;
/// The first of them.
const FIRST: usize = SHIFTS as usize;
/// Changes of scale that are tried.
pub(crate) const SCALES: usize = 2 * SHIFTS as usize + 1;
/// Harmonics in a code.
const CODE_HARMONICS: usize = 4;
/// Rings in a group of a code.
const GROUP: usize = 4;
/// Groups of rings in a code.
const GROUPS: usize = WINDOW / GROUP;
/// Numbers of a code.
pub(crate) const CODE: usize = GROUPS * CODE_HARMONICS;
/// Harmonics of the second comparison.
const LOW_HARMONICS: usize = 8;
/// Length of a code before its numbers are rounded. Products of 40 numbers of up to 127 are exact in single precision.
const LENGTH: f64 = 400.0;
/// Correlation of two codes below which images are not copies: copies of real images have .52 and more.
const LEAST_CODE: f64 = 0.45;
/// Sum of the products of two codes from which they are compared further.
pub(crate) const LEAST_PRODUCT: f32 = (LEAST_CODE * LENGTH * LENGTH) as f32;
/// Correlation of the low harmonics below which images are not copies: copies of real images have .49 and more.
const LEAST_LOW: f32 = 0.42;

/// What is taken away from all signatures of a collection.
#[derive(Debug, Clone)]
pub(crate) struct Mean {
    /// Of the sums over a group of rings, by group and harmonic.
    code: [f64; CODE],
    /// Of each ring of the window and low harmonic.
    low: Vec<f32>,
    low_square: f32,
}

impl Mean {
    /// The mean of some views, which are at least one.
    pub(crate) fn of(views: &[&View]) -> Self {
        let mut sums = vec![0_i64; WINDOW * LOW_HARMONICS];
        for view in views {
            for (sum, value) in sums.iter_mut().zip(low(view, FIRST)) {
                *sum += i64::from(value);
            }
        }
        let count = views.len().max(1) as f64;
        let low: Vec<f32> = sums.iter().map(|&sum| (sum as f64 / count) as f32).collect();
        let code = std::array::from_fn(|at| {
            let (group, harmonic) = (at / CODE_HARMONICS, at % CODE_HARMONICS);
            let rings = (0..GROUP).map(|ring| sums[(group * GROUP + ring) * LOW_HARMONICS + harmonic]);
            rings.sum::<i64>() as f64 / count
        });
        Self { code, low_square: low.iter().map(|value| value * value).sum(), low }
    }
}

/// The low harmonics of the rings of a window that begins at ring `first`.
fn low(view: &View, first: usize) -> impl Iterator<Item = i16> + '_ {
    let rings = view.signature[first * HARMONICS..(first + WINDOW) * HARMONICS].chunks_exact(HARMONICS);
    rings.flat_map(|ring| ring[..LOW_HARMONICS].iter().copied())
}

/// The code of a view at a change of scale, 0 to [`SCALES`]; the middle one is that of no change.
pub(crate) fn code(view: &View, scale: usize, mean: &Mean) -> [f32; CODE] {
    let mut sums = [0_i32; CODE];
    for (ring, values) in view.signature[scale * HARMONICS..].chunks_exact(HARMONICS).take(WINDOW).enumerate() {
        let group = ring / GROUP * CODE_HARMONICS;
        for (sum, value) in sums[group..group + CODE_HARMONICS].iter_mut().zip(values) {
            *sum += i32::from(*value);
        }
    }
    let centred: [f64; CODE] = std::array::from_fn(|at| f64::from(sums[at]) - mean.code[at]);
    let length = centred.iter().map(|value| value * value).sum::<f64>().sqrt();
    let factor = if length > 0.0 { LENGTH / length } else { 0.0 };
    centred.map(|value| (value * factor).round().clamp(-127.0, 127.0) as f32)
}

/// The low harmonics of a view, made ready to be correlated.
#[derive(Debug)]
pub(crate) struct LowHarmonics {
    /// Of all rings.
    values: Vec<i16>,
    /// For each change of scale: product with the mean, and length without the mean.
    of_scale: [(f32, f32); SCALES],
}

impl LowHarmonics {
    pub(crate) fn new(view: &View, mean: &Mean) -> Self {
        let rings = view.signature.chunks_exact(HARMONICS);
        let values: Vec<i16> = rings.flat_map(|ring| ring[..LOW_HARMONICS].iter().copied()).collect();
        let of_scale = std::array::from_fn(|scale| {
            let window = window(&values, scale);
            let (mut square, mut with_mean) = (0_i64, 0.0_f32);
            for (&value, mean) in window.iter().zip(&mean.low) {
                square += i64::from(value) * i64::from(value);
                with_mean += f32::from(value) * mean;
            }
            (with_mean, (square as f32 - 2.0 * with_mean + mean.low_square).max(0.0).sqrt())
        });
        Self { values, of_scale }
    }

    /// Whether another view correlates enough with this one at some change of scale.
    pub(crate) fn may_be_a_copy(&self, other: &Self, mean: &Mean) -> bool {
        let (own_mean, own_length) = self.of_scale[FIRST];
        let own = window(&self.values, FIRST);
        (0..SCALES).any(|scale| {
            let (other_mean, other_length) = other.of_scale[scale];
            let products = own.iter().zip(window(&other.values, scale));
            let product = products.map(|(&a, &b)| i32::from(a).wrapping_mul(i32::from(b))).fold(0, i32::wrapping_add);
            let centred = product as f32 - own_mean - other_mean + mean.low_square;
            centred >= LEAST_LOW * own_length * other_length && own_length > 0.0 && other_length > 0.0
        })
    }
}

/// The rings of a window at a change of scale.
fn window(values: &[i16], scale: usize) -> &[i16] {
    &values[scale * LOW_HARMONICS..(scale + WINDOW) * LOW_HARMONICS]
}
