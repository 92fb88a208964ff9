//! From the rows of finished trials to the tables of a sweep, printed and kept in the store.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use results::figure::{self, ArmsFigure};
use results::measures::{Primary, ProbeName};
use results::stats::verdict::Rules;
use results::table::{Table, TableOptions};
use results::{ResultRow, TEACHER, Unscored, UnscoredTrial, columns, render};
use run_spec::ids::Seed;
use store::{Store, StoreError};

use crate::evidence::{self, Checked};
use crate::identity::Life;
use crate::records::{Plan, Trial};
use crate::trial_state::State;

/// What the store holds of a plan.
#[derive(Debug)]
pub(crate) struct Collected {
    /// Rows of finished trials.
    pub(crate) rows: Vec<ResultRow>,
    /// Trials without rows, with the reason.
    pub(crate) without: Vec<UnscoredTrial>,
}

/// Collects what the store holds of `plan`. A baseline's rows are counted with each finished trial that it belongs to.
pub(crate) fn collect(store: &Store, plan: &Plan) -> Result<Collected> {
    let (mut rows, mut without) = (Vec::new(), Vec::new());
    let mut baselines: BTreeMap<String, Vec<ResultRow>> = BTreeMap::new();
    for trial in plan.with_baselines(plan.trials()) {
        let Checked { state, rows: of_trial } = evidence::state(store, plan, &trial)?;
        if let Some((state, reason)) = unscored(state) {
            let (arm, trial_digest) = (trial.arm.name.clone(), trial.arm.trial);
            without.push(UnscoredTrial { arm, seed: trial.seed, trial: trial_digest, state, reason });
        } else if let Some(baseline) = trial.baseline {
            let named = of_trial.into_iter().map(|row| ResultRow { dataset: baseline.eval.clone(), ..row });
            baselines.insert(trial.label(), named.collect());
        } else {
            let shared = plan.baselines_of(&trial).filter_map(|baseline| baselines.get(&baseline.label()));
            let shared: Vec<&ResultRow> = shared.flatten().collect();
            // A probe of an older version scored baselines too; the shared ones count.
            let again = |row: &ResultRow| row.features != TEACHER && shared.iter().any(|s| s.features == row.features);
            let own = of_trial.into_iter().filter(|row| !again(row));
            rows.extend(own.chain(shared.iter().copied().cloned()).map(|row| placed(row, plan, &trial)));
        }
    }
    Ok(Collected { rows, without })
}

/// Why a trial in `state` has no scores; `None` where it has.
fn unscored(state: State) -> Option<(Unscored, String)> {
    Some(match state {
        State::Finished { .. } => return None,
        State::Missing | State::SetAside { .. } => (Unscored::NotRun, String::new()),
        State::Failed { attempt, record } if record.cause.blames_the_trial() => {
            (Unscored::Failed, format!("attempt {attempt}: {}", record.message))
        }
        State::Failed { attempt, record } => (Unscored::CutOff, format!("attempt {attempt}: {}", record.message)),
        State::Claimed { attempt, life: Life::Dead, .. } => {
            (Unscored::CutOff, format!("attempt {attempt}: its orchestrator died; start the sweep again"))
        }
        State::Claimed { attempt, .. } => (Unscored::Running, format!("attempt {attempt}")),
        State::Damaged { attempt, what } => (Unscored::Damaged, format!("attempt {attempt}: {what}")),
    })
}

/// The worker knows the run; what the run is in this sweep, the plan knows: another sweep may call the same trial otherwise.
fn placed(row: ResultRow, plan: &Plan, trial: &Trial<'_>) -> ResultRow {
    ResultRow {
        run: format!("{}/{}", plan.name, trial.label()),
        arm: trial.arm.name.clone(),
        seed: trial.seed,
        trial: trial.arm.trial,
        ..row
    }
}

/// Folds what was collected into the comparison.
pub(crate) fn table(plan: &Plan, collected: &Collected) -> Result<Table> {
    let options = TableOptions {
        title: format!("Sweep {}", plan.name),
        reference: Some(plan.reference.clone()),
        arms: plan.arms.iter().map(|arm| arm.name.clone()).collect(),
        evidence: plan.evidence,
        primary: Primary::default(),
        primaries: plan.evals.iter().map(|eval| (eval.name.clone(), eval.primary)).collect(),
        rules: Rules { margin: plan.equivalence, ..Rules::default() },
    };
    Ok(Table::build(&collected.rows, &collected.without, &options)?)
}

