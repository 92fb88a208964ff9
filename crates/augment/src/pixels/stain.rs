//! Colour as amounts of dye: optical densities, the H, E and DAB space, and the two classical normalisations.

use super::pca::eigh3;
use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::round::round_u8;

/// A 3 x 3 matrix by rows.
pub(crate) type Matrix = [[f64; 3]; 3];

/// Optical densities (R, G, B) of haematoxylin, eosin and DAB, a row each (Ruifrok and Johnston, 2001).
pub(crate) const RGB_FROM_HED: Matrix = [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]];

/// The row vector times the matrix: `row · matrix`.
fn times(row: [f64; 3], matrix: &Matrix) -> [f64; 3] {
    std::array::from_fn(|c| row[0] * matrix[0][c] + row[1] * matrix[1][c] + row[2] * matrix[2][c])
}

/// The inverse; the matrices here have one.
fn inverse(m: &Matrix) -> Matrix {
    let minor = |r: usize, c: usize| {
        let (a, b, x, y) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[a][x] * m[b][y] - m[a][y] * m[b][x]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant))
}

/// Scales and shifts the amounts of haematoxylin, eosin and DAB. An amount is in units of 6 decades of density (a dye of
/// amount 1 lets one part in a million through), as in scikit-image; with `cut`, amounts below 0 are 0 first, as there.
pub(crate) fn jitter_hed(image: &mut PixelBuffer, scale: [f64; 3], shift: [f64; 3], cut: bool) {
    /// What a level of 0 counts as, as a share of full light.
    const DARK: f64 = 1e-6;
    let amount = DARK.ln();
    let (hed_from_rgb, densities) =
        (inverse(&RGB_FROM_HED), super::lut::floats(|v| (v / 255.0).max(DARK).ln() / amount));
    for pixel in image.data.as_chunks_mut::<3>().0 {
        let stains = times(pixel.map(|v| densities[v as usize]), &hed_from_rgb);
        let changed = std::array::from_fn(|c| {
            let stain = if cut { stains[c].max(0.0) } else { stains[c] };
            stain * scale[c] + shift[c]
        });
        let density = times(changed, &RGB_FROM_HED);
        *pixel = density.map(|d| round_u8(((d * amount) as f32).exp() * 255.0));
    }
}

/// What Macenko's method looks for and aims at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Macenko {
    /// Level of unstained glass.
    pub(crate) light: f64,
    /// Percentile of angles taken as a pure dye, from either end.
    pub(crate) alpha: f64,
    /// Optical density below which a pixel is glass.
    pub(crate) beta: f64,
    /// Densities (R, G, B) of the two dyes in the result.
    pub(crate) stains: [[f64; 3]; 2],
    /// The 99th percentile of their amounts in the result.
    pub(crate) most: [f64; 2],
}

