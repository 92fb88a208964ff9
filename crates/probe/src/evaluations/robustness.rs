//! What features say of the source (laboratory, camera) of a cell, which a robust model would not know.
//!
//! * `source`: how well `linear_standardised` tells the source on held-out groups. `source_by_class` tells it from the true class
//!   alone, the share that any good features must reach where sources differ in their classes. `source_within_class` tells it from
//!   features less the mean of their class (training rows), so class is accounted for.
//! * `neighbours`: of the nearest cells of other groups on the unit sphere, `biology_index` = SO / (SO + OS), where SO counts neighbours
//!   of the same class and another source, OS those of another class and the same source (PathoROB, arXiv:2507.17845): 1 where class
//!   decides who is near, 0 where the source does; `biology_index_by_chance` is that of random neighbours.
//!
//! A set with a single source does not show what sources do. Neighbours are then sought among all other cells, and the group (image) takes
//! the place of the source, as `neighbours_by_group`.

use std::collections::BTreeMap;

use feature_map::Points;
use feature_map::neighbours::nearest_others;
use results::measures::{Evaluation, settings::ROBUSTNESS_NEIGHBOURS};
use results::predictions::Measure;

use super::{Rows, Setting, Subject, Task, folds, number, scores};
use crate::metrics::Confusion;
use crate::unit_sphere::unit_rows;
use crate::{Features, ProbeError, knn};

const NAME_OF_THIS: &str = "robustness";

/// Sources that are tested and fitted to, in every fold: of several sources at least two must lie in several folds.
pub(super) fn verify(setting: &Setting<'_>) -> Result<(), ProbeError> {
    let refuse = |why| Err(ProbeError::NotMeasurable { evaluation: NAME_OF_THIS, why });
    let smallest = folds(setting.cells).map(|(_, train, _)| train.len()).min().unwrap_or(0);
    if smallest < ROBUSTNESS_NEIGHBOURS {
        return refuse(format!("there are fewer than {ROBUSTNESS_NEIGHBOURS} training cells in a fold"));
    }
    if setting.sources.names().len() < 2 {
        return Ok(());
    }
    for (fold, train, test) in folds(setting.cells) {
        if known(setting, &train, &test).is_empty() {
            return refuse(format!(
                "no source of fold {fold} occurs in another fold, so a classifier cannot learn to recognise any of them; use a split by group, in which a source occurs in several folds"
            ));
        }
    }
    Ok(())
}

pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    if subject.setting.sources.names().len() < 2 {
        return Ok(by_group(subject));
    }
    let mut found = sources(subject)?;
    found.extend(neighbours(subject)?);
    Ok(found)
}

/// The rows of `test` whose source occurs in `train`.
fn known(setting: &Setting<'_>, train: &[usize], test: &[usize]) -> Vec<usize> {
    let mut seen = vec![false; setting.sources.names().len()];
    train.iter().for_each(|&row| seen[setting.sources.of_row()[row] as usize] = true);
    test.iter().copied().filter(|&row| seen[setting.sources.of_row()[row] as usize]).collect()
}

/// How well a classifier recognises the source from features, from the class alone, and from features within their class.
fn sources(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let (cells, sources) = (subject.setting.cells, subject.setting.sources);
    let count = sources.names().len();
    let mut found = Vec::new();
    for (fold, train, test) in folds(cells) {
        let test = known(&subject.setting, &train, &test);
        let rows = Rows { train: &train, test: &test };
        if train.iter().all(|&row| sources.of_row()[row] == sources.of_row()[train[0]]) {
            continue;
        }
        let task = Task { features: subject.features, groups: cells.group_of_row(), of_row: sources.of_row(), count };
        let within = without_class_means(subject, &train);
        let (of_features, note) = task.linear(&rows)?;
        let (of_residuals, note_within) = Task { features: &within, ..task }.linear(&rows)?;
        let by_class = by_class(subject, &rows);
        for (probe, confusion, note) in [
            ("source", of_features, note),
            ("source_by_class", by_class, String::new()),
            ("source_within_class", of_residuals, note_within),
        ] {
            let n_train = train.len() as u64;
            let placed = |measure| Measure { fold: fold.to_owned(), n_train, note: note.clone(), ..measure };
            found.extend(scores(Evaluation::Robustness, probe, &confusion).into_iter().map(placed));
        }
    }
    Ok(found)
}

