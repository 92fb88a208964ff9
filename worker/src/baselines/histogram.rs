//! A joint RGB histogram of 512 bins.

use anyhow::Result;
use probe::{Features, histogram};
use run_spec::config::TrainConfig;

use super::{Baseline, Flag};
use crate::features::Extractor;

/// The colours of an image, and nothing of its shapes.
#[derive(Debug)]
pub(super) struct Histogram;

impl Baseline for Histogram {
    fn name(&self) -> &'static str {
        "histogram"
    }

    fn about(&self) -> &'static str {
        "A joint RGB histogram of 512 bins"
    }

    fn flag(&self) -> Flag {
        Flag { name: "no-histogram", help: "Do not score a colour histogram", takes_in: false }
    }

    fn needs_model(&self) -> bool {
        false
    }

    fn features(&self, _: &TrainConfig, _: tch::Device, extractor: &Extractor<'_>) -> Result<Features> {
        extractor.features_of_pixels(histogram::DIM, histogram::colour_histogram)
    }
}
