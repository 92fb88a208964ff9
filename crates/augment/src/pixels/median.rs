//! Median blur on 8 bits (`cv2.medianBlur`), by sorting networks over many pixels at once.
//!
//! The columns of a window are sorted first, once for all windows that share them. Then its rows are: in a square sorted both
//! ways, what lies below and right of too many, or above and left, cannot be the median, and a network over the rest finds it.

use std::sync::LazyLock;

use super::border::{padded_row, replicate};
use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::simd::{SORTED, sort_network};

/// Compare-exchanges: the smaller value goes to the first place.
type Network = Vec<(u8, u8)>;

/// `cv2.medianBlur` with an odd `k` up to 15, edge pixels repeated.
pub(crate) fn median_blur(image: &PixelBuffer, k: usize) -> PixelBuffer {
    if k <= 1 {
        return image.clone();
    }
    let (half, stride) = (k / 2, image.stride());
    let (columns, (rest, middle)) = &*NETWORKS[half - 1];
    // Whole blocks, and the last block's neighbours to the right.
    let pitch = (stride + 3 * (k - 1)).next_multiple_of(SORTED) + SORTED;
    let mut ring = Buf::<u8>::zeroed(k * pitch);
    let fill = |ring: &mut [u8], y: usize| {
        let slot = &mut ring[y % k * pitch..][..pitch];
        padded_row(image, y as isize - half as isize, (half, half), replicate, slot);
    };
    (0..k - 1).for_each(|y| fill(&mut ring, y));
    let mut sorted = Buf::<u8>::any(k * pitch);
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    let mut lanes = [[0u8; SORTED]; 15 * 15];
    let lanes = &mut lanes[..k * k];
    for (y, line) in out.data.chunks_exact_mut(stride).enumerate() {
        fill(&mut ring, y + k - 1);
        for start in (0..pitch).step_by(SORTED) {
            // The rows of the ring are out of order, which to their sorted columns is one.
            for (dy, lane) in lanes[..k].iter_mut().enumerate() {
                lane.copy_from_slice(&ring[dy * pitch + start..][..SORTED]);
            }
            sort_network(&mut lanes[..k], columns);
            for (dy, lane) in lanes[..k].iter().enumerate() {
                sorted[dy * pitch + start..][..SORTED].copy_from_slice(lane);
            }
        }
        for (block, part) in line.chunks_mut(SORTED).enumerate() {
            for (dy, row) in sorted.chunks_exact(pitch).enumerate() {
                for dx in 0..k {
                    lanes[dy * k + dx].copy_from_slice(&row[block * SORTED + dx * 3..][..SORTED]);
                }
            }
            sort_network(lanes, rest);
            part.copy_from_slice(&lanes[*middle][..part.len()]);
        }
    }
    out
}

/// Networks for windows of side 3, 5, … 15: for a column, and for a window of sorted columns with the place of its median.
static NETWORKS: [LazyLock<(Network, (Network, usize))>; 7] = [
    LazyLock::new(|| (sorting(3), median(3))),
    LazyLock::new(|| (sorting(5), median(5))),
    LazyLock::new(|| (sorting(7), median(7))),
    LazyLock::new(|| (sorting(9), median(9))),
    LazyLock::new(|| (sorting(11), median(11))),
    LazyLock::new(|| (sorting(13), median(13))),
    LazyLock::new(|| (sorting(15), median(15))),
];

/// Batcher's odd-even merge sort for `n` lanes.
fn sorting(n: usize) -> Network {
    let mut pairs = Vec::new();
    let mut p = 1;
    while p < n {
        let mut k = p;
        while k >= 1 {
            for j in (k % p..n.saturating_sub(k)).step_by(2 * k) {
                for i in 0..k.min(n - j - k) {
                    if (i + j) / (2 * p) == (i + j + k) / (2 * p) {
                        pairs.push(((i + j) as u8, (i + j + k) as u8));
                    }
                }
            }
            k /= 2;
        }
        p *= 2;
    }
    pairs
}

