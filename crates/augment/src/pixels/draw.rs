//! Lines, discs and polygons as OpenCV draws them (8-connected, not smoothed).

use crate::image::PixelBuffer;
use crate::pool::Buf;

/// A position `(x, y)`; it may lie outside the image.
pub(crate) type Point = (i64, i64);

/// Cuts the segment to the `width` x `height` image; false if nothing of it lies inside.
pub(crate) fn clip_line((width, height): (i64, i64), from: Point, to: Point) -> (Point, Point, bool) {
    let (right, bottom) = (width - 1, height - 1);
    let ((mut x1, mut y1), (mut x2, mut y2)) = (from, to);
    let side_x = |x: i64| i32::from(x < 0) + i32::from(x > right) * 2;
    let code = |x: i64, y: i64| side_x(x) + i32::from(y < 0) * 4 + i32::from(y > bottom) * 8;
    let (mut c1, mut c2) = (code(x1, y1), code(x2, y2));
    // In doubles, cut towards zero.
    let part = |a: i64, b: i64, c: i64| (a as f64 * b as f64 / c as f64) as i64;
    if c1 & c2 == 0 && c1 | c2 != 0 {
        if c1 & 12 != 0 {
            let a = if c1 < 8 { 0 } else { bottom };
            x1 += part(a - y1, x2 - x1, y2 - y1);
            y1 = a;
            c1 = side_x(x1);
        }
        if c2 & 12 != 0 {
            let a = if c2 < 8 { 0 } else { bottom };
            x2 += part(a - y2, x2 - x1, y2 - y1);
            y2 = a;
            c2 = side_x(x2);
        }
        if c1 & c2 == 0 && c1 | c2 != 0 {
            if c1 != 0 {
                let a = if c1 == 1 { 0 } else { right };
                y1 += part(a - x1, y2 - y1, x2 - x1);
                x1 = a;
                c1 = 0;
            }
            if c2 != 0 {
                let a = if c2 == 1 { 0 } else { right };
                y2 += part(a - x2, y2 - y1, x2 - x1);
                x2 = a;
                c2 = 0;
            }
        }
    }
    ((x1, y1), (x2, y2), c1 | c2 == 0)
}

/// Calls `put` for each pixel of the line inside the `width` x `height` image.
pub(crate) fn line((width, height): (i64, i64), from: Point, to: Point, mut put: impl FnMut(usize, usize)) {
    let outside = |(x, y): Point| x < 0 || x >= width || y < 0 || y >= height;
    let (mut from, mut to) = (from, to);
    if outside(from) || outside(to) {
        let (a, b, visible) = clip_line((width, height), from, to);
        if !visible {
            return;
        }
        (from, to) = (a, b);
    }
    let (mut dx, mut dy) = (to.0 - from.0, to.1 - from.1);
    if dx < 0 {
        (dx, dy) = (-dx, -dy);
        from = to;
    }
    let step_y = if dy < 0 { -1 } else { 1 };
    dy = dy.abs();
    let steep = dy > dx;
    let (long, short) = if steep { (dy, dx) } else { (dx, dy) };
    let (along, across) = if steep { ((0, step_y), (1, 0)) } else { ((1, 0), (0, step_y)) };
    let mut error = long - 2 * short;
    let (mut x, mut y) = from;
    for _ in 0..=long {
        put(x as usize, y as usize);
        let turn = error < 0;
        error -= 2 * short;
        if turn {
            error += 2 * long;
            x += across.0;
            y += across.1;
        }
        x += along.0;
        y += along.1;
    }
}

/// For each row of the image that a filled disc touches, its span; OpenCV's midpoint circle.
///
/// Returns `(first, last)` per row, `first > last` where the row is untouched.
pub(crate) fn disc_spans((width, height): (usize, usize), center: Point, radius: i64) -> Buf<(i64, i64)> {
    let mut spans = Buf::filled(height, (i64::MAX, i64::MIN));
    let (width, height) = (width as i64, height as i64);
    let (mut dx, mut dy, mut error, mut plus, mut minus) = (radius, 0i64, 0i64, 1i64, 2 * radius - 1);
    let mut cover = |y: i64, half: i64| {
        let (first, last) = ((center.0 - half).max(0), (center.0 + half).min(width - 1));
        if (0..height).contains(&y) && first <= last {
            let span = &mut spans[y as usize];
            *span = (span.0.min(first), span.1.max(last));
        }
    };
    while dx >= dy {
        cover(center.1 - dy, dx);
        cover(center.1 + dy, dx);
        cover(center.1 - dx, dy);
        cover(center.1 + dx, dy);
        dy += 1;
        error += plus;
        plus += 2;
        if error > 0 {
            error -= minus;
            dx -= 1;
            minus -= 2;
        }
    }
    spans
}

