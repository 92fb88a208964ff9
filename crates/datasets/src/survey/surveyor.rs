//! Looks at one file: decodes its images, cuts them into rows, and measures the rows.

use std::time::Instant;

use imaging::{DecodedImage, RgbImage};
use near_copies::Fingerprinter;
use rayon::prelude::*;
use run_spec::ids::{Digest, Product, pixel_digest};
use segmentation::{Cell, cells_of_masks, segment};

use super::options::SurveyOptions;
use super::record::{ImageInfo, ImageRecord, UsedImage};
use super::sink::{KeptRow, Progress, RowSink, SurveyWork};
use super::slide_field::SlideField;
use crate::annotation::ImageLabels;
use crate::cutting::{self, Cut, OutlinedCells, around_drawn, around_labels, around_outlines, grid};
use crate::quality::{FlawedRow, judge, measure};
use crate::reading::{Claims, GroupBook, LabelBook, LocatedSource};
use crate::schema::{FlawAction, MaskRule, Pages, page_name};

/// Why a page is not used that is not an image of its own.
const AID: &str = "the file calls this page a smaller copy or a mask of another";

/// Looks at the files of one source.
pub(super) struct Surveyor<'a> {
    /// Position of the source.
    pub(super) index: usize,
    pub(super) located: &'a LocatedSource,
    pub(super) labels: LabelBook<'a>,
    pub(super) groups: GroupBook<'a>,
    /// Files of masks by the images that they belong to.
    pub(super) masks: Claims,
    pub(super) options: SurveyOptions,
    pub(super) fingerprinter: Fingerprinter,
    pub(super) sink: Option<&'a dyn RowSink>,
    pub(super) progress: &'a dyn Progress,
}

/// A file that was read.
struct File<'a> {
    path: &'a str,
    digest: Digest,
    bytes: Vec<u8>,
}

/// A decoded image, and where it is from.
pub(super) struct Seen<'a> {
    /// Path of its file, which says its group.
    pub(super) path: &'a str,
    /// Digest of what it was decoded from.
    pub(super) digest: Digest,
    /// Page of the file, from 1.
    pub(super) page: u32,
    pub(super) decoded: DecodedImage,
    /// Micrometres per pixel, if known.
    pub(super) um_per_px: Option<f64>,
    /// Where it lies, if it is a field of a slide.
    pub(super) field: Option<SlideField<'a>>,
}

/// A row whose pixels were taken.
struct TakenRow {
    flawed: Option<FlawedRow>,
    is_dropped: bool,
    kept: Option<KeptRow>,
}

