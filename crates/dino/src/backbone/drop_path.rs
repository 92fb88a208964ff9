//! Stochastic depth (arXiv:1603.09382), drawn so that the world size does not change it.

use crate::RankShare;
use run_spec::seed;

/// Which rows of a batch skip a block (stochastic depth, arXiv:1603.09382), drawn per loss group from a keyed stream,
/// so that the world size does not change them.
#[derive(Clone, Copy, Debug)]
pub struct DropPath {
    /// Seed of the run.
    pub seed: u64,
    /// The optimiser step, from 0.
    pub step: u64,
    /// 0 for global crops, 1 for local crops.
    pub pass: u64,
    /// The images of the batch, and their loss groups.
    pub share: RankShare,
    /// Crops of an image: rows are ordered crop, image.
    pub crops: i64,
}

impl DropPath {
    /// The rows of the batch that do not skip, and the factor that keeps the mean.
    ///
    /// A group that lies on several ranks is drawn by each of them, and each keeps its own rows: possibly none.
    pub(super) fn kept(&self, block: u64, branch: u64, rate: f64) -> (Vec<i64>, f64) {
        let (share, size) = (&self.share, self.share.group_size());
        let all = (self.crops * size) as usize;
        // DINOv2 keeps int(n·(1 − rate)) rows, at least one, and scales by n / kept.
        let keep = ((all as f64 * (1.0 - rate)) as usize).max(1);
        let mut index = Vec::new();
        for group in share.touched() {
            let keys = [self.step, group as u64, self.pass, block, branch];
            let order = seed::stream(self.seed, "drop_path", &keys).permutation(all);
            index.extend(order[..keep].iter().filter_map(|&i| {
                let (crop, image) = (i as i64 / size, group * size + i as i64 % size - share.first);
                (0..share.images).contains(&image).then_some(crop * share.images + image)
            }));
        }
        (index, all as f64 / keep as f64)
    }
}
