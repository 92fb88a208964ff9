//! `orchestrator list`: the sweeps of a store, and how far each has come by its records.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use store::Store;
use terminal::duration;

use crate::cli::ListArgs;
use crate::plans;
use crate::records::Plan;
use crate::show::Counts;
use crate::standing::Standing;
use crate::trial_state::{self, unix_s};

const HEADER: [&str; 9] =
    ["sweep", "plan", "digest", "trials", "done", "failed", "running", "not done", "last activity"];
const NUMBERS: [&str; 6] = ["plan", "trials", "done", "failed", "running", "not done"];

/// Prints a line for each sweep.
pub(crate) fn run(args: &ListArgs) -> Result<ExitCode> {
    let store = Store::open(&args.store)?;
    let names = plans::names(&store)?;
    if names.is_empty() {
        ensure!(
            store.uri().contains("://") || Path::new(store.uri()).is_dir(),
            "there is no store at {}; name the store with --store",
            store.uri()
        );
        terminal::note(format!(
            "{} contains no sweep; start one with `orchestrator sweep FILE --store {}`, or name another store with --store",
            store.uri(),
            store.uri()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for name in names {
        match plans::newest(&store, &name) {
            Ok(plan) => rows.push(row(&store, &plan)?),
            Err(error) => terminal::note(format!("{error:#}")),
        }
    }
    terminal::line(terminal::table(&HEADER, &NUMBERS, &rows));
    Ok(ExitCode::SUCCESS)
}

fn row(store: &Store, plan: &Plan) -> Result<Vec<String>> {
    let trials = plan.with_baselines(plan.trials());
    let mut counts = Counts::default();
    for trial in &trials {
        counts.add(Standing::of(&trial_state::state(store, trial)?));
    }
    let number = plans::newest_number(store, &plan.name)?.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let last = plans::invocations(store, plan)?.iter().map(|invocation| invocation.unix_s).max();
    let ago = |then: u64| format!("{} ago", duration(unix_s().saturating_sub(then) as f64));
    Ok(vec![
        plan.name.clone(),
        number,
        plan.digest.short(),
        trials.len().to_string(),
        counts.finished.to_string(),
        (counts.failed + counts.damaged).to_string(),
        counts.running.to_string(),
        counts.open.to_string(),
        last.map_or_else(|| "never".to_owned(), ago),
    ])
}
