//! A table as data of a page.

use std::collections::BTreeSet;

use results::render::metric_words;
use results::stats::Interval;
use results::stats::score::Metric;
use results::stats::verdict::Verdict;
use results::table::{self, ClassLine, Table};

use crate::data::{Arm, ClassScores, Difference, Evaluation, Kind, Line, Outcome, PerClass, PrimaryScore, Unit};
use crate::measured;
use crate::sentence::sentence;

/// The evaluation sets of a table, with what it says of each. `arms` are the arms of the sweep in order: one without scores
/// has no verdict, and says so.
pub fn evaluations(table: &Table, arms: &[String]) -> Vec<Evaluation> {
    let sets: BTreeSet<(&str, &str)> = table.lines.iter().map(|line| (&*line.dataset, &*line.split)).collect();
    sets.into_iter().map(|(dataset, split)| evaluation(table, arms, dataset, split)).collect()
}

fn evaluation(table: &Table, arms: &[String], dataset: &str, split: &str) -> Evaluation {
    let of_set = |line: &&table::Line| (&*line.dataset, &*line.split) == (dataset, split);
    let primary = table.primaries.get(dataset).copied().unwrap_or_default();
    let (probe, metric) = (primary.probe.name(), primary.metric.name());
    let lines: Vec<&table::Line> = table.lines.iter().filter(of_set).collect();
    let about_features = table.features.iter().filter(of_set);
    let mut found: Vec<Arm> = lines.iter().filter(|line| line.is_primary).map(|line| arm(table, line)).collect();
    found.extend(without_scores(table, arms, &found));
    Evaluation {
        name: dataset.to_owned(),
        split: split.to_owned(),
        primary: PrimaryScore {
            probe: probe.to_owned(),
            metric: metric.to_owned(),
            words: format!("{} {}", probe.replace('_', " "), metric_words(metric)),
            unit: unit(metric),
        },
        arms: found,
        lines: lines.iter().copied().chain(about_features).map(|found| line(table, found)).collect(),
        per_class: per_class(table, dataset, split),
        per_source: None,
        measured: measured::tables(table, dataset, split),
        confusion: None,
        mistakes: Vec::new(),
        map: None,
        atlas: None,
    }
}

fn without_scores(table: &Table, arms: &[String], found: &[Arm]) -> Vec<Arm> {
    let Some(reference) = &table.reference else { return Vec::new() };
    let lacks = |name: &&String| *name != reference && !found.iter().any(|arm| arm.name == **name);
    let arm = |name: &String| Arm {
        name: name.clone(),
        kind: Kind::Arm,
        difference: None,
        verdict: Some(Outcome::None),
        sentence: format!("There is no verdict on {name}: it has no scores of this probe yet."),
    };
    arms.iter().filter(lacks).map(arm).collect()
}

fn kind(table: &Table, line: &table::Line) -> Kind {
    if line.is_baseline() {
        Kind::Baseline
    } else if table.reference.as_ref() == Some(&line.arm) {
        Kind::Reference
    } else {
        Kind::Arm
    }
}

fn unit(metric: &str) -> Unit {
    if Metric::named(metric).is_some() { Unit::Fraction } else { Unit::Number }
}

fn arm(table: &Table, line: &table::Line) -> Arm {
    let kind = kind(table, line);
    let is_judged = kind == Kind::Arm && table.reference.is_some();
    Arm {
        name: line.name(),
        kind,
        difference: line.difference.as_ref().map(|found| difference(table, found)),
        verdict: is_judged.then(|| outcome(line).unwrap_or(Outcome::None)),
        sentence: if is_judged { sentence(table, line) } else { String::new() },
    }
}

fn outcome(line: &table::Line) -> Option<Outcome> {
    let judged = line.difference.as_ref()?.judgement.as_ref()?;
    Some(match judged.judgement.verdict {
        Verdict::Better => Outcome::Better,
        Verdict::Worse => Outcome::Worse,
        Verdict::Equivalent => Outcome::Equivalent,
        Verdict::Undecided => Outcome::Undecided,
    })
}

fn difference(table: &Table, found: &table::Difference) -> Difference {
    let ends = |interval: Interval| [interval.lo, interval.hi];
    let both = found.over_seeds_and_groups.as_ref();
    Difference {
        mean: found.mean,
        interval: both.ok().map(|estimate| ends(estimate.interval(table.level()))),
        equivalence_interval: both.ok().map(|estimate| ends(estimate.interval(1.0 - 2.0 * table.rules.alpha))),
        seeds_interval: found.over_seeds.as_ref().ok().map(|estimate| ends(estimate.interval(table.level()))),
        missing: both.err().map(ToString::to_string),
    }
}

fn line(table: &Table, found: &table::Line) -> Line {
    let judged = found.difference.as_ref().and_then(|difference| difference.judgement.as_ref());
    Line {
        name: found.name(),
        kind: kind(table, found),
        probe: found.probe.clone(),
        metric: found.metric.clone(),
        words: metric_words(&found.metric),
        unit: unit(&found.metric),
        seeds: found.seeds,
        mean: found.mean,
        over_seeds: found.over_seeds,
        over_folds: found.over_folds,
        difference: found.difference.as_ref().map(|found| difference(table, found)),
        p_holm: judged.map(|judged| judged.judgement.p_holm),
        verdict: outcome(found),
        notes: found.notes.clone(),
    }
}

fn per_class(table: &Table, dataset: &str, split: &str) -> Option<PerClass> {
    let of_set = |class: &&ClassLine| (&*class.dataset, &*class.split) == (dataset, split) && class.is_primary;
    let lines: Vec<&ClassLine> = table.classes.iter().filter(of_set).collect();
    let first = lines.first()?;
    let of_first: Vec<&&ClassLine> = lines.iter().filter(|line| line.name == first.name).collect();
    let mut arms: Vec<ClassScores> = Vec::new();
    for line in &lines {
        let at = arms.iter().position(|arm| arm.name == line.name).unwrap_or_else(|| {
            let kind = class_kind(table, line);
            arms.push(ClassScores { name: line.name.clone(), kind, precision: vec![], recall: vec![], f1: vec![] });
            arms.len() - 1
        });
        arms[at].precision.push(line.precision.mean);
        arms[at].recall.push(line.recall.mean);
        arms[at].f1.push(line.f1.mean);
    }
    Some(PerClass {
        classes: of_first.iter().map(|line| line.class.clone()).collect(),
        support: of_first.iter().map(|line| line.support).collect(),
        arms,
    })
}

fn class_kind(table: &Table, line: &ClassLine) -> Kind {
    match (line.features == results::TEACHER, table.reference.as_ref() == Some(&line.arm)) {
        (false, _) => Kind::Baseline,
        (true, true) => Kind::Reference,
        (true, false) => Kind::Arm,
    }
}