/// The table as a Markdown report: every metric, the arms' deltas, where it came from.
pub(crate) fn report(plan: &Plan, table: &Table) -> String {
    let mut out = render::markdown(table);
    out.push_str("\n## Arms\n\n| arm | changes | trial | trained on |\n|---|---|---|---|\n");
    for arm in &plan.arms {
        let changes = crate::show::delta(arm, &plan.arms[0]).replace('|', "\\|");
        let (trial, shards) = (arm.trial.short(), arm.shards.digest.short());
        out.push_str(&format!("| {} | {changes} | `{trial}` | shards `{shards}` |\n", arm.name));
    }
    let seeds = plan.seeds.iter().map(Seed::to_string).collect::<Vec<_>>().join(", ");
    out.push_str(&format!("\nSeeds {seeds}. Code {}. Sweep `{}`.\n", plan.code.version, plan.digest.short()));
    for eval in &plan.evals {
        out.push_str(&format!(
            "Evaluated on {}: shards `{}`, split {}.\n",
            eval.name,
            eval.shards.digest.short(),
            eval.split
        ));
    }
    out
}

/// Writes report, CSV and Parquet under the sweep's next table number, unless the newest holds the same already.
/// Returns the key of the folder.
pub(crate) fn keep(store: &Store, plan: &Plan, table: &Table, rows: &[ResultRow]) -> Result<String> {
    let root = format!("{}/tables", plan.key());
    let mut files = vec![
        ("summary.csv".to_owned(), render::csv(table)?.into_bytes()),
        ("summary.parquet".to_owned(), render::parquet(table)?),
        ("rows.parquet".to_owned(), columns::to_parquet(rows)?),
    ];
    if !table.classes.is_empty() {
        files.push(("classes.csv".to_owned(), render::classes_csv(table)?.into_bytes()));
    }
    for eval in &plan.evals {
        let probes = panels(eval.primary);
        let metric = eval.primary.metric.name();
        let figure = ArmsFigure { table, dataset: &eval.name, split: &eval.split, metric, probes: &probes };
        // A table without the primary metric is whole without a picture.
        if let Ok(svg) = figure::arms(&figure) {
            files.push((format!("figure-{}.svg", eval.name), svg.into_bytes()));
        }
    }
    // Last, so that a folder with a report is whole.
    files.push(("report.md".to_owned(), report(plan, table).into_bytes()));
    // Two orchestrators that end at once keep the same table; whoever finds another table there takes the next number.
    let mut n = newest_number(&store.list(&root)?, &root).unwrap_or(1);
    while !keep_as(store, &format!("{root}/{n}"), &files)? {
        n += 1;
    }
    Ok(format!("{root}/{n}"))
}

/// The probes of a picture, the primary one first.
fn panels(primary: Primary) -> Vec<&'static str> {
    let others = ProbeName::ALL.into_iter().filter(|probe| *probe != primary.probe);
    std::iter::once(primary.probe).chain(others).map(ProbeName::name).collect()
}

/// Puts all files under `folder`. False: it holds another table.
fn keep_as(store: &Store, folder: &str, files: &[(String, Vec<u8>)]) -> Result<bool> {
    for (name, bytes) in files {
        match store.ensure(&format!("{folder}/{name}"), Bytes::from(bytes.clone())) {
            Ok(_) => {}
            Err(StoreError::Differs { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn newest_number(keys: &[String], root: &str) -> Option<u32> {
    keys.iter().filter_map(|key| key.strip_prefix(root)?.strip_prefix('/')?.split('/').next()?.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_is_newer_than_nine() {
        let keys: Vec<String> = [9, 10, 1].map(|n| format!("r/tables/{n}/report.md")).into();
        assert_eq!(newest_number(&keys, "r/tables"), Some(10));
        assert_eq!(newest_number(&[], "r/tables"), None);
    }
}
