//! Which images a synthetic set consists of: sizes, names, slides and fields.

use clap::ValueEnum;
use serde::Serialize;

use super::catalogue::{Format, Labels, Layout, Look, SOURCES};
use super::scene::Place;

/// Added to the printed number of an evaluation slide, so that it is never a training slide.
const EVALUATION_SLIDES: u64 = 1_000_000;
/// Fields a training slide.
const FIELDS_A_SLIDE: u64 = 2;
/// Shortest side of a field in pixels: one patch and a little.
const LEAST_SIDE: f64 = 232.0;

/// How much is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scale {
    /// For tests: one small field a source, three evaluation fields a source.
    Tiny,
    /// For the quickstart: six fields of about 680×456 a source; a few thousand labelled cells.
    Small,
    /// For an afternoon: 40 fields of about 1000×700 a source; about 30,000 labelled cells.
    Medium,
}

/// Counts and sizes of a [`Scale`].
#[derive(Clone, Copy, Debug)]
struct Extent {
    images: u64,
    size: f64,
    slides: u64,
    fields: u64,
    evaluation_size: f64,
}

impl Scale {
    /// As the command line spells it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
        }
    }

    fn extent(self) -> Extent {
        match self {
            Self::Tiny => Extent { images: 1, size: 0.5, slides: 3, fields: 1, evaluation_size: 0.5 },
            Self::Small => Extent { images: 6, size: 1.0, slides: 3, fields: 4, evaluation_size: 0.7 },
            Self::Medium => Extent { images: 40, size: 1.5, slides: 10, fields: 8, evaluation_size: 1.0 },
        }
    }
}

/// A source as it is written: a training source, or the evaluation set of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    /// Index in the catalogue.
    pub(super) index: usize,
    pub(super) look: &'static Look,
    /// How labels are written and the side of a cell's crop, for an evaluation set.
    pub(super) evaluation: Option<(Labels, u32)>,
}

impl Set {
    /// All training sources, then the evaluation sets.
    pub(super) fn all() -> Vec<Self> {
        let training = SOURCES.iter().enumerate().map(|(index, look)| Self { index, look, evaluation: None });
        let evaluation = SOURCES
            .iter()
            .enumerate()
            .filter(|(_, look)| look.evaluation.is_some())
            .map(|(index, look)| Self { index, look, evaluation: look.evaluation });
        training.chain(evaluation).collect()
    }

    /// Name of the folder and of the source description.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.look.name, if self.evaluation.is_some() { "-eval" } else { "" })
    }

    /// Evaluation sets lie flat, because their side files are found by the name of the image.
    pub(super) fn layout(&self) -> Layout {
        if self.evaluation.is_some() { Layout::Flat } else { self.look.layout }
    }

    /// The images of this set; `images` a training source, if given, instead of the scale's number.
    pub(super) fn fields(&self, scale: Scale, images: Option<u64>) -> Vec<Field> {
        let extent = scale.extent();
        let (count, a_slide, size) = match self.evaluation {
            None => (images.unwrap_or(extent.images), FIELDS_A_SLIDE, extent.size),
            Some(_) => (extent.slides * extent.fields, extent.fields, extent.evaluation_size),
        };
        let side = |px: u32| ((f64::from(px) * size).max(LEAST_SIDE) / 2.0).round() as u32 * 2;
        let (width, height) = (side(self.look.size.0), side(self.look.size.1));
        let field = |index: u64| Field {
            set: *self,
            index,
            slide: index / a_slide + 1,
            field: index % a_slide + 1,
            width,
            height,
        };
        (0..count).map(field).collect()
    }
}

/// One image to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) set: Set,
    /// Running number within the set.
    pub(super) index: u64,
    /// Printed numbers, from 1.
    pub(super) slide: u64,
    pub(super) field: u64,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Field {
    /// The key of everything random in this image.
    pub(super) fn place(&self, seed: u64) -> Place {
        let offset = if self.set.evaluation.is_some() { EVALUATION_SLIDES } else { 0 };
        Place { seed, source: self.set.index, slide: self.slide + offset, field: self.field }
    }

    /// `slide03_field01`.
    pub(super) fn stem(&self) -> String {
        format!("slide{:02}_field{:02}", self.slide, self.field)
    }

    /// Path of the image in its source's folder.
    pub(super) fn path(&self) -> String {
        let extension = self.set.look.format.extension();
        match self.set.layout() {
            Layout::Flat | Layout::WithMasks => format!("images/{}.{extension}", self.stem()),
            Layout::Folders => format!("slide {:02}/field{:02}.{extension}", self.slide, self.field),
        }
    }

    /// Path of the mask beside the image, where the source has masks.
    pub(super) fn mask_path(&self) -> Option<String> {
        (self.set.layout() == Layout::WithMasks).then(|| format!("images/{}_mask.png", self.stem()))
    }

    pub(super) fn format(&self) -> Format {
        self.set.look.format
    }
}
