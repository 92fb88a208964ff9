//! Levels to floats of mean 0 and spread 1 (ImageNet's), and from interleaved to planar.

use crate::image::{Image, View};

/// ImageNet's mean of R, G, B in the unit range.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation of R, G, B in the unit range.
pub(crate) const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Albumentations' arithmetic, all in f32: `(x - max mean) * (1 / (max std))`. One table for each channel.
pub(crate) fn levels(mean: [f32; 3], std: [f32; 3], max: f64) -> [[f32; 256]; 3] {
    std::array::from_fn(|c| {
        let (shift, scale) = (mean[c] * max as f32, 1.0 / (std[c] * max as f32));
        std::array::from_fn(|v| (v as f32 - shift) * scale)
    })
}

/// torchvision's arithmetic, all in f32: `(x / 255 - mean) / std`.
pub(crate) fn torch_levels(mean: [f32; 3], std: [f32; 3]) -> [[f32; 256]; 3] {
    std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - mean[c]) / std[c]))
}

/// `[height, width, 3]` bytes to `[3, height, width]` floats through one table for each channel.
pub(crate) fn planar(image: &Image, levels: &[[f32; 256]; 3]) -> View {
    let mut data = Vec::with_capacity(image.data.len());
    for (c, table) in levels.iter().enumerate() {
        data.extend(image.data[c..].iter().step_by(3).map(|&v| table[v as usize]));
    }
    View { height: image.height, width: image.width, data }
}
