//! Whether rows are evidence for the trial under which they lie: whole, and of what was planned.
//!
//! A row says which code, shards, split, initial weights and step it is of. Where one of these is not the plan's, the rows
//! measure something else, and the attempt that left them has failed: a table never shows them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use results::predictions::{Metadata, Predictions, metadata_at_end};
use results::{ResultRow, ResultsError, TEACHER, row};
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
    let bytes =
        store.get(key).with_context(|| format!("cannot read the rows that a probe should have written to {what}"))?;
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
            self.check(row, step)
                .map_err(|error| anyhow!("the rows are {error}"))
                .with_context(|| store.uri_of(key))?;
        }
        Ok((rows, found))
    }

    /// Checks where predictions come from by `metadata`, those of the file `what`: they must be of what was planned, and of what the rows beside
    /// them are of, where those are known.
    fn predicted(&self, metadata: &Metadata, rows: &[ResultRow], what: &str) -> Result<()> {
        let features = self.features();
        let of_all = metadata.row(features).with_context(|| format!("{what} holds no predictions from {features}"))?;
        let step = step(self.plan, self.trial)?;
        let wrong = |error| anyhow!("{what}: the predictions are {error}");
        self.check(&of_all, step).map_err(wrong)?;
        let mut classes = BTreeSet::new();
        for row in rows.iter().filter(|row| row.features == features) {
            same("trial", &of_all.trial, &row.trial, WITH_ITS_ROWS).map_err(wrong)?;
            same("config", &of_all.config, &row.config, WITH_ITS_ROWS).map_err(wrong)?;
            let of_probe = row.evaluation.is_none() && row.metric == "support";
            classes.extend(row.class.as_deref().filter(|_| of_probe));
        }
        let found = &metadata.task.classes;
        if classes.is_empty() || classes.iter().copied().eq(found.iter().map(String::as_str)) {
            return Ok(());
        }
        let (what, expected) = (what.to_owned(), classes.len());
        Err(ResultsError::OtherClasses { what, found: found.len(), expected, classes: found.join(", ") }.into())
    }

    /// The features that the trial is scored by.
    fn features(&self) -> &str {
        self.trial.baseline.map_or(TEACHER, |baseline| baseline.features.as_str())
    }

    /// Checks one row, which must be of `step`. Columns that older versions did not write are not checked where they are absent.
    fn check(&self, row: &ResultRow, step: Step) -> Result<()> {
        let Self { plan, trial, eval } = self;
        let features = self.features();
        // Probes of older versions left their baselines' rows beside the teacher's.
        let shared = trial.baseline.is_none() && row.features != TEACHER;
        if !shared {
            same(
                "features",
                &row.features.as_str(),
                &features,
                "they were written by another version of the program than planned",
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
            same(
                "dataset",
                &row.dataset,
                &eval.name,
                "they were written by another version of the program than planned",
            )?;
        }
        same("split", &row.split, &eval.split, SHARDS)?;
        match row.split_digest {
            Some(digest) => same("split_digest", &digest, &eval.split_digest, SHARDS),
            None => Ok(()),
        }
    }
}

const SHARDS: &str = "restore the planned shard set, or run `sweep` again to plan with the new one";
const WITH_ITS_ROWS: &str = "the rows beside them were derived from other predictions";
const CODE: &str = "restore the planned worker, or run `sweep` again to plan with the new one";

/// Refuses a value that is not the planned one.
fn same<T: PartialEq + std::fmt::Display>(column: &str, found: &T, planned: &T, remedy: &str) -> Result<()> {
    if found == planned {
        return Ok(());
    }
    Err(anyhow!("not what was planned: `{column}` is {found}, but {planned} was planned; {remedy}"))
}

