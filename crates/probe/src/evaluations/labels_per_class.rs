//! Scores from few labels: `linear_standardised` fitted to a number of training cells of each class.
//!
//! In each fold and repeat the training groups stand in the random order of [`label_efficiency`](super::label_efficiency), and each class takes its
//! first cells in that order: so the cells of a class come from few images, as whoever labels them goes from image to image, a larger number holds the
//! smaller ones of its repeat, and all arms and seeds draw the same cells. A class that has fewer cells gives all. Numbers at which every class has given all are left
//! out: the protocol's own score is that.

use results::measures::{Evaluation, settings};
use results::predictions::Measure;

use super::label_efficiency::in_drawn_order;
use super::{Rows, Subject, Task, folds, scores};
use crate::ProbeError;
use crate::standardised::NAME;

pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let (cells, task) = (subject.setting.cells, Task::classes(subject));
    let mut found = Vec::new();
    for (fold, (name, train, test)) in folds(cells).enumerate() {
        for repeat in 0..settings::LABEL_REPEATS {
            let order = in_drawn_order(&train, cells.group_of_row(), (fold as u64, repeat)).concat();
            for labels in settings::LABELS_PER_CLASS {
                let some = first_of_each(&order, task.of_row, (task.count, labels as usize));
                if some.len() == train.len() {
                    break;
                }
                let (confusion, note) = task.linear(&Rows { train: &some, test: &test })?;
                let placed = |measure| Measure {
                    labels_per_class: Some(labels),
                    repeat: Some(repeat),
                    fold: name.to_owned(),
                    n_train: some.len() as u64,
                    note: note.clone(),
                    ..measure
                };
                found.extend(scores(Evaluation::LabelsPerClass, NAME, &confusion).into_iter().map(placed));
            }
        }
    }
    Ok(found)
}

/// The first `labels` rows of each of `classes` classes, ascending.
fn first_of_each(order: &[usize], class_of_row: &[u32], (classes, labels): (usize, usize)) -> Vec<usize> {
    let mut taken = vec![0; classes];
    let mut rows: Vec<usize> = order
        .iter()
        .copied()
        .filter(|&row| {
            let of_class = &mut taken[class_of_row[row] as usize];
            *of_class += 1;
            *of_class <= labels
        })
        .collect();
    rows.sort_unstable();
    rows
}
