//! A balanced set: how many rows of which sources and labels are drawn.
//!
//! The published training set has white-cell sets added against the imbalance of red and white cells; their shares are not on record. So a
//! set says here which rows are a pile (by source, by label, or both) and how many of them it wants: at most a number, or a share of
//! all rows of the set. Rows of no pile are all kept. What is drawn depends on the seed and on the rows alone.

use std::collections::BTreeMap;

use run_spec::ids::Digest;
use run_spec::layer::ConfigError;
use run_spec::typed;
use run_spec::yaml::Yaml;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cutting::Cut;
use crate::error::DatasetError;
use crate::reading::LocatedSource;
use crate::schema::RuleError;
use crate::survey::ImageRecord;

/// Which rows are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Seed of the draw.
    #[serde(default)]
    pub seed: u64,
    /// The piles; a row belongs to the first that names it.
    pub piles: Vec<Pile>,
}

/// Rows of which some are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pile {
    /// Name for the report.
    pub name: String,
    /// Sources whose rows are in it; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Labels whose rows are in it; all, and rows without a label, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Most rows that are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
    /// Share of all rows of the set that they make, as far as there are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// What was drawn of a pile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnPile {
    /// Name of the pile in the sampling file.
    pub name: String,
    /// Rows that the pile has.
    pub there: u64,
    /// Rows that were wanted.
    pub wanted: u64,
    /// Rows that were drawn.
    pub drawn: u64,
    /// Rows that there are, and those that were drawn, by source and label.
    pub by_label: BTreeMap<(String, String), (u64, u64)>,
}

impl Sampling {
    /// The JSON schema (draft 2020-12) of a sampling.
    pub fn json_schema() -> Value {
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Self>().to_value()
    }

    /// Reads a sampling. `what` names the file in messages.
    ///
    /// # Errors
    /// Text that is not YAML, an unknown key, a pile that cannot be drawn; the message names the line.
    pub fn parse(text: &(impl AsRef<[u8]> + ?Sized), what: &str) -> Result<Self, ConfigError> {
        let Yaml { value, places } = Yaml::read(text.as_ref(), what)?;
        let sampling: Self = typed::read(&value, what).map_err(|error| error.at(&places))?;
        sampling.check().map_err(|error| error.into_config().at(&places))?;
        Ok(sampling)
    }

    fn check(&self) -> Result<(), RuleError> {
        for (index, pile) in self.piles.iter().enumerate() {
            let wrong = |key: &str, why: &str| Err(RuleError::new(format!("piles[{index}].{key}"), why));
            match pile {
                Pile { sources, labels, .. } if sources.is_empty() && labels.is_empty() => {
                    return wrong("sources", "names no rows: write `sources`, `labels` or both");
                }
                Pile { most: Some(_), share: Some(_), .. } => return wrong("share", "has `most` too; keep one"),
                Pile { most: None, share: None, .. } => {
                    return wrong("share", "no size: write `share` (of all rows) or `most` (rows)");
                }
                Pile { share: Some(share), .. } if !(*share > 0.0 && *share < 1.0) => {
                    return wrong("share", "is not between 0 and 1");
                }
                _ => {}
            }
        }
        let shares: f64 = self.piles.iter().filter_map(|pile| pile.share).sum();
        if shares >= 1.0 {
            return Err(RuleError::new(
                "piles",
                format!("their shares add up to {shares}; the other rows need a part"),
            ));
        }
        Ok(())
    }

