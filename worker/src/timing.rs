//! Work of known size, and the time that it takes.

use std::time::Instant;

use anyhow::Result;
use dino::{CropBatch, MaskPlan, RankShare};
use run_spec::config::TrainConfig;
use rustix::time::{ClockId, clock_gettime};
use tch::{Device, Kind, Tensor};
use torch_shim::host::HostBuffer;

/// A configuration that any machine can train.
pub(crate) const TINY: &str = include_str!("../../configs/train/tiny.yaml");
/// The published recipe of RedDino-small.
pub(crate) const SMALL: &str = include_str!("../../configs/train/reddino-small.yaml");

/// Seconds for which this thread has used a processor: other programs on the machine make no difference.
pub(crate) fn busy_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The middle of `times`; NaN of none.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn wait_for(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// Seconds of `work`, median of `repeats` after one run that is not counted.
fn time(device: Device, repeats: usize, work: impl FnMut() -> Result<()>) -> Result<f64> {
    Ok(median(times(device, repeats, work)?))
}

/// Seconds of each of `repeats` runs of `work`, after one that is not counted.
pub(crate) fn times(device: Device, repeats: usize, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for run in 0..=repeats.max(1) {
        wait_for(device);
        let began = Instant::now();
        work()?;
        wait_for(device);
        if run > 0 {
            times.push(began.elapsed().as_secs_f64());
        }
    }
    Ok(times)
}

/// GFLOP/s of a matrix product in `kind`.
pub(crate) fn matrix_rate(device: Device, kind: Kind, repeats: usize) -> f64 {
    let n = 2048;
    let (a, b) = (Tensor::ones([n, n], (kind, device)), Tensor::ones([n, n], (kind, device)));
    let seconds = time(device, repeats, || {
        let _ = a.matmul(&b);
        Ok(())
    });
    2.0 * (n as f64).powi(3) / seconds.unwrap_or(f64::NAN) / 1e9
}

/// A share of a step of random pixels.
pub(crate) fn random_batch(config: &TrainConfig, share: &RankShare, device: Device) -> CropBatch {
    let (b, s, l) = (share.images, config.crops.global_size, config.crops.local_size);
    let mut noise = run_spec::seed::stream(0, "bench/pixels", &[]);
    let mut random = |shape: &[i64]| {
        let mut buffer = HostBuffer::zeros(shape, Device::Cpu).expect("memory that is not pinned");
        buffer.values().iter_mut().for_each(|value| *value = noise.uniform(-2.0, 2.0) as f32);
        buffer.into_tensor()
    };
    let global = random(&[2, b, 3, s, s]);
    let n_local = config.loss.n_local;
    let local = (n_local > 0).then(|| random(&[n_local, b, 3, l, l]));
    let (seed, grid) = (config.seed, config.grid());
    let masks = dino::masks::batch(&MaskPlan { config: &config.masks, seed, step: 0, share: *share, grid });
    CropBatch { global, local, masks, koleo_exclusion: None }.to_device(device)
}
