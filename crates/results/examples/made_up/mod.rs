//! A made-up sweep: predictions of arms with known effects, and the rows that follow from them.

use std::collections::BTreeMap;

use results::row::{ALL_FOLDS, PROBE_OF_FEATURES};
use results::stats::counts::{CountsBuilder, Place};
use results::stats::score::{ClassCounts, Metric};
use results::table::{Evaluated, Table, TableOptions, line_name};
use results::{ResultRow, ResultsError, TEACHER};
use run_spec::ids::Digest;
use run_spec::seed::{Stream, stream};

/// Name of the evaluation set.
pub(crate) const DATASET: &str = "made-up cells";
/// Name of its split.
pub(crate) const SPLIT: &str = "grouped-5";
/// Probes with the share of cells that the reference gets right.
const PROBES: [(&str, f64); 4] = [("linear_standardised", 0.71), ("linear", 0.68), ("1nn", 0.6), ("20nn", 0.64)];
const FOLDS: usize = 5;
const CELLS: usize = 16;
const CLASSES: [&str; 4] = ["discocyte", "echinocyte", "schistocyte", "teardrop"];

/// A sweep to make up. The first arm is the reference.
pub(crate) struct Sweep<'a> {
    /// Title of its table.
    pub(crate) title: &'a str,
    /// Arms with the share of cells that they get right beyond the reference.
    pub(crate) arms: &'a [(&'a str, f64)],
    /// Number of seeds.
    pub(crate) seeds: u64,
    /// Number of sources.
    pub(crate) sources: usize,
    /// Groups in each fold of each source.
    pub(crate) groups: usize,
    /// False: a smoke test.
    pub(crate) evidence: bool,
}

impl Sweep<'_> {
    /// Its table, by its predictions; the rows alone where `predictions` is false.
    pub(crate) fn table(&self, predictions: bool) -> Result<Table, ResultsError> {
        let (mut rows, mut evaluated) = (Vec::new(), Evaluated::default());
        evaluated.classes = CLASSES.map(str::to_owned).to_vec();
        for (probe, base) in PROBES {
            let mut counts = CountsBuilder::new(CLASSES.len());
            for seed in 0..self.seeds {
                for &(arm, gain) in self.arms {
                    self.predict((TEACHER, arm), seed, (probe, base + gain), (&mut rows, &mut counts))?;
                    self.predict(("random", arm), seed, (probe, base - 0.2), (&mut rows, &mut counts))?;
                    self.predict(("histogram", arm), seed, (probe, base - 0.12), (&mut rows, &mut counts))?;
                }
            }
            evaluated.counts.insert(probe.to_owned(), counts.build()?);
        }
        for seed in 0..self.seeds {
            self.arms.iter().for_each(|(arm, gain)| rows.extend(features(arm, seed, *gain)));
        }
        let options = TableOptions {
            title: self.title.to_owned(),
            reference: Some(self.arms[0].0.to_owned()),
            arms: self.arms.iter().map(|(arm, _)| (*arm).to_owned()).collect(),
            evidence: self.evidence,
            ..TableOptions::default()
        };
        if !predictions {
            return Table::build(&rows, &[], &options);
        }
        Table::with_predictions(&rows, &[], &options, |_, _| Ok::<_, ResultsError>(evaluated.clone()))
    }

    /// Predictions of one line under one seed, as counts and as rows.
    fn predict(
        &self,
        (features, arm): (&str, &str),
        seed: u64,
        (probe, right): (&str, f64),
        (rows, counts): (&mut Vec<ResultRow>, &mut CountsBuilder),
    ) -> Result<(), ResultsError> {
        // Baselines know no arm, and a histogram no seed.
        let (of_arm, of_seed) = match features {
            TEACHER => (arm, seed),
            "random" => ("", seed),
            _ => ("", 0),
        };
        let mut effects = stream(of_seed, "made-up/effects", &[key(of_arm), key(features), key(probe)]);
        let of_trial = right + 0.006 * effects.normal();
        let mut of_folds: BTreeMap<usize, Vec<ClassCounts>> = BTreeMap::new();
        for source in 0..self.sources {
            for fold in 0..FOLDS {
                for group in 0..self.groups {
                    let mut cells = stream(0, "made-up/cells", &[source as u64, fold as u64, group as u64]);
                    let of_group = predicted(of_trial + 0.015 * effects.normal(), &mut cells, &mut effects);
                    let (source, group) = (format!("scanner {source}"), format!("{fold}/{group}"));
                    let place = Place { source: &source, fold: &fold.to_string(), group: &group };
                    counts.add_group((&line_name(features, arm), seed), place, &of_group)?;
                    let sums = of_folds.entry(fold).or_insert_with(|| vec![ClassCounts::default(); CLASSES.len()]);
                    sums.iter_mut().zip(of_group).for_each(|(sum, part)| sum.add(part));
                }
            }
        }
        for (fold, of_class) in of_folds {
            for metric in Metric::ALL {
                let value = metric.of(of_class.iter().copied());
                rows.push(row((features, arm), seed, (&fold.to_string(), probe, metric.name()), value));
            }
        }
        Ok(())
    }
}

