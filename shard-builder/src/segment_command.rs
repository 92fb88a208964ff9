//! `segment`: cells found in the pixels or in masks, drawn for people and compared with the labels of the source.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use datasets::cutting::Agreement;
use datasets::reading::LocatedSource;
use datasets::schema::{Source, stem_of};
use datasets::survey::{ImageRecord, SurveyOptions, cell_table, survey};
use image::Rgb;
use imaging::{DecodeLimits, RgbImage};
use run_spec::ids::Product;
use segmentation::{Cell, SegmentOptions};

use crate::cli::SegmentArgs;
use crate::data_place::prepare_folder;
use crate::progress::Terminal;
use crate::sources::{self, Sources, locate};
use crate::summary;
use terminal::{counted, table, thousands};

/// Columns that count without labels: source, images and cells.
const COUNTS: usize = 3;

/// Colour in which cells are outlined.
const OUTLINE: Rgb<u8> = Rgb([0, 200, 0]);

/// Finds the cells of all images, writes them with some pictures, and returns what to print.
///
/// # Errors
/// A description that cannot be used, a source without a diameter or a folder, a folder that cannot be written, no cell in any image.
pub(crate) fn segment(args: &SegmentArgs) -> Result<String> {
    let Sources { located: sources, data } = locate(described(args)?, &args.place)?;
    prepare_folder(&args.out, &data)?;
    let options = SurveyOptions {
        product: Product::Cells,
        patch_px: 0,
        limits: args.decoding.limits(),
        um_per_px: None,
        measured: false,
        fingerprints: false,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("cannot start threads")?;
    let images = pool.install(|| survey(&sources, options, None, &Terminal))?;
    let file = args.out.join("cells.csv");
    let cells = cell_table(&sources, &images)?.unwrap_or_default();
    fs::write(&file, cells).with_context(|| format!("cannot write {}", file.display()))?;
    let unused = summary::unused(&sources, &images);
    ensure!(images.iter().any(|image| image.used.is_ok()), "no cell was found in any image{unused}");
    let drawn = draw(args, &sources, &images, options.limits)?;
    Ok(format!(
        "{}{unused}\n\ncells: {}\n{} with outlines beside it, of {} with cells (--pictures N draws N of each source)",
        by_source(&sources, &images),
        file.display(),
        counted(drawn, "picture"),
        counted(images.iter().filter(|image| image.used.is_ok()).count(), "image")
    ))
}

/// The descriptions, each with a rule by which cells with outlines are found.
fn described(args: &SegmentArgs) -> Result<Vec<Source>> {
    if let Some(diameter) = args.diameter {
        ensure!((4.0..=2000.0).contains(&diameter), "--diameter: {diameter} px is outside 4 to 2000");
    }
    let mut sources = sources::read(&args.sources)?;
    // Cells of given masks are compared as they are.
    for source in sources.iter_mut().filter(|source| source.cells.masks.is_none()) {
        source.cells.segment = match (source.cells.segment.take(), args.diameter) {
            // The command line is where diameters are tried.
            (Some(rule), Some(diameter)) => Some(SegmentOptions { diameter, ..rule }),
            (Some(rule), None) => Some(rule),
            (None, Some(diameter)) => Some(SegmentOptions::for_diameter(diameter)),
            (None, None) => bail!(
                "source {}: `cells: {{segment: {{diameter: PX}}}}` is missing; write it in the description, or give --diameter PX",
                source.name
            ),
        };
    }
    Ok(sources)
}

/// Writes pictures of some images of each source, at even distances, with the outlines of their cells. Returns how many.
fn draw(args: &SegmentArgs, sources: &[LocatedSource], images: &[ImageRecord], limits: DecodeLimits) -> Result<usize> {
    let mut drawn = 0;
    for (index, located) in sources.iter().enumerate() {
        let used: Vec<&ImageRecord> = images.iter().filter(|of| of.source == index && of.used.is_ok()).collect();
        let shown = (args.pictures as usize).min(used.len());
        for image in (0..shown).map(|number| used[number * used.len() / shown]) {
            let path = args.out.join(format!("{}-{}.png", located.source.name, stem_of(&image.image)));
            outlined(located, image, limits)?
                .save_with_format(&path, image::ImageFormat::Png)
                .with_context(|| format!("cannot write {}", path.display()))?;
            drawn += 1;
        }
    }
    Ok(drawn)
}

fn by_source(sources: &[LocatedSource], images: &[ImageRecord]) -> String {
    let header = [
        "source",
        "images",
        "cells",
        "labelled images",
        "labels",
        "in a cell",
        "alone in a cell",
        "cells there",
        "with a label",
        "cells/labels",
    ];
    let line = |(index, located): (usize, &LocatedSource)| {
        agreement_line(&located.source.name, images.iter().filter(|image| image.source == index))
    };
    let mut rows: Vec<Vec<String>> = sources.iter().enumerate().map(line).collect();
    // Without labels there is nothing to compare the cells with.
    let columns = if images.iter().any(|image| image.agreement.images > 0) { header.len() } else { COUNTS };
    rows.iter_mut().for_each(|row| row.truncate(columns));
    table(&header[..columns], &header[1..columns], &rows)
}

/// How the cells of a source's images agree with their labels.
fn agreement_line<'a>(name: &str, of_source: impl Iterator<Item = &'a ImageRecord>) -> Vec<String> {
    let mut sum = Agreement::default();
    let (mut images, mut cells) = (0, 0);
    for image in of_source.filter(|image| image.info.is_some()) {
        sum += image.agreement;
        images += 1;
        cells += image.used.as_ref().map_or(0, |used| used.cells.len() as u64);
    }
    let ratio = |text: fn(f64) -> String, part: u64, of: u64| {
        if of == 0 { "-".to_owned() } else { text(part as f64 / of as f64) }
    };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    vec![
        name.to_owned(),
        thousands(images),
        thousands(cells),
        thousands(sum.images),
        thousands(sum.annotations),
        ratio(percent, sum.in_a_cell, sum.annotations),
        ratio(percent, sum.alone, sum.annotations),
        thousands(sum.cells),
        ratio(percent, sum.labelled, sum.cells),
        ratio(|cells| format!("{cells:.3}"), sum.cells, sum.annotations),
    ]
}

/// The image with an outline around each cell.
fn outlined(located: &LocatedSource, image: &ImageRecord, limits: DecodeLimits) -> Result<RgbImage> {
    let read = located.rgb(&image.image, limits).map_err(anyhow::Error::msg);
    let mut picture = read.with_context(|| format!("cannot draw {}", image.image))?;
    for cell in image.used.iter().flat_map(|used| &used.cells) {
        outline(&mut picture, cell);
    }
    Ok(picture)
}

fn outline(image: &mut RgbImage, cell: &Cell) {
    for y in cell.y..cell.y + cell.h {
        for x in cell.x..cell.x + cell.w {
            let beside = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
            if cell.contains(x, y) && beside.iter().any(|&(x, y)| !cell.contains(x, y)) {
                image.put_pixel(x, y, OUTLINE);
            }
        }
    }
}
