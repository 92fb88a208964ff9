//! `orchestrator results --recompute`: derives the rows of finished trials again from their predictions, and compares them
//! with the rows that are stored.

use std::process::ExitCode;

use anyhow::Result;
use results::ResultRow;
use run_spec::ids::Attempt;
use store::Store;

use crate::records::{Finished, Plan, RowsRef, Trial};
use crate::trial_state::{self, State};
use crate::{evidence, tables};

/// What was compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    /// Files of rows that are the same.
    same: usize,
    /// Files of rows whose worker, of an older version, left no predictions.
    without: usize,
    /// What differs, a sentence for each file.
    different: Vec<String>,
}

/// The number of files of rows that are those of their predictions, and what differs.
#[cfg(test)]
pub(crate) fn compared(store: &Store, plan: &Plan) -> Result<(usize, Vec<String>)> {
    all(store, plan).map(|Compared { same, different, .. }| (same, different))
}

fn all(store: &Store, plan: &Plan) -> Result<Compared> {
    let mut compared = Compared::default();
    for trial in plan.with_baselines(plan.trials()) {
        compare(store, plan, &trial, &mut compared)?;
    }
    Ok(compared)
}

/// Compares the rows of all finished trials of `plan`, and says how they compare. Exit status 1 where any differ.
pub(crate) fn run(store: &Store, plan: &Plan) -> Result<ExitCode> {
    let compared = all(store, plan)?;
    for sentence in &compared.different {
        terminal::line(sentence);
    }
    let Compared { same, without, different } = &compared;
    terminal::line(format!("{same} files of rows agree with their predictions, {} differ", different.len()));
    if *without > 0 {
        terminal::line(format!("{without} have no predictions (written by an older version)"));
    }
    Ok(if different.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares all files of a trial; one that cannot be used is named, and the others are compared.
fn compare(store: &Store, plan: &Plan, trial: &Trial<'_>, compared: &mut Compared) -> Result<()> {
    match trial_state::state(store, trial)? {
        State::Damaged { what, .. } => compared.different.push(format!("{}: {what}", trial.label())),
        State::Finished { attempt, record } => {
            for file in &record.rows {
                match of_file(store, plan, trial, (attempt, &record), file) {
                    Ok(Found::Same) => compared.same += 1,
                    Ok(Found::Without) => compared.without += 1,
                    Ok(Found::Differs(what)) => {
                        compared.different.push(format!("{}: {what}", store.uri_of(&file.key)));
                    }
                    Err(error) if tables::is_away(&error) => return Err(error),
                    Err(error) => compared.different.push(format!("{}: {error:#}", trial.label())),
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// What comparing one file of rows with its predictions found.
enum Found {
    Same,
    Without,
    Differs(String),
}

fn of_file(
    store: &Store,
    plan: &Plan,
    trial: &Trial<'_>,
    (attempt, record): (Attempt, &Finished),
    file: &RowsRef,
) -> Result<Found> {
    let (key, stored) = evidence::rows_of_file(store, plan, trial, attempt, file)?;
    let Some(predictions) = evidence::predictions(store, record, &key.eval)? else { return Ok(Found::Without) };
    evidence::check_origin(store, plan, trial, (&key, &stored), predictions.metadata())?;
    Ok(difference(&stored, &predictions.rows()?).map_or(Found::Same, Found::Differs))
}

/// The first row in which the two differ, in words.
fn difference(stored: &[ResultRow], derived: &[ResultRow]) -> Option<String> {
    let unequal = stored.iter().zip(derived).find(|(stored, derived)| stored != derived);
    if let Some((stored, derived)) = unequal {
        let (subject, other) = (stored.subject(), derived.subject());
        return Some(if subject != other {
            format!("the row {subject} is stored where its predictions give {other}")
        } else if stored.value != derived.value {
            format!("{subject} is {} as stored, and {} by its predictions", stored.value, derived.value)
        } else {
            format!("{subject} has other columns than its predictions give: stored {stored:?}, derived {derived:?}")
        });
    }
    let (stored, derived) = (stored.len(), derived.len());
    (stored != derived).then(|| format!("{stored} rows are stored where its predictions give {derived}"))
}
