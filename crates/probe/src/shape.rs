//! Hand-made shape features of one cell: what a microscopist's words say of it, without any model.
//!
//! From the mask of the cell in the picture and the light in it: size, outline, central pallor, and Hu's seven moments of the mask
//! (Hu 1962, as scikit-image's `moments_hu` computes them), on a logarithmic scale with their sign, as their sizes span many powers of ten.

/// Number of features.
pub const DIM: usize = 13;

/// The cell in a picture.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Width of the mask, px.
    pub width: usize,
    /// Which pixels belong to the cell, row by row.
    pub mask: &'a [bool],
    /// The light of each pixel of the mask's rectangle, row by row, in `[0, 255]`.
    pub light: &'a [f32],
    /// Area of the whole picture, px.
    pub picture: usize,
    /// 4π·area/perimeter² of the mask.
    pub circularity: f64,
}

/// Hu's seven moments of the mask, which shift, size and rotation do not change.
///
/// # Panics
/// For a mask without pixels.
pub fn hu(shape: &Shape<'_>) -> [f64; 7] {
    assert!(shape.mask.contains(&true), "a mask without pixels has no moments");
    Moments::of(shape).hu()
}

/// The features `[DIM]`: area (share of the picture), circularity, aspect and extent of the bounding box, mean light, pallor (light of
/// the inner ninth of the cell's area less that of the rest), Hu's moments. Zeros for a mask without pixels.
pub fn features(shape: &Shape<'_>) -> Vec<f32> {
    let area = shape.mask.iter().filter(|inside| **inside).count();
    if area == 0 {
        return vec![0.0; DIM];
    }
    let moments = Moments::of(shape);
    let (width, height) = (shape.width as f64, (shape.mask.len() / shape.width) as f64);
    let light = light(shape, &moments);
    let outline = [
        area as f64 / shape.picture.max(1) as f64,
        shape.circularity,
        width.min(height) / width.max(height),
        area as f64 / (width * height),
        light.mean / 255.0,
        light.pallor / 255.0,
    ];
    let hu = moments.hu().map(|moment| -moment.signum() * moment.abs().max(1e-12).log10());
    outline.into_iter().chain(hu).map(|value| value as f32).collect()
}

/// The light of a cell.
struct Light {
    mean: f64,
    pallor: f64,
}

/// A pixel is inner where its distance to the centre of mass is at most a third of the radius of a disc of the cell's area.
fn light(shape: &Shape<'_>, moments: &Moments) -> Light {
    let third = moments.area / std::f64::consts::PI / 9.0;
    let (mut inner, mut outer) = ((0.0, 0.0), (0.0, 0.0));
    for (at, _) in shape.mask.iter().enumerate().filter(|(_, inside)| **inside) {
        let (x, y) = ((at % shape.width) as f64, (at / shape.width) as f64);
        let far = (x - moments.centre.0).powi(2) + (y - moments.centre.1).powi(2);
        let part = if far <= third { &mut inner } else { &mut outer };
        part.0 += f64::from(shape.light[at]);
        part.1 += 1.0;
    }
    let mean = (inner.0 + outer.0) / (inner.1 + outer.1);
    let of = |part: (f64, f64)| if part.1 > 0.0 { part.0 / part.1 } else { mean };
    Light { mean, pallor: of(inner) - of(outer) }
}

/// Moments of a mask.
struct Moments {
    area: f64,
    centre: (f64, f64),
    /// Normalised central moments η by the powers of y and x, in scikit-image's order of axes.
    normal: [[f64; 4]; 4],
}

