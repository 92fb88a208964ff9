//! What the features of a model cost, for the evaluation `cost`.

use std::time::{Duration, Instant};

use anyhow::Result;
use probe::evaluations;
use results::measures::Evaluation;
use results::predictions::{Measure, Metadata};
use results::row::PROBE_OF_FEATURES;
use tch::{Kind, Tensor};
use torch_shim::panics::catch_torch_panic;

use super::{Model, Scored};
use crate::features::Extractor;

/// The measure that no two runs find alike.
const RATE: &str = "images_per_s";
/// How long the network is timed, after one batch to warm up.
const TIMED: Duration = Duration::from_secs(2);

/// Parameters and operations for one image, counted, and images a second of the network alone, measured on its device.
pub(super) fn measures(model: Model<'_>, extractor: &Extractor<'_>) -> Result<Vec<Measure>> {
    let cost = model.network.cost(model.side);
    let rate = catch_torch_panic::<_, anyhow::Error>("the network, timed", || Ok(rate(model, extractor)))?;
    let values = [
        ("parameters_million", cost.parameters as f64 / 1e6),
        ("gflop_per_image", cost.flops as f64 / 1e9),
        (RATE, rate),
    ];
    let measure = |(metric, value)| evaluations::number(Evaluation::Cost, (PROBE_OF_FEATURES, metric), value);
    Ok(values.map(measure).into())
}

fn rate(Model { network, side }: Model<'_>, extractor: &Extractor<'_>) -> f64 {
    let batch = extractor.batch();
    let images = Tensor::rand([batch as i64, 3, side, side], (Kind::Float, tch::Device::Cpu));
    // A GPU has done its work when the features are in host memory.
    let pass = || network.features_of(&images, extractor.token()).to_device(tch::Device::Cpu);
    drop(pass());
    let (began, mut passes) = (Instant::now(), 0);
    while passes < 2 || began.elapsed() < TIMED {
        drop(pass());
        passes += 1;
    }
    (passes * batch) as f64 / began.elapsed().as_secs_f64()
}

/// Takes over the rates that an interrupted probe of the same features has left, so that it is the same file.
pub(super) fn take_rates(scored: &mut [Scored], left: &Metadata) {
    for Scored { features, measures, .. } in scored {
        let Some(known) = left.features.iter().find(|record| record.features == *features) else { continue };
        let rate = |measure: &&Measure| measure.metric == RATE;
        if let (Some(known), Some(own)) =
            (known.measures.iter().find(rate), measures.iter_mut().find(|measure| measure.metric == RATE))
        {
            own.value = known.value;
        }
    }
}
