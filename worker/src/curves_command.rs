//! `worker curves`: what a run's metrics and probes did over its steps, as one figure.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use results::figure::{Curve, CurvesFigure, Level, Panel, curves};
use results::row::from_json_lines;
use results::{ResultRow, TEACHER};
use run_folder::{Run, StepMetrics};
use run_spec::ids::Step;
use store::Store;

use crate::cli::CurvesArgs;

/// Draws the figure and says where it went.
pub(crate) fn draw(args: &CurvesArgs) -> Result<()> {
    let run = Run::at(&args.run)?;
    let record = run.record()?;
    let lines = run.metrics()?;
    if lines.is_empty() {
        bail!("{}: this run has no metrics yet; they are written with its first checkpoint", args.run);
    }
    let mut rows = Vec::new();
    for file in &args.rows {
        let text = terminal::read_text("file of rows", file)?;
        rows.extend(from_json_lines(&text, &file.display().to_string())?);
    }
    let steps = lines.keys().next_back().map_or(0, |step| step.get()) + 1;
    let figure = CurvesFigure {
        title: args.title.clone().unwrap_or_else(|| format!("{} of {}", terminal::counted(steps, "step"), args.run)),
        subtitle: format!(
            "seed {}, {} images per step, {}, configuration {}",
            record.config.value()["seed"],
            record.config.value()["train"]["batch_size"],
            terminal::counted(record.rows, "row"),
            record.config_digest.short()
        ),
        panels: metric_panels(&lines).into_iter().chain(online_panel(&lines)).chain(score_panels(&rows)?).collect(),
    };
    let svg = curves(&figure)?;
    let (folder, name) = Store::open_file(&args.out)?;
    folder.create(&name, svg.into_bytes().into()).with_context(|| format!("cannot write {}", args.out))?;
    terminal::line(&args.out);
    Ok(())
}

fn panel(title: &str, y_label: &str, curves: Vec<Curve>) -> Panel {
    let (title, y_label) = (title.to_owned(), y_label.to_owned());
    Panel { title, x_label: "step".to_owned(), y_label, curves, levels: Vec::new() }
}

/// A number of a step, with its name.
type Named = (&'static str, fn(&StepMetrics) -> Option<f64>);

/// Panels of the metrics that have a value anywhere.
fn metric_panels(steps: &BTreeMap<Step, StepMetrics>) -> Vec<Panel> {
    let curve = |(name, value): &Named| {
        let point = |(step, metrics): (&Step, &StepMetrics)| Some((step.get() as f64, value(metrics)?));
        Curve { name: (*name).to_owned(), points: steps.iter().filter_map(point).collect() }
    };
    let losses: [Named; 6] = [
        ("loss", |step| step.loss),
        ("dino_global", |step| step.dino_global),
        ("dino_local", |step| step.dino_local),
        ("ibot", |step| step.ibot),
        ("koleo", |step| step.koleo),
        ("sigreg", |step| step.sigreg),
    ];
    let entropy: [Named; 1] = [("teacher_entropy", |step| step.teacher_entropy)];
    let rankme: [Named; 1] = [("rankme", |step| step.rankme)];
    let wanted = [
        ("Loss", "nats", &losses[..]),
        ("Teacher's targets", "entropy in nats", &entropy),
        ("Teacher's features", "RankMe, dimensions", &rankme),
    ];
    let panels = wanted.into_iter().map(|(title, y_label, named)| {
        // A term that is switched off is zero throughout: no line.
        let shown = |curve: &Curve| curve.points.iter().any(|(_, y)| *y != 0.0);
        panel(title, y_label, named.iter().map(curve).filter(shown).collect())
    });
    panels.filter(|panel| !panel.curves.is_empty()).collect()
}

/// What the online probe found, if there is any; a score stands at the number of steps that the teacher has had.
fn online_panel(steps: &BTreeMap<Step, StepMetrics>) -> Option<Panel> {
    let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for (step, metrics) in steps {
        for (probe, score) in &metrics.probe {
            curves.entry(probe).or_default().extend(score.map(|score| ((step.get() + 1) as f64, score)));
        }
    }
    let curves: Vec<Curve> = curves.into_iter().map(|(name, points)| Curve { name: name.to_owned(), points }).collect();
    (!curves.is_empty()).then(|| panel("Online probe", "weighted F1", curves))
}

/// One panel per probe: mean over folds by step, per data set; baselines as levels.
fn score_panels(rows: &[ResultRow]) -> Result<Vec<Panel>> {
    let mut panels = Vec::new();
    for (probe, title) in [("1nn", "1-NN"), ("20nn", "20-NN"), ("linear", "Linear probe")] {
        // (features, data set) → step → the folds' scores.
        let mut scores: BTreeMap<(&str, String), BTreeMap<Step, Vec<f64>>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.probe == probe && row.metric == "weighted_f1") {
            let note = if row.is_transductive() { " (transductive)" } else { "" };
            let key = (row.features.as_str(), format!("{}{note}", row.dataset));
            scores.entry(key).or_default().entry(row.step).or_default().push(row.value);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mut one = panel(title, "weighted F1", Vec::new());
        for ((features, dataset), steps) in scores {
            let points: Vec<(f64, f64)> =
                steps.iter().map(|(step, values)| (step.get() as f64, mean(values))).collect();
            let name = format!("{features}, {dataset}");
            if features == TEACHER {
                one.curves.push(Curve { name, points });
            } else {
                one.levels.extend(points.first().map(|(_, value)| Level { name, value: *value }));
            }
        }
        if !one.curves.is_empty() {
            panels.push(one);
        }
    }
    if !rows.is_empty() && panels.is_empty() {
        bail!("--rows: no row is a weighted F1 of the teacher; give files that `worker probe --out` wrote");
    }
    Ok(panels)
}
