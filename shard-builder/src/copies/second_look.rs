//! A second look at two images that look alike, with their pixels.
//!
//! Cells of one kind have one outline: laid over each other, turned and stretched to fit, two of them correlate by .99 without
//! being copies. A copy has the same *pixels*: what remains after subtracting one image from the other is what compression
//! and resampling leave, a few grey levels that follow the edges, and nowhere a patch in which the two differ by more than they
//! vary. So brightness and colour are compared as they are, at the resolution of the coarser image, place by place, over all
//! that both images show, and a stretch that only a drawn-out frame explains is no copy's.

use image::{RgbImage, imageops};

use super::align::{Map, Overlay, solve};
use super::fingerprint::{Frame, SIDE, extent};
use super::plane::Plane;

/// Short side at which two images are compared, at most, px.
const FINEST: f32 = 256.0;
/// Smaller images are not looked at again, px.
const COARSEST: f32 = 16.0;
/// A longer side is compared up to so many short ones.
const LONGEST: u32 = 8;
/// Share of places that may differ more than the number by which a pair is judged: a hair, a mark.
const SPARED: f32 = 0.003;
/// Places nearer to the edge of the overlap say nothing: resampling invents them.
const EDGE: f32 = 2.0;
/// Corners of the frame that land within this share of a side are taken for corners.
const CORNER: f32 = 0.04;
/// Variance in grey levels² that a place is granted: noise of the compression of a field without structure.
const GRANTED: f32 = 4.0;

/// Variance beyond which compression does not err more, grey levels².
const STRONG: f32 = 30.0;

/// Squared difference over variance, at the worst place but [`SPARED`]: copies have at most 0.8, other cells 3 and more.
const MOST_DIFFERENCE: f32 = 0.8;
/// Difference of colour, grey levels: copies have at most 2.3, cells of another stain 5 and more.
const MOST_TINT: f32 = 3.5;
/// Ratio of the stretches along two directions, at most.
const MOST_STRETCH: f32 = 1.035;
/// Local correlation of the finest texture, of the lower third of the places that have any.
const LEAST_TEXTURE: f32 = 0.5;
/// Texture of less power, grey levels², is what rounding leaves.
const ROUNDING: f32 = 0.01;
/// Share of the places that must have texture for it to say anything.
const TEXTURED: f32 = 0.2;
/// Least share of the first image that the second shows.
const LEAST_SHARED: f32 = 0.6;

/// How two images differ once one lies over the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    /// Squared difference of brightness over variance, at the worst place but [`SPARED`].
    pub(super) detail: f32,
    /// Difference of colour, grey levels, root of the mean square.
    pub(super) tint: f32,
    /// Ratio of the larger stretch to the smaller, 1 for none.
    pub(super) stretch: f32,
    /// Share of the compared region that both show.
    pub(super) shared: f32,
    /// Local correlation of the finest texture, of the lower third of the places that have any; 0 where few have.
    pub(super) texture: f32,
    /// Whether the first image fills the frame of the second exactly, and all of it was compared: nothing was fitted.
    pub(super) exact: bool,
}

impl Difference {
    /// Whether one image can be a copy of the other.
    pub(super) fn is_of_copies(&self) -> bool {
        self.detail <= MOST_DIFFERENCE
            && self.tint <= MOST_TINT
            && self.stretch <= MOST_STRETCH
            && self.shared >= LEAST_SHARED
            && (self.exact || self.texture >= LEAST_TEXTURE)
    }
}

/// An image reduced to the size at which it is compared.
struct Sight {
    luma: Plane,
    /// Red less brightness, blue less brightness, without fine detail, of which JPEG keeps little.
    tints: [Plane; 2],
    /// The left upper corner and the size of the compared frame, px of this plane.
    frame: [f32; 4],
}

/// An affine map between pixels of two sights, from the middle of the first pixel.
type Pixels = [f32; 6];

