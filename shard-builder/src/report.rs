//! What became of every image and label: tables in the set, and a summary for people.
//!
//! `images-*.csv` has a row for each image of each source, used or not; `labels-*.csv` one for each label that gives no
//! cell; `quality-*.csv` one for each row with a flaw, kept, flagged or dropped; `cells-*.csv`, where cells are found by their looks, one for each of them. All are written from the plan alone, so they are the same bytes however often a build was interrupted.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use run_spec::ids::{PatchKey, Product, patch_id};

use crate::output::{megabytes, table, thousands};
use crate::quality::{Flaw, Flawed};
use crate::source::cut_rule::CellRule;
use crate::source::files;
use crate::source::quality_rule::Action;
use crate::survey::{Located, Picture};

/// Labels not used that are told on the terminal.
const LABELS_TOLD: usize = 20;

/// Reasons and notes that are told on the terminal.
const KINDS_TOLD: usize = 40;

/// The report's tables, as CSV.
#[derive(Debug)]
pub(crate) struct Report {
    /// One row an image.
    pub(crate) images: Vec<u8>,
    /// One row a label that is not used.
    pub(crate) labels: Vec<u8>,
    /// One row a patch or cell with a flaw.
    pub(crate) quality: Vec<u8>,
    /// One row a cell that was found by its looks; nothing where no source asks for that.
    pub(crate) cells: Option<Vec<u8>>,
}

/// Writes the report of a plan.
///
/// # Errors
/// None that writing to memory can meet.
pub(crate) fn report(sources: &[Located], product: Product, pictures: &[Picture], groups: &[String]) -> Result<Report> {
    let mut images = csv::Writer::from_writer(Vec::new());
    let mut labels = csv::Writer::from_writer(Vec::new());
    let header = "source,image,status,reason,rows,unused_px,labels_unused,format,width,height,group,notes,file_blake3,pixel_digest";
    images.write_record(header.split(',')).context("write the report")?;
    labels.write_record(["source", "image", "at", "reason"]).context("write the report")?;
    for (picture, group) in pictures.iter().zip(groups) {
        let source = &sources[picture.source].source.name;
        let (status, reason, rows, unused_px) = match &picture.used {
            Ok(used) => ("used", "", used.cuts.len(), used.unused_px),
            Err(reason) => ("unused", reason.as_str(), 0, 0),
        };
        let seen = picture.seen.as_ref();
        let size = |side: Option<u32>| side.map_or_else(String::new, |side| side.to_string());
        let record = [
            source.clone(),
            picture.image.clone(),
            status.to_owned(),
            reason.to_owned(),
            rows.to_string(),
            unused_px.to_string(),
            picture.issues.len().to_string(),
            seen.map_or("", |seen| seen.format).to_owned(),
            size(seen.map(|seen| seen.width)),
            size(seen.map(|seen| seen.height)),
            group.clone(),
            picture.notes.join("; "),
            seen.map_or_else(String::new, |seen| seen.file.to_string()),
            seen.map_or_else(String::new, |seen| seen.pixels.to_string()),
        ];
        images.write_record(&record).context("write the report")?;
        for issue in &picture.issues {
            labels.write_record([source, &picture.image, &issue.at, &issue.reason]).context("write the report")?;
        }
    }
    let bytes = |writer: csv::Writer<Vec<u8>>| writer.into_inner().context("write the report");
    let quality = quality(sources, product, pictures)?;
    Ok(Report { images: bytes(images)?, labels: bytes(labels)?, quality, cells: cells(sources, pictures)? })
}

