//! Draws synthetic blood smears: eighteen small sources, and a labelled evaluation set over four of them.
//!
//! For the quickstart, for tests and for trying the tools without data. The README, every source description and every source's
//! name say that the smears are synthetic: nothing learnt on them is evidence about blood.
//! A file depends on (seed, scale, source, slide, field) only: never on threads, on the clock or on how many images were asked for.
//!
//! * `catalogue`: how the slides of each source are stained, lit, photographed and filed.
//! * `plan`: which images a set consists of.
//! * `field_key`: which field is drawn, and its random streams.
//! * `scene`, `form`, `outline`: what lies on the glass.
//! * `optics`: from a scene to pixels.
//! * `encode`, `words`, `files`: image files, descriptions and label files, and writing them.
//! * `set`: the whole set; `sheet`: a labelled picture of the shape classes.

mod catalogue;
mod encode;
mod error;
mod field_key;
mod files;
mod form;
mod optics;
mod outline;
mod plan;
mod scene;
mod set;
mod sheet;
mod single;
#[cfg(test)]
mod tests;
mod words;

pub use error::SynthError;
pub use plan::Scale;
pub use set::{SmearSet, SourceSummary};
