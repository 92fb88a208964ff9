//! `worker augment`: one transform with given parameters, and a contact sheet of whole views.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use augment::case::{Case, Output, parse_npz};
use augment::{Image, Op, Recipe, ViewKey, names, view_pixels};
use run_spec::config::{ChannelOrder, Pipeline, TrainConfig};
use run_spec::seed::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::AugmentCommand;
use crate::{config_file, label, output};

/// Whole views on a contact sheet.
const VIEWS: usize = 24;
/// Pictures in a row of it.
const COLUMNS: usize = 6;

/// Applies or previews.
pub(crate) fn augment(command: &AugmentCommand) -> Result<()> {
    match command {
        AugmentCommand::Apply { case: Some(folder), channel_order, out, .. } => {
            let out = out.as_deref().context("--out OUT.png (or .npy) is needed with --case")?;
            let params = std::fs::read_to_string(folder.join("params.json"))
                .with_context(|| format!("read {}", folder.join("params.json").display()))?;
            let arrays = match std::fs::read(folder.join("arrays.npz")) {
                Ok(bytes) => parse_npz(&bytes)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Default::default(),
                Err(error) => {
                    return Err(error).with_context(|| format!("read {}", folder.join("arrays.npz").display()));
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

fn read_image(path: &Path) -> Result<Image> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let rgb =
        image::load_from_memory(&bytes).with_context(|| format!("{} is not a picture", path.display()))?.to_rgb8();
    Ok(Image::new(rgb.height() as usize, rgb.width() as usize, rgb.into_raw())?)
}

fn save(result: &Output, out: &Path) -> Result<()> {
    let npy = out.extension().is_some_and(|extension| extension == "npy");
    match (result, npy) {
        (Output::Image(image), false) => write_png(out, image),
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

fn write_png(out: &Path, picture: &Image) -> Result<()> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    image::save_buffer_with_format(out, &picture.data, width, height, image::ColorType::Rgb8, image::ImageFormat::Png)
        .with_context(|| format!("write {}", out.display()))
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
    std::fs::write(out, bytes).with_context(|| format!("write {}", out.display()))
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
        tiles.push((String::new(), Image::new(whole.height, whole.width, vec![255; whole.data.len()])?));
    }
    tiles.extend((0..VIEWS).map(|index| {
        (format!("view {}", ["a", "b"][index % 2]), view_pixels(&image, &recipe, key((index / 2) as u64), index % 2))
    }));
    write_png(out, &sheet(&tiles)?)?;
    output::line(format!("{}: {transforms} transforms and {VIEWS} views of {}", out.display(), picture.display()));
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
fn transformed(name: &str, picture: &Image, config: &TrainConfig) -> Result<Image> {
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

/// Tiles of one size in rows, each under its label.
fn sheet(tiles: &[(String, Image)]) -> Result<Image> {
    const GAP: usize = 4;
    let side = tiles.first().context("a sheet holds at least one picture")?.1.width;
    // Columns are as wide as the longest name, where that is wider than a picture.
    let longest = tiles.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let (across, down) = (side.max(longest * label::PITCH) + GAP, side + GAP + label::HEIGHT);
    let (width, height) = (COLUMNS * across + GAP, tiles.len().div_ceil(COLUMNS) * down + GAP);
    let mut sheet = vec![255u8; width * height * 3];
    for (index, (name, tile)) in tiles.iter().enumerate() {
        let (x, y) = (GAP + index % COLUMNS * across, GAP + index / COLUMNS * down);
        label::write(name, |dx, dy, ink| sheet[((y + dy) * width + x + dx) * 3..][..3].fill(255 - ink));
        for (line, row) in tile.data.chunks_exact(tile.width * 3).enumerate() {
            let at = ((y + label::HEIGHT + line) * width + x) * 3;
            sheet[at..at + row.len()].copy_from_slice(row);
        }
    }
    Ok(Image::new(height, width, sheet)?)
}
