//! From a scene to pixels: absorption, uneven light, blur, photon noise, the camera's tone curve.
//!
//! Light is linear until the last step. Stain absorbs by Beer and Lambert, so overlapping cells multiply; the point spread
//! function blurs intensities, not absorbances; noise grows with the square root of the light.

use crate::catalogue::SourceStyle;
use crate::field_key::FieldKey;
use crate::form::REACH;
use crate::scene::{DrawnCell, Scene, Spot, WhiteCell};
use crate::single::{between, gauss, length};

/// Noise of the camera in the dark, as a share of white.
const READ_NOISE: f32 = 0.0015;

/// A field as the camera reports it: `width` × `height` × 3, values 0 to 1 after the tone curve.
#[derive(Clone, Debug)]
pub(crate) struct Exposure {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<f32>,
}

/// What absorbs or refracts, one value a pixel.
struct Layers {
    width: usize,
    height: usize,
    /// Density of the red cells' stain.
    red: Vec<f32>,
    /// Density of the nuclear stain.
    purple: Vec<f32>,
    /// Colourless absorption: dirt and unevenness of the film.
    grey: Vec<f32>,
    /// Light refracted to the outside of an outline.
    halo: Vec<f32>,
}

/// Photographs a scene as the source's laboratory does; `key` seeds lamp, blur and noise.
pub(crate) fn expose(scene: &Scene, style: &SourceStyle, key: FieldKey) -> Exposure {
    let mut stream = key.stream("synth/optics");
    let mut layers = Layers::new(scene);
    layers.add_film(stream.next_u64(), scene.radius_px);
    for cell in &scene.cells {
        layers.add_cell(cell, scene.radius_px);
    }
    for cell in &scene.white_cells {
        layers.add_white_cell(cell, stream.next_u64());
    }
    for spot in &scene.spots {
        layers.add_spot(spot);
    }
    let light = Light {
        slope: style.gradient * (1.0 + gauss(&mut stream, 0.2)),
        direction: between(&mut stream, 0.0, std::f32::consts::TAU),
        vignette: style.vignette,
        x: gauss(&mut stream, 0.12),
        y: gauss(&mut stream, 0.12),
        exposure: 1.0 + gauss(&mut stream, 0.02),
    };
    let blur_px = (style.blur_px * (1.0 + gauss(&mut stream, 0.12))).max(0.4);
    let photons = style.photons * 1000.0;
    let noise_key = stream.next_u64();
    let tone = ToneCurve::new();
    let mut rgb = vec![0.0; layers.red.len() * 3];
    for channel in 0..3 {
        let base = linear(style.background[channel]);
        let absorb = |colour: [u8; 3]| (base / linear(colour[channel])).max(0.05).ln();
        let (red, purple) = (absorb(style.cell) * scene.stain, absorb(style.nucleus) * scene.stain);
        let mut plane = layers.transmit(red, purple, 0.16 * style.halo);
        light.apply(&mut plane, layers.width, base * scene.cast[channel]);
        // Shorter wavelengths are focused a little elsewhere.
        blur(&mut plane, layers.width, blur_px * [1.04, 0.96, 1.1][channel]);
        let key = noise_key.wrapping_add(if style.format.is_grey() { 0 } else { channel as u64 });
        for (i, value) in plane.iter().enumerate() {
            let deviation = (value.max(0.0) / photons + READ_NOISE * READ_NOISE).sqrt();
            rgb[i * 3 + channel] = tone.at(value + deviation * noise(key, i as u64));
        }
    }
    Exposure { width: scene.width, height: scene.height, rgb }
}

/// 255 on red cells, 0 elsewhere.
pub(crate) fn mask(scene: &Scene) -> Vec<u8> {
    let mut layers = Layers::new(scene);
    for cell in &scene.cells {
        layers.add_cell(cell, scene.radius_px);
    }
    layers.red.iter().map(|density| if *density > 0.1 { 255 } else { 0 }).collect()
}

impl Layers {
    fn new(scene: &Scene) -> Self {
        let (width, height) = (scene.width as usize, scene.height as usize);
        let plane = || vec![0.0; width * height];
        Self { width, height, red: plane(), purple: plane(), grey: plane(), halo: plane() }
    }

    /// The dried plasma between the cells: a little uneven.
    fn add_film(&mut self, key: u64, radius_px: f32) {
        for y in 0..self.height {
            for x in 0..self.width {
                let (u, v) = (0.3 * x as f32 / radius_px, 0.3 * y as f32 / radius_px);
                self.grey[y * self.width + x] = 0.03 * texture(key, u, v);
            }
        }
    }