fn key(text: &str) -> u64 {
    text.bytes().fold(0, |key: u64, byte| key.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// Counts of one group of which a share `right` is predicted right; most cells are decided alike by all arms.
fn predicted(right: f64, cells: &mut Stream, own: &mut Stream) -> Vec<ClassCounts> {
    let mut counts = vec![ClassCounts::default(); CLASSES.len()];
    for _ in 0..CELLS {
        let (class, shared) = ((cells.unit().powi(2) * CLASSES.len() as f64) as usize, cells.unit());
        let number = if own.unit() < 0.8 { shared } else { own.unit() };
        let off = if number < right { 0 } else { 1 + ((number - right) / (1.0 - right) * 2.99) as usize };
        let found = (class + off) % CLASSES.len();
        counts[class].support += 1;
        counts[found].predicted += 1;
        counts[class].correct += u64::from(off == 0);
    }
    counts
}

/// The rows that measure the features of one trial, which have no probe.
fn features(arm: &str, seed: u64, gain: f64) -> Vec<ResultRow> {
    let mut effects = stream(seed, "made-up/features", &[key(arm)]);
    let values = [("median_std", 0.16 - gain), ("effective_rank", 21.0), ("alignment", 0.74), ("uniformity", -1.9)];
    let row = |(metric, value): (&str, f64)| {
        let value = value * (1.0 + 0.02 * effects.normal());
        row((TEACHER, arm), seed, (ALL_FOLDS, PROBE_OF_FEATURES, metric), value)
    };
    values.map(row).to_vec()
}

fn row((features, arm): (&str, &str), seed: u64, (fold, probe, metric): (&str, &str, &str), value: f64) -> ResultRow {
    let name = |digest: &str| Digest::of(digest.as_bytes());
    let trained = features == TEACHER;
    ResultRow {
        run: format!("{arm}-{seed}"),
        trial: name(arm),
        seed: seed.into(),
        arm: arm.to_owned(),
        features: features.to_owned(),
        step: if trained { 600.into() } else { 0.into() },
        config: name(arm),
        shards_train: name("train"),
        shards_eval: name("eval"),
        init_weights: None,
        code: "example".to_owned(),
        code_probe: Some("example".to_owned()),
        dataset: DATASET.to_owned(),
        split: SPLIT.to_owned(),
        split_digest: Some(name("split")),
        fold: fold.to_owned(),
        probe: probe.to_owned(),
        metric: metric.to_owned(),
        class: None,
        evaluation: None,
        fraction: None,
        labels_per_class: None,
        repeat: None,
        token: None,
        value,
        n: 100,
        n_train: 400,
        device: "none".to_owned(),
        hours: 0.0,
        kwh: None,
        transductive: Some(false),
        note: if trained && probe == "linear" { "linear probe did not converge in 1000 steps" } else { "" }.to_owned(),
    }
}
