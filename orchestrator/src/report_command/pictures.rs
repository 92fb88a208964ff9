//! Pictures of the cells, and the map of their features.

use anyhow::{Context, Result, ensure};
use feature_map::{Points, umap};
use report::Tally;
use report::data::{Map, Sheet};
use results::TEACHER;
use run_folder::{FeaturesOf, Run};
use shards::atlas::{Atlas, AtlasSheet};
use store::Store;

use crate::keys::ATLASES;
use crate::records::{EvalSet, Finished, Plan, Trial};
use crate::tables::{self, Collected};

/// Cells of the largest map: 20,000 points are as many as a page shows well.
const MOST_CELLS: usize = 24_000;
/// The output of the model that probes keep.
const TOKEN: &str = "cls";

/// The pictures of an evaluation set; `None` where no probe kept any, where they cannot be read, or where they take more bytes
/// than there is `room`.
pub(super) fn atlas(store: &Store, eval: &EvalSet, room: &mut usize) -> Option<report::data::Atlas> {
    let found = match read_atlas(store, eval) {
        Ok(found) => found?,
        Err(error) => {
            terminal::note(format!("{}: its pictures are not shown: {error:#}", eval.name));
            return None;
        }
    };
    let bytes: usize = found.sheets.iter().map(|sheet| sheet.image.len()).sum();
    if bytes > *room {
        terminal::note(format!(
            "{}: its pictures are not shown: they take {}",
            eval.name,
            terminal::bytes(bytes as u64)
        ));
        return None;
    }
    *room -= bytes;
    Some(found)
}

fn read_atlas(store: &Store, eval: &EvalSet) -> Result<Option<report::data::Atlas>> {
    let store = &store.child(ATLASES);
    if !Atlas::is_there(store, &eval.shards.digest)? {
        return Ok(None);
    }
    let atlas = Atlas::read(store, &eval.shards.digest)?;
    let sheet = |(number, sheet): (usize, &AtlasSheet)| {
        let bytes = atlas.sheet(store, number)?;
        Ok(Sheet::of_jpeg(&bytes, sheet.columns, u32::try_from(sheet.first)?, u32::try_from(sheet.count)?))
    };
    let sheets = atlas.sheets.iter().enumerate().map(sheet).collect::<Result<_>>()?;
    Ok(Some(report::data::Atlas { tile: atlas.tile, sheets }))
}

/// The map of the reference's features under its first seed; `None` where no probe kept them, or they cannot be read.
pub(super) fn map(
    store: &Store,
    plan: &Plan,
    collected: &Collected<'_>,
    (eval, tally): (&EvalSet, &Tally),
) -> Option<Map> {
    let is_reference =
        |(trial, _): &(&Trial<'_>, &Finished)| trial.baseline.is_none() && trial.arm.name == plan.reference;
    let trial = collected.finished().find(is_reference)?;
    match places(store, trial, eval) {
        Ok(places) => {
            let words = "UMAP of the teacher's features (15 neighbours, Euclidean, seed 0) for";
            tally.map(&format!("{words} {}; predictions are those of the primary probe.", trial.0.label()), &places?)
        }
        Err(error) => {
            terminal::note(format!("{}: the map of its features is not shown: {error:#}", eval.name));
            None
        }
    }
}

fn places(store: &Store, trial: (&Trial<'_>, &Finished), eval: &EvalSet) -> Result<Option<Vec<umap::Place>>> {
    let Some((predictions, _)) = tables::predictions(store, trial, &eval.name)? else { return Ok(None) };
    let trial = trial.0;
    let metadata = predictions.metadata();
    let Some(origin) = metadata.features(TEACHER).map(|at| &metadata.features[at].origin) else { return Ok(None) };
    let Some(checkpoint) = origin.checkpoint else { return Ok(None) };
    let token = origin.token.clone().unwrap_or_else(|| TOKEN.to_owned());
    let size = trial.arm.config.resolve(&trial.label())?.crops.global_size.unsigned_abs();
    let of = FeaturesOf { checkpoint, shards: eval.shards.digest, token, size };
    let Some((record, bytes)) = Run::of(store.child(&trial.key().run())).kept_features(&of)? else { return Ok(None) };
    let features: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    let points = Points::new(usize::try_from(record.dim).context("the width of the features")?, &features)?;
    ensure!(points.rows() <= MOST_CELLS, "it has {} cells, and a map shows {MOST_CELLS}", points.rows());
    terminal::note(format!("{}: placing {} on a map", eval.name, terminal::counted(points.rows(), "cell")));
    Ok(Some(umap::fit(points, &umap::Settings::default())?.places().to_vec()))
}
