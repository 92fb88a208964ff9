//! Anomalies by patches, as AnomalyDINO finds them (arXiv:2405.14529): a cell is as anomalous as the patches of it that are farthest from
//! every patch of some normal cells.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use results::measures::settings::ANOMALY_BANK_PATCHES;
use run_spec::seed::stream;

use crate::ProbeError;
use crate::evaluations::Setting;
use crate::protocol::Cells;

/// Share of a cell's patches, the farthest ones, whose mean distance is its score; one patch at least.
const TAIL: f64 = 0.01;

/// Patch tokens of normal cells, of length one.
#[derive(Debug, Clone)]
pub struct Bank {
    /// `[patches, d]`.
    tokens: Array2<f32>,
}

impl Bank {
    /// From tokens of `dim` features each, one after the other.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] for values that are not whole tokens.
    pub fn new(dim: usize, tokens: Vec<f32>) -> Result<Self, ProbeError> {
        Ok(Self { tokens: unit(dim, tokens)? })
    }

    /// The scores of cells whose `patches` tokens each stand one after the other: the mean of 1 − cosine to the nearest token of
    /// the bank, over the farthest patches.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] for values that are not whole cells.
    pub fn scores(&self, patches: usize, tokens: &[f32]) -> Result<Vec<f64>, ProbeError> {
        let of_cell = patches * self.tokens.ncols();
        if of_cell == 0 || !tokens.len().is_multiple_of(of_cell) {
            return Err(ProbeError::Shape { values: tokens.len(), dim: of_cell });
        }
        tokens
            .par_chunks_exact(of_cell)
            .map(|cell| Ok(self.score(unit(self.tokens.ncols(), cell.to_vec())?.view())))
            .collect()
    }

    fn score(&self, cell: ArrayView2<'_, f32>) -> f64 {
        let cosines = cell.dot(&self.tokens.t());
        let nearest = |row: ndarray::ArrayView1<'_, f32>| 1.0 - f64::from(row.iter().copied().fold(-1.0, f32::max));
        let mut distances: Vec<f64> = cosines.rows().into_iter().map(nearest).collect();
        distances.sort_by(|a, b| b.total_cmp(a));
        let tail = ((TAIL * distances.len() as f64).round() as usize).max(1);
        distances[..tail].iter().sum::<f64>() / tail as f64
    }
}

/// Tokens `[n, d]`, each divided by its length.
fn unit(dim: usize, tokens: Vec<f32>) -> Result<Array2<f32>, ProbeError> {
    let shape = ProbeError::Shape { values: tokens.len(), dim };
    let mut tokens = Array2::from_shape_vec((tokens.len() / dim.max(1), dim), tokens).map_err(|_| shape)?;
    for mut row in tokens.rows_mut() {
        let norm = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let factor = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        row.mapv_inplace(|v| v * factor);
    }
    Ok(tokens)
}

/// The normal cells whose patches form the bank of each fold, in the order of [`Cells::folds`], ascending: of the other folds, drawn from a
/// fixed seed, as many as hold [`ANOMALY_BANK_PATCHES`] at `patches` a cell.
///
/// # Errors
/// [`ProbeError::NotMeasurable`] for a normal class that there is not.
pub fn bank_rows(setting: &Setting<'_>, patches: usize) -> Result<Vec<Vec<usize>>, ProbeError> {
    let cells: &Cells = setting.cells;
    let normal = setting.normal_class()?;
    let most = (ANOMALY_BANK_PATCHES / patches.max(1)).max(1);
    let of_fold = |fold: usize| {
        let mut rows: Vec<usize> =
            cells.rows(|f| f != fold).into_iter().filter(|&row| cells.classes().of_row()[row] == normal).collect();
        stream(0, "probe/patches", &[fold as u64]).shuffle(&mut rows);
        rows.truncate(most);
        rows.sort_unstable();
        rows
    };
    Ok((0..cells.folds().len()).map(of_fold).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_strange_patch_makes_a_cell_strange() {
        let bank = Bank::new(2, vec![1.0, 0.0, 0.0, 2.0]).unwrap();
        let usual = [3.0, 0.0, 0.0, 0.5, 1.0, 0.0];
        let strange = [1.0, 0.0, -1.0, -1.0, 0.0, 1.0];
        let scores = bank.scores(3, &[usual, strange].concat()).unwrap();
        assert!(scores[0].abs() < 1e-6 && (scores[1] - (1.0 + 0.5f64.sqrt())).abs() < 1e-6, "{scores:?}");
        assert!(bank.scores(4, &usual).is_err() && Bank::new(4, vec![0.0; 3]).is_err());
    }

    #[test]
    fn a_share_of_many_patches_counts() {
        let bank = Bank::new(1, vec![1.0]).unwrap();
        let mut cell = vec![1.0; 300];
        cell[..2].fill(-1.0);
        // 1 % of 300 are 3 patches, of which two are 2 away.
        assert!((bank.scores(300, &cell).unwrap()[0] - 4.0 / 3.0).abs() < 1e-6);
    }
}
