//! Maps of features: each cell a place in two dimensions, so that people can look at what a model has learnt.
//!
//! The report of a sweep, the dashboard and `worker embed --map` draw their maps with this crate. Features come in as plain
//! rows of `f32`; who made them is the caller's business. Nothing here knows a file, a tensor, a label or a clock.
//!
//! * [`Points`]: rows of features, checked once.
//! * [`pca`]: linear maps, as scikit-learn's `PCA`.
//! * [`umap`]: maps of neighbourhoods, as umap-learn 0.5 makes them, and places of new rows on a fitted map.
//! * [`quality`]: trustworthiness and continuity, how far neighbourhoods on a map are those of the features.
//! * [`neighbours`]: the exact nearest neighbours that all of these start from.
//!
//! **The same features and seed give the same map**, to the bit, on any number of threads: threads share rows, never a sum,
//! and random numbers belong to a row ([`run_spec::seed::stream`]), not to a thread. umap-learn promises this for one thread
//! only. Processors with other vector units may differ in the last bit of a matrix product, and so in a map.
//!
//! **A new row's place depends on that row and the fitted map alone**, so the models of all arms and checkpoints can be shown
//! on one map. In umap-learn it depends on which other rows are transformed with it.
//!
//! ```
//! use feature_map::{Points, quality, umap};
//! use run_spec::seed::stream;
//!
//! // Two groups of cells, eight features each.
//! let mut draws = stream(0, "example", &[]);
//! let features: Vec<f32> = (0..100 * 8).map(|i| draws.normal() as f32 + if i < 50 * 8 { 0.0 } else { 9.0 }).collect();
//! let points = Points::new(8, &features)?;
//! let map = umap::fit(points, &umap::Settings { seed: 1, ..umap::Settings::default() })?;
//! assert_eq!(map.places().len(), 100);
//! let quality = quality::measure(points, map.places(), &quality::Settings::default())?;
//! assert!(quality.trustworthiness > 0.7 && quality.continuity > 0.7);
//! # Ok::<(), feature_map::MapError>(())
//! ```

mod distances;
mod error;
pub mod neighbours;
pub mod pca;
mod points;
pub mod quality;
pub mod umap;

pub use error::MapError;
pub use points::Points;
