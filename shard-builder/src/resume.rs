//! Shards of an attempt that did not end: taken as they are where they are whole, and made again where they are not.

use std::fmt;

use anyhow::{Context, Result};
use rayon::prelude::*;
use run_spec::ids::Product;
use shards::{Codec, FinishedShard, RowMeta, ShardError};
use store::Store;
use tracing::warn;

use terminal::counted;

/// How many shards were there of an earlier attempt.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resumed {
    /// Shards that were whole, and are taken as they are.
    found: u64,
    /// Shards that were damaged, and are made again.
    damaged: u64,
}

impl Resumed {
    /// Adds what was found of other shards.
    pub(crate) fn add(&mut self, other: Self) {
        self.found += other.found;
        self.damaged += other.damaged;
    }

    /// The finished shard at `key`, if it is there and whole: `is_planned` says whether the row at a place is the one that is planned
    /// there, and its pixels must be those that its digest names. A damaged shard is removed, so that it can be made again.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub(crate) fn find(
        &mut self,
        store: &Store,
        key: &str,
        (rows, product, codec): (u64, Product, Codec),
        is_planned: impl Fn(usize, &RowMeta) -> bool + Sync,
    ) -> Result<Option<FinishedShard>> {
        let why = match FinishedShard::find(store, key, rows, (product, codec)) {
            Ok(None) => return Ok(None),
            Ok(Some((finished, there))) => match first_flaw(&there, codec, &is_planned) {
                None => {
                    self.found += 1;
                    return Ok(Some(finished));
                }
                Some(why) => why,
            },
            Err(error @ ShardError::Store(_)) => {
                return Err(error).with_context(|| format!("look at {}", store.uri_of(key)));
            }
            Err(error) => error.to_string(),
        };
        warn!("{} was left damaged by an earlier attempt and is made again: {why}", store.uri_of(key));
        store.delete(key).with_context(|| format!("remove the damaged shard {}", store.uri_of(key)))?;
        self.damaged += 1;
        Ok(None)
    }
}

/// Why a shard is not the planned one, by its first row that is not. Rows are decoded, in parallel.
fn first_flaw<B: AsRef<[u8]> + Sync>(
    rows: &[(RowMeta, B)],
    codec: Codec,
    is_planned: &(impl Fn(usize, &RowMeta) -> bool + Sync),
) -> Option<String> {
    let flaw = |(place, (row, image)): (usize, &(RowMeta, B))| {
        if !is_planned(place, row) {
            return Some(format!("row {place} is not the planned one"));
        }
        match codec.decode(image.as_ref()) {
            Err(error) => Some(format!("row {place}: {error}")),
            Ok(rgb) if shards::digest_of(&rgb) != row.pixel_digest => {
                Some(format!("row {place} shows other pixels than it says"))
            }
            Ok(_) => None,
        }
    };
    rows.par_iter().enumerate().find_map_first(flaw)
}

impl fmt::Display for Resumed {
    /// A line for each kind of shard that was there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found > 0 {
            write!(f, "\nfinished by an earlier attempt and kept: {}", counted(self.found, "shard"))?;
        }
        if self.damaged > 0 {
            write!(f, "\ndamaged and made again: {}", counted(self.damaged, "shard"))?;
        }
        Ok(())
    }
}
