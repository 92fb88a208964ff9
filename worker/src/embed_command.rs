//! `worker embed`: the features of a shard set as a Parquet file.

use anyhow::Result;
use shards::ShardSet;
use store::Store;

use crate::cli::EmbedArgs;
use crate::environment::Environment;
use crate::features::{self, Extractor};

/// Writes one row an image: where it comes from, and its feature.
pub(crate) fn embed(args: &EmbedArgs, environment: &Environment) -> Result<()> {
    let trained = features::open(&args.model, environment)?;
    let shards = ShardSet::open(&Store::open(&args.shards)?)?;
    let extractor = Extractor::new(&shards, args.batch, args.model.threads)?.of_token(args.token.into());
    let features = extractor.features(&trained.teacher, trained.config.crops.global_size, "embedding")?;
    let rows = (0..shards.len()).map(|row| shards.meta(row)).collect::<Result<Vec<_>, _>>()?;
    let bytes = export::features_as_parquet(&rows, features.data(), features.dim())?;
    let (folder, name) = Store::open_file(&args.out)?;
    folder.create(&name, bytes.into())?;
    terminal::line(format!("{}: {} features of {} dimensions", args.out, shards.len(), features.dim()));
    Ok(())
}
