//! `worker look`: what models see in images, as sheets for people: patch tokens by colour, the attention of the CLS token, and
//! the nearest neighbours of chosen images.
//!
//! One basis of colours serves all images and all models, so that the same colour is the same direction of features everywhere
//! on a sheet. Patches are drawn as patches. The same models and images give the same bytes.

use std::io::Cursor;

use anyhow::{Result, bail, ensure};
use imaging::RgbImage;
use imaging::picture_table::PictureTable;
use store::Store;

use crate::cli::LookArgs;
use crate::environment::Environment;

mod colours;
mod model;
mod neighbours;
mod pictures;
mod sheets;

use colours::Basis;
use model::{Model, Seen, Viewer};
use pictures::Pictures;

/// Draws the sheets.
pub(crate) fn look(args: &LookArgs, environment: &Environment) -> Result<()> {
    imaging::quiet_decoders();
    let pictures = Pictures::open(&args.images)?;
    let named = |names: &[String]| names.iter().map(|name| pictures.find(name)).collect::<Result<Vec<_>>>();
    let shown = if args.show.is_empty() { pictures.of_all_classes(args.most) } else { named(&args.show)? };
    let chosen = named(&args.neighbours_of)?;
    ensure!(!shown.is_empty(), "--most must be at least 1");
    let runs = args.run.iter().map(|run| Model::of_run(run, args, environment));
    let files = args.weights.iter().map(|weights| Model::of_weights(weights, args, environment));
    let models = runs.chain(files).collect::<Result<Vec<_>>>()?;
    verify_width(&models)?;
    let viewer = Viewer::new(&pictures, args.batch, args.threads)?;
    let seen = models.iter().map(|model| viewer.seen(model, &shown)).collect::<Result<Vec<_>>>()?;
    let out = Store::open(&args.out)?;
    let (basis, subject) = (basis(&seen)?, sheets::Subject { pictures: &pictures, shown: &shown, models: &models });
    keep(&out, "patches.png", "patches, coloured by their features", &sheets::patches(&subject, &seen, &basis)?)?;
    for (number, (model, seen)) in (1..).zip(models.iter().zip(&seen)) {
        let (name, what) = (format!("attention-{number}.png"), format!("attention of {}", model.name));
        keep(&out, &name, &what, &sheets::attention(&subject, model, seen)?)?;
    }
    if !chosen.is_empty() {
        let found = neighbours::of_all(&viewer, &models, &chosen, args.neighbours)?;
        keep(
            &out,
            "neighbours.png",
            "the images with the most similar features",
            &sheets::neighbours(&subject, &chosen, &found)?,
        )?;
    }
    Ok(())
}

/// One basis needs tokens of one width.
fn verify_width(models: &[Model]) -> Result<()> {
    let width = |model: &Model| model.encoder().dim();
    if let [first, others @ ..] = models
        && let Some(other) = others.iter().find(|other| width(other) != width(first))
    {
        bail!(
            "features of {} have {} numbers and those of {} have {}: only models whose features are equally long share a sheet; look at them one by one",
            first.name,
            width(first),
            other.name,
            width(other)
        );
    }
    Ok(())
}

/// The basis of all tokens of all models.
fn basis(seen: &[Vec<Seen>]) -> Result<Basis> {
    let of_all: Vec<&[f32]> = seen.iter().flatten().map(|seen| seen.patches.as_slice()).collect();
    let dim = seen.iter().flatten().map(|seen| seen.dim).next().unwrap_or(0);
    Basis::fit(dim, &of_all.concat())
}

/// Writes a sheet as PNG, where nothing is yet, and prints `what` it shows.
fn keep(out: &Store, name: &str, what: &str, table: &PictureTable) -> Result<()> {
    let sheet = table.draw();
    out.create(name, png(&sheet)?.into())?;
    terminal::line(format!("{}: {what} ({} × {} px)", out.uri_of(name), sheet.width(), sheet.height()));
    Ok(())
}

fn png(sheet: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    sheet.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
