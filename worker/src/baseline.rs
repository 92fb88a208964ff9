//! Features that no training made: what trained features have to beat.

use anyhow::Result;
use clap::ValueEnum;
use dino::Encoder;
use probe::histogram;
use rayon::prelude::*;
use run_spec::config::TrainConfig;
use shards::ShardSet;

use crate::features;

/// Which features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Baseline {
    /// Random weights of the configuration's model.
    Random,
    /// A joint RGB histogram of 512 bins.
    Histogram,
}

impl Baseline {
    /// The name in the column `features` of result rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Histogram => "histogram",
        }
    }

    /// `[n, D]` features of all rows of a set in order, row-major, and D.
    pub(crate) fn features(
        self,
        config: &TrainConfig,
        device: tch::Device,
        shards: &ShardSet,
        batch: usize,
    ) -> Result<(Vec<f32>, usize)> {
        match self {
            Self::Random => {
                let random = Encoder::random(config, config.init_seed(), device)?;
                features::extract(&random, config.crops.global_size, shards, batch, "random-weights features")
            }
            Self::Histogram => {
                let row = |row| Ok(histogram::colour_histogram(&shards.rgb(row)?));
                let rows = (0..shards.len()).into_par_iter().map(row).collect::<Result<Vec<_>>>()?;
                Ok((rows.concat(), histogram::DIM))
            }
        }
    }
}
