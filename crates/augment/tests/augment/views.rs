//! Views depend on their key alone, keep their range, and survive any image.

use augment::{AugmentError, Op, PixelBuffer, Recipe, ViewKey, Views, names, view_into, view_pixels};
use imaging::RgbImage;
use proptest::prelude::*;
use run_spec::config::{ChannelOrder, Interpolation, Pipeline, TrainConfig};
use run_spec::seed::stream;
use serde_json::json;

fn config(pipeline: Pipeline) -> TrainConfig {
    let mut config = TrainConfig::default();
    config.augmentation.pipeline = pipeline;
    config.crops.global_size = 56;
    config.crops.local_size = 28;
    config.loss.n_local = 2;
    config.loss.local_loss_above = 0;
    if pipeline != Pipeline::Albumentations {
        config.crops.interpolation = Interpolation::Bicubic;
    }
    config
}

fn texture(height: usize, width: usize) -> PixelBuffer {
    let data = (0..height * width * 3).map(|i| (i * i / 7 + i / 3) as u8).collect();
    PixelBuffer::new(height, width, data).unwrap()
}

fn rgb(image: &PixelBuffer) -> RgbImage {
    RgbImage::from_raw(image.width as u32, image.height as u32, image.data.clone()).unwrap()
}

fn views(image: &PixelBuffer, recipe: &Recipe, key: ViewKey) -> Views {
    augment::views(rgb(image), recipe, key).unwrap()
}

#[test]
fn a_view_depends_on_seed_draw_and_view_only() {
    for pipeline in [Pipeline::Albumentations, Pipeline::Dinov2, Pipeline::Hema] {
        let recipe = Recipe::new(&config(pipeline)).unwrap();
        let image = texture(80, 70);
        let key = ViewKey { seed: 3, draw: 41 };
        let first = views(&image, &recipe, key);
        assert_eq!(first, views(&image, &recipe, key));
        assert_eq!((first.global[0].height, first.global[0].width, first.local.len()), (56, 56, 2));
        assert_eq!((first.local[0].height, first.local[0].data.len()), (28, 3 * 28 * 28));
        assert_ne!(first.global[0], first.global[1]);
        assert_ne!(first.local[0], first.local[1]);
        assert_ne!(first, views(&image, &recipe, ViewKey { seed: 4, draw: 41 }));
        assert_ne!(first, views(&image, &recipe, ViewKey { seed: 3, draw: 42 }));
    }
}

#[test]
fn a_view_alone_is_the_view_among_the_others() {
    let recipe = Recipe::new(&config(Pipeline::Albumentations)).unwrap();
    let (image, key) = (texture(80, 70), ViewKey { seed: 3, draw: 41 });
    let all = views(&image, &recipe, key);
    let mut together: Vec<_> = all.global.iter().chain(&all.local).map(|view| vec![0.0; view.data.len()]).collect();
    augment::views_into(rgb(&image), &recipe, key, together.iter_mut().map(Vec::as_mut_slice)).unwrap();
    assert!(together.iter().zip(all.global.iter().chain(&all.local)).all(|(out, view)| *out == view.data));
    for (index, view) in all.global.iter().chain(&all.local).enumerate() {
        let mut out = vec![0.0; view.data.len()];
        view_into(&image, &recipe, key, index, &mut out);
        assert_eq!(out, view.data, "view {index}");
        // The picture for people goes another way to the same pixels.
        let picture = view_pixels(&image, &recipe, key, index);
        let red: Vec<u8> = picture.data.iter().step_by(3).copied().collect();
        let order = |levels: &[u8], floats: &[f32]| {
            levels.iter().zip(floats).all(|(&l, &f)| ((f32::from(l) / 255.0 - 0.485) / 0.229 - f).abs() < 1e-5)
        };
        assert!(order(&red, &out[..red.len()]), "view {index}");
    }
}

