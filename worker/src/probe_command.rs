//! `worker probe`: a run's teacher features on a labelled cell set, beside random weights of the same model and a colour
//! histogram, so that a reader sees what training added. `worker baseline` scores one of those two by itself.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use probe::Features;
use probe::metrics::Metric;
use probe::protocol::{Cells, Evaluation, Probe, evaluate};
use results::stats::Bootstrap;
use run_spec::config::ResolvedConfig;
use shards::ShardSet;
use store::Store;

use crate::cli::{BaselineArgs, ProbeArgs, ScoringArgs};
use crate::environment::Environment;
use crate::features::{self, Extractor};
use crate::probe_command::rows::Origin;
use crate::{device, expectation, transductive};

mod rows;

/// Scores a run and prints a table; with `--out` the rows go there too.
pub(crate) fn probe(args: &ProbeArgs, environment: &Environment) -> Result<()> {
    let Scoring { shards, cells, out } = args.scoring.open()?;
    let trained = features::open(&args.model, environment)?;
    let shared = transductive::found(&trained.record.shards, args.train_shards.as_deref(), &shards)?;
    let of_run = Origin::of_run(&trained, &args.arm, args.transductive.then_some(true).or(shared))?;

    let extractor = Extractor::new(&shards, args.scoring.batch, args.model.threads)?;
    let (config, device) = (&trained.config, trained.device.device);
    let features = extractor.features(&trained.teacher, config.crops.global_size, "teacher features")?;
    let mut scored = vec![score(results::TEACHER, of_run.clone(), &features, &cells, &extractor)?];
    for baseline in &args.baselines.0 {
        let features = baseline.features(config, device, &extractor)?;
        scored.push(score(baseline.name(), of_run.untrained(), &features, &cells, &extractor)?);
    }
    finish(&args.scoring, &shards, out, &scored)
}

/// Scores features that no training made, without a run; with `--out` the rows go there too.
pub(crate) fn baseline(args: &BaselineArgs, environment: &Environment) -> Result<()> {
    let Scoring { shards, cells, out } = args.scoring.open()?;
    let config = match &args.config {
        Some(path) => crate::config_file::read_untrained(path, &args.set)?,
        None if args.features.needs_model() => {
            bail!("{} features need a model: name its training configuration with --config", args.features.name())
        }
        None => ResolvedConfig::untrained("", "the defaults", &args.set)?,
    };
    let device = device::open(config.device, args.threads, environment)?;
    let extractor = Extractor::new(&shards, args.scoring.batch, args.threads)?;
    let features = args.features.features(&config, device.device, &extractor)?;
    let name = args.features.name();
    let origin = Origin::of_nothing(&config, name, device.description);
    finish(&args.scoring, &shards, out, &[score(name, origin, &features, &cells, &extractor)?])
}

