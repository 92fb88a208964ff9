//! The description of a dataset: what its YAML may say, and what it means. Nothing here reads a file.
//!
//! * [`Source`]: the whole description.
//! * [`Images`], [`Globs`], [`Pages`]: which files are images, and which pages of them.
//! * [`Parts`]: a dataset that is several sources.
//! * [`GroupRule`], [`LabelRule`], [`ImageKey`], [`TableForm`], [`NamedPattern`]: groups and labels, and how tables are written and name images.
//! * [`PatchRule`], [`CellRule`], [`MaskRule`]: how images are cut. [`QualityRule`]: when a row has a flaw.
//! * [`Role`], [`Membership`], [`Download`], [`is_permissive`]: what a reader of the set should know of a dataset.

mod cut_rule;
mod download;
mod error;
mod fields;
mod group_rule;
mod images;
mod json;
mod label_rule;
mod licence;
mod mask_rule;
mod named_pattern;
mod pages;
mod parts;
mod paths;
mod pattern;
mod quality_rule;
mod role;
mod slide_rule;
mod source;
mod table_form;
mod table_key;
mod template;
pub(crate) mod text;

pub use cut_rule::{Border, CellRule, Fill, PatchRule, Small};
pub use download::Download;
pub use error::RuleError;
pub use group_rule::GroupRule;
pub(crate) use images::glob_matcher;
pub use images::{Exclude, GlobMatch, Globs, Images};
pub use label_rule::{BoxColumns, LabelRule, PlaceColumns, RunColumns, Units};
pub use licence::is_permissive;
pub use mask_rule::MaskRule;
pub use named_pattern::NamedPattern;
pub use pages::{Pages, page_of};
pub use parts::{DatasetPart, Parts};
pub use paths::{ending_of, name_of, stem_of};
pub use quality_rule::{Blank, FlawAction, OutOfFocus, QualityRule, Saturated};
pub use role::{Membership, Role};
pub use slide_rule::{SlideRule, SmearRule};
pub use source::{SameAs, Source};
pub use table_form::{Decimal, TableForm};
pub use table_key::ImageKey;

pub(crate) use fields::{field_name, field_of};
pub(crate) use pages::page_name;
pub(crate) use parts::PartMatch;
pub(crate) use paths::{folder_of, inside};
pub(crate) use pattern::compile as compile_pattern;
#[cfg(test)]
pub(crate) use source::LEAST_YAML;
pub(crate) use template::{path_of, path_with};
