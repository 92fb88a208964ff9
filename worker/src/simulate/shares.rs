//! Who takes which images of a step.

use anyhow::{Result, ensure};
use dino::RankShare;
use run_spec::config::TrainConfig;
use run_spec::plan::{Place, Plan};

/// Rows of the shard set that is not there: as many as the paper's training patches.
const ROWS: u64 = 1_250_000;
/// Steps that are looked at.
const STEPS: u64 = 20;

/// Checks for each of `worlds` that its ranks take each image of a step once, in the order that one rank would.
pub(super) fn check(config: &TrainConfig, worlds: &[usize]) -> Result<String> {
    let plan = Plan::uniform(config.seed, ROWS, config.train.batch_size);
    let mut sizes = Vec::new();
    for world in worlds {
        let count = *world as u64;
        for rank in 0..*world {
            sizes.push(RankShare::of(config.train.batch_size, config.train.loss_groups, rank, *world)?.images);
        }
        for step in 0..STEPS {
            let of_ranks = (0..count).flat_map(|rank| plan.rows_at(step, Place { rank, world: count }));
            let whole = plan.rows_at(step, Place::SOLO);
            ensure!(of_ranks.eq(whole), "step {step} on {world} ranks is not the step of one rank: a bug of the plan");
        }
    }
    let (least, most) = (sizes.iter().min().copied().unwrap_or(0), sizes.iter().max().copied().unwrap_or(0));
    let worlds: Vec<String> = worlds.iter().map(usize::to_string).collect();
    Ok(format!(
        "{STEPS} steps use the same images on 1 rank and on {} ranks; {least} to {most} images per rank",
        worlds.join(" and ")
    ))
}
