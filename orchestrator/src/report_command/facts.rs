//! What was run, as facts and as the design behind the methods.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use report::data::{Card, Run, RunOfArm, Unscored};
use report::{Design, EvaluationDesign};
use results::ResultRow;
use results::table::Table;
use run_spec::ids::{Attempt, Seed};
use store::Store;

use super::sets::{self, fact};
use crate::keys::RowsKey;
use crate::records::{EvalSet, Finished, Plan};
use crate::tables::Collected;

/// What each arm's scored trials took, by its rows: device hours, or energy where it was measured.
fn taken(collected: &Collected<'_>, of: fn(&ResultRow) -> Option<f64>) -> BTreeMap<String, f64> {
    let mut of_trials: BTreeMap<(&str, Seed), f64> = BTreeMap::new();
    for row in collected.rows.iter().filter(|row| row.features == results::TEACHER) {
        of_trials.extend(of(row).map(|taken| ((row.arm.as_str(), row.seed), taken)));
    }
    let mut of_arms: BTreeMap<String, f64> = BTreeMap::new();
    for ((arm, _), taken) in of_trials {
        *of_arms.entry(arm.to_owned()).or_default() += taken;
    }
    of_arms
}

fn hours(collected: &Collected<'_>) -> BTreeMap<String, f64> {
    taken(collected, |row| Some(row.hours))
}

/// Trials that an attempt after the first has finished, in a sentence; `None` if all finished at their first attempt.
fn repeated(collected: &Collected<'_>) -> Option<String> {
    let attempt = |record: &Finished| Some(RowsKey::parse(&record.rows.first()?.key)?.attempt.number);
    let late: Vec<String> = collected
        .finished()
        .filter_map(|(trial, record)| Some((trial, attempt(record)?)))
        .filter(|(_, attempt)| *attempt > Attempt::from(1))
        .map(|(trial, attempt)| format!("{} by attempt {attempt}", trial.label()))
        .collect();
    let more = late.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!late.is_empty()).then(|| format!("{}{more}", late.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ")))
}

/// Trials that a fact names; it counts the others.
const NAMED: usize = 10;

/// The section "What was run".
///
/// # Errors
/// A store that cannot be reached.
pub(super) fn run(store: &Store, plan: &Plan, collected: &Collected<'_>, table: &Table) -> Result<Run> {
    let (hours, kwh) = (hours(collected), taken(collected, |row| row.kwh));
    let devices: BTreeSet<&str> = trained_on(collected).collect();
    let mut facts = vec![
        fact("sweep", format!("{} {}", plan.name, plan.digest)),
        fact("code", plan.code.version.clone()),
        fact("seeds", seeds(plan).join(", ")),
        fact("trials", format!("{} planned, {} without scores", plan.trials().len(), table.unscored.len())),
    ];
    if !devices.is_empty() {
        facts.push(fact("device", devices.into_iter().collect::<Vec<_>>().join("; ")));
        facts.push(fact("device hours", format!("{:.2}", hours.values().sum::<f64>())));
        let energy = match kwh.is_empty() {
            true => "not measured".to_owned(),
            false => format!("{:.3} kWh, of the trials where it was measured", kwh.values().sum::<f64>()),
        };
        facts.push(fact("energy", energy));
    }
    facts.extend(repeated(collected).map(|trials| fact("finished after a failure", trials)));
    let arms = plan.arms.iter().map(|arm| RunOfArm {
        name: arm.name.clone(),
        changes: crate::show::delta(arm, &plan.arms[0]),
        trial: arm.trial.short(),
        shards: arm.shards.digest.short(),
        hours: hours.get(&arm.name).copied(),
        kwh: kwh.get(&arm.name).copied(),
    });
    let unscored = table.unscored.iter().map(|trial| Unscored {
        arm: trial.arm.clone(),
        seed: trial.seed.to_string(),
        state: trial.state.words().to_owned(),
        reason: trial.reason.clone(),
        trial: trial.trial.short(),
    });
    let (arms, unscored) = (arms.collect(), unscored.collect());
    let mut cards = sets::training(store, plan)?;
    for eval in &plan.evals {
        cards.push(card(store, eval, collected)?);
    }
    cards.extend(sets::leakage(store, plan)?);
    Ok(Run { facts, arms, unscored, cards })
}

fn card(store: &Store, eval: &EvalSet, collected: &Collected<'_>) -> Result<Card> {
    let transductive =
        if is_transductive(eval, collected) { "yes: training saw its images, without labels" } else { "none known" };
    let (described, table) = sets::described(store, &eval.shards.digest)?;
    let mut facts = vec![
        fact("shard set", eval.shards.digest.to_string()),
        fact("split", eval.split.clone()),
        fact("split file", eval.split_digest.to_string()),
        fact("images shared with training", transductive),
    ];
    facts.extend(described);
    Ok(Card { title: format!("Evaluation set {}", eval.name), facts, table })
}

fn is_transductive(eval: &EvalSet, collected: &Collected<'_>) -> bool {
    let of_set = |row: &&results::ResultRow| row.dataset == eval.name && row.features == results::TEACHER;
    collected.rows.iter().filter(of_set).any(results::ResultRow::is_transductive)
}

fn trained_on<'a>(collected: &'a Collected<'_>) -> impl Iterator<Item = &'a str> {
    collected.rows.iter().filter(|row| row.features == results::TEACHER).map(|row| row.device.as_str())
}

fn seeds(plan: &Plan) -> Vec<String> {
    plan.seeds.iter().map(Seed::to_string).collect()
}

/// What the paragraph of methods is about.
pub(super) fn design(
    plan: &Plan,
    collected: &Collected<'_>,
    table: &Table,
    sizes: &BTreeMap<String, report::Size>,
) -> Design {
    let scored = |eval: &&EvalSet| table.lines.iter().any(|line| line.dataset == eval.name);
    let evaluations = plan.evals.iter().filter(scored).map(|eval| EvaluationDesign {
        name: eval.name.clone(),
        split: eval.split.clone(),
        primary: eval.primary,
        shards: eval.shards.digest.short(),
        size: sizes.get(&eval.name).copied(),
        transductive: is_transductive(eval, collected),
    });
    Design {
        code: plan.code.version.clone(),
        arms: plan.arms.iter().map(|arm| (arm.name.clone(), crate::show::delta(arm, &plan.arms[0]))).collect(),
        seeds: seeds(plan),
        devices: trained_on(collected).collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect(),
        hours: hours(collected).values().sum(),
        trials: plan.trials().len(),
        evaluations: evaluations.collect(),
    }
}
