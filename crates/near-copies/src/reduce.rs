//! A part of an image in grey and small, to the bit as `image::imageops` makes it by `grayscale` and a triangle filter: stored fingerprints
//! stay comparable. That library resamples four channels of a generic picture pixel by pixel, which took most of a fingerprint's time.

use imaging::RgbImage;

/// Weights of red, green and blue in the brightness, in ten thousandths.
const LUMA: [u32; 3] = [2126, 7152, 722];

/// The places along one side that a place of the small picture is made of.
#[derive(Debug)]
struct Weighted {
    first: usize,
    weights: Vec<f32>,
}

/// The part (left, top, width, height) of an image in grey, `side` × `side` pixels.
pub(crate) fn reduced(image: &RgbImage, (left, top, width, height): (u32, u32, u32, u32), side: usize) -> Vec<u8> {
    let (left, top, width, height) = (left as usize, top as usize, width as usize, height as usize);
    let line = image.width() as usize * 3;
    let grey_row = |row: usize, grey: &mut Vec<f32>| {
        let start = (top + row) * line + left * 3;
        grey.clear();
        let pixels = image.as_raw()[start..start + width * 3].as_chunks::<3>().0;
        grey.extend(pixels.iter().map(|&[r, g, b]| {
            let sum = LUMA[0] * u32::from(r) + LUMA[1] * u32::from(g) + LUMA[2] * u32::from(b);
            (sum / 10_000) as f32
        }));
    };
    let mut grey = Vec::with_capacity(width);
    if (width, height) == (side, side) {
        let mut copy = Vec::with_capacity(side * side);
        for row in 0..height {
            grey_row(row, &mut grey);
            copy.extend(grey.iter().map(|&value| value as u8));
        }
        return copy;
    }
    let columns = weights(width, side);
    let mut small = Vec::with_capacity(side * side);
    let mut rows = Rows { of: grey_row, kept: std::collections::VecDeque::new(), first: 0, spare: vec![grey] };
    for Weighted { first, weights } in weights(height, side) {
        let mut sums = vec![0.0_f32; width];
        for (offset, weight) in weights.iter().enumerate() {
            let row = rows.get(first, first + offset);
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * weight);
        }
        for Weighted { first, weights } in &columns {
            let sum = sums[*first..].iter().zip(weights).fold(0.0_f32, |sum, (value, weight)| sum + value * weight);
            small.push(sum.clamp(0.0, 255.0).round() as u8);
        }
    }
    small
}

/// Rows in grey, each made once: two places of the small picture share some of their rows.
struct Rows<F> {
    of: F,
    kept: std::collections::VecDeque<Vec<f32>>,
    /// The row that the first of `kept` is.
    first: usize,
    spare: Vec<Vec<f32>>,
}

impl<F: Fn(usize, &mut Vec<f32>)> Rows<F> {
    /// A row, where none before `least` is asked for again. Rows come in their order.
    fn get(&mut self, least: usize, row: usize) -> &[f32] {
        while self.first < least && !self.kept.is_empty() {
            self.spare.extend(self.kept.pop_front());
            self.first += 1;
        }
        if self.kept.is_empty() {
            self.first = row;
        }
        while self.first + self.kept.len() <= row {
            let mut made = self.spare.pop().unwrap_or_default();
            (self.of)(self.first + self.kept.len(), &mut made);
            self.kept.push_back(made);
        }
        &self.kept[row - self.first]
    }
}

/// What each of `side` places is made of, along `length` places, by a triangle filter.
fn weights(length: usize, side: usize) -> Vec<Weighted> {
    let ratio = length as f32 / side as f32;
    let support = ratio.max(1.0);
    let of_place = |place: usize| {
        let middle = (place as f32 + 0.5) * ratio;
        let first = ((middle - support).floor() as i64).clamp(0, length as i64 - 1);
        let end = ((middle + support).ceil() as i64).clamp(first + 1, length as i64);
        let middle = middle - 0.5;
        let mut weights: Vec<f32> = (first..end)
            .map(|at| {
                let away = ((at as f32 - middle) / support).abs();
                if away < 1.0 { 1.0 - away } else { 0.0 }
            })
            .collect();
        let sum = weights.iter().fold(0.0_f32, |sum, weight| sum + weight);
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Weighted { first: first as usize, weights }
    };
    (0..side).map(of_place).collect()
}

#[cfg(test)]
mod tests {
    use image::imageops;
    use run_spec::seed::stream;

    use super::*;

    #[test]
    fn a_reduced_picture_is_that_of_the_image_library_to_the_bit() {
        let mut random = stream(0, "copies-reduce", &[]);
        for (width, height) in [(640, 480), (131, 257), (128, 128), (60, 40), (1, 1), (3, 400), (1000, 129)] {
            let image =
                RgbImage::from_fn(width, height, |_, _| image::Rgb([0; 3].map(|_: u8| random.below(256) as u8)));
            for part in [(0, 0, width, height), (width / 3, height / 4, (width / 2).max(1), (height / 2).max(1))] {
                let cut = imageops::grayscale(&*imageops::crop_imm(&image, part.0, part.1, part.2, part.3));
                let expected = imageops::resize(&cut, 128, 128, imageops::FilterType::Triangle).into_raw();
                assert_eq!(reduced(&image, part, 128), expected, "{width}×{height} {part:?}");
            }
        }
    }
}