/// The rows with flaws, what was measured of them, and what became of them.
fn quality(sources: &[Located], product: Product, pictures: &[Picture]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = "id,source,image,x,y,w,h,action,flaws,shown,sharpness,clipped";
    writer.write_record(header.split(',')).context("write the report on quality")?;
    for picture in pictures {
        let (source, image) = (&sources[picture.source].source.name, &picture.image);
        for Flawed { x, y, w, h, measures, flaws, action } in &picture.flawed {
            let key = PatchKey { source, image, x: i64::from(*x), y: i64::from(*y), w: *w, h: *h, product };
            let flaws: Vec<&str> = flaws.iter().map(|flaw| flaw.name()).collect();
            let record = [
                patch_id(&key).to_string(),
                source.clone(),
                image.clone(),
                x.to_string(),
                y.to_string(),
                w.to_string(),
                h.to_string(),
                action.name().to_owned(),
                flaws.join("; "),
                format!("{:.4}", measures.shown),
                format!("{:.2}", measures.sharpness),
                format!("{:.4}", measures.clipped),
            ];
            writer.write_record(&record).context("write the report on quality")?;
        }
    }
    writer.into_inner().context("write the report on quality")
}

/// For each source with flawed rows: how many have each flaw, and what became of all of them.
pub(crate) fn flaws(sources: &[Located], pictures: &[Picture]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (index, located) in sources.iter().enumerate() {
        let of_source =
            || pictures.iter().filter(|picture| picture.source == index).flat_map(|picture| &picture.flawed);
        let has = |name: &str| {
            let flawed = |flawed: &&Flawed| flawed.flaws.iter().any(|flaw| flaw.name() == name);
            of_source().filter(flawed).count() as u64
        };
        let became = |name: &str| of_source().filter(|flawed| flawed.action.name() == name).count() as u64;
        lines.extend(flaw_sentence(has, became).map(|sentence| (located.source.name.clone(), sentence)));
    }
    lines
}

/// How many rows have each flaw, and what became of them; nothing where no row has one. Both counts go by name.
pub(crate) fn flaw_sentence(has: impl Fn(&str) -> u64, became: impl Fn(&str) -> u64) -> Option<String> {
    let counted = |name: &str, count: u64| (count > 0).then(|| format!("{} {name}", thousands(count)));
    let each: Vec<String> = Flaw::ALL.into_iter().filter_map(|flaw| counted(flaw.name(), has(flaw.name()))).collect();
    let actions = [(Action::Keep, "kept"), (Action::Flag, "flagged"), (Action::Drop, "dropped")];
    let became: Vec<String> =
        actions.into_iter().filter_map(|(action, name)| counted(name, became(action.name()))).collect();
    (!each.is_empty()).then(|| format!("{} ({})", each.join(", "), became.join(", ")))
}

/// What is known of the found cells: the row that shows each, its size and shape, and its mask.
fn cells(sources: &[Located], pictures: &[Picture]) -> Result<Option<Vec<u8>>> {
    let outlined = |rule: &CellRule| rule.segment.is_some() || rule.masks.is_some();
    if !sources.iter().any(|located| outlined(&located.source.cells)) {
        return Ok(None);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = "source,image,row_x,row_y,row_w,label,centre_x,centre_y,area_px,circularity,at_edge,mask_x,mask_y,mask_w,mask_h,mask_runs";
    writer.write_record(header.split(',')).context("write the report on cells")?;
    for picture in pictures {
        let source = &sources[picture.source].source.name;
        for (cut, cell) in picture.used.iter().flat_map(|used| used.cuts.iter().zip(&used.cells)) {
            let record = [
                source.clone(),
                picture.image.clone(),
                cut.x.to_string(),
                cut.y.to_string(),
                cut.w.to_string(),
                cut.label.clone().unwrap_or_default(),
                format!("{:.2}", cell.centre.0),
                format!("{:.2}", cell.centre.1),
                cell.area.to_string(),
                format!("{:.4}", cell.circularity),
                cell.at_edge.to_string(),
                cell.x.to_string(),
                cell.y.to_string(),
                cell.w.to_string(),
                cell.h.to_string(),
                cell.runs(),
            ];
            writer.write_record(&record).context("write the report on cells")?;
        }
    }
    writer.into_inner().map(Some).context("write the report on cells")
}

/// What a source gave, for the summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Images used.
    pub(crate) used: u64,
    /// Images not used.
    pub(crate) unused: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Labels that gave no cell.
    pub(crate) labels_unused: u64,
    /// Pixels of used images, and those of them in no row.
    pub(crate) pixels: (u64, u64),
}

