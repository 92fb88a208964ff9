//! Which images a synthetic set consists of: sizes, names, slides and fields.

use crate::catalogue::{FileFormat, FileLayout, LabelFormat, SOURCES, SourceStyle};
use crate::field_key::FieldKey;

/// Added to the printed number of an evaluation slide, so that it is never a training slide.
const EVALUATION_SLIDES: u64 = 1_000_000;
/// Fields a training slide.
const FIELDS_A_SLIDE: u64 = 2;
/// Shortest side of a field in pixels: one patch and a little.
const LEAST_SIDE: f64 = 232.0;

/// How much is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// For the quickstart: thin smears, in which cells lie apart, of the four laboratories that have an evaluation set. A small
    /// network learns the shapes in them within seconds, and no colour tells them.
    Quickstart,
    /// For tests: one small field per source, three evaluation fields per source.
    Tiny,
    /// For trying the tools: six fields of about 680×456 px per source; a few thousand labelled cells.
    Small,
    /// For an afternoon: 40 fields of about 1000×700 px per source; about 30,000 labelled cells.
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
    /// Its name in commands: `quickstart`, `tiny`, `small` or `medium`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quickstart => "quickstart",
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
        }
    }

    /// Whether smears are so thin that cells lie apart, and each cell's crop is narrow.
    fn is_thin(self) -> bool {
        self == Self::Quickstart
    }

    fn extent(self) -> Extent {
        match self {
            Self::Quickstart => Extent { images: 24, size: 1.0, slides: 5, fields: 6, evaluation_size: 0.7 },
            Self::Tiny => Extent { images: 1, size: 0.5, slides: 3, fields: 1, evaluation_size: 0.5 },
            Self::Small => Extent { images: 6, size: 1.0, slides: 3, fields: 4, evaluation_size: 0.7 },
            Self::Medium => Extent { images: 40, size: 1.5, slides: 10, fields: 8, evaluation_size: 1.0 },
        }
    }
}

/// A source of the set: a training source, or the labelled evaluation set of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrawnSource {
    /// Index in the catalogue.
    pub(crate) index: usize,
    /// How its slides look and how its files are written.
    pub(crate) style: &'static SourceStyle,
    /// How labels are written and the side of a cell's crop, for an evaluation set.
    pub(crate) evaluation: Option<(LabelFormat, u32)>,
    /// Cells lie apart.
    pub(crate) thin: bool,
}

impl DrawnSource {
    /// The training sources of a scale, then the evaluation sets.
    pub(crate) fn all(scale: Scale) -> Vec<Self> {
        let thin = scale.is_thin();
        let every = || SOURCES.iter().enumerate();
        let training = every().filter(|(_, style)| !thin || style.evaluation.is_some()).map(|(index, style)| Self {
            index,
            style,
            evaluation: None,
            thin,
        });
        let evaluation = every().filter_map(|(index, style)| {
            let (format, side) = style.evaluation?;
            let side = if thin { style.narrow_crop() } else { side };
            Some(Self { index, style, evaluation: Some((format, side)), thin })
        });
        training.chain(evaluation).collect()
    }

    /// How the description says where cells lie, and the side of a cell's crop: for evaluation sets, and for thin smears,
    /// whose training cells are cut out too.
    pub(crate) fn cells(&self) -> Option<(LabelFormat, u32)> {
        self.evaluation.or_else(|| self.thin.then(|| (LabelFormat::Boxes, self.style.narrow_crop())))
    }

    /// Name of the folder and of the source description.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.style.name, if self.evaluation.is_some() { "-eval" } else { "" })
    }

    /// Evaluation sets lie flat, because their side files are found by the name of the image.
    pub(crate) fn layout(&self) -> FileLayout {
        if self.evaluation.is_some() { FileLayout::Flat } else { self.style.layout }
    }

    /// The images of this source. A training source has `images` of them, if given, instead of the scale's number.
    pub(crate) fn fields(&self, scale: Scale, images: Option<u64>) -> Vec<Field> {
        let extent = scale.extent();
        let (count, a_slide, size) = match self.evaluation {
            None => (images.unwrap_or(extent.images), FIELDS_A_SLIDE, extent.size),
            Some(_) => (extent.slides * extent.fields, extent.fields, extent.evaluation_size),
        };
        let side = |px: u32| ((f64::from(px) * size).max(LEAST_SIDE) / 2.0).round() as u32 * 2;
        let (width, height) = (side(self.style.size.0), side(self.style.size.1));
        let field = |index: u64| Field {
            source: *self,
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
pub(crate) struct Field {
    /// The source that it belongs to.
    pub(crate) source: DrawnSource,
    /// Number of the image in its source, from 0.
    pub(crate) index: u64,
    /// Number of the slide as file names have it, from 1.
    pub(crate) slide: u64,
    /// Number of the field on its slide, from 1.
    pub(crate) field: u64,
    /// Width of the image in pixels.
    pub(crate) width: u32,
    /// Height of the image in pixels.
    pub(crate) height: u32,
}

impl Field {
    /// The key of everything random in this image.
    pub(crate) fn key(&self, seed: u64) -> FieldKey {
        let offset = if self.source.evaluation.is_some() { EVALUATION_SLIDES } else { 0 };
        FieldKey { seed, source: self.source.index, slide: self.slide + offset, field: self.field }
    }

    /// Its file name without the ending, such as `slide03_field01`.
    pub(crate) fn stem(&self) -> String {
        format!("slide{:02}_field{:02}", self.slide, self.field)
    }

    /// Path of the image in its source's folder.
    pub(crate) fn path(&self) -> String {
        let extension = self.source.style.format.extension();
        match self.source.layout() {
            FileLayout::Flat | FileLayout::WithMasks => format!("images/{}.{extension}", self.stem()),
            FileLayout::Folders => format!("slide {:02}/field{:02}.{extension}", self.slide, self.field),
        }
    }

    /// Path of the mask beside the image, where the source has masks.
    pub(crate) fn mask_path(&self) -> Option<String> {
        (self.source.layout() == FileLayout::WithMasks).then(|| format!("images/{}_mask.png", self.stem()))
    }

    /// The file format of its source.
    pub(crate) fn format(&self) -> FileFormat {
        self.source.style.format
    }
}
