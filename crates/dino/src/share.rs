//! Which part of the global batch a rank holds. Ranks hold contiguous parts that differ by at most one image, whatever
//! the loss groups are: a group may lie on one rank, or across several.

use crate::DinoError;
use collective::{Collective, CollectiveError, sum_};
use run_spec::plan::Place;
use std::ops::Range;
use tch::Tensor;

/// A rank's images among those of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankShare {
    /// Position of the first of them in the global batch.
    pub first: i64,
    /// Number B of images that the rank holds.
    pub images: i64,
    /// Images of the global batch.
    pub total: i64,
    /// Loss groups of the global batch: equal, contiguous parts of it.
    pub groups: i64,
    /// Whether some group lies on more than one rank.
    pub cut: bool,
}

impl RankShare {
    /// The part that rank `rank` of `world` takes of a global batch of `total` images in `groups` loss groups.
    ///
    /// # Errors
    /// More ranks than images, or groups that do not divide the images.
    pub fn of(total: u64, groups: u64, rank: usize, world: usize) -> Result<Self, DinoError> {
        if total < world as u64 {
            return Err(DinoError::Ranks { total, world });
        }
        if groups == 0 || !total.is_multiple_of(groups) {
            return Err(DinoError::Groups { groups, total });
        }
        let place = Place { rank: rank as u64, world: world as u64 };
        let part = place.part_of(total);
        Ok(Self {
            first: part.start as i64,
            images: (part.end - part.start) as i64,
            total: total as i64,
            groups: groups as i64,
            cut: place.cuts(total, groups),
        })
    }

    /// Images of a loss group.
    pub fn group_size(&self) -> i64 {
        self.total / self.groups
    }

    /// The groups of which this rank holds images.
    pub fn touched(&self) -> Range<i64> {
        let size = self.group_size();
        self.first / size..(self.first + self.images + size - 1) / size
    }

    /// Puts `mine` `[V, B, D]` among the rows of all ranks: `[V, total, D]`, outside any graph, the same on every rank.
    ///
    /// # Errors
    /// [`DinoError::Collective`] if the other ranks cannot be reached.
    pub fn gather(&self, mine: &Tensor, peers: &dyn Collective) -> Result<Tensor, CollectiveError> {
        let mine = mine.detach();
        if self.images == self.total {
            return Ok(mine);
        }
        let size = mine.size();
        let all = Tensor::zeros([size[0], self.total, size[2]], (mine.kind(), mine.device()));
        all.narrow(1, self.first, self.images).copy_(&mine);
        let mut all = all;
        // Each row is one rank's and zero elsewhere: the sum is exact.
        sum_(peers, &mut all)?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_touched_where_images_lie() {
        let share = |rank, world| RankShare::of(8, 2, rank, world).unwrap();
        assert_eq!(share(0, 1).touched(), 0..2);
        assert_eq!((share(0, 2).touched(), share(1, 2).touched()), (0..1, 1..2));
        assert!(!share(0, 2).cut);
        // 3 ranks hold 2, 3 and 3 images: the second has the end of group 0 and the start of group 1.
        let parts: Vec<_> = (0..3).map(|rank| share(rank, 3)).collect();
        assert_eq!(parts.iter().map(|s| (s.first, s.images)).collect::<Vec<_>>(), [(0, 2), (2, 3), (5, 3)]);
        assert_eq!(parts[1].touched(), 0..2);
        assert!(parts[0].cut);
    }

    #[test]
    fn more_ranks_than_images_are_refused() {
        let message = RankShare::of(4, 2, 0, 5).unwrap_err().to_string();
        assert!(message.contains("4 images") && message.contains("5 ranks"), "{message}");
        assert!(RankShare::of(9, 2, 0, 1).is_err());
    }
}
