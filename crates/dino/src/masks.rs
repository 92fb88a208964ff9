//! Block masks of iBOT (arXiv:2111.07832, after BEiT arXiv:2106.08254), drawn as the reference does (recipe §2.3), but
//! from a stream keyed by (seed, step, loss group): neither rank nor world size changes them.

use crate::RankShare;
use run_spec::{
    config::Masks,
    seed::{self, Stream},
};
use tch::Tensor;

/// Smallest block, in patches.
const MIN_BLOCK: f64 = 4.0;
/// Smallest aspect ratio; the largest is its inverse.
const MIN_ASPECT: f64 = 0.3;
/// Tries to place one block.
const TRIES: usize = 10;

/// The masks of one loss group: `crops` rows (all first crops, then all second crops) of `grid²` patches.
///
/// A share `probability` of the crops gets blocks; their target counts spread evenly over the configured ratios, and
/// the real counts are at most those. The rest is empty, and the order is shuffled.
pub fn draw(config: &Masks, seed: u64, step: u64, group: u64, crops: usize, grid: i64) -> Vec<Vec<bool>> {
    let mut rng = seed::stream(seed, "masks", &[step, group]);
    let n_patches = (grid * grid) as f64;
    let n_masked = (crops as f64 * config.probability) as usize;
    let ratio = |i: usize| {
        // linspace(min, max, n_masked + 1)
        config.ratio_min + (config.ratio_max - config.ratio_min) * i as f64 / n_masked as f64
    };
    let mut masks: Vec<Vec<bool>> = (0..crops)
        .map(|i| {
            if i >= n_masked {
                return vec![false; (grid * grid) as usize];
            }
            let target = (n_patches * rng.uniform(ratio(i), ratio(i + 1))) as usize;
            blocks(&mut rng, grid, target)
        })
        .collect();
    rng.shuffle(&mut masks);
    masks
}

/// One mask of at most `target` patches, made of random rectangles.
fn blocks(rng: &mut Stream, grid: i64, target: usize) -> Vec<bool> {
    let side = grid as usize;
    let largest = side * side / 2;
    let mut mask = vec![false; side * side];
    let mut count = 0;
    while count < target {
        let budget = (target - count).min(largest);
        let Some(cells) = (0..TRIES).find_map(|_| place(rng, &mask, side, budget)) else {
            break;
        };
        count += cells.len();
        for cell in cells {
            mask[cell] = true;
        }
    }
    mask
}

/// One try: the cells that a random rectangle would add, if they are between 1 and `budget`.
fn place(rng: &mut Stream, mask: &[bool], side: usize, budget: usize) -> Option<Vec<usize>> {
    // The range is reversed, not empty, when the budget is below the smallest block: as in the reference.
    let area = rng.uniform(MIN_BLOCK, budget as f64);
    let aspect = rng.uniform(MIN_ASPECT.ln(), (1.0 / MIN_ASPECT).ln()).exp();
    let h = (area * aspect).sqrt().round_ties_even() as usize;
    let w = (area / aspect).sqrt().round_ties_even() as usize;
    if w >= side || h >= side {
        return None;
    }
    let top = rng.int(0, (side - h) as i64) as usize;
    let left = rng.int(0, (side - w) as i64) as usize;
    let cells: Vec<usize> =
        (top..top + h).flat_map(|y| (left..left + w).map(move |x| y * side + x)).filter(|&cell| !mask[cell]).collect();
    (!cells.is_empty() && cells.len() <= budget).then_some(cells)
}

/// What a rank's masks depend on.
#[derive(Clone, Debug)]
pub struct MaskPlan<'a> {
    /// Share of images that are masked, and the ratios of patches.
    pub config: &'a Masks,
    /// Seed of the run.
    pub seed: u64,
    /// The optimiser step, from 0.
    pub step: u64,
    /// Which images, and in which loss groups they are.
    pub share: RankShare,
    /// Patches along a side of a global crop.
    pub grid: i64,
}

/// The masks of a rank's batch, `[2, B, N]` bool on the CPU.
///
/// A group that lies on several ranks is drawn by each of them; each takes its images' rows.
pub fn batch(plan: &MaskPlan<'_>) -> Tensor {
    let (share, n) = (&plan.share, plan.grid * plan.grid);
    let (size, touched) = (share.group_size(), share.touched());
    let start = touched.start * size;
    let groups: Vec<Tensor> = touched
        .map(|group| {
            let rows = draw(plan.config, plan.seed, plan.step, group as u64, 2 * size as usize, plan.grid);
            Tensor::from_slice(&rows.concat()).view([2, size, n])
        })
        .collect();
    Tensor::cat(&groups, 1).narrow(1, share.first - start, share.images).contiguous()
}
