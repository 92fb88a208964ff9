//! A checkpoint in parts: which bytes of the whole each rank writes, and the digest of the whole from what the ranks have seen of it.
//!
//! The parts, one after the other, are the file that one rank would have written. BLAKE3 is a tree: each rank gives the values of
//! the pieces that it holds, and from all of them follows the digest of the whole, which no rank has seen.

use std::ops::Range;

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use run_spec::ids::Digest;

/// The value of one piece in BLAKE3's tree.
pub type PieceValue = [u8; 32];

/// The smallest and the largest piece: powers of two of at least a kibibyte, as the tree asks for.
const SMALLEST: u64 = 1 << 10;
const LARGEST: u64 = 16 << 20;
/// A rank should have so many pieces, so that parts differ little in length.
const PIECES_OF_A_RANK: u64 = 16;

/// How a file of `length` bytes is shared between the ranks of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    length: u64,
    world: u64,
    piece: u64,
}

impl Parts {
    /// The parts of `length` bytes between `world` ranks.
    pub fn of(length: u64, world: usize) -> Self {
        let world = (world as u64).max(1);
        let wanted = (length / (world * PIECES_OF_A_RANK)).clamp(SMALLEST, LARGEST);
        Self { length, world, piece: 1 << wanted.ilog2() }
    }

    /// The bytes of the whole that `rank` writes; none where there are fewer pieces than ranks.
    pub fn range(&self, rank: usize) -> Range<u64> {
        let pieces = self.length.div_ceil(self.piece);
        let at = |rank: u64| (pieces * rank / self.world * self.piece).min(self.length);
        at(rank as u64)..at(rank as u64 + 1)
    }

    /// The values of the pieces in `bytes`, which begin at `start` of the whole.
    pub fn values(&self, start: u64, bytes: &[u8]) -> Vec<PieceValue> {
        let value = |(piece, offset): (&[u8], u64)| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(offset).update(piece);
            hasher.finalize_non_root()
        };
        bytes.chunks(self.piece as usize).zip((start..).step_by(self.piece as usize)).map(value).collect()
    }

    /// The digest of the whole from the values of all its pieces in order; none where that needs the bytes themselves, which are
    /// a single piece.
    pub fn digest(&self, values: &[PieceValue]) -> Option<Digest> {
        (self.length > self.piece && values.len() as u64 == self.length.div_ceil(self.piece)).then(|| {
            let left = left_subtree_len(self.length);
            let (left, right) = (self.value(values, 0..left), self.value(values, left..self.length));
            Digest::from_bytes(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
        })
    }

    fn value(&self, values: &[PieceValue], range: Range<u64>) -> PieceValue {
        let length = range.end - range.start;
        if length <= self.piece {
            return values[(range.start / self.piece) as usize];
        }
        let middle = range.start + left_subtree_len(length);
        let left = self.value(values, range.start..middle);
        merge_subtrees_non_root(&left, &self.value(values, middle..range.end), Mode::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_and_their_pieces_give_its_digest() {
        for length in [1025, 2048, 5000, 65_536, 65_537, 1_000_003] {
            let whole: Vec<u8> = (0..length).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            for world in [1, 2, 3, 4, 7, 64] {
                let parts = Parts::of(whole.len() as u64, world);
                let (mut values, mut end) = (Vec::new(), 0);
                for rank in 0..world {
                    let range = parts.range(rank);
                    assert_eq!(range.start, end, "{length} bytes, {world} ranks");
                    end = range.end;
                    values.extend(parts.values(range.start, &whole[range.start as usize..range.end as usize]));
                }
                assert_eq!(end, whole.len() as u64);
                assert_eq!(parts.digest(&values), Some(Digest::of(&whole)), "{length} bytes, {world} ranks");
                assert_eq!(parts.digest(&values[1..]), None);
            }
        }
    }

    #[test]
    fn parts_differ_little_in_length_and_a_small_file_is_one() {
        let parts = Parts::of(5 << 30, 8);
        let lengths: Vec<u64> = (0..8).map(|rank| parts.range(rank)).map(|range| range.end - range.start).collect();
        assert_eq!(lengths, [640 << 20; 8]);
        let small = Parts::of(900, 4);
        assert_eq!((0..4).map(|rank| small.range(rank)).filter(|range| !range.is_empty()).count(), 1);
        assert_eq!(small.digest(&small.values(0, &[7; 900])), None);
    }
}
