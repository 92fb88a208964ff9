//! Lays one picture over another and says how well they fit.
//!
//! Angle and scale come from the log-polar spectra, the place from a correlation, and all of them are then refined by
//! Gauss-Newton steps over an affine map. What counts is the correlation of the fine detail that both pictures show:
//! two cells of one kind have the same outline, and only a copy has the same detail.

use std::f32::consts::PI;

use rustfft::num_complex::Complex32;

use crate::fingerprint::{
    ANGLES, DISC, Fingerprinter, Frame, PreparedView, RING_STEP, RINGS, SHIFTS, SIDE, blur, centred, overlapping,
};

/// Turns and scales that are tried, each with its half turn.
const HYPOTHESES: usize = 3;
/// Spectra that correlate less are not tried.
const LEAST_SPECTRUM: f32 = 0.08;
/// Farthest that a copy may be shifted, px of the reduced picture.
const FARTHEST: f32 = 28.0;
/// Least share of the disc that both pictures must show.
const LEAST_OVERLAP: f32 = 0.6;
/// Least correlation before refinement for which refinement is worth while.
const LEAST_COARSE: f32 = 0.12;

/// Least correlation after the first refinement for which there is another.
const LEAST_ROUGH: f32 = 0.2;

/// What moves by less, px of the reduced picture, is in the same place.
const IN_PLACE: f32 = 1.5;

/// Turns, over half a circle, in which a picture is laid over itself; each with its half turn.
const TURNS: usize = 12;

/// An affine map from places of the first picture to places of the second, both from their centres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    /// Row by row: `x' = m0·x + m1·y + m2`, `y' = m3·x + m4·y + m5`.
    pub(crate) m: [f32; 6],
}

/// How one image lies over another: the map between them and how well they fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Registration {
    /// Correlation of the fine detail, at most 1.
    pub score: f32,
    /// Which part of both images was compared.
    pub frame: Frame,
    /// From places of the first view to places of the second.
    pub(crate) map: Affine,
    /// Whether the second is a mirror image of the first.
    pub mirrored: bool,
    /// Rotation from the first to the second, degrees.
    pub angle: f32,
    /// Size in the second over size in the first, each as a share of its short side.
    pub scale: f32,
}

impl Registration {
    /// Whether everything lies in the same place of both pictures.
    pub(crate) fn stays(&self) -> bool {
        let [xx, xy, x0, yx, yy, y0] = self.map.m;
        let turned = [xx - 1.0, xy, yx, yy - 1.0].iter().any(|part| part.abs() > IN_PLACE / DISC);
        !turned && x0.abs() <= IN_PLACE && y0.abs() <= IN_PLACE
    }
}

/// The best registration of `b` on `a` that was found, if there is one at all.
///
/// `spectrum` is the transform of `a`'s detail under the window, transposed.
pub(crate) fn register(
    fingerprinter: &Fingerprinter,
    (a, spectrum): (&PreparedView, &[Complex32]),
    b: &PreparedView,
    frame: Frame,
) -> Option<Registration> {
    let mut best: Option<(f32, Affine)> = None;
    for (mirrored, angle, scale) in hypotheses(fingerprinter, a, b) {
        for found in placed(fingerprinter, spectrum, b, mirrored, angle, scale) {
            let score = correlation(fingerprinter, &a.detail, &b.detail, &found);
            if best.is_none_or(|(before, _)| score > before) {
                best = Some((score, found));
            }
        }
    }
    let (coarse, map) = best?;
    let (score, map) =
        if coarse < LEAST_COARSE { (coarse, map) } else { refined(fingerprinter, &a.detail, &b.detail, map, coarse) };
    let [xx, xy, _, yx, yy, _] = map.m;
    let determinant = xx * yy - xy * yx;
    // The x axis is turned round where the map mirrors, so the angle is read from the y axis, which is not.
    let angle = libm::atan2f(-xy, yy).to_degrees();
    Some(Registration { score, frame, map, mirrored: determinant < 0.0, angle, scale: determinant.abs().sqrt() })
}

