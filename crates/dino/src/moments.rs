//! The moments of AdamW, all of them or a rank's share (ZeRO-1, arXiv:1910.02054 §5.1): who holds which, and how ranks exchange.
//!
//! The numbers of all parameters stand in one row, in name order. Each parameter begins at a multiple of [`GRAIN`], and the row is
//! padded so that every rank gets an equal share, which begins at such a multiple too. LibTorch's kernels then meet the same vectors
//! as on whole tensors, and give the same bits. A world of one has a single share: everything.

use crate::{DinoError, params::Parameters};
use collective::{Collective, broadcast_};
use run_spec::plan::Place;
use std::ops::Range;
use tch::{Device, Kind, Tensor};
use torch_shim::optimise;

/// Numbers between two places where a parameter can be cut: whole vectors of every processor, of f32 and of f64.
const GRAIN: i64 = 64;
/// Numbers that are on their way between ranks at once, and for which a rank needs memory meanwhile (64 MiB in f32).
const STRETCH: i64 = 16 << 20;

/// A part of one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Number of the parameter, in name order.
    pub(crate) index: usize,
    /// First of its elements.
    pub(crate) first: i64,
    /// How many elements.
    pub(crate) count: i64,
    /// Where the first one lies in the stretch of the row that was asked for.
    at: i64,
}

impl Piece {
    /// These elements of the parameter's tensor, or of one of its shape: the same memory. The tensor itself where they are all of it,
    /// else flat and outside any graph.
    pub(crate) fn of(&self, t: &Tensor) -> Tensor {
        if self.is_whole(t) { t.shallow_clone() } else { self.flat(t) }
    }

    /// The same, always flat and outside any graph.
    fn flat(&self, t: &Tensor) -> Tensor {
        t.detach().view([-1]).narrow(0, self.first, self.count)
    }

    fn is_whole(&self, t: &Tensor) -> bool {
        self.count == t.numel() as i64
    }

    /// These elements in the stretch that was asked for.
    fn within(&self, stretch: &Tensor) -> Tensor {
        stretch.narrow(0, self.at, self.count)
    }
}

/// Which numbers of the row are whose.
#[derive(Clone, Debug)]
struct Shares {
    place: Place,
    /// Where each parameter lies in the row.
    params: Vec<Range<i64>>,
    /// Numbers of a share, the padding included.
    length: i64,
}

impl Shares {
    /// Of parameters with so many elements each.
    fn of(sizes: impl Iterator<Item = i64>, place: Place) -> Self {
        let (mut params, mut end) = (Vec::new(), 0);
        for size in sizes {
            params.push(end..end + size);
            end += up_to(size, GRAIN);
        }
        let world = place.world as i64;
        Self { place, params, length: up_to(end, world * GRAIN) / world }
    }

    fn of_rank(&self, rank: u64) -> Range<i64> {
        rank as i64 * self.length..(rank as i64 + 1) * self.length
    }

    /// The parameters' parts in a stretch of the row.
    fn pieces(&self, stretch: &Range<i64>) -> Vec<Piece> {
        let part = |(index, param): (usize, &Range<i64>)| {
            let (start, end) = (param.start.max(stretch.start), param.end.min(stretch.end));
            let piece = Piece { index, first: start - param.start, count: end - start, at: start - stretch.start };
            (start < end).then_some(piece)
        };
        self.params.iter().enumerate().filter_map(part).collect()
    }

    /// The whole row in stretches that are one rank's each, with that rank; without those that are padding alone.
    fn stretches(&self) -> Vec<(u64, Range<i64>)> {
        let end = self.params.last().map_or(0, |param| param.end);
        let of_rank = |rank: u64| {
            let share = self.of_rank(rank);
            let cut = (share.start..share.end.min(end)).step_by(STRETCH as usize);
            cut.map(move |start| (rank, start..(start + STRETCH).min(share.end)))
        };
        (0..self.place.world).flat_map(of_rank).collect()
    }
}

fn up_to(number: i64, multiple: i64) -> i64 {
    (number + multiple - 1) / multiple * multiple
}

/// The moments of a piece: views of a rank's share, of the parameter's shape where the piece is all of it, else flat.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) piece: Piece,
    pub(crate) first: Tensor,
    pub(crate) second: Tensor,
}

/// The moments that a rank holds.
#[derive(Debug)]
pub(crate) struct Moments {
    shares: Shares,
    held: Vec<Held>,
    first: Tensor,  // [share]
    second: Tensor, // [share]
    /// An exchange of weights has begun and not ended: some are those of this step, others of the one before.
    torn: bool,
}

impl Moments {
    /// Zeros for the share of `params` that is the rank's at `place`.
    pub(crate) fn new(params: &Parameters, place: Place) -> Self {
        let shares = Shares::of(params.tensors().iter().map(|t| t.numel() as i64), place);
        let of = params.tensors().first().map_or((Kind::Float, Device::Cpu), |t| (t.kind(), t.device()));
        let zeros = || Tensor::zeros([shares.length], of);
        let (first, second) = (zeros(), zeros());
        let hold = |piece: Piece| {
            let (_, t) = params.at(piece.index);
            let shape = if piece.is_whole(t) { t.size() } else { vec![-1] };
            let [first, second] = [&first, &second].map(|share| piece.within(share).view(shape.as_slice()));
            Held { piece, first, second }
        };
        let held = shares.pieces(&shares.of_rank(place.rank)).into_iter().map(hold).collect();
        Self { shares, held, first, second, torn: false }
    }

