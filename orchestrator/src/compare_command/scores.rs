//! Scores of both, and the paired difference with its interval.

use std::collections::BTreeSet;

use anyhow::Result;
use results::measures::ProbeName;
use results::render::metric_words;
use results::stats::Interval;
use results::stats::counts::CountsBuilder;
use results::stats::estimate::Estimand;
use results::stats::groups::over_groups;
use results::table::Line;
use store::Store;

use super::Side;
use crate::records::{Baseline, EvalSet, Plan};
use crate::tables;
use crate::target::Named;

const LEVEL: f64 = 0.95;

/// The table of scores, with what its intervals cover.
pub(super) fn text(store: &Store, plan: &Plan, first: &Side<'_>, second: &Side<'_>) -> Result<String> {
    let (rows, covers) = match first.named {
        Named::Trial(_) => (of_trials(store, plan, first, second)?, Estimand::NewGroups.words()),
        Named::Arm(_) | Named::Baseline { .. } => {
            (of_arms(store, plan, first.named, second.named)?, Estimand::NewSeedsAndGroups.words())
        }
    };
    let reasons: BTreeSet<&String> = rows.iter().filter_map(|row| row.interval.as_ref().err()).collect();
    let reasons: String = reasons.into_iter().map(|reason| format!("\nno interval: {reason}")).collect();
    let header = ["set", "probe", "metric", "A", "B", "B − A", "95 % interval"];
    let rows: Vec<Vec<String>> = rows.into_iter().map(Row::cells).collect();
    let table = terminal::table(&header, &["A", "B", "B − A"], &rows);
    Ok(format!(
        "{table}{reasons}\nIn percent and points. Differences are paired; intervals cover {covers}. For verdicts see `orchestrator results`."
    ))
}

/// Two arms, or an arm and a baseline, paired by seed.
fn of_arms(store: &Store, plan: &Plan, a: Named<'_>, b: Named<'_>) -> Result<Vec<Row>> {
    let two = plan_of(plan, a, b);
    let mut collected = tables::collect(store, &two)?;
    let table = tables::table(store, &two, &mut collected)?;
    let mut rows = Vec::new();
    for eval in &two.evals {
        let metric = eval.primary.metric.name();
        for probe in probes(eval) {
            let lines = table.comparison(&eval.name, &eval.split, metric, probe.name());
            let of = |named| lines.iter().find(|line| is_of(line, named));
            let (Some(first), Some(second)) = (of(a), of(b)) else { continue };
            // Lines hold their difference to the reference: A, unless A is a baseline.
            let (difference, sign) = match a {
                Named::Baseline { .. } => (first.difference.as_ref(), -1.0),
                _ => (second.difference.as_ref(), 1.0),
            };
            let interval = match difference.map(|difference| &difference.over_seeds_and_groups) {
                Some(Ok(estimate)) => Ok(turned(estimate.interval(LEVEL), sign)),
                Some(Err(why)) => Err(why.to_string()),
                None => Err("they have no seed in common".to_owned()),
            };
            let mean = difference.map(|difference| sign * difference.mean);
            rows.push(Row::of(eval, probe, [first.mean, second.mean], (mean, interval)));
        }
    }
    Ok(rows)
}

/// The plan with these two alone, of which an arm is the reference.
fn plan_of(plan: &Plan, a: Named<'_>, b: Named<'_>) -> Plan {
    let mut two = Plan { arms: Vec::new(), baselines: Vec::new(), ..plan.clone() };
    for side in [a, b] {
        match side {
            Named::Arm(arm) => two.arms.push(arm.clone()),
            Named::Trial(trial) => two.arms.push(trial.arm.clone()),
            Named::Baseline { features, eval } => {
                let is_it = |of: &&Baseline| of.features == features && eval.is_none_or(|eval| of.eval == eval);
                two.baselines.extend(plan.baselines.iter().filter(is_it).cloned());
            }
        }
    }
    if let Some(arm) = two.arms.first() {
        two.reference.clone_from(&arm.name);
    }
    two
}

fn is_of(line: &Line, named: Named<'_>) -> bool {
    match named {
        Named::Arm(arm) => line.arm == arm.name && !line.is_baseline(),
        Named::Trial(trial) => line.arm == trial.arm.name && !line.is_baseline(),
        Named::Baseline { features, eval } => line.features == features && eval.is_none_or(|eval| line.dataset == eval),
    }
}

/// The interval of the difference the other way round, where `sign` is −1.
fn turned(of: Interval, sign: f64) -> Interval {
    if sign < 0.0 { Interval { lo: -of.hi, hi: -of.lo } } else { of }
}

/// Two trials, paired by group.
fn of_trials(store: &Store, plan: &Plan, first: &Side<'_>, second: &Side<'_>) -> Result<Vec<Row>> {
    const SIDES: [(&str, u64); 2] = [("A", 0), ("B", 0)];
    let mut rows = Vec::new();
    for eval in &plan.evals {
        let mut of_sides = Vec::new();
        for (trial, record) in [first, second].iter().flat_map(|side| side.finished.first()) {
            of_sides.extend(tables::predictions(store, (trial, record), &eval.name)?);
        }
        let [(ours, of_ours), (theirs, of_theirs)] = of_sides.as_slice() else { continue };
        let classes = ours.metadata().task.classes.len();
        for probe in probes(eval) {
            let has = |of: &results::predictions::Predictions| of.metadata().task.probe(probe.name()).is_some();
            if !has(ours) || !has(theirs) {
                continue;
            }
            let mut builder = CountsBuilder::new(classes);
            ours.add_counts((of_ours, probe.name()), SIDES[0], &mut builder)?;
            theirs.add_counts((of_theirs, probe.name()), SIDES[1], &mut builder)?;
            let (counts, metric) = (builder.build()?, eval.primary.metric);
            let scores = SIDES.map(|(arm, seed)| counts.score(arm, seed, metric).unwrap_or(f64::NAN));
            let estimate = over_groups(&counts, SIDES[1], SIDES[0], metric);
            let interval = estimate.map(|estimate| estimate.interval(LEVEL)).map_err(|why| why.to_string());
            rows.push(Row::of(eval, probe, scores, (Some(scores[1] - scores[0]), interval)));
        }
    }
    Ok(rows)
}

/// The probes, the primary one first.
fn probes(eval: &EvalSet) -> impl Iterator<Item = ProbeName> {
    let primary = eval.primary.probe;
    std::iter::once(primary).chain(ProbeName::ALL.into_iter().filter(move |probe| *probe != primary))
}

/// A line of the table.
struct Row {
    /// Set, probe, metric, both scores and their difference.
    words: [String; 6],
    /// The interval, or why there is none.
    interval: Result<Interval, String>,
}

impl Row {
    fn of(
        eval: &EvalSet,
        probe: ProbeName,
        scores: [f64; 2],
        (mean, interval): (Option<f64>, Result<Interval, String>),
    ) -> Self {
        let mark = if probe == eval.primary.probe { " (primary)" } else { "" };
        let [a, b] = scores.map(|score| format!("{:.1}", 100.0 * score));
        let mean = mean.map_or_else(|| "-".to_owned(), terminal::points);
        let metric = metric_words(eval.primary.metric.name());
        Self { words: [eval.name.clone(), format!("{}{mark}", probe.name()), metric, a, b, mean], interval }
    }

    fn cells(self) -> Vec<String> {
        let interval = self.interval.map_or_else(|_| "none".to_owned(), shown);
        self.words.into_iter().chain([interval]).collect()
    }
}

fn shown(interval: Interval) -> String {
    format!("[{}, {}]", terminal::points(interval.lo), terminal::points(interval.hi))
}
