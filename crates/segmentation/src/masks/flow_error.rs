//! Cellpose's check of its masks: flows made anew from a mask must be those by which it was found.
//!
//! As `cellpose.metrics.flow_error` 3.1 in two dimensions: heat spreads from the middle of each mask through its pixels, its gradient at unit
//! length is the mask's own flow, and the error of a mask is the mean square of what it differs from the network's.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::dynamics::{FLOW_SCALE, Flows};
use super::labels::Labels;
use crate::error::MaskError;

/// Pixels that may be renewed for one mask, all rounds together: some ten seconds. A mask 1,000 pixels across takes a fifth of it.
const MOST_WORK: usize = 20_000_000_000;

/// The pixels of a mask, in rows from the top, and the box around them.
#[derive(Debug)]
struct Mask {
    number: u32,
    /// Rows and columns in the image.
    pixels: Vec<(usize, usize)>,
    top: usize,
    left: usize,
    /// Sides of the box with a frame of one pixel around it.
    rows: usize,
    columns: usize,
}

/// Takes away the masks whose error is above `threshold`; 0 takes none.
///
/// # Errors
/// A mask so large that its check would take minutes.
pub(super) fn drop_inconsistent(labels: &mut Labels, flows: &Flows<'_>, threshold: f64) -> Result<(), MaskError> {
    if threshold > 0.0 {
        let errors = errors(labels, flows)?;
        for number in &mut labels.numbers {
            if errors.get(number).is_some_and(|&error| error > threshold) {
                *number = 0;
            }
        }
    }
    Ok(())
}

/// The error of each mask by its number.
///
/// # Errors
/// As [`drop_inconsistent`].
pub(super) fn errors(labels: &Labels, flows: &Flows<'_>) -> Result<BTreeMap<u32, f64>, MaskError> {
    masks(labels).par_iter().map(|mask| Ok((mask.number, error(mask, flows)?))).collect()
}

fn masks(labels: &Labels) -> Vec<Mask> {
    let mut pixels: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, &number) in labels.numbers.iter().enumerate().filter(|(_, number)| **number > 0) {
        pixels.entry(number).or_default().push((at / labels.width, at % labels.width));
    }
    let boxed = |(number, pixels): (u32, Vec<(usize, usize)>)| {
        let span = |of: fn(&(usize, usize)) -> usize| {
            let (least, most) = pixels.iter().map(of).fold((usize::MAX, 0), |(a, b), at| (a.min(at), b.max(at)));
            (least, most - least + 3)
        };
        let ((top, rows), (left, columns)) = (span(|at| at.0), span(|at| at.1));
        Mask { number, pixels, top, left, rows, columns }
    };
    pixels.into_iter().map(boxed).collect()
}

fn error(mask: &Mask, flows: &Flows<'_>) -> Result<f64, MaskError> {
    let heat = heat(mask)?;
    let squares = mask.pixels.iter().map(|&(y, x)| {
        let at = (y + 1 - mask.top) * mask.columns + x + 1 - mask.left;
        let down = heat[at + mask.columns] - heat[at - mask.columns];
        let right = heat[at + 1] - heat[at - 1];
        // Without a gradient there is no flow. Cellpose's own guard against a division by zero.
        let length = 1e-60 + (down * down + right * right).sqrt();
        let wanted = |flow: &[f32]| f64::from(flow[y * flows.width + x] / FLOW_SCALE);
        (down / length - wanted(flows.down)).powi(2) + (right / length - wanted(flows.right)).powi(2)
    });
    Ok(squares.sum::<f64>() / mask.pixels.len() as f64)
}

/// Heat in the mask's box: a unit is put into the middle and spread over three by three pixels, twice as often as the box has pixels
/// along two of its sides.
fn heat(mask: &Mask) -> Result<Vec<f64>, MaskError> {
    let Mask { rows, columns, .. } = *mask;
    let rounds = 2 * (rows + columns);
    if rounds.saturating_mul(rows).saturating_mul(columns) > MOST_WORK {
        return Err(MaskError::TooLargeToCheck { columns, rows });
    }
    let place = |(y, x): (usize, usize)| y * columns + x;
    let framed: Vec<(usize, usize)> = mask.pixels.iter().map(|&(y, x)| (y + 1 - mask.top, x + 1 - mask.left)).collect();
    let mut inside = vec![0.0; rows * columns];
    framed.iter().for_each(|&pixel| inside[place(pixel)] = 1.0 / 9.0);
    let source = place(middle(&framed));
    let mut heat = vec![0.0; rows * columns];
    let mut next = heat.clone();
    for _ in 0..rounds {
        heat[source] += 1.0;
        for y in 1..rows - 1 {
            let [above, here, below] = [y - 1, y, y + 1].map(|y| &heat[y * columns..][..columns]);
            let share = &inside[y * columns..][..columns];
            let next = &mut next[y * columns..][..columns];
            for x in 1..columns - 1 {
                // In Cellpose's order: where the gradient is 0 but for rounding, its direction is what rounding says.
                let cross = here[x] + above[x] + below[x] + here[x - 1] + here[x + 1];
                next[x] = share[x] * (cross + above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1]);
            }
        }
        std::mem::swap(&mut heat, &mut next);
    }
    Ok(heat)
}

/// The pixel nearest to the mean of all, the first of several. Rounding decides which of several it is, so positions are counted within
/// the mask's box and squares are added in Cellpose's order: the result is the same as Cellpose's.
fn middle(pixels: &[(usize, usize)]) -> (usize, usize) {
    let mean = |of: fn(&(usize, usize)) -> usize| pixels.iter().map(of).sum::<usize>() as f64 / pixels.len() as f64;
    let (y, x) = (mean(|at| at.0), mean(|at| at.1));
    let distance = |at: &(usize, usize)| (at.1 as f64 - x).powi(2) + (at.0 as f64 - y).powi(2);
    pixels.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_that_would_take_minutes_is_refused_with_the_way_out() {
        let (height, width) = (1, 60_000);
        let mut labels = Labels { height, width, numbers: vec![1; width] };
        let none = vec![0.0; width];
        let flows =
            |width| Flows { height, width, down: &none[..width], right: &none[..width], cellprob: &none[..width] };
        let refused = drop_inconsistent(&mut labels, &flows(width), 0.4).expect_err("too large").to_string();
        assert!(refused.contains("60002×3") && refused.contains("flow_threshold: 0"), "{refused}");
        drop_inconsistent(&mut labels, &flows(width), 0.0).expect("not checked");
        assert!(labels.numbers.iter().all(|&number| number == 1));
    }

    #[test]
    fn masks_without_flows_differ_by_a_whole_unit() {
        // The middle has no gradient, all other pixels have one of length 1.
        let mut labels = Labels { height: 1, width: 5, numbers: vec![0, 7, 7, 7, 0] };
        let none = [0.0; 5];
        let flows = Flows { height: 1, width: 5, down: &none, right: &none, cellprob: &none };
        let found = errors(&labels, &flows).expect("errors");
        assert!((found[&7] - 2.0 / 3.0).abs() < 1e-12, "{found:?}");
        drop_inconsistent(&mut labels, &flows, 0.4).expect("checked");
        assert_eq!(labels.numbers, [0; 5]);
    }
}
