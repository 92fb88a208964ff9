//! Random weights of a configuration's model.

use anyhow::Result;
use dino::Encoder;
use probe::Features;
use run_spec::config::TrainConfig;

use super::Baseline;
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

    fn flag_to_leave_out(&self) -> (&'static str, &'static str) {
        ("no-random", "Leave out the random-weights baseline")
    }

    fn needs_model(&self) -> bool {
        true
    }

    fn features(&self, config: &TrainConfig, device: tch::Device, extractor: &Extractor<'_>) -> Result<Features> {
        let random = Encoder::random(config, config.init_seed(), device)?;
        extractor.features(&random, config.crops.global_size, "random-weights features")
    }
}
