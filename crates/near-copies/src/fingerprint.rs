//! What is kept of an image to find its copies: a small grey picture and a signature of its spectrum.
//!
//! The central disc of the image, reduced to [`SIDE`] pixels, has a magnitude spectrum that does not move with the picture.
//! In log-polar coordinates (rings, angles) a rotation of the picture is a cyclic shift along the angles, a mirroring
//! reverses them, and a change of scale is a shift along the rings (Fourier-Mellin; Reddy and Chatterji, IEEE TIP 5, 1996).
//! The magnitudes of the harmonics of each ring are thus the same for a picture turned by any angle or mirrored: they
//! are the signature by which candidates are found. [`crate::align`] decides about them.

use std::f32::consts::{PI, TAU};

use imaging::RgbImage;
use rustfft::num_complex::Complex32;

use crate::fft::Fft;
use crate::reduce;

/// Side of the reduced picture, px.
pub(crate) const SIDE: usize = 128;
/// Angles over half a turn; the spectrum of a real picture repeats after it.
pub(crate) const ANGLES: usize = 128;
/// Rings of the spectrum.
pub(crate) const RINGS: usize = 46;
/// Logarithm of the ratio of two neighbouring rings: two of them are a crop to 90 %.
pub(crate) const RING_STEP: f32 = 0.0527;
/// The innermost ring: periods over the picture.
const FIRST_RING: f32 = 4.0;
/// Radius of the disc that is compared, px.
pub(crate) const DISC: f32 = 58.0;
/// Harmonics of a ring in the signature.
pub(crate) const HARMONICS: usize = 24;
/// Rings by which a copy may be larger or smaller.
pub(crate) const SHIFTS: isize = 3;
/// Below this deviation, in grey levels, a picture shows nothing that could be recognised.
const FLAT: f32 = 2.5;

/// Sides whose ratio differs by less from 1 make a square.
const SQUARE: f32 = 1.02;

/// Which part of an image a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Frame {
    /// The central square, at its own proportions: what copies share that were turned by any angle, resized or trimmed.
    Centre,
    /// The whole image, drawn out or squashed to a square: what copies share whose proportions were changed.
    Whole,
}

/// What is kept of an image: a view of its central square, and one of the whole where that differs.
#[derive(Debug, Clone)]
pub struct Fingerprint {
    /// Width of the image over its height.
    pub(crate) aspect: f32,
    /// The shorter side of the image, px.
    pub(crate) short: u32,
    pub(crate) centre: Option<View>,
    pub(crate) whole: Option<View>,
}

/// A small grey picture and its signature.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The part of the image, [`SIDE`] × [`SIDE`]; empty of a view by which candidates are sought alone.
    pub(crate) grey: Vec<u8>,
    /// [`RINGS`] × [`HARMONICS`], each ring with mean 0, in 1/32 of its deviation. Sixteen bits, of which eight are used: the
    /// products of pairs of such numbers are one instruction.
    pub(crate) signature: Vec<i16>,
}

/// A view made ready to be laid over another.
#[derive(Debug)]
pub(crate) struct PreparedView {
    /// Transform along the angles of the rings, [`RINGS`] × [`ANGLES`], each ring with mean 0 and deviation 1.
    pub(crate) rings: Vec<Complex32>,
    /// The picture without its slow changes, at one contrast everywhere.
    pub(crate) detail: Vec<f32>,
}

/// Makes fingerprints of images; holds the tables that all of them need.
pub struct Fingerprinter {
    pub(crate) plane: Fft,
    pub(crate) circle: Fft,
    pub(crate) window: Vec<f32>,
    /// Where the places of the disc that is compared lie in a picture, and where from its centre.
    pub(crate) disc: Vec<(usize, f32, f32)>,
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fingerprinter").finish_non_exhaustive()
    }
}

impl Default for Fingerprinter {
    fn default() -> Self {
        Self::new()
    }
}

impl Fingerprinter {
    /// Plans the transforms and fills the tables: some milliseconds, once per search.
    pub fn new() -> Self {
        let window = (0..SIDE * SIDE)
            .map(|at| {
                let radius = away(centred(at));
                if radius < SIDE as f32 / 2.0 { 0.5 + 0.5 * libm::cosf(TAU * radius / SIDE as f32) } else { 0.0 }
            })
            .collect();
        let places = (0..SIDE * SIDE).map(|at| (at, centred(at).0, centred(at).1));
        let disc = places.filter(|(_, x, y)| away((*x, *y)) < DISC).collect();
        Self { plane: Fft::new(SIDE), circle: Fft::new(ANGLES), window, disc }
    }

    /// The fingerprint of an image; `None` for one that shows nothing. The same on every machine.
    pub fn fingerprint(&self, image: &RgbImage) -> Option<Fingerprint> {
        let (width, height) = image.dimensions();
        let aspect = width as f32 / height as f32;
        let centre = self.view(reduced(image, Frame::Centre));
        let whole = if is_square(aspect) { None } else { self.view(reduced(image, Frame::Whole)) };
        (centre.is_some() || whole.is_some()).then_some(Fingerprint { aspect, short: width.min(height), centre, whole })
    }

