//! Arguments at the ends of what they may be, on images that are hardly images: nothing panics, shapes stay.

use std::f64::consts::PI;

use augment::{Op, PixelBuffer, names};
use run_spec::seed::stream;
use serde_json::{Value, json};

/// Both ends of every argument that has ends, together with its neighbours'.
fn ends() -> Vec<(&'static str, Value)> {
    vec![
        ("Blur", json!({"blur_limit": [1, 1]})),
        ("Blur", json!({"blur_limit": [99, 99]})),
        ("CLAHE", json!({"clip_limit": [0, 0], "tile_grid_size": [1, 1]})),
        ("CLAHE", json!({"clip_limit": [1e9, 1e9], "tile_grid_size": [64, 64]})),
        ("ChannelDropout", json!({"channel_drop_range": [2, 2], "fill_value": 255})),
        ("ColorJitter", json!({"brightness": [0, 0], "contrast": [0, 0], "saturation": [0, 0], "hue": [-0.5, -0.5]})),
        ("ColorJitter", json!({"brightness": [9, 9], "contrast": [9, 9], "saturation": [9, 9], "hue": [0.5, 0.5]})),
        ("Defocus", json!({"radius": [1, 1], "alias_blur": [0, 0]})),
        ("Defocus", json!({"radius": [30, 30], "alias_blur": [9, 9]})),
        ("Downscale", json!({"scale_min": 0.001, "scale_max": 0.001})),
        ("Downscale", json!({"scale_min": 0.999, "scale_max": 0.999})),
        ("Emboss", json!({"alpha": [1, 1], "strength": [1e6, 1e6]})),
        ("Equalize", json!({"mode": "pil", "by_channels": false})),
        ("Equalize", json!({"mode": "cv", "by_channels": false})),
        ("FancyPCA", json!({"alpha": 1e6})),
        ("GaussNoise", json!({"var_limit": [0, 0], "mean": -300})),
        ("GaussNoise", json!({"var_limit": [1e9, 1e9], "per_channel": false})),
        ("GaussianBlur", json!({"blur_limit": [1, 1], "sigma_limit": [0.01, 0.01]})),
        ("GaussianBlur", json!({"blur_limit": [61, 61], "sigma_limit": [40, 40]})),
        ("GlassBlur", json!({"sigma": 0.01, "max_delta": 1, "iterations": 1})),
        ("GlassBlur", json!({"sigma": 9, "max_delta": 30, "iterations": 5, "mode": "exact"})),
        ("HueSaturationValue", json!({"hue_shift_limit": [-180, -180], "sat_shift_limit": [-255, -255]})),
        ("HueSaturationValue", json!({"hue_shift_limit": [180, 180], "val_shift_limit": [255, 255]})),
        ("ISONoise", json!({"color_shift": [0, 0], "intensity": [0, 0]})),
        ("ISONoise", json!({"color_shift": [1, 1], "intensity": [100, 100]})),
        ("ImageCompression", json!({"quality_lower": 0, "quality_upper": 0})),
        ("MedianBlur", json!({"blur_limit": [7, 7]})),
        ("MotionBlur", json!({"blur_limit": [3, 3], "allow_shifted": false})),
        ("MotionBlur", json!({"blur_limit": [99, 99]})),
        ("MultiplicativeNoise", json!({"multiplier": [0, 0], "per_channel": true, "elementwise": true})),
        ("MultiplicativeNoise", json!({"multiplier": [1e6, 1e6], "elementwise": true})),
        ("Posterize", json!({"num_bits": [0, 0]})),
        ("Posterize", json!({"num_bits": [8, 8]})),
        ("RandomBrightnessContrast", json!({"brightness_limit": [-1e6, 1e6], "contrast_limit": [-1e6, 1e6]})),
        ("RandomBrightnessContrast", json!({"brightness_limit": [9, 9], "brightness_by_max": false})),
        ("RGBShift", json!({"r_shift_limit": [-255, -255], "g_shift_limit": [255, 255]})),
        ("RandomGamma", json!({"gamma_limit": [0, 0]})),
        ("RandomGamma", json!({"gamma_limit": [1e6, 1e6]})),
        ("RandomRain", json!({"slant_lower": -20, "slant_upper": -20, "drop_length": 0, "blur_value": 1})),
        ("RandomRain", json!({"slant_lower": 20, "slant_upper": 20, "drop_length": 100, "rain_type": "torrential"})),
        ("RandomShadow", json!({"shadow_roi": [0, 0, 1, 1], "num_shadows_lower": 5, "num_shadows_upper": 5})),
        ("RandomSnow", json!({"snow_point_lower": 0, "snow_point_upper": 0, "brightness_coeff": 0})),
        ("RandomSnow", json!({"snow_point_lower": 1, "snow_point_upper": 1, "brightness_coeff": 99})),
        ("RandomSunFlare", json!({"flare_roi": [0, 0, 1, 1], "src_radius": 3000})),
        ("RandomToneCurve", json!({"scale": 1000})),
        ("RandomFog", json!({"fog_coef_lower": 0, "fog_coef_upper": 0, "alpha_coef": 1})),
        ("RandomFog", json!({"fog_coef_lower": 1, "fog_coef_upper": 1, "alpha_coef": 0})),
        ("RingingOvershoot", json!({"blur_limit": [3, 3], "cutoff": [0, 0]})),
        ("RingingOvershoot", json!({"blur_limit": [15, 15], "cutoff": [PI, PI]})),
        ("Sharpen", json!({"alpha": [1, 1], "lightness": [1e6, 1e6]})),
        ("Solarize", json!({"threshold": [-1e6, -1e6]})),
        ("Solarize", json!({"threshold": [1e6, 1e6]})),
        ("ElasticTransform", json!({"alpha": 1e4, "sigma": 0, "alpha_affine": 1e4, "border_mode": 0, "value": 255})),
        ("ElasticTransform", json!({"alpha": -1e4, "sigma": 60, "border_mode": 3, "approximate": true})),
        ("GridDistortion", json!({"num_steps": 1, "distort_limit": [-1, -1], "normalized": true})),
        ("GridDistortion", json!({"num_steps": 500, "distort_limit": [100, 100], "border_mode": 2})),
        ("OpticalDistortion", json!({"distort_limit": [-100, -100], "shift_limit": [-1e4, -1e4], "border_mode": 1})),
        ("OpticalDistortion", json!({"distort_limit": [100, 100], "shift_limit": [1e4, 1e4], "border_mode": 3})),
        ("HEDJitter", json!({"scale_limit": [100, 100], "shift_limit": [1, 1], "cut_negative": true})),
        ("HEDJitter", json!({"scale_limit": [-1, -1], "shift_limit": [-1, -1]})),
        ("MacenkoNormalize", json!({"light": 1, "alpha": 50, "beta": -10})),
        ("MacenkoNormalize", json!({"light": 1e4, "alpha": 0, "target_max": [0, 1000]})),
        ("ReinhardNormalize", json!({"target_mean": [100, -100, 100], "target_std": [100, 0, 100]})),
    ]
}

