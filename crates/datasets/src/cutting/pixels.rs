//! Takes the pixels of a cut out of an image.

use image::{Rgb, imageops};
use imaging::RgbImage;

use super::cut::Cut;
use crate::schema::Fill;

/// The pixels of `cut`, resampled where the cut says so; what lies outside the image is filled as the cut says.
pub fn take(image: &RgbImage, cut: &Cut) -> RgbImage {
    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    let far = |start: i32, side: u32| i64::from(start) + i64::from(side);
    let whole = cut.x >= 0 && cut.y >= 0 && far(cut.x, cut.w) <= width && far(cut.y, cut.h) <= height;
    let taken = if whole { inside(image, cut) } else { filled(image, cut, width, height) };
    match cut.resample_to {
        Some(side) => imageops::resize(&taken, side, side, imageops::FilterType::CatmullRom),
        None => taken,
    }
}

/// The pixels of a cut that lies inside.
fn inside(image: &RgbImage, cut: &Cut) -> RgbImage {
    let mut taken = RgbImage::new(cut.w, cut.h);
    let (line, width) = (3 * image.width() as usize, 3 * cut.w as usize);
    let start = cut.y as usize * line + 3 * cut.x as usize;
    for (to, from) in taken.chunks_exact_mut(width).zip(image.as_raw()[start..].chunks(line)) {
        to.copy_from_slice(&from[..width]);
    }
    taken
}

/// The pixels of a cut of which a part lies outside.
fn filled(image: &RgbImage, cut: &Cut, width: i64, height: i64) -> RgbImage {
    RgbImage::from_fn(cut.w, cut.h, |dx, dy| {
        let x = i64::from(cut.x) + i64::from(dx);
        let y = i64::from(cut.y) + i64::from(dy);
        let inside = (0..width).contains(&x) && (0..height).contains(&y);
        match cut.fill {
            _ if inside => *image.get_pixel(x as u32, y as u32),
            Fill::Reflect => *image.get_pixel(mirrored(x, width), mirrored(y, height)),
            Fill::White => Rgb([255; 3]),
            Fill::Black => Rgb([0; 3]),
        }
    })
}

/// Reflect-101: … 2 1 | 0 1 2 … n−1 | n−2 n−3 …, however far outside `position` lies.
fn mirrored(position: i64, length: i64) -> u32 {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let phase = position.rem_euclid(period);
    phase.min(period - phase) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_does_not_repeat_the_edge() {
        assert_eq!((-3..8).map(|x| mirrored(x, 4)).collect::<Vec<_>>(), [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!((-3..3).map(|x| mirrored(x, 1)).collect::<Vec<_>>(), [0; 6]);
    }

    #[test]
    fn pixels_outside_are_filled_and_those_inside_kept() {
        let image = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 9]));
        let cut = |fill| Cut { x: -1, y: -1, w: 5, h: 4, label: None, fill, resample_to: None };
        let mirror = take(&image, &cut(Fill::Reflect));
        let reds: Vec<u8> = mirror.pixels().take(5).map(|pixel| pixel[0]).collect();
        let greens: Vec<u8> = mirror.pixels().step_by(5).map(|pixel| pixel[1]).collect();
        assert_eq!((reds.as_slice(), greens.as_slice()), ([1, 0, 1, 2, 1].as_slice(), [1, 0, 1, 0].as_slice()));
        let within = Cut { x: 1, y: 1, w: 2, h: 1, ..cut(Fill::White) };
        assert_eq!(take(&image, &within).into_raw(), [1, 1, 9, 2, 1, 9]);
        assert_eq!(take(&image, &cut(Fill::White)).get_pixel(0, 0).0, [255; 3]);
        assert_eq!(take(&image, &cut(Fill::Black)).get_pixel(1, 1).0, [0, 0, 9]);
    }
}