    /// Visits the pixels within `reach` of a point: index, and offset in pixels.
    fn around(&self, x: f32, y: f32, reach: f32, mut visit: impl FnMut(usize, f32, f32)) {
        let range = |at: f32, size: usize| {
            let lo = (at - reach).floor().clamp(0.0, size as f32) as usize;
            let hi = (at + reach + 1.0).ceil().clamp(0.0, size as f32) as usize;
            lo..hi
        };
        for py in range(y, self.height) {
            for px in range(x, self.width) {
                let (dx, dy) = (px as f32 + 0.5 - x, py as f32 + 0.5 - y);
                if length(dx, dy) <= reach {
                    visit(py * self.width + px, dx, dy);
                }
            }
        }
    }

    fn add_cell(&mut self, cell: &DrawnCell, radius_px: f32) {
        let half = cell.shape.footprint.half;
        let reach = (length(half.0, half.1) + 0.25).min(REACH) * radius_px;
        let mut drawn = Vec::new();
        self.around(cell.x, cell.y, reach, |i, dx, dy| {
            let point = cell.shape.at(dx / radius_px, dy / radius_px);
            let outside_px = point.distance * radius_px;
            let coverage = smooth_step(0.7, -0.7, outside_px);
            // In units of a twentieth of the radius, so that a scaled cell looks the same.
            let off = point.distance * 20.0;
            let rim = (-(off + 1.2) * (off + 1.2) / 1.6).exp();
            let halo = (-(off - 1.6) * (off - 1.6) / 2.0).exp();
            if coverage > 0.0 || halo > 0.01 {
                drawn.push((i, coverage * cell.density * (point.thickness + 0.14 * rim), halo));
            }
        });
        for (i, density, halo) in drawn {
            self.red[i] += density;
            self.purple[i] += density * cell.tint;
            self.halo[i] = self.halo[i].max(halo);
        }
    }

    fn add_white_cell(&mut self, cell: &WhiteCell, key: u64) {
        let mut drawn = Vec::new();
        self.around(cell.x, cell.y, 1.2 * cell.radius, |i, dx, dy| {
            let (u, v) = (dx / cell.radius, dy / cell.radius);
            let wobble = 0.12 * texture(key, 2.2 * u + 9.0, 2.2 * v + 9.0);
            let body = (length(dx, dy) / cell.radius - 0.95 + wobble) * cell.radius;
            let mut nucleus = f32::MAX;
            for (lx, ly, r) in &cell.lobes {
                let lobe = length(dx - lx, dy - ly) - r;
                let k = 0.2 * cell.radius;
                let h = (k - (nucleus - lobe).abs()).max(0.0) / k;
                nucleus = nucleus.min(lobe) - h * h * k * 0.25;
            }
            let chromatin = 0.85 + 0.35 * texture(!key, 6.0 * u + 5.0, 6.0 * v + 5.0);
            let grains = 0.10 + 0.16 * cell.granules * texture(key ^ 1, 13.0 * u + 7.0, 13.0 * v + 7.0).abs();
            let inside = smooth_step(1.5, -1.5, body);
            let core =
                smooth_step(1.2, -1.2, nucleus + 0.06 * cell.radius * texture(key ^ 2, 4.0 * u + 3.0, 4.0 * v + 3.0));
            drawn.push((i, inside * (grains * (1.0 - core) + chromatin * core)));
        });
        for (i, density) in drawn {
            self.purple[i] += density;
        }
    }

    fn add_spot(&mut self, spot: &Spot) {
        let mut drawn = Vec::new();
        self.around(spot.x, spot.y, 2.0 * spot.radius + 2.0, |i, dx, dy| {
            drawn.push((i, spot.density * smooth_step(1.25, 0.45, length(dx, dy) / spot.radius)));
        });
        let layer = if spot.stained { &mut self.purple } else { &mut self.grey };
        for (i, density) in drawn {
            layer[i] += density;
        }
    }

    /// Share of the light that passes, a pixel.
    fn transmit(&self, red: f32, purple: f32, halo: f32) -> Vec<f32> {
        let pixel = |i: usize| {
            let density = red * self.red[i] + purple * self.purple[i] + self.grey[i];
            (-density).exp() * (1.0 + halo * self.halo[i] / (1.0 + 2.0 * self.red[i]))
        };
        (0..self.red.len()).map(pixel).collect()
    }
}

/// The lamp and the condenser: brightest near the middle, falling to one side.
struct Light {
    slope: f32,
    direction: f32,
    vignette: f32,
    x: f32,
    y: f32,
    exposure: f32,
}

impl Light {
    fn apply(&self, plane: &mut [f32], width: usize, level: f32) {
        let height = plane.len() / width;
        let (cos, sin) = (self.direction.cos(), self.direction.sin());
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            let v = y as f32 / height as f32 - 0.5;
            for (x, value) in row.iter_mut().enumerate() {
                let u = x as f32 / width as f32 - 0.5;
                let far = (u - self.x) * (u - self.x) + (v - self.y) * (v - self.y);
                *value *= level
                    * self.exposure
                    * (1.0 + self.slope * (cos * u + sin * v))
                    * (1.0 - 1.6 * self.vignette * far);
            }
        }
    }
}

