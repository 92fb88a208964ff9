//! The plan of the data walk: which rows form the global batch of a step, and which of them a rank takes.
//!
//! The global batch depends on (seed, step) only; the number of ranks decides who computes which part. Each pass over
//! the rows is a permutation evaluated point by point (a Feistel network walked until it falls inside the range), so a
//! plan over any number of rows takes a few dozen bytes, and any step can be asked for without the steps before it.

use crate::ids::Digest;
use crate::seed::stream;

/// The data walk of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Seed of the order.
    pub seed: u64,
    /// Rows of the shard set.
    pub rows: u64,
    /// Images of a step over all ranks.
    pub global_batch: u64,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of this rank, from 0.
    pub rank: u64,
    /// Number of ranks.
    pub world: u64,
}

impl Place {
    /// The only rank of one.
    pub const SOLO: Self = Self { rank: 0, world: 1 };
}

/// One image of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// step · global batch + position: the key of everything random about this image's views.
    pub draw: u64,
    /// Row of the shard set.
    pub row: u64,
}

impl Plan {
    /// The row of a draw.
    ///
    /// # Panics
    /// If the plan has no rows.
    pub fn row_at(&self, draw: u64) -> u64 {
        assert!(self.rows > 0, "a plan over no rows has nothing to draw");
        permute(self.seed, draw / self.rows, draw % self.rows, self.rows)
    }

    /// What `place` takes of the global batch of `step`: a contiguous part, in order; sizes differ by at most one.
    pub fn rows_at(&self, step: u64, place: Place) -> Vec<Draw> {
        let edge = |rank: u64| (u128::from(self.global_batch) * u128::from(rank) / u128::from(place.world)) as u64;
        (edge(place.rank)..edge(place.rank + 1))
            .map(|position| {
                let draw = step * self.global_batch + position;
                Draw { draw, row: self.row_at(draw) }
            })
            .collect()
    }

    /// The digest of the rows of a step, equal on every world size; logged so that two runs can be compared.
    pub fn step_digest(&self, step: u64) -> Digest {
        let rows = self.rows_at(step, Place::SOLO);
        let bytes: Vec<u8> = rows.iter().flat_map(|draw| draw.row.to_le_bytes()).collect();
        Digest::of(&bytes)
    }
}

const ROUNDS: usize = 6;

/// Position of `index` in the permutation of `0..n` of one pass.
fn permute(seed: u64, pass: u64, index: u64, n: u64) -> u64 {
    let half_bits = (64 - (n - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half_bits) - 1;
    let mut keys = [0; ROUNDS];
    let mut source = stream(seed, "plan", &[pass, n]);
    keys.fill_with(|| source.next_u64());
    let mut x = index;
    // The network permutes 0..4^half_bits, at most four times n: the walk back into 0..n is short.
    loop {
        let (mut left, mut right) = (x >> half_bits, x & mask);
        for key in keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        x = (left << half_bits) | right;
        if x < n {
            return x;
        }
    }
}

/// Finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn plan(rows: u64, global_batch: u64) -> Plan {
        Plan { seed: 5, rows, global_batch }
    }

    #[test]
    fn each_pass_takes_each_row_once_in_its_own_order() {
        for rows in [1, 2, 3, 7, 64, 100, 1000, 1025] {
            let plan = plan(rows, 8);
            let pass = |k: u64| (0..rows).map(|i| plan.row_at(k * rows + i)).collect::<Vec<_>>();
            for k in 0..3 {
                assert_eq!(pass(k).into_iter().collect::<BTreeSet<_>>().len() as u64, rows);
            }
            if rows > 7 {
                assert_ne!(pass(0), pass(1));
            }
        }
    }

    #[test]
    fn ranks_share_out_the_same_global_batch() {
        let plan = plan(1_250_781, 35);
        let whole = plan.rows_at(17, Place::SOLO);
        for world in [1, 2, 3, 4, 35] {
            let parts: Vec<Draw> = (0..world).flat_map(|rank| plan.rows_at(17, Place { rank, world })).collect();
            assert_eq!(parts, whole, "{world} ranks");
        }
        assert_eq!(whole[0].draw, 17 * 35);
    }

    #[test]
    fn the_order_looks_random() {
        // Mean distance of neighbours in a uniform order is n/3.
        let plan = plan(10_000, 1);
        let rows: Vec<i64> = (0..10_000).map(|i| plan.row_at(i) as i64).collect();
        let mean = rows.windows(2).map(|w| (w[0] - w[1]).abs() as f64).sum::<f64>() / 9_999.0;
        assert!((mean - 3333.0).abs() < 150.0, "{mean}");
    }

    #[test]
    fn another_seed_or_step_gives_other_rows() {
        let a = plan(1000, 32);
        let b = Plan { seed: 6, ..a.clone() };
        assert_ne!(a.step_digest(0), b.step_digest(0));
        assert_ne!(a.step_digest(0), a.step_digest(1));
    }
}