/// How `b` differs from `a` where `overlay` lays it; nothing where they are too small to say.
pub(super) fn difference(a: &RgbImage, b: &RgbImage, overlay: &Overlay) -> Option<Difference> {
    let [(_, _, a_width, a_height), (_, _, b_width, b_height)] =
        [a, b].map(|image| extent(image.dimensions(), overlay.frame));
    // Both frames are reduced to the same size, the smaller of both along each side.
    let [xx, xy, ..] = overlay.map.m;
    let upright = xx.abs() > xy.abs();
    let (b_along, b_across) = if upright { (b_width, b_height) } else { (b_height, b_width) };
    let (along, across) = (a_width.min(b_along) as f32, a_height.min(b_across) as f32);
    let by = (FINEST / along.min(across)).min(1.0);
    let (along, across) = (along * by, across * by);
    if along.min(across) < COARSEST {
        return None;
    }
    let a = Sight::new(a, overlay.frame, (along, across));
    let b = Sight::new(b, overlay.frame, if upright { (along, across) } else { (across, along) });
    let start = between(&a, &b, &overlay.map);
    if let Some(exact) = corners(&a, &b, &start) {
        let found = compared(&a, &b, &exact, true);
        if found.is_of_copies() {
            return Some(found);
        }
    }
    let found = refined(&a, &b, start);
    Some(match corners(&a, &b, &found) {
        Some(_) => compared(&a, &b, &found, true),
        None => compared(&a, &b, &found, false),
    })
}

impl Sight {
    /// The image with its frame reduced to a size, px.
    fn new(image: &RgbImage, frame: Frame, (frame_width, frame_height): (f32, f32)) -> Self {
        let (left, top, width, height) = extent(image.dimensions(), frame);
        // What lies farther out than some frames on either side is left out: a strip is not compared to its ends.
        let reach = |at: u32, length: u32, whole: u32| {
            let margin = at.min(length * (LONGEST - 1) / 2);
            (at - margin, (length + 2 * margin).min(whole - (at - margin)), margin)
        };
        let (x, w, margin_x) = reach(left, width, image.width());
        let (y, h, margin_y) = reach(top, height, image.height());
        let scaled = |length: u32, by: f32| ((length as f32 * by).round() as u32).max(2);
        let (small_w, small_h) = (scaled(w, frame_width / width as f32), scaled(h, frame_height / height as f32));
        let cut = imageops::crop_imm(image, x, y, w, h).to_image();
        let small = if (w, h) == (small_w, small_h) {
            cut
        } else {
            imageops::resize(&cut, small_w, small_h, imageops::FilterType::Triangle)
        };
        let plane = |of: &dyn Fn([f32; 3]) -> f32| Plane {
            width: small_w as usize,
            height: small_h as usize,
            values: small.pixels().map(|pixel| of(pixel.0.map(f32::from))).collect(),
        };
        let luma = |[red, green, blue]: [f32; 3]| 0.299 * red + 0.587 * green + 0.114 * blue;
        let coarse = (frame_width.min(frame_height) as usize / 40).max(2);
        let tint = |channel: usize| plane(&|rgb| rgb[channel] - luma(rgb)).blurred(coarse, 2);
        let (per_x, per_y) = (small_w as f32 / w as f32, small_h as f32 / h as f32);
        Self {
            luma: plane(&luma),
            tints: [tint(0), tint(2)],
            frame: [margin_x as f32 * per_x, margin_y as f32 * per_y, width as f32 * per_x, height as f32 * per_y],
        }
    }

    /// Scale and origin of the frame's own coordinates, those of an overlay: pixels from the middle of the first.
    fn axes(&self) -> ([f32; 2], [f32; 2]) {
        let [left, top, width, height] = self.frame;
        ([width / SIDE as f32, height / SIDE as f32], [left + width / 2.0 - 0.5, top + height / 2.0 - 0.5])
    }
}