    /// Whether other ranks hold moments that this one has not.
    pub(crate) fn are_shared(&self) -> bool {
        self.shares.place.world > 1
    }

    /// Refuses ranks among which the moments are not shared out, and weights of which only some are of this step.
    pub(crate) fn verify_shares(&self, zero1: bool, peers: &dyn Collective) -> Result<(), DinoError> {
        let peers = Place { rank: peers.rank() as u64, world: peers.world() as u64 };
        let (made, needed) = (self.shares.place, if zero1 { peers } else { Place::SOLO });
        match (made == needed, self.torn) {
            (false, _) => Err(DinoError::Shares { made, needed }),
            (true, true) => Err(DinoError::Torn),
            (true, false) => Ok(()),
        }
    }

    /// What this rank holds and updates.
    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    /// The numbers that this rank holds, the padding included, and those of all parameters: of both moments.
    pub(crate) fn counts(&self) -> (i64, i64) {
        let all: i64 = self.shares.params.iter().map(|param| param.end - param.start).sum();
        (2 * self.shares.length, 2 * all)
    }

    /// Gives every rank the elements of `params` that each has updated. If it fails, weights of two steps are mixed, and later steps
    /// are refused.
    pub(crate) fn gather(&mut self, params: &[Tensor], peers: &dyn Collective) -> Result<(), DinoError> {
        if !self.are_shared() {
            return Ok(());
        }
        self.torn = true;
        for (rank, range) in self.shares.stretches() {
            let mine = rank == self.shares.place.rank;
            let mut values = Tensor::zeros([range.end - range.start], (self.first.kind(), self.first.device()));
            let pieces = self.shares.pieces(&range);
            let (own, sent): (Vec<Tensor>, Vec<Tensor>) =
                pieces.iter().map(|piece| (piece.flat(&params[piece.index]), piece.within(&values))).unzip();
            if mine {
                optimise::copy_(&sent, &own)?;
            }
            broadcast_(peers, &mut values, rank as usize)?;
            if !mine {
                optimise::copy_(&own, &sent)?;
            }
        }
        self.torn = false;
        Ok(())
    }

    /// Shows `see` the moments of all ranks: whether they are the first or the second (0 or 1), which elements of which parameter, and
    /// these, flat. They are gone when it returns. Every rank calls it.
    pub(crate) fn exchange(
        &self,
        peers: &dyn Collective,
        see: &mut dyn FnMut(usize, &Piece, &Tensor),
    ) -> Result<(), DinoError> {
        let own = self.shares.of_rank(self.shares.place.rank);
        for (which, held) in [&self.first, &self.second].into_iter().enumerate() {
            for (rank, range) in self.shares.stretches() {
                let length = range.end - range.start;
                let mut values = match rank == self.shares.place.rank {
                    true => held.narrow(0, range.start - own.start, length),
                    false => Tensor::zeros([length], (held.kind(), held.device())),
                };
                broadcast_(peers, &mut values, rank as usize)?;
                for piece in self.shares.pieces(&range) {
                    see(which, &piece, &piece.within(&values));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_hold_every_element_once() {
        let sizes = [5, 1, 640, 64, 1000, 63, 7_777];
        for world in 1..=9 {
            let shares = |rank| Shares::of(sizes.into_iter(), Place { rank, world });
            let mut next = vec![0; sizes.len()];
            for rank in 0..world {
                let shares = shares(rank);
                assert_eq!(shares.length % GRAIN, 0);
                for piece in shares.pieces(&shares.of_rank(rank)) {
                    // A cut lies between two grains of the parameter, so that only its very end is no whole vector.
                    assert_eq!((piece.first, piece.first % GRAIN, piece.at % GRAIN), (next[piece.index], 0, 0));
                    next[piece.index] += piece.count;
                }
            }
            assert_eq!(next, sizes, "{world} ranks");
            let padded = shares(0).length * world as i64;
            let all: i64 = sizes.iter().sum();
            assert!(padded >= all && padded < all + GRAIN * (sizes.len() as i64 + world as i64), "{padded} for {all}");
        }
    }

    #[test]
    fn stretches_are_one_ranks_each_and_bounded() {
        let sizes = [3 * STRETCH + 5, 7];
        for world in [1, 2, 5] {
            let shares = Shares::of(sizes.into_iter(), Place { rank: 0, world });
            let mut counted = [0; 2];
            for (rank, range) in shares.stretches() {
                let of_rank = shares.of_rank(rank);
                assert!(of_rank.start <= range.start && range.end <= of_rank.end && range.end - range.start <= STRETCH);
                let pieces = shares.pieces(&range);
                assert!(!pieces.is_empty(), "rank {rank} of {world}: {range:?} is padding");
                pieces.iter().for_each(|piece| counted[piece.index] += piece.count);
            }
            assert_eq!(counted, sizes, "{world} ranks");
        }
        // More ranks than grains: the last of them hold nothing, and send nothing.
        let few = Shares::of([65].into_iter(), Place { rank: 4, world: 5 });
        assert_eq!((few.length, few.stretches().len(), few.pieces(&few.of_rank(4)).len()), (GRAIN, 2, 0));
    }
}
