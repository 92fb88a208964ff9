//! Crops, flips and quarter turns: pixels move, none changes.

use crate::image::Image;

/// The `height` x `width` window whose first pixel is (`top`, `left`); it must lie inside.
pub(crate) fn crop(image: &Image, top: usize, left: usize, height: usize, width: usize) -> Image {
    let mut data = Vec::with_capacity(height * width * 3);
    for y in top..top + height {
        data.extend_from_slice(&image.row(y)[left * 3..(left + width) * 3]);
    }
    Image { height, width, data }
}

/// Mirrors left and right.
pub(crate) fn flip_horizontal(mut image: Image) -> Image {
    let stride = image.stride();
    for row in image.data.chunks_exact_mut(stride) {
        let width = stride / 3;
        for x in 0..width / 2 {
            for c in 0..3 {
                row.swap(x * 3 + c, (width - 1 - x) * 3 + c);
            }
        }
    }
    image
}

/// Mirrors top and bottom.
pub(crate) fn flip_vertical(mut image: Image) -> Image {
    let stride = image.stride();
    for y in 0..image.height / 2 {
        let (head, tail) = image.data.split_at_mut((image.height - 1 - y) * stride);
        head[y * stride..(y + 1) * stride].swap_with_slice(&mut tail[..stride]);
    }
    image
}

/// Turns by `quarters` times 90° counter-clockwise (`np.rot90`).
pub(crate) fn rotate_90(image: Image, quarters: usize) -> Image {
    match quarters % 4 {
        0 => image,
        2 => flip_vertical(flip_horizontal(image)),
        turn => {
            let (height, width) = (image.width, image.height);
            let mut data = Vec::with_capacity(image.data.len());
            for y in 0..height {
                for x in 0..width {
                    let (from_y, from_x) = if turn == 1 { (x, image.width - 1 - y) } else { (image.height - 1 - x, y) };
                    let at = (from_y * image.width + from_x) * 3;
                    data.extend_from_slice(&image.data[at..at + 3]);
                }
            }
            Image { height, width, data }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turns_are_counter_clockwise_and_come_full_circle() {
        // a b      b d
        // c d  ->  a c
        let image = Image { height: 2, width: 2, data: (0..12).collect() };
        let turned = rotate_90(image.clone(), 1);
        assert_eq!(turned.data, [3, 4, 5, 9, 10, 11, 0, 1, 2, 6, 7, 8]);
        assert_eq!(rotate_90(turned, 3), image);
        assert_eq!(rotate_90(image.clone(), 2), rotate_90(rotate_90(image.clone(), 1), 1));
        assert_eq!(flip_vertical(flip_vertical(image.clone())), image);
    }
}