/// How well a picture lies over itself, turned or mirrored: near 1 for one round thing, low for a field of cells.
///
/// A picture that does so says by its outlines little about which picture it is.
pub(crate) fn likeness_to_itself(fingerprinter: &Fingerprinter, (a, spectrum): (&PreparedView, &[Complex32])) -> f32 {
    let turns = (0..TURNS).flat_map(|turn| [(false, turn), (true, turn)]).skip(1);
    let mut best: Option<(f32, Affine)> = None;
    for (mirrored, turn) in turns {
        for found in placed(fingerprinter, spectrum, a, mirrored, PI * turn as f32 / TURNS as f32, 1.0) {
            let score = correlation(fingerprinter, &a.detail, &a.detail, &found);
            if best.is_none_or(|(before, _)| score > before) {
                best = Some((score, found));
            }
        }
    }
    best.map_or(0.0, |(coarse, map)| refined(fingerprinter, &a.detail, &a.detail, map, coarse).0)
}

/// The peaks of a correlation over [`ANGLES`] turns: how high, and at which turn, between two of them.
fn ring_peaks(re: &[f32], scale: f32) -> Vec<(f32, f32)> {
    let peak = |at: usize| {
        let (before, here, after) = (re[(at + ANGLES - 1) % ANGLES], re[at], re[(at + 1) % ANGLES]);
        let curve = before - 2.0 * here + after;
        let offset = if curve < 0.0 { 0.5 * (before - after) / curve } else { 0.0 };
        let is_peak = here >= before && here > after && here * scale > LEAST_SPECTRUM;
        is_peak.then_some((here * scale, at as f32 + offset))
    };
    (0..ANGLES).filter_map(peak).collect()
}

/// The turns and scales that the spectra speak for: (mirrored, angle, scale), the likeliest first.
fn hypotheses(fingerprinter: &Fingerprinter, a: &PreparedView, b: &PreparedView) -> Vec<(bool, f32, f32)> {
    let mut peaks: Vec<(f32, bool, isize, f32)> = Vec::new();
    for mirrored in [false, true] {
        for shift in -SHIFTS..=SHIFTS {
            let (a_rings, b_rings) = overlapping(&a.rings, &b.rings, ANGLES, shift);
            let mut sum = vec![Complex32::ZERO; ANGLES];
            for (at, (a, b)) in a_rings.iter().zip(b_rings).enumerate() {
                // The transform of a ring read backwards is the conjugate of its transform.
                sum[at % ANGLES] += b * if mirrored { *a } else { a.conj() };
            }
            fingerprinter.circle.inverse(&mut sum);
            let re: Vec<f32> = sum.iter().map(|value| value.re).collect();
            let rings = RINGS as f32 - shift.unsigned_abs() as f32;
            let scale = 1.0 / (rings * (ANGLES * ANGLES) as f32);
            let found = ring_peaks(&re, scale).into_iter();
            peaks.extend(found.map(|(height, at)| (height, mirrored, shift, at)));
        }
    }
    peaks.sort_by(|p, q| q.0.total_cmp(&p.0));
    let mut kept: Vec<(f32, bool, isize, f32)> = Vec::new();
    for peak in peaks {
        let near = |other: &(f32, bool, isize, f32)| {
            let apart = (other.3 - peak.3).abs();
            other.1 == peak.1 && apart.min(ANGLES as f32 - apart) < 3.0
        };
        if kept.len() < HYPOTHESES && !kept.iter().any(near) {
            kept.push(peak);
        }
    }
    let angle = |at: f32| at * PI / ANGLES as f32;
    kept.into_iter()
        .map(|(_, mirrored, shift, at)| (mirrored, angle(at), libm::expf(-RING_STEP * shift as f32)))
        .collect()
}