#[test]
fn fewer_local_crops_leave_the_other_views_as_they_were() {
    let image = texture(80, 70);
    let key = ViewKey { seed: 3, draw: 41 };
    let mut fewer = config(Pipeline::Albumentations);
    let two = views(&image, &Recipe::new(&fewer).unwrap(), key);
    fewer.loss.n_local = 1;
    let one = views(&image, &Recipe::new(&fewer).unwrap(), key);
    assert_eq!(two.global, one.global);
    assert_eq!(two.local[..1], one.local[..]);
    // The published configs set one local crop whose loss is never counted: it is not made.
    fewer.loss.local_loss_above = 1;
    assert!(views(&image, &Recipe::new(&fewer).unwrap(), key).local.is_empty());
}

#[test]
fn bgr_turns_the_channels_before_everything_else() {
    let mut plain = config(Pipeline::Albumentations);
    plain.augmentation.ops = vec![json!("InvertImg")];
    let image = texture(60, 60);
    let key = ViewKey { seed: 1, draw: 1 };
    let rgb = views(&image, &Recipe::new(&plain).unwrap(), key);
    plain.channel_order = ChannelOrder::Bgr;
    let recipe = Recipe::new(&plain).unwrap();
    let bgr = views(&image.clone().swap_red_blue(), &recipe, key);
    assert_eq!(rgb, bgr, "a reversed image, reversed again, is the image");
    assert_ne!(rgb, views(&image, &recipe, key));
    assert_eq!(view_pixels(&image, &recipe, key, 0).height, 56);
}

#[test]
fn blur_is_as_likely_as_the_switch_says() {
    // With blur certain for the first crop (not inverted), a checkerboard loses its contrast; inverted it never blurs.
    let board = (0..64 * 64).flat_map(|i| [if (i / 64 + i % 64) % 2 == 0 { 255u8 } else { 0 }; 3]).collect();
    let board = PixelBuffer::new(64, 64, board).unwrap();
    let blurred = |inverted: bool| {
        let mut config = config(Pipeline::Dinov2);
        config.augmentation.blur_p_inverted = inverted;
        config.crops.global_size = 64;
        config.crops.global_scale = [1.0, 1.0];
        config.crops.ratio = [1.0, 1.0];
        let recipe = Recipe::new(&config).unwrap();
        let contrast = |draw| {
            let pixels = view_pixels(&board, &recipe, ViewKey { seed: 0, draw }, 0);
            let (low, high) = pixels.data.iter().fold((255, 0), |(l, h), &v| (v.min(l), v.max(h)));
            high - low
        };
        (0..60).filter(|&draw| contrast(draw) < 30).count()
    };
    assert_eq!(blurred(true), 0);
    // A blur narrower than a pixel (sigma near 0.1) leaves the board; the others wash it out.
    assert!(blurred(false) > 30, "{} of 60", blurred(false));
}

#[test]
fn recipes_that_cannot_be_are_refused_with_the_remedy() {
    let refusal = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = config(Pipeline::Albumentations);
        change(&mut config);
        Recipe::new(&config).unwrap_err().to_string()
    };
    let error = refusal(&|c| c.augmentation.ops = vec![json!("MotionBlurr")]);
    assert!(error.contains("MotionBlur"), "{error}");
    let error = refusal(&|c| c.augmentation.ops = vec![json!({"Blur": {"side": 3}})]);
    assert!(error.contains("blur_limit"), "{error}");
    let error = refusal(&|c| c.augmentation.ops = vec![json!(7)]);
    assert!(error.contains("ops"), "{error}");
    let error = refusal(&|c| {
        c.augmentation.pipeline = Pipeline::Hema;
        c.augmentation.ops = vec![json!({"RandAugment": {"magnitude": 40}})];
    });
    assert!(error.contains("31 bins"), "{error}");
    let error = refusal(&|c| c.crops.global_scale = [0.5, 0.2]);
    assert!(error.contains("global_scale"), "{error}");
    let error = refusal(&|c| {
        c.augmentation.replace = false;
        c.augmentation.ops = vec![json!("Blur")];
    });
    assert!(error.contains("lower n"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 48 }))]

    #[test]
    fn every_transform_takes_any_image_and_keeps_its_shape(
        height in 1usize..40, width in 1usize..40, fill in 0usize..4, seed in 0u64..1000,
    ) {
        let data = match fill {
            0 => vec![0; height * width * 3],
            1 => vec![255; height * width * 3],
            2 => texture(height, width).data.clone(),
            _ => (0..height * width * 3).map(|i| if i / 3 % 2 == 0 { 255 } else { 0 }).collect(),
        };
        let image = PixelBuffer::new(height, width, data).unwrap();
        for name in names() {
            let op = Op::named(name).unwrap();
            let params = op.draw(&image, &mut stream(seed, "test", &[]));
            let out = op.apply(&params, image.clone());
            prop_assert_eq!((out.height, out.width, out.data.len()), (height, width, height * width * 3), "{}", name);
        }
    }

    #[test]
    fn views_of_any_image_are_finite_and_in_range(height in 1usize..50, width in 1usize..50, seed in 0u64..1000) {
        let image = texture(height, width);
        for pipeline in [Pipeline::Albumentations, Pipeline::Dinov2, Pipeline::Hema] {
            let made = views(&image, &Recipe::new(&config(pipeline)).unwrap(), ViewKey { seed, draw: 0 });
            for view in made.global.iter().chain(&made.local) {
                prop_assert!(view.data.iter().all(|v| (-2.2..2.7).contains(v)));
            }
        }
        prop_assert_eq!(augment::resize_for_probe(rgb(&image), 14).unwrap().data.len(), 3 * 14 * 14);
    }
}

