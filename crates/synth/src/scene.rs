//! What lies on the glass: which cells, where, how densely stained; no optics.
//!
//! A field is drawn from a stream keyed by (seed, source, slide, field), so it depends on nothing else: not on the other
//! images, not on threads. Cells may touch and overlap a little; labels are given to cells that lie mostly inside the field.

use run_spec::seed::Stream;

use crate::field_key::FieldKey;
use crate::form::{CellForm, Class, GRID_STEP};
use crate::plan::Field;
use crate::single::{between, gauss};

/// Standard deviation of the logarithm of a cell's stain density.
const DENSITY_SPREAD: f32 = 0.15;
/// Share of the cells that lie down beside another one: cells gather.
const CLINGING: f64 = 0.4;
/// Share of the cells that may cover another one in part.
const OVERLAPPING: f64 = 0.2;
/// Share of the field covered by cells in a thin smear, whatever the source.
const THIN_COVER: f32 = 0.10;
/// Positions tried for a cell before another is drawn.
const TRIES: usize = 40;

/// A red cell on the glass. Positions are in pixels, the middle of the bounding box.
#[derive(Clone, Debug)]
pub(crate) struct DrawnCell {
    pub(crate) class: Class,
    pub(crate) shape: CellForm,
    pub(crate) x: f32,
    pub(crate) y: f32,
    /// Stain density of this cell, about 1.
    pub(crate) density: f32,
    /// Share of basophilic (purple) stain, about 0.
    pub(crate) tint: f32,
}

/// A white cell: pale cytoplasm and a nucleus of one to four lobes (x, y, radius), in pixels from its middle.
#[derive(Clone, Debug)]
pub(crate) struct WhiteCell {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) radius: f32,
    pub(crate) lobes: Vec<(f32, f32, f32)>,
    pub(crate) granules: f32,
}

/// A soft spot: a platelet, or a grain of dirt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) radius: f32,
    pub(crate) density: f32,
    pub(crate) stained: bool,
}

/// Everything in one field.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Radius of an ordinary discocyte on this slide, in pixels.
    pub(crate) radius_px: f32,
    /// Stain strength of this slide, about 1.
    pub(crate) stain: f32,
    /// Colour cast of this slide, about 1 per channel.
    pub(crate) cast: [f32; 3],
    pub(crate) cells: Vec<DrawnCell>,
    pub(crate) white_cells: Vec<WhiteCell>,
    pub(crate) spots: Vec<Spot>,
}

/// One label: a point, a box and a class. Pixels, origin in the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellLabel {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) xmin: u32,
    pub(crate) ymin: u32,
    pub(crate) xmax: u32,
    pub(crate) ymax: u32,
    pub(crate) class: Class,
}

impl Scene {
    /// Draws what lies on the glass of a field of the set with this seed.
    pub(crate) fn draw(field: &Field, seed: u64) -> Self {
        let (style, key) = (field.source.style, field.key(seed));
        let (width, height) = (field.width, field.height);
        let mut slide = key.slide_stream();
        let mut scene = Self {
            width,
            height,
            radius_px: style.diameter_px / 2.0 * (1.0 + gauss(&mut slide, 0.02)),
            stain: gauss(&mut slide, 0.07).exp(),
            cast: [(); 3].map(|()| 1.0 + gauss(&mut slide, 0.02)),
            cells: Vec::new(),
            white_cells: Vec::new(),
            spots: Vec::new(),
        };
        let mix = class_mix(key, field.source.evaluation.is_some());
        let mut stream = key.stream("synth/scene");
        let mut glass = Glass::new(&scene);
        for _ in 0..stream.poisson(f64::from(style.white_cells)) {
            scene.add_white_cell(&mut glass, &mut stream);
        }
        let usual = if field.source.thin { THIN_COVER } else { style.cover };
        let cover = usual * (1.0 + gauss(&mut stream, 0.12));
        let wanted = (cover * glass.area() as f32) as usize;
        let mut misses = 0;
        while glass.taken < wanted && misses < 12 {
            if !scene.add_cell(&mix, field.source.thin, &mut glass, &mut stream) {
                misses += 1;
            }
        }
        for _ in 0..stream.poisson(f64::from(style.platelets)) {
            scene.add_platelet(&mut stream);
        }
        for _ in 0..stream.poisson(1.2) {
            scene.add_dirt(&mut stream);
        }
        scene
    }

