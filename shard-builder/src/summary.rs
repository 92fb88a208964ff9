//! What happened to the images and labels of a build, in words for people.

use std::collections::BTreeMap;

use datasets::quality::{Flaw, FlawedRow};
use datasets::reading::LocatedSource;
use datasets::schema::{FlawAction, name_of, stem_of};
use datasets::survey::{ImageRecord, SourceCounts, count_by_source};

use terminal::{megabytes, table, thousands};

/// Most unused labels that the terminal shows.
const LABELS_TOLD: usize = 20;

/// Most reasons and notes that the terminal shows.
const KINDS_TOLD: usize = 40;

/// For each source with flawed rows: how many have each flaw, and how many were kept, marked or dropped.
pub(crate) fn flaws(sources: &[LocatedSource], images: &[ImageRecord]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (index, located) in sources.iter().enumerate() {
        let of_source = || images.iter().filter(|image| image.source == index).flat_map(|image| &image.flawed);
        let has = |name: &str| {
            let flawed = |flawed: &&FlawedRow| flawed.flaws.iter().any(|flaw| flaw.name() == name);
            of_source().filter(flawed).count() as u64
        };
        let became = |name: &str| of_source().filter(|flawed| flawed.action.name() == name).count() as u64;
        lines.extend(flaw_sentence(has, became).map(|sentence| (located.source.name.clone(), sentence)));
    }
    lines
}

/// How many rows have each flaw, and what the build did with them; `None` if no row has one. `has` counts by the name of the flaw,
/// `became` by that of the action.
pub(crate) fn flaw_sentence(has: impl Fn(&str) -> u64, became: impl Fn(&str) -> u64) -> Option<String> {
    let counted = |name: &str, count: u64| (count > 0).then(|| format!("{} {name}", thousands(count)));
    let each: Vec<String> = Flaw::ALL.into_iter().filter_map(|flaw| counted(flaw.name(), has(flaw.name()))).collect();
    let actions = [(FlawAction::Keep, "kept"), (FlawAction::Flag, "flagged"), (FlawAction::Drop, "dropped")];
    let became: Vec<String> =
        actions.into_iter().filter_map(|(action, name)| counted(name, became(action.name()))).collect();
    (!each.is_empty()).then(|| format!("{} ({})", each.join(", "), became.join(", ")))
}

/// The summary: a table by source, then why images were not used. Only patches leave pixels out, so only then is there a column of them.
pub(crate) fn summary(sources: &[LocatedSource], images: &[ImageRecord], bytes: &[u64]) -> String {
    let mut total = (SourceCounts::default(), 0);
    let mut rows = Vec::new();
    for ((located, counts), &bytes) in sources.iter().zip(count_by_source(sources.len(), images)).zip(bytes) {
        rows.push(summary_row(&located.source.name, &located.source.licence, counts, bytes));
        total.0 += counts;
        total.1 += bytes;
    }
    rows.push(summary_row("all", "", total.0, total.1));
    let mut header = vec!["source", "licence", "images", "unused images", "rows", "unused labels", "size"];
    if total.0.pixels_unused > 0 {
        header.push("pixels in no patch");
    }
    rows.iter_mut().for_each(|row| row.truncate(header.len()));
    let mut text = table(&header, &header[2..], &rows);
    let flawed = flaws(sources, images);
    if !flawed.is_empty() {
        text.push_str(
            "\n\nrows that are blank (background only), out of focus or saturated (overexposed); `quality` in the description, or --blank, \
             --out-of-focus and --saturated, keep, flag or drop them:",
        );
        for (source, counts) in flawed {
            text.push_str(&format!("\n  {source}: {counts}"));
        }
    }
    text.push_str(&unused(sources, images));
    let mut notes = Counts::new();
    for image in images {
        for note in &image.notes {
            add(&mut notes, &sources[image.source].source.name, &image.image, note);
        }
    }
    text.push_str(&counted("images read with a note", &notes));
    text
}

/// Why images were not used, and how many for each reason; nothing if all were.
pub(crate) fn unused(sources: &[LocatedSource], images: &[ImageRecord]) -> String {
    let mut reasons = Counts::new();
    for image in images {
        if let Err(reason) = &image.used {
            add(&mut reasons, &sources[image.source].source.name, &image.image, reason);
        }
    }
    counted("images not used", &reasons)
}

/// How often the images of a source have the same remark, by source and by the remark without the image's name.
type Counts<'a> = BTreeMap<(&'a str, String), Remark>;

/// A remark on one or more images.
#[derive(Debug, Default)]
struct Remark {
    count: u64,
    /// The words for the first image.
    first: String,
    /// Whether the words for another image differ.
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

/// The remark `what` without the names of its image, so that the same remark on many images is counted as one.
fn without_name(what: &str, image: &str) -> String {
    let (name, stem) = (name_of(image), stem_of(image));
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
pub(crate) fn labels_unused(sources: &[LocatedSource], images: &[ImageRecord]) -> String {
    let all = images.iter().flat_map(|image| image.issues.iter().map(move |issue| (image, issue)));
    let told = all.clone().take(LABELS_TOLD).map(|(image, issue)| {
        format!("\n  {}: {}, {}: {}", sources[image.source].source.name, image.image, issue.at, issue.reason)
    });
    let told: String = told.collect();
    match all.count() {
        0 => String::new(),
        count if count > LABELS_TOLD => format!("\n\nlabels not used, the first of {}:{told}", thousands(count as u64)),
        _ => format!("\n\nlabels not used:{told}"),
    }
}

fn summary_row(name: &str, licence: &str, counts: SourceCounts, bytes: u64) -> Vec<String> {
    let share = if counts.pixels == 0 { 0.0 } else { 100.0 * counts.pixels_unused as f64 / counts.pixels as f64 };
    vec![
        name.to_owned(),
        licence.to_owned(),
        thousands(counts.used),
        thousands(counts.unused),
        thousands(counts.rows),
        thousands(counts.labels_unused),
        megabytes(bytes),
        format!("{share:.1} %"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_in_full_and_counted_as_one() {
        let mut counts = Counts::new();
        for image in ["x/1.png", "x/2.png"] {
            add(&mut counts, "a", image, &format!("label file {}.xml: no such file", stem_of(image)));
            add(&mut counts, "a", image, "no row in the table");
        }
        add(&mut counts, "a", "x/12.png", "masks m/12.npy: could belong to any of 2 images (x/12.png, y/12.png)");
        for image in ["p/1.png", "q/1.png"] {
            add(&mut counts, "b", image, "`1.png` could be any of 2 images (p/1.png, q/1.png)");
        }
        let said = counted("images not used", &counts);
        let expected = [
            "",
            "",
            "images not used:",
            "  a: 2 × label file 1.xml: no such file (the first of them)",
            "  a: 1 × masks m/12.npy: could belong to any of 2 images (x/12.png, y/12.png)",
            "  a: 2 × no row in the table",
            "  b: 2 × `1.png` could be any of 2 images (p/1.png, q/1.png)",
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
