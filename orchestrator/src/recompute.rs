//! `orchestrator results --recompute`: derives the rows of finished trials again from their predictions, and compares them
//! with the rows that are stored.

use std::process::ExitCode;

use anyhow::Result;
use results::{ResultRow, row};
use store::Store;

use crate::evidence;
use crate::keys::RowsKey;

use crate::records::{Plan, Trial};
use crate::trial_state::State;

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

/// Compares the rows of all finished trials of `plan`, and says how they compare. Exit status 1 where any differ.
pub(crate) fn run(store: &Store, plan: &Plan) -> Result<ExitCode> {
    let mut compared = Compared::default();
    for trial in plan.with_baselines(plan.trials()) {
        compare(store, plan, &trial, &mut compared)?;
    }
    for sentence in &compared.different {
        terminal::line(sentence);
    }
    let Compared { same, without, different } = &compared;
    terminal::line(format!("{same} files of rows are those of their predictions, {} differ", different.len()));
    if *without > 0 {
        terminal::line(format!("{without} have no predictions, which workers of older versions did not keep"));
    }
    Ok(if different.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(store: &Store, plan: &Plan, trial: &Trial<'_>, compared: &mut Compared) -> Result<()> {
    match evidence::state(store, plan, trial)?.state {
        State::Damaged { what, .. } => compared.different.push(format!("{}: {what}", trial.label())),
        State::Finished { record, .. } => {
            for key in record.rows.iter().filter_map(|file| RowsKey::parse(&file.key)) {
                let Some(predictions) = evidence::predictions(store, &record, &key.eval)? else {
                    compared.without += 1;
                    continue;
                };
                let place = store.uri_of(&key.to_string());
                let stored = String::from_utf8_lossy(&store.get(&key.to_string())?).into_owned();
                match difference(&row::from_json_lines(&stored, &place)?, &predictions.rows()?) {
                    None => compared.same += 1,
                    Some(what) => compared.different.push(format!("{place}: {what}")),
                }
            }
        }
        _ => {}
    }
    Ok(())
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