    /// Checks that every source that a pile names is there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_sources(&self, sources: &[LocatedSource]) -> Result<(), DatasetError> {
        let described: Vec<&str> = sources.iter().map(|located| located.source.name.as_str()).collect();
        let mut named = self.piles.iter().flat_map(|pile| &pile.sources);
        match named.find(|name| !described.contains(&name.as_str())) {
            Some(name) => Err(DatasetError::NotDescribed {
                name: name.clone(),
                described: described.into_iter().map(str::to_owned).collect(),
            }),
            None => Ok(()),
        }
    }

    /// Takes out the rows that are not drawn, and tells what was drawn of each pile.
    pub fn draw(&self, sources: &[LocatedSource], images: &mut [ImageRecord]) -> Vec<DrawnPile> {
        let mut rows: Vec<Vec<RowKey>> = vec![Vec::new(); self.piles.len()];
        let mut others = 0_u64;
        for (image, record) in images.iter().enumerate() {
            let source = &sources[record.source].source.name;
            for (cut, at) in record.cuts().iter().enumerate() {
                match self.pile_of(source, at.label.as_deref()) {
                    Some(pile) => rows[pile].push((self.lot(source, &record.image, at), image, cut)),
                    None => others += 1,
                }
            }
        }
        let wanted = self.wanted(&rows.iter().map(|rows| rows.len() as u64).collect::<Vec<_>>(), others);
        let mut stays: Vec<Vec<bool>> = images.iter().map(|image| vec![true; image.cuts().len()]).collect();
        let mut drawn = Vec::new();
        for ((pile, rows), wanted) in self.piles.iter().zip(&mut rows).zip(wanted) {
            rows.sort_unstable();
            let taken = rows.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
            let mut by_label: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
            for (place, &(_, image, cut)) in rows.iter().enumerate() {
                let record = &images[image];
                let label = record.cuts()[cut].label.clone().unwrap_or_default();
                let counts = by_label.entry((sources[record.source].source.name.clone(), label)).or_default();
                counts.0 += 1;
                counts.1 += u64::from(place < taken);
                stays[image][cut] = place < taken;
            }
            let (name, there, drawn_rows) = (pile.name.clone(), rows.len() as u64, taken as u64);
            drawn.push(DrawnPile { name, there, wanted, drawn: drawn_rows, by_label });
        }
        images.iter_mut().zip(stays).for_each(|(image, stays)| image.keep_rows(&stays));
        drawn
    }

    /// The pile of a row, if it is in one.
    fn pile_of(&self, source: &str, label: Option<&str>) -> Option<usize> {
        self.piles.iter().position(|pile| {
            let of_source = pile.sources.is_empty() || pile.sources.iter().any(|own| own == source);
            let of_label =
                pile.labels.is_empty() || label.is_some_and(|label| pile.labels.iter().any(|own| own == label));
            of_source && of_label
        })
    }

    /// By what a row is drawn: the lowest lots win.
    fn lot(&self, source: &str, image: &str, cut: &Cut) -> Digest {
        let Cut { x, y, w, h, .. } = cut;
        Digest::of(format!("{}\0{source}\0{image}\0{x}\0{y}\0{w}\0{h}", self.seed).as_bytes())
    }

    /// How many rows of each pile are wanted, where there are so many of each and `others` of none.
    fn wanted(&self, there: &[u64], others: u64) -> Vec<u64> {
        let counted = self.piles.iter().zip(there).filter_map(|(pile, there)| pile.most.map(|most| most.min(*there)));
        let rest = others + counted.sum::<u64>();
        let shares: f64 = self.piles.iter().filter_map(|pile| pile.share).sum();
        let all = rest as f64 / (1.0 - shares);
        let of_pile =
            |pile: &Pile| pile.share.map_or(pile.most.unwrap_or_default(), |share| (share * all).round() as u64);
        self.piles.iter().map(of_pile).collect()
    }
}

/// Lot, image and cut of a row.
type RowKey = (Digest, usize, usize);

/// `sampling.csv` of a report: what was drawn of each pile, by source and label.
///
/// # Errors
/// None that text in memory gives.
pub fn sampling_table(drawn: &[DrawnPile]) -> Result<Vec<u8>, DatasetError> {
    let failed = |error| DatasetError::Report { table: "sampling", error };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["pile", "source", "label", "rows", "drawn"]).map_err(failed)?;
    for pile in drawn {
        for ((source, label), (rows, drawn)) in &pile.by_label {
            let (rows, drawn) = (rows.to_string(), drawn.to_string());
            writer.write_record([pile.name.as_str(), source, label, &rows, &drawn]).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(|error| failed(error.into_error().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(yaml: &str) -> Result<Sampling, ConfigError> {
        Sampling::parse(yaml, "s.yaml")
    }

    #[test]
    fn a_pile_has_rows_and_one_size() {
        assert!(sampling("piles: [{name: white, labels: [wbc], share: 0.2}]").is_ok());
        for (yaml, words) in [
            ("piles: [{name: a, share: 0.2}]", "names no rows"),
            ("piles: [{name: a, labels: [x]}]", "no size"),
            ("piles: [{name: a, labels: [x], share: 0.2, most: 3}]", "keep one"),
            ("piles: [{name: a, labels: [x], share: 1}]", "between 0 and 1"),
            ("piles: [{name: a, labels: [x], share: 0.6}, {name: b, labels: [y], share: 0.4}]", "add up"),
            ("piles: [{name: a, label: [x], share: 0.6}]", "labels"),
        ] {
            let error = sampling(yaml).expect_err(yaml).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn shares_are_those_of_the_whole_set() {
        let sampling = sampling(
            "piles: [{name: white, sources: [w], share: 0.2}, {name: few, labels: [x], most: 10}, {name: rare, labels: [y], share: 0.3}]",
        )
        .expect("a sampling");
        // 90 + 10 rows are half of the set.
        assert_eq!(sampling.wanted(&[1000, 40, 20], 90), [40, 10, 60]);
        assert_eq!(sampling.wanted(&[1000, 4, 20], 96), [40, 10, 60]);
        assert_eq!(sampling.pile_of("w", Some("x")), Some(0));
        assert_eq!((sampling.pile_of("r", Some("x")), sampling.pile_of("r", None)), (Some(1), None));
    }
}