#[test]
fn the_smallest_images_are_survived() {
    for (height, width) in [(1, 1), (1, 50), (50, 1), (2, 3), (8, 8), (9, 9), (1, 300)] {
        let image = texture(height, width);
        for name in names() {
            let op = Op::named(name).unwrap();
            for draw in 0..4 {
                let params = op.draw(&image, &mut stream(draw, "test", &[]));
                assert_eq!(op.apply(&params, image.clone()).data.len(), image.data.len(), "{name}");
            }
        }
    }
}

/// Levels that are normalised later are, to the bit, what a view has at once.
#[test]
fn levels_through_the_table_are_the_normalised_view() {
    for (pipeline, order) in [
        (Pipeline::Albumentations, "rgb"),
        (Pipeline::Albumentations, "bgr"),
        (Pipeline::Dinov2, "rgb"),
        (Pipeline::Hema, "bgr"),
    ] {
        let mut config = config(pipeline);
        (config.augmentation.rot90_p, config.augmentation.vflip_p) = (0.7, 0.5);
        config.channel_order = if order == "bgr" { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
        let recipe = Recipe::new(&config).unwrap();
        let table = recipe.normalised_levels();
        let image = texture(83, 71);
        for draw in 0..6 {
            let key = ViewKey { seed: 5, draw };
            let all = views(&image, &recipe, key);
            let views: Vec<_> = all.global.iter().chain(&all.local).collect();
            let mut levels: Vec<Vec<u8>> = views.iter().map(|view| vec![0; view.data.len()]).collect();
            augment::views_into(rgb(&image), &recipe, key, levels.iter_mut().map(Vec::as_mut_slice)).unwrap();
            for (levels, view) in levels.iter().zip(views) {
                let plane = view.data.len() / 3;
                let floats =
                    levels.iter().enumerate().map(|(i, &level)| table[i / plane][usize::from(level)].to_bits());
                assert!(floats.eq(view.data.iter().map(|value| value.to_bits())), "draw {draw} of {order}");
            }
        }
    }
}

#[test]
fn an_image_without_pixels_is_refused_at_every_door() {
    let recipe = Recipe::new(&config(Pipeline::Albumentations)).unwrap();
    let key = ViewKey { seed: 1, draw: 1 };
    for (width, height) in [(0, 0), (0, 5), (5, 0)] {
        let empty = || RgbImage::new(width, height);
        assert!(matches!(augment::views(empty(), &recipe, key), Err(AugmentError::Shape { .. })));
        assert!(augment::views_into(empty(), &recipe, key, Vec::<&mut [u8]>::new()).is_err());
        assert!(augment::resize_for_probe(empty(), 14).is_err());
    }
}
