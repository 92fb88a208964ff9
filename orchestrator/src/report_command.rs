//! The report of a sweep: what the page of `crates/report` shows, gathered from the store.

mod cells;
mod facts;
mod look;
mod pictures;
mod sets;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use report::data::FORMAT;
use report::{Report, Trace};
use results::measures::Evaluation;
use results::table::{SMOKE_TEST, Table};
use run_folder::Run;
use store::Store;

use crate::cli::ReportArgs;
use crate::records::{Plan, Trial};
use crate::tables::{self, Collected};
use crate::target;

/// Bytes that the pictures of all evaluation sets may take in a page, which stays below 25 MB.
const PICTURES: usize = 18_000_000;

/// What is in the name of evaluation sets and sources that a program drew, as the quickstart's.
const SYNTHETIC: &str = "synth";

/// `orchestrator report`.
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode> {
    for file in [Some(&args.out), args.data.as_ref()].into_iter().flatten() {
        let name = file.to_string_lossy();
        ensure!(
            !name.contains("://"),
            "{name} is an address, but --out and --data name local files: copy the page there afterwards"
        );
    }
    let report = match (&args.from, args.target()) {
        (Some(file), _) => read(file)?,
        (None, Some(target)) => {
            let (store, plan) = target::sweep(&target)?;
            let mut collected = tables::collect(&store, &plan)?;
            let table = tables::table(&store, &plan, &mut collected)?;
            gather(&store, &plan, &collected, &table)?
        }
        (None, None) => anyhow::bail!("a sweep file or the name of a sweep is needed, or --from"),
    };
    let page = report::page(&report)?;
    fs::write(&args.out, &page).with_context(|| format!("cannot write {}", args.out.display()))?;
    if let Some(file) = &args.data {
        fs::write(file, report::to_json(&report)?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    terminal::note(format!("{}: {}", args.out.display(), terminal::bytes(page.len() as u64)));
    terminal::line(args.out.display());
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Report> {
    let text = terminal::read_text("report in JSON", file)?;
    let report = report::from_json(&text).with_context(|| format!("{} holds no report", file.display()))?;
    ensure!(report.format == FORMAT, "{} has format {}; this program knows {FORMAT}", file.display(), report.format);
    Ok(report)
}

/// Everything that the store holds of a sweep, as a report. What cannot be read is named and left out.
pub(crate) fn gather(store: &Store, plan: &Plan, collected: &Collected<'_>, table: &Table) -> Result<Report> {
    let names: Vec<String> = plan.arms.iter().map(|arm| arm.name.clone()).collect();
    let mut evaluations = report::evaluations(table, &names);
    let (mut charts, mut sizes) = (Vec::new(), BTreeMap::new());
    let (mut room, mut synthetic) = (PICTURES, is_synthetic(plan));
    for evaluation in &mut evaluations {
        let Some(eval) = plan.evals.iter().find(|eval| eval.name == evaluation.name) else { continue };
        let Some(tally) = cells::tally(store, plan, collected, (eval, evaluation))? else { continue };
        evaluation.confusion = tally.confusion();
        evaluation.per_source = tally.per_source();
        evaluation.mistakes = tally.mistakes();
        evaluation.atlas = pictures::atlas(store, eval, &mut room);
        evaluation.map = pictures::map(store, plan, collected, (eval, &tally));
        let curves = report::curves(table, &eval.name, &eval.split);
        // Where calibration was asked for, its curves are those of every probe, with their spread over seeds.
        if !plan.evaluations.contains(&Evaluation::Calibration) {
            charts.extend(tally.coverage(&eval.name));
        }
        charts.extend(curves);
        sizes.insert(eval.name.clone(), tally.size());
        synthetic |= tally.sources().iter().any(|source| source.contains(SYNTHETIC));
    }
    let traces = collected.finished().filter_map(|(trial, _)| trace(store, trial)).collect::<Vec<_>>();
    charts.splice(0..0, report::training(&traces));
    charts.extend(report::costs(table));
    Ok(Report {
        format: FORMAT,
        title: table.title.clone(),
        mark: mark(plan, synthetic),
        notices: notices(plan, synthetic),
        reference: table.reference.clone(),
        level: table.level(),
        margin: table.rules.margin,
        evaluations,
        charts,
        look: look::found(store, plan, &mut room),
        run: Some(facts::run(store, plan, collected, table)?),
        captions: table.captions().into_iter().filter(|caption| caption != SMOKE_TEST).collect(),
        methods: report::methods(table, &facts::design(plan, collected, table, &sizes)),
        made: format!("Made by orchestrator {} from the records of sweep {}.", crate::cli::VERSION, plan.digest),
    })
}

/// Whether the name of an evaluation set says that a program drew it.
fn is_synthetic(plan: &Plan) -> bool {
    plan.evals.iter().any(|eval| eval.name.to_lowercase().contains(SYNTHETIC))
}

fn mark(plan: &Plan, synthetic: bool) -> Option<String> {
    let marks = [(!plan.evidence).then_some("SMOKE TEST"), synthetic.then_some("SYNTHETIC")];
    let marks: Vec<&str> = marks.into_iter().flatten().collect();
    (!marks.is_empty()).then(|| marks.join(", "))
}

fn notices(plan: &Plan, synthetic: bool) -> Vec<String> {
    let drawn = "SYNTHETIC: the cells were drawn by a program. The numbers say nothing about blood.";
    let notices = [(!plan.evidence).then_some(SMOKE_TEST), synthetic.then_some(drawn)];
    notices.into_iter().flatten().map(str::to_owned).collect()
}

/// The metrics of a trained trial; `None` for baselines, and where they cannot be read.
fn trace(store: &Store, trial: &Trial<'_>) -> Option<Trace> {
    if trial.baseline.is_some() {
        return None;
    }
    let run = Run::of(store.child(&trial.key().run()));
    let metrics = match run.metrics() {
        Ok(metrics) => metrics,
        Err(error) => {
            terminal::note(format!("{}: its metrics are not drawn: {error}", trial.label()));
            return None;
        }
    };
    let mut values: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for (step, metrics) in metrics {
        for (name, value) in metrics.scalars() {
            values.entry(name).or_default().push((step.get(), value));
        }
    }
    Some(Trace { arm: trial.arm.name.clone(), seed: trial.seed, values })
}

/// Names of the files of a report in a folder of tables.
pub(crate) fn files(report: &Report) -> Result<Vec<(String, Vec<u8>)>> {
    let (page, data) = (report::page(report)?, report::to_json(report)?);
    Ok(vec![("report.json".to_owned(), data.into_bytes()), (PAGE.to_owned(), page.into_bytes())])
}

/// Name of the page in a folder of tables.
pub(crate) const PAGE: &str = "report.html";