/// The value at `percent` of sorted `values`, between two by distance; `values` is left partly sorted.
fn percentile(values: &mut [f64], percent: f64) -> f64 {
    let at = percent / 100.0 * (values.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let (_, &mut below, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(below);
    below + (next - below) * part
}

/// The least-squares amounts of two dyes: rows of `(SᵀS)⁻¹ Sᵀ`, or none where the dyes are one.
fn unmixing(stains: &[[f64; 3]; 2]) -> Option<[[f64; 3]; 2]> {
    let dot = |a: &[f64; 3], b: &[f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let [p, q] = stains;
    let (pp, pq, qq) = (dot(p, p), dot(p, q), dot(q, q));
    let determinant = pp * qq - pq * pq;
    if determinant.is_nan() || determinant <= 1e-9 * pp * qq {
        return None;
    }
    let row = |a: f64, b: f64| std::array::from_fn(|c| (a * p[c] + b * q[c]) / determinant);
    Some([row(qq, -pq), row(-pq, pp)])
}

/// Macenko and others (2009): the two dyes of a slide are the extreme directions within the plane of its densities; they
/// are replaced by given ones. An image with too little colour to find two dyes stays as it is.
pub(crate) fn macenko(image: &mut PixelBuffer, how: &Macenko) {
    let densities = super::lut::floats(|v| -((v + 1.0) / how.light).ln());
    let density = |p: &[u8; 3]| p.map(|v| densities[v as usize]);
    let pixels = image.data.as_chunks::<3>().0;
    let mut stained = Buf::<[f64; 3]>::with_capacity(pixels.len());
    stained.extend(pixels.iter().map(density).filter(|d| d.iter().all(|&d| d >= how.beta)));
    if stained.len() < 3 {
        return;
    }
    let (_, vectors) = eigh3(covariance(&stained));
    // Angles count from the second direction, so that the first one's sign does not matter.
    let along = |d: &[f64; 3], axis: usize| (0..3).map(|c| d[c] * vectors[c][axis]).sum::<f64>();
    let mut angles = Buf::collect(stained.len(), stained.iter().map(|d| along(d, 2).atan2(along(d, 1))));
    let mut dye = |percent: f64| {
        let (sin, cos) = percentile(&mut angles, percent).sin_cos();
        [0, 1, 2].map(|c| vectors[c][1] * cos + vectors[c][2] * sin)
    };
    let (low, high) = (dye(how.alpha), dye(100.0 - how.alpha));
    // Haematoxylin takes more red.
    let found = if low[0] > high[0] { [low, high] } else { [high, low] };
    let Some(unmix) = unmixing(&found) else { return };
    let amount = |d: &[f64; 3], dye: usize| (0..3).map(|c| unmix[dye][c] * d[c]).sum::<f64>();
    let mut ratio = [0.0; 2];
    for (dye, ratio) in ratio.iter_mut().enumerate() {
        let mut amounts = Buf::collect(pixels.len(), pixels.iter().map(|p| amount(&density(p), dye)));
        *ratio = how.most[dye] / percentile(&mut amounts, 99.0);
    }
    if !ratio.iter().all(|r| r.is_finite() && *r > 0.0) {
        return;
    }
    for pixel in image.data.as_chunks_mut::<3>().0 {
        let d = density(pixel);
        let amounts = [amount(&d, 0) * ratio[0], amount(&d, 1) * ratio[1]];
        *pixel = std::array::from_fn(|c| {
            let sum = amounts[0] * how.stains[0][c] + amounts[1] * how.stains[1][c];
            crate::round::trunc_u8(how.light * (-sum).exp())
        });
    }
}

/// Covariance of at least two rows.
fn covariance(rows: &[[f64; 3]]) -> Matrix {
    let n = rows.len() as f64;
    let mean: [f64; 3] = std::array::from_fn(|c| rows.iter().map(|row| row[c]).sum::<f64>() / n);
    let mut sums = [[0.0; 3]; 3];
    for row in rows {
        for i in 0..3 {
            for j in 0..3 {
                sums[i][j] += (row[i] - mean[i]) * (row[j] - mean[j]);
            }
        }
    }
    sums.map(|row| row.map(|sum| sum / (n - 1.0)))
}

/// Cone responses of R, G, B (Reinhard and others, 2001), a row each.
const LMS_FROM_RGB: Matrix = [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]];

/// Reinhard and others (2001): mean and spread of each axis of lαβ (of logarithms to base 10 of levels, which count as at
/// least 1) become `mean` and `spread`.
pub(crate) fn reinhard(image: &mut PixelBuffer, mean: [f64; 3], spread: [f64; 3]) {
    let (a, b, c) = (1.0 / 3f64.sqrt(), 1.0 / 6f64.sqrt(), 1.0 / 2f64.sqrt());
    let lab_from_logs: Matrix = [[a, a, a], [b, b, -2.0 * b], [c, -c, 0.0]];
    let logs_from_lab = transposed(&lab_from_logs); // its rows are orthonormal
    let (to_lms, from_lms) = (transposed(&LMS_FROM_RGB), transposed(&inverse(&LMS_FROM_RGB)));
    let (to_lab, from_lab) = (transposed(&lab_from_logs), transposed(&logs_from_lab));
    let lab = |p: &[u8; 3]| {
        let lms = times(p.map(|v| f64::from(v.max(1))), &to_lms);
        times(lms.map(f64::log10), &to_lab)
    };
    let pixels = image.data.as_chunks_mut::<3>().0;
    let mut values = Buf::<[f64; 3]>::with_capacity(pixels.len());
    values.extend(pixels.iter().map(lab));
    let n = values.len() as f64;
    let own: [f64; 3] = std::array::from_fn(|k| values.iter().map(|v| v[k]).sum::<f64>() / n);
    let scale: [f64; 3] = std::array::from_fn(|k| {
        let variance = values.iter().map(|v| (v[k] - own[k]).powi(2)).sum::<f64>() / n;
        // An axis without spread has nothing to stretch.
        if variance.sqrt() > 1e-6 { spread[k] / variance.sqrt() } else { 1.0 }
    });
    for (pixel, value) in pixels.iter_mut().zip(values.iter()) {
        let moved = std::array::from_fn(|k| (value[k] - own[k]) * scale[k] + mean[k]);
        let lms = times(moved, &from_lab).map(|log| 10f64.powf(log));
        *pixel = times(lms, &from_lms).map(|v| v.round_ties_even().clamp(0.0, 255.0) as u8);
    }
}

fn transposed(m: &Matrix) -> Matrix {
    std::array::from_fn(|r| std::array::from_fn(|c| m[c][r]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let back = inverse(&RGB_FROM_HED);
        for (r, row) in RGB_FROM_HED.iter().enumerate() {
            for (c, v) in times(*row, &back).into_iter().enumerate() {
                assert!((v - if r == c { 1.0 } else { 0.0 }).abs() < 1e-12, "{r}, {c}: {v}");
            }
        }
    }

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&mut values, 0.0), 1.0);
        assert_eq!(percentile(&mut values, 50.0), 2.5);
        assert_eq!(percentile(&mut values, 100.0), 4.0);
        assert!((percentile(&mut values, 99.0) - 3.97).abs() < 1e-12);
    }
}
