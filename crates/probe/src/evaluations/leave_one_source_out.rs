//! Scores on a source (laboratory, camera, data set) that no fit has seen: `linear_standardised` fitted to all other sources.

use results::measures::Evaluation;
use results::predictions::Measure;

use super::{Rows, Setting, Subject, Task, number, scores};
use crate::ProbeError;
use crate::metrics::Metric;
use crate::standardised::NAME;

const NAME_OF_THIS: &str = "leave_one_source_out";

/// Needs two sources, and two classes outside each of them.
pub(super) fn verify(setting: &Setting<'_>) -> Result<(), ProbeError> {
    let refuse = |why| Err(ProbeError::NotMeasurable { evaluation: NAME_OF_THIS, why });
    let sources = setting.sources.names();
    if sources.len() < 2 {
        let only = sources.first().map(String::as_str).unwrap_or_default();
        return refuse(format!(
            "all are of one source ({only}); leave it out of the evaluations, or build a set of several sources"
        ));
    }
    for (source, name) in (0..).zip(sources) {
        let (train, _) = rows(setting, source);
        let classes = setting.cells.classes().of_row();
        if train.iter().all(|&row| classes[row] == classes[train[0]]) {
            return refuse(format!("without source {name} they have fewer than two classes"));
        }
    }
    Ok(())
}

/// The scores on each source, whose name stands as the fold, and `worst_METRIC`: the lowest of them.
pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let (setting, task) = (&subject.setting, Task::classes(subject));
    let mut found = Vec::new();
    for (source, name) in (0..).zip(setting.sources.names()) {
        let (train, test) = rows(setting, source);
        let (confusion, note) = task.linear(&Rows { train: &train, test: &test })?;
        let n_train = train.len() as u64;
        let placed = |measure| Measure { fold: name.clone(), n_train, note: note.clone(), ..measure };
        found.extend(scores(Evaluation::LeaveOneSourceOut, NAME, &confusion).into_iter().map(placed));
    }
    let worst = |metric: Metric| {
        let of_metric = found.iter().filter(|measure| measure.metric == metric.name());
        let lowest = of_metric.min_by(|a, b| a.value.total_cmp(&b.value))?;
        let measure = number(Evaluation::LeaveOneSourceOut, (NAME, &format!("worst_{}", metric.name())), lowest.value);
        Some(Measure {
            n: lowest.n,
            n_train: lowest.n_train,
            note: format!("worst source: {}", lowest.fold),
            ..measure
        })
    };
    let worst: Vec<Measure> = Metric::ALL.into_iter().filter_map(worst).collect();
    found.extend(worst);
    Ok(found)
}

/// The rows of all other sources, and those of `source`. A group that holds copies from both is fitted to by neither.
fn rows(setting: &Setting<'_>, source: u32) -> (Vec<usize>, Vec<usize>) {
    let groups = setting.cells.group_of_row();
    let (test, others): (Vec<usize>, Vec<usize>) =
        (0..setting.cells.len()).partition(|&row| setting.sources.of_row()[row] == source);
    let held: std::collections::BTreeSet<usize> = test.iter().map(|&row| groups[row]).collect();
    (others.into_iter().filter(|&row| !held.contains(&groups[row])).collect(), test)
}
