//! `worker augment`: one transform with given parameters, and a contact sheet of whole views.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use augment::case::{Case, Output, parse_npz};
use augment::{Op, PixelBuffer, Recipe, ViewKey, names, view_pixels};
use imaging::{DecodeLimits, RgbImage, contact_sheet};
use run_spec::config::{ChannelOrder, Pipeline, TrainConfig};
use run_spec::seed::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::AugmentCommand;
use crate::config_file;

/// Whole views on a contact sheet.
const VIEWS: usize = 24;
/// Pictures in a row of it.
const COLUMNS: usize = 6;

/// Applies one transform, or draws a contact sheet.
pub(crate) fn augment(command: &AugmentCommand) -> Result<()> {
    imaging::quiet_decoders();
    match command {
        AugmentCommand::Apply { case: Some(folder), channel_order, out, .. } => {
            let out = out.as_deref().context("--out OUT.png (or .npy) is needed with --case")?;
            let params = std::fs::read_to_string(folder.join("params.json"))
                .with_context(|| format!("cannot read {}", folder.join("params.json").display()))?;
            let arrays = match std::fs::read(folder.join("arrays.npz")) {
                Ok(bytes) => parse_npz(&bytes)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Default::default(),
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", folder.join("arrays.npz").display()));
                }
            };
            let case = Case::from_params(&params, &arrays)?;
            save(&case.apply(&read_image(&folder.join("input.png"))?, order(channel_order)?)?, out)
        }
        AugmentCommand::Apply { op: Some(op), channel_order, input: Some(input), output, out, .. } => {
            let out =
                output.as_deref().or(out.as_deref()).context("a picture to write is needed after the one to read")?;
            let op: Value = serde_json::from_str(op).with_context(|| format!("--op {op}"))?;
            save(&Case::from_short(&op)?.apply(&read_image(input)?, order(channel_order)?)?, out)
        }
        AugmentCommand::Apply { .. } => bail!("either --case DIR --out OUT.png, or --op JSON IN.png OUT.png"),
        AugmentCommand::Preview { config, image, out } => preview(config, image, out),
    }
}

fn order(word: &str) -> Result<ChannelOrder> {
    ChannelOrder::deserialize(Value::from(word)).map_err(|_| anyhow!("--channel-order {word}: rgb or bgr"))
}

/// The pixels of a picture as training sees them: upright, transparency laid over white.
fn read_image(path: &Path) -> Result<PixelBuffer> {
    let bytes = terminal::read_file("picture", path)?;
    let decoded = imaging::decode(&bytes, DecodeLimits::default()).with_context(|| path.display().to_string())?;
    for note in decoded.notes {
        tracing::info!(picture = %path.display(), "{note}");
    }
    let rgb = decoded.rgb;
    Ok(PixelBuffer::new(rgb.height() as usize, rgb.width() as usize, rgb.into_raw())?)
}

fn save(result: &Output, out: &Path) -> Result<()> {
    let npy = out.extension().is_some_and(|extension| extension == "npy");
    match (result, npy) {
        (Output::Image(image), false) => write_png(out, &to_rgb(image.clone())?),
        (Output::Image(image), true) => {
            let values: Vec<f32> = image.data.iter().map(|&level| f32::from(level)).collect();
            write_npy(out, image.height, image.width, &values)
        }
        (Output::Float { height, width, data }, true) => write_npy(out, *height, *width, data),
        (Output::Float { .. }, false) => {
            bail!("{}: this transform gives floats; name a file ending in .npy", out.display())
        }
    }
}

fn write_png(out: &Path, picture: &RgbImage) -> Result<()> {
    picture.save_with_format(out, image::ImageFormat::Png).with_context(|| format!("cannot write {}", out.display()))
}

/// The pixels of a view as a picture to be saved.
fn to_rgb(image: PixelBuffer) -> Result<RgbImage> {
    let (width, height) = (image.width as u32, image.height as u32);
    RgbImage::from_raw(width, height, image.data.clone()).context("an image holds as many pixels as its sides say")
}

