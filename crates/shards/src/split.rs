//! Splits: which fold each group belongs to. The unit is the group (patient, slide, scene, identical images), never the
//! patch, so rows of one group cannot lie on both sides.

use crate::{RowMeta, ShardError};
use run_spec::ids::{Digest, digest_json};
use run_spec::seed::stream;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a split was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitKind {
    /// Groups dealt to folds so that each has about the same rows of each label.
    GroupedKfold {
        /// Decides between folds that are equally good for a group.
        seed: u64,
    },
    /// One fold for each source.
    LeaveOneSourceOut,
}

/// A map from groups to folds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub(crate) kind: SplitKind,
    /// Name of each fold: its number, or the source that is left out.
    pub(crate) names: Vec<String>,
    pub(crate) folds: BTreeMap<String, u32>,
}

impl Split {
    /// How it was made.
    pub fn kind(&self) -> SplitKind {
        self.kind
    }

    /// The number of folds, each with a name.
    pub fn folds(&self) -> u32 {
        self.names.len() as u32
    }

    /// The fold of `group`, if the split knows it.
    pub fn fold_of(&self, group: &str) -> Option<u32> {
        self.folds.get(group).copied()
    }

    /// The name of a fold: its number, or the source that is left out.
    pub fn fold_name(&self, fold: u32) -> Option<&str> {
        self.names.get(fold as usize).map(String::as_str)
    }

    /// All groups with their folds, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, u32)> {
        self.folds.iter().map(|(group, &fold)| (group.as_str(), fold))
    }

    /// Names the split by its content.
    pub fn digest(&self) -> Digest {
        digest_json(&serde_json::json!({ "made": self.kind, "names": self.names, "folds": self.folds }))
    }

    pub(crate) fn verify_covers<'a>(
        &self,
        name: &str,
        groups: impl Iterator<Item = &'a str>,
    ) -> Result<(), ShardError> {
        let groups: BTreeSet<&str> = groups.collect();
        if let Some(group) = groups.iter().find(|group| !self.folds.contains_key(**group)) {
            let why = format!("does not say where group {group:?} belongs; make the split again");
            return Err(ShardError::split(name, why));
        }
        if let Some(group) = self.folds.keys().find(|group| !groups.contains(group.as_str())) {
            let why = format!("names group {group:?}, which the set does not have; make the split again");
            return Err(ShardError::split(name, why));
        }
        Ok(())
    }
}

/// Deals groups to `folds` folds, largest first, each to the fold where label shares stay most even.
///
/// The same rows, folds and seed give the same split, in whatever order the rows come. Rows without a label count as a
/// label of their own.
///
/// # Errors
/// [`ShardError::Split`] for fewer than two folds, [`ShardError::TooFewGroups`] for fewer groups than folds.
pub fn grouped_kfold(rows: impl IntoIterator<Item = RowMeta>, folds: u32, seed: u64) -> Result<Split, ShardError> {
    let mut groups: BTreeMap<String, BTreeMap<Option<String>, u64>> = BTreeMap::new();
    let mut totals: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for row in rows {
        let label = row.label.as_deref().map(str::to_owned);
        *totals.entry(label.clone()).or_default() += 1;
        *groups.entry((*row.group).to_owned()).or_default().entry(label).or_default() += 1;
    }
    if folds < 2 {
        return Err(ShardError::split("grouped_kfold", "needs at least 2 folds"));
    }
    if (groups.len() as u64) < u64::from(folds) {
        return Err(ShardError::TooFewGroups { groups: groups.len() as u64, folds });
    }
    let mut order: Vec<(&String, &BTreeMap<Option<String>, u64>)> = groups.iter().collect();
    stream(seed, "shards.grouped_kfold", &[]).shuffle(&mut order);
    // A stable sort: groups of one size keep their shuffled order.
    order.sort_by_key(|(_, labels)| std::cmp::Reverse(labels.values().sum::<u64>()));
    let mut held: Vec<BTreeMap<&Option<String>, u64>> = vec![BTreeMap::new(); folds as usize];
    let mut sizes = vec![0u64; folds as usize];
    let mut assigned = BTreeMap::new();
    for (group, labels) in order {
        // What the sum of squared label shares grows by, if this fold takes the group: least keeps folds most even.
        let cost = |fold: usize| -> f64 {
            let grown = |(label, &n): (&Option<String>, &u64)| {
                let had = held[fold].get(label).copied().unwrap_or(0) as f64;
                let n = n as f64;
                (n * n + 2.0 * n * had) / (totals[label] as f64).powi(2)
            };
            labels.iter().map(grown).sum()
        };
        let best = (0..folds as usize)
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)).then(sizes[a].cmp(&sizes[b])))
            .expect("there are at least two folds");
        for (label, n) in labels {
            *held[best].entry(label).or_default() += n;
            sizes[best] += n;
        }
        assigned.insert(group.clone(), best as u32);
    }
    if let Some(empty) = sizes.iter().position(|&n| n == 0) {
        let why = format!("leaves fold {empty} empty; ask for fewer folds");
        return Err(ShardError::split("grouped_kfold", why));
    }
    let names = (0..folds).map(|fold| fold.to_string()).collect();
    Ok(Split { kind: SplitKind::GroupedKfold { seed }, names, folds: assigned })
}

