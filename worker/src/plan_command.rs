//! `worker plan`: which rows a step draws and which rank takes them, so that two runs can be compared by eye.

use anyhow::Result;
use run_spec::plan::{Place, Plan};
use shards::ShardSet;
use store::Store;

use crate::cli::PlanArgs;
use crate::config_file;

/// Prints one line an image: step, rank, draw, row, source and image.
pub(crate) fn plan(args: &PlanArgs) -> Result<()> {
    let config = config_file::read(&args.config, &args.set)?;
    let shards = ShardSet::open(&Store::open(&args.shards)?)?;
    anyhow::ensure!(!shards.is_empty(), "{}: the shard set has no rows", args.shards);
    anyhow::ensure!(args.world > 0, "--world 0: at least one rank is needed");
    let plan = Plan::of(&config, &shards.source_rows())?;
    terminal::line("step\trank\tdraw\trow\tsource\timage");
    for step in args.step..args.step.saturating_add(args.steps) {
        for rank in 0..args.world {
            for draw in plan.rows_at(step, Place { rank, world: args.world }) {
                let meta = shards.meta(draw.row)?;
                terminal::line(format!("{step}\t{rank}\t{}\t{}\t{}\t{}", draw.draw, draw.row, meta.source, meta.image));
            }
        }
    }
    Ok(())
}
