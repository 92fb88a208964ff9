//! The data card of a set, `README.md` beside its shards: where the images come from, under which licences, how many, and
//! what they look like. Written from the plan alone, in the form that the Hugging Face Hub shows.

use anyhow::{Context, Result, anyhow};
use image::RgbImage;
use run_spec::ids::Product;

use crate::contact_sheet::{Strip, draw};
use crate::encode::Encoder;
use crate::output::thousands;
use crate::plan::{PlannedShard, Row};
use crate::report::{Tally, flaws, tallies};
use crate::source::describe::Source;
use crate::survey::{Located, Picture};

/// Key of the picture of examples.
pub(crate) const EXAMPLES: &str = "examples.png";
/// Examples of each source.
const EXAMPLES_EACH: usize = 8;

/// The text of the card. `copies` says in a sentence what was found of copies.
pub(crate) fn text(
    product: Product,
    sources: &[Located],
    pictures: &[Picture],
    groups: &[String],
    copies: &str,
) -> String {
    let tallies = tallies(sources, pictures);
    let used = || sources.iter().zip(&tallies).filter(|(_, tally)| tally.rows > 0);
    let rows: u64 = tallies.iter().map(|tally| tally.rows).sum();
    let mut names: Vec<&str> = groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let what = match product {
        Product::Patches => "fields of view of blood smears, cut into squares",
        Product::Cells => "single cells of blood smears",
    };
    let mut text = format!(
        "---\nlicense: {}\ntask_categories:\n- image-classification\ntags:\n- medical\n- hematology\nconfigs:\n- config_name: default\n  \
         data_files: shards/*.parquet\n---\n\n# Blood smears: {} {product}\n\n{} {what}, from {} public sources, in {} groups that no split may \
         part (column `group`). Each row names its source, file, place and licence.\n\n![examples]({EXAMPLES})\n\n",
        licence(&used().map(|(located, _)| located.source.licence.as_str()).collect::<Vec<_>>()),
        thousands(rows),
        thousands(rows),
        used().count(),
        thousands(names.len() as u64),
    );
    text.push_str(
        "| source | images | rows | unused images | licence | modality | for |\n|---|--:|--:|--:|---|---|---|\n",
    );
    for (located, tally) in used() {
        text.push_str(&line(&located.source, tally));
    }
    let flawed = flaws(sources, pictures);
    if !flawed.is_empty() {
        text.push_str(
            "\nRows that show nothing but field, out of focus or mostly white (listed in `report/quality-*.csv`):\n\n",
        );
        for (source, counts) in flawed {
            text.push_str(&format!("- {}: {counts}\n", plain(&source)));
        }
    }
    text.push_str(&format!(
        "\nWhat became of every image and label is in `report/`. {copies}.\n\n## Sources\n\nLicences hold for each source alone: who passes a row on \
         passes its licence on.\n\n"
    ));
    for (Located { source, .. }, _) in used() {
        let Source { name, title, home, citation, .. } = source;
        text.push_str(&format!("- **{}**: {}. {}. {}\n", plain(name), plain(title), plain(home), plain(citation)));
    }
    text
}

fn line(source: &Source, tally: &Tally) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        plain(&source.name),
        thousands(tally.used),
        thousands(tally.rows),
        thousands(tally.unused),
        plain(&source.licence),
        plain(&source.modality),
        source.role.name(),
    )
}

/// The Hub's name of the one licence that all sources have; `other` where they differ or it has no name there.
fn licence(all: &[&str]) -> &'static str {
    let same = all.windows(2).all(|pair| pair[0] == pair[1]);
    match all.first() {
        Some(&"MIT") if same => "mit",
        Some(&"CC BY 4.0") if same => "cc-by-4.0",
        Some(&"CC0 1.0") if same => "cc0-1.0",
        Some(&"Apache-2.0") if same => "apache-2.0",
        Some(&"GPL-3.0") if same => "gpl-3.0",
        _ => "other",
    }
}

/// Text of a description on one line, with nothing that Markdown or HTML would take for its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !plain.is_empty() {
            plain.push(' ');
        }
        for letter in word.chars() {
            match letter {
                '<' => plain.push_str("&lt;"),
                '|' | '*' | '_' | '`' | '[' | ']' | '\\' => plain.extend(['\\', letter]),
                _ => plain.push(letter),
            }
        }
    }
    plain.trim_end_matches('.').to_owned()
}

/// Rows of each source at even distances, drawn side by side, as PNG.
///
/// # Errors
/// An image that is no longer what the first pass saw.
pub(crate) fn examples(planned: &[PlannedShard], encoder: &Encoder<'_>) -> Result<Vec<u8>> {
    let mut strips = Vec::new();
    for (index, located) in encoder.sources.iter().enumerate() {
        let of_source = |row: &&Row| encoder.pictures[row.picture].source == index;
        let rows: Vec<&Row> = planned.iter().flat_map(|shard| &shard.rows).filter(of_source).collect();
        let shown = rows.len().min(EXAMPLES_EACH);
        let chosen: Vec<Row> = (0..shown).map(|number| rows[number * rows.len() / shown].clone()).collect();
        let mut tiles = Vec::new();
        for row in encoder.rows(&chosen)? {
            let decoded = encoder.codec.decode(&row.bytes).context("decode an example")?;
            let tile = RgbImage::from_raw(decoded.width, decoded.height, decoded.data)
                .ok_or_else(|| anyhow!("an example of {} has the wrong size", row.source))?;
            tiles.push((tile, row.label.unwrap_or_default()));
        }
        if !tiles.is_empty() {
            let title =
                format!("{}: {} rows, {}", located.source.name, thousands(rows.len() as u64), located.source.licence);
            strips.push(Strip { title, tiles });
        }
    }
    let mut bytes = std::io::Cursor::new(Vec::new());
    draw(&strips, EXAMPLES_EACH as u32)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .context("encode the picture of examples")?;
    Ok(bytes.into_inner())
}
