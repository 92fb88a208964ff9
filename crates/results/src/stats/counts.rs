//! Predictions as counts per trial and group: the input of every interval that covers new groups.
//!
//! A trial is one arm under one seed. A group is an image, slide or patient: cells of one group are not independent, so
//! groups are what a resample draws. A stratum is one fold of one source; probes tested each stratum with a fit that
//! had not seen its groups. All trials must have predicted the same cells: only then is a difference of two arms paired.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::score::{ClassCounts, Metric};
use crate::ResultsError;

/// Where a cell stands in the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// The data source (laboratory, camera, publication).
    pub source: &'a str,
    /// The fold of that source that tests the cell.
    pub fold: &'a str,
    /// The image, slide or patient; a name is unique within its source.
    pub group: &'a str,
}

/// One fold of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stratum {
    /// Name of the source that the fold is of.
    pub source: String,
    /// Name of the fold within its source.
    pub fold: String,
    /// Its groups, as a range of the groups of [`Counts::trial`].
    pub groups: Range<usize>,
}

/// Counts of one trial by (source, fold, group), each with one entry for each class.
type ByGroup = BTreeMap<(String, String, String), Vec<ClassCounts>>;

/// Collects predictions into [`Counts`], in any order.
#[derive(Debug, Clone)]
pub struct CountsBuilder {
    classes: usize,
    trials: BTreeMap<(String, u64), ByGroup>,
}

impl CountsBuilder {
    /// A builder for predictions among `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, trials: BTreeMap::new() }
    }

    /// Counts `times` cells at `place`, of class `truth`, which `arm` under `seed` predicted as `predicted`.
    ///
    /// # Errors
    /// [`ResultsError::UnknownClass`] for a class that is not below the number of classes.
    pub fn add(
        &mut self,
        trial: (&str, u64),
        place: Place<'_>,
        (truth, predicted): (u32, u32),
        times: u64,
    ) -> Result<(), ResultsError> {
        if let Some(&class) = [truth, predicted].iter().find(|&&class| class as usize >= self.classes) {
            return Err(ResultsError::UnknownClass { class, classes: self.classes });
        }
        let counts = self.group(trial, place);
        counts[truth as usize].support += times;
        counts[predicted as usize].predicted += times;
        if truth == predicted {
            counts[truth as usize].correct += times;
        }
        Ok(())
    }

    /// Adds the counts of cells of one group, one entry for each class.
    ///
    /// # Errors
    /// [`ResultsError::UnknownClass`] for more or fewer entries than classes.
    pub fn add_group(
        &mut self,
        trial: (&str, u64),
        place: Place<'_>,
        of_class: &[ClassCounts],
    ) -> Result<(), ResultsError> {
        if of_class.len() != self.classes {
            return Err(ResultsError::UnknownClass { class: of_class.len() as u32, classes: self.classes });
        }
        self.group(trial, place).iter_mut().zip(of_class).for_each(|(sum, &counts)| sum.add(counts));
        Ok(())
    }

    fn group(&mut self, (arm, seed): (&str, u64), place: Place<'_>) -> &mut [ClassCounts] {
        let trial = self.trials.entry((arm.to_owned(), seed)).or_default();
        let key = (place.source.to_owned(), place.fold.to_owned(), place.group.to_owned());
        trial.entry(key).or_insert_with(|| vec![ClassCounts::default(); self.classes])
    }

    /// Trials that predicted other cells than most did, each with what differs.
    pub fn odd(&self) -> Vec<((String, u64), ResultsError)> {
        let mut of_cells: BTreeMap<u64, (usize, &(String, u64))> = BTreeMap::new();
        let cells: Vec<u64> = self.trials.values().map(cells).collect();
        for (&cells, trial) in cells.iter().zip(self.trials.keys()) {
            of_cells.entry(cells).or_insert((0, trial)).0 += 1;
        }
        // Of equally many the trial that comes first.
        let most = of_cells.iter().max_by_key(|(_, (trials, first))| (*trials, Reverse(*first)));
        let Some((&most, &(_, first))) = most else { return Vec::new() };
        let like = &self.trials[first];
        let odd = self.trials.iter().zip(cells).filter(|&(_, cells)| cells != most);
        odd.map(|((trial, by_group), _)| {
            let group = other_cells(like, by_group).unwrap_or_default();
            (trial.clone(), ResultsError::OtherCells { trial: name(trial), first: name(first), group })
        })
        .collect()
    }

    /// The counts, with groups in the order of source, fold and name.
    ///
    /// # Errors
    /// [`ResultsError::Empty`] without predictions, [`ResultsError::GroupInTwoFolds`] for a group that two folds of one
    /// source test, [`ResultsError::OtherCells`] for a trial that predicted other cells than the first one.
    pub fn build(self) -> Result<Counts, ResultsError> {
        let Some((first, like)) = self.trials.first_key_value() else {
            return Err(ResultsError::Empty { what: "the predictions".to_owned() });
        };
        let strata = strata(like)?;
        for (trial, by_group) in &self.trials {
            if let Some(group) = other_cells(like, by_group) {
                return Err(ResultsError::OtherCells { trial: name(trial), first: name(first), group });
            }
        }
        let flat = |by_group: ByGroup| by_group.into_values().flatten().collect::<Arc<[ClassCounts]>>();
        let trials = self.trials.into_iter().map(|(trial, by_group)| (trial, flat(by_group))).collect();
        Ok(Counts { classes: self.classes, strata, trials })
    }
}

