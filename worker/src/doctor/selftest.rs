//! The self-test: sums between ranks against sums by hand, a training step on two kinds of arithmetic, timed steps.
//!
//! Every rank makes the same calls. A part that fails on one rank between calls to the others ends the world for all, so that
//! none waits; the parts after it then say so.

use std::time::Instant;

use anyhow::{Result, ensure};
use collective::{Solo, sum_};
use dino::State;
use run_spec::config::ResolvedConfig;
use run_spec::schedule::Schedules;
use tch::{Device, Kind, Tensor};

use super::finding::Finding;
use super::{flops, node};
use crate::timing::{SMALL, TINY, matrix_rate, median, random_batch};
use torch_shim::panics::catch_torch_panic;
use training::{OpenDevice, Ranks};

/// Largest relative difference of a loss between devices, or between f32 and f64.
const LOSS_BAR: f64 = 1e-4;
/// The same for a gradient norm, which sums squares over all parameters.
const NORM_BAR: f64 = 1e-3;
/// Bytes of the all-reduces that are timed.
const MIB: [i64; 3] = [1, 16, 64];
const DRAIN: &str = "the device computes wrongly: check ECC errors and the driver, and drain the node";
const TIMED_STEPS: u64 = 20;

/// Runs all parts on all ranks.
pub(crate) fn run(ranks: &Ranks, place: &OpenDevice) -> Vec<Finding> {
    vec![
        told(ranks, "all-reduce", "check the network between the nodes; NCCL_DEBUG=INFO shows NCCL's view", || {
            all_reduce(ranks, place.device)
        }),
        told(ranks, "bus bandwidth", "check the links (`nvidia-smi topo -m`, NCCL_DEBUG=INFO)", || {
            bandwidth(ranks, place.device)
        }),
        failed("pixels compared", DRAIN, catch_torch_panic("pixels compared", || pixels(place.device))),
        failed("step compared", DRAIN, catch_torch_panic("step compared", || compared(place.device))),
        told(ranks, "20 steps", "see the message; with too little memory free the device or take a larger one", || {
            timed(ranks, place.device)
        }),
    ]
}

/// A part that calls the other ranks.
fn told(ranks: &Ranks, check: &str, remedy: &str, part: impl FnOnce() -> Result<Finding>) -> Finding {
    let result = crate::ranks::or_abort(ranks, catch_torch_panic(check, part));
    failed(check, remedy, result)
}

fn failed(check: &str, remedy: &str, result: Result<Finding>) -> Finding {
    result.unwrap_or_else(|error| Finding::fail(check, crate::sentence(&error), remedy))
}

/// Sums in f32 that are small whole numbers are exact, so every element is compared for equality.
fn all_reduce(ranks: &Ranks, device: Device) -> Result<Finding> {
    let world = ranks.world() as i64;
    if world == 1 {
        return Ok(Finding::not_checked(
            "all-reduce",
            "one process; start several with `mpirun -n 2` or `srun --mpi=pmix`",
        ));
    }
    let pattern = Tensor::arange(1 << 16, (Kind::Int64, device)).remainder(7) + 1;
    let mut mine = (&pattern * (ranks.rank() as i64 + 1)).to_kind(Kind::Float);
    sum_(ranks.peers(), &mut mine)?;
    let by_hand = (&pattern * (world * (world + 1) / 2)).to_kind(Kind::Float);
    let wrong = mine.not_equal_tensor(&by_hand).sum(Kind::Int64).int64_value(&[]);
    ensure!(wrong == 0, "{wrong} of 65536 sums over {world} ranks differ from the sum by hand");
    Ok(Finding::ok("all-reduce", format!("65536 sums equal those by hand: {}", ranks.description())))
}

/// Bus bandwidth of an all-reduce of `bytes` in `seconds` over `world` ranks, in GB/s (as NCCL's tests define it).
fn bus_gb_per_s(bytes: f64, seconds: f64, world: f64) -> f64 {
    bytes / seconds * 2.0 * (world - 1.0) / world / 1e9
}

fn bandwidth(ranks: &Ranks, device: Device) -> Result<Finding> {
    if ranks.world() == 1 {
        return Ok(Finding::not_checked("bus bandwidth", "one process"));
    }
    let mut words = Vec::new();
    for mib in MIB {
        let mut numbers = Tensor::zeros([mib << 18], (Kind::Float, device));
        let mut times = Vec::new();
        for run in 0..=5 {
            ranks.peers().barrier()?;
            torch_shim::device::synchronise(device)?;
            let began = Instant::now();
            sum_(ranks.peers(), &mut numbers)?;
            torch_shim::device::synchronise(device)?;
            if run > 0 {
                times.push(began.elapsed().as_secs_f64());
            }
        }
        let rate = bus_gb_per_s((mib << 20) as f64, median(times), ranks.world() as f64);
        words.push(format!("{mib} MiB {rate:.2} GB/s"));
    }
    Ok(Finding::ok("bus bandwidth", format!("{} (medians of 5)", words.join(", "))))
}

/// Images that are sent as bytes beside a computation, and become floats on the device.
fn pixels(device: Device) -> Result<Finding> {
    const BATCHES: u64 = 20;
    let wrong = training::wrong_pixels(device, BATCHES)?;
    ensure!(wrong == 0, "{wrong} pixels of {BATCHES} batches are not those that were sent");
    Ok(Finding::ok(
        "pixels compared",
        format!("{BATCHES} batches sent as bytes are, to the bit, the processor's floats"),
    ))
}