/// One fold for each source, by name. A group that spans sources (identical images in two of them) goes to the first.
///
/// # Errors
/// [`ShardError::Split`] for fewer than two sources, [`ShardError::NotAlone`] for one whose groups all belong to earlier ones.
pub fn leave_one_source_out(rows: impl IntoIterator<Item = RowMeta>) -> Result<Split, ShardError> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut sources = BTreeSet::new();
    for row in rows {
        sources.insert((*row.source).to_owned());
        let source = first.entry((*row.group).to_owned()).or_insert_with(|| (*row.source).to_owned());
        if *row.source < **source {
            *source = (*row.source).to_owned();
        }
    }
    let names: Vec<String> = sources.into_iter().collect();
    let name = "leave_one_source_out";
    if names.len() < 2 {
        return Err(ShardError::split(name, "needs at least 2 sources"));
    }
    let number = |source: &String| names.binary_search(source).expect("every group's source is among them") as u32;
    let folds: BTreeMap<String, u32> = first.iter().map(|(group, source)| (group.clone(), number(source))).collect();
    let used: BTreeSet<u32> = folds.values().copied().collect();
    if let Some(empty) = (0..names.len() as u32).find(|fold| !used.contains(fold)) {
        return Err(ShardError::NotAlone { source_name: names[empty as usize].clone() });
    }
    Ok(Split { kind: SplitKind::LeaveOneSourceOut, names, folds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(source: &str, group: &str, label: Option<&str>) -> RowMeta {
        let digest = Digest::of(b"x");
        RowMeta {
            id: digest,
            pixel_digest: digest,
            source: source.into(),
            image: "i".into(),
            group: group.into(),
            x: 0,
            y: 0,
            w: 1,
            h: 1,
            label: label.map(Into::into),
            licence: "MIT".into(),
        }
    }

    #[test]
    fn folds_are_even_in_rows_and_labels() {
        let mut rows = Vec::new();
        for group in 0..40 {
            for cell in 0..10 {
                let label = if (group * 7 + cell) % 10 == 0 { "rare" } else { "common" };
                rows.push(row("s", &format!("g{group}"), Some(label)));
            }
        }
        let split = grouped_kfold(rows.clone(), 5, 1).unwrap();
        for label in ["rare", "common"] {
            let mut counts = [0; 5];
            for r in rows.iter().filter(|r| r.label.as_deref() == Some(label)) {
                counts[split.fold_of(&r.group).unwrap() as usize] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= counts.iter().sum::<i32>() / 25 + 1, "{label}: {counts:?}");
        }
    }

    #[test]
    fn a_group_over_two_sources_stays_in_one_fold() {
        let rows = [row("b", "twin", None), row("a", "twin", None), row("a", "x", None), row("b", "y", None)];
        let split = leave_one_source_out(rows).unwrap();
        assert_eq!((split.fold_of("twin"), split.fold_of("x"), split.fold_of("y")), (Some(0), Some(0), Some(1)));
        assert_eq!(split.fold_name(1), Some("b"));
        assert!(leave_one_source_out([row("a", "g", None)]).is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_rows_changes_nothing(sizes in prop::collection::vec(1usize..6, 5..30), seed: u64, folds in 2u32..5) {
            let mut rows = Vec::new();
            for (g, n) in sizes.iter().enumerate() {
                rows.extend((0..*n).map(|i| row("s", &format!("g{g}"), (i % 3 > 0).then_some(["p", "q"][i % 2]))));
            }
            let split = grouped_kfold(rows.clone(), folds, seed).unwrap();
            rows.reverse();
            prop_assert_eq!(&grouped_kfold(rows, folds, seed).unwrap(), &split);
            prop_assert_eq!(split.groups().count(), sizes.len());
            for fold in 0..folds {
                prop_assert!(split.groups().any(|(_, f)| f == fold));
            }
        }
    }
}
