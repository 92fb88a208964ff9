//! Many rows times few: the product x·dᵀ, whose rows are long and whose columns are as few as the classes.
//!
//! A general matrix product would first copy all of x into another order, which costs more than the product itself.
//! Each entry is a sum of four interleaved sums, the same on any processor.

use ndarray::{Array2, ArrayView2};

/// Sums kept at once for one entry.
const LANES: usize = 4;
/// Columns of the result made in one pass over a row.
const TOGETHER: usize = 4;

/// x·dᵀ `[n, m]` for x `[n, p]` and d `[m, p]`, both in standard layout.
pub(super) fn times_transposed(x: ArrayView2<'_, f64>, d: &Array2<f64>) -> Array2<f64> {
    let (m, p) = d.dim();
    let mut out = Array2::zeros((x.nrows(), m));
    let d = d.as_slice().expect("standard layout");
    for (mut out, x) in out.rows_mut().into_iter().zip(x.rows()) {
        let (x, out) = (x.to_slice().expect("standard layout"), out.as_slice_mut().expect("standard layout"));
        let mut few = out.chunks_exact_mut(TOGETHER);
        let mut ds = d.chunks_exact(TOGETHER * p);
        for (out, d) in few.by_ref().zip(ds.by_ref()) {
            let dots = dots::<TOGETHER>(x, std::array::from_fn(|a| &d[a * p..(a + 1) * p]));
            out.copy_from_slice(&dots);
        }
        for (out, d) in few.into_remainder().iter_mut().zip(ds.remainder().chunks_exact(p)) {
            [*out] = dots(x, [d]);
        }
    }
    out
}

/// The products of one row with `N` others of its length.
#[inline]
fn dots<const N: usize>(x: &[f64], others: [&[f64]; N]) -> [f64; N] {
    let (x_lanes, x_rest) = x.as_chunks::<LANES>();
    let lanes = others.map(|other| &other.as_chunks::<LANES>().0[..x_lanes.len()]);
    let mut sums = [[0.0; LANES]; N];
    for (i, x) in x_lanes.iter().enumerate() {
        for (sums, lanes) in sums.iter_mut().zip(&lanes) {
            for ((sum, x), other) in sums.iter_mut().zip(x).zip(&lanes[i]) {
                *sum += x * other;
            }
        }
    }
    let first_of_rest = x.len() - x_rest.len();
    std::array::from_fn(|a| {
        let [s0, s1, s2, s3] = sums[a];
        let rest: f64 = x_rest.iter().zip(&others[a][first_of_rest..]).map(|(x, other)| x * other).sum();
        (s0 + s1) + (s2 + s3) + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    #[test]
    fn it_is_the_product() {
        let mut draws = stream(1, "test", &[]);
        for (n, m, p) in [(1, 1, 1), (3, 4, 8), (7, 9, 13), (2, 5, 3)] {
            let x = Array2::from_shape_simple_fn((n, p), || draws.normal());
            let d = Array2::from_shape_simple_fn((m, p), || draws.normal());
            let off = times_transposed(x.view(), &d) - x.dot(&d.t());
            assert!(off.iter().all(|v| v.abs() < 1e-12), "{off}");
        }
    }
}
