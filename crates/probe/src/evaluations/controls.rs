//! What a score means nothing without: features with shuffled labels, the source without features, and no features at all.

use results::measures::Evaluation;
use results::predictions::Measure;
use run_spec::seed::stream;

use super::{Rows, Subject, Task, folds, scores};
use crate::metrics::Confusion;
use crate::{Classes, ProbeError};

/// Per fold: `shuffled_labels` (`linear_standardised`, the labels of the training rows in a random order), `source_alone` (the most
/// frequent class of the cell's source; of several sources only), `largest_class` (the most frequent class of the training rows).
pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let (cells, sources, task) = (subject.setting.cells, subject.setting.sources, Task::classes(subject));
    let mut found = Vec::new();
    for (fold, (name, train, test)) in folds(cells).enumerate() {
        let rows = Rows { train: &train, test: &test };
        let mut labels: Vec<u32> = train.iter().map(|&row| task.of_row[row]).collect();
        stream(0, "probe/shuffled_labels", &[fold as u64]).shuffle(&mut labels);
        let (shuffled, note) = task.linear_with(&rows, &labels)?;
        let nothing = vec![0; cells.len()];
        let mut controls = vec![
            ("shuffled_labels", shuffled, note),
            ("largest_class", by_key((&nothing, 1), cells.classes(), &rows), String::new()),
        ];
        if sources.names().len() > 1 {
            let by_source = by_key((sources.of_row(), sources.names().len()), cells.classes(), &rows);
            controls.push(("source_alone", by_source, String::new()));
        }
        for (probe, confusion, note) in controls {
            let n_train = train.len() as u64;
            let placed = |measure| Measure { fold: name.to_owned(), n_train, note: note.clone(), ..measure };
            found.extend(scores(Evaluation::Controls, probe, &confusion).into_iter().map(placed));
        }
    }
    Ok(found)
}

/// Predicts the class of each test row by a key alone: the most frequent class of the training rows with the same key.
fn by_key(keys: (&[u32], usize), classes: &Classes, rows: &Rows<'_>) -> Confusion {
    let most = most_frequent(keys, classes, rows.train);
    let predicted: Vec<u32> = rows.test.iter().map(|&row| most[keys.0[row] as usize]).collect();
    let truth: Vec<u32> = rows.test.iter().map(|&row| classes.of_row()[row]).collect();
    Confusion::new(classes.names().len(), &truth, &predicted)
}

/// The most frequent class of the training rows with each key, the first of equals; of a key that they lack, that of all of them.
pub(super) fn most_frequent((key_of_row, keys): (&[u32], usize), classes: &Classes, train: &[usize]) -> Vec<u32> {
    let mut counts = vec![vec![0u64; classes.names().len()]; keys];
    let mut all = vec![0u64; classes.names().len()];
    for &row in train {
        let class = classes.of_row()[row] as usize;
        counts[key_of_row[row] as usize][class] += 1;
        all[class] += 1;
    }
    let most = |counts: &[u64]| {
        let largest = counts.iter().max().copied().unwrap_or(0);
        counts.iter().position(|&count| count == largest).unwrap_or(0) as u32
    };
    counts.iter().map(|of_key| if of_key.iter().all(|&count| count == 0) { most(&all) } else { most(of_key) }).collect()
}