/// An overlay's map in pixels of the two sights.
fn between(a: &Sight, b: &Sight, map: &Map) -> Pixels {
    let (([ax, ay], [a0, a1]), ([bx, by], [b0, b1])) = (a.axes(), b.axes());
    let [xx, xy, x0, yx, yy, y0] = map.m;
    let (xx, xy) = (xx * bx / ax, xy * bx / ay);
    let (yx, yy) = (yx * by / ax, yy * by / ay);
    [xx, xy, x0 * bx + b0 - xx * a0 - xy * a1, yx, yy, y0 * by + b1 - yx * a0 - yy * a1]
}

fn of([xx, xy, x0, yx, yy, y0]: &Pixels, x: f32, y: f32) -> (f32, f32) {
    (xx * x + xy * y + x0, yx * x + yy * y + y0)
}

/// The larger stretch over the smaller, in the coordinates of the frames.
fn stretch(a: &Sight, b: &Sight, map: &Pixels) -> f32 {
    let (([ax, ay], _), ([bx, by], _)) = (a.axes(), b.axes());
    let [xx, xy, _, yx, yy, _] = *map;
    let (p, q, r, s) = (xx * ax / bx, xy * ay / bx, yx * ax / by, yy * ay / by);
    // The singular values of a matrix of two by two are the sum and the difference of two lengths.
    let sum = ((p + s) * (p + s) + (q - r) * (q - r)).sqrt();
    let apart = ((p - s) * (p - s) + (q + r) * (q + r)).sqrt();
    (sum + apart) / (sum - apart).abs().max(1e-6)
}

/// The map that lays the corners of `a` on those of `b` exactly, if `map` nearly does.
fn corners(a: &Sight, b: &Sight, map: &Pixels) -> Option<Pixels> {
    let (aw, ah) = (a.luma.width as f32, a.luma.height as f32);
    let (bw, bh) = (b.luma.width as f32, b.luma.height as f32);
    // Along each axis of `b` the place is a share of one of `a`'s sides, forwards or backwards.
    let [xx, xy, _, yx, yy, _] = *map;
    let straight = xx.abs() * aw / bw > xy.abs() * ah / bw;
    let along = |value: f32, from: f32, to: f32| (to / from).copysign(value);
    let mut exact = if straight {
        [along(xx, aw, bw), 0.0, 0.0, 0.0, along(yy, ah, bh), 0.0]
    } else {
        [0.0, along(xy, ah, bw), 0.0, along(yx, aw, bh), 0.0, 0.0]
    };
    let (x, y) = of(&exact, (aw - 1.0) / 2.0, (ah - 1.0) / 2.0);
    (exact[2], exact[5]) = ((bw - 1.0) / 2.0 - x, (bh - 1.0) / 2.0 - y);
    let near = |x: f32, y: f32| {
        let ((px, py), (qx, qy)) = (of(map, x, y), of(&exact, x, y));
        (px - qx).abs() < CORNER * bw && (py - qy).abs() < CORNER * bh
    };
    let (right, low) = (aw - 1.0, ah - 1.0);
    (near(0.0, 0.0) && near(right, 0.0) && near(0.0, low) && near(right, low)).then_some(exact)
}

/// Whether a place of a plane is compared: all of it, or the ellipse that a turned copy still shows.
fn inside(plane: &Plane, whole: bool, x: f32, y: f32) -> bool {
    let (half_w, half_h) = (plane.width as f32 / 2.0, plane.height as f32 / 2.0);
    let (dx, dy) = ((x + 0.5) / half_w - 1.0, (y + 0.5) / half_h - 1.0);
    whole || dx * dx + dy * dy < 0.82
}

/// Where a place of `a` lies in `b`, for each place that is compared and that both show.
fn places<'a>(
    a: &'a Plane,
    b: &'a Plane,
    map: &'a Pixels,
    whole: bool,
) -> impl Iterator<Item = (usize, f32, f32)> + 'a {
    let within = |plane: &Plane, x: f32, y: f32| {
        x >= EDGE && y >= EDGE && x <= plane.width as f32 - 1.0 - EDGE && y <= plane.height as f32 - 1.0 - EDGE
    };
    (0..a.values.len()).filter_map(move |at| {
        let (x, y) = ((at % a.width) as f32, (at / a.width) as f32);
        let (bx, by) = of(map, x, y);
        (inside(a, whole, x, y) && within(a, x, y) && within(b, bx, by)).then_some((at, bx, by))
    })
}

