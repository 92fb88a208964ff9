//! What is kept of an image to find its copies: a small grey picture and a signature of its spectrum.
//!
//! The central disc of the image, reduced to [`SIDE`] pixels, has a magnitude spectrum that does not move with the picture.
//! In log-polar coordinates (rings, angles) a rotation of the picture is a cyclic shift along the angles, a mirroring
//! reverses them, and a change of scale is a shift along the rings (Fourier-Mellin; Reddy and Chatterji, IEEE TIP 5, 1996).
//! The magnitudes of the harmonics of each ring are thus the same for a picture turned by any angle or mirrored: they
//! are the signature by which candidates are found. [`super::align`] decides about them.

use std::f32::consts::{PI, TAU};

use image::{RgbImage, imageops};
use rustfft::num_complex::Complex32;

use super::fft::Fft;

/// Side of the reduced picture, px.
pub(super) const SIDE: usize = 128;
/// Angles over half a turn; the spectrum of a real picture repeats after it.
pub(super) const ANGLES: usize = 128;
/// Rings of the spectrum.
pub(super) const RINGS: usize = 46;
/// Logarithm of the ratio of two neighbouring rings: two of them are a crop to 90 %.
pub(super) const RING_STEP: f32 = 0.0527;
/// The innermost ring: periods over the picture.
const FIRST_RING: f32 = 4.0;
/// Harmonics of a ring in the signature.
const HARMONICS: usize = 24;
/// Rings by which a copy may be larger or smaller.
pub(super) const SHIFTS: isize = 3;
/// Below this deviation, in grey levels, a picture shows nothing that could be recognised.
const FLAT: f32 = 2.5;

/// A small grey picture and its signature.
#[derive(Debug, Clone)]
pub(crate) struct Fingerprint {
    /// Central square, [`SIDE`] × [`SIDE`].
    grey: Vec<u8>,
    /// [`RINGS`] × [`HARMONICS`], each ring with mean 0, in 1/32 of its deviation.
    signature: Vec<i8>,
}

/// A fingerprint made ready to be laid over another.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Transform along the angles of the rings, [`RINGS`] × [`ANGLES`], each ring with mean 0 and deviation 1.
    pub(super) rings: Vec<Complex32>,
    /// The picture without its slow changes, at one contrast everywhere.
    pub(super) detail: Vec<f32>,
    /// Its transform under the window, transposed.
    pub(super) spectrum: Vec<Complex32>,
}

/// Tables for making fingerprints.
pub(crate) struct Maker {
    pub(super) plane: Fft,
    pub(super) circle: Fft,
    pub(super) window: Vec<f32>,
}

impl Maker {
    /// Prepares the tables.
    pub(crate) fn new() -> Self {
        let window = (0..SIDE * SIDE)
            .map(|at| {
                let radius = centred(at).0.hypot(centred(at).1);
                if radius < SIDE as f32 / 2.0 { 0.5 + 0.5 * (TAU * radius / SIDE as f32).cos() } else { 0.0 }
            })
            .collect();
        Self { plane: Fft::new(SIDE), circle: Fft::new(ANGLES), window }
    }

    /// The fingerprint of an image; none of one that shows nothing.
    pub(crate) fn fingerprint(&self, image: &RgbImage) -> Option<Fingerprint> {
        let grey = reduced(image);
        let mut rings = complex(self.rings(&grey)?);
        self.circle.forward(&mut rings);
        let mut signature = Vec::with_capacity(RINGS * HARMONICS);
        for ring in rings.chunks_exact(ANGLES) {
            let mut harmonics: Vec<f32> = ring[1..=HARMONICS].iter().map(|value| (value.norm() + 1.0).ln()).collect();
            normalise(&mut harmonics);
            signature.extend(harmonics.iter().map(|value| (value * 32.0).clamp(-127.0, 127.0) as i8));
        }
        Some(Fingerprint { grey, signature })
    }

    /// Recomputes from a fingerprint what laying it over another needs.
    pub(super) fn prepare(&self, fingerprint: &Fingerprint) -> Prepared {
        let mut rings = complex(self.rings(&fingerprint.grey).unwrap_or_else(|| vec![0.0; RINGS * ANGLES]));
        self.circle.forward(&mut rings);
        let detail = detail(&fingerprint.grey);
        let spectrum = self.windowed(&detail);
        Prepared { rings, detail, spectrum }
    }

    /// The transform of a picture under the window, transposed.
    pub(super) fn windowed(&self, picture: &[f32]) -> Vec<Complex32> {
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
        let magnitude: Vec<f32> = self.windowed(&even).iter().map(|value| (value.norm() + 1.0).ln()).collect();
        let mut rings = Vec::with_capacity(RINGS * ANGLES);
        for ring in 0..RINGS {
            let radius = FIRST_RING * (RING_STEP * ring as f32).exp();
            let mut values: Vec<f32> = (0..ANGLES)
                .map(|angle| {
                    let (sin, cos) = (PI * angle as f32 / ANGLES as f32).sin_cos();
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
    /// How alike two signatures are: a correlation, the best over the changes of scale. One for equal pictures.
    pub(super) fn likeness(&self, other: &Self) -> f32 {
        let mut best = f32::MIN;
        for shift in -SHIFTS..=SHIFTS {
            let (a, b) = overlapping(&self.signature, &other.signature, HARMONICS, shift);
            let products: i32 = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            best = best.max(products as f32 / (1024.0 * a.len() as f32));
        }
        best
    }
}

/// The rings that two pictures share if those of the second lie `shift` rings further out.
pub(super) fn overlapping<'a, T>(a: &'a [T], b: &'a [T], width: usize, shift: isize) -> (&'a [T], &'a [T]) {
    let by = shift.unsigned_abs() * width;
    if shift >= 0 { (&a[..a.len() - by], &b[by..]) } else { (&a[by..], &b[..b.len() - by]) }
}

fn complex(values: impl IntoIterator<Item = f32>) -> Vec<Complex32> {
    values.into_iter().map(|value| Complex32::new(value, 0.0)).collect()
}

/// Column and row of a place, from the centre.
pub(super) fn centred(at: usize) -> (f32, f32) {
    let middle = (SIDE as f32 - 1.0) / 2.0;
    ((at % SIDE) as f32 - middle, (at / SIDE) as f32 - middle)
}

/// The central square in grey, [`SIDE`] pixels wide.
fn reduced(image: &RgbImage) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    let square = imageops::crop_imm(image, (width - side) / 2, (height - side) / 2, side, side).to_image();
    let grey = imageops::grayscale(&square);
    imageops::resize(&grey, SIDE as u32, SIDE as u32, imageops::FilterType::Triangle).into_raw()
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
pub(super) fn blur(picture: &[f32], radius: isize, times: usize) -> Vec<f32> {
    let mut picture = picture.to_vec();
    let last = SIDE as isize - 1;
    let mut line = vec![0.0; SIDE];
    for (step, stride) in std::iter::repeat_n([(1, SIDE), (SIDE, 1)], times).flatten() {
        for start in 0..SIDE {
            let at = |index: isize| start * stride + index.clamp(0, last) as usize * step;
            let mut sum: f32 = (-radius..=radius).map(|index| picture[at(index)]).sum();
            for index in 0..SIDE as isize {
                line[index as usize] = sum / (2 * radius + 1) as f32;
                sum += picture[at(index + radius + 1)] - picture[at(index - radius)];
            }
            for (index, value) in line.iter().enumerate() {
                picture[at(index as isize)] = *value;
            }
        }
    }
    picture
}
