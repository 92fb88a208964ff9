//! RedDino-small's published features: the 384 values of its CLS token on the example image, five digits each, that
//! `usage_example.ipynb` of its repository prints (224 px, RGB, f32).

use augment::resize_for_probe;
use dino::{Encoder, weights};
use run_spec::config::TrainConfig;
use tch::{Device, Tensor};

/// JPEG decoders differ by a grey level here and there, and the values are rounded.
const BAR: f64 = 0.05;

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test prints why")]
fn reddino_small_gives_its_published_features() {
    let (weights, example) = ("REDDINO_SMALL_WEIGHTS", "REDDINO_EXAMPLE_JPG");
    let (Ok(file), Ok(picture)) = (std::env::var(weights), std::env::var(example)) else {
        let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word == "published-weights"), "{weights} and {example} name no files");
        eprintln!(
            "SKIPPED: reddino_small_gives_its_published_features needs RedDino-small's weights and example.jpg, named by {weights} and {example}"
        );
        return;
    };
    let published: Vec<f64> =
        serde_json::from_str(include_str!("../../../../tests/golden/reddino-small-cls.json")).unwrap();
    let config = TrainConfig::default();
    let tensors = weights::read(&std::fs::read(&file).unwrap(), &file).unwrap();
    let encoder = Encoder::load(&config, tensors, &file, Device::Cpu).unwrap();
    let rgb = image::open(&picture).unwrap().to_rgb8();
    let pixels = Tensor::from_slice(&resize_for_probe(rgb, 224).unwrap().data).view([1, 3, 224, 224]);
    let found = Vec::<f64>::try_from(encoder.features(&pixels).flatten(0, -1).to_kind(tch::Kind::Double)).unwrap();
    assert_eq!(found.len(), published.len());
    let gap = found.iter().zip(&published).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(gap <= BAR, "features differ by {gap:.3} (allowed {BAR})");
}