/// The rows of one file of a finished attempt, checked, and its key.
pub(crate) fn rows_of_file(
    store: &Store,
    plan: &Plan,
    trial: &Trial<'_>,
    attempt: Attempt,
    file: &RowsRef,
) -> Result<(RowsKey, Vec<ResultRow>)> {
    let key = RowsKey::parse(&file.key).filter(|key| key.attempt == trial.attempt_key(attempt));
    let key = key.with_context(|| foreign(store, trial, (attempt, &file.key)))?;
    let eval = eval_of(plan, trial, &key)?;
    let (rows, _) = Expected { plan, trial, eval }.rows(store, &file.key, file.digest)?;
    Ok((key, rows))
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
        all.extend(rows_of_file(store, plan, trial, attempt, file)?.1);
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
        let (of_rows, digest) = Expected { plan, trial, eval }.rows(store, &key, None)?;
        measured.rows.push(RowsRef { key, digest: Some(digest) });
        match store.get(&predictions) {
            Ok(bytes) => {
                let digest = Digest::of(&bytes);
                let what = store.uri_of(&predictions);
                let opened = Predictions::open(bytes, &what)?;
                Expected { plan, trial, eval }.predicted(opened.metadata(), &of_rows, &what)?;
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
    let bytes = store.get(key).with_context(|| format!("cannot read the predictions {what}"))?;
    ensure!(Digest::of(&bytes) == *digest, damaged(store, &what));
    Ok(Some(Predictions::open(bytes, &what)?))
}

/// Checks the predictions of a finished attempt by what stands at the end of each file, without reading the rest: a file that is missing, cut
/// or of something else is found, and a byte that has changed within is found when the file is read.
///
/// # Errors
/// As [`predictions`]; predictions of something else than was planned.
fn check_predictions(
    store: &Store,
    plan: &Plan,
    trial: &Trial<'_>,
    (attempt, record): (Attempt, &Finished),
    rows: &[ResultRow],
) -> Result<()> {
    for PredictionsRef { key, .. } in &record.predictions {
        let what = store.uri_of(key);
        let of_attempt = PredictionsKey::parse(key).filter(|key| key.attempt == trial.attempt_key(attempt));
        let eval = of_attempt.with_context(|| foreign(store, trial, (attempt, key)))?.eval;
        let size = store.size(key).with_context(|| format!("cannot read the predictions {what}"))?;
        let metadata = metadata_at_end(size, &what, |range| store.get_range(key, range))?;
        let metadata = metadata.map_err(|error| anyhow!("{} ({error})", damaged(store, &what)))?;
        // A baseline is probed on one set, which another sweep may call otherwise.
        let of_eval = |row: &&ResultRow| trial.baseline.is_some() || row.dataset == eval;
        let rows: Vec<ResultRow> = rows.iter().filter(of_eval).cloned().collect();
        let key = trial.attempt_key(attempt).rows(&eval);
        check_origin(store, plan, trial, (&key, &rows), &metadata)?;
    }
    Ok(())
}

/// Checks that predictions with `metadata`, which lie beside `rows`, are of what was planned and of what those rows are of.
pub(crate) fn check_origin(
    store: &Store,
    plan: &Plan,
    trial: &Trial<'_>,
    (key, rows): (&RowsKey, &[ResultRow]),
    metadata: &Metadata,
) -> Result<()> {
    let what = store.uri_of(&key.predictions().to_string());
    let eval = eval_of(plan, trial, key)?;
    let checked = Expected { plan, trial, eval }.predicted(metadata, rows, &what);
    checked.map_err(|error| anyhow!("{error:#}; set it aside with `orchestrator verify {} --repair`", store.uri()))
}

/// The message about a result that names a file of another attempt.
fn foreign(store: &Store, trial: &Trial<'_>, (attempt, key): (Attempt, &str)) -> String {
    format!(
        "{} is the result of another attempt: it names {key}; set it aside with `orchestrator verify {} --repair`",
        store.uri_of(&trial.attempt_key(attempt).result()),
        store.uri()
    )
}

/// The message about a file that is not what the result record names.
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
    /// The state; a finished trial whose rows cannot be trusted is [`State::Damaged`].
    pub(crate) state: State,
    /// The rows of a finished trial.
    pub(crate) rows: Vec<ResultRow>,
}

/// The state of a trial, its rows included. A store that cannot be reached is an error; damage is a state.
pub(crate) fn state(store: &Store, plan: &Plan, trial: &Trial<'_>) -> Result<Checked> {
    let state = trial_state::state(store, trial)?;
    let State::Finished { attempt, record } = &state else { return Ok(Checked { state, rows: Vec::new() }) };
    let found = rows(store, plan, trial, (*attempt, record)).and_then(|rows| {
        check_predictions(store, plan, trial, (*attempt, record), &rows)?;
        Ok(rows)
    });
    match found {
        Ok(rows) => Ok(Checked { state, rows }),
        Err(error) if error.downcast_ref::<StoreError>().is_some_and(|error| !trial_state::is_damage(error)) => {
            Err(error)
        }
        Err(error) => {
            Ok(Checked { state: State::Damaged { attempt: *attempt, what: format!("{error:#}") }, rows: Vec::new() })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use results::Unscored;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::large_store::{large, predictions as drawn, write};
    use crate::tables;

    /// A finished sweep of two arms and three seeds in a folder.
    struct Bench {
        folder: TempDir,
        store: Store,
        plan: Plan,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().to_str().unwrap()).unwrap();
            let plan = large(2, 3);
            write(&store, &plan);
            Self { folder, store, plan }
        }

        fn trial(&self, seed: u64) -> Trial<'_> {
            self.plan.trial("reference", seed.into()).unwrap()
        }

        fn key(&self, seed: u64) -> RowsKey {
            self.trial(seed).attempt_key(1.into()).rows(&self.plan.evals[0].name)
        }

        fn file(&self, seed: u64) -> PathBuf {
            self.folder.path().join(self.key(seed).predictions().to_string())
        }

        /// Puts other predictions in the place of those of a seed, and their digest into a result that nobody sealed.
        fn forge(&self, seed: u64, bytes: &[u8]) {
            fs::write(self.file(seed), bytes).unwrap();
            let result = self.folder.path().join(self.trial(seed).attempt_key(1.into()).result());
            let mut record: Value = serde_json::from_slice(&fs::read(&result).unwrap()).unwrap();
            record.as_object_mut().unwrap().remove("record_digest");
            record["predictions"][0]["digest"] = Digest::of(bytes).to_string().into();
            fs::write(&result, record.to_string()).unwrap();
        }

        /// What is wrong with the trial of a seed, where anything is.
        fn damage(&self, seed: u64) -> String {
            match state(&self.store, &self.plan, &self.trial(seed)).unwrap().state {
                State::Damaged { what, .. } => what,
                state => format!("{state:?}"),
            }
        }
    }

    #[test]
    fn predictions_that_are_cut_missing_or_of_something_else_are_damage_of_their_trial_alone() {
        let bench = Bench::new();
        let whole = fs::read(bench.file(1)).unwrap();
        fs::write(bench.file(1), &whole[..whole.len() / 2]).unwrap();
        assert!(bench.damage(1).contains("predictions-cells.parquet is damaged"), "{}", bench.damage(1));
        fs::remove_file(bench.file(1)).unwrap();
        assert!(bench.damage(1).contains("read the predictions"), "{}", bench.damage(1));
        bench.forge(1, &fs::read(bench.file(0)).unwrap());
        let said = bench.damage(1);
        assert!(said.contains("the predictions are not what was planned: `seed` is 0, but 1 was planned"), "{said}");
        let mut other = bench.plan.clone();
        other.evals[0].split_digest = Digest::of(b"another split");
        bench.forge(1, &drawn(&other, &bench.trial(1), 0));
        assert!(bench.damage(1).contains("`split_digest` is "), "{}", bench.damage(1));
        assert!(bench.damage(0).starts_with("Finished") && bench.damage(2).starts_with("Finished"));
        let mut collected = tables::collect(&bench.store, &bench.plan).unwrap();
        let table = tables::table(&bench.store, &bench.plan, &mut collected).unwrap();
        assert_eq!(table.unscored.len(), 1);
        assert_eq!(
            table.lines.iter().filter(|line| line.is_primary).map(|line| line.seeds).collect::<Vec<_>>(),
            [2, 3]
        );
    }

    #[test]
    fn a_byte_that_changed_within_predictions_is_found_when_the_table_reads_them() {
        let bench = Bench::new();
        let mut bytes = fs::read(bench.file(2)).unwrap();
        bytes[100] ^= 1;
        fs::write(bench.file(2), &bytes).unwrap();
        let mut collected = tables::collect(&bench.store, &bench.plan).unwrap();
        let table = tables::table(&bench.store, &bench.plan, &mut collected).unwrap();
        let [damaged] = &table.unscored[..] else { panic!("{:?}", table.unscored) };
        assert_eq!((damaged.seed.get(), damaged.state), (2, Unscored::Damaged));
        assert!(damaged.reason.contains("does not match the digest"), "{}", damaged.reason);
        // The scores are those of the other seeds, by one definition, and so is the difference.
        let lines: Vec<_> = table.lines.iter().filter(|line| line.is_primary).collect();
        let [reference, arm] = lines[..] else { panic!("{lines:?}") };
        let of_common = (arm.by_seed[0].1 + arm.by_seed[1].1) / 2.0 - reference.mean;
        assert!((arm.difference.as_ref().unwrap().mean - of_common).abs() < 1e-12);
        assert!(table.left_out.is_empty() && reference.notes.is_empty(), "{:?}", reference.notes);
    }

    #[test]
    fn a_file_of_other_classes_is_told_by_their_number() {
        let bench = Bench::new();
        let file = Predictions::open(fs::read(bench.file(0)).unwrap(), "drawn").unwrap();
        let mut metadata = file.metadata().clone();
        let of = |metadata: &Metadata| {
            let (trial, key, rows) = (bench.trial(0), bench.key(0), file.rows().unwrap());
            check_origin(&bench.store, &bench.plan, &trial, (&key, &rows), metadata)
        };
        of(&metadata).unwrap();
        metadata.task.classes.truncate(2);
        let said = of(&metadata).unwrap_err().to_string();
        assert!(said.contains("has 2 classes instead of 4: discocyte, elliptocyte"), "{said}");
    }

    #[test]
    fn every_file_that_cannot_be_recomputed_is_named_and_the_others_are_compared() {
        let bench = Bench::new();
        fs::write(bench.file(0), "cut").unwrap();
        fs::remove_file(bench.file(2)).unwrap();
        let (same, different) = crate::recompute::compared(&bench.store, &bench.plan).unwrap();
        assert_eq!((same, different.len()), (4, 2));
        assert!(
            different[0].starts_with("reference/seed-0: ") && different[1].starts_with("reference/seed-2: "),
            "{different:?}"
        );
    }
}
