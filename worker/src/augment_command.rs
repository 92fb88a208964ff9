//! `worker augment`: one transform with given parameters, and a contact sheet of whole views.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use augment::case::{Case, Output, parse_npz};
use augment::{Image, Recipe, ViewKey, view_pixels};
use run_spec::config::ChannelOrder;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::AugmentCommand;
use crate::{output, train};

/// Views on a contact sheet.
const VIEWS: usize = 24;

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

/// What the network sees: whole views of one picture, in rows, with a gap between them.
fn preview(config: &Path, picture: &Path, out: &Path) -> Result<()> {
    const GAP: usize = 4;
    let (config, _) = train::read_config(config, &[])?;
    let recipe = Recipe::new(&config)?;
    let image = read_image(picture)?;
    let side = config.crops.global_size as usize;
    let columns = 6;
    let rows = VIEWS.div_ceil(columns);
    let (width, height) = (columns * (side + GAP) + GAP, rows * (side + GAP) + GAP);
    let mut sheet = vec![255u8; width * height * 3];
    for index in 0..VIEWS {
        let view = view_pixels(&image, &recipe, ViewKey { seed: config.seed, draw: (index / 2) as u64 }, index % 2);
        let (x, y) = (GAP + index % columns * (side + GAP), GAP + index / columns * (side + GAP));
        for line in 0..view.height {
            let from = line * view.width * 3;
            let to = ((y + line) * width + x) * 3;
            sheet[to..to + view.width * 3].copy_from_slice(&view.data[from..from + view.width * 3]);
        }
    }
    write_png(out, &Image::new(height, width, sheet)?)?;
    output::line(format!("{}: {VIEWS} views of {}", out.display(), picture.display()));
    Ok(())
}
