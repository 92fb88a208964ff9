//! Histogram equalisation, global and in tiles (CLAHE), on 8 bits.
#![allow(clippy::needless_range_loop, reason = "one index runs through several lanes, which is what vectorises")]

use std::ops::Range;

use super::border::reflect_101;
use crate::pool::Buf;
use crate::round::round_u8;
use crate::simd;

/// `cv2.equalizeHist` on channel `c` of `[.., 3]` data, in place.
pub(crate) fn equalize_channel(data: &mut [u8], c: usize) {
    let mut histogram = [0u32; 256];
    data[c..].iter().step_by(3).for_each(|&v| histogram[v as usize] += 1);
    let total: u32 = histogram.iter().sum();
    let Some(first) = histogram.iter().position(|&n| n > 0) else { return };
    if histogram[first] == total {
        return;
    }
    let scale = 255.0f32 / (total - histogram[first]) as f32;
    let mut table = [0u8; 256];
    let mut sum = 0;
    for i in first + 1..256 {
        sum += histogram[i];
        table[i] = round_u8(sum as f32 * scale);
    }
    data[c..].iter_mut().step_by(3).for_each(|v| *v = table[*v as usize]);
}

/// How often each level occurs in channel 0 of a tile of `[height, width, 3]` data; a tile may reach beyond the image.
fn tile_histogram(
    data: &[u8],
    (height, width): (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
) -> [u32; 256] {
    // Two counts in turn: neighbours are often of one level, and a count must be written before it is read again.
    let mut counts = [[0u32; 256]; 2];
    for y in rows {
        let row = &data[reflect_101(y as isize, height) * width * 3..][..width * 3];
        if columns.end <= width {
            let mut pairs = row[columns.start * 3..columns.end * 3].chunks_exact(6);
            for pair in &mut pairs {
                counts[0][pair[0] as usize] += 1;
                counts[1][pair[3] as usize] += 1;
            }
            pairs.remainder().first().into_iter().for_each(|&v| counts[0][v as usize] += 1);
        } else {
            columns.clone().for_each(|x| counts[0][row[reflect_101(x as isize, width) * 3] as usize] += 1);
        }
    }
    std::array::from_fn(|i| counts[0][i] + counts[1][i])
}

/// `cv2.createCLAHE(clip_limit, (tiles_x, tiles_y)).apply` on channel 0 of `[height, width, 3]` data, in place.
pub(crate) fn clahe_channel(
    data: &mut [u8],
    (height, width): (usize, usize),
    clip_limit: f64,
    (tiles_x, tiles_y): (usize, usize),
) {
    let fits = width % tiles_x == 0 && height % tiles_y == 0;
    let extend = |side: usize, tiles: usize| if fits { side } else { side + tiles - side % tiles };
    let (tile_w, tile_h) = (extend(width, tiles_x) / tiles_x, extend(height, tiles_y) / tiles_y);
    let area = tile_w * tile_h;
    let clip = if clip_limit > 0.0 { ((clip_limit * area as f64 / 256.0) as u32).max(1) } else { u32::MAX };
    let scale = 255.0f32 / area as f32;
    let mut tables = Buf::<u8>::zeroed(tiles_x * tiles_y * 256);
    for (k, table) in tables.as_chunks_mut::<256>().0.iter_mut().enumerate() {
        let (top, left) = (k / tiles_x * tile_h, k % tiles_x * tile_w);
        let mut histogram = tile_histogram(data, (height, width), top..top + tile_h, left..left + tile_w);
        clip_histogram(&mut histogram, clip);
        let mut sum = 0;
        for (t, &n) in table.iter_mut().zip(&histogram) {
            sum += n;
            *t = round_u8(sum as f32 * scale);
        }
    }
    // Each pixel blends the tables of the four tiles whose centres surround it: cell `i` lies before tile `i`.
    let around = |i: usize, inverse: f32| {
        let at = i as f32 * inverse - 0.5;
        let low = at.floor();
        ((low as isize + 1).max(0) as usize, at - low)
    };
    let tables = tables.as_chunks::<256>().0;
    let columns = Buf::collect(width, (0..width).map(|x| around(x, 1.0 / tile_w as f32)));
    // For each cell and level what the four tables say, side by side.
    let mut cells = Buf::<[u8; 4]>::any((tiles_x + 1) * 256);
    let mut last = usize::MAX;
    for (y, row) in data.chunks_exact_mut(width * 3).enumerate() {
        let (band, down) = around(y, 1.0 / tile_h as f32);
        let (upper, lower) = (&tables[band.saturating_sub(1) * tiles_x..], &tables[band.min(tiles_y - 1) * tiles_x..]);
        if band != last {
            last = band;
            for (i, cell) in cells.as_chunks_mut::<256>().0.iter_mut().enumerate() {
                let (left, right) = (i.saturating_sub(1), i.min(tiles_x - 1));
                let corners = [&upper[left], &upper[right], &lower[left], &lower[right]];
                for v in 0..256 {
                    cell[v] = [corners[0][v], corners[1][v], corners[2][v], corners[3][v]];
                }
            }
        }
        clahe_row(row, &cells, &columns, down);
    }
}

simd::wide! {
    /// Channel 0 of a row through the tables of `cells`; `columns` holds each pixel's cell and its place across it.
    pub(crate) fn clahe_row(row: &mut [u8], cells: &[[u8; 4]], columns: &[(usize, f32)], down: f32) = clahe_row_body;
}

#[inline(always)]
pub(super) fn clahe_row_body(row: &mut [u8], cells: &[[u8; 4]], columns: &[(usize, f32)], down: f32) {
    for (part, places) in row.chunks_mut(3 * PART).zip(columns.chunks(PART)) {
        let mut corners = [0u32; PART];
        let mut across = [0f32; PART];
        for (i, (pixel, &(cell, place))) in part.chunks_exact(3).zip(places).enumerate() {
            corners[i] = u32::from_le_bytes(cells[cell * 256 + usize::from(pixel[0])]);
            across[i] = place;
        }
        let mut mixed = [0u8; PART];
        for i in 0..PART {
            let corner = |shift: u32| (corners[i] >> shift & 255) as i32 as f32;
            let above = corner(0) * (1.0 - across[i]) + corner(8) * across[i];
            let below = corner(16) * (1.0 - across[i]) + corner(24) * across[i];
            mixed[i] = round_u8(above * (1.0 - down) + below * down);
        }
        part.iter_mut().step_by(3).zip(mixed).for_each(|(v, m)| *v = m);
    }
}

/// Pixels of a row that are blended at once.
const PART: usize = 32;

/// Cuts bins above `clip` and spreads what was cut.
fn clip_histogram(histogram: &mut [u32; 256], clip: u32) {
    let mut cut = 0;
    for n in histogram.iter_mut().filter(|n| **n > clip) {
        cut += *n - clip;
        *n = clip;
    }
    let (batch, mut rest) = (cut / 256, cut % 256);
    histogram.iter_mut().for_each(|n| *n += batch);
    if rest > 0 {
        let step = (256 / rest as usize).max(1);
        for n in histogram.iter_mut().step_by(step) {
            if rest == 0 {
                break;
            }
            *n += 1;
            rest -= 1;
        }
    }
}
