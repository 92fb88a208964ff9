//! The sprite atlas of an evaluation set, which reports show: made by whichever probe comes first.

use anyhow::Result;
use shards::ShardSet;
use shards::atlas::{Atlas, tile_of};
use store::Store;

use crate::features::Extractor;

/// Keeps the atlas of `shards` in the store `uri`, if one is wanted and is not there yet. Scores do not depend on it: a failure is
/// logged.
pub(super) fn keep(uri: Option<&str>, shards: &ShardSet, extractor: &Extractor<'_>) {
    let Some(uri) = uri else { return };
    if let Err(error) = publish(uri, shards, extractor) {
        tracing::warn!("no pictures of the cells are kept for reports: {error:#}");
    }
}

fn publish(uri: &str, shards: &ShardSet, extractor: &Extractor<'_>) -> Result<()> {
    let store = Store::open(uri)?;
    let Some(tile) = Atlas::tile_for(shards.len()) else {
        let cells = terminal::counted(shards.len(), "cell");
        tracing::info!("no pictures of the cells are kept for reports: {cells} are too many");
        return Ok(());
    };
    if Atlas::is_there(&store, &shards.digest())? {
        return Ok(());
    }
    let tiles = extractor.of_pictures(|picture| tile_of(picture, tile))?;
    Atlas::publish(&store, shards.digest(), tile, &tiles)?;
    tracing::info!("pictures of the cells, {tile} px wide, are kept for reports");
    Ok(())
}