fn name((arm, seed): &(String, u64)) -> String {
    format!("arm {arm}, seed {seed}")
}

/// A number that is the same for trials that predicted the same cells: places, and classes of the cells there.
fn cells(by_group: &ByGroup) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (place, counts) in by_group {
        place.hash(&mut hasher);
        counts.iter().for_each(|class| class.support.hash(&mut hasher));
    }
    hasher.finish()
}

fn strata(by_group: &ByGroup) -> Result<Vec<Stratum>, ResultsError> {
    let mut fold_of: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut strata: Vec<Stratum> = Vec::new();
    for (index, (source, fold, group)) in by_group.keys().enumerate() {
        if let Some(first) = fold_of.insert((source, group), fold) {
            let (first, second) = (first.to_owned(), fold.clone());
            return Err(ResultsError::GroupInTwoFolds { group: format!("{group} of {source}"), first, second });
        }
        match strata.last_mut() {
            Some(last) if (&last.source, &last.fold) == (source, fold) => last.groups.end += 1,
            _ => strata.push(Stratum { source: source.clone(), fold: fold.clone(), groups: index..index + 1 }),
        }
    }
    Ok(strata)
}

/// A group in which two trials have not predicted cells of the same classes.
fn other_cells(first: &ByGroup, other: &ByGroup) -> Option<String> {
    let missing = other.keys().find(|key| !first.contains_key(*key));
    let differs = |(key, counts): (_, &Vec<ClassCounts>)| {
        let same = |others: &Vec<ClassCounts>| counts.iter().zip(others).all(|(a, b)| a.support == b.support);
        (!other.get(key).is_some_and(same)).then_some(key)
    };
    let found = missing.or_else(|| first.iter().find_map(differs));
    found.map(|(source, fold, group)| format!("{group} of {source}, fold {fold}"))
}

/// Counts per trial and group. Made by [`CountsBuilder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    classes: usize,
    strata: Vec<Stratum>,
    /// Counts `[group, class]` of each trial (arm, seed), row-major.
    trials: BTreeMap<(String, u64), Arc<[ClassCounts]>>,
}

impl Counts {
    /// The number of classes that are counted.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The folds of all sources, sorted by source; their groups follow one another.
    pub fn strata(&self) -> &[Stratum] {
        &self.strata
    }

    /// The names of the arms, sorted.
    pub fn arms(&self) -> Vec<&str> {
        let mut arms: Vec<&str> = self.trials.keys().map(|(arm, _)| arm.as_str()).collect();
        arms.dedup();
        arms
    }

    /// The seeds of an arm, ascending.
    pub fn seeds(&self, arm: &str) -> Vec<u64> {
        self.trials.keys().filter(|(of, _)| of == arm).map(|&(_, seed)| seed).collect()
    }

    /// The counts of one trial, `[group, class]` row-major; `None` for a trial without predictions.
    pub fn trial(&self, arm: &str, seed: u64) -> Option<&[ClassCounts]> {
        self.trials.get(&(arm.to_owned(), seed)).map(|counts| &**counts)
    }

    /// Counts the trial `of` under `name` too: a baseline that several arms and seeds share. Nothing is copied, and nothing
    /// changes where there is no such trial.
    pub fn share(&mut self, of: (&str, u64), name: (&str, u64)) {
        if let Some(counts) = self.trials.get(&(of.0.to_owned(), of.1)).map(Arc::clone) {
            self.trials.insert((name.0.to_owned(), name.1), counts);
        }
    }

    /// The sums over all groups of counts as [`Self::trial`] gives them, one for each class.
    pub fn totals(&self, trial: &[ClassCounts]) -> Vec<ClassCounts> {
        let mut sums = vec![ClassCounts::default(); self.classes];
        for group in trial.chunks_exact(self.classes) {
            sums.iter_mut().zip(group).for_each(|(sum, &counts)| sum.add(counts));
        }
        sums
    }

    /// The sums over the groups of one stratum of counts as [`Self::trial`] gives them, one for each class.
    pub fn stratum_sums(&self, trial: &[ClassCounts], stratum: &Stratum) -> Vec<ClassCounts> {
        self.totals(&trial[stratum.groups.start * self.classes..stratum.groups.end * self.classes])
    }

    /// The score of one trial: the metric of each fold, averaged over the folds of each source and then over sources.
    /// `None` for a trial without predictions.
    pub fn score(&self, arm: &str, seed: u64, metric: Metric) -> Option<f64> {
        let trial = self.trial(arm, seed)?;
        let of = |stratum| metric.of(self.stratum_sums(trial, stratum).into_iter());
        Some(self.strata.iter().zip(self.weights()).map(|(stratum, weight)| weight * of(stratum)).sum())
    }