    /// The signature of a small picture; nothing where it shows nothing.
    fn view(&self, grey: Vec<u8>) -> Option<View> {
        let mut rings = complex(self.rings(&grey)?);
        self.circle.forward(&mut rings);
        let of_ring =
            |ring: &[Complex32]| -> Vec<f32> { ring[1..=HARMONICS].iter().map(|value| loudness(*value)).collect() };
        let mut harmonics: Vec<Vec<f32>> = rings.chunks_exact(ANGLES).map(of_ring).collect();
        // Every picture has less of the higher harmonics, alike in all rings: what is common to all says nothing about a copy.
        for harmonic in 0..HARMONICS {
            let mean = harmonics.iter().map(|ring| ring[harmonic]).sum::<f32>() / RINGS as f32;
            harmonics.iter_mut().for_each(|ring| ring[harmonic] -= mean);
        }
        let mut signature = Vec::with_capacity(RINGS * HARMONICS);
        for ring in &mut harmonics {
            normalise(ring);
            signature.extend(ring.iter().map(|value| (value * 32.0).clamp(-127.0, 127.0) as i16));
        }
        Some(View { grey, signature })
    }

    /// Recomputes from a view what laying it over another needs.
    pub(crate) fn prepare(&self, view: &View) -> PreparedView {
        let mut rings = complex(self.rings(&view.grey).unwrap_or_else(|| vec![0.0; RINGS * ANGLES]));
        self.circle.forward(&mut rings);
        PreparedView { rings, detail: detail(&view.grey) }
    }

    /// The transform of a picture under the window, transposed.
    pub(crate) fn windowed(&self, picture: &[f32]) -> Vec<Complex32> {
        let mut spectrum = complex(picture.iter().zip(&self.window).map(|(value, weight)| value * weight));
        self.plane.forward_2d(&mut spectrum);
        spectrum
    }

    fn rings(&self, grey: &[u8]) -> Option<Vec<f32>> {
        let weights: f32 = self.window.iter().sum();
        let weighted = |of: &dyn Fn(f32) -> f32| -> f32 {
            grey.iter().zip(&self.window).map(|(&value, weight)| of(f32::from(value)) * weight).sum::<f32>() / weights
        };
        let mean = weighted(&|value| value);
        let deviation = weighted(&|value| (value - mean) * (value - mean)).sqrt();
        if deviation < FLAT {
            return None;
        }
        let even: Vec<f32> = grey.iter().map(|&value| (f32::from(value) - mean) / deviation).collect();
        let magnitude: Vec<f32> = self.windowed(&even).iter().map(|value| loudness(*value)).collect();
        let mut rings = Vec::with_capacity(RINGS * ANGLES);
        for ring in 0..RINGS {
            let radius = FIRST_RING * libm::expf(RING_STEP * ring as f32);
            let mut values: Vec<f32> = (0..ANGLES)
                .map(|angle| {
                    let (sin, cos) = libm::sincosf(PI * angle as f32 / ANGLES as f32);
                    periodic(&magnitude, radius * sin, radius * cos)
                })
                .collect();
            normalise(&mut values);
            rings.append(&mut values);
        }
        Some(rings)
    }
}

impl Fingerprint {
    /// The view of a part; of a square image both parts are the same.
    pub(crate) fn view(&self, frame: Frame) -> Option<&View> {
        match frame {
            Frame::Whole if !is_square(self.aspect) => self.whole.as_ref(),
            Frame::Whole | Frame::Centre => self.centre.as_ref(),
        }
    }

    /// Whether the proportions of two images differ, so that one could be the other squashed.
    pub(crate) fn differs_in_shape(&self, other: &Self) -> bool {
        !is_square(self.aspect / other.aspect)
    }
}

/// Whether a ratio of sides is as good as 1.
fn is_square(ratio: f32) -> bool {
    ratio < SQUARE && ratio.recip() < SQUARE
}

impl View {
    /// A view with a random signature and no picture.
    #[cfg(test)]
    pub(crate) fn random(random: &mut run_spec::seed::Stream) -> Self {
        let signature = (0..RINGS * HARMONICS).map(|_| random.below(255) as i16 - 127).collect();
        Self { grey: Vec::new(), signature }
    }

    /// How alike two signatures are: a correlation, the best over the changes of scale. One for equal pictures.
    pub(crate) fn likeness(&self, other: &Self) -> f32 {
        let mut best = f32::MIN;
        for shift in -SHIFTS..=SHIFTS {
            let (a, b) = overlapping(&self.signature, &other.signature, HARMONICS, shift);
            best = best.max(products(a, b) as f32 / (1024.0 * a.len() as f32));
        }
        best
    }
}

/// The sum of the products, at most 1,104 × 127². Without checks of overflow, which would keep it out of wide registers.
fn products(a: &[i16], b: &[i16]) -> i32 {
    let product = |(&a, &b): (&i16, &i16)| i32::from(a).wrapping_mul(i32::from(b));
    a.iter().zip(b).map(product).fold(0, i32::wrapping_add)
}

