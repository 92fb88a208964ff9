//! How anomalous the patches of each cell are, for the evaluation `anomaly`.

use anyhow::Result;
use probe::evaluations::Setting;
use probe::patches::{Bank, bank_rows};

use crate::features::Extractor;
use crate::released::Frozen;

/// A network, and the side of the pictures that it is shown, px.
#[derive(Clone, Copy)]
pub(super) struct Model<'a> {
    pub(super) network: &'a dyn Frozen,
    pub(super) side: i64,
}

/// A score for each cell; `None` for a network without patch tokens. Patches are made batch by batch; those of the normal cells of each
/// fold are held.
pub(super) fn scores(model: Model<'_>, extractor: &Extractor<'_>, setting: &Setting<'_>) -> Result<Option<Vec<f64>>> {
    let Model { network, side } = model;
    let Some(encoder) = network.encoder() else { return Ok(None) };
    let (cells, patches) = (setting.cells, (side / encoder.backbone().shape().patch).pow(2) as usize);
    let mut banks = Vec::new();
    for rows in bank_rows(setting, patches)? {
        let mut tokens = Vec::new();
        let rows: Vec<u64> = rows.into_iter().map(|row| row as u64).collect();
        extractor.patches(encoder, side, &rows, |_, batch| {
            tokens.extend_from_slice(batch);
            Ok(())
        })?;
        banks.push(Bank::new(encoder.dim() as usize, tokens)?);
    }
    let mut scores = vec![0.0; cells.len()];
    for (fold, bank) in (0..).zip(&banks) {
        let rows: Vec<u64> =
            (0..).zip(cells.fold_of_row()).filter(|(_, of)| **of == fold).map(|(row, _)| row).collect();
        extractor.patches(encoder, side, &rows, |rows, batch| {
            let found = extractor.on_threads(|| bank.scores(patches, batch))?;
            rows.iter().zip(found).for_each(|(&row, score)| scores[row as usize] = score);
            Ok(())
        })?;
    }
    Ok(Some(scores))
}
