//! A store of many finished trials, drawn, to see what the commands that read all of it take (`make measure-store`).

use std::path::Path;
use std::time::Duration;

use results::predictions::{
    Cell, FeaturesRecord, Fit, Origin, Predicted, Predictions, ProbeColumn, ProbeFits, Task, Writer,
};
use results::{TEACHER, row};
use run_spec::ids::{Digest, Seed, Step};
use serde_json::json;
use store::Store;

use crate::command::tests::plan;
use crate::evidence;
use crate::identity::Identity;
use crate::keys::RowsKey;
use crate::live::reader::Reader;
use crate::plans;
use crate::records::{Cause, Claim, Failed, Finished, Plan, StageReport, Trial};
use crate::show::Counts;
use crate::tables;
use crate::trial_state;

const CELLS: usize = 600;
const GROUPS: usize = 30;
const FOLDS: usize = 3;
const CLASSES: [&str; 4] = ["discocyte", "elliptocyte", "spherocyte", "target"];
/// Steps of a run, each with a line of metrics.
const STEPS: usize = 200;

/// A plan of `arms` arms and `seeds` seeds.
pub(crate) fn large(arms: usize, seeds: u64) -> Plan {
    let small = plan();
    let arm = |n: usize| {
        let config = json!({"loss": {"koleo_weight": n}});
        let name = if n == 0 { "reference".to_owned() } else { format!("arm-{n:03}") };
        crate::records::Arm {
            name,
            trial: Digest::of(config.to_string().as_bytes()),
            config: config.into(),
            ..small.arms[0].clone()
        }
    };
    let arms: Vec<_> = (0..arms).map(arm).collect();
    Plan { name: "large".into(), arms, seeds: (0..seeds).map(Seed::new).collect(), evidence: true, ..small }
}

/// A number between 0 and 1 that looks drawn.
fn drawn(numbers: [usize; 3]) -> f64 {
    let text = format!("{numbers:?}");
    f64::from(Digest::of(text.as_bytes()).as_bytes()[0]) / 256.0
}

fn task(plan: &Plan) -> Task {
    let eval = &plan.evals[0];
    let probe = |name: &str, probabilities| ProbeColumn { name: name.into(), probabilities };
    Task {
        dataset: eval.name.clone(),
        split: eval.split.clone(),
        split_digest: eval.split_digest,
        shards_eval: eval.shards.digest,
        classes: CLASSES.map(str::to_owned).to_vec(),
        folds: (0..FOLDS).map(|fold| fold.to_string()).collect(),
        probes: vec![
            probe("linear", true),
            probe("1nn", false),
            probe("20nn", false),
            probe("linear_standardised", true),
        ],
        code_probe: plan.code.version.clone(),
    }
}

fn record(plan: &Plan, trial: &Trial<'_>, task: &Task) -> FeaturesRecord {
    let fit = |fold: &String| Fit { fold: fold.clone(), n_train: 400, note: String::new(), c: None, optimum: None };
    let fits =
        |probe: &ProbeColumn| ProbeFits { probe: probe.name.clone(), folds: task.folds.iter().map(fit).collect() };
    let origin = Origin {
        run: trial.label(),
        trial: trial.arm.trial,
        seed: trial.seed,
        arm: trial.arm.name.clone(),
        step: evidence::step(plan, trial).unwrap_or(Step::new(0)),
        checkpoint: None,
        config: Digest::of(b"config"),
        shards_train: trial.arm.shards.digest,
        init_weights: None,
        code: plan.code.version.clone(),
        device: "CPU".into(),
        hours: 0.25,
        kwh: None,
        transductive: Some(false),
        token: None,
    };
    let fits = task.probes.iter().map(fits).collect();
    FeaturesRecord { features: TEACHER.into(), origin, spread: None, fits, measures: Vec::new() }
}

