//! Provenance: random rows of a set are cut again from the files of their sources and must show the same pixels.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail, ensure};
use datasets::cutting::{Cut, take};
use datasets::reading::LocatedSource;
use datasets::schema::Fill;
use imaging::{DecodeLimits, RgbImage};
use run_spec::ids::{Product, pixel_digest};
use run_spec::seed::stream;
use shards::{RowMeta, ShardSet};

use crate::cli::RecutArgs;
use crate::sources::{self, locate};
use terminal::thousands;

/// Cuts rows again and returns what to print.
///
/// # Errors
/// A row whose file is gone or shows other pixels; a source of the set that is not described.
pub(crate) fn recut(set: &ShardSet, args: &RecutArgs) -> Result<Option<String>> {
    let Some(descriptions) = &args.sources else { return Ok(None) };
    let sources = locate(sources::read(descriptions)?, &args.place)?.located;
    for source in &set.manifest().sources {
        ensure!(
            sources.iter().any(|located| located.source.name == source.name),
            "source {} of the set is not described in {} or has no folder",
            source.name,
            descriptions.display()
        );
    }
    let wanted = args.recut.min(set.len());
    let mut random = stream(args.recut_seed, "recut", &[]);
    let mut rows = BTreeSet::new();
    while (rows.len() as u64) < wanted {
        rows.insert(random.below(set.len()));
    }
    // Rows in order: those of one image lie side by side, and it is decoded once.
    let mut image: Option<(RowMeta, RgbImage)> = None;
    let mut bad = Vec::new();
    for row in rows {
        let meta = set.meta(row)?;
        let at = format!("row {row}: {}, {} at ({}, {})", meta.source, meta.image, meta.x, meta.y);
        let source = sources.iter().find(|located| located.source.name == *meta.source);
        let source = source.ok_or_else(|| anyhow!("{at}: the source is not described"))?;
        let same_image = image.as_ref().is_some_and(|(of, _)| of.source == meta.source && of.image == meta.image);
        if !same_image {
            let rgb = source.rgb(&meta.image, DecodeLimits::default()).map_err(|reason| anyhow!(reason));
            image = Some((meta.clone(), rgb.with_context(|| at.clone())?));
        }
        let Some((_, pixels_of_image)) = &image else { continue };
        let stored = set.rgb(row)?;
        let taken = take(pixels_of_image, &cut(set.manifest().product, source, &meta, stored.width()));
        if pixel_digest(taken.width(), taken.height(), &taken) != meta.pixel_digest {
            bad.push(format!("  {at}"));
        }
    }
    if !bad.is_empty() {
        bail!("{} of {} rows show other pixels than their sources:\n{}", bad.len(), thousands(wanted), bad.join("\n"));
    }
    Ok(Some(format!("{} random rows were cut again from their sources and show the same pixels", thousands(wanted))))
}

/// The cut that made a row which is `stored` pixels wide.
fn cut(product: Product, source: &LocatedSource, meta: &RowMeta, stored: u32) -> Cut {
    let fill = match product {
        Product::Patches => Fill::Reflect,
        Product::Cells => source.source.cells.pad,
    };
    let resample_to = (stored != meta.w).then_some(stored);
    Cut { x: meta.x, y: meta.y, w: meta.w, h: meta.h, label: None, fill, resample_to }
}