/// The maps of this turn and scale, and of half a turn more, moved to where the pictures correlate best.
fn placed(
    fingerprinter: &Fingerprinter,
    a: &[Complex32],
    b: &PreparedView,
    mirrored: bool,
    angle: f32,
    scale: f32,
) -> [Affine; 2] {
    let (sin, cos) = (scale * libm::sinf(angle), scale * libm::cosf(angle));
    let flip = if mirrored { -1.0 } else { 1.0 };
    let map = Affine { m: [cos * flip, -sin, 0.0, sin * flip, cos, 0.0] };
    let half = Affine { m: map.m.map(|value| -value) };
    let turned: Vec<f32> = (0..SIDE * SIDE)
        .map(|at| {
            let (x, y) = centred(at);
            sample(&b.detail, map.of(x, y)).map_or(0.0, |(value, _, _)| value)
        })
        .collect();
    // Half a turn more is the picture read backwards. Both are real, so one transform holds both: one in the real parts, the
    // other in the imaginary parts.
    let both = turned.iter().zip(turned.iter().rev()).zip(&fingerprinter.window);
    let mut product: Vec<Complex32> =
        both.map(|((turned, half), weight)| Complex32::new(turned * weight, half * weight)).collect();
    fingerprinter.plane.forward_2d(&mut product);
    product.iter_mut().zip(a).for_each(|(b, a)| *b *= a.conj());
    fingerprinter.plane.inverse_2d(&mut product);
    let signed = |at: usize| if at < SIDE / 2 { at as f32 } else { at as f32 - SIDE as f32 };
    let mut best = [(f32::MIN, 0.0, 0.0); 2];
    for (at, value) in product.iter().enumerate() {
        let (x, y) = (signed(at % SIDE), signed(at / SIDE));
        if x * x + y * y <= FARTHEST * FARTHEST {
            for (best, value) in best.iter_mut().zip([value.re, value.im]) {
                if value > best.0 {
                    *best = (value, x, y);
                }
            }
        }
    }
    let moved = |mut map: Affine, (_, x, y): (f32, f32, f32)| {
        (map.m[2], map.m[5]) = map.of(x, y);
        map
    };
    [moved(map, best[0]), moved(half, best[1])]
}

impl Affine {
    fn of(&self, x: f32, y: f32) -> (f32, f32) {
        let [xx, xy, x0, yx, yy, y0] = self.m;
        (xx * x + xy * y + x0, yx * x + yy * y + y0)
    }
}

/// Value and slopes at a place, measured from the centre; nothing outside.
#[inline(always)]
fn sample(picture: &[f32], (x, y): (f32, f32)) -> Option<(f32, f32, f32)> {
    let middle = (SIDE as f32 - 1.0) / 2.0;
    let (x, y) = (x + middle, y + middle);
    let most = SIDE as f32 - 1.0;
    if !(x >= 0.0 && y >= 0.0 && x < most && y < most) {
        return None;
    }
    // `fract` is a call into the mathematical library.
    let (left, top) = (x as i32, y as i32);
    let (fx, fy) = (x - left as f32, y - top as f32);
    let at = top as usize * SIDE + left as usize;
    let (p, q, r, s) = (picture[at], picture[at + 1], picture[at + SIDE], picture[at + SIDE + 1]);
    let (top, bottom) = (p + (q - p) * fx, r + (s - r) * fx);
    let slope_x = (q - p) + ((s - r) - (q - p)) * fy;
    Some((top + (bottom - top) * fy, slope_x, bottom - top))
}

/// Correlation of two pictures over the disc; 0 where they share too little of it.
fn correlation(fingerprinter: &Fingerprinter, a: &[f32], b: &[f32], map: &Affine) -> f32 {
    let mut n = 0.0;
    let (mut sa, mut sb, mut saa, mut sbb, mut sab) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
    for &(at, x, y) in &fingerprinter.disc {
        let Some((value, _, _)) = sample(b, map.of(x, y)) else { continue };
        n += 1.0;
        sa += a[at];
        sb += value;
        saa += a[at] * a[at];
        sbb += value * value;
        sab += a[at] * value;
    }
    if n < LEAST_OVERLAP * fingerprinter.disc.len() as f32 {
        return 0.0;
    }
    let (va, vb) = (saa - sa * sa / n, sbb - sb * sb / n);
    if va <= 1e-6 || vb <= 1e-6 { 0.0 } else { (sab - sa * sb / n) / (va * vb).sqrt() }
}

/// Blocks along a side of the square around the disc.
const BLOCKS: usize = 6;
/// Share of the blocks that may correlate less than the number that stands for all: a mark, a hair, a corner out of focus.
const SPARED_BLOCKS: f32 = 0.1;

