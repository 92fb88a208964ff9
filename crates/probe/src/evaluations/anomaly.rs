//! Anomalies found from normal cells alone: a cell is the more anomalous the farther it is from the normal cells of the training folds.
//!
//! `knn_distance` is the mean distance of a cell to the nearest normal training cells on the unit sphere
//! ([`settings::ANOMALY_NEIGHBOURS`]); `patch_distance`, of models with patches, how far its farthest patches are from those of
//! some normal training cells ([`crate::patches`]). No label but `normal` is used; the other classes only tell how well each is found.

use results::measures::{Evaluation, settings};
use results::predictions::Measure;

use super::{Setting, Subject, folds, number};
use crate::ranking::{auroc, average_precision};
use crate::unit_sphere::unit_rows;
use crate::{Features, ProbeError, knn};

const NAME_OF_THIS: &str = "anomaly";

/// Needs the normal class, in the training rows of every fold.
pub(super) fn verify(setting: &Setting<'_>) -> Result<(), ProbeError> {
    let normal = normal(setting)?;
    let classes = setting.cells.classes();
    for (fold, train, _) in folds(setting.cells) {
        if !train.iter().any(|&row| classes.of_row()[row] == normal) {
            let class = &classes.names()[normal as usize];
            let why = format!("no cell outside fold {fold} is of the normal class {class}; name another with --normal");
            return Err(ProbeError::NotMeasurable { evaluation: NAME_OF_THIS, why });
        }
    }
    Ok(())
}

impl Setting<'_> {
    /// The class that is normal: the one that was named, else the largest, the first of equals.
    ///
    /// # Errors
    /// [`ProbeError::NotMeasurable`] for a name that no class has.
    pub fn normal_class(&self) -> Result<u32, ProbeError> {
        normal(self)
    }
}

fn normal(setting: &Setting<'_>) -> Result<u32, ProbeError> {
    let classes = setting.cells.classes();
    if let Some(wanted) = setting.normal {
        let found = classes.names().iter().position(|name| name == wanted);
        return found.map(|class| class as u32).ok_or_else(|| {
            let why = format!("no class is called {wanted}; there are {}", classes.names().join(", "));
            ProbeError::NotMeasurable { evaluation: NAME_OF_THIS, why }
        });
    }
    let mut sizes = vec![0u64; classes.names().len()];
    classes.of_row().iter().for_each(|&class| sizes[class as usize] += 1);
    let largest = sizes.iter().max().copied().unwrap_or(0);
    Ok(sizes.iter().position(|&size| size == largest).unwrap_or(0) as u32)
}

/// `auroc` and `aupr` of each other class against the normal one, and of all of them together (without a class); `prevalence`
/// is the AUPR of a score that says nothing. All folds together; the note names the normal class.
pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let normal = normal(&subject.setting)?;
    let mut found = ranked(&subject.setting, normal, ("knn_distance", &distances(subject, normal)?));
    if let Some(scores) = subject.patch_scores {
        let (expected, here) = (subject.setting.cells.len(), scores.len());
        if expected != here {
            return Err(ProbeError::Mismatch { what: "scores of patches", expected, found: here });
        }
        found.extend(ranked(&subject.setting, normal, ("patch_distance", scores)));
    }
    Ok(found)
}

/// How well a score tells the other classes from the normal one.
fn ranked(setting: &Setting<'_>, normal: u32, (name, scores): (&str, &[f64])) -> Vec<Measure> {
    let classes = setting.cells.classes();
    let note = format!("normal: {}", classes.names()[normal as usize]);
    let others = (0..).zip(classes.names()).filter(|(class, _)| *class != normal);
    let mut found = Vec::new();
    for (class, of) in others.map(|(class, of)| (Some(class), Some(of))).chain([(None, None)]) {
        let counts = |&(_, of): &(&f64, &u32)| *of == normal || class.is_none_or(|class| class == *of);
        let items: Vec<(f64, bool)> =
            scores.iter().zip(classes.of_row()).filter(counts).map(|(&score, &of)| (score, of != normal)).collect();
        let (Some(area), Some(precision)) = (auroc(&items), average_precision(&items)) else { continue };
        let anomalies = items.iter().filter(|(_, anomalous)| *anomalous).count();
        let prevalence = anomalies as f64 / items.len() as f64;
        for (metric, value) in [("auroc", area), ("aupr", precision), ("prevalence", prevalence)] {
            let measure = number(Evaluation::Anomaly, (name, metric), value);
            found.push(Measure { class: of.cloned(), n: items.len() as u64, note: note.clone(), ..measure });
        }
    }
    found
}

/// The anomaly score of each cell.
fn distances(subject: &Subject<'_>, normal: u32) -> Result<Vec<f64>, ProbeError> {
    let (cells, rows) = (subject.setting.cells, unit_rows(subject.features));
    let mut scores = vec![0.0; cells.len()];
    for (_, mut train, test) in folds(cells) {
        train.retain(|&row| cells.classes().of_row()[row] == normal);
        for (&row, score) in test.iter().zip(mean_distances(&rows.select(&train), &rows.select(&test))?) {
            scores[row] = score;
        }
    }
    Ok(scores)
}

/// The mean distance of each row of `test` to its nearest rows of `normal`.
///
/// # Errors
/// As [`knn::neighbours`].
fn mean_distances(normal: &Features, test: &Features) -> Result<Vec<f64>, ProbeError> {
    let k = settings::ANOMALY_NEIGHBOURS.min(normal.rows());
    let nearest = knn::neighbours(normal, test, k)?;
    let distance = |i: usize, row: u32| {
        let squares =
            test.row(i).iter().zip(normal.row(row as usize)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let mean = |i: usize| nearest.of(i).iter().map(|&row| distance(i, row)).sum::<f64>() / k as f64;
    Ok((0..test.rows()).map(mean).collect())
}
