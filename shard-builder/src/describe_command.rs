//! `describe`: a first description of a folder, and a contact sheet to check it by.

use anyhow::{Context, Result};
use datasets::describing::{Draft, describe as describe_folder};
use imaging::picture_table::{PictureTable, Row};

use crate::cli::DescribeArgs;

/// Pictures in a line of the sheet.
const COLUMNS: usize = 4;

/// Describes a folder, writes the description and the sheet where its arguments say, and returns what to print: the description itself
/// where it is not written to a file.
///
/// # Errors
/// A folder without images; a file that is there already or cannot be written.
pub(crate) fn describe(args: &DescribeArgs) -> Result<String> {
    terminal::ensure_there("folder", &args.folder)?;
    let Draft { yaml, source, has_labels, tiles } =
        describe_folder(&args.folder, args.decoding.limits(), args.max_archive_bytes)?;
    let mut text = yaml.clone();
    if let Some(file) = &args.out {
        let mut out = std::fs::File::create_new(file)
            .with_context(|| format!("write {}; existing descriptions are not replaced", file.display()))?;
        std::io::Write::write_all(&mut out, yaml.as_bytes()).with_context(|| format!("write {}", file.display()))?;
        let (file, folder, name) = (file.display(), args.folder.display(), &source.name);
        let product = if has_labels { "cells" } else { "patches" };
        text = format!(
            "description: {file}\nRead it: it says what was guessed and what is unknown. Then\n\
             shard-builder build {file} --root {name}={folder} --out SET --product {product} --verify"
        );
    }
    if let Some(file) = &args.sheet {
        let mut rows = Vec::new();
        let mut tiles = tiles.into_iter().peekable();
        while tiles.peek().is_some() {
            rows.push(Row { heading: String::new(), tiles: tiles.by_ref().take(COLUMNS).collect() });
        }
        let notes = vec![
            "Labels read with the guessed rule: check that they are on the cells and that their classes are right."
                .to_owned(),
        ];
        let sheet = PictureTable { title: source.name.clone(), notes, columns: Vec::new(), rows }.draw();
        sheet
            .save_with_format(file, image::ImageFormat::Png)
            .with_context(|| format!("write the contact sheet {}", file.display()))?;
        if args.out.is_some() {
            text.push_str(&format!("\ncontact sheet: {}", file.display()));
        }
    }
    Ok(text)
}
