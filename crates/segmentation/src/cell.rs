//! A cell and its measures: place, size, roundness, mask.

use std::f64::consts::{PI, SQRT_2};

/// A cell that a segmentation found, with its measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Left edge of its bounding box, px.
    pub x: u32,
    /// Top edge of its bounding box, px.
    pub y: u32,
    /// Width of its bounding box, px.
    pub w: u32,
    /// Height of its bounding box, px.
    pub h: u32,
    /// Centre of mass, px; the middle of the first pixel is 0.
    pub centre: (f64, f64),
    /// How many pixels it has.
    pub area: u32,
    /// 4π·area/perimeter²: 1 for a disc, less for anything else; small cells may exceed it.
    pub circularity: f64,
    /// Whether it lies at the edge of the image, where part of it is missing.
    pub at_edge: bool,
    /// `h × w` flags, row by row: which pixels of the bounding box belong to the cell.
    pub mask: Vec<bool>,
}

impl Cell {
    /// Whether the pixel (x, y) of the image is part of it.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        let inside = x >= self.x && y >= self.y && x < self.x + self.w && y < self.y + self.h;
        inside && self.mask[((y - self.y) * self.w + (x - self.x)) as usize]
    }

    /// The mask as run lengths, row by row: pixels outside, pixels inside, outside …, spaces between.
    pub fn runs(&self) -> String {
        let mut runs = Vec::new();
        let (mut inside, mut length) = (false, 0_u32);
        for &pixel in &self.mask {
            if pixel != inside {
                runs.push(length.to_string());
                (inside, length) = (pixel, 0);
            }
            length += 1;
        }
        runs.push(length.to_string());
        runs.join(" ")
    }
}

/// Measures the basins of at least `least` pixels, in the order of their numbers.
pub(crate) fn measure(basin: &[u32], width: usize, height: usize, least: u32) -> Vec<Cell> {
    let count = basin.iter().copied().max().unwrap_or(0) as usize;
    let mut boxes = vec![(usize::MAX, usize::MAX, 0, 0, 0_u32); count];
    for (at, &basin) in basin.iter().enumerate().filter(|(_, basin)| **basin > 0) {
        let (x, y) = (at % width, at / width);
        let (x0, y0, x1, y1, area) = &mut boxes[basin as usize - 1];
        (*x0, *y0, *x1, *y1) = ((*x0).min(x), (*y0).min(y), (*x1).max(x), (*y1).max(y));
        *area += 1;
    }
    let mut cells = Vec::new();
    for (index, (x0, y0, x1, y1, area)) in boxes.into_iter().enumerate().filter(|(_, found)| found.4 >= least.max(1)) {
        let (w, h) = (x1 - x0 + 1, y1 - y0 + 1);
        let mask: Vec<bool> =
            (0..w * h).map(|at| basin[(y0 + at / w) * width + x0 + at % w] as usize == index + 1).collect();
        let (mut sum_x, mut sum_y) = (0, 0);
        for at in (0..w * h).filter(|&at| mask[at]) {
            sum_x += x0 + at % w;
            sum_y += y0 + at / w;
        }
        let perimeter = perimeter(&mask, w, h);
        cells.push(Cell {
            x: x0 as u32,
            y: y0 as u32,
            w: w as u32,
            h: h as u32,
            centre: (sum_x as f64 / f64::from(area), sum_y as f64 / f64::from(area)),
            area,
            circularity: if perimeter > 0.0 { 4.0 * PI * f64::from(area) / (perimeter * perimeter) } else { 1.0 },
            at_edge: x0 == 0 || y0 == 0 || x1 + 1 == width || y1 + 1 == height,
            mask,
        });
    }
    cells
}

/// Length of the outline through the middles of its border pixels: straight steps count 1, oblique ones √2, corners the
/// mean (Benkrid and Crookes, 2000; what scikit-image calls `perimeter`).
pub(crate) fn perimeter(mask: &[bool], width: usize, height: usize) -> f64 {
    let inside = |x: isize, y: isize| {
        x >= 0 && y >= 0 && x < width as isize && y < height as isize && mask[y as usize * width + x as usize]
    };
    let border = |x: isize, y: isize| {
        inside(x, y) && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1))
    };
    let mut length = 0.0;
    for y in 0..height as isize {
        for x in 0..width as isize {
            if !border(x, y) {
                continue;
            }
            let straight = [(-1, 0), (1, 0), (0, -1), (0, 1)];
            let oblique = [(-1, -1), (1, -1), (-1, 1), (1, 1)];
            let count = |around: [(isize, isize); 4]| around.iter().filter(|(dx, dy)| border(x + dx, y + dy)).count();
            length += match 1 + 2 * count(straight) + 10 * count(oblique) {
                5 | 7 | 15 | 17 | 25 | 27 => 1.0,
                21 | 33 => SQRT_2,
                13 | 23 => (1.0 + SQRT_2) / 2.0,
                _ => 0.0,
            };
        }
    }
    length
}
