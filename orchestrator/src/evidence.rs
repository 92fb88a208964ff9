//! Whether rows are evidence for the trial under which they lie: whole, and of what was planned.
//!
//! A row says which code, shards, split, initial weights and step it is of. Where one of these is not the plan's, the rows
//! measure something else, and the attempt that left them has failed: a table never shows them.

use anyhow::{Context, Result, anyhow, ensure};
use results::predictions::Predictions;
use results::{ResultRow, TEACHER, row};
use run_spec::ids::{Attempt, Digest, Step};
use store::{Store, StoreError};

use crate::keys::{PredictionsKey, RowsKey};
use crate::records::{EvalSet, Finished, Measured, Plan, PredictionsRef, RowsRef, Trial};
use crate::trial_state::{self, State};

/// What rows are checked against: one trial of a plan, on one evaluation set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The plan that the trial is of.
    pub(crate) plan: &'a Plan,
    /// The trial or baseline.
    pub(crate) trial: &'a Trial<'a>,
    /// The evaluation set that the rows should be of.
    pub(crate) eval: &'a EvalSet,
}

/// The step that a trained model is scored at: the one that `probe.options` asks for, else the last.
pub(crate) fn step(plan: &Plan, trial: &Trial<'_>) -> Result<Step> {
    if trial.baseline.is_some() {
        return Ok(Step::new(0));
    }
    match plan.probe_options.get("step") {
        Some(step) => {
            let step = step
                .as_u64()
                .with_context(|| format!("`probe.options.step`: a step number is expected, not {step}"))?;
            Ok(Step::new(step))
        }
        None => Ok(Step::new(trial.arm.config.resolve(&trial.label())?.total_steps())),
    }
}

/// The rows in the file `key`. None at all is an error: a probe that measured nothing has failed.
fn read(store: &Store, key: &str, digest: Option<Digest>) -> Result<(Vec<ResultRow>, Digest)> {
    let what = store.uri_of(key);
    let bytes = store.get(key).with_context(|| format!("read the rows that a probe should have written to {what}"))?;
    let found = Digest::of(&bytes);
    ensure!(digest.is_none_or(|digest| digest == found), damaged(store, &what));
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{what} is not UTF-8"))?;
    let rows = row::from_json_lines(text, &what)?;
    ensure!(!rows.is_empty(), "{what} holds no rows");
    Ok((rows, found))
}

impl Expected<'_> {
    /// The rows under `key`, checked, and the digest of their file. `digest`: what it must be, where that is known.
    pub(crate) fn rows(&self, store: &Store, key: &str, digest: Option<Digest>) -> Result<(Vec<ResultRow>, Digest)> {
        let (rows, found) = read(store, key, digest)?;
        let step = step(self.plan, self.trial)?;
        for row in &rows {
            self.check(row, step).with_context(|| store.uri_of(key))?;
        }
        Ok((rows, found))
    }

    /// Checks one row, which must be of `step`. Columns that older versions did not write are not checked where they are absent.
    fn check(&self, row: &ResultRow, step: Step) -> Result<()> {
        let Self { plan, trial, eval } = self;
        let features = trial.baseline.map_or(TEACHER, |baseline| baseline.features.as_str());
        // Probes of older versions left their baselines' rows beside the teacher's.
        let shared = trial.baseline.is_none() && row.features != TEACHER;
        if !shared {
            same(
                "features",
                &row.features.as_str(),
                &features,
                "the program that wrote them is another than the plan's",
            )?;
            same("seed", &row.seed, &trial.seed, "the run folder holds another run")?;
            let remedy = "`sweep --retry-failed` probes the run again";
            same("step", &row.step, &step, remedy)?;
        }
        if trial.baseline.is_none() {
            same("shards_train", &row.shards_train, &trial.arm.shards.digest, SHARDS)?;
            same("code", &row.code, &plan.code.version, CODE)?;
        }
        if let Some(code) = &row.code_probe {
            same("code_probe", code, &plan.code.version, CODE)?;
            let shown = |digest: Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
            let (found, planned) = (shown(row.init_weights), shown(trial.arm.init_weights));
            same("init_weights", &found, &planned, "put the file of `init.weights` back")?;
        }
        same("shards_eval", &row.shards_eval, &eval.shards.digest, SHARDS)?;
        // Baselines are shared by sweeps that may call the same set otherwise.
        if trial.baseline.is_none() {
            same("dataset", &row.dataset, &eval.name, "the program that wrote them is another than the plan's")?;
        }
        same("split", &row.split, &eval.split, SHARDS)?;
        match row.split_digest {
            Some(digest) => same("split_digest", &digest, &eval.split_digest, SHARDS),
            None => Ok(()),
        }
    }
}

const SHARDS: &str = "put the planned shard set back, or run `sweep` again to plan with the new one";
const CODE: &str = "put the planned worker back, or run `sweep` again to plan with the new one";