/// Features by name, where they come from, and their scores.
type Scored = (&'static str, Origin, Evaluation);

fn score(
    name: &'static str,
    origin: Origin,
    features: &Features,
    cells: &Arc<Cells>,
    extractor: &Extractor<'_>,
) -> Result<Scored> {
    let began = std::time::Instant::now();
    let evaluation = extractor.on_threads(|| evaluate(cells, features, &Probe::PUBLISHED))?;
    tracing::info!(features = name, seconds = began.elapsed().as_secs_f64(), "probed");
    Ok((name, origin, evaluation))
}

/// Writes the rows where they are wanted, and prints the table.
fn finish(args: &ScoringArgs, shards: &ShardSet, out: Option<(Store, String)>, scored: &[Scored]) -> Result<()> {
    if let Some((store, name)) = out {
        let rows = rows::rows(args, shards, scored)?;
        let text = results::row::to_json_lines(&rows)?;
        store.create(&name, text.into()).with_context(|| format!("write {name}"))?;
    }
    print(args, scored)
}

/// The evaluation set, opened, and where the rows go.
pub(crate) struct Scoring {
    shards: ShardSet,
    cells: Arc<Cells>,
    out: Option<(Store, String)>,
}

impl ScoringArgs {
    /// Opens the evaluation set, and refuses it where it is not the expected one.
    pub(crate) fn open(&self) -> Result<Scoring> {
        expectation::program(&self.expect)?;
        let out = self.out.as_deref().map(Store::open_file).transpose()?;
        let shards = ShardSet::open(&Store::open(&self.shards)?)?;
        expectation::digest(&self.expect, expectation::Key::Shards, &self.shards, &shards.digest())?;
        let cells = Arc::new(labelled_cells(&shards, &self.split)?);
        let place = format!("{} of {}", self.split, self.shards);
        expectation::digest(&self.expect, expectation::Key::Split, &place, &rows::split_digest(&shards, &self.split)?)?;
        tracing::info!(
            cells = cells.len(),
            classes = cells.classes().names().len(),
            groups = cells.groups(),
            "probing"
        );
        Ok(Scoring { shards, cells, out })
    }
}

/// Every row of the set with its label, group and fold.
fn labelled_cells(shards: &ShardSet, split: &str) -> Result<Cells> {
    let folds = shards.split(split)?;
    let (mut labels, mut groups, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let mut unlabelled = 0u64;
    for meta in shards.metas() {
        let Some(label) = meta.label else {
            unlabelled += 1;
            continue;
        };
        let fold =
            folds.fold_of(&meta.group).with_context(|| format!("split {split}: group {} has no fold", meta.group))?;
        names.push(folds.fold_name(fold).map_or_else(|| fold.to_string(), str::to_owned));
        labels.push(label);
        groups.push(meta.group);
    }
    if unlabelled > 0 {
        bail!(
            "{}: {unlabelled} of {} rows have no label; probe a set built with --product cells from labelled sources",
            shards.store().uri(),
            shards.len()
        );
    }
    Ok(Cells::new(&labels, &groups, &names)?)
}

fn print(args: &ScoringArgs, scored: &[Scored]) -> Result<()> {
    let Some((_, origin, first)) = scored.first() else { return Ok(()) };
    let cells = first.cells();
    terminal::line(format!(
        "{} cells, {} classes, {} groups, split {} ({} folds), step {}{}",
        cells.len(),
        cells.classes().names().len(),
        cells.groups(),
        args.split,
        cells.folds().len(),
        origin.step,
        if origin.transductive == Some(true) { ", transductive: the training set held images of this set" } else { "" }
    ));
    terminal::line(format!(
        "{:<10} {:<7} {:>15} {:>15} {:>15}  weighted F1, 95 % over groups",
        "features", "probe", "accuracy", "balanced acc.", "weighted F1"
    ));
    let bootstrap = Bootstrap { resamples: args.bootstrap, level: 0.95, seed: 0 };
    for (features, _, evaluation) in scored {
        for probe in Probe::PUBLISHED {
            let cell = |metric| -> Result<String> {
                let summary = evaluation.summary(probe, metric)?;
                Ok(format!("{:.3} ± {:.3}", summary.mean, summary.std.unwrap_or(0.0)))
            };
            let interval = if args.bootstrap == 0 {
                String::new()
            } else {
                let interval = evaluation.interval(probe, Metric::WeightedF1, &bootstrap)?;
                let against = match *features == results::TEACHER {
                    true => differences(evaluation, scored, probe, &bootstrap)?,
                    false => String::new(),
                };
                format!("[{:.3}, {:.3}]{against}", interval.lo, interval.hi)
            };
            terminal::line(format!(
                "{features:<10} {:<7} {:>15} {:>15} {:>15}  {interval}",
                probe.name,
                cell(Metric::Accuracy)?,
                cell(Metric::BalancedAccuracy)?,
                cell(Metric::WeightedF1)?
            ));
        }
    }
    Ok(())
}

/// What training added over each baseline, on the same draws of groups.
fn differences(teacher: &Evaluation, all: &[Scored], probe: Probe, bootstrap: &Bootstrap) -> Result<String> {
    let mut text = String::new();
    for (name, _, other) in all.iter().filter(|(name, _, _)| *name != results::TEACHER) {
        let (difference, interval) = teacher.paired_difference(other, probe, Metric::WeightedF1, bootstrap)?;
        text.push_str(&format!("; {difference:+.3} [{:+.3}, {:+.3}] to {name}", interval.lo, interval.hi));
    }
    Ok(text)
}
