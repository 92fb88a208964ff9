//! A second look at two images whose outlines say nothing, with their pixels.
//!
//! Cells of one kind have one outline: laid over each other, turned and stretched to fit, two of them correlate by .99 without
//! being copies, and what noise they have is smaller than their edges. So nothing is fitted here: the second image is laid over the
//! first corner on corner, as it is, mirrored or turned by quarters, and then the *pixels* must agree. What remains after
//! subtracting one image from the other is what compression and resampling leave, a few grey levels that follow the edges, and
//! nowhere a patch in which the two differ by more than they vary. Brightness and colour are compared as they are, at the
//! resolution of the coarser image, place by place. Copies of a single cell that were trimmed or turned by odd angles are not found.

use image::imageops;
use imaging::RgbImage;

use crate::align::{Affine, Registration};
use crate::fingerprint::{Frame, SIDE, extent};
use crate::plane::Plane;

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
/// How two images differ once one lies over the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Difference {
    /// Squared difference of brightness over variance, at the worst place but [`SPARED`].
    pub(crate) detail: f32,
    /// Difference of colour, grey levels, root of the mean square.
    pub(crate) tint: f32,
}

impl Difference {
    /// Whether one image can be a copy of the other.
    pub(crate) fn is_of_copies(&self) -> bool {
        self.detail <= MOST_DIFFERENCE && self.tint <= MOST_TINT
    }
}

/// An image reduced to the size at which it is compared.
struct ReducedImage {
    luma: Plane,
    /// Red less brightness, blue less brightness, without fine detail, of which JPEG keeps little.
    tints: [Plane; 2],
    /// The left upper corner and the size of the compared frame, px of this plane.
    frame: [f32; 4],
}

/// An affine map between pixels of two reduced images, from the middle of the first pixel.
type PixelMap = [f32; 6];

/// How `b` differs from `a` where `registration` lays it; nothing where it does not lay corner on corner, or they are too small to say.
pub(crate) fn difference(a: &RgbImage, b: &RgbImage, registration: &Registration) -> Option<Difference> {
    let [(_, _, a_width, a_height), (_, _, b_width, b_height)] =
        [a, b].map(|image| extent(image.dimensions(), registration.frame));
    // Both frames are reduced to the same size, the smaller of both along each side.
    let [xx, xy, ..] = registration.map.m;
    let upright = xx.abs() > xy.abs();
    let (b_along, b_across) = if upright { (b_width, b_height) } else { (b_height, b_width) };
    let (along, across) = (a_width.min(b_along) as f32, a_height.min(b_across) as f32);
    let by = (FINEST / along.min(across)).min(1.0);
    let (along, across) = (along * by, across * by);
    if along.min(across) < COARSEST {
        return None;
    }
    let a = ReducedImage::new(a, registration.frame, (along, across));
    let b = ReducedImage::new(b, registration.frame, if upright { (along, across) } else { (across, along) });
    let exact = corners(&a, &b, &between(&a, &b, &registration.map))?;
    compared(&a, &b, &exact)
}