/// Paints a filled disc.
pub(crate) fn fill_disc(image: &mut PixelBuffer, center: Point, radius: i64, color: [u8; 3]) {
    let stride = image.stride();
    for (y, &(first, last)) in disc_spans((image.width, image.height), center, radius).iter().enumerate() {
        if first <= last {
            let row = &mut image.data[y * stride..(y + 1) * stride];
            for pixel in row[first as usize * 3..(last as usize + 1) * 3].chunks_exact_mut(3) {
                pixel.copy_from_slice(&color);
            }
        }
    }
}

/// One edge of a polygon, scanned downwards; x in 16-bit fixed point.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Edge {
    top: i64,
    bottom: i64,
    x: i64,
    step: i64,
}

crate::pool::pooled!(Edge);

const ONE: i64 = 1 << 16;

/// Marks the inside (even-odd) and the outline of a polygon in `mask` (`[height, width]`).
pub(crate) fn fill_polygon(mask: &mut [bool], (width, height): (usize, usize), points: &[Point]) {
    let size = (width as i64, height as i64);
    let Some(&last) = points.last() else { return };
    let mut edges = Buf::with_capacity(points.len());
    let mut from = last;
    for &to in points {
        line(size, from, to, |x, y| mask[y * width + x] = true);
        let outside = |(x, y): Point| x < 0 || x >= size.0 || y < 0 || y >= size.1;
        let (mut a, mut b) = (from, to);
        if outside(from) || outside(to) {
            // The clipped ends give the more exact slope; their rows count only when they differ.
            let (clipped_a, clipped_b, _) = clip_line(size, from, to);
            if clipped_a.1 != clipped_b.1 {
                (a.1, b.1) = (clipped_a.1, clipped_b.1);
            }
            (a.0, b.0) = (clipped_a.0, clipped_b.0);
        }
        if from.1 != to.1 {
            let (ax, bx) = (a.0 * ONE, b.0 * ONE);
            let step = (bx - ax) / (b.1 - a.1);
            edges.push(if from.1 < to.1 {
                Edge { top: from.1, bottom: to.1, x: ax + (from.1 - a.1) * step, step }
            } else {
                Edge { top: to.1, bottom: from.1, x: bx + (to.1 - b.1) * step, step }
            });
        }
        from = to;
    }
    fill_edges(mask, size, edges);
}

/// Scan conversion: between the 1st and 2nd, 3rd and 4th, … active edge of a row.
fn fill_edges(mask: &mut [bool], (width, height): (i64, i64), mut edges: Buf<Edge>) {
    if edges.len() < 2 {
        return;
    }
    edges.sort_unstable_by_key(|e| (e.top, e.x, e.step, e.bottom));
    let end = edges.iter().map(|e| e.bottom).max().unwrap_or(0).min(height);
    let mut waiting = edges.iter().copied().peekable();
    let mut active = Buf::<Edge>::with_capacity(edges.len());
    for y in edges[0].top..end {
        active.retain(|e| e.bottom != y);
        while let Some(edge) = waiting.next_if(|e| e.top == y) {
            // A new edge goes before the first active one that lies to its right or at its place.
            let at = active.iter().position(|e| e.x >= edge.x).unwrap_or(active.len());
            active.insert(at, edge);
        }
        for pair in active.chunks_exact_mut(2) {
            let (left, right) = (pair[0].x.min(pair[1].x), pair[0].x.max(pair[1].x));
            let (first, last) = (((left + ONE - 1) >> 16).max(0), (right >> 16).min(width - 1));
            if y >= 0 && first <= last {
                let row = (y * width) as usize;
                mask[row + first as usize..=row + last as usize].fill(true);
            }
            pair.iter_mut().for_each(|e| e.x += e.step);
        }
        active.sort_by_key(|e| e.x);
    }
}
