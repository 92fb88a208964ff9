//! `worker bench --ranks`: what it costs to be several processes, measured on as many as the launcher started.

use std::time::Instant;

use anyhow::Result;
use collective::{Transfer, sum_};
use dino::State;
use run_spec::config::{Collective, Device, ResolvedConfig, TrainConfig};
use run_spec::schedule::Schedules;
use serde::Serialize;
use tch::{Kind, Tensor};
use torch_shim::panics::catch_torch_panic;
use training::Ranks;

use crate::cli::BenchArgs;
use crate::environment::Environment;
use crate::timing::{SMALL, median, random_batch};
use crate::{device, ranks};

/// Elements of the all-reduce: the parameters of ViT-S/14.
const ELEMENTS: i64 = 22_056_576;
/// Images of a step on each rank.
const IMAGES_PER_RANK: u64 = 4;

/// Measures on all ranks; the first prints.
pub(crate) fn bench(args: &BenchArgs, environment: &Environment) -> Result<()> {
    let place = device::open(Device::Auto, args.threads, environment)?;
    let deadline_s = TrainConfig::default().train.step_deadline_s;
    let ranks = ranks::join(Collective::Auto, place.device, deadline_s, environment)?;
    ranks::or_abort(
        &ranks,
        (|| {
            let reduce = all_reduce(&ranks, place.device, args.repeats)?;
            let step = catch_torch_panic("a training step", || training(&ranks, place.device, args.repeats))?;
            if !ranks.first() {
                return Ok(());
            }
            let (over, device, repeats) = (ranks.description().to_owned(), place.description.clone(), args.repeats);
            let measures = RankMeasures { ranks: ranks.world(), over, device, repeats, all_reduce: reduce, step };
            Ok(terminal::report(&measures, args.json)?)
        })(),
    )
}

/// What ranks need for what they do together.
#[derive(Debug, Serialize)]
struct RankMeasures {
    ranks: usize,
    /// How many they are and what joins them, for people.
    over: String,
    device: String,
    /// Each figure is the median of so many runs.
    repeats: usize,
    all_reduce: AllReduce,
    step: RankStep,
}

/// One sum over all ranks, outside a step.
#[derive(Debug, Serialize)]
struct AllReduce {
    elements: i64,
    seconds: f64,
}

/// A step of training, with the part that its sums over the ranks take.
#[derive(Debug, Serialize)]
struct RankStep {
    images_per_rank: u64,
    seconds: f64,
    all_reduce_bytes: u64,
    all_reduce_s: f64,
    /// Seconds of the sums in which nothing else was done.
    exposed_s: f64,
    /// Share of the sums that hid behind the backward pass, 0 to 1.
    hidden: f64,
}

impl terminal::Report for RankMeasures {
    fn text(&self) -> String {
        let Self { over, device, repeats, all_reduce, step, .. } = self;
        format!(
            "{over}, {device} each, medians of {repeats} runs\n\
             all-reduce of {ELEMENTS} f32: {:.0} ms\n\
             ViT-S/14, 224 px, {IMAGES_PER_RANK} images a rank: {:.3} s/step, of which {:.0} ms all-reduce, {:.0} % of it behind backward",
            1e3 * all_reduce.seconds,
            step.seconds,
            1e3 * step.all_reduce_s,
            100.0 * step.hidden
        )
    }
}

/// The slowest rank's seconds, since all wait for it.
fn all_reduce(ranks: &Ranks, device: tch::Device, repeats: usize) -> Result<AllReduce> {
    let mut numbers = Tensor::ones([ELEMENTS], (Kind::Float, device));
    let mut times = Vec::new();
    for run in 0..=repeats.max(1) {
        ranks.peers().barrier()?;
        let began = Instant::now();
        sum_(ranks.peers(), &mut numbers)?;
        torch_shim::device::synchronise(device)?;
        if run > 0 {
            times.push(began.elapsed().as_secs_f64());
        }
    }
    // Powers of the world size are exact.
    let expected = (ranks.world() as f64).powi(repeats.max(1) as i32 + 1);
    anyhow::ensure!(numbers.double_value(&[ELEMENTS - 1]) == expected, "the all-reduce gave a wrong sum");
    Ok(AllReduce { elements: ELEMENTS, seconds: median(times) })
}

fn training(ranks: &Ranks, device: tch::Device, repeats: usize) -> Result<RankStep> {
    let batch_size = format!("train.batch_size={}", IMAGES_PER_RANK * ranks.world() as u64);
    let sets = [batch_size.as_str(), "train.loss_groups=1", "train.precision=f32", "head.prototypes=8192"];
    let config = ResolvedConfig::from_yaml(SMALL, "reddino-small.yaml", &sets.map(str::to_owned))?;
    let mut state = State::new(&config, device)?;
    let batch = random_batch(&config, &state.share(ranks.rank(), ranks.world())?, device);
    let schedules = Schedules::new(&config);
    let (mut times, mut transfers): (Vec<f64>, Vec<Transfer>) = (Vec::new(), Vec::new());
    for step in 0..=repeats.max(1) as u64 {
        ranks.peers().barrier()?;
        let began = Instant::now();
        let report = state.step(&batch, &schedules.at(step), ranks.peers())?;
        torch_shim::device::synchronise(device)?;
        if step > 0 {
            times.push(began.elapsed().as_secs_f64());
            transfers.push(report.transfer);
        }
    }
    let of = |pick: fn(&Transfer) -> f64| median(transfers.iter().map(pick).collect());
    Ok(RankStep {
        images_per_rank: IMAGES_PER_RANK,
        seconds: median(times),
        all_reduce_bytes: transfers[0].bytes,
        all_reduce_s: of(|t| t.seconds),
        exposed_s: of(|t| t.exposed_s),
        hidden: of(Transfer::hidden),
    })
}
