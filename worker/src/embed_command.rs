//! `worker embed`: the features of a shard set as a Parquet file.

use anyhow::Result;
use shards::ShardSet;
use store::Store;

use crate::cli::EmbedArgs;
use crate::{features, output};

/// Writes one row an image: where it comes from, and its feature.
pub(crate) fn embed(args: &EmbedArgs) -> Result<()> {
    let trained = features::open(&args.model)?;
    let shards = ShardSet::open(&Store::open(&args.shards)?)?;
    let side = trained.config.crops.global_size;
    let (values, dim) = features::extract(&trained.teacher, side, &shards, args.batch, "embedding")?;
    let rows = (0..shards.len()).map(|row| shards.meta(row)).collect::<Result<Vec<_>, _>>()?;
    let bytes = export::features_as_parquet(&rows, &values, dim)?;
    let (folder, name) = Store::open_file(&args.out)?;
    folder.create(&name, bytes.into())?;
    output::line(format!("{}: {} features of {dim} dimensions", args.out, shards.len()));
    Ok(())
}
