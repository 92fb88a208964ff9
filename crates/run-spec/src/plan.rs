//! The plan of the data walk: which rows form the global batch of a step, and which of them a rank takes.
//!
//! The global batch depends on (seed, step) only; the number of ranks decides who computes which part. Each pass over
//! the rows is a permutation evaluated point by point (a Feistel network walked until it falls inside the range), so a
//! plan over any number of rows takes a few dozen bytes, and any step can be asked for without the steps before it.
//! With `data.sampling` other than `uniform`, sources share the draws as asked for, and each goes through its own rows so.

use crate::config::{ConfigError, TrainConfig};
use crate::ids::Digest;
use crate::seed::stream;
use std::ops::Range;
use std::sync::Arc;

mod shares;

use shares::Shares;
pub use shares::SourceRows;

/// The data walk of a run.
///
/// ```
/// use run_spec::plan::{Place, Plan};
///
/// let plan = Plan::uniform(1, 1000, 64); // seed, rows, images of a step over all ranks
/// let batch = plan.rows_at(10, Place::SOLO);
/// assert_eq!((batch.len(), batch[0].draw), (64, 640));
///
/// // Three ranks see the same images, each its part of them.
/// let part = |rank| plan.rows_at(10, Place { rank, world: 3 });
/// assert_eq!((0..3).flat_map(part).collect::<Vec<_>>(), batch);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    seed: u64,
    rows: u64,
    global_batch: u64,
    walk: Walk,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Walk {
    /// Every row once in each pass over all rows.
    Uniform,
    /// Sources in fixed shares.
    Shared(Arc<Shares>),
}

/// The rank that asks for its part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of this rank, from 0.
    pub rank: u64,
    /// Number of ranks that share a step.
    pub world: u64,
}

impl Place {
    /// The only rank of one.
    pub const SOLO: Self = Self { rank: 0, world: 1 };

    /// The positions in a global batch that this rank takes: contiguous; parts differ by at most one and rise with the rank.
    pub fn part_of(self, global_batch: u64) -> Range<u64> {
        self.edge(self.rank, global_batch)..self.edge(self.rank + 1, global_batch)
    }

    /// Whether the border between two ranks lies inside one of `groups` equal parts of a global batch.
    pub fn cuts(self, global_batch: u64, groups: u64) -> bool {
        let size = global_batch / groups.max(1);
        (1..self.world).any(|rank| !self.edge(rank, global_batch).is_multiple_of(size.max(1)))
    }

    fn edge(self, rank: u64, global_batch: u64) -> u64 {
        (u128::from(global_batch) * u128::from(rank) / u128::from(self.world)) as u64
    }
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
    /// A walk that takes every row once in each pass over `rows` rows, `global_batch` images a step.
    pub fn uniform(seed: u64, rows: u64, global_batch: u64) -> Self {
        Self { seed, rows, global_batch, walk: Walk::Uniform }
    }

    /// The walk that `config` asks for over a set whose sources have these rows.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for `data.source_weights` that name another source, or leave one out.
    pub fn of(config: &TrainConfig, sources: &[SourceRows]) -> Result<Self, ConfigError> {
        let rows = sources.iter().map(SourceRows::rows).sum();
        let walk = match Shares::of(&config.data, sources)? {
            Some(shares) => Walk::Shared(Arc::new(shares)),
            None => Walk::Uniform,
        };
        Ok(Self { seed: config.seed, rows, global_batch: config.train.batch_size, walk })
    }

    /// The row of a draw.
    ///
    /// # Panics
    /// If the plan has no rows.
    pub fn row_at(&self, draw: u64) -> u64 {
        assert!(self.rows > 0, "a plan over no rows has nothing to draw");
        match &self.walk {
            Walk::Uniform => permute((self.seed, "plan"), draw / self.rows, draw % self.rows, self.rows),
            Walk::Shared(shares) => shares.row_at(self.seed, draw),
        }
    }

