//! The cells on which two arms or trials disagree, as a picture.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::imageops;
use imaging::contact_sheet::{self, Strip};
use imaging::{DecodeLimits, RgbImage};
use shards::atlas::Atlas;
use store::Store;

use super::answers::{Disagreement, Disagreements, Group};
use crate::keys::ATLASES;
use crate::records::EvalSet;

/// Pictures in a row.
const COLUMNS: u32 = 8;
/// Pictures of each group at most: six rows.
const MOST: usize = 48;

/// The strips of an evaluation set: a group of disagreements each, the clearest first. None where no probe kept pictures.
pub(super) fn strips(
    store: &Store,
    eval: &EvalSet,
    found: &Disagreements,
    [first, second]: [&str; 2],
) -> Result<Vec<Strip>> {
    let atlases = store.child(ATLASES);
    if !Atlas::is_there(&atlases, &eval.shards.digest)? {
        terminal::note(format!(
            "{}: there are no pictures of its cells; the probes keep them of sets of up to 24,000",
            eval.name
        ));
        return Ok(Vec::new());
    }
    let mut tiles = Tiles { atlas: Atlas::read(&atlases, &eval.shards.digest)?, store: atlases, open: None };
    let titles = [
        (Group::FirstIsRight, format!("{}: {first} (A) is right, {second} (B) is wrong", eval.name)),
        (Group::SecondIsRight, format!("{}: {second} (B) is right, {first} (A) is wrong", eval.name)),
        (Group::BothAreWrong, format!("{}: {first} (A) and {second} (B) are wrong in different ways", eval.name)),
    ];
    let mut strips = Vec::new();
    for (group, title) in titles {
        let cells: Vec<_> = found.cells.iter().filter(|cell| cell.group == group).collect();
        let mut shown: Vec<_> = cells.iter().take(MOST).collect();
        // In the order of the set: each sheet of the atlas is opened once.
        shown.sort_by_key(|cell| cell.cell);
        let mut strip =
            Strip { title: format!("{title}; {} of {} cells", shown.len(), cells.len()), tiles: Vec::new() };
        for cell in shown {
            strip.tiles.push((tiles.tile(cell.cell)?, caption(&found.classes, cell)));
        }
        strips.extend((!strip.tiles.is_empty()).then_some(strip));
    }
    Ok(strips)
}

/// The true class, and below it each wrong prediction.
fn caption(classes: &[String], cell: &Disagreement) -> String {
    let class = |place: usize| classes[cell.says[place]].as_str();
    let wrong = match cell.group {
        Group::FirstIsRight => vec![("B", class(2))],
        Group::SecondIsRight => vec![("A", class(1))],
        Group::BothAreWrong => vec![("A", class(1)), ("B", class(2))],
    };
    let wrong: String = wrong.into_iter().map(|(who, class)| format!("\n{who}: {class}")).collect();
    format!("{}{wrong}", class(0))
}

/// Writes the strips below one another.
pub(super) fn write(strips: &[Strip], file: &Path) -> Result<()> {
    if strips.is_empty() {
        terminal::note(format!("{} is not written: there is nothing to show", file.display()));
        return Ok(());
    }
    let sheet = contact_sheet::strips(strips, COLUMNS);
    sheet
        .save_with_format(file, image::ImageFormat::Png)
        .with_context(|| format!("cannot write {}", file.display()))?;
    terminal::note(format!("{}: {} × {} px", file.display(), sheet.width(), sheet.height()));
    Ok(())
}

/// Tiles of an atlas, of which one sheet is open.
struct Tiles {
    store: Store,
    atlas: Atlas,
    open: Option<(usize, RgbImage)>,
}

impl Tiles {
    fn tile(&mut self, cell: usize) -> Result<RgbImage> {
        let cell = cell as u64;
        let number =
            self.atlas.sheets.iter().position(|sheet| (sheet.first..sheet.first + sheet.count).contains(&cell));
        let number = number.with_context(|| format!("the atlas has no picture of cell {cell}"))?;
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            let bytes = self.atlas.sheet(&self.store, number)?;
            self.open = Some((number, imaging::decode(&bytes, DecodeLimits::default())?.rgb));
        }
        let (_, sheet) = self.open.as_ref().context("a sheet has been opened")?;
        let (tile, of) = (self.atlas.tile, &self.atlas.sheets[number]);
        let place = u32::try_from(cell - of.first).context("the place of a tile")?;
        let (left, top) = (place % of.columns * tile, place / of.columns * tile);
        ensure!(
            left + tile <= sheet.width() && top + tile <= sheet.height(),
            "sheet {number} is smaller than its record says"
        );
        Ok(imageops::crop_imm(sheet, left, top, tile, tile).to_image())
    }
}
