//! Random streams keyed by what they are for: (seed, domain, keys), never by rank, thread or clock.
//!
//! A stream is ChaCha8 under a key that BLAKE3 derives from its name, so any stream can be opened at any time without
//! running the others. The distributions are our own few lines, since a library may change how it turns bits into
//! numbers between versions and every stored result depends on them.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A random stream; see [`stream`].
#[derive(Debug, Clone)]
pub struct Stream {
    rng: ChaCha8Rng,
    spare_normal: Option<f64>,
}

/// Opens the stream named by `(seed, domain, keys)`.
///
/// `domain` says what the numbers are for (`"masks"`, `"view/crop"`); `keys` say which one (`[step, group]`). Two
/// streams that differ in any part are independent; the same name always gives the same numbers.
pub fn stream(seed: u64, domain: &str, keys: &[u64]) -> Stream {
    let mut hasher = blake3::Hasher::new_derive_key("reddino random stream v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(domain.len() as u64).to_le_bytes());
    hasher.update(domain.as_bytes());
    for key in keys {
        hasher.update(&key.to_le_bytes());
    }
    Stream { rng: ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()), spare_normal: None }
}

impl Stream {
    /// The next 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[lo, hi)`; `lo > hi` works reversed, as Python's `random.uniform` does.
    pub fn uniform(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.unit()
    }

    /// Uniform integer in `[0, n)`, without bias.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0) has no value to give");
        // Rejection of the incomplete last interval keeps every value equally likely.
        let limit = u64::MAX - (u64::MAX % n + 1) % n;
        loop {
            let bits = self.next_u64();
            if bits <= limit {
                return bits % n;
            }
        }
    }

    /// Uniform integer in `[lo, hi]`, both ends included, as Python's `random.randint`.
    ///
    /// # Panics
    /// If `lo > hi`.
    pub fn int(&mut self, lo: i64, hi: i64) -> i64 {
        assert!(lo <= hi, "int({lo}, {hi}): the range is empty");
        let span = hi.wrapping_sub(lo) as u64;
        if span == u64::MAX {
            return self.next_u64() as i64;
        }
        lo.wrapping_add(self.below(span + 1) as i64)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Standard normal (mean 0, variance 1), by the polar method; pairs are used up in order.
    pub fn normal(&mut self) -> f64 {
        if let Some(value) = self.spare_normal.take() {
            return value;
        }
        loop {
            let u = 2.0 * self.unit() - 1.0;
            let v = 2.0 * self.unit() - 1.0;
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * s.ln() / s).sqrt();
                self.spare_normal = Some(v * factor);
                return u * factor;
            }
        }
    }

    /// Normal with mean 0 and standard deviation `std`, redrawn until within `±cut` (absolute, not in units of `std`).
    ///
    /// This is `trunc_normal_(std=std, a=-cut, b=cut)` of PyTorch in distribution.
    pub fn truncated_normal(&mut self, std: f64, cut: f64) -> f64 {
        loop {
            let value = self.normal() * std;
            if value.abs() <= cut {
                return value;
            }
        }
    }

    /// Poisson with mean `lambda` (0 for `lambda <= 0`).
    ///
    /// Knuth's product method in slices of mean 16: the cost grows with `lambda`, but nothing is approximated.
    pub fn poisson(&mut self, lambda: f64) -> u64 {
        let mut left = lambda.max(0.0);
        let mut total = 0;
        while left > 0.0 {
            let slice = left.min(16.0);
            left -= slice;
            let floor = (-slice).exp();
            let mut product = self.unit();
            while product > floor {
                total += 1;
                product *= self.unit();
            }
        }
        total
    }

    /// Shuffles in place (Fisher-Yates from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// A uniform permutation of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_pinned_for_ever() {
        // Every stored view, mask and initial weight depends on these numbers: a change here is a new format.
        let mut s = stream(7, "test", &[1, 2]);
        let drawn: Vec<u64> = (0..3).map(|_| s.next_u64()).collect();
        assert_eq!(drawn, PINNED, "drawn {drawn:?}");
    }
    const PINNED: [u64; 3] = [7962429305864585938, 9491477271764507815, 2830057436258773711];

    #[test]
    fn any_part_of_the_name_opens_another_stream() {
        let first = |mut s: Stream| s.next_u64();
        let base = first(stream(0, "a", &[1]));
        assert_ne!(base, first(stream(1, "a", &[1])));
        assert_ne!(base, first(stream(0, "b", &[1])));
        assert_ne!(base, first(stream(0, "a", &[2])));
        assert_ne!(base, first(stream(0, "a", &[1, 0])));
        assert_eq!(base, first(stream(0, "a", &[1])));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut s = stream(3, "moments", &[]);
        let n = 200_000;
        let mean_var = |draw: &mut dyn FnMut() -> f64| {
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..n {
                let x = draw();
                sum += x;
                squares += x * x;
            }
            let mean = sum / n as f64;
            (mean, squares / n as f64 - mean * mean)
        };
        let (m, v) = mean_var(&mut || s.unit());
        assert!((m - 0.5).abs() < 0.004 && (v - 1.0 / 12.0).abs() < 0.002, "unit {m} {v}");
        let (m, v) = mean_var(&mut || s.normal());
        assert!(m.abs() < 0.01 && (v - 1.0).abs() < 0.02, "normal {m} {v}");
        let (m, v) = mean_var(&mut || s.poisson(40.0) as f64);
        assert!((m - 40.0).abs() < 0.1 && (v - 40.0).abs() < 0.8, "poisson {m} {v}");
        let (m, v) = mean_var(&mut || s.below(7) as f64);
        assert!((m - 3.0).abs() < 0.03 && (v - 4.0).abs() < 0.05, "below {m} {v}");
    }

    #[test]
    fn integers_reach_both_ends_and_stay_inside() {
        let mut s = stream(3, "ends", &[]);
        let drawn: Vec<i64> = (0..500).map(|_| s.int(-2, 3)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&-2), Some(&3)));
        assert_eq!(s.int(5, 5), 5);
    }

    #[test]
    fn a_permutation_holds_each_index_once() {
        let mut order = stream(1, "perm", &[]).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
