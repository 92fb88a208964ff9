//! Tries rules for labels on a sample of the images.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use imaging::RgbImage;

use super::candidates::candidates;
use super::files::Found;
use crate::annotation::{Geometry, ImageLabels, LabelIssue};
use crate::cutting::may_be_a_cell;
use crate::reading::{DatasetImages, LabelBook, Listing, LocatedSource, Others};
use crate::schema::{LabelRule, Source};

/// Least share of the sample that a rule must give labels.
const LEAST_SHARE: f64 = 0.25;

/// A rule and what it gave on the sample.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) rule: LabelRule,
    /// Images of the sample with labels.
    pub(super) images: usize,
    /// How often each label was found.
    pub(super) counts: BTreeMap<String, usize>,
    /// Labels that could not be used, and the reason of the first.
    pub(super) issues: usize,
    pub(super) first_issue: Option<String>,
    /// Pixels in the boxes of all labels.
    box_px: u64,
    /// The labels of each image of the sample.
    pub(super) labels: Vec<ImageLabels>,
}

/// The rules that give the sample labels, the best first.
pub(super) fn best(
    located: &LocatedSource,
    listing: &Listing,
    found: &Found,
    sample: &[(String, RgbImage)],
) -> Vec<Trial> {
    let rules = candidates(&located.root, listing, found);
    let mut trials: Vec<Trial> =
        rules.into_iter().filter_map(|rule| attempt(located, listing, found, sample, rule)).collect();
    // A label that someone wrote comes before the parts of a mask, which may be those of a cell. Of rules that label as much, the one whose
    // cells are compact: run lengths that are counted in the wrong order lie all over the image. Stable: else the one thought of first.
    trials.sort_by_key(|trial| {
        let labels: usize = trial.counts.values().sum();
        let (is_picture, box_px) = (matches!(trial.rule, LabelRule::ClassMask { .. }), trial.box_px);
        (Reverse(trial.images), is_picture, Reverse(labels.saturating_sub(trial.issues)), box_px)
    });
    trials
}

fn attempt(
    located: &LocatedSource,
    listing: &Listing,
    found: &Found,
    sample: &[(String, RgbImage)],
    rule: LabelRule,
) -> Option<Trial> {
    let source = Source { label: rule.clone(), ..located.source.clone() };
    let others = Others::of(&source, &located.root, listing, &found.images, &[]).ok()?;
    let images = DatasetImages { described: &found.images, neighbours: &[], others: &others };
    let book = LabelBook::open(&source, &located.root, images).ok()?;
    let mut trial =
        Trial { rule, images: 0, counts: BTreeMap::new(), issues: 0, first_issue: None, box_px: 0, labels: Vec::new() };
    for (image, rgb) in sample {
        let (labels, issues) = book.look_up(image, rgb.width(), rgb.height());
        let (labels, issues) = plausible_alone(labels, issues, rgb.dimensions());
        trial.issues += issues.len();
        trial.first_issue = trial.first_issue.or_else(|| issues.into_iter().next().map(|issue| issue.reason));
        match &labels {
            ImageLabels::Missing(_) => {}
            ImageLabels::Whole(label) => trial.count(label),
            ImageLabels::Annotations(annotations) => {
                annotations.iter().for_each(|one| trial.count(&one.label));
                trial.box_px += annotations.iter().map(|one| box_px(one.geometry)).sum::<u64>();
            }
        }
        trial.images += usize::from(!matches!(labels, ImageLabels::Missing(_)));
        trial.labels.push(labels);
    }
    (trial.images > 0 && trial.images as f64 >= LEAST_SHARE * sample.len() as f64).then_some(trial)
}

/// The labels without places that no cell has: a rule that gives many of these is a wrong one.
fn plausible_alone(
    labels: ImageLabels,
    mut issues: Vec<LabelIssue>,
    size: (u32, u32),
) -> (ImageLabels, Vec<LabelIssue>) {
    let ImageLabels::Annotations(all) = labels else { return (labels, issues) };
    let mut kept = Vec::with_capacity(all.len());
    for annotation in all {
        match may_be_a_cell(size, annotation.geometry) {
            Ok(()) => kept.push(annotation),
            Err(reason) => issues.push(LabelIssue { at: annotation.at, reason }),
        }
    }
    let none = || ImageLabels::Missing("no label has the place of a cell".to_owned());
    (if kept.is_empty() { none() } else { ImageLabels::Annotations(kept) }, issues)
}

fn box_px(geometry: Geometry) -> u64 {
    match geometry {
        Geometry::Point { .. } => 0,
        Geometry::Box { x0, y0, x1, y1 } => ((x1 - x0) * (y1 - y0)) as u64,
    }
}

impl Trial {
    fn count(&mut self, label: &str) {
        *self.counts.entry(label.to_owned()).or_default() += 1;
    }
}
