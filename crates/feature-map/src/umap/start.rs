//! Where the rows of a map start.

use run_spec::seed::stream;

use super::layout::Position;
use crate::pca::Pca;
use crate::{MapError, Points};

/// Side of the square in which rows start.
const SIDE: f64 = 10.0;
/// Standard deviation of what is added, so that equal rows do not start, and stay, at one place.
const NOISE: f64 = 1e-4;
/// An axis that varies less than this share of the other one holds rounding, not features.
const NOTHING: f64 = 1e-9;

/// The first two principal components, each stretched to the side of the square as umap-learn does; 0 along an axis on which
/// rows do not vary.
pub(super) fn principal(points: Points<'_>, seed: u64) -> Result<Vec<Position>, MapError> {
    let axes = points.dim().min(2);
    let places = Pca::fit(points, axes)?.transform(points)?;
    let ranges: Vec<(f64, f64)> = (0..axes).map(|axis| range(places.iter().skip(axis).step_by(axes))).collect();
    let widest = ranges.iter().map(|(low, high)| high - low).fold(0.0, f64::max);
    let mut noise = stream(seed, "feature-map/start", &[]);
    let mut positions = vec![[0.0; 2]; points.rows()];
    for (position, place) in positions.iter_mut().zip(places.chunks_exact(axes)) {
        for ((value, x), (low, high)) in position.iter_mut().zip(place).zip(&ranges) {
            if high - low > NOTHING * widest {
                *value = SIDE * (x - low) / (high - low);
            }
        }
        position.iter_mut().for_each(|value| *value += NOISE * noise.normal());
    }
    Ok(positions)
}

fn range<'a>(values: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_components_fill_the_square_and_noise_parts_equal_rows() {
        let data: Vec<f32> = (0..100).flat_map(|i| [(i / 2) as f32, (i / 2 % 7) as f32 * 0.1, 0.0]).collect();
        let positions = principal(Points::new(3, &data).unwrap(), 1).unwrap();
        for axis in 0..2 {
            let values: Vec<f64> = positions.iter().map(|position| position[axis]).collect();
            let (low, high) = range(values.iter());
            assert!(low.abs() < 0.001 && (high - 10.0).abs() < 0.001, "{low} {high}");
        }
        let gap = [positions[0][0] - positions[1][0], positions[0][1] - positions[1][1]];
        assert!(gap.iter().all(|v| v.abs() < 0.001) && gap != [0.0; 2], "{gap:?}");
    }

    #[test]
    fn an_axis_without_variation_holds_noise_only() {
        let data: Vec<f32> = (0..100).flat_map(|i| [i as f32, 2.0 * i as f32]).collect();
        let positions = principal(Points::new(2, &data).unwrap(), 1).unwrap();
        assert!(positions.iter().all(|position| position[1].abs() < 0.001), "{positions:?}");
        assert!((positions[99][0] - positions[0][0]).abs() > 9.9);
    }
}
