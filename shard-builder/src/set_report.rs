//! The report of a set, read back: what a set made of another one says of its images, and what `split` says of joined groups.
//!
//! A report's tables are CSV with a column `source` (or `source_a` and `source_b`, for pairs), and one JSON of the configuration. Sets by
//! earlier versions may have none, or others: what is not there is not said.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use datasets::survey::CopySearch;
use run_spec::ids::Digest;
use serde_json::Value;
use shards::{ShardSet, report_key};
use tracing::warn;

use crate::card::CardLine;
use crate::copy_counts::CopyCounts;
use crate::summary::flaw_sentence;

/// Value of `near_copies` in the configuration of a set in which they were not searched.
pub(crate) const IGNORED: &str = "ignore";

/// A row of a table, by column.
pub(crate) type ReportRow = BTreeMap<String, String>;

/// The tables of a set's report.
#[derive(Debug, Default)]
pub(crate) struct SetReport {
    /// Bytes of each CSV table, by its name.
    tables: BTreeMap<String, Vec<u8>>,
    /// The descriptions of the sources.
    sources: Vec<Value>,
    /// Whether near-copies were not searched.
    exact_only: bool,
}

impl SetReport {
    /// Reads the report of a set.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub(crate) fn read(set: &ShardSet) -> Result<Self> {
        let store = set.store();
        let mut report = Self::default();
        for key in store.list("report").with_context(|| format!("list the report of {}", store.uri()))? {
            let Some((table, name, ending)) = parted(&key) else { continue };
            if set.manifest().content_name().is_some_and(|own| own != name) {
                continue;
            }
            let bytes = store.get(&key).with_context(|| format!("cannot read {}", store.uri_of(&key)))?.to_vec();
            match (table, ending) {
                ("config", "json") => {
                    let config: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                    report.exact_only = config["near_copies"] == IGNORED;
                    report.sources = config["sources"].as_array().cloned().unwrap_or_default();
                }
                (_, "csv") => {
                    let earlier = report.tables.insert(table.to_owned(), bytes);
                    if earlier.is_some() {
                        warn!("{} has several reports; that of the last name is read", store.uri());
                    }
                }
                _ => {}
            }
        }
        Ok(report)
    }

    /// The report of the same set without some images, by source and path, and with no other sources than `sources`.
    ///
    /// # Errors
    /// A table that is not CSV.
    pub(crate) fn without(mut self, goes: &dyn Fn(&str, &str) -> bool, sources: &BTreeSet<&str>) -> Result<Self> {
        for (table, bytes) in &mut self.tables {
            *bytes = filtered(bytes, goes).with_context(|| format!("cannot read the table {table} of the report"))?;
        }
        self.sources.retain(|described| described["name"].as_str().is_none_or(|name| sources.contains(name)));
        Ok(self)
    }

    /// The tables under their keys in a set of `content`.
    pub(crate) fn files(&self, content: &Digest) -> impl Iterator<Item = (String, &[u8])> {
        self.tables.iter().map(|(table, bytes)| (report_key(content, table, "csv"), bytes.as_slice()))
    }

    /// The descriptions of the sources, as the set's configuration has them.
    pub(crate) fn sources(&self) -> &[Value] {
        &self.sources
    }

    /// How copies were searched when the set was built.
    pub(crate) fn copy_search(&self) -> CopySearch {
        if self.exact_only { CopySearch::Exact } else { CopySearch::Near }
    }

    /// The rows of a table; none where there is no such table.
    pub(crate) fn records(&self, table: &str) -> Vec<ReportRow> {
        let Some(bytes) = self.tables.get(table) else { return Vec::new() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
        reader.deserialize().filter_map(std::result::Result::ok).collect()
    }

    /// The lines of a card: of each source of the set what its description and the report say.
    pub(crate) fn card_lines<'a>(&'a self, set: &'a shards::Manifest) -> Vec<CardLine<'a>> {
        let images = self.records("images");
        let count = |name: &str, status: &str| {
            images.iter().filter(|row| is(row, "source", name) && is(row, "status", status)).count() as u64
        };
        let line = |source: &'a shards::SourceEntry| {
            let described = self.sources.iter().find(|described| described["name"] == source.name.as_str());
            let said = |key: &str| described.and_then(|described| described[key].as_str());
            let unknown = "not known";
            CardLine {
                name: &source.name,
                title: said("title").unwrap_or(&source.name),
                home: said("home").unwrap_or(unknown),
                citation: said("citation").unwrap_or(unknown),
                licence: source.licences.first().map_or(unknown, String::as_str),
                modality: said("modality").unwrap_or(unknown),
                role: said("role").unwrap_or("training"),
                used: source.images,
                unused: count(&source.name, "unused"),
                rows: source.rows,
            }
        };
        set.sources.iter().map(line).collect()
    }

    /// Sources with flawed rows, and how many have which flaw.
    pub(crate) fn flaws(&self, names: &[&str]) -> Vec<(String, String)> {
        let flawed = self.records("quality");
        let of_source = |name: &str| -> Option<(String, String)> {
            let own: Vec<&ReportRow> = flawed.iter().filter(|row| is(row, "source", name)).collect();
            let has = |flaw: &str| {
                let flaws =
                    |row: &&&ReportRow| row.get("flaws").is_some_and(|flaws| flaws.split("; ").any(|own| own == flaw));
                own.iter().filter(flaws).count() as u64
            };
            let became = |action: &str| own.iter().filter(|row| is(row, "action", action)).count() as u64;
            flaw_sentence(has, became).map(|sentence| (name.to_owned(), sentence))
        };
        names.iter().filter_map(|name| of_source(name)).collect()
    }

    /// What was found of copies, in a sentence.
    pub(crate) fn copies(&self) -> String {
        if !self.tables.contains_key("copies") {
            return "copies: unknown, because the set has no report".to_owned();
        }
        let mut counts = CopyCounts::of(self.copy_search());
        for row in self.records("copies") {
            let text = |column: &str| row.get(column).map_or("", String::as_str);
            counts.add(
                text("how"),
                text("source_a") != text("source_b"),
                text("role_a") != text("role_b"),
                text("group_a") != text("group_b"),
            );
        }
        counts.to_string()
    }
}

