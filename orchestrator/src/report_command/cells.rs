//! What each probe made of each cell.

use anyhow::Result;
use report::Tally;
use report::data::{Evaluation, Kind};
use results::table::line_name;
use store::Store;

use crate::records::{EvalSet, Plan, Trial};
use crate::tables::{self, Collected};

/// Counts the predictions of the primary probe; `None` where no trial keeps any.
pub(super) fn tally(
    store: &Store,
    plan: &Plan,
    collected: &Collected<'_>,
    (eval, evaluation): (&EvalSet, &Evaluation),
) -> Result<Option<Tally>> {
    let primary = eval.primary;
    let mut tally: Option<Tally> = None;
    // Arms in order, the reference first; baselines last.
    let (arms, baselines): (Vec<_>, Vec<_>) = collected.finished().partition(|(trial, _)| trial.baseline.is_none());
    for (trial, record) in arms.into_iter().chain(baselines) {
        let found = match tables::predictions(store, (trial, record), &eval.name) {
            Ok(found) => found,
            Err(error) if tables::is_away(&error) => return Err(error),
            // The table has named it.
            Err(_) => None,
        };
        let Some((predictions, features)) = found else { continue };
        let task = &predictions.metadata().task;
        if task.probe(primary.probe.name()).is_none() {
            continue;
        }
        let tally = tally.get_or_insert_with(|| Tally::new(task.classes.clone(), primary.metric));
        let (name, kind) = line_of(plan, trial, features, evaluation);
        tally.add((&name, kind), |see| predictions.cells((features, primary.probe.name()), see))?;
    }
    Ok(tally)
}

/// The line of the table that a trial is counted in, and what it is.
fn line_of(plan: &Plan, trial: &Trial<'_>, features: &str, evaluation: &Evaluation) -> (String, Kind) {
    let Some(baseline) = trial.baseline else {
        let kind = if trial.arm.name == plan.reference { Kind::Reference } else { Kind::Arm };
        return (trial.arm.name.clone(), kind);
    };
    let shared = line_name(features, "");
    if evaluation.arms.iter().any(|arm| arm.name == shared) {
        return (shared, Kind::Baseline);
    }
    let of_arm = baseline.trials.first().and_then(|label| label.rsplit_once("/seed-")).map_or("", |(arm, _)| arm);
    (line_name(features, of_arm), Kind::Baseline)
}