/// What a step told: loss, and the gradient norms by submodule.
type Told = (f64, Vec<(&'static str, f64)>);

/// One step of a small model from the same weights on the same batch.
fn one_step(precision: &str, device: Device) -> Result<Told> {
    let sets = [format!("train.precision={precision}"), "train.batch_size=4".into(), "model.depth=2".into()];
    let config = ResolvedConfig::from_yaml(TINY, "tiny.yaml", &sets)?;
    let mut state = State::new(&config, device)?;
    let kind = state.settings().kind();
    let batch = random_batch(&config, &state.share(0, 1)?, device);
    let batch = batch.with_images(|images| images.to_kind(kind));
    let report = state.step(&batch, &Schedules::new(&config).at(0), &Solo::new())?;
    Ok((report.losses.total, report.norms))
}

fn relative(a: f64, b: f64) -> f64 {
    (a - b).abs() / b.abs().max(1e-12)
}

/// Compares two steps; the names say what they ran on.
fn judged(a: &Told, b: &Told, names: &str) -> Result<String> {
    let loss = relative(a.0, b.0);
    let norm = a.1.iter().zip(&b.1).map(|(a, b)| relative(a.1, b.1)).fold(0.0, f64::max);
    let words = format!(
        "{names}: loss differs by {loss:.1e} (tolerance {LOSS_BAR:.0e}), gradient norms by {norm:.1e} (tolerance {NORM_BAR:.0e})"
    );
    // A NaN compares as false, and so fails.
    ensure!(loss < LOSS_BAR && a.1.iter().zip(&b.1).all(|(a, b)| relative(a.1, b.1) < NORM_BAR), "{words}");
    Ok(words)
}

fn compared(device: Device) -> Result<Finding> {
    let cpu = one_step("f32", Device::Cpu)?;
    if device == Device::Cpu {
        let words = judged(&cpu, &one_step("f64", Device::Cpu)?, "f32 and f64 on the CPU")?;
        return Ok(Finding::ok("step compared", format!("{words}; a GPU was not checked")));
    }
    Ok(Finding::ok("step compared", judged(&one_step("f32", device)?, &cpu, "f32 on the GPU and on the CPU")?))
}

fn timed(ranks: &Ranks, device: Device) -> Result<Finding> {
    let cuda = device.is_cuda();
    let (text, name, images, precision) =
        if cuda { (SMALL, "ViT-S/14, 224 px", 64, "bf16") } else { (TINY, "tiny.yaml", 8, "f32") };
    let batch_size = images * ranks.world() as u64;
    let sets = [
        format!("train.batch_size={batch_size}"),
        "train.loss_groups=1".to_owned(),
        format!("train.precision={precision}"),
        format!("optim.epoch_length={}", TIMED_STEPS + 2),
    ];
    let config = ResolvedConfig::from_yaml(text, name, &sets)?;
    let rate = matrix_rate(device, if cuda { Kind::BFloat16 } else { Kind::Float }, 5);
    let mut state = State::new(&config, device)?;
    let batch = random_batch(&config, &state.share(ranks.rank(), ranks.world())?, device);
    let schedules = Schedules::new(&config);
    let mut began = Instant::now();
    for step in 0..TIMED_STEPS + 2 {
        // The first two choose algorithms and fill caches.
        if step == 2 {
            ranks.peers().barrier()?;
            torch_shim::device::synchronise(device)?;
            began = Instant::now();
        }
        state.step(&batch, &schedules.at(step), ranks.peers())?;
    }
    torch_shim::device::synchronise(device)?;
    let seconds = began.elapsed().as_secs_f64() / TIMED_STEPS as f64;
    let busy = if cuda { node::list_gpus().unwrap_or_default() } else { Vec::new() };
    let busy: Vec<String> = busy.iter().filter_map(|gpu| gpu.utilisation).map(|u| format!("{u} %")).collect();
    let gflops = flops::of_step(&config, images as f64) / seconds / 1e9;
    let mut words = format!(
        "{name}, {images} images per rank, {precision}: {:.3} s per step, {:.1} images/s, {gflops:.0} GFLOP/s per rank, {:.0} % of the {rate:.0} GFLOP/s of a matrix product",
        seconds,
        batch_size as f64 / seconds,
        100.0 * gflops / rate
    );
    if !busy.is_empty() {
        words.push_str(&format!("; nvidia-smi says {} busy", busy.join(", ")));
    }
    Ok(Finding::ok("20 steps", words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bus_bandwidth_counts_what_each_link_carries() {
        // Two ranks: each byte crosses once. Many: nearly twice.
        assert_eq!(bus_gb_per_s(1e9, 1.0, 2.0), 1.0);
        assert_eq!(bus_gb_per_s(1e9, 0.5, 4.0), 3.0);
    }

    #[test]
    fn a_step_that_differs_or_is_not_finite_fails() {
        let told = |loss: f64, norm: f64| (loss, vec![("backbone", norm)]);
        judged(&told(8.0, 2.0), &told(8.0001, 2.0001), "x").unwrap();
        for (loss, norm) in [(8.1, 2.0), (8.0, 2.1), (f64::NAN, 2.0), (8.0, f64::NAN)] {
            assert!(judged(&told(loss, norm), &told(8.0, 2.0), "x").is_err(), "{loss} {norm}");
        }
    }

    #[test]
    fn a_step_in_f32_is_a_step_in_f64_within_the_bars() {
        compared(Device::Cpu).unwrap();
    }
}