/// Features less the mean of the training rows of their class; a class without training rows keeps its features.
fn without_class_means(subject: &Subject<'_>, train: &[usize]) -> Features {
    let (features, classes) = (subject.features, subject.setting.cells.classes());
    let dim = features.dim();
    let mut sums = vec![(0.0, vec![0.0; dim]); classes.names().len()];
    for &row in train {
        let (count, sum) = &mut sums[classes.of_row()[row] as usize];
        *count += 1.0;
        sum.iter_mut().zip(features.row(row)).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    let centred = |(row, &class): (&[f32], &u32)| {
        let (count, sum) = &sums[class as usize];
        let count: f64 = f64::max(*count, 1.0);
        row.iter().zip(sum).map(|(&v, sum)| (f64::from(v) - sum / count) as f32).collect::<Vec<f32>>()
    };
    let data = features.data().chunks_exact(dim).zip(classes.of_row()).flat_map(centred).collect();
    Features::new(dim, data).expect("as many rows of finite numbers")
}

/// Tells the source by the class alone: the most frequent source of the class in the training rows.
fn by_class(subject: &Subject<'_>, rows: &Rows<'_>) -> Confusion {
    let (classes, sources) = (subject.setting.cells.classes(), subject.setting.sources);
    let most = super::controls::most_frequent((classes.of_row(), classes.names().len()), sources, rows.train);
    let of = |of_row: &dyn Fn(usize) -> u32| rows.test.iter().map(|&row| of_row(row)).collect::<Vec<u32>>();
    let predicted = of(&|row| most[classes.of_row()[row] as usize]);
    Confusion::new(sources.names().len(), &of(&|row| sources.of_row()[row]), &predicted)
}

/// Neighbours that share one of class and source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Shared {
    /// Same class, other source.
    class: f64,
    /// Other class, same source.
    source: f64,
    /// All neighbours that were looked at.
    all: f64,
}

impl Shared {
    /// Counts a neighbour `there` of a cell `here`, each by its class and source.
    fn count(&mut self, here: (u32, u32), there: (u32, u32)) {
        let (same_class, same_source) = (here.0 == there.0, here.1 == there.1);
        self.class += f64::from(u8::from(same_class && !same_source));
        self.source += f64::from(u8::from(same_source && !same_class));
        self.all += 1.0;
    }

    /// The index; `None` where no neighbour shares exactly one.
    fn index(self) -> Option<f64> {
        (self.class + self.source > 0.0).then(|| self.class / (self.class + self.source))
    }

    fn measures(found: Self, chance: Self, (probe, n): (&str, usize)) -> Vec<Measure> {
        let share = |count: f64| Some(count / found.all);
        let values = [
            ("biology_index", found.index()),
            ("biology_index_by_chance", chance.index()),
            ("same_class_other_source", share(found.class)),
            ("same_source_other_class", share(found.source)),
        ];
        let measure = |(metric, value): (&str, Option<f64>)| {
            Some(Measure { n: n as u64, ..number(Evaluation::Robustness, (probe, metric), value?) })
        };
        values.into_iter().filter_map(measure).collect()
    }
}

/// The index of neighbours in other folds, and so of other groups.
fn neighbours(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let (cells, sources) = (subject.setting.cells, subject.setting.sources);
    let place = |row: usize| (cells.classes().of_row()[row], sources.of_row()[row]);
    let rows = unit_rows(subject.features);
    let (mut found, mut chance) = (Shared::default(), Shared::default());
    for (_, train, test) in folds(cells) {
        let nearest = knn::neighbours(&rows.select(&train), &rows.select(&test), ROBUSTNESS_NEIGHBOURS)?;
        for (i, &row) in test.iter().enumerate() {
            for &near in nearest.of(i) {
                found.count(place(row), place(train[near as usize]));
            }
        }
        pairs(
            &mut chance,
            &train.iter().map(|&row| place(row)).collect::<Vec<_>>(),
            test.iter().map(|&row| place(row)),
        );
    }
    Ok(Shared::measures(found, chance, ("neighbours", cells.len())))
}

/// Counts all pairs of a tested and a searched cell, by their classes and sources.
fn pairs(counts: &mut Shared, searched: &[(u32, u32)], tested: impl Iterator<Item = (u32, u32)>) {
    let (mut classes, mut sources, mut both) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for &(class, source) in searched {
        *classes.entry(class).or_insert(0.0) += 1.0;
        *sources.entry(source).or_insert(0.0) += 1.0;
        *both.entry((class, source)).or_insert(0.0) += 1.0;
    }
    for (class, source) in tested {
        let shared = both.get(&(class, source)).copied().unwrap_or(0.0);
        counts.class += classes.get(&class).copied().unwrap_or(0.0) - shared;
        counts.source += sources.get(&source).copied().unwrap_or(0.0) - shared;
        counts.all += searched.len() as f64;
    }
}

/// The index with groups in the place of sources, of neighbours among all other cells.
fn by_group(subject: &Subject<'_>) -> Vec<Measure> {
    let cells = subject.setting.cells;
    let place = |row: usize| (cells.classes().of_row()[row], cells.group_of_row()[row] as u32);
    let rows = unit_rows(subject.features);
    let points = Points::new(rows.dim(), rows.data()).expect("features are whole rows of finite numbers");
    let nearest = nearest_others(points, ROBUSTNESS_NEIGHBOURS).expect("verified: there are enough cells");
    let (mut found, mut chance) = (Shared::default(), Shared::default());
    for row in 0..cells.len() {
        for near in nearest.of(row) {
            found.count(place(row), place(near.row as usize));
        }
    }
    let all: Vec<(u32, u32)> = (0..cells.len()).map(place).collect();
    // A cell shares class and group with itself, which counts for neither.
    pairs(&mut chance, &all, all.iter().copied());
    let note = "one source: groups stand in the place of sources".to_owned();
    let with_note = |measure| Measure { note: note.clone(), ..measure };
    Shared::measures(found, chance, ("neighbours_by_group", cells.len())).into_iter().map(with_note).collect()
}
