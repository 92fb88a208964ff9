//! A shard set as a search for leaks sees it: its images by number, and what is known of each without reading it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use datasets::schema::page_of;
use run_spec::ids::Digest;
use shards::ShardSet;
use shards::fingerprints::{FingerprintIndex, ImagePrint, PrintParts};
use store::Store;

use crate::set_report::{ReportRow, SetReport};

/// Source and path of an image.
pub(crate) type ImageName = (Arc<str>, Arc<str>);

/// One of two sets that are compared.
#[derive(Debug)]
pub(crate) struct ComparedSet {
    /// The set.
    pub(crate) set: ShardSet,
    /// Its images, in the order of their first rows.
    pub(crate) images: Vec<ImageName>,
    /// The first row of each image.
    pub(crate) first_rows: Vec<u64>,
    numbers: HashMap<ImageName, usize>,
    known: Known,
}

/// What is known of the images.
#[derive(Debug)]
enum Known {
    /// Fingerprints, in files.
    Fingerprints(FingerprintIndex),
    /// Digests of files and pixels, from the report of the build.
    Report(Vec<ImagePrint>),
}

impl ComparedSet {
    /// Opens the set at `uri`.
    ///
    /// # Errors
    /// A set that cannot be read, fingerprints that are damaged.
    pub(crate) fn open(uri: &str) -> Result<Self> {
        let set = ShardSet::open(&Store::open(uri)?).with_context(|| format!("cannot open the shard set {uri}"))?;
        let (mut images, mut first_rows, mut numbers) = (Vec::new(), Vec::new(), HashMap::new());
        for (row, meta) in (0u64..).zip(set.metas()) {
            numbers.entry((meta.source, meta.image)).or_insert_with_key(|name: &ImageName| {
                images.push(name.clone());
                first_rows.push(row);
                images.len() - 1
            });
        }
        let index = FingerprintIndex::read(set.store(), set.manifest());
        let known = match index.with_context(|| format!("cannot read the fingerprints of {uri}"))? {
            Some(index) => Known::Fingerprints(index),
            None => Known::Report(reported(&SetReport::read(&set)?.records("images"))),
        };
        Ok(Self { set, images, first_rows, numbers, known })
    }

    /// Whether near-copies of its images can be looked for.
    pub(crate) fn has_fingerprints(&self) -> bool {
        matches!(self.known, Known::Fingerprints(_))
    }

    /// Whether anything is known of whole images, beyond the pixels of rows.
    pub(crate) fn knows_images(&self) -> bool {
        match &self.known {
            Known::Fingerprints(_) => true,
            Known::Report(images) => !images.is_empty(),
        }
    }

    /// Parts in which what is known is read.
    pub(crate) fn blocks(&self) -> usize {
        match &self.known {
            Known::Fingerprints(index) => index.blocks.len(),
            Known::Report(_) => 1,
        }
    }

    /// What is known of the images of one part, with their numbers. Images without rows are left out.
    ///
    /// # Errors
    /// A store that cannot be read, a damaged file.
    pub(crate) fn block(&self, number: usize, parts: PrintParts) -> Result<Vec<(usize, ImagePrint)>> {
        let prints = match &self.known {
            Known::Fingerprints(index) => index.block((self.set.store(), self.set.manifest()), number, parts)?,
            Known::Report(prints) => prints.clone(),
        };
        let numbered = |print: ImagePrint| {
            let name = (Arc::from(print.source.as_str()), Arc::from(print.image.as_str()));
            Some((self.number(&name)?, print))
        };
        Ok(prints.into_iter().filter_map(numbered).collect())
    }

    /// The number of an image; `None` where the set has no row of it.
    pub(crate) fn number(&self, name: &ImageName) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

/// What the table of images of a report says of those that gave rows.
fn reported(rows: &[ReportRow]) -> Vec<ImagePrint> {
    let print = |row: &ReportRow| {
        let text = |column: &str| row.get(column).map(String::as_str);
        let digest = |column: &str| text(column)?.parse::<Digest>().ok();
        let number = |column: &str| text(column)?.parse::<u32>().ok();
        let image = text("image")?;
        (text("status")? == "used").then_some(())?;
        Some(ImagePrint {
            source: text("source")?.to_owned(),
            image: image.to_owned(),
            file: digest("file_blake3")?,
            page: page_of(image),
            pixels: digest("pixel_digest")?,
            width: number("width")?,
            height: number("height")?,
            centre: None,
            whole: None,
        })
    };
    rows.iter().filter_map(print).collect()
}
