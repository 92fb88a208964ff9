//! `orchestrator compare A B`: two arms, an arm and a baseline, or two trials beside each other.
//!
//! It gives no verdicts: those are the sweep's, over the comparisons that were planned.

mod answers;
mod configs;
mod scores;
mod sheet;

use std::process::ExitCode;

use anyhow::{Result, bail};
use store::Store;

use crate::cli::CompareArgs;
use crate::evidence;
use crate::records::{Finished, Plan, Trial};
use crate::target::{self, Named};
use crate::trial_state::State;
use answers::{Disagreements, Group};

/// Rows of the list of disagreements.
const MOST_KINDS: usize = 12;

/// One of the two that are compared.
#[derive(Debug, Clone)]
pub(crate) struct Side<'a> {
    /// Name of the arm, baseline or trial.
    pub(crate) name: String,
    /// What it is.
    pub(crate) named: Named<'a>,
    /// Its finished trials.
    pub(crate) finished: Vec<(Trial<'a>, Finished)>,
}

/// Compares two arms, an arm and a baseline, or two trials.
pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep_with(&args.choice, &[&args.first, &args.second])?;
    let (first, second) = (side(&store, &plan, &args.first)?, side(&store, &plan, &args.second)?);
    check_kinds(&first, &second)?;
    terminal::line(format!("Sweep {}: {} (A) and {} (B)", plan.name, first.name, second.name));
    terminal::line(format!("\n{}", configs::text(&first, &second)));
    for side in [&first, &second] {
        if side.finished.is_empty() {
            terminal::line(format!("\n{} has no scores yet.", side.name));
            return Ok(ExitCode::SUCCESS);
        }
    }
    terminal::line(format!("\n{}", scores::text(&store, &plan, &first, &second)?));
    let mut drawn = Vec::new();
    for eval in &plan.evals {
        let Some(found) = answers::disagreements(&store, eval, &first, &second)? else { continue };
        terminal::line(format!("\n{}", words(&eval.name, &found, &first, &second)));
        if args.pictures.is_some() {
            drawn.extend(sheet::strips(&store, eval, &found, [&first.name, &second.name])?);
        }
    }
    if let Some(file) = &args.pictures {
        sheet::write(&drawn, file)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn side<'a>(store: &Store, plan: &'a Plan, name: &'a str) -> Result<Side<'a>> {
    let named = match target::named(plan, name) {
        Some(named) => named,
        None => Named::Trial(target::trial(plan, name)?),
    };
    let trials = match named {
        Named::Trial(trial) => vec![trial],
        Named::Baseline { .. } => target::baseline_trials(plan, name).collect(),
        Named::Arm(arm) => plan.trials().into_iter().filter(|trial| trial.arm.name == arm.name).collect(),
    };
    let mut finished = Vec::new();
    for trial in trials {
        if let State::Finished { record, .. } = evidence::state(store, plan, &trial)?.state {
            finished.push((trial, record));
        }
    }
    Ok(Side { name: name.to_owned(), named, finished })
}

/// Whether the two can be paired: arms and baselines by seed, trials by group.
fn check_kinds(first: &Side<'_>, second: &Side<'_>) -> Result<()> {
    match (first.named, second.named) {
        (Named::Trial(_), Named::Trial(_)) | (Named::Arm(_), Named::Arm(_) | Named::Baseline { .. }) => Ok(()),
        (Named::Baseline { .. }, Named::Arm(_)) => Ok(()),
        (Named::Baseline { .. }, Named::Baseline { .. }) => {
            bail!("{} and {} are two baselines: name an arm and a baseline", first.name, second.name)
        }
        (Named::Trial(_), _) | (_, Named::Trial(_)) => {
            bail!(
                "{} and {} cannot be paired: name two arms, an arm and a baseline, or two trials",
                first.name,
                second.name
            )
        }
    }
}

fn words(eval: &str, found: &Disagreements, first: &Side<'_>, second: &Side<'_>) -> String {
    let count = |group| found.cells.iter().filter(|cell| cell.group == group).count();
    let mut text = format!(
        "{eval}: A and B disagree on {} of {} cells (primary probe; majority vote over seeds). Only {} is right on {}, only {} on {}, and both are \
         wrong in different ways on {}.",
        terminal::thousands(found.cells.len() as u64),
        terminal::thousands(found.of as u64),
        first.name,
        count(Group::FirstIsRight),
        second.name,
        count(Group::SecondIsRight),
        count(Group::BothAreWrong),
    );
    let kinds = found.kinds();
    if !kinds.is_empty() {
        let rows: Vec<Vec<String>> = kinds
            .iter()
            .take(MOST_KINDS)
            .map(|(kind, cells)| {
                let [truth, first, second] = kind.map(|class| found.classes[class].clone());
                vec![truth, first, second, cells.to_string()]
            })
            .collect();
        text += &format!(
            "\n\n{}",
            terminal::table(&["true class", "A predicts", "B predicts", "cells"], &["cells"], &rows)
        );
        if let Some(rest) = kinds.get(MOST_KINDS..).filter(|rest| !rest.is_empty()) {
            let cells: usize = rest.iter().map(|(_, cells)| cells).sum();
            text +=
                &format!("\nand {} rarer combinations with {} cells", rest.len(), terminal::thousands(cells as u64));
        }
    }
    text
}
