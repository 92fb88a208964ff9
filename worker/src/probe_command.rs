//! `worker probe`: a run's teacher features on a labelled cell set, beside random weights of the same model and a colour
//! histogram, so that a reader sees what training added; or those of weights that others have trained. `worker baseline` scores
//! one of the baselines by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dino::Token;
use probe::evaluations::{self, Setting, Subject};
use probe::protocol::{Cells, Evaluation, evaluate};
use probe::spread::Spread;
use probe::{Classes, Features};
use results::measures;
use results::predictions::{Measure, Origin, Predictions};
use run_spec::config::{ResolvedConfig, TrainConfig};
use run_spec::ids::Digest;
use run_spec::layer::{nearest, suggestion};
use shards::{ShardError, ShardSet, split_key};
use store::Store;

use crate::baselines::Baseline;
use crate::cli::{BaselineArgs, ModelArgs, ProbeArgs, ScoringArgs};
use crate::environment::Environment;
use crate::features::{self, Extractor};
use crate::released::OpenReleased;
use crate::{device, expectation, released, transductive};

mod atlas;
mod cost;
mod kept;
mod measured;
mod origin;
mod patches;
mod predictions;
mod print;

use patches::Model;

/// Scores a run or a file of weights and prints a table; with `--out` and `--predictions` rows and predictions are kept.
pub(crate) fn probe(args: &ProbeArgs, environment: &Environment) -> Result<()> {
    match (args.model.of_run(), &args.model.weights) {
        (Some(model), _) => of_run(args, &model, environment),
        (None, Some(weights)) => of_weights(args, weights, environment),
        (None, None) => bail!("name a run with --run, or a file with --weights"),
    }
}

/// Scores weights that others have trained, beside a colour histogram.
fn of_weights(args: &ProbeArgs, weights: &str, environment: &Environment) -> Result<()> {
    verify_exists(weights)?;
    let (scoring, model) = (args.scoring.open()?, &args.model);
    let OpenReleased { config, device, released, side } = released::choose(model, weights, environment)?;
    expectation::digest(&args.scoring.expect, expectation::Key::InitWeights, weights, &released.digest)?;
    let extractor = args.scoring.extractor(&scoring, model.threads)?;
    let name = args.name.clone().unwrap_or_else(|| file_stem(weights));
    let features = extractor.features(released.model.as_ref(), side, &format!("{name} features"))?;

    let origin = origin::of_nothing(&config, &name, device.description);
    let of_file = origin::of_weights(&origin, weights, &released.digest, args.transductive.then_some(true));
    let encoder = released.model.encoder();
    let of_file = origin::with_token(of_file, encoder.map_or(Token::Cls, |_| args.scoring.token.into()));
    let probed = Probed { args: &args.scoring, scoring: &scoring, extractor: &extractor };
    let network = Model { network: released.model.as_ref(), side };
    let mut scored = vec![probed.score(&name, of_file, (&features, Some(network)))?];
    // Random weights would need a configuration of the whole model: `worker baseline random`.
    for baseline in args.baselines.0.iter().filter(|baseline| !baseline.needs_model()) {
        let origin = Origin { run: baseline.name().to_owned(), ..origin.clone() };
        scored.push(probed.baseline(*baseline, origin, (&config, device.device))?);
    }
    finish(&args.scoring, &scoring, scored)?;
    atlas::keep(args.scoring.atlas.as_deref(), &scoring.shards, &extractor);
    Ok(())
}

/// Refuses a file of weights that does not exist, before the cells are read: from a bucket that takes minutes.
fn verify_exists(weights: &str) -> Result<()> {
    let (folder, file) = Store::open_file(weights)?;
    if !folder.exists(&file)? {
        bail!("--weights {weights}: there is no such file");
    }
    Ok(())
}

/// `dinov2_vits14_pretrain` of `s3://b/dinov2_vits14_pretrain.pth`.
fn file_stem(uri: &str) -> String {
    let file = uri.rsplit('/').next().unwrap_or(uri);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned()
}

