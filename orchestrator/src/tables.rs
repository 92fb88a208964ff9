//! From the rows of finished trials to the tables of a sweep, printed and kept in the store.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use results::figure::{self, ArmsFigure};
use results::measures::{Primary, ProbeName};
use results::predictions::Predictions;
use results::stats::counts::CountsBuilder;
use results::stats::verdict::Rules;
use results::table::{Evaluated, Table, TableOptions, line_name};
use results::{ResultRow, TEACHER, Unscored, UnscoredTrial, columns, render};
use run_spec::ids::Seed;
use store::{Store, StoreError};

use crate::evidence::{self, Checked};
use crate::identity::Life;
use crate::keys::PredictionsKey;
use crate::records::{Baseline, Finished, Plan, Trial};
use crate::trial_state::{self, State};

/// What the store holds of a plan.
#[derive(Debug)]
pub(crate) struct Collected<'a> {
    /// Rows of finished trials.
    pub(crate) rows: Vec<ResultRow>,
    /// Trials without rows, with the reason.
    pub(crate) without: Vec<UnscoredTrial>,
    /// Finished trials and baselines, whose predictions are read when they are counted.
    finished: Vec<(Trial<'a>, Finished)>,
}

/// Collects what the store holds of `plan`. A baseline's rows are counted with each finished trial that it belongs to.
pub(crate) fn collect<'a>(store: &Store, plan: &'a Plan) -> Result<Collected<'a>> {
    let (mut rows, mut without, mut finished) = (Vec::new(), Vec::new(), Vec::new());
    let mut baselines: BTreeMap<String, Vec<ResultRow>> = BTreeMap::new();
    for trial in plan.with_baselines(plan.trials()) {
        let Checked { state, rows: of_trial } = evidence::state(store, plan, &trial)?;
        let state = match state {
            State::Finished { record, .. } => {
                finished.push((trial, record));
                None
            }
            state => unscored(state),
        };
        if let Some((state, reason)) = state {
            let (arm, trial_digest) = (trial.arm.name.clone(), trial.arm.trial);
            without.push(UnscoredTrial { arm, seed: trial.seed, trial: trial_digest, state, reason });
        } else if let Some(baseline) = trial.baseline {
            let named = of_trial.into_iter().map(|row| ResultRow { dataset: baseline.eval.clone(), ..row });
            let named: Vec<ResultRow> = named.collect();
            // Without arms there is no trial to count them with.
            if plan.arms.is_empty() {
                rows.extend(
                    named.iter().map(|row| ResultRow { arm: String::new(), ..placed(row.clone(), plan, &trial) }),
                );
            }
            baselines.insert(trial.label(), named);
        } else {
            let shared = plan.baselines_of(&trial).filter_map(|baseline| baselines.get(&baseline.label()));
            let shared: Vec<&ResultRow> = shared.flatten().collect();
            // A probe of an older version scored baselines too; the shared ones count.
            let again = |row: &ResultRow| row.features != TEACHER && shared.iter().any(|s| s.features == row.features);
            let own = of_trial.into_iter().filter(|row| !again(row));
            rows.extend(own.chain(shared.iter().copied().cloned()).map(|row| placed(row, plan, &trial)));
        }
    }
    Ok(Collected { rows, without, finished })
}

impl<'a> Collected<'a> {
    /// Lists trials as damaged, by their labels, that were taken for finished until their predictions were read.
    fn leave_out(&mut self, damaged: &BTreeMap<String, String>) {
        let is_whole = |trial: &Trial<'_>| !damaged.contains_key(&trial.label());
        for (trial, record) in self.finished.iter().filter(|(trial, _)| !is_whole(trial)) {
            let attempt = record.predictions.first().and_then(|file| PredictionsKey::parse(&file.key));
            let attempt = attempt.map(|key| format!("attempt {}: ", key.attempt.number)).unwrap_or_default();
            self.without.push(UnscoredTrial {
                arm: trial.arm.name.clone(),
                seed: trial.seed,
                trial: trial.arm.trial,
                state: Unscored::Damaged,
                reason: format!("{attempt}{}", damaged[&trial.label()]),
            });
            self.rows.retain(|row| match trial.baseline {
                Some(baseline) => {
                    row.features != baseline.features || row.dataset != baseline.eval || !is_of(baseline, row)
                }
                None => (&row.arm, row.seed) != (&trial.arm.name, trial.seed),
            });
        }
        self.finished.retain(|(trial, _)| is_whole(trial));
    }

    /// Finished trials and baselines.
    pub(crate) fn finished(&self) -> impl Iterator<Item = (&Trial<'a>, &Finished)> {
        self.finished.iter().map(|(trial, record)| (trial, record))
    }