/// What each source gave, in the order of the sources.
pub(crate) fn tallies(sources: &[Located], pictures: &[Picture]) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); sources.len()];
    for picture in pictures {
        let tally = &mut tallies[picture.source];
        tally.labels_unused += picture.issues.len() as u64;
        match (&picture.used, &picture.seen) {
            (Ok(used), Some(seen)) => {
                tally.used += 1;
                tally.rows += used.cuts.len() as u64;
                tally.pixels.0 += u64::from(seen.width) * u64::from(seen.height);
                tally.pixels.1 += used.unused_px;
            }
            _ => tally.unused += 1,
        }
    }
    tallies
}

/// The summary: a table by source, then why images were not used.
pub(crate) fn summary(sources: &[Located], pictures: &[Picture], bytes: &[u64]) -> String {
    let header = ["source", "licence", "images", "unused", "rows", "labels unused", "border px", "size"];
    let mut total = (Tally::default(), 0);
    let mut rows = Vec::new();
    for ((located, tally), &bytes) in sources.iter().zip(tallies(sources, pictures)).zip(bytes) {
        rows.push(summary_row(&located.source.name, &located.source.licence, tally, bytes));
        total.0.used += tally.used;
        total.0.unused += tally.unused;
        total.0.rows += tally.rows;
        total.0.labels_unused += tally.labels_unused;
        total.0.pixels.0 += tally.pixels.0;
        total.0.pixels.1 += tally.pixels.1;
        total.1 += bytes;
    }
    rows.push(summary_row("all", "", total.0, total.1));
    let mut text = table(&header, &header[2..], &rows);
    let flawed = flaws(sources, pictures);
    if !flawed.is_empty() {
        text.push_str("\n\nrows with flaws:");
        for (source, counts) in flawed {
            text.push_str(&format!("\n  {source}: {counts}"));
        }
    }
    let mut reasons = Counts::new();
    let mut notes = Counts::new();
    for picture in pictures {
        let source = sources[picture.source].source.name.as_str();
        if let Err(reason) = &picture.used {
            add(&mut reasons, source, &picture.image, reason);
        }
        for note in &picture.notes {
            add(&mut notes, source, &picture.image, note);
        }
    }
    text.push_str(&counted("images not used", &reasons));
    text.push_str(&counted("images read with a note", &notes));
    text
}

/// How often something is said of images of a source, by source and by what is said with the image's own name left out.
type Counts<'a> = BTreeMap<(&'a str, String), Said>;

/// What is said of images.
#[derive(Debug, Default)]
struct Said {
    count: u64,
    /// Of the first image, word for word.
    first: String,
    /// Whether it is said of another image in other words.
    differs: bool,
}

fn add<'a>(counts: &mut Counts<'a>, source: &'a str, image: &str, what: &str) {
    let said = counts.entry((source, without_name(what, image))).or_default();
    match said.count {
        0 => what.clone_into(&mut said.first),
        _ => said.differs |= said.first != what,
    }
    said.count += 1;
}

/// What is said, without the names of the image in it, so that what is said of many images is counted as one.
fn without_name(what: &str, image: &str) -> String {
    let (name, stem) = (files::name_of(image), files::stem_of(image));
    let mut text = what.to_owned();
    for own in [image, name, stem].into_iter().filter(|own| !own.is_empty()) {
        let mut rest = std::mem::take(&mut text);
        while let Some(at) = rest.find(own) {
            let whole = |side: Option<char>| side.is_none_or(|c| !c.is_alphanumeric());
            let end = at + own.len();
            let is_name = whole(rest[..at].chars().next_back()) && whole(rest[end..].chars().next());
            text.push_str(&rest[..at]);
            text.push_str(if is_name { "\0" } else { own });
            rest.drain(..end);
        }
        text.push_str(&rest);
    }
    text
}