    fn add_cell(&mut self, mix: &[f64; 9], thin: bool, glass: &mut Glass, stream: &mut Stream) -> bool {
        let class = pick(mix, stream);
        let shape = CellForm::draw(class, stream);
        let allowed = if stream.chance(OVERLAPPING) && !thin { 0.22 } else { 0.0 };
        let density = gauss(stream, DENSITY_SPREAD).exp();
        let tint = if stream.chance(0.04) { between(stream, 0.05, 0.14) } else { between(stream, 0.0, 0.03) };
        let (w, h) = (self.width as f32, self.height as f32);
        for _ in 0..TRIES {
            let (x, y) = if !self.cells.is_empty() && stream.chance(CLINGING) && !thin {
                let beside = &self.cells[stream.below(self.cells.len() as u64) as usize];
                let far = self.radius_px * between(stream, 1.7, 2.2);
                let angle = between(stream, 0.0, std::f32::consts::TAU);
                (beside.x + far * angle.cos(), beside.y + far * angle.sin())
            } else {
                let margin = 0.8 * self.radius_px;
                (between(stream, -margin, w + margin), between(stream, -margin, h + margin))
            };
            if glass.place(&shape.footprint.inside, x, y, allowed) {
                self.cells.push(DrawnCell { class, shape, x, y, density, tint });
                return true;
            }
        }
        false
    }

    fn add_white_cell(&mut self, glass: &mut Glass, stream: &mut Stream) {
        let radius = self.radius_px * between(stream, 1.45, 1.95);
        let x = between(stream, 0.0, self.width as f32);
        let y = between(stream, 0.0, self.height as f32);
        let count = stream.int(1, 4);
        let lobes = if count == 1 {
            vec![(gauss(stream, 0.07) * radius, gauss(stream, 0.07) * radius, radius * between(stream, 0.62, 0.8))]
        } else {
            let start = between(stream, 0.0, 6.3);
            let opening = between(stream, 1.2, 1.9);
            let lobe = |k: i64, stream: &mut Stream| {
                let angle = start + k as f32 * opening;
                let off = radius * between(stream, 0.34, 0.44);
                (off * angle.cos(), off * angle.sin(), radius * between(stream, 0.28, 0.38))
            };
            (0..count).map(|k| lobe(k, stream)).collect()
        };
        glass.block(x, y, radius);
        self.white_cells.push(WhiteCell { x, y, radius, lobes, granules: between(stream, 0.0, 1.0) });
    }

    fn add_platelet(&mut self, stream: &mut Stream) {
        let x = between(stream, 0.0, self.width as f32);
        let y = between(stream, 0.0, self.height as f32);
        let radius = self.radius_px * between(stream, 0.13, 0.26);
        let density = between(stream, 0.35, 0.7);
        for _ in 0..stream.int(2, 5) {
            let (dx, dy) = (gauss(stream, 0.5) * radius, gauss(stream, 0.5) * radius);
            let grain = radius * between(stream, 0.4, 0.9);
            self.spots.push(Spot { x: x + dx, y: y + dy, radius: grain, density, stained: true });
        }
    }

    fn add_dirt(&mut self, stream: &mut Stream) {
        let x = between(stream, 0.0, self.width as f32);
        let y = between(stream, 0.0, self.height as f32);
        let radius = self.radius_px * between(stream, 0.05, 0.14);
        self.spots.push(Spot { x, y, radius, density: between(stream, 0.15, 0.6), stained: false });
    }