    /// The predictions on the evaluation set `eval`, counted probe by probe. A trial whose predictions cannot be used is added to `damaged`, by its
    /// label, with what is wrong.
    ///
    /// # Errors
    /// A store that cannot be reached.
    fn evaluated(
        &self,
        store: &Store,
        plan: &Plan,
        eval: &str,
        damaged: &mut BTreeMap<String, String>,
    ) -> Result<Evaluated> {
        let (mut classes, mut builders) = (Vec::new(), BTreeMap::new());
        for (trial, record) in &self.finished {
            match add(store, (trial, record), eval, &mut builders) {
                Ok(of_trial) => classes = of_trial.unwrap_or(classes),
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => drop(damaged.insert(trial.label(), format!("{error:#}"))),
            }
        }
        for ((arm, seed), error) in builders.values().flat_map(CountsBuilder::odd) {
            damaged.entry(format!("{arm}/seed-{seed}")).or_insert_with(|| error.to_string());
        }
        if !damaged.is_empty() {
            return Ok(Evaluated::default());
        }
        let mut counts = BTreeMap::new();
        for (probe, builder) in builders {
            let mut of_probe = builder.build()?;
            for (trial, _) in self.finished.iter().filter(|(trial, _)| trial.baseline.is_none()) {
                for baseline in plan.baselines_of(trial) {
                    let features = baseline.baseline.map_or("", |baseline| baseline.features.as_str());
                    let name = line_name(features, &trial.arm.name);
                    of_probe.share((&baseline.arm.name, baseline.seed.get()), (&name, trial.seed.get()));
                }
            }
            for (trial, _) in self.finished.iter().filter(|_| plan.arms.is_empty()) {
                let features = trial.baseline.map_or("", |baseline| baseline.features.as_str());
                of_probe.share((&trial.arm.name, trial.seed.get()), (&line_name(features, ""), trial.seed.get()));
            }
            counts.insert(probe, of_probe);
        }
        Ok(Evaluated { classes, counts })
    }
}

/// Whether a row is of a trial that the baseline belongs to.
fn is_of(baseline: &Baseline, row: &ResultRow) -> bool {
    baseline.trials.contains(&format!("{}/seed-{}", row.arm, row.seed))
}

/// The predictions of one trial on `eval`, and the name of its features in them; `None` if it kept none.
pub(crate) fn predictions<'a>(
    store: &Store,
    (trial, record): (&Trial<'a>, &Finished),
    eval: &str,
) -> Result<Option<(Predictions, &'a str)>> {
    let features = match trial.baseline {
        Some(baseline) if baseline.eval != eval => return Ok(None),
        Some(baseline) => baseline.features.as_str(),
        None => TEACHER,
    };
    // Baselines are shared by sweeps that may call the same set otherwise.
    let named = match trial.baseline {
        Some(_) => record.predictions.first().and_then(|file| PredictionsKey::parse(&file.key)).map(|key| key.eval),
        None => Some(eval.to_owned()),
    };
    let Some(named) = named else { return Ok(None) };
    Ok(evidence::predictions(store, record, &named)?.map(|predictions| (predictions, features)))
}