impl Moments {
    fn of(shape: &Shape<'_>) -> Self {
        let pixels = || shape.mask.iter().enumerate().filter(|(_, inside)| **inside);
        let place = |at: usize| ((at % shape.width) as f64, (at / shape.width) as f64);
        let (mut area, mut sum) = (0.0, (0.0, 0.0));
        for (at, _) in pixels() {
            let (x, y) = place(at);
            area += 1.0;
            sum = (sum.0 + x, sum.1 + y);
        }
        let centre = (sum.0 / area, sum.1 / area);
        let mut normal = [[0.0; 4]; 4];
        for (at, _) in pixels() {
            let (x, y) = place(at);
            let (x, y) = (x - centre.0, y - centre.1);
            for (p, row) in normal.iter_mut().enumerate() {
                for (q, moment) in row.iter_mut().enumerate().take(4 - p) {
                    *moment += y.powi(p as i32) * x.powi(q as i32);
                }
            }
        }
        for (p, row) in normal.iter_mut().enumerate() {
            for (q, moment) in row.iter_mut().enumerate() {
                *moment /= f64::powf(area, (p + q) as f64 / 2.0 + 1.0);
            }
        }
        Self { area, centre, normal }
    }

    /// Hu's seven invariants under shift, size and rotation.
    fn hu(&self) -> [f64; 7] {
        let n = &self.normal;
        let (a, b) = (n[3][0] + n[1][2], n[2][1] + n[0][3]);
        let (c, d) = (n[3][0] - 3.0 * n[1][2], 3.0 * n[2][1] - n[0][3]);
        let (e, f) = (n[2][0] - n[0][2], n[1][1]);
        let (p, q) = (a * a - 3.0 * b * b, 3.0 * a * a - b * b);
        [
            n[2][0] + n[0][2],
            e * e + 4.0 * f * f,
            c * c + d * d,
            a * a + b * b,
            c * a * p + d * b * q,
            e * (a * a - b * b) + 4.0 * f * a * b,
            d * a * p - c * b * q,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features of the pixels for which `inside` holds, in a square of 64 px, with a pale middle.
    fn of(inside: impl Fn(f64, f64) -> bool) -> Vec<f32> {
        let place = |at: usize| ((at % 64) as f64 - 31.5, (at / 64) as f64 - 31.5);
        let mask: Vec<bool> = (0..64 * 64).map(|at| inside(place(at).0, place(at).1)).collect();
        let light: Vec<f32> =
            (0..64 * 64).map(|at| if place(at).0.hypot(place(at).1) < 6.0 { 200.0 } else { 100.0 }).collect();
        features(&Shape { width: 64, mask: &mask, light: &light, picture: 64 * 64, circularity: 0.9 })
    }

    #[test]
    fn a_disc_is_as_symmetric_as_a_square_grid_allows() {
        let disc = of(|x, y| x.hypot(y) < 20.0);
        assert!((f64::from(disc[0]) - std::f64::consts::PI * 400.0 / 4096.0).abs() < 2e-3, "{disc:?}");
        assert_eq!((disc[1], disc[5] > 0.25), (0.9, true), "{disc:?}");
        // The first moment of a disc is 1 / 2π; those that measure asymmetry vanish.
        assert!((f64::from(disc[6]) - (2.0 * std::f64::consts::PI).log10()).abs() < 1e-3, "{disc:?}");
        assert!(disc[7..].iter().all(|moment| moment.abs() > 6.0), "{disc:?}");
    }

    #[test]
    fn moments_do_not_change_where_the_cell_is_turned() {
        let upright = of(|x, y| (x / 24.0).powi(2) + ((y - 3.0) / 10.0).powi(2) < 1.0 && x < 12.0);
        let turned = of(|x, y| (y / 24.0).powi(2) + ((x - 3.0) / 10.0).powi(2) < 1.0 && y < 12.0);
        for moment in [6, 7, 8, 9] {
            assert!((upright[moment] - turned[moment]).abs() < 1e-4, "{moment}: {upright:?} {turned:?}");
        }
        assert!((upright[7] - of(|x, y| x.hypot(y) < 20.0)[7]).abs() > 1.0);
    }

    #[test]
    fn nothing_in_the_picture_is_zeros() {
        assert_eq!(of(|_, _| false), [0.0; DIM]);
    }
}
