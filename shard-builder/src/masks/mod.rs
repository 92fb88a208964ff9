//! Cells from masks that were made before: label images of any tool, Cellpose's files, and Cellpose's flows.

mod array;
mod dynamics;
mod flow_error;
mod pickle;
mod plane;
#[cfg(test)]
mod tests;

use dynamics::Flows;
use plane::Labels;

use crate::segment::{Cell, measure};
use crate::source::files::Root;
use crate::source::mask_rule::{Holds, MaskRule};
use imaging::DecodeLimits;

/// The cells that `file`, which belongs to an image of `width` × `height`, holds, from the top left.
///
/// # Errors
/// A file that is missing or cannot be read, or that is of an image of another size.
pub(crate) fn cells(
    root: &Root,
    file: &str,
    (width, height): (u32, u32),
    rule: &MaskRule,
    limits: DecodeLimits,
) -> Result<Vec<Cell>, String> {
    let said = |reason: String| format!("masks {file}: {reason}");
    let bytes = root.read(file, limits.file_bytes).map_err(said)?;
    let mut labels = match rule.holds {
        Holds::Masks => array::labels(&bytes, limits.pixels).map_err(said)?,
        Holds::Flows => {
            let (shape, flows) = array::flows(&bytes, limits.pixels).map_err(said)?;
            let pixels = shape.0 * shape.1;
            let flows = Flows {
                height: shape.0,
                width: shape.1,
                down: &flows[..pixels],
                right: &flows[pixels..2 * pixels],
                cellprob: &flows[2 * pixels..],
            };
            followed(&flows, rule).map_err(said)?
        }
    };
    if (labels.width, labels.height) != (width as usize, height as usize) {
        return Err(said(format!("is of {}×{} pixels, the image of {width}×{height}", labels.width, labels.height)));
    }
    labels.renumber();
    Ok(measure(&labels.numbers, labels.width, labels.height, rule.least_px))
}

/// Flows to masks: those whose own flows differ from the network's go, then those that are too small, and holes are filled.
fn followed(flows: &Flows<'_>, rule: &MaskRule) -> Result<Labels, String> {
    let mut labels = dynamics::follow(flows, rule.cellprob_threshold as f32);
    flow_error::drop_inconsistent(&mut labels, flows, rule.flow_threshold)?;
    labels.drop_smaller_than(rule.least_px as usize);
    labels.fill_holes();
    labels.drop_smaller_than(rule.least_px as usize);
    Ok(labels)
}
