//! Box, Gaussian and median blur on 8 bits, to OpenCV's bit.

use super::border::{padded_row, reflect_101, replicate};
use super::round::round_u8;
use crate::image::Image;
use crate::simd::sort_network;

/// `cv2.blur` with a `k` x `k` box (anchor `k / 2`), border `REFLECT_101`.
pub(crate) fn box_blur(image: &Image, k: usize) -> Image {
    if k <= 1 {
        return image.clone();
    }
    let (before, after) = (k / 2, k - 1 - k / 2);
    let (height, stride) = (image.height, image.stride());
    let row_sums = |y: isize, padded: &mut Vec<u32>, out: &mut Vec<u32>| {
        padded_row(image, y, (before, after), reflect_101, padded);
        out.clear();
        let mut running = [0u32; 3];
        for x in 0..k - 1 {
            for c in 0..3 {
                running[c] += padded[x * 3 + c];
            }
        }
        for x in 0..image.width {
            for c in 0..3 {
                running[c] += padded[(x + k - 1) * 3 + c];
                out.push(running[c]);
                running[c] -= padded[x * 3 + c];
            }
        }
    };
    let mut ring: Vec<Vec<u32>> = vec![Vec::new(); k];
    let mut padded = Vec::new();
    let mut sum = vec![0u32; stride];
    for (slot, row) in ring.iter_mut().enumerate().take(k - 1) {
        row_sums(slot as isize - before as isize, &mut padded, row);
        sum.iter_mut().zip(row.iter()).for_each(|(s, r)| *s += r);
    }
    let mut out = Image::filled(height, image.width, 0);
    let area = (k * k) as u32;
    for y in 0..height {
        let newest = y + k - 1;
        row_sums(newest as isize - before as isize, &mut padded, &mut ring[newest % k]);
        sum.iter_mut().zip(&ring[newest % k]).for_each(|(s, r)| *s += r);
        divide_row(&sum, area, &mut out.data[y * stride..(y + 1) * stride]);
        sum.iter_mut().zip(&ring[y % k]).for_each(|(s, r)| *s -= r);
    }
    out
}

/// `out = sum / area`, rounded the way OpenCV rounds: fixed point up to 256 pixels, float above.
fn divide_row(sum: &[u32], area: u32, out: &mut [u8]) {
    if area <= 256 {
        const SHIFT: u32 = 23;
        let exact = f64::from(1u32 << SHIFT) / f64::from(area);
        let whole = exact.floor();
        let (delta, scale) =
            if exact - whole < 0.5 { (area / 2 + 1, whole as u64) } else { (area / 2, whole as u64 + 1) };
        for (o, &s) in out.iter_mut().zip(sum) {
            *o = ((u64::from(s + delta) * scale) >> SHIFT).min(255) as u8;
        }
    } else {
        let scale = (1.0 / f64::from(area)) as f32;
        for (o, &s) in out.iter_mut().zip(sum) {
            *o = round_u8(s as f32 * scale);
        }
    }
}

/// The weights of OpenCV's bit-exact 8-bit Gaussian, in units of 1/256; `side` is odd.
fn gaussian_weights(side: usize, sigma: f64) -> Vec<u32> {
    if sigma <= 0.0 {
        match side {
            1 => return vec![256],
            3 => return vec![64, 128, 64],
            5 => return vec![16, 64, 96, 64, 16],
            7 => return vec![8, 28, 56, 72, 56, 28, 8],
            _ => {}
        }
    }
    let exact = gaussian_kernel(side, sigma);
    // Error diffusion from the rim inwards; the centre takes what is left of 256.
    let mut weights = vec![0u32; side];
    let (mut error, mut sum) = (0.0, 0);
    for i in 0..side / 2 {
        let wanted = exact[i] * 256.0 + error;
        let given = wanted.round_ties_even();
        error = wanted - given;
        weights[i] = given as u32;
        weights[side - 1 - i] = given as u32;
        sum += 2 * given as u32;
    }
    weights[side / 2] = 256 - sum;
    weights
}

/// `cv2.getGaussianKernel(side, sigma)`: sums to 1; `sigma <= 0` stands for `0.3 * ((side - 1) / 2 - 1) + 0.8`.
pub(crate) fn gaussian_kernel(side: usize, sigma: f64) -> Vec<f64> {
    let sigma = if sigma > 0.0 { sigma } else { 0.15 * side as f64 + 0.35 };
    let scale = -0.125 / (sigma * sigma);
    let mut weights: Vec<f64> = (0..side)
        .map(|i| {
            let x = 2.0 * i as f64 + 1.0 - side as f64;
            (x * x * scale).exp()
        })
        .collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    weights
}

