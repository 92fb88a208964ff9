//! Looks at one slide: chooses a level, finds where it shows smear, and reads the fields that show smear, each as an image of its own.

use std::sync::Arc;

use imaging::DecodedImage;
use imaging::slide::Area;
use rayon::prelude::*;
use run_spec::ids::{Digest, Product};

use super::record::ImageRecord;
use super::sink::SurveyWork;
use super::slide_field::{SlideField, SlideView};
use super::surveyor::{Seen, Surveyor};
use crate::annotation::{Annotation, ImageLabels, LabelIssue};
use crate::cutting::SmearMap;
use crate::reading::OpenSlide;
use crate::schema::{SlideRule, field_name};

/// How much coarser than asked for a level may be: makers round the scale of a 40x lens to 0.25 µm, or say 0.2527.
const ABOUT: f64 = 1.05;

/// A slide at the level that is read.
struct SlideAt<'a> {
    path: &'a str,
    slide: Arc<OpenSlide>,
    /// Digest of its file.
    digest: Digest,
    level: usize,
    /// Micrometres to a pixel of the level, if known.
    um_per_px: Option<f64>,
    notes: Vec<String>,
}

impl Surveyor<'_> {
    /// The records of all fields of a slide, or one that says why it has none.
    pub(super) fn look_at_slide(&self, path: &str, rule: &SlideRule) -> Vec<ImageRecord> {
        self.fields_of(path, rule)
            .unwrap_or_else(|reason| vec![ImageRecord::unused(self.index, path.to_owned(), reason)])
    }

    fn fields_of(&self, path: &str, rule: &SlideRule) -> Result<Vec<ImageRecord>, String> {
        let slide = self.located.slide(path, self.options.limits)?;
        let (level, um_per_px) = self.level(&slide, rule)?;
        let levels = slide.levels();
        let overview = slide.overview().map_err(|error| format!("its overview: {error}"))?;
        let smear = SmearMap::of(&overview, &rule.smear);
        let (labels, mut issues) = self.labels.look_up(path, levels[0].0, levels[0].1);
        let downsampling = slide.downsampling(level);
        let least = rule.smear.least;
        let view = SlideView { size: levels[level], downsampling, labels: &labels, smear: &smear, least };
        let fields = view.fields(self.options.product, self.patch_side(um_per_px))?;
        if self.options.product == Product::Cells {
            issues.extend(outside(&labels, &fields));
        }
        let [red, green, blue] = smear.glass;
        let scale = um_per_px.map_or_else(String::new, |um| format!(", {um:.4} µm/px"));
        let mut notes = vec![format!("level {level} of {}{scale}, glass {red} {green} {blue}", levels.len())];
        notes.extend_from_slice(slide.notes());
        let digest = self.timed(SurveyWork::Read, || self.located.root.digest(path))?;
        let at = SlideAt { path, slide, digest, level, um_per_px, notes };
        let mut records: Vec<ImageRecord> = fields.par_iter().map(|field| self.look_at_field(&at, field)).collect();
        report(&mut records, issues);
        Ok(records)
    }

    /// Which level is read, and its micrometres to a pixel where they are known.
    fn level(&self, slide: &OpenSlide, rule: &SlideRule) -> Result<(usize, Option<f64>), String> {
        let finest = self.located.source.um_per_px.or(slide.um_per_px());
        let Some(wanted) = rule.level_um_per_px.or(self.options.um_per_px) else { return Ok((0, finest)) };
        let Some(finest) = finest else {
            let remedy = "write `um_per_px`, that of its finest level, into the description";
            return Err(format!("the file does not say how many micrometres a pixel shows; {remedy}"));
        };
        let um = |level: usize| finest * slide.downsampling(level);
        let level = (0..slide.levels().len()).rev().find(|&level| um(level) <= wanted * ABOUT);
        match level {
            Some(level) => Ok((level, Some(um(level)))),
            // A scale of the whole set may be finer than a source: its pixels are enlarged, as those of any image.
            None if rule.level_um_per_px.is_none() => Ok((0, Some(finest))),
            None => {
                Err(format!("its finest level has {finest} µm/px, coarser than `slides.level_um_per_px` of {wanted}"))
            }
        }
    }

    fn look_at_field(&self, at: &SlideAt<'_>, field: &SlideField<'_>) -> ImageRecord {
        let name = field_name(at.path, at.level, field.area);
        let mut record = ImageRecord::unused(self.index, name, String::new());
        let most = field.most_smear();
        let least = field.view.least;
        let gives_cells =
            || self.options.product == Product::Cells && matches!(field.labels(), ImageLabels::Annotations(_));
        if most < least && !gives_cells() {
            let (most, least) = (100.0 * most, 100.0 * least);
            record.used =
                Err(format!("shows glass: smear covers at most {most:.1} % of a square, less than {least} %"));
            return record;
        }
        record.used = self.use_field(at, field, &mut record);
        record
    }

    fn use_field(
        &self,
        at: &SlideAt<'_>,
        field: &SlideField<'_>,
        record: &mut ImageRecord,
    ) -> Result<super::record::UsedImage, String> {
        let read = || at.slide.read(at.level, field.area);
        let rgb = self.timed(SurveyWork::Decode, read).map_err(|error| error.to_string())?;
        let seen = Seen {
            path: at.path,
            digest: field_digest(&at.digest, at.level, field.area),
            page: 1,
            decoded: DecodedImage { rgb, format: "tiff", notes: at.notes.clone() },
            um_per_px: at.um_per_px,
            field: Some(*field),
        };
        self.use_image(seen, record)
    }
}

/// The digest of what a field was decoded from: its file, and its place in it.
fn field_digest(file: &Digest, level: usize, area: Area) -> Digest {
    let Area { x, y, width, height } = area;
    Digest::of(format!("reddino field v1 {file} {level} {x} {y} {width} {height}").as_bytes())
}

/// Labels that lie in no field of cells, because they are outside the slide.
fn outside(labels: &ImageLabels, fields: &[SlideField<'_>]) -> Vec<LabelIssue> {
    let ImageLabels::Annotations(all) = labels else { return Vec::new() };
    let stray = all.iter().filter(|annotation| !fields.iter().any(|field| field.has(annotation)));
    let issue = |annotation: &Annotation| {
        let reason = format!("{} lies outside the slide", annotation.label);
        LabelIssue { at: annotation.at.clone(), reason }
    };
    stray.map(issue).collect()
}

/// Puts what could not be understood of the labels of a slide into the record of its first field.
fn report(records: &mut [ImageRecord], issues: Vec<LabelIssue>) {
    if let Some(first) = records.first_mut() {
        first.issues.extend(issues);
    }
}
