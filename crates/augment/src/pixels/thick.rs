//! Lines of several pixels' width as OpenCV draws them: a convex polygon and a disc at either end (8-connected, not smoothed).

use super::draw::{Point, clip_line, disc_spans};

/// Fixed point: one pixel.
const ONE: i64 = 1 << 16;
const HALF: i64 = ONE / 2;

/// Calls `span(y, first, last)` for stretches of pixels of the `width` x `height` image which together make the line; they overlap.
///
/// `thickness` is at least 2.
pub(crate) fn thick_line(
    size: (usize, usize),
    from: Point,
    to: Point,
    thickness: i64,
    mut span: impl FnMut(usize, usize, usize),
) {
    let fixed = |(x, y): Point| (x * ONE, y * ONE);
    let (dx, dy) = ((from.0 - to.0) as f64, (to.1 - from.1) as f64);
    let length = (dx * dx + dy * dy).sqrt();
    let (a, b) = (fixed(from), fixed(to));
    if length > 0.0 {
        // Odd widths get half a pixel more on either side.
        let half_width = (thickness * HALF) as f64 + (thickness % 2 * HALF) as f64;
        let scale = half_width / length;
        let (across_x, across_y) = ((dy * scale).round_ties_even() as i64, (dx * scale).round_ties_even() as i64);
        let corner = |(x, y): Point, sign: i64| (x + sign * across_x, y + sign * across_y);
        fill_convex(size, &[corner(a, 1), corner(a, -1), corner(b, -1), corner(b, 1)], &mut span);
    }
    let radius = (thickness * HALF + HALF) / ONE;
    for center in [from, to] {
        for (y, &(first, last)) in disc_spans(size, center, radius).iter().enumerate() {
            if first <= last {
                span(y, first as usize, last as usize);
            }
        }
    }
}

/// One side of a convex polygon on the way down.
struct Side {
    /// The corner it comes from.
    corner: usize,
    /// Corners to go on at each turn: 1, or all but one.
    turn: usize,
    x: i64,
    step: i64,
    /// The row at which it turns.
    until: i64,
}

/// The inside and the outline of a convex polygon whose corners are in fixed point.
fn fill_convex((width, height): (usize, usize), corners: &[Point; 4], span: &mut impl FnMut(usize, usize, usize)) {
    let pixel = |v: i64| (v + HALF) >> 16;
    let mut from = corners[3];
    for &to in corners {
        outline((width, height), from, to, |x, y| span(y, x, x));
        from = to;
    }
    let (width, height) = (width as i64, height as i64);
    let mut top = 0;
    for (i, corner) in corners.iter().enumerate() {
        if corner.1 < corners[top].1 {
            top = i;
        }
    }
    let bottom = pixel(corners.iter().map(|c| c.1).max().unwrap_or(0)).min(height - 1);
    let mut y = pixel(corners[top].1);
    let mut sides = [1, 3].map(|turn| Side { corner: top, turn, x: -ONE, step: 0, until: y });
    let mut left = corners.len();
    while y <= bottom {
        for side in &mut sides {
            if y < side.until {
                continue;
            }
            loop {
                // Without an edge to go on with the polygon is done; its last row belongs to the outline.
                let Some(fewer) = left.checked_sub(1) else { return };
                left = fewer;
                let (start, end) = (side.corner, (side.corner + side.turn) % 4);
                side.corner = end;
                let until = pixel(corners[end].1);
                if until > y {
                    let rows = until - y;
                    side.x = corners[start].0;
                    side.step = ((corners[end].0 - side.x) * 2 + rows) / (2 * rows);
                    side.until = until;
                    break;
                }
            }
        }
        let (first, last) =
            (pixel(sides[0].x.min(sides[1].x)).max(0), pixel(sides[0].x.max(sides[1].x)).min(width - 1));
        if y >= 0 && first <= last {
            span(y as usize, first as usize, last as usize);
        }
        for side in &mut sides {
            side.x += side.step;
        }
        y += 1;
    }
}

/// A line of one pixel's width whose ends are in fixed point.
fn outline((width, height): (usize, usize), from: Point, to: Point, mut put: impl FnMut(usize, usize)) {
    let (mut a, mut b, visible) = clip_line((width as i64 * ONE, height as i64 * ONE), from, to);
    if !visible {
        return;
    }
    let mut put = |x: i64, y: i64| {
        if (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
            put(x as usize, y as usize);
        }
    };
    let flat = (b.0 - a.0).abs() > (b.1 - a.1).abs();
    let backwards = if flat { b.0 < a.0 } else { b.1 < a.1 };
    if backwards {
        std::mem::swap(&mut a, &mut b);
    }
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    put((b.0 + HALF) >> 16, (b.1 + HALF) >> 16);
    let (mut x, mut y) = (a.0 + HALF, a.1 + HALF);
    // The divisor is made odd, not 0: a point has one.
    let (step_x, step_y) = if flat { (ONE, dy * ONE / (dx | 1)) } else { (dx * ONE / (dy | 1), ONE) };
    for _ in 0..=(if flat { dx } else { dy }) >> 16 {
        put(x >> 16, y >> 16);
        x += step_x;
        y += step_y;
    }
}