/// NumPy's format 1.0: f32, height × width × 3, C order.
fn write_npy(out: &Path, height: usize, width: usize, values: &[f32]) -> Result<()> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}, 3), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(out, bytes).with_context(|| format!("cannot write {}", out.display()))
}

/// A contact sheet: the picture, each transform on it by name, then whole views as the network sees them.
fn preview(config: &Path, picture: &Path, out: &Path) -> Result<()> {
    let config = config_file::read(config, &[])?;
    let (image, recipe) = (read_image(picture)?, Recipe::new(&config)?);
    let key = |draw: u64| ViewKey { seed: config.seed, draw };
    let whole = view_pixels(&image, &untouched(&config)?, key(0), 0);
    let mut tiles = vec![("original".to_owned(), whole.clone())];
    for name in names() {
        tiles.push((name.to_owned(), transformed(name, &whole, &config)?));
    }
    let transforms = tiles.len() - 1;
    // Views begin a row of their own.
    while tiles.len() % COLUMNS != 0 {
        tiles.push((String::new(), PixelBuffer::new(whole.height, whole.width, vec![255; whole.data.len()])?));
    }
    tiles.extend((0..VIEWS).map(|index| {
        (format!("view {}", ["a", "b"][index % 2]), view_pixels(&image, &recipe, key((index / 2) as u64), index % 2))
    }));
    let tiles = tiles.into_iter().map(|(name, tile)| Ok((name, to_rgb(tile)?))).collect::<Result<Vec<_>>>()?;
    write_png(out, &contact_sheet::labelled_grid(&tiles, COLUMNS as u32))?;
    terminal::line(format!("{}: {transforms} transforms and {VIEWS} views of {}", out.display(), picture.display()));
    Ok(())
}

/// A recipe that gives the whole picture at the size of a global crop, and changes nothing else.
fn untouched(config: &TrainConfig) -> Result<Recipe> {
    let mut plain = config.clone();
    (plain.crops.global_scale, plain.crops.ratio) = ([1.0, 1.0], [1.0, 1.0]);
    let augmentation = &mut plain.augmentation;
    (augmentation.pipeline, augmentation.n, augmentation.ops) = (Pipeline::Albumentations, 0, Vec::new());
    (augmentation.flip_p, augmentation.vflip_p, augmentation.rot90_p) = (0.0, 0.0, 0.0);
    Ok(Recipe::new(&plain)?)
}

/// The picture after one transform, with the arguments the configuration gives it, if it does.
fn transformed(name: &str, picture: &PixelBuffer, config: &TrainConfig) -> Result<PixelBuffer> {
    let mut listed = config.augmentation.ops.iter().filter_map(|entry| Op::from_config(entry).ok());
    let op = match listed.find(|op| op.name() == name) {
        Some(op) => op,
        None => Op::named(name)?,
    };
    let reversed = config.channel_order == ChannelOrder::Bgr;
    let seen = if reversed { picture.clone().swap_red_blue() } else { picture.clone() };
    let params = op.draw(&seen, &mut stream(config.seed, "preview", &[]));
    let made = op.apply(&params, seen);
    Ok(if reversed { made.swap_red_blue() } else { made })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_read_as_training_reads_them_upright_and_over_white() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/imaging/tests/golden/formats"));
        for (name, most) in [("exif-6.jpg", 6), ("alpha.png", 0), ("grey16.tif", 0)] {
            let seen = read_image(&golden.join(name)).unwrap();
            let expected = image::open(golden.join(format!("{name}.expected.png"))).unwrap().into_rgb8();
            assert_eq!((seen.width as u32, seen.height as u32), expected.dimensions(), "{name}");
            let difference = seen.data.iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(difference <= Some(most), "{name}: {difference:?}");
        }
        let error = read_image(&golden.join("../make_formats.py")).unwrap_err();
        assert!(format!("{error:#}").contains("not an image format that can be read"), "{error:#}");
    }
}
