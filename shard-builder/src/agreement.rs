//! `segment`: cells found by their looks, drawn for people and compared with the labels of the source.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use image::{Rgb, RgbImage};
use run_spec::ids::Product;
use segmentation::{Cell, SegmentOptions};

use crate::cli::SegmentArgs;
use crate::cut::segments::Agreement;
use crate::locate::{Places, locate};
use crate::output::{table, thousands};
use crate::report;
use crate::source::describe::read_sources;
use crate::source::files::stem_of;
use crate::survey::{Cutting, Located, Picture, survey};
use crate::target::prepare_folder;
use imaging::DecodeLimits;

/// Colour of outlines.
const OUTLINE: Rgb<u8> = Rgb([0, 200, 0]);

/// Finds the cells of all images, writes them with some pictures, and returns what to print.
///
/// # Errors
/// A description that cannot be used, a source without a diameter or a folder, a folder that cannot be written.
pub(crate) fn segment(args: &SegmentArgs) -> Result<String> {
    let mut sources = read_sources(&args.sources)?;
    for source in &mut sources {
        // Cells of given masks are compared as they are.
        if source.cells.masks.is_some() {
            continue;
        }
        source.cells.segment = match (source.cells.segment.take(), args.diameter) {
            (Some(rule), _) => Some(rule),
            (None, Some(diameter)) => Some(SegmentOptions::for_diameter(diameter)),
            (None, None) => bail!(
                "source {}: says no `cells: {{segment: {{diameter: PX}}}}`; write it there or give --diameter PX",
                source.name
            ),
        };
    }
    if let Some(diameter) = args.diameter {
        ensure!((4.0..=2000.0).contains(&diameter), "--diameter: {diameter} px is outside 4 to 2000");
    }
    let Places { sources, data } = locate(sources, &args.place)?;
    prepare_folder(&args.out, &data)?;
    let limits = args.decoding.limits();
    let cutting =
        Cutting { product: Product::Cells, size: 0, limits, um_per_px: None, measured: false, fingerprints: false };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("start threads")?;
    let pictures = pool.install(|| survey(&sources, cutting, None))?;
    let groups: Vec<String> = pictures.iter().map(|_| String::new()).collect();
    let file = args.out.join("cells.csv");
    let cells = report::report(&sources, Product::Cells, &pictures, &groups)?.cells.unwrap_or_default();
    fs::write(&file, cells).with_context(|| format!("write {}", file.display()))?;
    let mut drawn = 0;
    for (index, source) in sources.iter().enumerate() {
        let used: Vec<&Picture> = pictures.iter().filter(|of| of.source == index && of.used.is_ok()).collect();
        let shown = (args.pictures as usize).min(used.len());
        for picture in (0..shown).map(|number| used[number * used.len() / shown]) {
            let name = format!("{}-{}.png", source.source.name, stem_of(&picture.image));
            let path = args.out.join(name);
            outlined(source, picture, limits)?
                .save_with_format(&path, image::ImageFormat::Png)
                .with_context(|| format!("write {}", path.display()))?;
            drawn += 1;
        }
    }
    Ok(format!(
        "{}\n\ncells: {}, and {drawn} pictures with outlines beside it",
        by_source(&sources, &pictures),
        file.display()
    ))
}

fn by_source(sources: &[Located], pictures: &[Picture]) -> String {
    let header = [
        "source",
        "images",
        "cells",
        "with labels",
        "labels",
        "in a cell",
        "alone in it",
        "cells there",
        "with a label",
        "cells/labels",
    ];
    let share = |part: u64, of: u64| {
        if of == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / of as f64) }
    };
    let rows: Vec<Vec<String>> = sources
        .iter()
        .enumerate()
        .map(|(index, located)| {
            let mut sum = Agreement::default();
            let (mut images, mut cells) = (0, 0);
            for picture in pictures.iter().filter(|picture| picture.source == index && picture.seen.is_some()) {
                sum += picture.agreement;
                images += 1;
                cells += picture.used.as_ref().map_or(0, |used| used.cells.len() as u64);
            }
            vec![
                located.source.name.clone(),
                thousands(images),
                thousands(cells),
                thousands(sum.images),
                thousands(sum.marks),
                share(sum.in_a_cell, sum.marks),
                share(sum.alone, sum.marks),
                thousands(sum.cells),
                share(sum.marked, sum.cells),
                if sum.marks == 0 { "-".to_owned() } else { format!("{:.3}", sum.cells as f64 / sum.marks as f64) },
            ]
        })
        .collect();
    table(&header, &header[1..], &rows)
}

/// The image with an outline around each cell.
fn outlined(located: &Located, picture: &Picture, limits: DecodeLimits) -> Result<RgbImage> {
    let read = located.rgb(&picture.image, limits).map_err(anyhow::Error::msg);
    let mut image = read.with_context(|| format!("draw {}", picture.image))?;
    for cell in picture.used.iter().flat_map(|used| &used.cells) {
        outline(&mut image, cell);
    }
    Ok(image)
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