impl Surveyor<'_> {
    /// What `work` returns; the time it took is reported.
    pub(super) fn timed<T>(&self, kind: SurveyWork, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.progress.spent(kind, started.elapsed());
        result
    }

    /// The record of the image in a file, or one for each of its pages or fields.
    pub(super) fn look(&self, path: &str) -> Vec<ImageRecord> {
        if let Some(rule) = &self.located.source.slides {
            return self.look_at_slide(path, rule);
        }
        let read = self.timed(SurveyWork::Read, || {
            let bytes = self.located.root.read(path, self.options.limits.file_bytes)?;
            Ok((Digest::of(&bytes), bytes))
        });
        let (digest, bytes) = match read {
            Ok(read) => read,
            Err(reason) => return vec![ImageRecord::unused(self.index, path.to_owned(), reason)],
        };
        let pages = match self.located.source.images.pages {
            Pages::First => vec![true],
            Pages::All => imaging::pages(&bytes),
        };
        let is_capped = pages.len() == imaging::MOST_PAGES;
        let file = File { path, digest, bytes };
        let page = |(page, is_image)| {
            let mut record = ImageRecord::unused(self.index, page_name(path, page), AID.to_owned());
            if is_image {
                record.used = self.use_page(&file, page, &mut record);
            }
            record
        };
        let mut records: Vec<ImageRecord> = (1..).zip(pages).map(page).collect();
        if is_capped {
            records[0].notes.push(format!("only {} pages of a file are read", imaging::MOST_PAGES));
        }
        records
    }

    /// The rows of a page, or the reason for which it has none; what is known of it goes into the record.
    fn use_page(&self, file: &File<'_>, page: u32, record: &mut ImageRecord) -> Result<UsedImage, String> {
        let decode = || self.located.decode(&file.bytes, page, self.options.limits);
        let decoded = self.timed(SurveyWork::Decode, decode);
        let decoded = decoded.map_err(|error| error.to_string())?;
        let um_per_px = self.located.source.um_per_px;
        let seen = Seen { path: file.path, digest: file.digest, page, decoded, um_per_px, field: None };
        self.use_image(seen, record)
    }

    /// The rows of a decoded image, or the reason for which it has none; what is known of it goes into the record.
    pub(super) fn use_image(&self, seen: Seen<'_>, record: &mut ImageRecord) -> Result<UsedImage, String> {
        let DecodedImage { rgb, format, notes } = &seen.decoded;
        let (width, height) = rgb.dimensions();
        record.notes.clone_from(notes);
        let group = self.groups.group_of(seen.path);
        record.info = Some(ImageInfo {
            format,
            width,
            height,
            file: seen.digest,
            page: seen.page,
            pixels: self.timed(SurveyWork::PixelDigest, || pixel_digest(width, height, rgb)),
            fingerprint: match self.options.fingerprints {
                true => self.timed(SurveyWork::Fingerprint, || self.fingerprinter.fingerprint(rgb)),
                false => None,
            },
            group: group.clone().ok(),
        });
        let group = group?;
        let (labels, issues) = match &seen.field {
            Some(field) => (field.labels(), Vec::new()),
            None => self.labels.look_up(seen.path, width, height),
        };
        record.issues.extend(issues);
        let mut used = self.cut(record, (group, labels), &seen)?;
        if let Some(field) = &seen.field {
            field.keep_own(&mut used, self.options.product)?;
        }
        if let Some(target) = self.options.um_per_px {
            match self.options.product {
                Product::Patches => cutting::patches_to(&mut used.cuts, self.options.patch_px),
                Product::Cells => cutting::cells_to_scale(&mut used.cuts, seen.um_per_px, target),
            }
        }
        if self.options.measured {
            self.take_rows(record, &mut used, rgb)?;
        }
        Ok(used)
    }

    /// Takes the pixels of all rows while they are at hand: measures them, drops what the source drops, gives the rest to the sink.
    fn take_rows(&self, record: &mut ImageRecord, used: &mut UsedImage, rgb: &RgbImage) -> Result<(), String> {
        let taken: Vec<TakenRow> = used.cuts.par_iter().map(|cut| self.take_row(rgb, cut)).collect();
        let mut stays = taken.iter().map(|row| !row.is_dropped);
        used.cuts.retain(|_| stays.next().unwrap_or(true));
        let mut stays = taken.iter().map(|row| !row.is_dropped);
        used.cells.retain(|_| stays.next().unwrap_or(true));
        for row in taken {
            if self.sink.is_some() && !row.is_dropped {
                used.kept.push(row.kept);
            }
            record.flawed.extend(row.flawed);
        }
        if used.cuts.is_empty() {
            return Err("none of its rows passes the quality rule".to_owned());
        }
        Ok(())
    }

    fn take_row(&self, rgb: &RgbImage, cut: &Cut) -> TakenRow {
        let rule = &self.located.source.quality;
        let (pixels, measures) = self.timed(SurveyWork::Rows, || {
            let pixels = cutting::take(rgb, cut);
            let measures = measure(&pixels, rule);
            (pixels, measures)
        });
        let Cut { x, y, w, h, .. } = *cut;
        let flawed = judge(measures, rule).map(|(flaws, action)| FlawedRow { x, y, w, h, measures, flaws, action });
        let is_dropped = flawed.as_ref().is_some_and(|flawed| flawed.action == FlawAction::Drop);
        let sink = self.sink.filter(|_| !is_dropped);
        let kept = sink.and_then(|sink| self.timed(SurveyWork::Keep, || sink.keep(&pixels)));
        TakenRow { flawed, is_dropped, kept }
    }

    /// The rows of a decoded image.
    fn cut(
        &self,
        record: &mut ImageRecord,
        (group, labels): (String, ImageLabels),
        seen: &Seen<'_>,
    ) -> Result<UsedImage, String> {
        let rgb = &seen.decoded.rgb;
        let (size, rule) = (rgb.dimensions(), &self.located.source.cells);
        match self.options.product {
            Product::Patches => self.patches(group, &labels, (size, seen.um_per_px)),
            Product::Cells if let Some(cells) = self.outlined_cells(record, rgb)? => {
                outlined(record, group, around_outlines(cells, size, &labels, rule))
            }
            Product::Cells if rule.drawn => match labels {
                ImageLabels::Annotations(drawn) => outlined(record, group, around_drawn(drawn, size, rule)),
                ImageLabels::Missing(reason) => Err(reason),
                ImageLabels::Whole(_) => Err("its label has no outline; remove `cells: { drawn: true }`".to_owned()),
            },
            Product::Cells => {
                let (cuts, issues) = around_labels(size, labels, rule)?;
                record.issues.extend(issues);
                if cuts.is_empty() {
                    return Err("none of its labels gives a cell".to_owned());
                }
                Ok(UsedImage::of_cuts(group, cuts))
            }
        }
    }

    fn patches(
        &self,
        group: String,
        labels: &ImageLabels,
        ((width, height), um_per_px): ((u32, u32), Option<f64>),
    ) -> Result<UsedImage, String> {
        let label = if let ImageLabels::Whole(label) = labels { Some(label.as_str()) } else { None };
        let grid = grid(width, height, self.patch_side(um_per_px), &self.located.source.patches, label)?;
        Ok(UsedImage { unused_px: grid.unused_px, ..UsedImage::of_cuts(group, grid.cuts) })
    }

    /// Side in source pixels of squares that have the wanted size once they are scaled.
    pub(super) fn patch_side(&self, um_per_px: Option<f64>) -> u32 {
        match self.options.um_per_px {
            Some(target) => cutting::source_side(self.options.patch_px, um_per_px, target),
            None => self.options.patch_px,
        }
    }

    /// Cells with outlines, where the description says how to find them.
    fn outlined_cells(&self, record: &ImageRecord, rgb: &RgbImage) -> Result<Option<Vec<Cell>>, String> {
        let rule = &self.located.source.cells;
        match (&rule.segment, &rule.masks) {
            (Some(options), _) => Ok(Some(segment(rgb, options))),
            (None, Some(rule)) => self.masked_cells(rule, &record.image, rgb.dimensions()).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The cells of the file of masks that belongs to an image.
    fn masked_cells(&self, rule: &MaskRule, image: &str, size: (u32, u32)) -> Result<Vec<Cell>, String> {
        let root = &self.located.root;
        let file = rule.file_of(image).map_err(|reason| format!("masks {reason}"))?;
        let path = root.canonical(file.clone());
        if path == root.canonical(image.to_owned()) {
            return Err(format!("masks {file}: is the image itself; write in cells.masks.file where its masks lie"));
        }
        if let Some(several) = self.masks.several(&path) {
            return Err(format!(
                "masks {file}: could belong to any of {several}; name them by `{{folder}}` or `{{name}}`"
            ));
        }
        let limits = self.options.limits;
        let bytes = root.read(&file, limits.file_bytes).map_err(|reason| format!("masks {file}: {reason}"))?;
        cells_of_masks(&bytes, size, &rule.options(), limits).map_err(|error| format!("masks {file}: {error}"))
    }
}

/// The rows of an image around outlined cells.
fn outlined(record: &mut ImageRecord, group: String, found: OutlinedCells) -> Result<UsedImage, String> {
    record.issues.extend(found.issues);
    record.agreement = found.agreement;
    if found.cells.is_empty() {
        return Err("no cell was found in it".to_owned());
    }
    let (cuts, cells) = found.cells.into_iter().unzip();
    Ok(UsedImage { cells, ..UsedImage::of_cuts(group, cuts) })
}