fn is(row: &ReportRow, column: &str, value: &str) -> bool {
    row.get(column).is_some_and(|own| own == value)
}

/// Table, name of the set's content and ending of the key of a report: `report/images-0123456789ab.csv`.
fn parted(key: &str) -> Option<(&str, &str, &str)> {
    let (stem, ending) = key.strip_prefix("report/")?.rsplit_once('.')?;
    let (table, name) = stem.rsplit_once('-')?;
    Some((table, name, ending))
}

/// A table without the rows of images that go; a row of a pair goes with either.
fn filtered(bytes: &[u8], goes: &dyn Fn(&str, &str) -> bool) -> Result<Vec<u8>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers()?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let named = |[source, image]: [&str; 2]| Some((place(source)?, place(image)));
    let columns: Vec<(usize, Option<usize>)> =
        [["source", "image"], ["source_a", "image_a"], ["source_b", "image_b"]].into_iter().filter_map(named).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for record in reader.records() {
        let record = record?;
        let is_gone =
            |&(source, image): &(usize, Option<usize>)| goes(&record[source], image.map_or("", |at| &record[at]));
        if !columns.iter().any(is_gone) {
            writer.write_record(&record)?;
        }
    }
    writer.into_inner().context("cannot write a table of the report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_loses_the_rows_of_a_source_or_of_images_and_nothing_else() {
        let table = b"source,at,reason\na,1,\"x, y\"\nb,2,z\n";
        let of_b = |source: &str, _: &str| source == "b";
        assert_eq!(filtered(table, &of_b).expect("CSV"), b"source,at,reason\na,1,\"x, y\"\n");
        let pairs = b"how,source_a,source_b\nnear,a,b\nnear,a,c\n";
        assert_eq!(filtered(pairs, &of_b).expect("CSV"), b"how,source_a,source_b\nnear,a,c\n");
        let pairs = b"source_a,image_a,source_b,image_b\na,1,b,1\na,2,b,2\nb,1,a,1\n";
        let one = |source: &str, image: &str| (source, image) == ("b", "1");
        assert_eq!(filtered(pairs, &one).expect("CSV"), b"source_a,image_a,source_b,image_b\na,2,b,2\n");
        assert_eq!(parted("report/cells-0123456789ab.csv"), Some(("cells", "0123456789ab", "csv")));
        assert_eq!(parted("report/notes.txt"), None);
    }
}
