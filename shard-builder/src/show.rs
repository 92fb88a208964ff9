//! `show`: what a shard set holds, as tables and as a contact sheet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use run_spec::ids::Product;
use run_spec::seed::stream;
use shards::{RowMeta, ShardSet};
use store::Store;

use imaging::contact_sheet::{self, Strip};

use crate::browse;
use crate::cli::ShowArgs;
use terminal::{counted, megabytes, table, thousands};

/// What the caption of a row without a label is.
const UNLABELLED: &str = "\nPictures without a label have the place of their square in its image, x,y in pixels. It is negative if the square reaches over \
                          the left or upper edge of the image; what lies outside is filled as `cells.pad` says, by default with the mirrored image";
/// Thumbnails in a line of the sheet.
const COLUMNS: u32 = 8;

/// Rows of one source, by label.
type ByLabel = BTreeMap<String, Vec<u64>>;

/// Describes a set, draws its contact sheet if asked to, and returns what to print.
///
/// # Errors
/// A set that cannot be read, a sheet that cannot be written.
pub(crate) fn show(args: &ShowArgs) -> Result<String> {
    let store = Store::open(&args.uri)?;
    let set = ShardSet::open(&store).with_context(|| format!("cannot open the shard set {}", args.uri))?;
    let mut sources: BTreeMap<String, ByLabel> = BTreeMap::new();
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (row, meta) in (0_u64..).zip(set.metas()) {
        let by_label = sources.entry(meta.source.to_string()).or_default();
        by_label.entry(meta.label.as_deref().unwrap_or_default().to_owned()).or_default().push(row);
        groups.entry(meta.source.to_string()).or_default().insert(meta.group.to_string());
    }
    let mut text = tables(&set, &sources, &groups)?;
    text.push_str(&beside_published(&set, &groups));
    if let Some(file) = &args.contact_sheet {
        let strips: Vec<Strip> = sources
            .iter()
            .map(|(source, by_label)| strip(&set, source, by_label, args.samples))
            .collect::<Result<_>>()?;
        make_folder_of(file)?;
        contact_sheet::strips(&strips, COLUMNS.min(args.samples))
            .save_with_format(file, image::ImageFormat::Png)
            .with_context(|| format!("cannot write the contact sheet {}", file.display()))?;
        text.push_str(&format!("\ncontact sheet: {}", file.display()));
        if set.metas().any(|row| row.label.is_none()) {
            text.push_str(UNLABELLED);
        }
    }
    if let Some(file) = &args.html {
        make_folder_of(file)?;
        std::fs::write(file, browse::page(&set, args.html_rows)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        text.push_str(&format!("\npage: {}", file.display()));
    }
    Ok(text)
}

/// Makes the folder of a file that is about to be written, as stores do.
fn make_folder_of(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
        }
        None => Ok(()),
    }
}

/// What is on record of the published training set: sources, images, individuals, patches of 224 px, segmented cells.
const PUBLISHED: [(&str, &str); 5] = [
    ("sources", "18"),
    ("images", "56,712"),
    ("individuals (here: groups)", "420+"),
    ("patches", "1,250,781"),
    ("cells", "3,076,269"),
];

/// The size of the set beside that of the published training set. Individuals are not known: groups that its sources name are an
/// upper bound, and those of a single image say nothing.
fn beside_published(set: &ShardSet, groups: &BTreeMap<String, BTreeSet<String>>) -> String {
    let manifest = set.manifest();
    let named: usize = groups.values().map(BTreeSet::len).sum();
    let count = |product: Product| if manifest.product == product { thousands(manifest.rows) } else { "-".to_owned() };
    let own = [
        thousands(manifest.sources.len() as u64),
        thousands(manifest.sources.iter().map(|source| source.images).sum()),
        thousands(named as u64),
        count(Product::Patches),
        count(Product::Cells),
    ];
    let rows: Vec<Vec<String>> = PUBLISHED
        .iter()
        .zip(own)
        .map(|((what, there), own)| vec![(*what).to_owned(), own, (*there).to_owned()])
        .collect();
    format!(
        "\n\nfor comparison, the set on which the published RedDino was trained:\n{}",
        table(&["size", "this set", "RedDino's"], &["this set", "RedDino's"], &rows)
    )
}

fn tables(
    set: &ShardSet,
    sources: &BTreeMap<String, ByLabel>,
    groups: &BTreeMap<String, BTreeSet<String>>,
) -> Result<String> {
    let manifest = set.manifest();
    let rows: Vec<Vec<String>> = manifest
        .sources
        .iter()
        .map(|source| {
            let groups = groups.get(&source.name).map_or(0, BTreeSet::len) as u64;
            vec![
                source.name.clone(),
                source.licences.join(", "),
                thousands(source.images),
                thousands(groups),
                thousands(source.rows),
                megabytes(source.bytes),
            ]
        })
        .collect();
    let numbers = ["images", "groups", "rows", "size"];
    let mut text = table(&["source", "licence", "images", "groups", "rows", "size"], &numbers, &rows);
    for (source, by_label) in sources {
        let labels: Vec<String> = by_label
            .iter()
            .map(|(label, rows)| {
                format!("{} {}", if label.is_empty() { "no label" } else { label }, thousands(rows.len() as u64))
            })
            .collect();
        text.push_str(&format!("\n{source}: {}", labels.join(", ")));
    }
    let splits = set.split_names()?;
    text.push_str(&format!(
        "\n\n{} {} of {} in {} ({}), {}; splits: {}\nset {}, built by {}, configuration {}",
        thousands(manifest.rows),
        manifest.product,
        if manifest.patch_px == 0 { "several sizes".to_owned() } else { format!("{} px", manifest.patch_px) },
        counted(manifest.shards.len(), "shard"),
        megabytes(manifest.bytes),
        manifest.codec,
        if splits.is_empty() { "none".to_owned() } else { splits.join(", ") },
        set.digest().short(),
        manifest.builder,
        manifest.config.short(),
    ));
    Ok(text)
}

/// A sample of a source: one row of each label in turn, drawn by a fixed seed.
fn strip(set: &ShardSet, source: &str, by_label: &ByLabel, samples: u32) -> Result<Strip> {
    let mut piles: Vec<Vec<u64>> = by_label.values().cloned().collect();
    for (index, pile) in piles.iter_mut().enumerate() {
        stream(0, "contact-sheet", &[index as u64]).shuffle(pile);
    }
    let mut chosen = Vec::new();
    while chosen.len() < samples as usize && piles.iter().any(|pile| !pile.is_empty()) {
        for pile in &mut piles {
            chosen.extend(pile.pop().filter(|_| chosen.len() < samples as usize));
        }
    }
    let mut tiles = Vec::new();
    for row in chosen {
        let meta = set.meta(row)?;
        tiles.push((set.rgb(row)?, caption(&meta)));
    }
    let rows: usize = by_label.values().map(Vec::len).sum();
    let licence = set.manifest().sources.iter().find(|entry| entry.name == source);
    let licence = licence.map_or_else(String::new, |entry| entry.licences.join(", "));
    Ok(Strip { title: format!("{source}  {}  {licence}", counted(rows, "row")), tiles })
}

fn caption(meta: &RowMeta) -> String {
    match &meta.label {
        Some(label) => label.to_string(),
        None => format!("{},{}", meta.x, meta.y),
    }
}
