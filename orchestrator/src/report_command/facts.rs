//! What was run, as facts and as the design behind the methods.

use std::collections::{BTreeMap, BTreeSet};

use report::data::{Card, Run, RunOfArm, Unscored};
use report::{Design, EvaluationDesign};
use results::table::Table;
use run_spec::ids::Seed;

use crate::records::{EvalSet, Plan};
use crate::tables::Collected;

/// Device hours of each arm's scored trials.
fn hours(collected: &Collected<'_>) -> BTreeMap<String, f64> {
    let mut of_trials: BTreeMap<(&str, Seed), f64> = BTreeMap::new();
    for row in collected.rows.iter().filter(|row| row.features == results::TEACHER) {
        of_trials.insert((&row.arm, row.seed), row.hours);
    }
    let mut of_arms: BTreeMap<String, f64> = BTreeMap::new();
    for ((arm, _), hours) in of_trials {
        *of_arms.entry(arm.to_owned()).or_default() += hours;
    }
    of_arms
}

fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// The section "What was run".
pub(super) fn run(plan: &Plan, collected: &Collected<'_>, table: &Table) -> Run {
    let hours = hours(collected);
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
    }
    let arms = plan.arms.iter().map(|arm| RunOfArm {
        name: arm.name.clone(),
        changes: crate::show::delta(arm, &plan.arms[0]),
        trial: arm.trial.short(),
        shards: arm.shards.digest.short(),
        hours: hours.get(&arm.name).copied(),
    });
    let unscored = table.unscored.iter().map(|trial| Unscored {
        arm: trial.arm.clone(),
        seed: trial.seed.to_string(),
        state: trial.state.words().to_owned(),
        reason: trial.reason.clone(),
        trial: trial.trial.short(),
    });
    Run {
        facts,
        arms: arms.collect(),
        unscored: unscored.collect(),
        cards: plan.evals.iter().map(|eval| card(eval, collected)).collect(),
    }
}

fn card(eval: &EvalSet, collected: &Collected<'_>) -> Card {
    let transductive =
        if is_transductive(eval, collected) { "yes: training saw its images, without labels" } else { "none known" };
    Card {
        title: format!("Evaluation set {}", eval.name),
        facts: vec![
            fact("shard set", eval.shards.digest.to_string()),
            fact("split", eval.split.clone()),
            fact("split file", eval.split_digest.to_string()),
            fact("images shared with training", transductive),
        ],
    }
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
