//! Random weights of a configuration's model.

use anyhow::Result;
use dino::Encoder;
use probe::Features;
use run_spec::config::TrainConfig;

use super::{Baseline, Flag};
use crate::features::Extractor;

/// The model before its first step.
#[derive(Debug)]
pub(super) struct Random;

impl Baseline for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn about(&self) -> &'static str {
        "Random weights of the configuration's model"
    }

    fn flag(&self) -> Flag {
        Flag { name: "no-random", help: "Do not score random weights", takes_in: false }
    }

    fn needs_model(&self) -> bool {
        true
    }

    fn encoder(&self, config: &TrainConfig, device: tch::Device) -> Result<Option<Encoder>> {
        Ok(Some(Encoder::random(config, config.init_seed(), device)?))
    }

    fn features(&self, config: &TrainConfig, device: tch::Device, extractor: &Extractor<'_>) -> Result<Features> {
        let random = Encoder::random(config, config.init_seed(), device)?;
        extractor.features(&random, config.crops.global_size, "random-weights features")
    }
}
