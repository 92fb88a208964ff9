//! The data card of a set, `README.md` beside its shards: where the images come from, under which licences, how many, and
//! what they look like. Written from the plan (or, for a set made of another, from that one's report) in the form that the Hugging Face Hub shows.

use anyhow::{Context, Result};
use datasets::reading::LocatedSource;
use datasets::schema::Source;
use datasets::survey::SourceCounts;
use imaging::RgbImage;
use run_spec::ids::Product;
use shards::{EXAMPLES_KEY, ShardSet};

use imaging::contact_sheet::{self, Strip};

use crate::encode::Encoder;
use crate::plan::{PlannedRow, PlannedShard};
use terminal::{counted, thousands};

/// Examples of each source.
const EXAMPLES_EACH: usize = 8;

/// What a card says.
#[derive(Debug)]
pub(crate) struct Card<'a> {
    /// Whether the rows are patches or cells.
    pub(crate) product: Product,
    /// A line for each source that gives rows.
    pub(crate) lines: Vec<CardLine<'a>>,
    /// Groups of the set.
    pub(crate) groups: u64,
    /// Sources with flawed rows, and how many have which flaw.
    pub(crate) flaws: Vec<(String, String)>,
    /// What was found of copies, in a sentence.
    pub(crate) copies: &'a str,
    /// Where its shards lie.
    pub(crate) files: DataFiles,
    /// What was left out of the set that this one was made of, as a sentence; empty for a set that was built.
    pub(crate) left_out: String,
}

/// Where other readers find the shards of a set.
#[derive(Debug)]
pub(crate) struct DataFiles {
    /// Names all shards and nothing else.
    glob: String,
    /// The splits, each with what names its shards; empty in a set without splits.
    splits: Vec<(String, String)>,
}

impl DataFiles {
    /// Where the shards of a set lie.
    pub(crate) fn of(manifest: &shards::Manifest) -> Self {
        let split = |split: &str| (split.to_owned(), manifest.split_glob(split));
        Self { glob: manifest.shard_glob(), splits: manifest.shard_splits().into_iter().map(split).collect() }
    }

    /// What stands behind `data_files:` in the head of a card.
    fn yaml(&self) -> String {
        if self.splits.is_empty() {
            return format!(" {}", self.glob);
        }
        self.splits.iter().map(|(split, glob)| format!("\n  - split: {split}\n    path: {glob}")).collect()
    }
}

/// What a card says of a source.
#[derive(Debug, Default)]
pub(crate) struct CardLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: &'a str,
    pub(crate) home: &'a str,
    pub(crate) citation: &'a str,
    pub(crate) licence: &'a str,
    pub(crate) modality: &'a str,
    pub(crate) role: &'a str,
    /// Images that gave rows.
    pub(crate) used: u64,
    /// Images that gave none.
    pub(crate) unused: u64,
    pub(crate) rows: u64,
}

impl<'a> CardLine<'a> {
    /// The line of a described source.
    pub(crate) fn of(source: &'a Source, counts: SourceCounts) -> Self {
        let Source { name, title, home, citation, licence, modality, role, .. } = source;
        let SourceCounts { used, unused, rows, .. } = counts;
        Self { name, title, home, citation, licence, modality, role: role.name(), used, unused, rows }
    }

    fn cells(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            plain(self.name),
            thousands(self.used),
            thousands(self.rows),
            thousands(self.unused),
            plain(self.licence),
            plain(self.modality),
            self.role,
        )
    }
}