/// The map improved by Gauss-Newton steps as long as the difference of the fine detail becomes smaller.
fn refined(a: &Sight, b: &Sight, start: Pixels) -> Pixels {
    let fine = |sight: &Sight| {
        let (near, far) = (sight.luma.blurred(1, 1), sight.luma.blurred(4, 2));
        near.map(near.values.iter().zip(&far.values).map(|(near, far)| near - far))
    };
    let (a, b) = (fine(a), fine(b));
    let mut best = (f64::MAX, start);
    let mut map = start;
    for _ in 0..8 {
        let (cost, next) = step(&a, &b, &map);
        if cost > best.0 * 0.9999 {
            break;
        }
        best = (cost, map);
        match next {
            Some(next) => map = next,
            None => break,
        }
    }
    best.1
}

/// The mean squared difference under a map, and the next map, if the pictures determine one nearby.
fn step(a: &Plane, b: &Plane, map: &Pixels) -> (f64, Option<Pixels>) {
    let (half_w, half_h) = (a.width as f32 / 2.0, a.height as f32 / 2.0);
    let mut normal = [[0.0_f64; 7]; 6];
    let (mut cost, mut count) = (0.0_f64, 0.0_f64);
    for (at, bx, by) in places(a, b, map, false) {
        let Some((value, slope_x, slope_y)) = b.sample((bx, by)) else { continue };
        let (u, v) = ((at % a.width) as f32 / half_w - 1.0, (at / a.width) as f32 / half_h - 1.0);
        let row = [slope_x * u, slope_x * v, slope_x, slope_y * u, slope_y * v, slope_y];
        let rest = f64::from(a.values[at] - value);
        cost += rest * rest;
        count += 1.0;
        for (first, (equation, own)) in normal.iter_mut().zip(row).enumerate() {
            for (value, other) in equation[first..].iter_mut().zip(&row[first..]) {
                *value += f64::from(own * other);
            }
            equation[6] += f64::from(own) * rest;
        }
    }
    for (row, column) in (1..6).flat_map(|row| (0..row).map(move |column| (row, column))) {
        normal[row][column] = normal[column][row];
    }
    let cost = if count > 0.0 { cost / count } else { f64::MAX };
    let next = solve(normal).filter(|moved| moved.iter().all(|value| value.abs() < 4.0)).map(|moved| {
        let [xx, xy, x0, yx, yy, y0] = moved.map(|value| value as f32);
        let row = |x: f32, y: f32, zero: f32| [x / half_w, y / half_h, zero - x - y];
        let (first, second) = (row(xx, xy, x0), row(yx, yy, y0));
        let change = [first[0], first[1], first[2], second[0], second[1], second[2]];
        std::array::from_fn(|index| map[index] + change[index])
    });
    (cost, next)
}

/// How `b` differs under a map, over all of `a` or over the ellipse that a turned copy still shows.
fn compared(a: &Sight, b: &Sight, map: &Pixels, whole: bool) -> Difference {
    let a_luma = &a.luma;
    let shown: Vec<(usize, f32, f32)> = places(a_luma, &b.luma, map, whole).collect();
    let region = (0..a_luma.values.len())
        .filter(|at| inside(a_luma, whole, (at % a_luma.width) as f32, (at / a_luma.width) as f32))
        .count();
    let shared = shown.len() as f32 / region.max(1) as f32;
    let stretch = stretch(a, b, map);
    let exact = corners(a, b, map).is_some_and(|exact| exact == *map);
    if shown.is_empty() {
        return Difference { detail: f32::MAX, tint: f32::MAX, stretch, shared, texture: 0.0, exact };
    }
    let smooth = moments(&a_luma.blurred(1, 2), &b.luma.blurred(1, 2), &shown);
    let mut apart: Vec<f32> =
        smooth.iter().map(|of| of.apart / (of.ours.min(of.theirs).min(STRONG) + GRANTED)).collect();
    let fine = moments(&finest(a_luma), &finest(&b.luma), &shown);
    let textured = fine.iter().filter(|of| of.ours.min(of.theirs) > ROUNDING);
    let mut texture: Vec<f32> = textured.map(Moments::correlation).collect();
    let enough = texture.len() as f32 >= TEXTURED * shown.len() as f32;
    Difference {
        detail: share(&mut apart, 1.0 - SPARED),
        tint: tint(a, b, &shown),
        stretch,
        shared,
        texture: if enough { share(&mut texture, 1.0 / 3.0) } else { 0.0 },
        exact,
    }
}

