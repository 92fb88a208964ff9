//! The online probe: scores a teacher while it trains, on the labelled cells that the configuration names, by the protocol of
//! `worker probe`.

use std::error::Error;
use std::sync::Arc;

use anyhow::{Context, Result};
use dino::Encoder;
use probe::evaluations;
use probe::metrics::Metric;
use probe::protocol::{Cells, evaluate};
use run_spec::config::TrainConfig;
use shards::ShardSet;
use store::Store;
use training::ProbeScores;

use crate::features::Extractor;
use crate::probe_command::labelled_cells;

/// The probe by whose score the best checkpoint is chosen: the default of a sweep's `primary`.
const DECISIVE: &str = "linear_standardised";
/// Images per forward pass.
const BATCH: usize = 64;

/// Labelled cells and how they are shown to a teacher.
#[derive(Debug)]
pub(crate) struct OnlineProbe {
    shards: ShardSet,
    cells: Arc<Cells>,
    /// Side of an image, px.
    side: i64,
    threads: u64,
}

impl OnlineProbe {
    /// Opens the set that `config` names, if it asks for scores while it trains. `open` opens a store.
    pub(crate) fn open(config: &TrainConfig, open: impl Fn(&str) -> Result<Store>) -> Result<Option<Self>> {
        let log = &config.log;
        let (Some(every), Some(uri), Some(split)) = (log.probe_every_steps, &log.probe_shards, &log.probe_split) else {
            return Ok(None);
        };
        let shards = ShardSet::open(&open(uri)?).with_context(|| format!("log.probe_shards: {uri}"))?;
        let cells = Arc::new(labelled_cells(&shards, split).with_context(|| format!("log.probe_split: {split}"))?);
        tracing::info!(
            "the teacher is scored every {every} steps on {uri}: {}, {}",
            terminal::counted(cells.len(), "cell"),
            terminal::counted(cells.classes().names().len(), "class")
        );
        Ok(Some(Self { shards, cells, side: config.crops.global_size, threads: config.train.data_threads }))
    }

    fn of(&self, teacher: &Encoder) -> Result<ProbeScores> {
        let extractor = Extractor::new(&self.shards, BATCH, self.threads)?.silent();
        let features = extractor.features(teacher, self.side, "features of the online probe")?;
        let evaluation = extractor.on_threads(|| evaluate(&self.cells, &features, &evaluations::probes(&[])))?;
        let mut scores = ProbeScores::default();
        for probe in evaluation.predictions().iter().map(|of| of.probe) {
            let score = evaluation.summary(probe, Metric::WeightedF1)?.mean;
            scores.by_probe.insert(probe.name.to_owned(), score);
            scores.decisive = scores.decisive.or((probe.name == DECISIVE).then_some(score));
        }
        Ok(scores)
    }
}

impl training::OnlineProbe for OnlineProbe {
    fn scores(&self, teacher: &Encoder) -> Result<ProbeScores, Box<dyn Error + Send + Sync>> {
        let began = std::time::Instant::now();
        let scores = self.of(teacher)?;
        let seconds = began.elapsed().as_secs_f64();
        let score = scores.decisive.map_or_else(|| "none".to_owned(), |score| format!("{:.1} %", 100.0 * score));
        tracing::info!("online probe: weighted F1 of {DECISIVE} is {score} ({seconds:.0} s)");
        Ok(scores)
    }
}
