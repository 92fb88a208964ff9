//! What models see in images, as `orchestrator look` has kept it.

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use image::{ImageFormat, ImageReader};
use report::data::{Look, LookSheet};
use store::Store;

use super::sets::fact;
use crate::looks;
use crate::records::Plan;

/// The newest look of a sweep; `None` where none was kept, where it cannot be read, or where its pictures take more bytes than there is `room`.
pub(super) fn found(store: &Store, plan: &Plan, room: &mut usize) -> Option<Look> {
    read(store, plan, room).unwrap_or_else(|error| {
        terminal::note(format!("what the models see is not shown: {error:#}"));
        None
    })
}

fn read(store: &Store, plan: &Plan, room: &mut usize) -> Result<Option<Look>> {
    let Some((number, look)) = looks::newest(store, plan)? else { return Ok(None) };
    let mut sheets = Vec::new();
    let mut bytes_of_all = 0;
    for sheet in &look.sheets {
        let bytes = looks::sheet(store, plan, number, sheet)?;
        let size = ImageReader::with_format(Cursor::new(&bytes), ImageFormat::Png).into_dimensions();
        bytes_of_all += bytes.len();
        sheets.push(LookSheet::of_png(sheet.title.clone(), &bytes, size.context("cannot read a sheet")?));
    }
    ensure!(bytes_of_all <= *room, "its pictures take {}", terminal::bytes(bytes_of_all as u64));
    *room -= bytes_of_all;
    let facts = vec![
        fact("images", look.images),
        fact("models", format!("teachers of {}, seed {}", look.arms.join(", "), look.seed)),
    ];
    Ok(Some(Look { facts, sheets }))
}
