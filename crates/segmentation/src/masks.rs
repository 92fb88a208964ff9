//! Cells from masks that were made before: label images of any tool, Cellpose's files, and Cellpose's flows.

mod dynamics;
mod flow_error;
mod labels;
mod npy;
mod pickle;
#[cfg(test)]
mod tests;

use dynamics::Flows;
use imaging::DecodeLimits;
use labels::Labels;

use crate::cell::{Cell, measure};
use crate::error::MaskError;
use crate::options::{MaskContent, MaskOptions};

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
    if (labels.width, labels.height) != (width as usize, height as usize) {
        return Err(MaskError::OtherSize { masks: (labels.width, labels.height), image: (width, height) });
    }
    labels.renumber();
    Ok(measure(&labels.numbers, labels.width, labels.height, options.least_px))
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