/// The rings that two pictures share if those of the second lie `shift` rings further out.
pub(crate) fn overlapping<'a, T>(a: &'a [T], b: &'a [T], width: usize, shift: isize) -> (&'a [T], &'a [T]) {
    let by = shift.unsigned_abs() * width;
    if shift >= 0 { (&a[..a.len() - by], &b[by..]) } else { (&a[by..], &b[..b.len() - by]) }
}

fn complex(values: impl IntoIterator<Item = f32>) -> Vec<Complex32> {
    values.into_iter().map(|value| Complex32::new(value, 0.0)).collect()
}

/// Column and row of a place, from the centre.
pub(crate) fn centred(at: usize) -> (f32, f32) {
    let middle = (SIDE as f32 - 1.0) / 2.0;
    ((at % SIDE) as f32 - middle, (at / SIDE) as f32 - middle)
}

/// The distance of a place from the centre.
fn away((x, y): (f32, f32)) -> f32 {
    (x * x + y * y).sqrt()
}

/// The logarithm of a magnitude. By `libm`, as all functions here: what a machine's own library answers depends on its instructions.
fn loudness(value: Complex32) -> f32 {
    libm::logf((value.re * value.re + value.im * value.im).sqrt() + 1.0)
}

/// A part of an image in grey, [`SIDE`] pixels wide and high.
fn reduced(image: &RgbImage, frame: Frame) -> Vec<u8> {
    reduce::reduced(image, extent(image.dimensions(), frame), SIDE)
}

/// Where a part of an image lies in it: left, top, width, height.
pub(crate) fn extent((width, height): (u32, u32), frame: Frame) -> (u32, u32, u32, u32) {
    match frame {
        Frame::Whole => (0, 0, width, height),
        Frame::Centre => {
            let side = width.min(height);
            ((width - side) / 2, (height - side) / 2, side, side)
        }
    }
}

/// The value at (x, y) of a picture that repeats, between its pixels.
fn periodic(picture: &[f32], x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (x - left, y - top);
    let wrap = |value: f32| (value as isize).rem_euclid(SIDE as isize) as usize;
    let (x0, x1, y0, y1) = (wrap(left), wrap(left + 1.0), wrap(top), wrap(top + 1.0));
    let row = |y: usize| picture[y * SIDE + x0] * (1.0 - fx) + picture[y * SIDE + x1] * fx;
    row(y0) * (1.0 - fy) + row(y1) * fy
}

/// Mean 0 and deviation 1; all 0 where there is no deviation.
fn normalise(values: &mut [f32]) {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / values.len() as f32;
    let scale = if variance > 1e-12 { variance.sqrt().recip() } else { 0.0 };
    for value in values {
        *value = (*value - mean) * scale;
    }
}

/// The picture less its blur, divided by the local contrast: cells and edges count the same in light and in shadow.
fn detail(grey: &[u8]) -> Vec<f32> {
    let picture: Vec<f32> = grey.iter().map(|&value| f32::from(value)).collect();
    let fine = blur(&picture, 1, 2);
    let slow = blur(&picture, 4, 3);
    let high: Vec<f32> = fine.iter().zip(&slow).map(|(fine, slow)| fine - slow).collect();
    let power = blur(&high.iter().map(|value| value * value).collect::<Vec<_>>(), 8, 2);
    high.iter().zip(&power).map(|(value, power)| value / (power + 4.0).sqrt()).collect()
}

/// `times` running means of 2·`radius` + 1 pixels along both directions, the edge repeated.
pub(crate) fn blur(picture: &[f32], radius: usize, times: usize) -> Vec<f32> {
    let mut picture = picture.to_vec();
    let mut padded = vec![0.0; SIDE + 2 * radius];
    let mut above = vec![0.0; SIDE * SIDE];
    for _ in 0..times {
        for line in picture.as_chunks_mut::<SIDE>().0 {
            padded[..radius].fill(line[0]);
            padded[radius..radius + SIDE].copy_from_slice(line);
            padded[radius + SIDE..].fill(line[SIDE - 1]);
            let mut sum: f32 = padded[..2 * radius].iter().sum();
            for (mean, (enters, leaves)) in line.iter_mut().zip(padded[2 * radius..].iter().zip(&padded)) {
                sum += enters;
                *mean = sum / (2 * radius + 1) as f32;
                sum -= leaves;
            }
        }
        // All columns at once, from line to line.
        above.copy_from_slice(&picture);
        let line = |at: isize| above.as_chunks::<SIDE>().0[at.clamp(0, SIDE as isize - 1) as usize];
        let mut sums = [0.0; SIDE];
        let mut add = |at: isize, sign: f32| {
            sums.iter_mut().zip(line(at)).for_each(|(sum, value)| *sum += sign * value);
            sums
        };
        let reach = radius as isize;
        for at in -reach..reach {
            add(at, 1.0);
        }
        for (at, means) in (0..).zip(picture.as_chunks_mut::<SIDE>().0) {
            let sums = add(at + reach, 1.0);
            means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = sum / (2 * radius + 1) as f32);
            add(at - reach, -1.0);
        }
    }
    picture
}
