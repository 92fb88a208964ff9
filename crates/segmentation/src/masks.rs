//! Cells from masks that were made before: label images of any tool, Cellpose's files, and Cellpose's flows.

mod dynamics;
mod flow_error;
mod labels;
mod npy;
mod parts;
mod pickle;
#[cfg(test)]
mod tests;

use dynamics::Flows;
use imaging::DecodeLimits;
use labels::Labels;
pub use parts::ClassParts;

use crate::cell::{Cell, measure};
use crate::error::MaskError;
use crate::options::{MaskContent, MaskOptions};
use crate::region::Region;

/// The cells of a file of masks that belongs to an image of `width × height` pixels, from the top left.
///
/// `bytes` may be anything; no more pixels are read than `limits` allow.
///
/// # Errors
/// A file that holds no masks or flows, or those of an image of another size.
pub fn cells_of_masks(
    bytes: &[u8],
    (width, height): (u32, u32),
    options: &MaskOptions,
    limits: DecodeLimits,
) -> Result<Vec<Cell>, MaskError> {
    let mut labels = match options.holds {
        MaskContent::Masks => npy::labels(bytes, limits)?,
        MaskContent::Flows => follow(&npy::FlowArray::read(bytes, limits)?.flows(), options)?,
    };
    labels = of_size(labels, (width, height))?;
    labels.renumber();
    Ok(measure(&labels.numbers, labels.width, labels.height, options.least_px))
}

/// The parts of a picture whose pixels hold the number of a class, of an image of `size` (width, height): pixels of one class that touch,
/// also at a corner, are one part. Numbers in `background` are of no class; parts of fewer than `least_px` pixels are counted and left out.
///
/// # Errors
/// A file that holds no numbers, or those of an image of another size; more parts than an image has cells.
pub fn parts_of_classes(
    bytes: &[u8],
    size: (u32, u32),
    (background, least_px): (&[u32], u32),
    limits: DecodeLimits,
) -> Result<ClassParts, MaskError> {
    let labels = of_size(npy::labels(bytes, limits)?, size)?;
    parts::parts(&labels, background, least_px)
}

/// The pixels of a file that holds one cell: those that are not 0.
///
/// # Errors
/// A file that holds no numbers, several different ones, or those of an image of another size; a cell too large to measure.
pub fn cell_of_file(
    bytes: &[u8],
    size: (u32, u32),
    steps: &mut u64,
    limits: DecodeLimits,
) -> Result<Region, MaskError> {
    let labels = of_size(npy::labels(bytes, limits)?, size)?;
    parts::only(&labels, steps)
}

fn of_size(labels: Labels, (width, height): (u32, u32)) -> Result<Labels, MaskError> {
    if (labels.width, labels.height) != (width as usize, height as usize) {
        return Err(MaskError::OtherSize { masks: (labels.width, labels.height), image: (width, height) });
    }
    Ok(labels)
}

/// Flows to masks: those whose own flows differ from the network's go, then those that are too small, and holes are filled.
fn follow(flows: &Flows<'_>, options: &MaskOptions) -> Result<Labels, MaskError> {
    let mut labels = dynamics::follow(flows, options.cellprob_threshold as f32);
    flow_error::drop_inconsistent(&mut labels, flows, options.flow_threshold)?;
    labels.drop_smaller_than(options.least_px as usize);
    labels.fill_holes();
    labels.drop_smaller_than(options.least_px as usize);
    Ok(labels)
}
