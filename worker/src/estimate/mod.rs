//! `worker estimate`: what a run takes before it is begun: memory, work, traffic, hours, energy, money; and whether it fits at all.
//!
//! Counted from the configuration: nothing is trained. What a machine makes of a count is a range with its reason. On `cpu` it is this
//! machine, whose matrix rate is measured.

mod accelerator;
mod demand;
mod memory;
mod views;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use energy::{WORLD_KG_PER_KWH, WORLD_SOURCE};
use run_spec::config::{ResolvedConfig, TrainConfig};
use serde::Serialize;
use terminal::counted;

use crate::cli::EstimateArgs;
use crate::config_file;
use accelerator::Accelerator;
pub(crate) use accelerator::KINDS;
use demand::Demand;
use memory::Memory;

/// From least to most.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Span {
    least: f64,
    most: f64,
}

impl Span {
    pub(crate) fn map(self, with: impl Fn(f64) -> f64) -> Self {
        Self { least: with(self.least), most: with(self.most) }
    }

    pub(crate) fn text(self, unit: &str) -> String {
        format!("{} to {} {unit}", short(self.least), short(self.most))
    }
}

/// What `worker estimate` prints.
#[derive(Debug, Serialize)]
struct Estimate {
    schema: u32,
    gpu: Accelerator,
    nodes: u64,
    gpus: u64,
    images_per_gpu: u64,
    parameters: u64,
    memory: Memory,
    /// Whether a rank's part of the batch fits, and the largest one that does.
    fits: bool,
    largest_images_per_gpu: u64,
    /// Whether the whole does not fit, and does with `train.zero1`.
    zero1_helps: bool,
    /// The fewest parts of a rank's share, one after the other, that fit; none where the whole does, or no number helps.
    gradient_accumulation: Option<u64>,
    flops_per_step: f64,
    wire_bytes_per_step: f64,
    checkpoint_bytes: u64,
    /// Host memory of a node for copies of checkpoints.
    checkpoint_host_bytes_per_node: u64,
    steps: u64,
    images_per_s: Span,
    images_per_s_by: String,
    augment_cores_per_gpu: Span,
    hours: Span,
    kwh: Span,
    kg_co2e: Span,
    kg_per_kwh: f64,
    grid: String,
    price: Option<Span>,
}