    /// LabelFormat of the cells whose middle lies at least 0.6 radii inside the field.
    pub(crate) fn labels(&self) -> Vec<CellLabel> {
        let margin = 0.6 * self.radius_px;
        let (w, h) = (self.width as f32, self.height as f32);
        let inside = |c: &&DrawnCell| c.x >= margin && c.y >= margin && c.x < w - margin && c.y < h - margin;
        let label = |c: &DrawnCell| {
            let (hx, hy) = (c.shape.footprint.half.0 * self.radius_px, c.shape.footprint.half.1 * self.radius_px);
            CellLabel {
                x: c.x as u32,
                y: c.y as u32,
                xmin: (c.x - hx).max(0.0) as u32,
                ymin: (c.y - hy).max(0.0) as u32,
                xmax: (c.x + hx).ceil().min(w) as u32,
                ymax: (c.y + hy).ceil().min(h) as u32,
                class: c.class,
            }
        };
        self.cells.iter().filter(inside).map(label).collect()
    }
}

/// Shares of the nine classes in a source; evaluation fields hold more of the rare ones.
fn class_mix(key: FieldKey, evaluation: bool) -> [f64; 9] {
    let mut stream = key.source_stream();
    let discocytes = if evaluation { 1.7 } else { 4.5 };
    let mut mix = [1.0; 9];
    mix[0] = discocytes;
    mix.map(|share| share * (0.3 * stream.normal().clamp(-2.0, 2.0)).exp())
}

fn pick(mix: &[f64; 9], stream: &mut Stream) -> Class {
    let mut left = stream.unit() * mix.iter().sum::<f64>();
    for (class, share) in Class::ALL.into_iter().zip(mix) {
        left -= share;
        if left < 0.0 {
            return class;
        }
    }
    Class::Schistocyte
}

/// Occupancy of the field and its margin, on the grid on which shapes are measured.
struct Glass {
    step: f32,
    origin: f32,
    width: i32,
    height: i32,
    taken: usize,
    full: Vec<bool>,
}

impl Glass {
    fn new(scene: &Scene) -> Self {
        let step = GRID_STEP * scene.radius_px;
        let origin = 3.5 * scene.radius_px;
        let cells = |px: u32| ((px as f32 + 2.0 * origin) / step).ceil() as i32;
        let (width, height) = (cells(scene.width), cells(scene.height));
        Self { step, origin, width, height, taken: 0, full: vec![false; (width * height) as usize] }
    }

    fn area(&self) -> usize {
        self.full.len()
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
        inside.then(|| (y * self.width + x) as usize)
    }

    fn cell_of(&self, x: f32, y: f32) -> (i32, i32) {
        (((x + self.origin) / self.step) as i32, ((y + self.origin) / self.step) as i32)
    }

    /// Takes the footprint's place unless more than the `allowed` share of it is taken already.
    fn place(&mut self, footprint: &[(i16, i16)], x: f32, y: f32, allowed: f32) -> bool {
        let (cx, cy) = self.cell_of(x, y);
        let at = |p: &(i16, i16)| (cx + i32::from(p.0), cy + i32::from(p.1));
        let mut budget = (allowed * footprint.len() as f32) as usize;
        for p in footprint {
            let (px, py) = at(p);
            if self.index(px, py).is_some_and(|i| self.full[i]) {
                if budget == 0 {
                    return false;
                }
                budget -= 1;
            }
        }
        for p in footprint {
            let (px, py) = at(p);
            if let Some(i) = self.index(px, py) {
                self.taken += usize::from(!self.full[i]);
                self.full[i] = true;
            }
        }
        true
    }

    fn block(&mut self, x: f32, y: f32, radius: f32) {
        let (cx, cy) = self.cell_of(x, y);
        let reach = (radius / self.step).ceil() as i32;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                if dx * dx + dy * dy <= reach * reach
                    && let Some(i) = self.index(cx + dx, cy + dy)
                {
                    self.full[i] = true;
                }
            }
        }
    }
}
