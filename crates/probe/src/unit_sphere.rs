//! Rows scaled to length one, where distance and angle rank neighbours alike.

use crate::Features;

/// Each row divided by its Euclidean norm; a row of zeros stays.
///
/// # Panics
/// Never: rows of finite numbers stay finite.
pub fn unit_rows(features: &Features) -> Features {
    let unit = |row: &[f32]| {
        let norm = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let factor = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        row.iter().map(|&v| (f64::from(v) * factor) as f32).collect::<Vec<f32>>()
    };
    let data = features.data().chunks_exact(features.dim()).flat_map(unit).collect();
    Features::new(features.dim(), data).expect("as many rows, each of finite numbers")
}

/// The product of two rows, summed in `f64`: of rows of length one, the cosine of their angle.
pub(crate) fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_length_one_and_zeros_stay() {
        let rows = unit_rows(&Features::new(2, vec![3.0, -4.0, 0.0, 0.0, 1e-30, 0.0]).unwrap());
        assert_eq!(rows.data(), [0.6, -0.8, 0.0, 0.0, 1.0, 0.0]);
        assert!((product(rows.row(0), rows.row(0)) - 1.0).abs() < 1e-6);
    }
}
