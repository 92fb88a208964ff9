//! The first pass over the sources: every file is looked at once, and nothing is written.

use std::collections::BTreeSet;

use near_copies::Fingerprinter;
use rayon::prelude::*;

use super::options::SurveyOptions;
use super::record::ImageRecord;
use super::sink::{Progress, RowSink};
use super::surveyor::Surveyor;
use crate::error::DatasetError;
use crate::reading::{Claims, DatasetImages, GroupBook, LabelBook, Listing, LocatedSource, Neighbour, Others};
use crate::schema::{GlobMatch, Globs, PartMatch, Source, field_of};

/// Why what only a table names is not used.
const NO_IMAGE: &str = "named by a table of labels, and the description includes no such image";

/// Looks at every file of every source, in the current rayon pool. Returns all images, used or not, by source and then by path.
///
/// The pixels of rows are given to the sink as long as they are at hand, if there is one and rows are measured.
///
/// # Errors
/// A folder or table that cannot be read. A bad image is not an error but an [`ImageRecord`] that is not used.
pub fn survey(
    sources: &[LocatedSource],
    options: SurveyOptions,
    sink: Option<&dyn RowSink>,
    progress: &dyn Progress,
) -> Result<Vec<ImageRecord>, DatasetError> {
    let mut records = Vec::new();
    for index in 0..sources.len() {
        let of_source = survey_one(index, sources, options, sink, progress);
        records.extend(of_source.map_err(|error| error.in_source(&sources[index].source.name))?);
    }
    Ok(records)
}

fn survey_one(
    index: usize,
    sources: &[LocatedSource],
    options: SurveyOptions,
    sink: Option<&dyn RowSink>,
    progress: &dyn Progress,
) -> Result<Vec<ImageRecord>, DatasetError> {
    let located = &sources[index];
    let LocatedSource { source, root, .. } = located;
    let listing = root.list()?;
    let described = source.images.among(&listing.files)?;
    let neighbours = neighbours(sources, located, &listing.files, &described)?;
    let mask = |source: &Source, image: &str| Some(root.canonical(source.cells.masks.as_ref()?.file_of(image).ok()?));
    let mut masks = Claims::of_included(source, &described, &neighbours, mask);
    let mut others = Others::of(source, root, &listing, &described, &neighbours)?;
    if source.cells.masks.is_some() {
        others.leave_out(|path| masks.holds(path));
        masks.add_others(&others, |image| mask(source, image));
    }
    let images = DatasetImages { described: &described, neighbours: &neighbours, others: &others };
    let surveyor = Surveyor {
        index,
        located,
        labels: LabelBook::open(source, root, images)?,
        groups: GroupBook::open(source, root, images)?,
        masks,
        options,
        fingerprinter: Fingerprinter::new(),
        sink,
        progress,
    };
    let (own, mut records) = sort_out(index, located, listing)?;
    records.extend(look_at_all(&surveyor, &own, progress));
    if source.part_matcher()?.reports() {
        let strays = surveyor.labels.strays().into_iter();
        let unused = |image| ImageRecord::unused(index, image, NO_IMAGE.to_owned());
        records.extend(strays.map(|(image, issues)| ImageRecord { issues, ..unused(image) }));
    }
    records.sort_by(|a, b| a.image.cmp(&b.image));
    Ok(records)
}

/// Other descriptions of the files of a source: a label file that images of both claim belongs to neither.
fn neighbours<'a>(
    sources: &'a [LocatedSource],
    own: &LocatedSource,
    files: &[String],
    described: &[String],
) -> Result<Vec<Neighbour<'a>>, DatasetError> {
    let described: BTreeSet<&String> = described.iter().collect();
    // Parts of one dataset have the same images; each knows of all.
    let is_other = |other: &&LocatedSource| other.path == own.path && other.source.dataset() != own.source.dataset();
    let neighbour = |other: &'a LocatedSource| {
        let mut images = other.source.images.among(files)?;
        images.retain(|image| !described.contains(image));
        Ok(Neighbour { source: &other.source, images })
    };
    sources.iter().filter(is_other).map(neighbour).collect()
}

/// Tells the images of a source from its other files. Returns the paths of its images, and a record of each file that looks like an
/// image and is not used.
fn sort_out(
    index: usize,
    located: &LocatedSource,
    listing: Listing,
) -> Result<(Vec<String>, Vec<ImageRecord>), DatasetError> {
    let LocatedSource { source, root, .. } = located;
    let (globs, parts) = (Globs::new(&source.images)?, source.part_matcher()?);
    let unused = |image, reason| ImageRecord::unused(index, image, reason);
    let refused = if parts.reports() { listing.refused } else { Vec::new() };
    let mut records: Vec<ImageRecord> = refused.into_iter().map(|file| unused(file.path, file.reason)).collect();
    let mut images = Vec::new();
    for path in listing.files {
        let looks_like_image = || parts.reports() && imaging::sniff(&root.head(&path)).is_some();
        match globs.judge(&path) {
            GlobMatch::Image => match parts.judge(&path) {
                PartMatch::Own if source.images.pages.reserves(&path) => {
                    records.push(unused(path, "named like a page of another file; rename it".to_owned()));
                }
                PartMatch::Own if source.slides.is_some() && field_of(&path).is_some() => {
                    records.push(unused(path, "named like a field of another slide; rename it".to_owned()));
                }
                PartMatch::Own => images.push(path),
                PartMatch::Nowhere(why) => records.push(unused(path, why)),
                PartMatch::Other => {}
            },
            GlobMatch::Excluded(why) if looks_like_image() => records.push(unused(path.clone(), why.to_owned())),
            GlobMatch::Unnamed if looks_like_image() => {
                records.push(unused(path.clone(), "no `include` pattern matches it".to_owned()));
            }
            GlobMatch::Excluded(_) | GlobMatch::Unnamed => {}
        }
    }
    Ok((images, records))
}

/// The records of all images, in parallel, in the order of their paths.
fn look_at_all(surveyor: &Surveyor<'_>, images: &[String], progress: &dyn Progress) -> Vec<ImageRecord> {
    let mut records = Vec::new();
    progress.run(&format!("read {}", surveyor.located.source.name), images.len(), &mut |tick| {
        let look = |image: &String| {
            let records = surveyor.look(image);
            tick();
            records
        };
        records = images.par_iter().flat_map_iter(look).collect();
    });
    records
}