fn of_run(args: &ProbeArgs, model: &ModelArgs, environment: &Environment) -> Result<()> {
    features::verify_exists(model)?;
    let scoring = args.scoring.open()?;
    let trained = features::open(model, environment)?;
    let places = transductive::Places { train: args.train_shards.as_deref(), leaks: args.leaks.as_deref() };
    let shared = transductive::found(&trained.record.shards, &places, &scoring.shards)?;
    let origin = origin::of_run(&trained, &args.arm, args.transductive.then_some(true).or(shared))?;
    let origin = origin::with_token(origin, args.scoring.token.into());

    let extractor = args.scoring.extractor(&scoring, args.model.threads)?;
    let (config, device) = (&trained.config, trained.device.device);
    let features = kept::features(&trained, &extractor, args.keep_features)?;
    let probed = Probed { args: &args.scoring, scoring: &scoring, extractor: &extractor };
    let model = Model { network: &trained.teacher, side: config.crops.global_size };
    let mut scored = vec![probed.score(results::TEACHER, origin.clone(), (&features, Some(model)))?];
    for baseline in &args.baselines.0 {
        scored.push(probed.baseline(*baseline, origin::untrained(&origin, *baseline), (config, device))?);
    }
    finish(&args.scoring, &scoring, scored)?;
    atlas::keep(args.scoring.atlas.as_deref(), &scoring.shards, &extractor);
    Ok(())
}

/// Scores features that no training made, without a run; rows and predictions are kept as [`fn@probe`] keeps them.
pub(crate) fn baseline(args: &BaselineArgs, environment: &Environment) -> Result<()> {
    let scoring = args.scoring.open()?;
    let config = match &args.config {
        Some(path) => crate::config_file::read_untrained(path, &args.set)?,
        None if args.features.needs_model() => {
            bail!("{} features need a model: name its training configuration with --config", args.features.name())
        }
        None => ResolvedConfig::untrained("", "the defaults", &args.set)?,
    };
    let device = device::open(config.device, args.threads, environment)?;
    let extractor = args.scoring.extractor(&scoring, args.threads)?;
    let origin = origin::of_nothing(&config, args.features.name(), device.description);
    let token = if args.features.needs_model() { args.scoring.token.into() } else { Token::Cls };
    let origin = origin::with_token(origin, token);
    let probed = Probed { args: &args.scoring, scoring: &scoring, extractor: &extractor };
    finish(&args.scoring, &scoring, vec![probed.baseline(args.features, origin, (&config, device.device))?])?;
    atlas::keep(args.scoring.atlas.as_deref(), &scoring.shards, &extractor);
    Ok(())
}

/// A set of features with all that was found out about it.
struct Scored {
    /// Its name in result rows.
    features: String,
    origin: Origin,
    evaluation: Evaluation,
    spread: Spread,
    /// What further evaluations found.
    measures: Vec<Measure>,
}

/// What scoring needs beside the features.
struct Probed<'a> {
    args: &'a ScoringArgs,
    scoring: &'a Scoring,
    extractor: &'a Extractor<'a>,
}