impl ReducedImage {
    /// The image with its frame reduced to a size, px.
    fn new(image: &RgbImage, frame: Frame, (frame_width, frame_height): (f32, f32)) -> Self {
        let (left, top, width, height) = extent(image.dimensions(), frame);
        // What lies farther out than some frames on either side is left out: a strip is not compared to its ends.
        let reach = |at: u32, length: u32, whole: u32| {
            // The frame need not lie in the middle to the pixel.
            let (before, behind) = (at, whole - at - length);
            let [before, behind] = [before, behind].map(|margin| margin.min(length * (LONGEST - 1) / 2));
            (at - before, before + length + behind, before)
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

    /// Scale and origin of the frame's own coordinates, those of an registration: pixels from the middle of the first.
    fn axes(&self) -> ([f32; 2], [f32; 2]) {
        let [left, top, width, height] = self.frame;
        ([width / SIDE as f32, height / SIDE as f32], [left + width / 2.0 - 0.5, top + height / 2.0 - 0.5])
    }
}

/// The map of a registration in pixels of the two reduced images.
fn between(a: &ReducedImage, b: &ReducedImage, map: &Affine) -> PixelMap {
    let (([ax, ay], [a0, a1]), ([bx, by], [b0, b1])) = (a.axes(), b.axes());
    let [xx, xy, x0, yx, yy, y0] = map.m;
    let (xx, xy) = (xx * bx / ax, xy * bx / ay);
    let (yx, yy) = (yx * by / ax, yy * by / ay);
    [xx, xy, x0 * bx + b0 - xx * a0 - xy * a1, yx, yy, y0 * by + b1 - yx * a0 - yy * a1]
}

fn of([xx, xy, x0, yx, yy, y0]: &PixelMap, x: f32, y: f32) -> (f32, f32) {
    (xx * x + xy * y + x0, yx * x + yy * y + y0)
}

/// The map that lays the corners of `a` on those of `b` exactly, if `map` nearly does.
fn corners(a: &ReducedImage, b: &ReducedImage, map: &PixelMap) -> Option<PixelMap> {
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

/// Where a place of `a` lies in `b`, for each place that is not at an edge.
fn places<'a>(a: &'a Plane, b: &'a Plane, map: &'a PixelMap) -> impl Iterator<Item = (usize, f32, f32)> + 'a {
    let within = |plane: &Plane, x: f32, y: f32| {
        x >= EDGE && y >= EDGE && x <= plane.width as f32 - 1.0 - EDGE && y <= plane.height as f32 - 1.0 - EDGE
    };
    (0..a.values.len()).filter_map(move |at| {
        let (x, y) = ((at % a.width) as f32, (at / a.width) as f32);
        let (bx, by) = of(map, x, y);
        (within(a, x, y) && within(b, bx, by)).then_some((at, bx, by))
    })
}

/// How `b` differs under a map; nothing where no place is left to compare.
fn compared(a: &ReducedImage, b: &ReducedImage, map: &PixelMap) -> Option<Difference> {
    let shown: Vec<(usize, f32, f32)> = places(&a.luma, &b.luma, map).collect();
    let smooth = moments(&a.luma.blurred(1, 2), &b.luma.blurred(1, 2), &shown);
    let mut apart: Vec<f32> =
        smooth.iter().map(|of| of.apart / (of.ours.min(of.theirs).min(STRONG) + GRANTED)).collect();
    (!apart.is_empty()).then(|| Difference { detail: share(&mut apart, 1.0 - SPARED), tint: tint(a, b, &shown) })
}

/// The difference of colour, grey levels, root of the mean square.
fn tint(a: &ReducedImage, b: &ReducedImage, shown: &[(usize, f32, f32)]) -> f32 {
    let square = |&(at, bx, by): &(usize, f32, f32)| -> f64 {
        let of =
            |(one, other): (&Plane, &Plane)| other.sample((bx, by)).map_or(0.0, |(value, ..)| value - one.values[at]);
        a.tints.iter().zip(&b.tints).map(of).map(|apart| f64::from(apart * apart) / 2.0).sum()
    };
    (shown.iter().map(square).sum::<f64>() / shown.len() as f64).sqrt() as f32
}

/// Of the window around a place: variance in either picture, and the mean squared difference.
struct Moments {
    ours: f32,
    theirs: f32,
    apart: f32,
}

/// The moments around each place that both pictures show.
fn moments(a: &Plane, b: &Plane, shown: &[(usize, f32, f32)]) -> Vec<Moments> {
    // Means over windows: shown, either, their squares, their squared difference.
    let mut sums: [Vec<f32>; 6] = std::array::from_fn(|_| vec![0.0; a.values.len()]);
    // Near the mean, the squares do not drown the variance.
    let middle = a.values.iter().map(|value| f64::from(*value)).sum::<f64>() / a.values.len() as f64;
    for &(at, bx, by) in shown {
        let Some((theirs, ..)) = b.sample((bx, by)) else { continue };
        let (ours, theirs) = (a.values[at] - middle as f32, theirs - middle as f32);
        let found = [1.0, ours, theirs, ours * ours, theirs * theirs, (ours - theirs) * (ours - theirs)];
        sums.iter_mut().zip(found).for_each(|(sum, value)| sum[at] = value);
    }
    let radius = (a.width.min(a.height) / 24).max(3);
    let [weight, ours, theirs, ours2, theirs2, apart] = sums.map(|values| a.map(values).blurred(radius, 2).values);
    let of = |&(at, ..): &(usize, f32, f32)| {
        let mean = |values: &[f32]| values[at] / weight[at].max(1e-6);
        let (one, other) = (mean(&ours), mean(&theirs));
        Moments {
            ours: (mean(&ours2) - one * one).max(0.0),
            theirs: (mean(&theirs2) - other * other).max(0.0),
            apart: mean(&apart),
        }
    };
    shown.iter().map(of).collect()
}

/// The value below which a share of all lie.
fn share(values: &mut [f32], share: f32) -> f32 {
    let at = ((values.len() as f32 * share) as usize).min(values.len().saturating_sub(1));
    *values.select_nth_unstable_by(at, |p, q| p.total_cmp(q)).1
}