/// Adds the predictions of one trial on `eval` to the counts of each probe. Returns the classes; `None` where there are no
/// predictions.
fn add(
    store: &Store,
    trial: (&Trial<'_>, &Finished),
    eval: &str,
    builders: &mut BTreeMap<String, CountsBuilder>,
) -> Result<Option<Vec<String>>> {
    let Some((predictions, features)) = predictions(store, trial, eval)? else { return Ok(None) };
    let (trial, _) = trial;
    let task = &predictions.metadata().task;
    for probe in &task.probes {
        let builder = builders.entry(probe.name.clone()).or_insert_with(|| CountsBuilder::new(task.classes.len()));
        predictions.add_counts((features, &probe.name), (&trial.arm.name, trial.seed.get()), builder)?;
    }
    Ok(Some(task.classes.clone()))
}

/// Whether the store could not be reached, as opposed to damage in it.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(|error| !trial_state::is_damage(error))
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

/// Folds what was collected into the comparison. A trial whose predictions turn out to be damaged when they are read is listed as damaged
/// in `collected`, and the table is made without it.
pub(crate) fn table(store: &Store, plan: &Plan, collected: &mut Collected<'_>) -> Result<Table> {
    let options = TableOptions {
        title: format!("Sweep {}", plan.name),
        reference: (!plan.arms.is_empty()).then(|| plan.reference.clone()),
        arms: plan.arms.iter().map(|arm| arm.name.clone()).collect(),
        datasets: plan.evals.iter().map(|eval| eval.name.clone()).collect(),
        evidence: plan.evidence,
        primary: Primary::default(),
        primaries: plan.evals.iter().map(|eval| (eval.name.clone(), eval.primary)).collect(),
        rules: Rules { margin: plan.equivalence, ..Rules::default() },
        published: plan.evals.iter().flat_map(|eval| eval.published.clone()).collect(),
    };
    loop {
        let mut damaged = BTreeMap::new();
        let table = Table::with_predictions(&collected.rows, &collected.without, &options, |dataset, _| {
            collected.evaluated(store, plan, dataset, &mut damaged)
        });
        if damaged.is_empty() {
            return table;
        }
        collected.leave_out(&damaged);
    }
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

/// Writes the table as Markdown, CSV, Parquet and pictures, and the files `further` with their names, under the sweep's next table
/// number, unless the newest holds the same already. Returns the key of the folder.
pub(crate) fn keep(
    store: &Store,
    plan: &Plan,
    (table, rows): (&Table, &[ResultRow]),
    further: Vec<(String, Vec<u8>)>,
) -> Result<String> {
    let root = format!("{}/tables", plan.key());
    let mut files = vec![
        ("summary.csv".to_owned(), render::csv(table)?.into_bytes()),
        ("summary.parquet".to_owned(), render::parquet(table)?),
        ("rows.parquet".to_owned(), columns::to_parquet(rows)?),
    ];
    if !table.classes.is_empty() {
        files.push(("classes.csv".to_owned(), render::classes_csv(table)?.into_bytes()));
    }
    if !table.measured.is_empty() {
        files.push(("evaluations.csv".to_owned(), render::measured_csv(table)?.into_bytes()));
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
    files.extend(further);
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
pub(crate) mod tests {
    use super::*;
    use crate::records::{Arm, Baseline, PredictionsRef};
    use results::predictions::{Cell, FeaturesRecord, Fit, Origin, Predicted, ProbeColumn, ProbeFits, Task, Writer};
    use results::stats::score::Metric;
    use run_spec::ids::Digest;

    /// A file of predictions of four cells in four groups; `right` of them are right.
    fn predictions(features: &str, right: usize) -> Vec<u8> {
        let fold = |name: &str| Fit { fold: name.into(), n_train: 2, note: String::new(), c: None, optimum: None };
        let task = Task {
            dataset: "cells".into(),
            split: "grouped 5".into(),
            split_digest: Digest::of(b"split"),
            shards_eval: Digest::of(b"cells"),
            classes: vec!["round".into(), "spiky".into()],
            folds: vec!["0".into(), "1".into()],
            probes: vec![ProbeColumn { name: "1nn".into(), probabilities: false }],
            code_probe: "0.1.0+a".into(),
        };
        let origin = Origin {
            run: "r".into(),
            trial: Digest::of(b"t"),
            seed: 0.into(),
            arm: String::new(),
            step: 0.into(),
            checkpoint: None,
            config: Digest::of(b"c"),
            shards_train: Digest::of(b"train"),
            init_weights: None,
            code: "0.1.0+a".into(),
            device: "none".into(),
            hours: 0.0,
            kwh: None,
            transductive: None,
            token: None,
        };
        let fits = vec![ProbeFits { probe: "1nn".into(), folds: vec![fold("0"), fold("1")] }];
        let record = FeaturesRecord { features: features.into(), origin, spread: None, fits, measures: Vec::new() };
        let cell = |i: usize| Cell {
            id: Digest::of(&[i as u8]),
            pixel_digest: Digest::of(&[i as u8, 1]),
            source: "a".into(),
            group: format!("image {i}").into(),
            fold: (i % 2) as u32,
            truth: 0,
        };
        let classes: Vec<u32> = (0..4).map(|i| u32::from(i >= right)).collect();
        let mut writer = Writer::new(Vec::new(), task).unwrap();
        writer.write(record, (0..4).map(cell), &[Predicted { classes: &classes, probabilities: None }]).unwrap();
        writer.finish().unwrap()
    }

    /// Keeps `bytes` as the predictions of `trial` on the set that is called `eval` there.
    fn kept(store: &Store, trial: &Trial<'_>, eval: &str, bytes: Vec<u8>) -> Finished {
        let key = trial.attempt_key(1.into()).rows(eval).predictions().to_string();
        let digest = Digest::of(&bytes);
        store.create(&key, bytes.into()).unwrap();
        let predictions = vec![PredictionsRef { key, digest }];
        Finished { stages: Vec::new(), rows: Vec::new(), predictions, unix_s: 0 }
    }

    #[test]
    fn predictions_are_counted_by_arm_and_seed_and_baselines_with_each_trial_they_belong_to() {
        let store = Store::open("memory://counted-predictions").unwrap();
        let mut plan = crate::command::tests::plan();
        plan.seeds = vec![4.into(), 5.into()];
        let trials = plan.trials().iter().map(Trial::label).collect();
        plan.baselines = vec![Baseline {
            arm: Arm { name: "histogram@cells".into(), trial: Digest::of(b"h"), ..plan.arms[0].clone() },
            seed: 0.into(),
            features: "histogram".into(),
            weights: None,
            eval: "cells".into(),
            probes: Digest::of(b"q"),
            trials,
        }];
        let arms = plan.trials().into_iter().zip([3, 4, 2, 4]);
        let mut finished: Vec<(Trial<'_>, Finished)> =
            arms.map(|(trial, right)| (trial, kept(&store, &trial, "cells", predictions(TEACHER, right)))).collect();
        // Another sweep may have called the set otherwise.
        let baseline = Trial::from(&plan.baselines[0]);
        finished.push((baseline, kept(&store, &baseline, "other-name", predictions("histogram", 1))));
        let collected = Collected { rows: Vec::new(), without: Vec::new(), finished };
        let mut damaged = BTreeMap::new();
        let Evaluated { classes, counts } = collected.evaluated(&store, &plan, "cells", &mut damaged).unwrap();
        assert!(damaged.is_empty(), "{damaged:?}");
        assert_eq!(classes, ["round", "spiky"]);
        let of = |name: &str, seed| counts["1nn"].score(name, seed, Metric::Accuracy);
        assert_eq!((of("reference", 4), of("b", 4), of("reference", 5)), (Some(0.75), Some(1.0), Some(0.5)));
        assert_eq!((of("baseline: histogram (b)", 5), of("b", 6)), (Some(0.25), None));
        assert!(collected.evaluated(&store, &plan, "none", &mut damaged).unwrap().counts.is_empty());
        // One that cannot be read is listed as damaged, with the reason, and leaves the others.
        let row = |(trial, _): &(Trial<'_>, Finished)| ResultRow { metric: "accuracy".into(), ..row_of(trial) };
        let rows = collected.finished.iter().filter(|(trial, _)| trial.baseline.is_none()).map(row).collect();
        let mut collected = Collected { rows, ..collected };
        collected.finished[0].1.predictions[0].digest = Digest::of(b"other");
        let table = table(&store, &plan, &mut collected).unwrap();
        let [damaged] = &table.unscored[..] else { panic!("{:?}", table.unscored) };
        assert_eq!((&*damaged.arm, damaged.seed.get(), damaged.state), ("reference", 4, Unscored::Damaged));
        assert!(
            damaged.reason.starts_with("attempt 1: ") && damaged.reason.contains("is damaged"),
            "{}",
            damaged.reason
        );
        let seeds: Vec<usize> = table.lines.iter().map(|line| line.seeds).collect();
        assert_eq!((seeds, collected.rows.len(), collected.finished.len()), (vec![1, 2], 3, 4));
    }

    /// A row on the set of [`predictions`].
    pub(crate) fn row() -> ResultRow {
        Predictions::open(predictions(TEACHER, 1), "made up").unwrap().rows().unwrap().remove(0)
    }

    fn row_of(trial: &Trial<'_>) -> ResultRow {
        ResultRow { arm: trial.arm.name.clone(), seed: trial.seed, ..row() }
    }

    #[test]
    fn a_file_without_the_features_of_its_trial_is_damage_of_that_trial_alone() {
        let store = Store::open("memory://other-features").unwrap();
        let mut plan = crate::command::tests::plan();
        plan.seeds = vec![4.into(), 5.into()];
        let file = |number: usize| predictions(if number == 0 { "histogram" } else { TEACHER }, 2);
        let trials = plan.trials().into_iter().enumerate();
        let finished = trials.map(|(number, trial)| (trial, kept(&store, &trial, "cells", file(number)))).collect();
        let rows = plan.trials().iter().map(row_of).collect();
        let mut collected = Collected { rows, without: Vec::new(), finished };
        let table = table(&store, &plan, &mut collected).unwrap();
        assert_eq!(table.unscored.len(), 1, "the file without the teacher's predictions");
        assert_eq!(table.lines.iter().map(|line| line.seeds).sum::<usize>(), 3);
    }

    #[test]
    fn ten_is_newer_than_nine() {
        let keys: Vec<String> = [9, 10, 1].map(|n| format!("r/tables/{n}/report.md")).into();
        assert_eq!(newest_number(&keys, "r/tables"), Some(10));
        assert_eq!(newest_number(&[], "r/tables"), None);
    }
}
