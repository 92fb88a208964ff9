//! Crops, flips and quarter turns: pixels move, none changes.

use crate::image::PixelBuffer;

/// The `height` x `width` window whose first pixel is (`top`, `left`); it must lie inside.
pub(crate) fn crop(image: &PixelBuffer, top: usize, left: usize, height: usize, width: usize) -> PixelBuffer {
    let mut window = PixelBuffer::empty(height, width);
    for y in top..top + height {
        window.data.extend_from_slice(&image.row(y)[left * 3..(left + width) * 3]);
    }
    window
}

/// How a view is turned: mirrored left and right, then top and bottom, then by quarters counter-clockwise.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turn {
    /// Left and right change places.
    pub(crate) horizontal: bool,
    /// Top and bottom change places.
    pub(crate) vertical: bool,
    /// Quarter turns, each by 90 degrees.
    pub(crate) quarters: usize,
}

/// Where the pixels of a turned image come from: `first + y down + x across`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    /// Rows of the result.
    pub(crate) height: usize,
    /// Columns of the result.
    pub(crate) width: usize,
    /// The source of its first pixel.
    pub(crate) first: isize,
    /// From a pixel's source to that of the pixel below.
    pub(crate) down: isize,
    /// From a pixel's source to that of the next to the right.
    pub(crate) across: isize,
}

impl Turn {
    /// The image flipped and turned.
    pub(crate) fn apply(self, mut image: PixelBuffer) -> PixelBuffer {
        if self.horizontal {
            image = flip_horizontal(image);
        }
        if self.vertical {
            image = flip_vertical(image);
        }
        rotate_90(image, self.quarters)
    }

    /// Height and width of the turned image.
    pub(crate) fn size(self, image: &PixelBuffer) -> (usize, usize) {
        if self.quarters.is_multiple_of(2) { (image.height, image.width) } else { (image.width, image.height) }
    }

    /// Where the turned image's pixels lie in `image`.
    pub(crate) fn walk(self, image: &PixelBuffer) -> Walk {
        let (rows, columns) = (image.height as isize, image.width as isize);
        let source = |y: isize, x: isize| {
            let (y, x) = match self.quarters % 4 {
                0 => (y, x),
                1 => (x, columns - 1 - y),
                2 => (rows - 1 - y, columns - 1 - x),
                _ => (rows - 1 - x, y),
            };
            let y = if self.vertical { rows - 1 - y } else { y };
            y * columns + if self.horizontal { columns - 1 - x } else { x }
        };
        let (height, width) = self.size(image);
        let first = source(0, 0);
        Walk { height, width, first, down: source(1, 0) - first, across: source(0, 1) - first }
    }
}

/// Mirrors left and right.
pub(crate) fn flip_horizontal(mut image: PixelBuffer) -> PixelBuffer {
    let stride = image.stride();
    for row in image.data.chunks_exact_mut(stride) {
        row.as_chunks_mut::<3>().0.reverse();
    }
    image
}

/// Mirrors top and bottom.
pub(crate) fn flip_vertical(mut image: PixelBuffer) -> PixelBuffer {
    let stride = image.stride();
    for y in 0..image.height / 2 {
        let (head, tail) = image.data.split_at_mut((image.height - 1 - y) * stride);
        head[y * stride..(y + 1) * stride].swap_with_slice(&mut tail[..stride]);
    }
    image
}

/// Turns by `quarters` times 90° counter-clockwise (`np.rot90`).
pub(crate) fn rotate_90(image: PixelBuffer, quarters: usize) -> PixelBuffer {
    match quarters % 4 {
        0 => image,
        2 => flip_vertical(flip_horizontal(image)),
        odd => walked(&image, Turn { quarters: odd, ..Turn::default() }.walk(&image)),
    }
}

/// The pixels of a walk. In square tiles, so that neither image is read or written across whole cache lines at a time.
pub(crate) fn walked(image: &PixelBuffer, walk: Walk) -> PixelBuffer {
    const TILE: usize = 16;
    let mut turned = PixelBuffer::unwritten(walk.height, walk.width);
    let source = image.data.as_chunks::<3>().0;
    let target = turned.data.as_chunks_mut::<3>().0;
    for top in (0..walk.height).step_by(TILE) {
        for left in (0..walk.width).step_by(TILE) {
            for y in top..(top + TILE).min(walk.height) {
                let mut at = walk.first + y as isize * walk.down + left as isize * walk.across;
                let line = &mut target[y * walk.width + left..y * walk.width + (left + TILE).min(walk.width)];
                for pixel in line {
                    *pixel = source[at as usize];
                    at += walk.across;
                }
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turns_are_counter_clockwise_and_come_full_circle() {
        // a b      b d
        // c d  ->  a c
        let image = PixelBuffer::new(2, 2, (0..12).collect()).expect("12 bytes are 2 x 2 pixels");
        let turned = rotate_90(image.clone(), 1);
        assert_eq!(turned.data, vec![3, 4, 5, 9, 10, 11, 0, 1, 2, 6, 7, 8]);
        assert_eq!(rotate_90(turned, 3), image);
        assert_eq!(rotate_90(image.clone(), 2), rotate_90(rotate_90(image.clone(), 1), 1));
        assert_eq!(flip_vertical(flip_vertical(image.clone())), image);
    }

    #[test]
    fn a_walk_finds_what_turning_would_have_moved() {
        let image = PixelBuffer::new(40, 70, (0..40 * 70 * 3).map(|i| (i * i / 5) as u8).collect()).expect("it fits");
        for i in 0..16 {
            let turn = Turn { horizontal: i & 1 > 0, vertical: i & 2 > 0, quarters: i / 4 };
            let (turned, walk) = (turn.apply(image.clone()), turn.walk(&image));
            assert_eq!((turned.height, turned.width), (walk.height, walk.width));
            for (at, pixel) in turned.data.chunks_exact(3).enumerate() {
                let (y, x) = ((at / walk.width) as isize, (at % walk.width) as isize);
                let from = (walk.first + y * walk.down + x * walk.across) as usize;
                assert_eq!(pixel, &image.data[from * 3..from * 3 + 3], "{turn:?} at {y}, {x}");
            }
        }
    }
}
