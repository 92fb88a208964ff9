//! The second pass: pixels of the planned rows, in their planned order whatever thread made them.

use anyhow::{Context, Result, anyhow, ensure};
use image::RgbImage;
use rayon::prelude::*;
use run_spec::ids::Digest;
use shards::{Codec, Encoded, PatchRow, RowMeta};

use crate::cut::{Cut, pixels};
use crate::plan::Row;
use crate::source::files::stem_of;
use crate::spool::Spool;
use crate::survey::{Located, Picture};
use imaging::DecodeLimits;

/// What encoding needs of a build.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    /// The sources.
    pub(crate) sources: &'a [Located],
    /// All images.
    pub(crate) pictures: &'a [Picture],
    /// The group of each.
    pub(crate) groups: &'a [String],
    /// What a file may ask for.
    pub(crate) limits: DecodeLimits,
    /// How images are written.
    pub(crate) codec: Codec,
    /// Where the first pass has kept what it encoded.
    pub(crate) spool: Option<&'a Spool>,
}

impl Encoder<'_> {
    /// Cuts and encodes rows, each image decoded once.
    ///
    /// # Errors
    /// An image that is no longer what the first pass saw.
    pub(crate) fn rows(&self, rows: &[Row]) -> Result<Vec<PatchRow>> {
        let by_picture: Vec<&[Row]> = rows.chunk_by(|a, b| a.picture == b.picture).collect();
        let parts: Vec<Vec<PatchRow>> =
            by_picture.into_par_iter().map(|rows| self.rows_of_one(rows)).collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn rows_of_one(&self, rows: &[Row]) -> Result<Vec<PatchRow>> {
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let picture = &self.pictures[first.picture];
        let source = &self.sources[picture.source].source;
        let name = || format!("source {}, image {}", source.name, picture.image);
        let used = picture.used.as_ref().map_err(|reason| anyhow!("{} is not used: {reason}", picture.image))?;
        let kept = |row: &Row| used.spooled.get(row.cut).copied().flatten();
        // Only where a row is not in the spool.
        let rgb = match rows.iter().all(|row| kept(row).is_some()) {
            true => None,
            false => Some(self.decode(picture).with_context(name)?),
        };
        rows.par_iter()
            .map(|row| {
                let cut = &used.cuts[row.cut];
                let encoded = match (kept(row), self.spool, &rgb) {
                    (Some(kept), Some(spool), _) => spool.take(kept).context("read a temporary file"),
                    (_, _, Some(rgb)) => encode(self.codec, rgb, cut),
                    _ => Err(anyhow!("neither spooled nor decoded")),
                };
                Ok(self.row(row, picture, cut, encoded.with_context(name)?))
            })
            .collect()
    }

    fn decode(&self, picture: &Picture) -> Result<RgbImage> {
        let located = &self.sources[picture.source];
        let (bytes, page) = located.file(&picture.image, self.limits).map_err(|reason| anyhow!(reason))?;
        let same = picture.seen.as_ref().is_some_and(|seen| seen.file == Digest::of(&bytes));
        ensure!(same, "the file changed while the set was built; run the build again");
        Ok(located.source.images.decode(&bytes, page, self.limits)?.rgb)
    }

    /// Whether a row that was found in a shard says what this one would, apart from its pixels.
    pub(crate) fn is_of(&self, row: &Row, there: &RowMeta) -> bool {
        let picture = &self.pictures[row.picture];
        let label = picture.used.as_ref().ok().and_then(|used| used.cuts[row.cut].label.as_deref());
        there.id == row.id
            && *there.group == *self.groups[row.picture]
            && there.label.as_deref() == label
            && *there.licence == *self.sources[picture.source].source.licence
    }

    fn row(&self, row: &Row, picture: &Picture, cut: &Cut, encoded: Encoded) -> PatchRow {
        let source = &self.sources[picture.source].source;
        PatchRow {
            id: row.id,
            pixel_digest: encoded.pixel_digest,
            source: source.name.clone(),
            image: picture.image.clone(),
            group: self.groups[row.picture].clone(),
            x: cut.x,
            y: cut.y,
            w: cut.w,
            h: cut.h,
            label: cut.label.clone(),
            licence: source.licence.clone(),
            bytes: encoded.bytes,
            path: format!("{}-{}-{}-{}.{}", source.name, stem_of(&picture.image), cut.x, cut.y, self.codec.extension()),
        }
    }
}

/// The encoded pixels of a cut.
///
/// # Errors
/// A cut that no codec takes.
pub(crate) fn encode(codec: Codec, rgb: &RgbImage, cut: &Cut) -> Result<Encoded> {
    encode_taken(codec, pixels::take(rgb, cut), cut)
}

/// The encoded pixels `taken` by a cut.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_taken(codec: Codec, taken: RgbImage, cut: &Cut) -> Result<Encoded> {
    let (width, height) = taken.dimensions();
    let encoded = codec.encode(&shards::RgbImage { width, height, data: taken.into_raw() });
    encoded.with_context(|| format!("encode the square at {}, {}", cut.x, cut.y))
}