impl Probed<'_> {
    /// Whether an evaluation is about the network itself.
    fn wants_network(&self) -> bool {
        use measures::Evaluation::{Anomaly, Cost};
        self.args.evaluations.iter().any(|of| matches!(of, Anomaly | Cost))
    }

    fn baseline(
        &self,
        baseline: &dyn Baseline,
        origin: Origin,
        (config, device): (&TrainConfig, tch::Device),
    ) -> Result<Scored> {
        let features = baseline.features(config, device, self.extractor)?;
        let encoder = if self.wants_network() { baseline.encoder(config, device)? } else { None };
        let model = encoder.as_ref().map(|network| Model { network, side: config.crops.global_size });
        self.score(baseline.name(), origin, (&features, model))
    }

    fn score(&self, name: &str, origin: Origin, (features, model): (&Features, Option<Model<'_>>)) -> Result<Scored> {
        let (cells, further) = (&self.scoring.cells, &self.args.evaluations);
        let probes = evaluations::probes(further);
        let began = std::time::Instant::now();
        let (evaluation, spread) = self.extractor.on_threads(|| -> Result<_> {
            let spread = Spread::of(features, cells.classes().of_row())?;
            Ok((evaluate(cells, features, &probes)?, spread))
        })?;
        tracing::info!("{name}: scored in {:.1} s", began.elapsed().as_secs_f64());
        let measures = self.further(name, &evaluation, (features, model))?;
        Ok(Scored { features: name.to_owned(), origin, evaluation, spread, measures })
    }

    /// What further evaluations find.
    fn further(
        &self,
        name: &str,
        evaluation: &Evaluation,
        (features, model): (&Features, Option<Model<'_>>),
    ) -> Result<Vec<Measure>> {
        let mut found = Vec::new();
        for of in &self.args.evaluations {
            let began = std::time::Instant::now();
            let setting = self.scoring.setting(self.args);
            let of_network = |wanted| model.filter(|_| *of == wanted);
            let patched = of_network(measures::Evaluation::Anomaly);
            let patch_scores =
                patched.map(|model| patches::scores(model, self.extractor, &setting)).transpose()?.flatten();
            let subject = Subject { setting, features, evaluation, patch_scores: patch_scores.as_deref() };
            found.extend(self.extractor.on_threads(|| evaluations::measure(&[*of], &subject))?);
            if let Some(model) = of_network(measures::Evaluation::Cost) {
                found.extend(cost::measures(model, self.extractor)?);
            }
            tracing::info!("{name}: {} evaluated in {:.1} s", of.name(), began.elapsed().as_secs_f64());
        }
        Ok(found)
    }
}

/// Writes predictions and rows where they are wanted, and prints the table.
fn finish(args: &ScoringArgs, scoring: &Scoring, mut scored: Vec<Scored>) -> Result<()> {
    if let Some((store, name)) = &scoring.predictions {
        // A probe that was interrupted before it wrote its rows may have left the very same file.
        if args.evaluations.contains(&measures::Evaluation::Cost) && store.exists(name)? {
            cost::take_rates(&mut scored, Predictions::open(store.get(name)?, name)?.metadata());
        }
        let predictions = predictions::file(args, scoring, &scored)?;
        store.ensure(name, predictions.bytes()).with_context(|| format!("cannot write {name}"))?;
        if let Some((store, name)) = &scoring.out {
            let text = results::row::to_json_lines(&predictions.rows()?)?;
            store.create(name, text.into()).with_context(|| format!("cannot write {name}"))?;
        }
    }
    print::print(args, &scored)
}

/// The evaluation set, opened, and where rows and predictions go.
pub(crate) struct Scoring {
    shards: ShardSet,
    cells: Arc<Cells>,
    /// The source of each cell.
    sources: Classes,
    split_digest: Digest,
    out: Option<(Store, String)>,
    /// Wherever rows go, predictions go too.
    predictions: Option<(Store, String)>,
}

impl Scoring {
    /// Number of cells.
    pub(crate) fn cells(&self) -> usize {
        self.cells.len()
    }

    fn setting<'a>(&'a self, args: &'a ScoringArgs) -> Setting<'a> {
        Setting { cells: &self.cells, sources: &self.sources, normal: args.normal.as_deref() }
    }
}

impl ScoringArgs {
    /// Makes features of the evaluation set, on so many threads.
    fn extractor<'a>(&self, scoring: &'a Scoring, threads: u64) -> Result<Extractor<'a>> {
        Ok(Extractor::new(&scoring.shards, self.batch, threads)?.of_token(self.token.into()))
    }

    /// Opens the evaluation set, and refuses it where it is not the expected one.
    pub(crate) fn open(&self) -> Result<Scoring> {
        expectation::program(&self.expect)?;
        let out = self.out.as_deref().map(Store::open_file).transpose()?;
        let predictions = self.predictions.clone().or_else(|| self.out.as_deref().map(predictions::beside));
        let predictions = predictions.as_deref().map(Store::open_file).transpose()?;
        refuse_taken(out.as_ref(), predictions.as_ref())?;
        let shards = ShardSet::open(&Store::open(&self.shards)?)?;
        expectation::digest(&self.expect, expectation::Key::Shards, &self.shards, &shards.digest())?;
        let cells = Arc::new(labelled_cells(&shards, &self.split)?);
        let place = format!("{} of {}", self.split, self.shards);
        let split_digest = Digest::of(&shards.store().get(&split_key(&self.split))?);
        expectation::digest(&self.expect, expectation::Key::Split, &place, &split_digest)?;
        tracing::info!(
            "scoring on {}: {}, {}, {}",
            self.shards,
            terminal::counted(cells.len(), "cell"),
            terminal::counted(cells.classes().names().len(), "class"),
            terminal::counted(cells.groups(), "group")
        );
        let sources: Vec<Arc<str>> = shards.metas().map(|meta| meta.source).collect();
        let scoring = Scoring { sources: Classes::encode(&sources), shards, cells, split_digest, out, predictions };
        if self.normal.is_some() && !self.evaluations.contains(&measures::Evaluation::Anomaly) {
            bail!("--normal names the class that anomalies differ from: it needs --evaluations anomaly");
        }
        evaluations::verify(&self.evaluations, &scoring.setting(self)).with_context(|| self.shards.clone())?;
        Ok(scoring)
    }
}