/// What the probes of arm `arm` predicted: of later arms a little more is right.
pub(crate) fn predictions(plan: &Plan, trial: &Trial<'_>, arm: usize) -> Vec<u8> {
    let task = task(plan);
    let record = record(plan, trial, &task);
    let groups: Vec<std::sync::Arc<str>> = (0..GROUPS).map(|group| format!("image {group}").into()).collect();
    let cell = |i: usize| Cell {
        id: Digest::of(&i.to_le_bytes()),
        pixel_digest: Digest::of(&i.to_be_bytes()),
        source: ["a", "b"][i % GROUPS % 2].into(),
        group: std::sync::Arc::clone(&groups[i % GROUPS]),
        fold: (i % GROUPS / 2 % FOLDS) as u32,
        truth: (i / GROUPS % CLASSES.len()) as u32,
    };
    let seed = trial.seed.get() as usize;
    let says = |i: usize, probe: usize| {
        let is_right = drawn([i, seed, probe]) < 0.7 + 0.2 * drawn([arm, 1, 2]);
        if is_right { cell(i).truth } else { (cell(i).truth + 1) % CLASSES.len() as u32 }
    };
    let classes: Vec<Vec<u32>> = (0..4).map(|probe| (0..CELLS).map(|i| says(i, probe)).collect()).collect();
    let shares: Vec<f32> = (0..CELLS)
        .flat_map(|i| (0..CLASSES.len() as u32).map(move |class| (i, class)))
        .map(|(i, class)| if classes[0][i] == class { 0.7 } else { 0.1 })
        .collect();
    let mut writer = Writer::new(Vec::new(), task.clone()).unwrap();
    let predicted: Vec<Predicted<'_>> = task
        .probes
        .iter()
        .zip(&classes)
        .map(|(probe, classes)| Predicted { classes, probabilities: probe.probabilities.then_some(&shares[..]) })
        .collect();
    writer.write(record, (0..CELLS).map(cell), &predicted).unwrap();
    writer.finish().unwrap()
}

/// Writes a sweep whose trials have all finished, as an orchestrator and its workers leave it.
pub(crate) fn write(store: &Store, plan: &Plan) {
    plans::record_start(store, plan).unwrap();
    plan.trials().iter().for_each(|trial| write_finished(store, plan, trial));
    plans::record_end(store, plan).unwrap();
}

fn write_finished(store: &Store, plan: &Plan, trial: &Trial<'_>) {
    let arm = plan.arms.iter().position(|arm| arm.name == trial.arm.name).unwrap();
    let key = trial.attempt_key(1.into());
    assert!(trial_state::claim(store, trial, 1.into(), &plan.name, None).unwrap());
    let bytes = predictions(plan, trial, arm);
    let rows = Predictions::open(bytes.clone(), "drawn").unwrap().rows().unwrap();
    let rows_key: RowsKey = key.rows(&plan.evals[0].name);
    store.create(&rows_key.predictions().to_string(), bytes.into()).unwrap();
    store.create(&rows_key.to_string(), row::to_json_lines(&rows).unwrap().into()).unwrap();
    write_metrics(store, trial, (arm, STEPS));
    let measured = evidence::refs(store, plan, trial, &[rows_key]).unwrap();
    let stages = vec![StageReport { name: "train".into(), seconds: 90.0, exit_code: Some(0) }];
    let result = Finished::at(trial_state::unix_s(), stages, measured);
    store.create_record(&key.result(), &result).unwrap();
}

fn write_metrics(store: &Store, trial: &Trial<'_>, (arm, steps): (usize, usize)) {
    let line = |step: usize| {
        let loss = 10.0 * (-(step as f64) / 80.0).exp() + drawn([step, arm, 3]);
        json!({"step": step, "loss": loss, "dino_global": loss / 2.0, "ibot": loss / 2.0, "images_per_s": 30.0, "lr": 1e-3}).to_string()
    };
    let lines: Vec<String> = (0..steps).map(line).collect();
    let run = store.child(&trial.key().run());
    run.create("metrics/00000000-a0001.jsonl", (lines.join("\n") + "\n").into()).unwrap();
}