/// The side OpenCV picks for an 8-bit Gaussian when only `sigma` is given.
pub(crate) fn gaussian_side(sigma: f64) -> usize {
    ((sigma * 6.0 + 1.0).round_ties_even() as usize) | 1
}

/// `cv2.GaussianBlur` on 8 bits with a `side` x `side` window (odd), border `REFLECT_101`.
pub(crate) fn gaussian_blur(image: &Image, side: usize, sigma: f64) -> Image {
    let weights = gaussian_weights(side, sigma);
    let (half, stride) = (side / 2, image.stride());
    // A row's sums are at most 255 * 256 and fit u16; the sums of rows stay below 2^24, where f32 counts exactly.
    let mut ring: Vec<Vec<f32>> = vec![vec![0.0; stride]; side];
    let mut padded: Vec<u16> = Vec::new();
    let mut sums = vec![0u16; stride];
    let mut smooth_row = |y: isize, out: &mut [f32]| {
        padded_row(image, y, (half, half), reflect_101, &mut padded);
        sums.fill(0);
        for (i, &w) in weights.iter().enumerate() {
            for (s, &p) in sums.iter_mut().zip(&padded[i * 3..i * 3 + stride]) {
                *s = s.wrapping_add(p.wrapping_mul(w as u16));
            }
        }
        out.iter_mut().zip(&sums).for_each(|(o, &s)| *o = f32::from(s));
    };
    for (slot, row) in ring.iter_mut().enumerate().take(side - 1) {
        smooth_row(slot as isize - half as isize, row);
    }
    let mut out = Image::filled(image.height, image.width, 0);
    let mut acc = vec![0f32; stride];
    for y in 0..image.height {
        let newest = y + side - 1;
        smooth_row(newest as isize - half as isize, &mut ring[newest % side]);
        acc.fill(32768.0);
        for (dy, &w) in weights.iter().enumerate() {
            for (a, &r) in acc.iter_mut().zip(&ring[(y + dy) % side]) {
                *a += r * w as f32;
            }
        }
        for (o, &a) in out.data[y * stride..(y + 1) * stride].iter_mut().zip(&acc) {
            *o = (a * (1.0 / 65536.0)) as u8;
        }
    }
    out
}

/// `cv2.medianBlur` with an odd `k` up to 7, edge pixels repeated.
pub(crate) fn median_blur(image: &Image, k: usize) -> Image {
    if k <= 1 {
        return image.clone();
    }
    let (half, stride, taps) = (k / 2, image.stride(), k * k);
    let network = median_network(taps);
    let mut ring: Vec<Vec<u8>> = vec![Vec::new(); k];
    let fill = |row: &mut Vec<u8>, y: isize| padded_row(image, y, (half, half), replicate, row);
    for (slot, row) in ring.iter_mut().enumerate().take(k - 1) {
        fill(row, slot as isize - half as isize);
    }
    let mut out = Image::filled(image.height, image.width, 0);
    let mut lanes = vec![[0u8; 32]; taps];
    for y in 0..image.height {
        let newest = y + k - 1;
        fill(&mut ring[newest % k], newest as isize - half as isize);
        for start in (0..stride).step_by(32) {
            let count = (stride - start).min(32);
            for dy in 0..k {
                let row = &ring[(y + dy) % k];
                for dx in 0..k {
                    let from = start + dx * 3;
                    lanes[dy * k + dx][..count].copy_from_slice(&row[from..from + count]);
                }
            }
            sort_network(&mut lanes, &network);
            out.data[y * stride + start..y * stride + start + count].copy_from_slice(&lanes[taps / 2][..count]);
        }
    }
    out
}

/// Batcher's odd-even merge sort for `n` lanes, cut down to the exchanges that reach the middle lane.
fn median_network(n: usize) -> Vec<(u8, u8)> {
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
    let mut live = vec![false; n];
    live[n / 2] = true;
    let mut kept: Vec<(u8, u8)> = Vec::new();
    for &(a, b) in pairs.iter().rev() {
        if live[a as usize] || live[b as usize] {
            live[a as usize] = true;
            live[b as usize] = true;
            kept.push((a, b));
        }
    }
    kept.reverse();
    kept
}