/// Refuses a file of rows that exists, which would be noticed after all work, and one place for rows and predictions. Predictions may exist: an
/// interrupted probe leaves the very same ones.
fn refuse_taken(out: Option<&(Store, String)>, predictions: Option<&(Store, String)>) -> Result<()> {
    let Some((store, name)) = out else { return Ok(()) };
    if predictions.is_some_and(|(other, file)| other.uri_of(file) == store.uri_of(name)) {
        bail!("--out and --predictions both name {}: rows and predictions are two files", store.uri_of(name));
    }
    if store.exists(name)? {
        bail!("{} exists, and rows are never overwritten: give --out another name", store.uri_of(name));
    }
    Ok(())
}

/// Every row of the set with its label, group and fold.
pub(crate) fn labelled_cells(shards: &ShardSet, split: &str) -> Result<Cells> {
    let folds = match shards.split(split) {
        Err(ShardError::Store(error)) if error.is_not_found() => {
            let (uri, names) = (shards.store().uri(), shards.split_names()?);
            let hint = nearest(split, names.iter().map(String::as_str)).map(suggestion).unwrap_or_default();
            let make = format!("shard-builder split {uri} --name {split} --kind grouped-kfold");
            bail!("shard set {uri} has no split `{split}`{hint} (to make it: `{make}`)")
        }
        found => found?,
    };
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
    let cells = Cells::new(&labels, &groups, &names)?;
    refuse_small_folds(split, &names)?;
    Ok(cells)
}

/// The neighbours of the probe `20nn`, which every evaluation has.
const NEIGHBOURS: usize = 20;

/// Refuses a split that leaves the probe `20nn` fewer cells than neighbours, before any feature is made. `folds`: that of each cell.
fn refuse_small_folds(split: &str, folds: &[String]) -> Result<()> {
    let mut tested: BTreeMap<&str, usize> = BTreeMap::new();
    folds.iter().for_each(|fold| *tested.entry(fold).or_default() += 1);
    let Some((fold, most)) = tested.into_iter().max_by_key(|&(_, cells)| cells) else { return Ok(()) };
    let left = folds.len() - most;
    if left < NEIGHBOURS {
        bail!(
            "split {split}: {left} cells are left to fit to while fold {fold} is tested, and the probe 20nn needs {NEIGHBOURS}: probe a \
             set of more cells, or split it into more even folds"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_that_leave_too_few_cells_are_named() {
        let folds = |a: usize, b: usize| [vec!["a".to_owned(); a], vec!["b".to_owned(); b]].concat();
        refuse_small_folds("grouped", &folds(20, 20)).unwrap();
        let error = refuse_small_folds("grouped", &folds(30, 19)).unwrap_err().to_string();
        assert!(error.starts_with("split grouped: 19 cells are left to fit to while fold a is tested"), "{error}");
    }

    #[test]
    fn rows_that_exist_are_refused_before_any_work() {
        let store = Store::open("memory://taken-rows").unwrap();
        let at = |name: &str| (store.clone(), name.to_owned());
        refuse_taken(Some(&at("rows.jsonl")), Some(&at("rows.parquet"))).unwrap();
        refuse_taken(None, Some(&at("rows.parquet"))).unwrap();
        let one = refuse_taken(Some(&at("rows.jsonl")), Some(&at("rows.jsonl"))).unwrap_err().to_string();
        assert!(one.starts_with("--out and --predictions both name"), "{one}");
        store.create("rows.parquet", "predictions".into()).unwrap();
        refuse_taken(Some(&at("rows.jsonl")), Some(&at("rows.parquet"))).unwrap();
        store.create("rows.jsonl", "{}".into()).unwrap();
        let taken = refuse_taken(Some(&at("rows.jsonl")), None).unwrap_err().to_string();
        assert!(taken.contains("rows.jsonl exists, and rows are never overwritten"), "{taken}");
    }
}
