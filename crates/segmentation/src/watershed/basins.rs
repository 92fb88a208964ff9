//! Parts touching cells: a watershed of the distance to the background.
//!
//! Pixels are flooded from the deepest inside outwards. Where two basins meet, the saddle says how deep the neck between them
//! is: if the shallower basin rises above it by less than a share of its own depth, the two are one cell with an uneven
//! outline; otherwise a border runs there.

/// The basin of each pixel with `depth` > 0, from 1; 0 outside. `least_rise` is the share of a basin's depth by which it must
/// rise above the saddle to stand for itself.
pub(super) fn basins(depth: &[f32], width: usize, height: usize, least_rise: f32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..depth.len() as u32).filter(|&at| depth[at as usize] > 0.0).collect();
    order.sort_by(|&p, &q| depth[q as usize].total_cmp(&depth[p as usize]).then(p.cmp(&q)));
    let mut flood = Flood { basin: vec![0; depth.len()], parent: vec![0], peak: vec![0.0] };
    for at in order {
        let at = at as usize;
        let mut home: Option<(f32, u32)> = None;
        let around: Vec<(f32, u32)> = neighbours(at, width, height)
            .filter(|&next| flood.basin[next] > 0)
            .map(|next| (depth[next], flood.basin[next]))
            .collect();
        for (level, basin) in around {
            let basin = flood.root(basin);
            home = Some(match home {
                None => (level, basin),
                Some((before, other)) => {
                    let other = flood.root(other);
                    let shallower = flood.peak[basin as usize].min(flood.peak[other as usize]);
                    if basin != other && shallower - depth[at] < least_rise * shallower {
                        (level.max(before), flood.join(basin, other))
                    } else if level > before {
                        (level, basin)
                    } else {
                        (before, other)
                    }
                }
            });
        }
        flood.basin[at] = match home {
            Some((_, basin)) => basin,
            None => flood.begin(depth[at]),
        };
    }
    let mut number = vec![0_u32; flood.parent.len()];
    let mut next = 0;
    (0..depth.len())
        .map(|at| {
            let root = flood.root(flood.basin[at]) as usize;
            if root > 0 && number[root] == 0 {
                next += 1;
                number[root] = next;
            }
            number[root]
        })
        .collect()
}

struct Flood {
    basin: Vec<u32>,
    parent: Vec<u32>,
    peak: Vec<f32>,
}

impl Flood {
    fn begin(&mut self, peak: f32) -> u32 {
        let basin = self.parent.len() as u32;
        self.parent.push(basin);
        self.peak.push(peak);
        basin
    }

    fn root(&mut self, mut basin: u32) -> u32 {
        while self.parent[basin as usize] != basin {
            let up = self.parent[self.parent[basin as usize] as usize];
            self.parent[basin as usize] = up;
            basin = up;
        }
        basin
    }

    /// The deeper basin takes the other in.
    fn join(&mut self, a: u32, b: u32) -> u32 {
        let (deep, shallow) = if (self.peak[a as usize], b) >= (self.peak[b as usize], a) { (a, b) } else { (b, a) };
        self.parent[shallow as usize] = deep;
        deep
    }
}

/// The up to eight pixels around one.
fn neighbours(at: usize, width: usize, height: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (at % width, at / width);
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    rows.flat_map(move |row| (x.saturating_sub(1)..(x + 2).min(width)).map(move |column| row * width + column))
        .filter(move |&next| next != at)
}

/// The connected parts of `inside`, from 1, in the order of their first pixels; 0 outside. Pixels that share an edge are
/// connected.
pub(super) fn parts(inside: &[bool], width: usize, height: usize) -> (Vec<u32>, u32) {
    let mut part = vec![0; inside.len()];
    let mut count = 0;
    let mut open = Vec::new();
    for start in 0..inside.len() {
        if !inside[start] || part[start] > 0 {
            continue;
        }
        count += 1;
        part[start] = count;
        open.push(start);
        while let Some(at) = open.pop() {
            let (x, y) = (at % width, at / width);
            let left = (x > 0).then(|| at - 1);
            let right = (x + 1 < width).then(|| at + 1);
            let up = (y > 0).then(|| at - width);
            let down = (y + 1 < height).then(|| at + width);
            for next in [left, right, up, down].into_iter().flatten() {
                if inside[next] && part[next] == 0 {
                    part[next] = count;
                    open.push(next);
                }
            }
        }
    }
    (part, count)
}
