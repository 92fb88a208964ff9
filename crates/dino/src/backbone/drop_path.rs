//! Stochastic depth (arXiv:1603.09382), drawn so that the world size does not change it.

use super::block::{Block, Segment};
use crate::{
    RankShare,
    parcel::{Parcel, Slot},
};
use run_spec::seed;
use tch::{Device, Kind, Tensor};

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

/// The crops of a segment that one branch of a block keeps.
#[derive(Debug)]
pub(super) struct Draw {
    /// Their numbers within the segment `[kept]` i64, on the device.
    pub(super) crops: Tensor,
    /// The factor that keeps the mean.
    pub(super) scale: f64,
}

/// What stochastic depth draws for the two branches of a block: for each segment one draw.
#[derive(Debug)]
pub(super) struct Draws(pub(super) [Vec<Draw>; 2]);

impl Draws {
    /// Those of each of `blocks`, none for one that skips nothing. They reach the device in one copy.
    pub(super) fn of(blocks: &[Block], segments: &[Segment], device: Device) -> Vec<Option<Self>> {
        let mut parcel = Parcel::default();
        let any = segments.iter().any(|segment| segment.drop.is_some());
        let mut of_branch = |block: &Block, branch: u64| -> Vec<Option<(Slot, f64)>> {
            let of_segment = |segment: &Segment| {
                let (crops, scale) = segment.drop.as_ref()?.kept(block.index, branch, block.rate);
                Some((parcel.add(crops), scale))
            };
            segments.iter().map(of_segment).collect()
        };
        let drawn: Vec<_> = blocks
            .iter()
            .map(|block| (any && block.rate > 0.0).then(|| [0, 1].map(|branch| of_branch(block, branch))))
            .collect();
        let sent = parcel.send(device);
        let draw = |(slot, segment): (Option<(Slot, f64)>, &Segment)| match slot {
            Some((slot, scale)) => Draw { crops: sent.list(&slot), scale },
            None => Draw { crops: Tensor::arange(segment.rows, (Kind::Int64, device)), scale: 1.0 },
        };
        let of_branch = |slots: Vec<_>| slots.into_iter().zip(segments).map(draw).collect();
        drawn.into_iter().map(|branches| Some(Self(branches?.map(of_branch)))).collect()
    }
}
