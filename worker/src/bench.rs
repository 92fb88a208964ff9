//! `worker bench`: seconds of a training step beside the machine's own matrix-product rate, measured in one run, so that a
//! figure from another machine can be read.

use anyhow::Result;
use collective::Solo;
use dino::State;
use run_spec::config::{Precision, ResolvedConfig, TrainConfig};
use run_spec::schedule::Schedules;
use serde::Serialize;
use serde_json::json;
use tch::{Device, Kind};
use torch_shim::panics::catch_torch_panic;
use training::process_memory;

use crate::cli::BenchArgs;
use crate::environment::Environment;
use crate::timing::{SMALL, TINY, matrix_rate, median, random_batch, times};
use crate::{bench_loader, bench_ranks, device};

/// Measures what the arguments ask for, and prints it.
pub(crate) fn bench(args: &BenchArgs, environment: &Environment) -> Result<()> {
    if args.ranks {
        return bench_ranks::bench(args, environment);
    }
    if let Some(set) = &args.loader {
        return bench_loader::bench(set, args);
    }
    let place = device::open(run_spec::config::Device::Auto, args.threads, environment)?;
    if let Some(prototypes) = args.prototypes {
        return step_beside_a_peer(prototypes, args, place.device);
    }
    let mut rows = Vec::new();
    let rate = matrix_rate(place.device, Kind::Float, args.repeats);
    rows.push(Measure::Product { what: "f32 matrix product, 2048 x 2048 x 2048", gflop_per_s: rate });
    for (what, text, sets) in [
        ("tiny.yaml as it stands", TINY, vec![]),
        ("ViT-S/14, 224 px, batch 8, K = 8192", SMALL, vec!["head.prototypes=8192"]),
        ("ViT-S/14, 224 px, batch 8, K = 131072", SMALL, vec![]),
    ] {
        let mut sets: Vec<String> = sets.into_iter().map(str::to_owned).collect();
        if text == SMALL {
            sets.extend(["train.batch_size=8", "train.loss_groups=1", "train.precision=f32"].map(str::to_owned));
        }
        let config = ResolvedConfig::from_yaml(text, what, &sets)?;
        assert_eq!(config.train.precision, Precision::F32);
        let seconds_per_step = catch_torch_panic(what, || step_seconds(&config, place.device, args.repeats))?;
        let images_per_s = config.train.batch_size as f64 / seconds_per_step;
        rows.push(Measure::Step { what, seconds_per_step, images_per_s, memory_mb: process_memory::resident_mb() });
    }
    let measures = Measures { device: place.description, code: crate::version::CODE, repeats: args.repeats, rows };
    Ok(terminal::report(&measures, args.json)?)
}

/// What a device does in a second.
#[derive(Debug, Serialize)]
struct Measures {
    device: String,
    code: &'static str,
    /// Each figure is the median of so many runs.
    repeats: usize,
    rows: Vec<Measure>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Measure {
    /// A product of matrices.
    Product { what: &'static str, gflop_per_s: f64 },
    /// A step of training, with the process's memory after it.
    Step { what: &'static str, seconds_per_step: f64, images_per_s: f64, memory_mb: u64 },
}

impl Measure {
    fn cells(&self) -> Vec<String> {
        match self {
            Self::Product { what, gflop_per_s } => vec![(*what).to_owned(), format!("{gflop_per_s:.1} GFLOP/s")],
            Self::Step { what, seconds_per_step, images_per_s, memory_mb } => vec![
                (*what).to_owned(),
                format!("{seconds_per_step:.3} s/step"),
                format!("{images_per_s:.2} images/s"),
                format!("{memory_mb} MB resident"),
            ],
        }
    }
}

impl terminal::Report for Measures {
    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self.rows.iter().map(Measure::cells).collect();
        format!("{}, medians of {} runs\n{}", self.device, self.repeats, terminal::columns(&rows, &[1, 2, 3]))
    }
}

/// The published step of ViT-S/14 on eight images in f32: seconds of each repetition and the peak of memory.
fn step_beside_a_peer(prototypes: i64, args: &BenchArgs, device: Device) -> Result<()> {
    let sets =
        [&format!("head.prototypes={prototypes}"), "train.batch_size=8", "train.loss_groups=1", "train.precision=f32"];
    let mut sets: Vec<String> = sets.map(str::to_owned).into();
    sets.extend(args.set.iter().cloned());
    let config = ResolvedConfig::from_yaml(SMALL, "reddino-small.yaml", &sets)?;
    let seconds = catch_torch_panic("a training step", || step_times(&config, device, args.repeats))?;
    let peak_mb = process_memory::peak_mb();
    terminal::line(
        json!({ "seconds": seconds, "peak_mb": peak_mb, "gflop_per_s": matrix_rate(device, Kind::Float, 3) }),
    );
    Ok(())
}

fn step_seconds(config: &TrainConfig, device: Device, repeats: usize) -> Result<f64> {
    Ok(median(step_times(config, device, repeats)?))
}

fn step_times(config: &TrainConfig, device: Device, repeats: usize) -> Result<Vec<f64>> {
    let mut state = State::new(config, device)?;
    let schedules = Schedules::new(config);
    let batch = random_batch(config, &state.share(0, 1)?, device);
    let mut step = 0;
    times(device, repeats, || {
        state.step(&batch, &schedules.at(step), &Solo::new())?;
        step += 1;
        Ok(())
    })
}