/// Refuses a value that is not the planned one.
fn same<T: PartialEq + std::fmt::Display>(column: &str, found: &T, planned: &T, remedy: &str) -> Result<()> {
    if found == planned {
        return Ok(());
    }
    Err(anyhow!("the rows are not of what was planned: `{column}` is {found}, planned was {planned}; {remedy}"))
}

/// All rows of a finished attempt, checked.
pub(crate) fn rows(
    store: &Store,
    plan: &Plan,
    trial: &Trial<'_>,
    (attempt, record): (Attempt, &Finished),
) -> Result<Vec<ResultRow>> {
    let mut all = Vec::new();
    for file in &record.rows {
        let key = RowsKey::parse(&file.key).filter(|key| key.attempt == trial.attempt_key(attempt));
        let key = key.with_context(|| {
            format!(
                "{} is the result of another attempt: it names {}; set it aside with `orchestrator verify {} --repair`",
                store.uri_of(&trial.attempt_key(attempt).result()),
                file.key,
                store.uri()
            )
        })?;
        let eval = eval_of(plan, trial, &key)?;
        all.extend(Expected { plan, trial, eval }.rows(store, &file.key, file.digest)?.0);
    }
    ensure!(
        record.rows.len() == plan.evals_of(trial).count(),
        "the result of {} names {} files of rows for {} evaluation sets; set it aside with `orchestrator verify {} --repair`",
        trial.label(),
        record.rows.len(),
        plan.evals_of(trial).count(),
        store.uri()
    );
    Ok(all)
}

/// The keys of `rows` and of the predictions behind them, with the digests of what lies there, checked: what a result
/// record names.
pub(crate) fn refs(store: &Store, plan: &Plan, trial: &Trial<'_>, rows: &[RowsKey]) -> Result<Measured> {
    let mut measured = Measured::default();
    for key in rows {
        let eval = eval_of(plan, trial, key)?;
        let predictions = key.predictions().to_string();
        let key = key.to_string();
        let (_, digest) = Expected { plan, trial, eval }.rows(store, &key, None)?;
        measured.rows.push(RowsRef { key, digest: Some(digest) });
        match store.get(&predictions) {
            Ok(bytes) => {
                let digest = Digest::of(&bytes);
                Predictions::open(bytes, &store.uri_of(&predictions))?;
                measured.predictions.push(PredictionsRef { key: predictions, digest });
            }
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(measured)
}

/// The predictions that the rows of `eval` are derived from; `None` for a trial whose worker left none, being of an older
/// version.
///
/// # Errors
/// A file that is missing or is not what was written, or a store that cannot be reached.
pub(crate) fn predictions(store: &Store, record: &Finished, eval: &str) -> Result<Option<Predictions>> {
    let of_eval = |file: &&PredictionsRef| PredictionsKey::parse(&file.key).is_some_and(|key| key.eval == eval);
    let Some(PredictionsRef { key, digest }) = record.predictions.iter().find(of_eval) else { return Ok(None) };
    let what = store.uri_of(key);
    let bytes = store.get(key).with_context(|| format!("read the predictions {what}"))?;
    ensure!(Digest::of(&bytes) == *digest, damaged(store, &what));
    Ok(Some(Predictions::open(bytes, &what)?))
}

/// What is said of a file that is not what the result record names.
fn damaged(store: &Store, what: &str) -> String {
    format!(
        "{what} is damaged: it does not match the digest in the attempt's result.json; restore it from a copy, or set the \
         attempt aside with `orchestrator verify {} --repair`",
        store.uri()
    )
}

/// The evaluation set whose rows lie under `key`; a baseline has but one.
fn eval_of<'a>(plan: &'a Plan, trial: &Trial<'a>, key: &RowsKey) -> Result<&'a EvalSet> {
    if trial.baseline.is_some() {
        return plan.evals_of(trial).next().context("a baseline is of an evaluation set of its plan");
    }
    let eval = plan.evals.iter().find(|eval| eval.name == key.eval);
    eval.with_context(|| format!("{key} holds rows of an evaluation set that the plan does not name"))
}

/// What is known of a finished trial, or why its records cannot be used.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The state; a finished trial whose rows are no evidence is [`State::Damaged`].
    pub(crate) state: State,
    /// The rows of a finished trial.
    pub(crate) rows: Vec<ResultRow>,
}

/// The state of a trial, its rows included. A store that cannot be reached is an error; damage is a state.
pub(crate) fn state(store: &Store, plan: &Plan, trial: &Trial<'_>) -> Result<Checked> {
    let state = trial_state::state(store, trial)?;
    let State::Finished { attempt, record } = &state else { return Ok(Checked { state, rows: Vec::new() }) };
    match rows(store, plan, trial, (*attempt, record)) {
        Ok(rows) => Ok(Checked { state, rows }),
        Err(error) if error.downcast_ref::<StoreError>().is_some_and(|error| !trial_state::is_damage(error)) => {
            Err(error)
        }
        Err(error) => {
            Ok(Checked { state: State::Damaged { attempt: *attempt, what: format!("{error:#}") }, rows: Vec::new() })
        }
    }
}
