//! `split`: writes which fold each group belongs to, and says what the folds hold.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow, ensure};
use shards::{ShardError, ShardSet, Split, grouped_kfold, leave_one_source_out};
use store::{Store, StoreError};
use tracing::warn;

use crate::cli::{SplitArgs, SplitKind};
use crate::joined_groups::JoinedGroups;
use crate::set_report::SetReport;
use terminal::{table, thousands};

/// A fold with less than this part of the rows of the largest is warned of.
const LEAST_PART: u64 = 2;

/// Makes and publishes a split, and returns what to print.
///
/// # Errors
/// A set that cannot be read, a name that is no key, too few groups, another split of that name.
pub(crate) fn split(args: &SplitArgs) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ensure!(
        !args.name.is_empty() && args.name.len() <= 100 && args.name.chars().all(plain),
        "--name {}: use letters, digits, `-` and `_`",
        args.name
    );
    let store = Store::open(&args.uri)?;
    let set = ShardSet::open(&store).with_context(|| format!("cannot open the shard set {}", args.uri))?;
    let made = match args.kind {
        SplitKind::GroupedKfold => grouped_kfold(set.metas(), args.folds, args.seed),
        SplitKind::LeaveOneSourceOut => leave_one_source_out(set.metas()),
    };
    let split = made.map_err(|error| explained(error, &set))?;
    set.write_split(&args.name, &split).map_err(|error| match error {
        ShardError::Store(StoreError::Differs { .. }) => {
            anyhow!("{} has a split `{}` with other folds; choose another --name", args.uri, args.name)
        }
        error => anyhow::Error::from(error).context(format!("cannot write the split {}", args.name)),
    })?;
    // Of a `split` that was killed; the key exists now, so nobody is writing it.
    if let Err(error) = store.remove_unfinished("splits", |key| key == shards::split_key(&args.name)) {
        warn!("what an interrupted split left could not be removed: {error}");
    }
    let folds = Folds::of(&split, &set);
    for warning in folds.warnings(&set)? {
        warn!("{warning}");
    }
    Ok(format!("{}\n\nsplit {} of {}, {}", folds.tables(), args.name, args.uri, split.digest().short()))
}

/// Why a split cannot be made, in words that name what joined the groups and what helps.
fn explained(error: ShardError, set: &ShardSet) -> anyhow::Error {
    let joined = SetReport::read(set).map(|report| JoinedGroups::of(&report)).unwrap_or_default();
    let why = joined.sentence(set.manifest().content_name());
    let copies = match joined.are_near() {
        true => "; if these are not copies, build the set again with --near-copies ignore",
        false => "",
    };
    match &error {
        ShardError::TooFewGroups { groups, .. } => {
            let fewer = match groups {
                0 | 1 => "a split needs at least two groups".to_owned(),
                groups => format!("ask for at most {} with --folds", thousands(*groups)),
            };
            match why {
                Some(why) => anyhow!("{error}, because {why}: {fewer}{copies}"),
                None => anyhow!("{error}: {fewer}, or let `group` in the description make smaller groups"),
            }
        }
        ShardError::NotAlone { .. } => {
            let why = why.map_or_else(String::new, |why| format!(", because {why}"));
            anyhow!("{error}{why}: leave the source out of the set, or use --kind grouped-kfold{copies}")
        }
        _ => error.into(),
    }
}

/// What each fold holds.
#[derive(Debug)]
struct Folds {
    names: Vec<String>,
    groups: Vec<u64>,
    rows: Vec<u64>,
    /// Rows of each label by fold; rows without a label have an empty one.
    labels: BTreeMap<String, Vec<u64>>,
    /// The group with the most rows, and how many these are.
    largest: (String, u64),
}

impl Folds {
    fn of(split: &Split, set: &ShardSet) -> Self {
        let count = split.folds() as usize;
        let names = (0..split.folds()).map(|fold| split.fold_name(fold).unwrap_or_default().to_owned()).collect();
        let (mut groups, mut rows) = (vec![0; count], vec![0; count]);
        let mut labels: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut sizes: HashMap<String, u64> = HashMap::new();
        for meta in set.metas() {
            let Some(fold) = split.fold_of(&meta.group) else { continue };
            rows[fold as usize] += 1;
            let label = meta.label.as_deref().unwrap_or_default();
            labels.entry(label.to_owned()).or_insert_with(|| vec![0; count])[fold as usize] += 1;
            *sizes.entry(meta.group.to_string()).or_default() += 1;
        }
        for (_, fold) in split.groups() {
            groups[fold as usize] += 1;
        }
        let largest = sizes.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0))).unwrap_or_default();
        Self { names, groups, rows, labels, largest }
    }

    /// Groups and rows by fold, then rows of each label by fold.
    fn tables(&self) -> String {
        let numbers: Vec<Vec<String>> = (0..self.names.len())
            .map(|fold| vec![self.names[fold].clone(), thousands(self.groups[fold]), thousands(self.rows[fold])])
            .collect();
        let folds = table(&["fold", "groups", "rows"], &["groups", "rows"], &numbers);
        if self.labels.keys().all(String::is_empty) {
            return format!("{folds}\n\nno row has a label");
        }
        let headings: Vec<String> = self.names.iter().map(|name| format!("fold {name}")).collect();
        let header: Vec<&str> =
            ["label"].into_iter().chain(headings.iter().map(String::as_str)).chain(["all"]).collect();
        let rows: Vec<Vec<String>> = self.labels.iter().map(|(label, rows)| label_line(label, rows)).collect();
        format!("{folds}\n\n{}", table(&header, &header[1..], &rows))
    }

    /// Folds of which a score says little: far smaller than others, or without a label that others have.
    ///
    /// # Errors
    /// A report that cannot be read.
    fn warnings(&self, set: &ShardSet) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let fold = |least: bool| {
            let numbered = self.rows.iter().zip(&self.names);
            if least { numbered.min_by_key(|(rows, _)| **rows) } else { numbered.max_by_key(|(rows, _)| **rows) }
        };
        if let (Some((least, small)), Some((most, large))) = (fold(true), fold(false))
            && least * LEAST_PART < *most
        {
            let (group, rows) = &self.largest;
            let all: u64 = self.rows.iter().sum();
            let joined = JoinedGroups::of(&SetReport::read(set)?).count_in(group);
            let joined =
                if joined > 1 { format!(", {} groups that copies joined", thousands(joined)) } else { String::new() };
            warnings.push(format!(
                "the folds have very different sizes: fold {small} has {} rows, fold {large} {}; the largest group, {group}{joined}, has {} of all \
                 {} rows, and a group is never divided",
                thousands(*least),
                thousands(*most),
                thousands(*rows),
                thousands(all)
            ));
        }
        for (label, rows) in self.labels.iter().filter(|(label, _)| !label.is_empty()) {
            let without: Vec<&str> =
                (0..rows.len()).filter(|&at| rows[at] == 0).map(|at| self.names[at].as_str()).collect();
            if !without.is_empty() {
                let folds = if without.len() == 1 { "fold" } else { "folds" };
                warnings.push(format!("label {label} has no row in {folds} {}", without.join(", ")));
            }
        }
        Ok(warnings)
    }
}

fn label_line(label: &str, rows: &[u64]) -> Vec<String> {
    let label = if label.is_empty() { "(no label)" } else { label };
    let all: u64 = rows.iter().sum();
    std::iter::once(label.to_owned()).chain(rows.iter().map(|&rows| thousands(rows))).chain([thousands(all)]).collect()
}
