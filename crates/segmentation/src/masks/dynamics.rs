//! Cellpose's dynamics (Stringer et al., 2021): pixels walk along the flows until those of a cell meet.
//!
//! As `cellpose.dynamics` 3.1 does it on a CPU in two dimensions: 200 Euler steps by bilinear interpolation, a histogram of where they
//! end, a seed at each peak of it, five rounds of growing. Its check of the masks is in `flow_error.rs`.

use super::labels::Labels;

/// Number of Euler steps that each pixel walks.
const STEPS: usize = 200;
/// The network's flows are five times as long as a step.
pub(super) const FLOW_SCALE: f32 = 5.0;
/// Room around the histogram, so that a window around a seed never ends outside.
const PAD: usize = 20;
/// A peak is the largest of the five by five bins around it, and has more walkers than this.
const LEAST_SEED: u32 = 10;
/// A bin belongs to a seed only if more walkers than this ended in it.
const LEAST_BIN: u32 = 2;
/// Rounds in which a seed grows by a bin.
const ROUNDS: usize = 5;
/// Side of the window in which it grows.
const WINDOW: usize = 2 * ROUNDS + 1;
/// Masks above this share of the image are none.
const LARGEST_SHARE: f64 = 0.4;

/// Flows of an image, `[height, width]` each.
pub(crate) struct Flows<'a> {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Downwards, in fifths of a pixel a step.
    pub(crate) down: &'a [f32],
    /// To the right, in the same unit.
    pub(crate) right: &'a [f32],
    /// Logits of being part of a cell.
    pub(crate) cellprob: &'a [f32],
}

/// The masks that the flows lead to; numbers of cells are not in Cellpose's order.
pub(crate) fn follow(flows: &Flows<'_>, cellprob_threshold: f32) -> Labels {
    let Flows { height, width, .. } = *flows;
    let cell: Vec<bool> = flows.cellprob.iter().map(|&p| p > cellprob_threshold).collect();
    let scaled = |flow: &[f32]| -> Vec<f32> {
        flow.iter().zip(&cell).map(|(f, &cell)| if cell { f / FLOW_SCALE } else { 0.0 }).collect()
    };
    let steps = [scaled(flows.down), scaled(flows.right)];
    let walkers: Vec<usize> = (0..height * width).filter(|&at| cell[at]).collect();
    let ends: Vec<(usize, usize)> = walkers.iter().map(|&at| walk(&steps, (height, width), at)).collect();

    let (rows, columns) = (height + 2 * PAD, width + 2 * PAD);
    let bin = |&(y, x): &(usize, usize)| (y + PAD) * columns + x + PAD;
    let mut histogram = vec![0_u32; rows * columns];
    ends.iter().for_each(|end| histogram[bin(end)] += 1);

    let mut basins = vec![0_u32; rows * columns];
    for (number, seed) in (1..).zip(seeds(&histogram, (rows, columns))) {
        grow(&histogram, &mut basins, columns, seed, number);
    }
    let mut labels = Labels { height, width, numbers: vec![0; height * width] };
    for (&at, end) in walkers.iter().zip(&ends) {
        labels.numbers[at] = basins[bin(end)];
    }
    labels.drop_larger_than((LARGEST_SHARE * (height * width) as f64) as usize);
    labels
}

/// Where the pixel at `at` ends, in whole pixels.
fn walk(steps: &[Vec<f32>; 2], (height, width): (usize, usize), at: usize) -> (usize, usize) {
    let (mut y, mut x) = ((at / width) as f32, (at % width) as f32);
    for _ in 0..STEPS {
        let (top, left) = (y as usize, x as usize);
        let (below, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
        let (fy, fx) = (y - top as f32, x - left as f32);
        let between = |flow: &[f32]| {
            flow[top * width + left] * (1.0 - fy) * (1.0 - fx)
                + flow[top * width + right] * (1.0 - fy) * fx
                + flow[below * width + left] * fy * (1.0 - fx)
                + flow[below * width + right] * fy * fx
        };
        let (dy, dx) = (between(&steps[0]), between(&steps[1]));
        // NaN from a file stays where it is.
        y = (y + dy).max(0.0).min((height - 1) as f32);
        x = (x + dx).max(0.0).min((width - 1) as f32);
    }
    (y as usize, x as usize)
}

/// Bins that are peaks, those of fewest walkers first: where two grow together the later one has the bin.
fn seeds(histogram: &[u32], (rows, columns): (usize, usize)) -> Vec<usize> {
    let peak = |at: usize| {
        let (y, x) = (at / columns, at % columns);
        let around = |at: usize, end: usize| at.saturating_sub(2)..=(at + 2).min(end - 1);
        around(y, rows).all(|row| around(x, columns).all(|column| histogram[row * columns + column] <= histogram[at]))
    };
    let mut seeds: Vec<usize> =
        (0..histogram.len()).filter(|&at| histogram[at] > LEAST_SEED).filter(|&at| peak(at)).collect();
    seeds.sort_by_key(|&at| histogram[at]);
    seeds
}

/// Gives the bins around a seed its number.
fn grow(histogram: &[u32], basins: &mut [u32], columns: usize, seed: usize, number: u32) {
    let corner = seed - ROUNDS * columns - ROUNDS;
    let bin = |at: usize| corner + at / WINDOW * columns + at % WINDOW;
    let mut held = [false; WINDOW * WINDOW];
    held[WINDOW * WINDOW / 2] = true;
    for _ in 0..ROUNDS {
        let before = held;
        for (at, held) in held.iter_mut().enumerate() {
            let (y, x) = (at / WINDOW, at % WINDOW);
            let around = |at: usize| at.saturating_sub(1)..=(at + 1).min(WINDOW - 1);
            let touches = around(y).any(|row| around(x).any(|column| before[row * WINDOW + column]));
            *held = touches && histogram[bin(at)] > LEAST_BIN;
        }
    }
    held.iter().enumerate().filter(|(_, held)| **held).for_each(|(at, _)| basins[bin(at)] = number);
}
