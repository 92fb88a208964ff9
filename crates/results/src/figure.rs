//! Pictures as self-contained SVG: no script, no font file, no raster, so that a README shows them and a diff reads them.
//!
//! [`curves`] draws values over steps, [`arms`] draws a [`crate::table::Table`]. Text stays text in a generic sans-serif;
//! colours are Okabe and Ito's, which most colour-blind readers tell apart. The same numbers give the same bytes.

mod arms;
mod axis;
mod curves;
mod svg;

pub use arms::{ArmsFigure, arms};
pub use curves::{Curve, CurvesFigure, Level, Panel, curves};