/// Correlation of two pictures in the blocks of the disc that both show, the worst but [`SPARED_BLOCKS`].
///
/// Copies are alike everywhere. Different fields under the dust of one sensor, or with the same mark, are alike in some blocks only.
pub(crate) fn spread(fingerprinter: &Fingerprinter, a: &[f32], b: &[f32], map: &Affine) -> f32 {
    let mut sums = [[0.0_f32; 6]; BLOCKS * BLOCKS];
    let block = |from_centre: f32| ((from_centre + DISC) / (2.0 * DISC) * BLOCKS as f32) as usize;
    for &(at, x, y) in &fingerprinter.disc {
        let Some((value, _, _)) = sample(b, map.of(x, y)) else { continue };
        let found = [1.0, a[at], value, a[at] * a[at], value * value, a[at] * value];
        let sums = &mut sums[block(y).min(BLOCKS - 1) * BLOCKS + block(x).min(BLOCKS - 1)];
        sums.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
    }
    let whole = (2.0 * DISC / BLOCKS as f32).powi(2);
    let of_block = |[n, sa, sb, saa, sbb, sab]: [f32; 6]| {
        let (va, vb) = (saa - sa * sa / n, sbb - sb * sb / n);
        if va <= 1e-6 || vb <= 1e-6 { 0.0 } else { (sab - sa * sb / n) / (va * vb).sqrt() }
    };
    let mut alike: Vec<f32> = sums.into_iter().filter(|sums| sums[0] >= whole / 2.0).map(of_block).collect();
    alike.sort_by(f32::total_cmp);
    alike.get((alike.len() as f32 * SPARED_BLOCKS) as usize).copied().unwrap_or(0.0)
}

/// Improves a map while the pictures fit better, first on blurred ones.
fn refined(fingerprinter: &Fingerprinter, a: &[f32], b: &[f32], start: Affine, coarse: f32) -> (f32, Affine) {
    let mut best = (coarse, start);
    for radius in [3, 1, 0] {
        let smooth = |picture: &[f32]| if radius == 0 { picture.to_vec() } else { blur(picture, radius, 2) };
        let (a_smooth, b_smooth) = (smooth(a), smooth(b));
        let mut map = best.1;
        let mut fit = correlation(fingerprinter, &a_smooth, &b_smooth, &map);
        for _ in 0..10 {
            let Some(next) = step(fingerprinter, &a_smooth, &b_smooth, &map) else { break };
            let better = correlation(fingerprinter, &a_smooth, &b_smooth, &next);
            if better <= fit + 1e-4 {
                break;
            }
            (map, fit) = (next, better);
        }
        let score = correlation(fingerprinter, a, b, &map);
        if score > best.0 {
            best = (score, map);
        }
        if best.0 < LEAST_ROUGH {
            break;
        }
    }
    best
}

/// One Gauss-Newton step; nothing where the pictures do not determine it or it leads far away.
fn step(fingerprinter: &Fingerprinter, a: &[f32], b: &[f32], map: &Affine) -> Option<Affine> {
    let mut normal = [[0.0_f64; 7]; 6];
    for &(at, x, y) in &fingerprinter.disc {
        let Some((value, slope_x, slope_y)) = sample(b, map.of(x, y)) else { continue };
        // Places are scaled to about 1 so that the six numbers weigh alike.
        let (u, v) = (x / DISC, y / DISC);
        let row = [slope_x * u, slope_x * v, slope_x, slope_y * u, slope_y * v, slope_y];
        let rest = f64::from(a[at] - value);
        for (first, (equation, own)) in normal.iter_mut().zip(row).enumerate() {
            for (value, other) in equation[first..].iter_mut().zip(&row[first..]) {
                *value += f64::from(own * other);
            }
            equation[6] += f64::from(own) * rest;
        }
    }
    // The matrix is symmetric.
    for (row, column) in (1..6).flat_map(|row| (0..row).map(move |column| (row, column))) {
        normal[row][column] = normal[column][row];
    }
    let moved = solve(normal)?;
    let farthest = moved.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    if farthest > 12.0 {
        return None;
    }
    let mut next = *map;
    for (index, change) in moved.into_iter().enumerate() {
        let scale = if index % 3 == 2 { 1.0 } else { 1.0 / DISC };
        next.m[index] += change as f32 * scale;
    }
    Some(next)
}

/// Solves six equations, the right side in the last column.
pub(crate) fn solve(mut rows: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for column in 0..6 {
        let pivot = (column..6).max_by(|&p, &q| rows[p][column].abs().total_cmp(&rows[q][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-9 {
            return None;
        }
        let pivot_row = rows[column];
        for row in 0..6 {
            if row != column {
                let factor = rows[row][column] / rows[column][column];
                for (value, of) in rows[row].iter_mut().zip(pivot_row).skip(column) {
                    *value -= factor * of;
                }
            }
        }
    }
    Some(std::array::from_fn(|index| rows[index][6] / rows[index][index]))
}
