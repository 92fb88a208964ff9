//! Scores from fewer labels: `linear_standardised` fitted to a share of the training cells, whole groups at a time.
//!
//! In each fold and repeat the training groups are put into one random order; a share takes groups from its beginning until it holds
//! as many cells as asked for and two classes. So a larger share holds the smaller ones of its repeat, and all arms and seeds draw
//! the same groups. All cells are the protocol's own fit. How many cells a fit saw stands in `n_train`: a share of 1 % cannot be less than a group.

use results::measures::{Evaluation, settings};
use results::predictions::Measure;
use run_spec::seed::stream;

use super::{Rows, Subject, Task, folds, scores};
use crate::ProbeError;
use crate::metrics::Confusion;
use crate::probes::Probe;
use crate::standardised::NAME;

pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let (cells, task) = (subject.setting.cells, Task::classes(subject));
    let mut found = Vec::new();
    for (fold, (name, train, test)) in folds(cells).enumerate() {
        let take = |measures: Vec<Measure>, (fraction, repeat, n_train): (f64, u64, usize), note: &str| {
            let placed = |measure| Measure {
                fraction: Some(fraction),
                repeat: Some(repeat),
                fold: name.to_owned(),
                n_train: n_train as u64,
                note: note.to_owned(),
                ..measure
            };
            measures.into_iter().map(placed).collect::<Vec<_>>()
        };
        for repeat in 0..settings::LABEL_REPEATS {
            let order = in_drawn_order(&train, cells.group_of_row(), (fold as u64, repeat));
            for fraction in settings::LABEL_FRACTIONS.into_iter().filter(|&fraction| fraction < 1.0) {
                let some = share(&order, task.of_row, (fraction * train.len() as f64).ceil() as usize);
                let (confusion, note) = task.linear(&Rows { train: &some, test: &test })?;
                let measures = scores(Evaluation::LabelEfficiency, NAME, &confusion);
                found.extend(take(measures, (fraction, repeat, some.len()), &note));
            }
        }
        if let Some(predicted) = subject.evaluation.predicted(Probe::LINEAR_STANDARDISED) {
            let of = |of_row: &[u32]| test.iter().map(|&row| of_row[row]).collect::<Vec<u32>>();
            let confusion = Confusion::new(task.count, &of(task.of_row), &of(predicted));
            found.extend(take(scores(Evaluation::LabelEfficiency, NAME, &confusion), (1.0, 0, train.len()), ""));
        }
    }
    Ok(found)
}

/// The rows of each group, groups in a random order.
pub(super) fn in_drawn_order(rows: &[usize], group_of_row: &[usize], (fold, repeat): (u64, u64)) -> Vec<Vec<usize>> {
    let mut groups = std::collections::BTreeMap::<usize, Vec<usize>>::new();
    rows.iter().for_each(|&row| groups.entry(group_of_row[row]).or_default().push(row));
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    stream(0, "probe/label_efficiency", &[fold, repeat]).shuffle(&mut groups);
    groups
}

/// The rows of the first groups that hold at least `wanted` rows and two classes, ascending.
fn share(groups: &[Vec<usize>], class_of_row: &[u32], wanted: usize) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    for group in groups {
        let two = taken.iter().any(|&row| class_of_row[row] != class_of_row[taken[0]]);
        if two && taken.len() >= wanted {
            break;
        }
        taken.extend(group);
    }
    taken.sort_unstable();
    taken
}