/// The finest texture that survives resampling: noise, grain, chromatin.
fn finest(luma: &Plane) -> Plane {
    let (near, far) = (luma.blurred(1, 1), luma.blurred(2, 2));
    near.map(near.values.iter().zip(&far.values).map(|(near, far)| near - far))
}

/// The difference of colour, grey levels, root of the mean square.
fn tint(a: &Sight, b: &Sight, shown: &[(usize, f32, f32)]) -> f32 {
    let square = |&(at, bx, by): &(usize, f32, f32)| -> f64 {
        let of =
            |(one, other): (&Plane, &Plane)| other.sample((bx, by)).map_or(0.0, |(value, ..)| value - one.values[at]);
        a.tints.iter().zip(&b.tints).map(of).map(|apart| f64::from(apart * apart) / 2.0).sum()
    };
    (shown.iter().map(square).sum::<f64>() / shown.len() as f64).sqrt() as f32
}

/// Of the window around a place: variance in either picture, their mean product, and the mean squared difference.
struct Moments {
    ours: f32,
    theirs: f32,
    product: f32,
    apart: f32,
}

impl Moments {
    fn correlation(&self) -> f32 {
        self.product / (self.ours * self.theirs).sqrt().max(1e-6)
    }
}

/// The moments around each place that both pictures show.
fn moments(a: &Plane, b: &Plane, shown: &[(usize, f32, f32)]) -> Vec<Moments> {
    // Means over windows: shown, either, their squares, their product.
    let mut sums: [Vec<f32>; 6] = std::array::from_fn(|_| vec![0.0; a.values.len()]);
    // Near the mean, the squares do not drown the variance.
    let middle = a.values.iter().map(|value| f64::from(*value)).sum::<f64>() / a.values.len() as f64;
    for &(at, bx, by) in shown {
        let Some((theirs, ..)) = b.sample((bx, by)) else { continue };
        let (ours, theirs) = (a.values[at] - middle as f32, theirs - middle as f32);
        let found = [1.0, ours, theirs, ours * ours, theirs * theirs, ours * theirs];
        sums.iter_mut().zip(found).for_each(|(sum, value)| sum[at] = value);
    }
    let radius = (a.width.min(a.height) / 24).max(3);
    let [weight, ours, theirs, ours2, theirs2, product] = sums.map(|values| a.map(values).blurred(radius, 2).values);
    let of = |&(at, ..): &(usize, f32, f32)| {
        let mean = |values: &[f32]| values[at] / weight[at].max(1e-6);
        let (one, other) = (mean(&ours), mean(&theirs));
        Moments {
            ours: (mean(&ours2) - one * one).max(0.0),
            theirs: (mean(&theirs2) - other * other).max(0.0),
            product: mean(&product) - one * other,
            apart: (mean(&ours2) + mean(&theirs2) - 2.0 * mean(&product)).max(0.0),
        }
    };
    shown.iter().map(of).collect()
}

/// The value below which a share of all lie.
fn share(values: &mut [f32], share: f32) -> f32 {
    let at = ((values.len() as f32 * share) as usize).min(values.len().saturating_sub(1));
    *values.select_nth_unstable_by(at, |p, q| p.total_cmp(q)).1
}