impl Card<'_> {
    /// The text of the card.
    pub(crate) fn text(&self) -> String {
        let mut text = self.head();
        text.push_str(
            "| source | images | rows | unused images | licence | modality | role |\n|---|--:|--:|--:|---|---|---|\n",
        );
        self.lines.iter().for_each(|line| text.push_str(&line.cells()));
        if !self.flaws.is_empty() {
            text.push_str(
                "\nRows that are blank (background only), out of focus or saturated (overexposed), listed in `report/quality-*.csv`:\n\n",
            );
            for (source, counts) in &self.flaws {
                text.push_str(&format!("- {}: {counts}\n", plain(source)));
            }
        }
        text.push_str(&format!(
            "\n`report/` lists what happened to every image and label; its file names end in the name of the set's content.\n\n{}.\n\n## Sources\n\nEach source has its own licence, which applies to \
            every row of it that you pass on.\n\n",
            self.copies.replacen("copies:", "Copies:", 1)
        ));
        // Before the heading of the sources.
        if let (false, Some(place)) = (self.left_out.is_empty(), text.find("\n\n## Sources")) {
            text.insert_str(place, &format!(" {}", self.left_out));
        }
        for CardLine { name, title, home, citation, .. } in &self.lines {
            let [title, home, citation] = [title, home, citation].map(|text| plain(text));
            text.push_str(&format!("- **{}**: {title}. Home: {home}. Citation: {citation}\n", plain(name)));
        }
        text.push_str(&self.reading());
        text
    }

    /// How the set is read with common tools.
    fn reading(&self) -> String {
        let glob = &self.files.glob;
        format!(
            "\n## Reading it\n\n`pip install duckdb datasets pandas pyarrow`; then, in this folder:\n\n```python\nimport os, duckdb, datasets, pandas, glob\n\nduckdb.sql(\"select source, label, count(*) \
             from '{glob}' group by all\").show()\nrows = pandas.concat(pandas.read_parquet(shard, columns=[\"source\", \"label\", \"group\"]) for shard in \
             glob.glob(\"{glob}\"))\nwhole = datasets.load_dataset(os.getcwd())  # pictures decode; streaming=True reads as it \
             goes\nwhole[\"train\"].with_format(\"torch\", columns=[\"x\", \"y\"])  # for a PyTorch DataLoader\n```\n\nSplit by `group`, not by \
             row: rows of one group show the same patient, slide or field.\n"
        )
    }

    /// What the Hub reads, the title and the first paragraph.
    fn head(&self) -> String {
        let product = self.product;
        let rows = thousands(self.lines.iter().map(|line| line.rows).sum());
        let what = match product {
            Product::Patches => "fields of view of blood smears, cut into squares",
            Product::Cells => "single cells of blood smears",
        };
        format!(
            "---\nlicense: {}\ntask_categories:\n- image-classification\ntags:\n- medical\n- hematology\nconfigs:\n- config_name: default\n  \
             data_files:{}\n---\n\n# Blood smears: {rows} {product}\n\n{rows} {what}, from {}, in {} (column `group`); keep each group on one side of a split. Each row has its source, file, place and licence.\n\n![examples]({EXAMPLES_KEY})\n\n",
            licence(&self.lines.iter().map(|line| line.licence).collect::<Vec<_>>()),
            self.files.yaml(),
            counted(self.lines.len(), "source"),
            counted(self.groups, "group"),
        )
    }
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
    for (index, LocatedSource { source, .. }) in encoder.sources.iter().enumerate() {
        let of_source = |row: &&PlannedRow| encoder.images[row.image].source == index;
        let rows: Vec<&PlannedRow> = planned.iter().flat_map(|shard| &shard.rows).filter(of_source).collect();
        let chosen: Vec<PlannedRow> = evenly(&rows).map(|&row| row.clone()).collect();
        let mut tiles = Vec::new();
        for row in encoder.rows(&chosen)? {
            let decoded = encoder.codec.decode(&row.bytes).context("decode an example")?;
            tiles.push((decoded, row.label.unwrap_or_default()));
        }
        strips.extend(strip(&source.name, &source.licence, rows.len(), tiles));
    }
    png(&strips)
}

/// The picture of a set that is written already, as [`examples`] draws it; `sources` by name with their licences.
///
/// # Errors
/// A row that cannot be read.
pub(crate) fn examples_of(set: &ShardSet, sources: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut strips = Vec::new();
    for (source, licence) in sources {
        let rows: Vec<u64> =
            (0..).zip(set.metas()).filter(|(_, row)| &*row.source == *source).map(|(row, _)| row).collect();
        let mut tiles = Vec::new();
        for &row in evenly(&rows) {
            let label = set.meta(row)?.label.map(|label| label.to_string()).unwrap_or_default();
            tiles.push((set.rgb(row)?, label));
        }
        strips.extend(strip(source, licence, rows.len(), tiles));
    }
    png(&strips)
}

/// Some of the rows of a source, at even distances.
fn evenly<T>(rows: &[T]) -> impl Iterator<Item = &T> {
    let shown = rows.len().min(EXAMPLES_EACH);
    (0..shown).map(move |number| &rows[number * rows.len() / shown])
}

fn strip(source: &str, licence: &str, rows: usize, tiles: Vec<(RgbImage, String)>) -> Option<Strip> {
    let title = format!("{source}: {}, {licence}", counted(rows, "row"));
    (!tiles.is_empty()).then_some(Strip { title, tiles })
}

fn png(strips: &[Strip]) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    contact_sheet::strips(strips, EXAMPLES_EACH as u32)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .context("encode the picture of examples")?;
    Ok(bytes.into_inner())
}