/// Prints the estimate; the exit code is 1 where the run cannot fit.
pub(crate) fn estimate(args: &EstimateArgs) -> Result<ExitCode> {
    let config = config_file::read(&args.config, &args.set)?;
    let made = make(&config, args)?;
    terminal::report(&made, args.json)?;
    Ok(if made.fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Images per second that one GPU of the kind `gpu`, one of [`KINDS`], takes in at the batch size of `config`.
pub(crate) fn images_per_s_of_one(config: &TrainConfig, gpu: &str) -> Result<Span> {
    let images = config.train.batch_size;
    let step_s = Demand::of(config, images, 1).step_seconds(&Accelerator::named(gpu, config)?);
    Ok(Span { least: images as f64 / step_s.most, most: images as f64 / step_s.least })
}

fn make(config: &ResolvedConfig, args: &EstimateArgs) -> Result<Estimate> {
    let gpus = gpus(config, args)?;
    let gpu = Accelerator::named(&args.gpu, config)?;
    let images = config.train.batch_size.div_ceil(gpus);
    let memory = Memory::of(config, images, gpus, &gpu);
    let room = gpu.memory_bytes();
    let largest = memory::largest(room, |images| Memory::of(config, images, gpus, &gpu).total());
    let fits = memory.total() <= room;
    let gradient_accumulation = if fits { None } else { parts_that_fit(config, images, gpus, &gpu) };
    let zero1_helps = !fits && with_zero1(config, images, gpus, &gpu) <= room;
    let demand = Demand::of(config, images, gpus);
    let step_s = demand.step_seconds(&gpu);
    let batch = config.train.batch_size as f64;
    let images_per_s = Span { least: batch / step_s.most, most: batch / step_s.least };
    let steps = config.total_steps();
    let hours = step_s.map(|seconds| seconds * steps as f64 / 3600.0);
    let cores = views::cores(config, images_per_s.map(|all| all / gpus as f64))?;
    let watts = gpu.watts * gpus as f64 + energy::CORE_WATTS * cores.most * gpus as f64;
    let kwh = hours.map(|hours| hours * watts / 1e3);
    let (kg_per_kwh, grid) = grid(config);
    let ranks_per_node = if config.checkpoint.sharded { args.gpus_per_node as f64 / gpus as f64 } else { 1.0 };
    let checkpoint_bytes = crate::check_command::checkpoint_bytes(config);
    Ok(Estimate {
        schema: 1,
        nodes: args.nodes,
        gpus,
        images_per_gpu: images,
        parameters: demand.parameters,
        fits,
        memory,
        largest_images_per_gpu: largest,
        zero1_helps,
        gradient_accumulation,
        flops_per_step: demand.flops * gpus as f64,
        wire_bytes_per_step: demand.wire_bytes(),
        checkpoint_bytes,
        checkpoint_host_bytes_per_node: (checkpoint_bytes as f64 * ranks_per_node) as u64,
        steps,
        images_per_s,
        images_per_s_by: gpu.reason(),
        augment_cores_per_gpu: cores,
        hours,
        kwh,
        kg_co2e: kwh.map(|kwh| kwh * kg_per_kwh),
        kg_per_kwh,
        grid: grid.to_owned(),
        price: args.price.map(|price| hours.map(|hours| hours * gpus as f64 * price)),
        gpu,
    })
}

fn gpus(config: &TrainConfig, args: &EstimateArgs) -> Result<u64> {
    let (gpus, batch) = (args.nodes * args.gpus_per_node, config.train.batch_size);
    ensure!(gpus > 0, "--nodes and --gpus-per-node: at least one of each is needed");
    ensure!(
        gpus <= batch,
        "{gpus} GPUs for a batch of {batch}: each rank needs an image; use fewer, or raise train.batch_size"
    );
    Ok(gpus)
}

/// Emissions of a kilowatt hour, and where that number is from.
fn grid(config: &TrainConfig) -> (f64, &'static str) {
    match config.log.grid_kg_per_kwh {
        Some(kg) => (kg, "log.grid_kg_per_kwh"),
        None => (WORLD_KG_PER_KWH, WORLD_SOURCE),
    }
}

/// The fewest parts in which a rank's `images` fit, where any number helps: targets are made for the whole share.
fn parts_that_fit(config: &TrainConfig, images: u64, gpus: u64, gpu: &Accelerator) -> Option<u64> {
    (2..=images).find(|parts| {
        let mut config = config.clone();
        config.train.gradient_accumulation = *parts;
        Memory::of(&config, images, gpus, gpu).total() <= gpu.memory_bytes()
    })
}

/// Bytes of a rank with `images` images that holds its share of the moments.
fn with_zero1(config: &TrainConfig, images: u64, gpus: u64, gpu: &Accelerator) -> f64 {
    let mut config = config.clone();
    config.train.zero1 = true;
    Memory::of(&config, images, gpus, gpu).total()
}

/// A number with three digits that count.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

fn gib(bytes: f64) -> String {
    format!("{} GiB", short(bytes / f64::from(1 << 30)))
}

impl Estimate {
    /// What the estimate assumes of the network between nodes; nothing if there is one node.
    fn between_nodes(&self) -> &'static str {
        if self.nodes > 1 { ", between nodes assumed as fast as within one (see docs/clusters.md)" } else { "" }
    }

    /// What helps where a rank's part does not fit.
    fn remedy(&self) -> String {
        match self.largest_images_per_gpu {
            _ if self.zero1_helps => "set train.zero1=true, so that the GPUs share the moments of AdamW".to_owned(),
            0 => "not even one image fits: set train.activation_checkpointing=true, or take a smaller model or a larger GPU".to_owned(),
            most => {
                let parts = self.gradient_accumulation.map(|parts| format!("set train.gradient_accumulation={parts}, or "));
                format!(
                    "a GPU has room for {}; use {} GPUs, or {}try train.activation_checkpointing=true",
                    counted(most, "image"),
                    (self.images_per_gpu * self.gpus).div_ceil(most),
                    parts.unwrap_or_default()
                )
            }
        }
    }
}

impl terminal::Report for Estimate {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} x {}, {} per GPU (batch {}), {}",
            self.gpus,
            self.gpu.name,
            counted(self.images_per_gpu, "image"),
            self.images_per_gpu * self.gpus,
            counted(self.steps, "step")
        )];
        let parts = self.memory.parts();
        let there = parts.iter().filter(|(_, bytes)| *bytes > 0.0);
        let mut rows: Vec<Vec<String>> =
            there.map(|(what, bytes)| vec![format!("memory: {what}"), gib(*bytes)]).collect();
        let mut row = |what: &str, value: String| rows.push(vec![what.to_owned(), value]);
        row("memory: total", format!("{} of {}", gib(self.memory.total()), gib(self.gpu.memory_bytes())));
        row("largest batch per GPU that fits", counted(self.largest_images_per_gpu, "image"));
        row("parameters", format!("{} million", short(self.parameters as f64 / 1e6)));
        row("operations per step", format!("{} Tflop", short(self.flops_per_step / 1e12)));
        row("sent per rank and step", format!("{} MB{}", short(self.wire_bytes_per_step / 1e6), self.between_nodes()));
        row("checkpoint", gib(self.checkpoint_bytes as f64));
        row("copy of a checkpoint, host memory per node", gib(self.checkpoint_host_bytes_per_node as f64));
        row("images per second", format!("{} ({})", self.images_per_s.text("images/s"), self.images_per_s_by));
        row(
            "CPU cores for augmentation, per GPU",
            self.augment_cores_per_gpu.text("(measured now, on one core of this machine)"),
        );
        row("time", self.hours.text("hours"));
        row("energy", self.kwh.text("kWh, of the GPUs and these cores"));
        row("emissions", format!("{} ({} kg/kWh: {})", self.kg_co2e.text("kg CO2e"), self.kg_per_kwh, self.grid));
        if let Some(price) = self.price {
            row("price", price.text("(in the currency of --price)"));
        }
        lines.push(terminal::columns(&rows, &[]));
        if !self.fits {
            lines.push(format!("This does not fit: {}.", self.remedy()));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(words: &[&str]) -> EstimateArgs {
        let line = ["worker", "estimate", "config.yaml"].iter().chain(words);
        match crate::cli::Cli::try_parse_from(line).unwrap().command {
            crate::cli::Command::Estimate(args) => args,
            _ => unreachable!("it was named"),
        }
    }

    fn of(text: &str, sets: &[&str], words: &[&str]) -> Result<Estimate> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        make(&ResolvedConfig::from_yaml(text, "test", &sets)?, &args(words))
    }

    #[test]
    fn more_gpus_take_less_time_each_holds_fewer_images_and_the_work_stays() {
        let one = of(crate::timing::SMALL, &[], &["--gpu", "a100", "--price", "2"]).unwrap();
        let eight = of(crate::timing::SMALL, &[], &["--gpu", "a100", "--gpus-per-node", "8"]).unwrap();
        assert_eq!((one.images_per_gpu, eight.images_per_gpu), (512, 64));
        assert!(eight.memory.total() < one.memory.total() && eight.hours.most < one.hours.most / 4.0);
        assert!((eight.flops_per_step / one.flops_per_step - 1.0).abs() < 1e-9);
        assert_eq!((one.wire_bytes_per_step, eight.price.is_none()), (0.0, true));
        assert!((one.price.unwrap().least - 2.0 * one.hours.least).abs() < 1e-9);
        assert!(terminal::Report::text(&one).contains("1 x A100"), "{}", terminal::Report::text(&one));
    }

    #[test]
    fn what_cannot_fit_is_told_with_the_remedy_that_makes_it_fit() {
        let large = ["model.dim=1024", "model.depth=24", "model.heads=16", "train.loss_groups=1"];
        let refused = of(crate::timing::SMALL, &large, &["--gpu", "l40s"]).unwrap();
        assert!(!refused.fits && refused.largest_images_per_gpu > 0);
        let text = terminal::Report::text(&refused);
        assert!(text.contains("This does not fit") && text.contains("train.gradient_accumulation="), "{text}");
        let set = format!("train.gradient_accumulation={}", refused.gradient_accumulation.unwrap());
        let sets: Vec<&str> = large.into_iter().chain([set.as_str()]).collect();
        assert!(of(crate::timing::SMALL, &sets, &["--gpu", "l40s"]).unwrap().fits, "{set}");
    }

    #[test]
    fn zero1_shares_the_moments_and_sends_the_weights() {
        let of = |sets: &[&str], gpus: &str| {
            of(crate::timing::SMALL, sets, &["--gpu", "a100", "--gpus-per-node", gpus]).unwrap()
        };
        let (plain, shared) = (of(&[], "8"), of(&["train.zero1=true"], "8"));
        let saved = 7.0 * plain.parameters as f64;
        assert!((plain.memory.total() - shared.memory.total() - saved).abs() < 1.0, "7 of 8 bytes a parameter");
        assert!((shared.wire_bytes_per_step / plain.wire_bytes_per_step - 1.5).abs() < 1e-9);
        assert!(shared.hours.least > plain.hours.least && shared.checkpoint_bytes == plain.checkpoint_bytes);
        let lowered = of(&["train.wire=bf16"], "8");
        assert_eq!(lowered.wire_bytes_per_step * 2.0, plain.wire_bytes_per_step);
        assert_eq!(lowered.memory.total(), plain.memory.total() + 2.0 * plain.parameters as f64);
        let (plain, alone) = (of(&[], "1"), of(&["train.zero1=true"], "1"));
        assert_eq!(plain.memory.total(), alone.memory.total(), "one rank holds all");
        assert_eq!(alone.wire_bytes_per_step, 0.0);
    }

    #[test]
    fn zero1_is_the_remedy_where_it_makes_a_run_fit() {
        let giant = |images: u64, zero1: &str| {
            let batch = format!("train.batch_size={}", 64 * images);
            let sets =
                ["model.dim=1536", "model.depth=40", "model.heads=24", "train.loss_groups=1", batch.as_str(), zero1];
            of(crate::timing::SMALL, &sets, &["--gpus-per-node", "64", "--gpu", "l40s"]).unwrap()
        };
        let most = giant(1, "train.zero1=false").largest_images_per_gpu;
        let refused = giant(most + 1, "train.zero1=false");
        assert!(!refused.fits && refused.zero1_helps && giant(most + 1, "train.zero1=true").fits, "{most} images fit");
        assert!(terminal::Report::text(&refused).contains("set train.zero1=true"));
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        for (words, said) in [
            (&["--nodes", "0"][..], "at least one"),
            (&["--nodes", "999"], "each rank needs an image"),
            (&["--gpu", "h1000"], "--gpu h1000: unknown GPU; did you mean `h100`?"),
            (&["--gpu", "zzz"], "unknown GPU; known are h100, h200, a100, l40s, cpu,"),
            (&["--gpu", "nosuch.json"], "there is no GPU file nosuch.json"),
        ] {
            let error = of(crate::timing::SMALL, &[], words).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