fn counted(title: &str, counts: &Counts<'_>) -> String {
    // What is said in the same words is counted as one, also where it names the image among others.
    let mut lines: BTreeMap<(&str, &str), (u64, bool)> = BTreeMap::new();
    for ((source, _), said) in counts {
        let line = lines.entry((source, &said.first)).or_default();
        *line = (line.0 + said.count, line.1 || said.differs);
    }
    if lines.is_empty() {
        return String::new();
    }
    let line = |((source, what), (count, differs)): (&(&str, &str), &(u64, bool))| {
        let first = if *differs { " (the first of them)" } else { "" };
        format!("\n  {source}: {} × {what}{first}", thousands(*count))
    };
    let mut text = format!("\n\n{title}:{}", lines.iter().take(KINDS_TOLD).map(line).collect::<String>());
    if lines.len() > KINDS_TOLD {
        let images: u64 = lines.values().skip(KINDS_TOLD).map(|(count, _)| count).sum();
        text.push_str(&format!(
            "\n  and {} more, for other reasons; report/images-*.csv names each",
            thousands(images)
        ));
    }
    text
}

/// The first labels that gave no cell, for whoever gets no set with a report.
pub(crate) fn labels_unused(sources: &[Located], pictures: &[Picture]) -> String {
    let all = pictures.iter().flat_map(|picture| picture.issues.iter().map(move |issue| (picture, issue)));
    let told = all.clone().take(LABELS_TOLD).map(|(picture, issue)| {
        format!("\n  {}: {}, {}: {}", sources[picture.source].source.name, picture.image, issue.at, issue.reason)
    });
    let told: String = told.collect();
    match all.count() {
        0 => String::new(),
        count if count > LABELS_TOLD => format!("\n\nlabels not used, the first of {}:{told}", thousands(count as u64)),
        _ => format!("\n\nlabels not used:{told}"),
    }
}

fn summary_row(name: &str, licence: &str, tally: Tally, bytes: u64) -> Vec<String> {
    let share = if tally.pixels.0 == 0 { 0.0 } else { 100.0 * tally.pixels.1 as f64 / tally.pixels.0 as f64 };
    vec![
        name.to_owned(),
        licence.to_owned(),
        thousands(tally.used),
        thousands(tally.unused),
        thousands(tally.rows),
        thousands(tally.labels_unused),
        format!("{share:.1} %"),
        megabytes(bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_in_full_and_counted_as_one() {
        let mut counts = Counts::new();
        for image in ["x/1.png", "x/2.png"] {
            add(&mut counts, "a", image, &format!("label file {}.xml: no such file", files::stem_of(image)));
            add(&mut counts, "a", image, "no row in the table");
        }
        add(&mut counts, "a", "x/12.png", "masks m/12.npy: may be of any of 2 images (x/12.png, y/12.png)");
        for image in ["p/1.png", "q/1.png"] {
            add(&mut counts, "b", image, "`1.png` may be any of 2 images (p/1.png, q/1.png)");
        }
        let said = counted("images not used", &counts);
        let expected = [
            "",
            "",
            "images not used:",
            "  a: 2 × label file 1.xml: no such file (the first of them)",
            "  a: 1 × masks m/12.npy: may be of any of 2 images (x/12.png, y/12.png)",
            "  a: 2 × no row in the table",
            "  b: 2 × `1.png` may be any of 2 images (p/1.png, q/1.png)",
        ];
        assert_eq!(said, expected.join("\n"));
        assert_eq!(without_name("1 of 21 px, a/1.png, 1_mask", "a/1.png"), "\0 of 21 px, \0, \0_mask");
    }

    #[test]
    fn many_reasons_do_not_fill_the_terminal() {
        let mut counts = Counts::new();
        (0..100).for_each(|side| add(&mut counts, "a", "x.png", &format!("is of {side} px")));
        let said = counted("images not used", &counts);
        assert!(said.lines().count() == KINDS_TOLD + 4 && said.contains("and 60 more"), "{said}");
    }
}