    /// Whether the mean over the folds of rows, which hold the cells of all sources, is the same score: each fold is of one source,
    /// and all sources have equally many.
    pub fn rows_have_the_same_scores(&self) -> bool {
        let mut folds: BTreeMap<&str, &str> = BTreeMap::new();
        let apart = self.strata.iter().all(|s| *folds.entry(&s.fold).or_insert(&s.source) == s.source);
        let mut sources = self.strata.chunk_by(|a, b| a.source == b.source).map(<[Stratum]>::len);
        let first = sources.next();
        apart && sources.all(|folds| Some(folds) == first)
    }

    /// The weight of each stratum in a score: every source counts the same, and so does every fold within its source.
    pub fn weights(&self) -> Vec<f64> {
        let mut folds: BTreeMap<&str, usize> = BTreeMap::new();
        self.strata.iter().for_each(|stratum| *folds.entry(&stratum.source).or_default() += 1);
        let sources = folds.len() as f64;
        self.strata.iter().map(|stratum| 1.0 / (sources * folds[stratum.source.as_str()] as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(source: &'a str, fold: &'a str, group: &'a str) -> Place<'a> {
        Place { source, fold, group }
    }

    #[test]
    fn a_score_averages_folds_within_sources_and_then_sources() {
        let mut builder = CountsBuilder::new(2);
        for (source, fold, group, right) in
            [("a", "0", "p", 4), ("a", "1", "q", 2), ("b", "0", "p", 1), ("a", "1", "r", 0)]
        {
            builder.add(("base", 3), place(source, fold, group), (0, 0), right).unwrap();
            builder.add(("base", 3), place(source, fold, group), (0, 1), 4 - right).unwrap();
        }
        let counts = builder.build().unwrap();
        let strata: Vec<_> = counts.strata().iter().map(|s| (&*s.source, &*s.fold, s.groups.clone())).collect();
        assert_eq!(strata, [("a", "0", 0..1), ("a", "1", 1..3), ("b", "0", 3..4)]);
        assert_eq!(counts.score("base", 3, Metric::Accuracy), Some(((1.0 + 0.25) / 2.0 + 0.25) / 2.0));
        assert_eq!(counts.score("base", 4, Metric::Accuracy), None);
        assert_eq!((counts.arms(), counts.seeds("base")), (vec!["base"], vec![3]));
    }

    #[test]
    fn rows_have_the_same_scores_where_no_fold_holds_two_sources() {
        let of = |places: &[(&str, &str)]| {
            let mut builder = CountsBuilder::new(1);
            for (source, fold) in places {
                builder.add(("base", 0), place(source, fold, &format!("{source}{fold}")), (0, 0), 1).unwrap();
            }
            builder.build().unwrap().rows_have_the_same_scores()
        };
        assert!(of(&[("a", "0"), ("a", "1")]) && of(&[("a", "a"), ("b", "b")]));
        assert!(!of(&[("a", "0"), ("b", "0")]), "a fold of two sources");
        assert!(!of(&[("a", "0"), ("a", "1"), ("b", "2")]), "sources weigh the same, folds do not");
    }

    #[test]
    fn a_shared_trial_counts_under_both_names() {
        let mut builder = CountsBuilder::new(2);
        builder.add(("random", 0), place("a", "0", "p"), (0, 1), 2).unwrap();
        let mut counts = builder.build().unwrap();
        counts.share(("random", 0), ("baseline", 7));
        counts.share(("random", 1), ("baseline", 8));
        assert_eq!((counts.seeds("baseline"), counts.trial("baseline", 7)), (vec![7], counts.trial("random", 0)));
        assert_eq!(counts.totals(counts.trial("random", 0).unwrap())[1].predicted, 2);
    }

    #[test]
    fn trials_on_other_cells_and_groups_in_two_folds_are_refused() {
        let mut builder = CountsBuilder::new(2);
        assert!(builder.clone().build().is_err());
        assert!(builder.add(("base", 0), place("a", "0", "p"), (0, 2), 1).is_err());
        builder.add(("base", 0), place("a", "0", "p"), (0, 1), 2).unwrap();
        let mut other = builder.clone();
        other.add(("koleo", 0), place("a", "0", "p"), (1, 1), 2).unwrap();
        let odd = other.odd();
        assert!(matches!(&odd[..], [((arm, 0), ResultsError::OtherCells { .. })] if arm == "koleo"), "{odd:?}");
        for seed in [1, 2] {
            other.add(("koleo", seed), place("a", "0", "p"), (1, 1), 2).unwrap();
        }
        let odd: Vec<_> = other.odd().into_iter().map(|(trial, _)| trial).collect();
        assert_eq!(odd, [("base".to_owned(), 0)], "most predicted the other cells");
        let error = other.build().unwrap_err().to_string();
        assert!(error.contains("arm koleo, seed 0") && error.contains("p of a, fold 0"), "{error}");
        builder.add(("base", 0), place("a", "1", "p"), (0, 1), 2).unwrap();
        assert!(matches!(builder.build(), Err(ResultsError::GroupInTwoFolds { .. })));
    }
}
