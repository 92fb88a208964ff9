//! Where labels come from: `label` of a description.

use schemars::JsonSchema;
use segmentation::{MaskOptions, RunOrder};
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::images::glob_matcher;
use super::table_form::TableForm;
use super::table_key::ImageKey;
use super::template::path_with;
use super::{pattern, template};

/// Where the labels of images, or of cells in them, are written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelRule {
    /// The dataset has no labels.
    #[default]
    None,
    /// A folder's name labels the whole image; `up` = 1 is the folder that holds it.
    Folder {
        /// How many folders above the image: 1 is the one that holds it.
        #[serde(default = "one")]
        up: u32,
    },
    /// The first capture of a pattern on the path labels the whole image.
    Pattern {
        /// A regular expression with one capture group.
        pattern: String,
    },
    /// A side file of `x y class` lines, in pixels.
    Points {
        /// Its path; `{stem}` stands for the image's file name without its ending, `{name}` for its file name, `{folder}` for its folder.
        file: String,
    },
    /// A Pascal VOC file of boxes, in pixels.
    Voc {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
    },
    /// A YOLO file: lines `class x y width height`, or `class x y x y x y …` around a cell, in fractions of the image.
    Yolo {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
        /// Path of the names of the classes: `classes.txt` or `obj.names`, a name a line, or a `data.yaml` with `names`. Without it a
        /// class is called by its number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        names: Option<String>,
    },
    /// A LabelMe JSON of shapes, in pixels.
    Labelme {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
    },
    /// A GeoJSON of objects as QuPath exports them, in pixels of the full image.
    Geojson {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
    },
    /// A COCO JSON of boxes, polygons and run lengths of many images.
    Coco {
        /// Path of the file, or with `{folder}` of one in each folder.
        file: String,
        /// How `file_name` names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// An XML of CVAT ("CVAT for images").
    Cvat {
        /// Path of the file, or with `{folder}` of one in each folder.
        file: String,
        /// How `name` names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A project, a JSON or a CSV of the VGG Image Annotator, version 1 or 2.
    Via {
        /// Path of the file, or with `{folder}` of one in each folder.
        file: String,
        /// The attribute of a region that holds its label.
        attribute: String,
        /// How `filename` names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A picture beside the image whose pixels hold the number of a class: PNG of up to 16 bits, also with a palette, or TIFF of up to 32.
    /// Pixels of one class that touch are one cell.
    ClassMask {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
        /// Numbers that are of no class.
        #[serde(default = "nothing")]
        background: Vec<u32>,
        /// Smallest area of a cell, in pixels; smaller parts are left out and counted.
        #[serde(default = "least_px")]
        least_px: u32,
    },
    /// A file of masks for each cell of an image: pixels that are not 0 are the cell.
    CellFiles {
        /// A glob of the files of an image, with `{stem}`, `{name}` or `{folder}`: `masks/{stem}/*.png`.
        files: String,
        /// A regular expression with one capture group, which takes the label of a cell out of the path of its file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// The label of every cell, where no pattern gives it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A table with the run lengths of a cell in each row, as Kaggle's competitions have them: first pixel, length, first pixel, length …
    CsvRuns {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Names of the columns that are read.
        columns: RunColumns,
        /// Whether pixels are counted down the columns or across the rows. Both readings give a mask, so this key has no default.
        order: RunOrder,
        /// The number of the first pixel: 1, or 0 in some tables.
        #[serde(default = "from_one")]
        first: u8,
        /// The label of every cell, where no column gives it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// How the table is written.
        #[serde(default, skip_serializing_if = "TableForm::is_default")]
        table: TableForm,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A JSON of images with their objects, read by paths: names and numbers between dots, `*` for each of a list or a map.
    Json {
        /// Path of the file, or with `{folder}` of one in each folder.
        file: String,
        /// From the top to each image: `*`, `images.*`.
        images: String,
        /// From an image to each of its objects: `objects.*`.
        objects: String,
        /// Paths from an image to its name and size, and from an object to its label and place.
        columns: BoxColumns,
        /// Unit of the coordinates.
        units: Units,
        /// How the file names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A table with one box a row.
    CsvBoxes {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Names of the columns that are read.
        columns: BoxColumns,
        /// Unit of the coordinates.
        units: Units,
        /// How the table is written.
        #[serde(default, skip_serializing_if = "TableForm::is_default")]
        table: TableForm,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A table with one image per row.
    CsvClass {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Column that names the image.
        image: String,
        /// Column with the class.
        class: String,
        /// How the table is written.
        #[serde(default, skip_serializing_if = "TableForm::is_default")]
        table: TableForm,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
}

/// Columns of a table of run lengths. `width` and `height` are those of the image on which the cell was drawn, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is named for the column it names")]
pub struct RunColumns {
    pub image: String,
    pub runs: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<String>,
}

/// Columns of a table of boxes or points: two corners; the left top corner `x`, `y` or the centre with the sides `w`, `h`; or the centre
/// alone, for points. `width` and `height` are those of the image on which the box was drawn, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is named for the column it names")]
pub struct BoxColumns {
    pub image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xmin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ymin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xmax: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ymax: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre_x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre_y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub w: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h: Option<String>,
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<String>,
}

/// Which columns place a box or a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceColumns<'a> {
    /// A box by its corners: left, top, right, bottom.
    Corners([&'a str; 4]),
    /// A box by its upper left corner and its sides: left, top, width, height.
    Sides([&'a str; 4]),
    /// A box by its centre and its sides: centre x, centre y, width, height.
    Centre([&'a str; 4]),
    /// A point: x from the left edge, y from the top.
    Point([&'a str; 2]),
}

impl<'a> PlaceColumns<'a> {
    /// The names of the columns.
    pub fn names(&self) -> &[&'a str] {
        match self {
            Self::Corners(names) | Self::Sides(names) | Self::Centre(names) => names,
            Self::Point(names) => names,
        }
    }
}

impl BoxColumns {
    /// The columns that place a box or a point; `None` if there are none or too many.
    pub fn place(&self) -> Option<PlaceColumns<'_>> {
        let corners = [&self.xmin, &self.ymin, &self.xmax, &self.ymax];
        let others = [&self.x, &self.y, &self.centre_x, &self.centre_y, &self.w, &self.h];
        match (corners.map(Option::as_deref), others.map(Option::as_deref)) {
            ([Some(a), Some(b), Some(c), Some(d)], [None, None, None, None, None, None]) => {
                Some(PlaceColumns::Corners([a, b, c, d]))
            }
            ([None, None, None, None], [Some(x), Some(y), None, None, Some(w), Some(h)]) => {
                Some(PlaceColumns::Sides([x, y, w, h]))
            }
            ([None, None, None, None], [None, None, Some(x), Some(y), Some(w), Some(h)]) => {
                Some(PlaceColumns::Centre([x, y, w, h]))
            }
            ([None, None, None, None], [None, None, Some(x), Some(y), None, None]) => Some(PlaceColumns::Point([x, y])),
            _ => None,
        }
    }
}

/// Unit of the coordinates of a table of boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    /// Pixels of the upright image.
    Pixels,
    /// Fractions of its width and height, 0 to 1.
    Fractions,
}

impl LabelRule {
    /// The path of the file of labels of one image, where each image has its own.
    pub(crate) fn side_file(&self) -> Option<&str> {
        match self {
            Self::Points { file }
            | Self::Voc { file }
            | Self::Yolo { file, .. }
            | Self::Labelme { file }
            | Self::Geojson { file }
            | Self::ClassMask { file, .. } => Some(file),
            _ => None,
        }
    }

    /// The path of a file that holds the labels of many images, and how it names them.
    pub(crate) fn table(&self) -> Option<(&str, &ImageKey)> {
        match self {
            Self::CsvBoxes { file, key, .. }
            | Self::CsvClass { file, key, .. }
            | Self::CsvRuns { file, key, .. }
            | Self::Coco { file, key }
            | Self::Cvat { file, key }
            | Self::Json { file, key, .. }
            | Self::Via { file, key, .. } => Some((file, key)),
            _ => None,
        }
    }

    /// # Errors
    /// A pattern or a path that cannot work, half a size.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        if let Some((_, ImageKey::Prefix)) = self.table() {
            return Err(RuleError::new(
                "label.key",
                "`prefix` names many images, and a label is of one; it is for groups",
            ));
        }
        if let Some((_, key)) = self.table() {
            key.check("label.key")?;
        }
        if let Self::CsvBoxes { table, .. } | Self::CsvClass { table, .. } | Self::CsvRuns { table, .. } = self {
            table.check("label.table")?;
        }
        match self {
            Self::CellFiles { files, pattern, name } => check_cell_files(files, pattern.as_deref(), name.as_deref()),
            Self::CsvRuns { file, columns, first, name, .. } => check_runs(file, columns, *first, name.as_deref()),
            Self::Points { .. }
            | Self::Voc { .. }
            | Self::Labelme { .. }
            | Self::Geojson { .. }
            | Self::ClassMask { .. }
            | Self::Yolo { .. } => {
                if let Self::Yolo { names: Some(names), .. } = self {
                    template::check("label.names", names)?;
                }
                self.side_file().map_or(Ok(()), |file| template::check_own("label.file", file))
            }
            Self::CsvBoxes { file, columns, .. } | Self::Json { file, columns, .. } => {
                if columns.width.is_some() != columns.height.is_some() {
                    let why = "the size of an image needs both `width` and `height`";
                    return Err(RuleError::new("label.columns", why));
                }
                if columns.place().is_none() {
                    let why = "places no box: name `xmin`, `ymin`, `xmax`, `ymax`; or `x`, `y`, `w`, `h`; or `centre_x`, `centre_y`, \
                               with `w` and `h` or, for points, without";
                    return Err(RuleError::new("label.columns", why));
                }
                template::check("label.file", file)
            }
            Self::CsvClass { file, .. }
            | Self::Coco { file, .. }
            | Self::Cvat { file, .. }
            | Self::Via { file, .. } => template::check("label.file", file),
            Self::Pattern { pattern } => pattern::check("label.pattern", pattern),
            Self::None | Self::Folder { .. } => Ok(()),
        }
    }
}

impl RunColumns {
    fn check(&self, name: Option<&str>) -> Result<(), RuleError> {
        if self.width.is_some() != self.height.is_some() {
            let why = "the size of an image needs both `width` and `height`";
            return Err(RuleError::new("label.columns", why));
        }
        one_label(self.label.is_some(), name, "columns.label")
    }
}

/// Checks a table of run lengths: its path, its columns, and from which number its pixels are counted.
fn check_runs(file: &str, columns: &RunColumns, first: u8, name: Option<&str>) -> Result<(), RuleError> {
    columns.check(name)?;
    if first > 1 {
        return Err(RuleError::new("label.first", format!("{first} is neither 0 nor 1")));
    }
    template::check("label.file", file)
}

/// Checks how files of single cells are found, and that one thing gives their labels.
fn check_cell_files(files: &str, pattern: Option<&str>, name: Option<&str>) -> Result<(), RuleError> {
    template::check_own_or_folder("label.files", files)?;
    glob_matcher("label.files", &path_with(files, "image.png", str::to_owned).unwrap_or_default())?;
    pattern.map_or(Ok(()), |pattern| pattern::check("label.pattern", pattern))?;
    one_label(pattern.is_some(), name, "pattern")
}

/// Checks that a label is given by the column or the pattern called `other`, or by `name`, and not by both.
fn one_label(has_other: bool, name: Option<&str>, other: &str) -> Result<(), RuleError> {
    match (has_other, name) {
        (true, None) | (false, Some(_)) => Ok(()),
        (true, Some(_)) => Err(RuleError::new("label.name", format!("`{other}` gives labels already; keep one"))),
        (false, None) => {
            let why = format!("no label: write `{other}`, or `name` for one label of all cells");
            Err(RuleError::new("label.name", why))
        }
    }
}

fn one() -> u32 {
    1
}

fn from_one() -> u8 {
    1
}

fn nothing() -> Vec<u32> {
    vec![0]
}

fn least_px() -> u32 {
    MaskOptions::default().least_px
}