/// The median of `k` x `k` lanes (row-major) whose columns are sorted, and the lane it comes to lie in.
fn median(k: usize) -> (Network, usize) {
    let mut network: Network = Vec::new();
    for row in 0..k {
        network.extend(sorting(k).iter().map(|&(a, b)| ((row * k) as u8 + a, (row * k) as u8 + b)));
    }
    // As many lie at or below (i, j) as there are in the corner that ends there, and as many at or above.
    let half = k * k / 2 + 1;
    let may_be = |i: usize, j: usize| (i + 1) * (j + 1) <= half && (k - i) * (k - j) <= half;
    let rest: Vec<u8> = (0..k * k).filter(|at| may_be(at / k, at % k)).map(|at| at as u8).collect();
    network.extend(sorting(rest.len()).iter().map(|&(a, b)| (rest[a as usize], rest[b as usize])));
    let middle = usize::from(rest[rest.len() / 2]);
    let network = needed(&network, k * k, middle);
    // What no input needs can be proved for the small ones: by the 0-1 principle, inputs of zeros and ones are all there are.
    (if k <= 7 { used(&network, k) } else { network }, middle)
}

/// The exchanges that reach the lane `wanted`.
fn needed(network: &[(u8, u8)], lanes: usize, wanted: usize) -> Network {
    let mut live = vec![false; lanes];
    live[wanted] = true;
    let mut kept: Network = Vec::new();
    for &(a, b) in network.iter().rev() {
        if live[a as usize] || live[b as usize] {
            live[a as usize] = true;
            live[b as usize] = true;
            kept.push((a, b));
        }
    }
    kept.reverse();
    kept
}

/// The exchanges that ever exchange anything, given `k` sorted columns of zeros and ones: of each, how many ones.
fn used(network: &[(u8, u8)], k: usize) -> Network {
    let inputs = (k + 1).pow(k as u32);
    let mut acts = vec![false; network.len()];
    let mut lanes = vec![0u64; k * k];
    for first in (0..inputs).step_by(64) {
        lanes.fill(0);
        for bit in 0..64.min(inputs - first) {
            let mut code = first + bit;
            for column in 0..k {
                let ones = code % (k + 1);
                code /= k + 1;
                (k - ones..k).for_each(|row| lanes[row * k + column] |= 1 << bit);
            }
        }
        for (&(a, b), acts) in network.iter().zip(&mut acts) {
            let (x, y) = (lanes[a as usize], lanes[b as usize]);
            *acts |= x & !y != 0;
            (lanes[a as usize], lanes[b as usize]) = (x & y, x | y);
        }
    }
    network.iter().zip(acts).filter(|(_, acts)| *acts).map(|(pair, _)| *pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_sorted_window() {
        let image =
            PixelBuffer::new(17, 23, (0..17 * 23 * 3).map(|i| (i * i * 31 % 253) as u8).collect()).expect("17 x 23");
        for k in [3usize, 5, 7, 9, 15] {
            let found = median_blur(&image, k);
            let reach = k as isize / 2;
            for (y, x, c) in [(0, 0, 0), (8, 11, 1), (16, 22, 2), (3, 20, 0), (15, 1, 2)] {
                let at = |dy: isize, dx: isize| {
                    let (y, x) = ((y as isize + dy).clamp(0, 16) as usize, (x as isize + dx).clamp(0, 22) as usize);
                    image.data[(y * 23 + x) * 3 + c]
                };
                let mut window: Vec<u8> = (-reach..=reach)
                    .flat_map(|dy| (-reach..=reach).map(move |dx| (dy, dx)))
                    .map(|(dy, dx)| at(dy, dx))
                    .collect();
                window.sort_unstable();
                assert_eq!(found.data[(y * 23 + x) * 3 + c], window[k * k / 2], "side {k} at {y}, {x}, channel {c}");
            }
        }
    }

    #[test]
    fn shared_columns_make_the_networks_short() {
        let exchanges = |k: usize| NETWORKS[k / 2 - 1].0.len() + NETWORKS[k / 2 - 1].1.0.len();
        // Batcher's alone, cut down to what reaches the middle, has 24, 113 and 319.
        assert_eq!([exchanges(3), exchanges(5), exchanges(7)], [14, 78, 221]);
    }
}
