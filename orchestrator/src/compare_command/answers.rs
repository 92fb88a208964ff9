//! What both say of each cell, and where they disagree.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use store::Store;

use super::Side;
use crate::records::EvalSet;
use crate::tables;

/// Who is right about a cell on which they disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// The first alone.
    FirstIsRight,
    /// The second alone.
    SecondIsRight,
    /// Neither, in two ways.
    BothAreWrong,
}

/// A cell on which they disagree; classes are positions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Disagreement {
    /// Number of the cell in its set, which is that of its picture.
    pub(super) cell: usize,
    /// Who is right.
    pub(super) group: Group,
    /// True class, what the first says, what the second says.
    pub(super) says: [usize; 3],
    /// How much of their seeds agree with that, from 0 to 1.
    pub(super) agreement: f64,
}

/// All disagreements on an evaluation set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Disagreements {
    /// Names of the classes.
    pub(super) classes: Vec<String>,
    /// Number of all cells.
    pub(super) of: usize,
    /// Those on which they disagree, by group, the clearest first.
    pub(super) cells: Vec<Disagreement>,
}

impl Disagreements {
    /// How often each class was taken for which two, the most frequent first.
    pub(super) fn kinds(&self) -> Vec<([usize; 3], usize)> {
        let mut counts: BTreeMap<[usize; 3], usize> = BTreeMap::new();
        self.cells.iter().for_each(|cell| *counts.entry(cell.says).or_default() += 1);
        let mut kinds: Vec<_> = counts.into_iter().collect();
        kinds.sort_by_key(|(_, cells)| std::cmp::Reverse(*cells));
        kinds
    }
}

/// Answers of one side: votes `[cell][class]`, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
struct Answers {
    truth: Vec<usize>,
    votes: Vec<u16>,
}

/// Where the two disagree on `eval`, by its primary probe; `None` where one of them keeps no predictions of it.
pub(super) fn disagreements(
    store: &Store,
    eval: &EvalSet,
    first: &Side<'_>,
    second: &Side<'_>,
) -> Result<Option<Disagreements>> {
    let Some((classes, ours)) = answers(store, eval, first)? else { return Ok(None) };
    let Some((others, theirs)) = answers(store, eval, second)? else { return Ok(None) };
    ensure!(
        classes == others && ours.truth == theirs.truth,
        "{} and {} were scored on other cells",
        first.name,
        second.name
    );
    let mut cells = compared(&ours, &theirs, classes.len());
    // Of equally clear ones, those that are shown come from everywhere in the set.
    let scattered = |cell: usize| (cell as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    cells.sort_by_key(|cell| (cell.group, scattered(cell.cell)));
    cells.sort_by(|a, b| a.group.cmp(&b.group).then(b.agreement.total_cmp(&a.agreement)));
    Ok(Some(Disagreements { of: ours.truth.len(), classes, cells }))
}

fn compared(ours: &Answers, theirs: &Answers, classes: usize) -> Vec<Disagreement> {
    let pairs = ours.votes.chunks(classes).zip(theirs.votes.chunks(classes)).zip(&ours.truth).enumerate();
    let compared = pairs.filter_map(|(cell, ((ours, theirs), &truth))| {
        let ((first, share), (second, other)) = (answer(ours), answer(theirs));
        let group = match (first == truth, second == truth) {
            (true, _) => Group::FirstIsRight,
            (_, true) => Group::SecondIsRight,
            _ => Group::BothAreWrong,
        };
        (first != second).then_some(Disagreement {
            cell,
            group,
            says: [truth, first, second],
            agreement: share * other,
        })
    });
    compared.collect()
}

/// The most frequent answer, of equally frequent ones the first class, and its share.
fn answer(votes: &[u16]) -> (usize, f64) {
    let all: u32 = votes.iter().map(|count| u32::from(*count)).sum();
    let best = (0..votes.len()).rev().max_by_key(|class| votes[*class]).unwrap_or(0);
    (best, f64::from(votes.get(best).copied().unwrap_or(0)) / f64::from(all.max(1)))
}

fn answers(store: &Store, eval: &EvalSet, side: &Side<'_>) -> Result<Option<(Vec<String>, Answers)>> {
    let probe = eval.primary.probe.name();
    let mut found: Option<(Vec<String>, Answers)> = None;
    let mut trials = 0;
    for (trial, record) in &side.finished {
        let Some((predictions, features)) = tables::predictions(store, (trial, record), &eval.name)? else { continue };
        let task = &predictions.metadata().task;
        if task.probe(probe).is_none() {
            continue;
        }
        let (_, answers) = found.get_or_insert_with(|| (task.classes.clone(), Answers::default()));
        let (classes, mut cell) = (task.classes.len(), 0);
        predictions.cells((features, probe), |seen| {
            if trials == 0 {
                answers.truth.push(seen.truth);
                answers.votes.extend(std::iter::repeat_n(0, classes));
            }
            if let Some(votes) = answers.votes.get_mut(cell * classes + seen.predicted) {
                *votes += 1;
            }
            cell += 1;
        })?;
        trials += 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_answer_counts_and_the_first_class_on_a_tie() {
        assert_eq!(answer(&[1, 3, 0]), (1, 0.75));
        assert_eq!(answer(&[2, 0, 2]), (0, 0.5));
    }

    #[test]
    fn cells_are_grouped_by_who_is_right() {
        let ours = Answers { truth: vec![0, 1, 2, 0], votes: vec![2, 0, 0, 2, 0, 0, 0, 2, 0, 1, 1, 0] };
        let theirs = Answers { votes: vec![0, 2, 0, 0, 1, 1, 2, 0, 0, 2, 0, 0], ..ours.clone() };
        let found = compared(&ours, &theirs, 3);
        let seen: Vec<_> = found.iter().map(|cell| (cell.cell, cell.group, cell.says, cell.agreement)).collect();
        assert_eq!(
            seen,
            [
                (0, Group::FirstIsRight, [0, 0, 1], 1.0),
                (1, Group::SecondIsRight, [1, 0, 1], 0.5),
                (2, Group::BothAreWrong, [2, 1, 0], 1.0),
            ],
            "of the last cell the answer is the same"
        );
        let all = Disagreements {
            classes: vec![String::new(); 3],
            of: 4,
            cells: [found.clone(), found[1..2].to_vec()].concat(),
        };
        assert_eq!(all.kinds()[0], ([1, 0, 1], 2));
    }
}