    /// Images of a step over all ranks.
    pub fn global_batch(&self) -> u64 {
        self.global_batch
    }

    /// What `place` takes of the global batch of `step`: a contiguous part, in order; sizes differ by at most one.
    pub fn rows_at(&self, step: u64, place: Place) -> Vec<Draw> {
        place
            .part_of(self.global_batch)
            .map(|position| {
                let draw = step * self.global_batch + position;
                Draw { draw, row: self.row_at(draw) }
            })
            .collect()
    }
}

/// Which samples formed a global batch, as a sum over them: each rank adds what it has read, ranks add up their sums,
/// and the digest is the same whoever read what. Logged, so that two runs can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SampleSums([u64; Self::LIMBS]);

impl SampleSums {
    /// Numbers that make up a sum.
    pub const LIMBS: usize = 16;

    /// Adds the sample `id` of draw `draw`. Up to 2³⁷ samples keep every number exact in f64.
    pub fn add(&mut self, draw: u64, id: Digest) {
        let hash = Digest::of(&[draw.to_le_bytes().as_slice(), id.as_bytes()].concat());
        for (sum, limb) in self.0.iter_mut().zip(hash.as_bytes().chunks_exact(2)) {
            *sum += u64::from(u16::from_le_bytes([limb[0], limb[1]]));
        }
    }

    /// The numbers to be added up over ranks.
    pub fn numbers(&self) -> Vec<f64> {
        self.0.iter().map(|sum| *sum as f64).collect()
    }

    /// The digest that belongs to added-up numbers.
    pub fn digest(numbers: &[f64]) -> Digest {
        let bytes: Vec<u8> = numbers.iter().flat_map(|sum| (*sum as u64 as u16).to_le_bytes()).collect();
        Digest::of(&bytes)
    }
}

const ROUNDS: usize = 6;

/// Position of `index` in the permutation of `0..n` of one pass of the walk called `domain`.
fn permute((seed, domain): (u64, &str), pass: u64, index: u64, n: u64) -> u64 {
    let half_bits = (64 - (n - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half_bits) - 1;
    let mut keys = [0; ROUNDS];
    let mut source = stream(seed, domain, &[pass, n]);
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

/// The finaliser of SplitMix64, which spreads all bits.
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
        Plan::uniform(5, rows, global_batch)
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
    fn borders_inside_a_group_are_seen() {
        let at = |world| Place { rank: 0, world };
        assert!(!at(1).cuts(8, 1) && at(2).cuts(8, 1));
        assert!(!at(2).cuts(8, 2) && at(4).cuts(8, 2) && !at(4).cuts(8, 4));
        assert!(at(3).cuts(8, 4), "3 ranks take 2, 3 and 3 of 8");
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
        let b = Plan::uniform(6, 1000, 32);
        let rows = |plan: &Plan, step| plan.rows_at(step, Place::SOLO).iter().map(|d| d.row).collect::<Vec<_>>();
        assert_ne!(rows(&a, 0), rows(&b, 0));
        assert_ne!(rows(&a, 0), rows(&a, 1));
    }

    #[test]
    fn sample_sums_add_up_to_one_digest_whoever_read_what() {
        let plan = plan(1000, 35);
        let digest = |world| {
            let mut total = vec![0.0; SampleSums::LIMBS];
            for rank in 0..world {
                let mut sums = SampleSums::default();
                for draw in plan.rows_at(3, Place { rank, world }) {
                    sums.add(draw.draw, Digest::of(&draw.row.to_le_bytes()));
                }
                total.iter_mut().zip(sums.numbers()).for_each(|(a, b)| *a += b);
            }
            SampleSums::digest(&total)
        };
        assert_eq!((digest(2), digest(3)), (digest(1), digest(1)));
        let mut other = SampleSums::default();
        other.add(0, Digest::of(b"x"));
        assert_ne!(SampleSums::digest(&other.numbers()), digest(1));
    }
}
