//! Which squares of an image become rows.
//!
//! `patches` lays a grid over a field of view; `cells` cuts around labels, `outlines` around cells that were found with their outlines.
//! All only plan: a [`Cut`] is a place in the image and a label, computed in the first pass over the sources, so the plan of a whole set
//! is known before a pixel is encoded. [`take`] then takes the pixels out.

mod cells;
mod cut;
mod outlines;
mod patches;
mod pixels;
mod scale;
mod smear;

pub use cut::Cut;
pub use outlines::Agreement;
pub use pixels::take;

pub(crate) use cells::{around_labels, may_be_a_cell};
pub(crate) use outlines::{OutlinedCells, around_drawn, around_outlines};
pub(crate) use patches::grid;
pub(crate) use scale::{cells_to_scale, patches_to, source_side};
pub(crate) use smear::SmearMap;