/// Writes a sweep of 15 trials that runs on another machine: ten have finished, one runs, one has failed, three are to be run.
fn write_running(store: &Store, plan: &Plan) {
    plans::record_start(store, plan).unwrap();
    let trials = plan.trials();
    trials[..10].iter().for_each(|trial| write_finished(store, plan, trial));
    let elsewhere = Identity { host: "elsewhere".into(), ..Identity::own() };
    let claim = Claim { holder: elsewhere, sweep: plan.name.clone(), unix_s: trial_state::unix_s(), batch: None };
    store.create_record(&trials[10].attempt_key(1.into()).claim(), &claim).unwrap();
    write_metrics(store, &trials[10], (0, STEPS / 3));
    assert!(trial_state::claim(store, &trials[11], 1.into(), &plan.name, None).unwrap());
    let failed = Failed {
        cause: Cause::Exit,
        stage: "train".into(),
        message: "the loss is not finite at step 12 <b>bold</b>".into(),
        stages: Vec::new(),
        unix_s: trial_state::unix_s(),
    };
    trial_state::record_failure(store, &trials[11], 1.into(), &failed).unwrap();
}

#[test]
fn a_drawn_store_reads_as_a_finished_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    let plan = large(3, 3);
    write(&store, &plan);
    let plan = plans::newest(&store, "large").unwrap();
    let mut collected = tables::collect(&store, &plan).unwrap();
    let table = tables::table(&store, &plan, &mut collected).unwrap();
    let report = crate::report_command::gather(&store, &plan, &collected, &table).unwrap();
    assert_eq!(report.evaluations[0].arms.len(), 3);
    assert!(report.evaluations[0].arms[1].difference.as_ref().unwrap().interval.is_some());
    assert!(report.charts.iter().any(|chart| chart.title == "total loss" && chart.series.len() == 9));

    let mut reader = Reader::new(&store, &plan);
    let (every, quick) = (Duration::from_secs(5), Duration::from_millis(50));
    reader.read(4).unwrap();
    assert_eq!(reader.rest(quick, every), quick, "before all have been seen the store is left alone half the time");
    assert_eq!(reader.picture().counts(), Counts { finished: 4, ..Counts::default() });
    reader.read(100).unwrap();
    let picture = reader.picture();
    assert_eq!(reader.rest(quick, every), every);
    assert!(picture.seen() == 9 && picture.trials.iter().all(|trial| trial.score.is_some()));
    // Finished trials are not read again: nothing of the store is needed any more.
    std::fs::remove_dir_all(folder.path().join("trials")).unwrap();
    reader.read(100).unwrap();
    assert_eq!(reader.picture().counts().finished, 9);
}

/// `REDDINO_RUNNING_STORES=FOLDER` writes two stores there, for `scripts/page-test.sh`: `now`, in which a sweep runs, and `end`, the same when it has finished.
#[test]
fn stores_of_a_running_sweep_are_written_where_they_are_asked_for() {
    let Some(folder) = std::env::var_os("REDDINO_RUNNING_STORES") else { return };
    let folder = Path::new(&folder);
    let open = |name: &str| Store::open(folder.join(name).to_str().unwrap()).unwrap();
    let plan = large(5, 3);
    write_running(&open("now"), &plan);
    write(&open("end"), &plan);
}

/// `REDDINO_LARGE_STORE=FOLDER` writes a store of 1,000 trials there, for `scripts/measure-store.sh`.
#[test]
fn a_store_of_a_thousand_trials_is_written_where_it_is_asked_for() {
    let Some(folder) = std::env::var_os("REDDINO_LARGE_STORE") else { return };
    let folder = Path::new(&folder);
    assert!(!folder.exists(), "{} is there already", folder.display());
    write(&Store::open(folder.to_str().unwrap()).unwrap(), &large(100, 10));
}
