//! Stain transforms against scikit-image, torchstain and the paper's formulas (`tests/golden/make_stain.py`).

use std::path::Path;

use augment::PixelBuffer;
use augment::case::{Array, Arrays, Case, Output, parse_npz};
use run_spec::config::ChannelOrder;
use serde_json::Value;

fn image(array: &Array) -> PixelBuffer {
    PixelBuffer::new(array.shape[0], array.shape[1], array.data.iter().map(|&v| v as u8).collect()).unwrap()
}

#[test]
fn stains_come_out_as_the_independent_implementations_make_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/augment");
    let arrays = parse_npz(&std::fs::read(folder.join("stain.npz")).unwrap()).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(folder.join("stain.json")).unwrap()).unwrap();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let result = case["result"].as_str().unwrap();
        let replay = Case::from_params(&case.to_string(), &Arrays::new()).unwrap();
        let input = image(&arrays[case["input"].as_str().unwrap()]);
        let Output::Image(got) = replay.apply(&input, ChannelOrder::Rgb).unwrap() else { panic!("{result}: floats") };
        let want = image(&arrays[result]);
        let differing = got.data.iter().zip(&want.data).filter(|(a, b)| a != b).count();
        let largest = got.data.iter().zip(&want.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        // Exponentials are rounded differently in the last bit, which a cut or rounded level may show.
        if differing * 1000 > got.data.len() || largest > 1 {
            wrong.push(format!("{result}: {differing} of {} values differ, by up to {largest}", got.data.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_jitter_leaves_an_image_as_it_is() {
    let image = PixelBuffer::new(16, 16, (0..768).map(|i| (i * i / 5 + 1) as u8).collect()).unwrap();
    let none = r#"{"transform": "HEDJitter", "params": {"scale": [1, 1, 1], "shift": [0, 0, 0]}}"#;
    let case = Case::from_params(none, &Arrays::new()).unwrap();
    assert_eq!(case.apply(&image, ChannelOrder::Rgb).unwrap(), Output::Image(image));
}

#[test]
fn an_image_without_stain_is_not_normalised_into_noise() {
    for level in [0, 128, 255] {
        let flat = PixelBuffer::new(9, 7, vec![level; 9 * 7 * 3]).unwrap();
        let case = Case::from_params(r#"{"transform": "MacenkoNormalize"}"#, &Arrays::new()).unwrap();
        assert_eq!(case.apply(&flat, ChannelOrder::Rgb).unwrap(), Output::Image(flat));
    }
}
