//! Seconds per training step of a tiny model and of ViT-S/14 on this machine, on random crops.
//!
//!     cargo run -p dino --example time_a_step -- [tiny|small] [threads]
#![allow(clippy::print_stdout, reason = "an example shows its result on the terminal")]

use collective::Solo;
use dino::{CropBatch, DinoError, MaskPlan, State, masks};
use run_spec::{config::TrainConfig, schedule::Schedules};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

fn main() -> Result<(), DinoError> {
    let mut args = std::env::args().skip(1);
    let small = args.next().as_deref() == Some("small");
    if let Some(threads) = args.next().and_then(|n| n.parse().ok()) {
        tch::set_num_threads(threads);
    }
    let mut config = TrainConfig::default();
    if small {
        config.train.batch_size = 8;
        config.head.prototypes = 65536;
    } else {
        (config.model.dim, config.model.depth, config.model.heads) = (192, 6, 3);
        (config.crops.global_size, config.crops.local_size) = (112, 56);
        (config.head.prototypes, config.head.hidden) = (4096, 1024);
        config.train.batch_size = 32;
    }
    let mut state = State::new(&config, Device::Cpu)?;
    let schedules = Schedules::new(&config);
    let b = config.train.batch_size as i64;
    let side = config.crops.global_size;
    let mut seconds = Vec::new();
    for step in 0..6 {
        let plan = MaskPlan { config: &config.masks, seed: 0, step, share: state.share(0, 1)?, grid: config.grid() };
        let batch = CropBatch {
            global: Tensor::randn([2, b, 3, side, side], (Kind::Float, Device::Cpu)),
            local: None,
            masks: masks::batch(&plan),
            koleo_exclusion: None,
        };
        let start = Instant::now();
        let report = state.step(&batch, &schedules.at(step), &Solo::new())?;
        seconds.push(start.elapsed().as_secs_f64());
        println!("step {step}: {:.3} s, loss {:.4}", seconds[step as usize], report.losses.total);
    }
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    println!("best {best:.3} s for {b} images of {side} px");
    Ok(())
}
