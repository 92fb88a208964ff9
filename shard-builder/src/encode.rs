//! The second pass: pixels of the planned rows, in their planned order whatever thread made them.

use anyhow::{Context, Result, anyhow, ensure};
use datasets::cutting::{self, Cut};
use datasets::reading::LocatedSource;
use datasets::schema::stem_of;
use datasets::survey::{ImageRecord, KeptRow, RowSink};
use imaging::{DecodeLimits, RgbImage};
use rayon::prelude::*;
use run_spec::ids::{Digest, pixel_digest};
use shards::{Codec, Encoded, PatchRow, RowMeta};

use crate::plan::PlannedRow;
use crate::spool::Spool;

/// What encoding needs of a build.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    /// The sources of the build.
    pub(crate) sources: &'a [LocatedSource],
    /// All images of the sources.
    pub(crate) images: &'a [ImageRecord],
    /// The group of each image.
    pub(crate) groups: &'a [String],
    /// Largest files and images that are decoded.
    pub(crate) limits: DecodeLimits,
    /// How the pixels of rows are encoded.
    pub(crate) codec: Codec,
    /// Where the first pass has kept what it encoded.
    pub(crate) spool: Option<&'a Spool>,
}

impl Encoder<'_> {
    /// Cuts and encodes rows, each image decoded once.
    ///
    /// # Errors
    /// An image that is no longer what the first pass saw.
    pub(crate) fn rows(&self, rows: &[PlannedRow]) -> Result<Vec<PatchRow>> {
        let by_image: Vec<&[PlannedRow]> = rows.chunk_by(|a, b| a.image == b.image).collect();
        let parts: Vec<Vec<PatchRow>> =
            by_image.into_par_iter().map(|rows| self.rows_of_one(rows)).collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn rows_of_one(&self, rows: &[PlannedRow]) -> Result<Vec<PatchRow>> {
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let image = &self.images[first.image];
        let source = &self.sources[image.source].source;
        let name = || format!("source {}, image {}", source.name, image.image);
        let used = image.used.as_ref().map_err(|reason| anyhow!("{} is not used: {reason}", image.image))?;
        let kept = |row: &PlannedRow| used.kept.get(row.cut).copied().flatten();
        // Only where a row is not in the spool.
        let rgb = match rows.iter().all(|row| kept(row).is_some()) {
            true => None,
            false => Some(self.decode(image).with_context(name)?),
        };
        rows.par_iter()
            .map(|row| {
                let cut = &used.cuts[row.cut];
                let encoded = match (kept(row), self.spool, &rgb) {
                    (Some(kept), Some(spool), _) => spool.take(kept).context("cannot read a temporary file"),
                    (_, _, Some(rgb)) => encode(self.codec, &cutting::take(rgb, cut), cut),
                    _ => Err(anyhow!("neither spooled nor decoded")),
                };
                Ok(self.row(row, image, cut, encoded.with_context(name)?))
            })
            .collect()
    }

    fn decode(&self, image: &ImageRecord) -> Result<RgbImage> {
        let located = &self.sources[image.source];
        let changed = "the file changed while the set was built; run the build again";
        if located.source.slides.is_some() {
            let rgb = located.rgb(&image.image, self.limits).map_err(|reason| anyhow!(reason))?;
            let pixels = pixel_digest(rgb.width(), rgb.height(), &rgb);
            ensure!(image.info.as_ref().is_some_and(|info| info.pixels == pixels), changed);
            return Ok(rgb);
        }
        let (bytes, page) = located.file(&image.image, self.limits).map_err(|reason| anyhow!(reason))?;
        let same = image.info.as_ref().is_some_and(|info| info.file == Digest::of(&bytes));
        ensure!(same, changed);
        Ok(located.decode(&bytes, page, self.limits)?.rgb)
    }

    /// Whether a row that was found in a shard says what this one would, apart from its pixels.
    pub(crate) fn is_of(&self, row: &PlannedRow, there: &RowMeta) -> bool {
        let image = &self.images[row.image];
        let label = image.used.as_ref().ok().and_then(|used| used.cuts[row.cut].label.as_deref());
        there.id == row.id
            && *there.group == *self.groups[row.image]
            && there.label.as_deref() == label
            && *there.licence == *self.sources[image.source].source.licence
    }

    fn row(&self, row: &PlannedRow, image: &ImageRecord, cut: &Cut, encoded: Encoded) -> PatchRow {
        let source = &self.sources[image.source].source;
        PatchRow {
            id: row.id,
            pixel_digest: encoded.pixel_digest,
            source: source.name.clone(),
            image: image.image.clone(),
            group: self.groups[row.image].clone(),
            x: cut.x,
            y: cut.y,
            w: cut.w,
            h: cut.h,
            label: cut.label.clone(),
            licence: source.licence.clone(),
            bytes: encoded.bytes,
            path: format!("{}-{}-{}-{}.{}", source.name, stem_of(&image.image), cut.x, cut.y, self.codec.extension()),
        }
    }
}

/// Encodes the rows of the first pass into a spool.
#[derive(Debug)]
pub(crate) struct SpoolSink<'a> {
    /// Keeps what is encoded.
    pub(crate) spool: &'a Spool,
    /// How the pixels of rows are encoded.
    pub(crate) codec: Codec,
}

impl RowSink for SpoolSink<'_> {
    /// What cannot be encoded is not kept: it is found out again, and said, when it is to be written.
    fn keep(&self, pixels: &RgbImage) -> Option<KeptRow> {
        self.spool.add(&self.codec.encode(pixels).ok()?)
    }
}

/// Encodes the pixels that were taken by a cut.
///
/// # Errors
/// Pixels that the codec cannot write.
fn encode(codec: Codec, pixels: &RgbImage, cut: &Cut) -> Result<Encoded> {
    codec.encode(pixels).with_context(|| format!("encode the square at {}, {}", cut.x, cut.y))
}
