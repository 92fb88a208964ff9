//! `describe`: a first description of a folder, and a contact sheet to check it by.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use datasets::describing::{Draft, describe as describe_folder};
use datasets::schema::Source;
use imaging::picture_table::{PictureTable, Row, Tile};

use crate::cli::DescribeArgs;

/// Pictures in a line of the sheet.
const COLUMNS: usize = 4;
/// The first line of a sheet of labelled images.
const LABELLED: &str =
    "Labels read with the guessed rule: check that they are on the cells and that their classes are right.";
/// The first line of a sheet without labels.
const UNLABELLED: &str = "No labels were found. Some images of the folder:";

/// Describes a folder, writes the description and the sheet where its arguments say, and returns what to print: the description itself
/// where it is not written to a file.
///
/// # Errors
/// A folder without images; a file that is there already or cannot be written.
pub(crate) fn describe(args: &DescribeArgs) -> Result<String> {
    terminal::ensure_there("folder", &args.folder)?;
    if let Some(file) = args.out.as_ref().filter(|file| file.exists()) {
        return Err(existing(file));
    }
    let Draft { yaml, source, has_labels, tiles } =
        describe_folder(&args.folder, args.decoding.limits(), args.max_archive_bytes)?;
    let mut text = yaml.clone();
    if let Some(file) = &args.out {
        write_new(file, &yaml)?;
        text = next_steps(file, args, &source, has_labels);
    }
    if let Some(file) = &args.sheet {
        let note = if has_labels { LABELLED } else { UNLABELLED };
        draw(file, source.name, note, tiles)?;
        if args.out.is_some() {
            text.push_str(&format!("\ncontact sheet: {}", file.display()));
        }
    }
    Ok(text)
}

fn existing(file: &Path) -> Error {
    anyhow!("{} exists and is not overwritten: choose another name with --out, or delete it", file.display())
}

/// Writes a description to a file that does not exist.
fn write_new(file: &Path, yaml: &str) -> Result<()> {
    let write = || std::io::Write::write_all(&mut File::create_new(file)?, yaml.as_bytes());
    match write() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(existing(file)),
        written => written.with_context(|| format!("cannot write {}", file.display())),
    }
}

/// What to do with a description: read it, then build. Without labels there are patches, or cells that are found in the pixels.
fn next_steps(file: &Path, args: &DescribeArgs, source: &Source, has_labels: bool) -> String {
    let (file, root) = (file.display(), format!("--root {}={}", source.name, args.folder.display()));
    let product = if has_labels { "cells" } else { "patches" };
    let mut text = format!(
        "description: {file}\nRead and correct it: its comments say what was guessed and what is unknown. The most important line is \
         `group`: it says which images are of one patient or slide. Then\nshard-builder build {file} {root} --out SET --product {product} --verify"
    );
    if source.slides.is_some() {
        text.push_str("\nThis cuts the fields of the slides that show smear into squares (patches).");
    } else if !has_labels {
        text.push_str(&format!(
            "\nNo labels were found, so this cuts the images into squares (patches). For single cells, first see which diameter finds them (in \
             pixels, here 40):\nshard-builder segment {file} {root} --diameter 40 --out CELLS\n\
             Then write the diameter into the description, as its last comment shows, and build with --product cells"
        ));
    }
    text
}

/// Writes the contact sheet.
fn draw(file: &Path, title: String, note: &str, tiles: Vec<Tile>) -> Result<()> {
    let mut rows = Vec::new();
    let mut tiles = tiles.into_iter().peekable();
    while tiles.peek().is_some() {
        rows.push(Row { heading: String::new(), tiles: tiles.by_ref().take(COLUMNS).collect() });
    }
    let sheet = PictureTable { title, notes: vec![note.to_owned()], columns: Vec::new(), rows }.draw();
    sheet
        .save_with_format(file, image::ImageFormat::Png)
        .with_context(|| format!("cannot write the contact sheet {}", file.display()))
}
