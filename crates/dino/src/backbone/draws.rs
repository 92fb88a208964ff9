//! What stochastic depth draws for a pass over all blocks, on the device.

use super::packed::Segment;
use crate::parcel::{Parcel, Slot};
use tch::{Device, Kind, Tensor};

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
    /// Those of each of `blocks`, given by index and rate, none for one that skips nothing. They reach the device in one copy.
    pub(super) fn of(blocks: &[(u64, f64)], segments: &[Segment], device: Device) -> Vec<Option<Self>> {
        let mut parcel = Parcel::default();
        let any = segments.iter().any(|segment| segment.drop.is_some());
        let mut of_branch = |(block, rate): (u64, f64), branch: u64| -> Vec<Option<(Slot, f64)>> {
            let of_segment = |segment: &Segment| {
                let (crops, scale) = segment.drop.as_ref()?.kept(block, branch, rate);
                Some((parcel.add(crops), scale))
            };
            segments.iter().map(of_segment).collect()
        };
        let drawn: Vec<_> = blocks
            .iter()
            .map(|block| (any && block.1 > 0.0).then(|| [0, 1].map(|branch| of_branch(*block, branch))))
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