fn images() -> Vec<PixelBuffer> {
    let mut images = Vec::new();
    for (height, width) in [(1, 1), (1, 19), (23, 1), (2, 3), (17, 26)] {
        let count = height * width * 3;
        let fill = |f: &dyn Fn(usize) -> u8| PixelBuffer::new(height, width, (0..count).map(f).collect()).unwrap();
        images.push(fill(&|_| 0));
        images.push(fill(&|_| 255));
        images.push(fill(&|i| (i / 3 * 29) as u8)); // grey
        images.push(fill(&|i| (i * i / 7 + i / 3) as u8));
    }
    images
}

#[test]
fn arguments_at_their_ends_are_survived() {
    let (ends, images) = (ends(), images());
    for (name, arguments) in &ends {
        let op = Op::with_arguments(name, arguments.clone()).unwrap_or_else(|e| panic!("{name} {arguments}: {e}"));
        for (i, image) in images.iter().enumerate() {
            let params = op.draw(image, &mut stream(i as u64, "ends", &[]));
            let out = op.apply(&params, image.clone());
            let shape = (image.height, image.width, image.data.len());
            assert_eq!((out.height, out.width, out.data.len()), shape, "{name} {arguments}");
        }
    }
    let without: Vec<_> = names().filter(|name| !ends.iter().any(|(n, _)| n == name)).collect();
    assert_eq!(without, ["ChannelShuffle", "InvertImg"], "only what has no arguments has no ends");
}

#[test]
fn a_huge_image_is_survived() {
    let image = PixelBuffer::new(900, 1400, (0..900 * 1400 * 3).map(|i| (i * 13 / 7) as u8).collect()).unwrap();
    for name in names() {
        let op = Op::named(name).unwrap();
        let params = op.draw(&image, &mut stream(1, "huge", &[]));
        assert_eq!(op.apply(&params, image.clone()).data.len(), image.data.len(), "{name}");
    }
}
