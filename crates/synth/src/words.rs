//! Everything in words: source descriptions, label files and the README, each saying that the set is synthetic.

use std::fmt::Write;

use crate::catalogue::{FileFormat, FileLayout, LabelFormat};
use crate::form::Class;
use crate::plan::{DrawnSource, Field};
use crate::scene::CellLabel;

/// What the README and the descriptions say first.
pub(crate) const NOTICE: &str = "Synthetic: drawn by a program, no patient, no blood.";

/// The source description that `shard-builder build` reads.
pub(crate) fn source_yaml(source: &DrawnSource, command: &str) -> String {
    let style = source.style;
    let mut text = format!("# {NOTICE} Written by `{command}`.\n");
    let kind = if source.evaluation.is_some() { "labelled evaluation fields" } else { "fields" };
    let modality =
        format!("synthetic bright field; {}; discocyte about {:.0} px across", style.about, style.diameter_px);
    for (key, value) in [
        ("name", source.name()),
        ("title", format!("'Synthetic smear, {} ({kind})'", style.name)),
        ("home", "none".to_owned()),
        ("licence", "CC0-1.0".to_owned()),
        ("citation", "'Synthetic blood smears drawn by shard-builder synth.'".to_owned()),
        ("modality", format!("'{modality}'")),
        ("membership", "synthetic".to_owned()),
    ] {
        writeln!(text, "{key}: {value}").expect("a String takes any text");
    }
    let extension = style.format.extension();
    text += &match source.layout() {
        FileLayout::Flat => format!("images:\n  include: ['images/*.{extension}']\n"),
        FileLayout::Folders => format!("images:\n  include: ['slide */*.{extension}']\n"),
        FileLayout::WithMasks => "images:\n  include: ['images/*']\n  exclude:\n    \
            - { glob: 'images/*_mask.png', why: cell mask }\n"
            .to_owned(),
    };
    text += match source.layout() {
        FileLayout::Folders => "# A folder is a slide.\ngroup: { by: folder, up: 1 }\n",
        FileLayout::Flat | FileLayout::WithMasks => "group: { by: pattern, pattern: '(slide\\d+)_' }\n",
    };
    match source.cells() {
        None => {}
        Some((LabelFormat::Points, size)) => {
            text += "label: { from: points, file: 'labels/{stem}.txt' }\n";
            writeln!(text, "cells: {{ size: {size}, pad: reflect }}").expect("a String takes any text");
        }
        Some((LabelFormat::Boxes, size)) => {
            text += "label:\n  from: csv-boxes\n  file: cells.csv\n  key: path\n  units: pixels\n";
            text += "  columns: { image: image, xmin: xmin, ymin: ymin, xmax: xmax, ymax: ymax, label: class }\n";
            writeln!(text, "cells: {{ size: {size}, fixed: true, pad: reflect }}").expect("a String takes any text");
        }
    }
    text
}

/// Side file of one image: a line `x y class` a cell.
pub(crate) fn points(labels: &[CellLabel]) -> String {
    labels.iter().map(|label| format!("{} {} {}\n", label.x, label.y, label.class.name())).collect()
}

/// Every labelled cell of a set, one a line.
pub(crate) fn cells_csv<'a>(images: impl Iterator<Item = (&'a Field, &'a [CellLabel])>) -> String {
    let mut text = "image,x,y,xmin,ymin,xmax,ymax,class\n".to_owned();
    for (field, labels) in images {
        for CellLabel { x, y, xmin, ymin, xmax, ymax, class } in labels {
            writeln!(text, "{},{x},{y},{xmin},{ymin},{xmax},{ymax},{}", field.path(), class.name())
                .expect("a String takes any text");
        }
    }
    text
}

/// The README at the root of a set of `sources`.
pub(crate) fn readme(command: &str, sources: &[DrawnSource]) -> String {
    let training: Vec<&DrawnSource> = sources.iter().filter(|source| source.evaluation.is_none()).collect();
    let (product, out, smears) = match sources.iter().any(|source| source.thin) {
        true => ("cells", "training-cells", " Thin smears: cells lie apart."),
        false => ("patches", "patches", ""),
    };
    let classes: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
    let mut text = format!(
        "# Synthetic blood smears\n\n{NOTICE} Written by `{command}`. Licence: CC0-1.0.{smears}\n\n\
        For trying the tools and for tests. Nothing learnt on it is evidence about blood.\n\n\
        - `sources/NAME.yaml`: descriptions of the {} training sources; `data/NAME/` holds their images.\n\
        - `eval-sources/NAME.yaml`: the labelled evaluation set, over four of the sources; its slides are in no training source.\n\
        - `data/NAME/cells.csv`: every cell that lies mostly inside its image: its place, box and shape. \
        White cells, platelets and dirt have no label.\n\n\
        Shapes: {}.\n\n\
        ```\nshard-builder build sources --data data --product {product} --out shards/{out}\n\
        shard-builder build eval-sources --data data --product cells --out shards/cells\n```\n\n\
        | source | files | about |\n|---|---|---|\n",
        training.len(),
        classes.join(", "),
    );
    for style in training.iter().map(|source| source.style) {
        writeln!(text, "| {} | {} | {} |", style.name, format_words(style.format), style.about)
            .expect("a String takes any text");
    }
    text
}

/// A format for people.
fn format_words(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Jpeg(_) => "JPEG",
        FileFormat::JpegGrey(_) => "JPEG, one channel",
        FileFormat::JpegSomePng(_) => "JPEG, some PNG data named .jpg",
        FileFormat::Png => "PNG",
        FileFormat::PngAlpha => "PNG with alpha",
        FileFormat::PngGrey => "PNG, one channel",
        FileFormat::Bmp => "BMP",
        FileFormat::Tiff => "TIFF, 8 bits",
        FileFormat::Tiff16 => "TIFF, 16 bits",
    }
}
