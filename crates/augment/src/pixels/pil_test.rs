//! torchvision's operations against arrays it made (`tests/golden/make_augment_pil.py`).

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use super::{pil, pil_color};
use crate::arrays::{Array, parse_npz};
use crate::image::PixelBuffer;

fn image(array: &Array) -> PixelBuffer {
    PixelBuffer::new(array.shape[0], array.shape[1], array.data.iter().map(|&v| v as u8).collect()).unwrap()
}

#[test]
fn torchvision_on_pil_images_is_followed_to_the_level() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/augment/pil.npz");
    let arrays = parse_npz(&std::fs::read(path).unwrap()).unwrap();
    let input = image(&arrays["input"]);
    for (name, want) in arrays.iter().filter(|(name, _)| *name != "input") {
        let (what, value) = name.split_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        if what == "probe" {
            let got = crate::views::probe_view(&input, value as usize);
            let floats: Vec<f64> = got.data.iter().map(|&v| f64::from(v)).collect();
            assert_eq!(floats, want.data, "{name}");
            continue;
        }
        let side = value as usize;
        let mut got = input.clone();
        match what {
            "brightness" => pil_color::brightness(&mut got, value),
            "contrast" => pil_color::contrast(&mut got, value),
            "saturation" => pil_color::saturation(&mut got, value),
            "hue" => pil_color::hue(&mut got, value),
            "grayscale" => pil_color::grayscale(&mut got),
            "blur" => got = pil_color::gaussian_blur_9(&input, value),
            "bicubic" => got = pil::resize(&input, side, side, pil::Filter::Bicubic),
            "bilinear" => got = pil::resize(&input, side, side, pil::Filter::Bilinear),
            other => panic!("{other} is not known here"),
        }
        let want = image(want);
        let differing = got.data.iter().zip(&want.data).filter(|(a, b)| a != b).count();
        let largest = got.data.iter().zip(&want.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        // The blur sums 81 floats in another order than torch; all else is integers.
        let allowed = if what == "blur" { got.data.len() / 1000 } else { 0 };
        assert!(differing <= allowed && largest <= 1, "{name}: {differing} values differ, by up to {largest}");
    }
}