/// Gaussian blur, edges repeated.
fn blur(plane: &mut [f32], width: usize, sigma_px: f32) {
    let reach = (3.0 * sigma_px).ceil() as isize;
    let mut kernel: Vec<f32> =
        (-reach..=reach).map(|k| (-(k * k) as f32 / (2.0 * sigma_px * sigma_px)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|weight| *weight /= sum);
    let height = plane.len() / width;
    let reach = reach as usize;
    let mut padded = vec![0.0; width + 2 * reach];
    for row in plane.chunks_exact_mut(width) {
        padded[..reach].fill(row[0]);
        padded[reach..reach + width].copy_from_slice(row);
        padded[reach + width..].fill(row[width - 1]);
        row.fill(0.0);
        for (k, weight) in kernel.iter().enumerate() {
            for (value, source) in row.iter_mut().zip(&padded[k..]) {
                *value += weight * source;
            }
        }
    }
    let source = plane.to_vec();
    plane.fill(0.0);
    for (y, row) in plane.chunks_exact_mut(width).enumerate() {
        for (k, weight) in kernel.iter().enumerate() {
            let from = (y + k).saturating_sub(reach).min(height - 1) * width;
            for (value, pixel) in row.iter_mut().zip(&source[from..from + width]) {
                *value += weight * pixel;
            }
        }
    }
}

/// sRGB to linear light, by the standard's curve (IEC 61966-2-1).
pub(crate) fn linear(value: u8) -> f32 {
    let v = f32::from(value) / 255.0;
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Linear light to sRGB, tabulated.
struct ToneCurve(Vec<f32>);

impl ToneCurve {
    const STEPS: usize = 4096;

    fn new() -> Self {
        let curve = |k: usize| {
            // The table is denser in the shadows, where the curve is steep.
            let v = (k as f32 / Self::STEPS as f32).powi(2);
            if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
        };
        Self((0..=Self::STEPS + 1).map(curve).collect())
    }

    fn at(&self, light: f32) -> f32 {
        let place = light.clamp(0.0, 1.0).sqrt() * Self::STEPS as f32;
        let k = place as usize;
        let part = place - k as f32;
        self.0[k] + part * (self.0[k + 1] - self.0[k])
    }
}

fn smooth_step(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Mixes a key and a counter (SplitMix64's finaliser).
fn hash(key: u64, counter: u64) -> u64 {
    let mut z = key.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Nearly normal noise of unit variance: the sum of four uniform draws. A stream would be ten times slower for every pixel.
fn noise(key: u64, counter: u64) -> f32 {
    let bits = hash(key, counter);
    let sum: u32 = (0..4).map(|k| ((bits >> (16 * k)) & 0xffff) as u32).sum();
    // Mean 2, variance 4/12 in units of 2^16.
    (sum as f32 / 65536.0 - 2.0) * 1.732_050_8
}

/// Value noise between -1 and 1 at a lattice of unit spacing.
fn texture(key: u64, x: f32, y: f32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (tx, ty) = (smooth_step(0.0, 1.0, x - fx), smooth_step(0.0, 1.0, y - fy));
    let corner = |dx: i64, dy: i64| {
        let at = ((fx as i64 + dx) as u64 & 0xffff_ffff) << 32 | ((fy as i64 + dy) as u64 & 0xffff_ffff);
        (hash(key, at) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let top = corner(0, 0) + tx * (corner(1, 0) - corner(0, 0));
    let bottom = corner(0, 1) + tx * (corner(1, 1) - corner(0, 1));
    top + ty * (bottom - top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_the_light_and_spreads_a_point_by_its_deviation() {
        let (w, h, sigma) = (41, 31, 1.7f32);
        let mut plane = vec![0.0; w * h];
        plane[15 * w + 20] = 1.0;
        blur(&mut plane, w, sigma);
        let sum: f32 = plane.iter().sum();
        let spread: f32 = plane.iter().enumerate().map(|(i, v)| v * ((i % w) as f32 - 20.0).powi(2)).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert!((spread.sqrt() - sigma).abs() < 0.05, "{}", spread.sqrt());
    }

    #[test]
    fn noise_has_zero_mean_and_unit_variance() {
        let n = 100_000;
        let draws: Vec<f32> = (0..n).map(|i| noise(7, i)).collect();
        let mean = draws.iter().sum::<f32>() / n as f32;
        let variance = draws.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn the_tone_curve_inverts_the_linear_one() {
        let tone = ToneCurve::new();
        for value in 0..=255u8 {
            assert!((tone.at(linear(value)) * 255.0 - f32::from(value)).abs() < 0.2, "{value}");
        }
    }
}
