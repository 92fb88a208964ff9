//! A table as blocks of text cells, which the forms for people lay out.

use super::block::Block;
use super::measured;
use super::scale::{Scale, metric_words, p_value};
use crate::measures::Evaluation;
use crate::stats::estimate::Estimate;
use crate::stats::power::SeedsNeeded;
use crate::stats::score::Metric;
use crate::stats::verdict::Verdict;
use crate::table::{ClassLine, Difference, Judged, Line, MeasuredLine, Missing, Table};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// The primary metric of each evaluation set.
    Brief,
    /// Every metric, p values, and the classes.
    Full,
}

/// The blocks of a table, evaluation set by evaluation set, the primary comparison first.
pub(super) fn blocks(table: &Table, detail: Detail) -> Vec<Block> {
    let mut sets: Vec<(&str, &str)> = table.lines.iter().map(|line| (&*line.dataset, &*line.split)).collect();
    sets.dedup();
    let mut blocks = Vec::new();
    for (dataset, split) in sets {
        let of_set = |line: &&Line| (&*line.dataset, &*line.split) == (dataset, split);
        let set = Set {
            table,
            detail,
            name: format!("{dataset}, split {split}"),
            lines: table.lines.iter().filter(of_set).collect(),
            features: table.features.iter().filter(of_set).collect(),
            classes: table.classes.iter().filter(|c| (&*c.dataset, &*c.split) == (dataset, split)).collect(),
            measured: table.measured.iter().filter(|m| (&*m.dataset, &*m.split) == (dataset, split)).collect(),
        };
        blocks.extend(set.primary());
        blocks.extend(set.sources());
        blocks.extend(set.descriptive());
        blocks.extend(set.spread_of_features());
        blocks.extend(set.scores_of_classes());
        blocks.extend(set.measured());
    }
    blocks
}

/// What is known of one evaluation set.
struct Set<'a> {
    table: &'a Table,
    detail: Detail,
    name: String,
    lines: Vec<&'a Line>,
    features: Vec<&'a Line>,
    classes: Vec<&'a ClassLine>,
    measured: Vec<&'a MeasuredLine>,
}

/// The metric shown beside another: rare classes hide in weighted figures.
fn companion(metric: &str) -> Option<&'static str> {
    match metric {
        "weighted_f1" => Some("macro_f1"),
        "macro_f1" => Some("weighted_f1"),
        "accuracy" => Some("balanced_accuracy"),
        "balanced_accuracy" => Some("accuracy"),
        _ => None,
    }
}

/// Heads and cells of one row, side by side, so that they cannot part.
type Cells = Vec<(String, String)>;

fn cell(head: &str, text: impl Into<String>) -> (String, String) {
    (head.to_owned(), text.into())
}

fn block(heading: String, texts: usize, rows: Vec<Cells>, notes: Vec<String>) -> Option<Block> {
    let header = rows.first()?.iter().map(|(head, _)| head.clone()).collect();
    let rows = rows.into_iter().map(|cells| cells.into_iter().map(|(_, text)| text).collect()).collect();
    Some(Block { heading, header, texts, rows, notes })
}

impl<'a> Set<'a> {
    fn full(&self) -> bool {
        self.detail == Detail::Full
    }

    fn primaries(&self) -> Vec<&'a Line> {
        self.lines.iter().copied().filter(|line| line.is_primary).collect()
    }

    /// Whether any difference of `lines` has been looked for.
    fn compares(&self) -> bool {
        self.table.reference.is_some()
    }

    fn is_reference(&self, line: &Line) -> bool {
        !line.is_baseline() && Some(&line.arm) == self.table.reference.as_ref()
    }

    fn primary(&self) -> Option<Block> {
        let lines = self.primaries();
        let first = *lines.first()?;
        let scale = Scale::of(&first.metric);
        let heading =
            format!("{}: primary, {} {}{}", self.name, first.probe, metric_words(&first.metric), scale.unit());
        let rows = lines.iter().map(|line| {
            let mut cells = vec![cell("arm", line.name())];
            cells.extend(self.score(line, scale));
            if self.compares() {
                cells.extend(self.difference(line, scale));
                cells.extend(self.verdict(line, scale));
            }
            cells
        });
        let mut notes = self.notes(&lines);
        notes.extend(self.left_out(&lines));
        notes.extend(self.power(&lines, scale));
        block(heading, 1, rows.collect(), notes)
    }

    /// Seeds, mean and spreads of a line, and the metric that stands beside its own.
    fn score(&self, line: &Line, scale: Scale) -> Cells {
        let mut cells = vec![
            cell("seeds", line.seeds.to_string()),
            cell(&metric_words(&line.metric), scale.spread(line.mean, line.over_seeds)),
        ];
        if self.full() {
            cells.push(cell("± over folds", line.over_folds.map(|std| scale.number(std)).unwrap_or_default()));
        }
        if let Some(beside) = companion(&line.metric) {
            let same = |other: &&&Line| (&other.probe, other.name()) == (&line.probe, line.name());
            let beside_line = self.lines.iter().filter(|other| other.metric == beside).find(same);
            cells.push(cell(&metric_words(beside), beside_line.map(|l| scale.number(l.mean)).unwrap_or_default()));
        }
        cells
    }

    /// The difference to the reference and its two intervals.
    fn difference(&self, line: &Line, scale: Scale) -> Cells {
        let level = self.table.level();
        let heads = ["difference".to_owned(), format!("{:.0} % interval", 100.0 * level), "seeds alone".to_owned()];
        let texts = match &line.difference {
            Some(d) => {
                let interval = |estimate: &Result<Estimate, Missing>| match estimate {
                    Ok(estimate) => {
                        let interval = estimate.interval(level);
                        format!("[{}, {}]", scale.signed(interval.lo), scale.signed(interval.hi))
                    }
                    Err(_) => "none".to_owned(),
                };
                [scale.signed(d.mean), interval(&d.over_seeds_and_groups), interval(&d.over_seeds)]
            }
            None => {
                let why = match () {
                    () if self.is_reference(line) => "reference",
                    () if line.is_published() => "published",
                    () => "no common seed",
                };
                [why.to_owned(), String::new(), String::new()]
            }
        };
        heads.into_iter().zip(texts).collect()
    }

    fn verdict(&self, line: &Line, scale: Scale) -> Cells {
        let judged = line.difference.as_ref().and_then(|d| d.judgement.as_ref());
        let unjudged = if line.is_baseline() || self.is_reference(line) { "" } else { "none" };
        let words = judged.map_or_else(|| unjudged.to_owned(), verdict_words);
        let mut cells = Vec::new();
        if self.full() {
            cells.push(cell("p (Holm)", judged.map(|j| p_value(j.judgement.p_holm)).unwrap_or_default()));
        }
        cells.push(cell("verdict", words));
        if self.full() {
            let detectable = judged.and_then(|j| j.detectable);
            cells.push(cell("detectable", detectable.map(|d| scale.number(d)).unwrap_or_default()));
        }
        cells
    }

    /// What the design of a primary comparison can find.
    fn power(&self, lines: &[&Line], scale: Scale) -> Vec<String> {
        let judged: Vec<(&Line, &Judged, usize)> = lines
            .iter()
            .filter_map(|line| {
                let difference = line.difference.as_ref()?;
                Some((*line, difference.judgement.as_ref()?, difference.seeds))
            })
            .collect();
        let detectable = || judged.iter().filter_map(|(_, judged, _)| judged.detectable);
        let (least, most) = (detectable().fold(f64::INFINITY, f64::min), detectable().fold(0.0, f64::max));
        let mut notes = Vec::new();
        if let Some(seeds) = judged.iter().map(|(.., seeds)| seeds).min().filter(|_| most > 0.0) {
            let (least, most) = (scale.number(least), scale.number(most));
            let most = if least == most { String::new() } else { format!(" ({most} for the most variable arm)") };
            notes.push(format!("with {seeds} seeds the smallest detectable difference is {least} points{most}"));
        }
        let limited: Vec<String> = judged
            .iter()
            .filter(|(_, j, _)| j.judgement.verdict == Verdict::Undecided && j.seeds_needed == SeedsNeeded::OutOfReach)
            .map(|(line, ..)| line.name())
            .collect();
        if !limited.is_empty() {
            notes.push(format!(
                "{}: more seeds would not decide, but more groups (images, patients) would",
                limited.join(", ")
            ));
        }
        notes
    }

    fn sources(&self) -> Option<Block> {
        let lines = self.primaries();
        let first = *lines.first()?;
        let scale = Scale::of(&first.metric);
        let level = self.table.level();
        let row = |line: &&Line| {
            let of = line.difference.as_ref()?.over_sources?;
            let interval = of.estimate.interval(level);
            let test = of.estimate.sign_flip;
            let p = |p: f64| if line.is_baseline() { String::new() } else { p_value(p) };
            Some(vec![
                cell("arm", line.name()),
                cell("sources", of.sources.to_string()),
                cell("difference", scale.signed(of.estimate.mean())),
                cell(
                    &format!("{:.0} % interval", 100.0 * level),
                    format!("[{}, {}]", scale.signed(interval.lo), scale.signed(interval.hi)),
                ),
                cell("p", p(of.estimate.p())),
                cell("smallest possible p", p(test.attainable)),
            ])
        };
        let heading =
            format!("{}: new sources, {} {}{}", self.name, first.probe, metric_words(&first.metric), scale.unit());
        block(heading, 1, lines.iter().filter_map(row).collect(), Vec::new())
    }

    /// What is not primary: in short the other probes by the primary metric, in full every metric.
    fn descriptive(&self) -> Vec<Block> {
        let rest: Vec<&Line> = self.lines.iter().copied().filter(|line| !line.is_primary).collect();
        let mut metrics: Vec<&str> = rest.iter().map(|line| line.metric.as_str()).collect();
        metrics.dedup();
        let primary = rest.first().map(|line| self.primary_metric(line)).unwrap_or_default();
        if self.detail == Detail::Brief && metrics.contains(&primary) {
            metrics = vec![primary];
        }
        metrics.into_iter().filter_map(|metric| self.metric(metric, &rest)).collect()
    }

    fn primary_metric(&self, line: &Line) -> &'static str {
        self.table.primaries.get(&line.dataset).map_or("", |primary| primary.metric.name())
    }

    fn metric(&self, metric: &str, lines: &[&Line]) -> Option<Block> {
        let lines: Vec<&Line> = lines.iter().copied().filter(|line| line.metric == metric).collect();
        let scale = Scale::of(metric);
        let heading = format!("{}: {}{}, descriptive", self.name, metric_words(metric), scale.unit());
        let rows = lines.iter().map(|line| {
            let mut cells = vec![cell("probe", line.probe.clone()), cell("arm", line.name())];
            cells.extend(self.score(line, scale));
            if self.compares() {
                cells.extend(self.difference(line, scale));
            }
            cells
        });
        let notes = self.notes(&lines).into_iter().chain(self.left_out(&lines)).collect();
        block(heading, 2, rows.collect(), notes)
    }

    /// Arms and baselines that are left out of comparisons of `lines`, each once.
    fn left_out(&self, lines: &[&Line]) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for left_out in &self.table.left_out {
            let of = |line: &&Line| {
                (&line.dataset, &line.split, &line.metric, &line.probe)
                    == (&left_out.dataset, &left_out.split, &left_out.metric, &left_out.probe)
            };
            if lines.iter().any(of) && !notes.contains(&left_out.words()) {
                notes.push(left_out.words());
            }
        }
        notes
    }

    fn spread_of_features(&self) -> Option<Block> {
        let mut names: Vec<String> = Vec::new();
        for line in &self.features {
            if !names.contains(&line.name()) {
                names.push(line.name());
            }
        }
        // In the order of the lines of the scores, where arms come first.
        let row = |name: &String| {
            let of = |metric: &str| self.features.iter().find(|l| l.metric == metric && l.name() == *name);
            let number =
                |metric| of(metric).map(|l| Scale::of(metric).spread(l.mean, l.over_seeds)).unwrap_or_default();
            let mut cells = vec![cell("arm", name.clone())];
            cells.extend(FEATURES.map(|metric| cell(&metric_words(metric), number(metric))));
            cells
        };
        let heading = format!("{}: the features themselves, mean ± over seeds", self.name);
        block(heading, 1, names.iter().map(row).collect(), Vec::new())
    }

    fn scores_of_classes(&self) -> Option<Block> {
        let lines: Vec<&ClassLine> =
            self.classes.iter().copied().filter(|line| line.is_primary && self.full()).collect();
        let scale = Scale::Percent;
        let score = |s: crate::stats::Summary| scale.spread(s.mean, s.std);
        let reference = |line: &ClassLine| {
            let is_reference =
                |other: &&&ClassLine| other.class == line.class && Some(&other.name) == self.table.reference.as_ref();
            lines.iter().find(is_reference).map(|other| line.f1.mean - other.f1.mean)
        };
        let rows = lines.iter().map(|line| {
            let mut cells = vec![
                cell("class", line.class.clone()),
                cell("arm", line.name.clone()),
                cell("support", line.support.to_string()),
                cell("precision", score(line.precision)),
                cell("recall", score(line.recall)),
                cell("F1", score(line.f1)),
            ];
            if self.compares() {
                let is_reference = Some(&line.name) == self.table.reference.as_ref();
                let difference = reference(line).filter(|_| !is_reference);
                cells.push(cell("F1, difference", difference.map(|d| scale.signed(d)).unwrap_or_default()));
            }
            cells
        });
        let probe = lines.first().map(|line| line.probe.clone()).unwrap_or_default();
        let heading = format!("{}: classes, {probe} in %, all folds together, ± over seeds, descriptive", self.name);
        block(heading, 2, rows.collect(), Vec::new())
    }

    /// What further evaluations found: a block an evaluation.
    fn measured(&self) -> Vec<Block> {
        let wanted = self.lines.first().map(|line| self.primary_metric(line));
        let shown = |line: &&MeasuredLine| {
            let other = Metric::named(&line.metric).is_some() && Some(line.metric.as_str()) != wanted;
            line.metric != CURVE && (self.full() || !other)
        };
        let of = |&evaluation: &Evaluation| {
            let lines: Vec<&MeasuredLine> =
                self.measured.iter().copied().filter(|line| line.evaluation == evaluation).filter(shown).collect();
            measured::block(&self.name, evaluation, &lines)
        };
        Evaluation::ALL.iter().filter_map(of).collect()
    }

    /// Notes of the rows, and why intervals are missing; each once, after the lines that it is about.
    fn notes(&self, lines: &[&Line]) -> Vec<String> {
        let mut notes: Vec<(String, Vec<&Line>)> = Vec::new();
        for &line in lines {
            let missing = line.difference.iter().flat_map(missing);
            for note in line.notes.iter().cloned().chain(missing) {
                match notes.iter_mut().find(|(known, _)| *known == note) {
                    Some((_, about)) => about.push(line),
                    None => notes.push((note, vec![line])),
                }
            }
        }
        notes.into_iter().map(|(note, about)| format!("{}: {note}", names(&about, lines))).collect()
    }
}

/// The metric of a curve, which pictures show.
const CURVE: &str = "risk";

/// Metrics of the features themselves, in the order shown.
const FEATURES: [&str; 4] = ["median_std", "effective_rank", "alignment", "uniformity"];

/// Why intervals of a difference are missing, one sentence where one reason has taken both; and where groups add nothing to one.
fn missing(difference: &Difference) -> Vec<String> {
    let Difference { over_seeds_and_groups, over_seeds, spread, .. } = difference;
    match (over_seeds_and_groups, over_seeds) {
        (Ok(_), Ok(_)) if spread.is_some_and(|spread| spread.floor == 0.0) => {
            vec!["no variation between groups was measured, so the interval over new groups is no wider than that over seeds alone".to_owned()]
        }
        (Ok(_), Ok(_)) => Vec::new(),
        (Ok(_), Err(seeds)) => vec![format!("no interval over seeds alone: {seeds}")],
        (Err(groups), Ok(_)) => vec![format!("no interval over groups: {groups}")],
        (Err(groups), Err(seeds)) if groups == seeds => vec![format!("no interval: {groups}")],
        (Err(groups), Err(seeds)) => {
            vec![format!("no interval over groups: {groups}"), format!("no interval over seeds alone: {seeds}")]
        }
    }
}

/// Which of `all` lines a note is about, in as few words as it takes.
fn names(about: &[&Line], all: &[&Line]) -> String {
    let is_about = |line: &&Line| about.iter().any(|other| std::ptr::eq(*other, *line));
    let exactly = |wanted: &dyn Fn(&Line) -> bool| all.iter().all(|line| wanted(line) == is_about(line));
    if about.len() > 2 && exactly(&|line| line.difference.is_some()) {
        return "all differences".to_owned();
    }
    if about.len() > 1 && exactly(&|line| !line.is_baseline()) {
        return "all arms".to_owned();
    }
    let mut of_probes: Vec<(&str, Vec<String>)> = Vec::new();
    for line in all {
        if !of_probes.iter().any(|(probe, _)| *probe == line.probe) {
            let of_probe: Vec<&Line> = all.iter().copied().filter(|other| other.probe == line.probe).collect();
            of_probes.push((&line.probe, of_one_probe(&of_probe, is_about)));
        }
    }
    // Where every probe has the same names, they are said once.
    if of_probes.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        return of_probes.first().map(|(_, names)| names.join(", ")).unwrap_or_default();
    }
    of_probes.retain(|(_, names)| !names.is_empty());
    of_probes.iter().map(|(probe, names)| format!("{probe} {}", names.join(", "))).collect::<Vec<_>>().join("; ")
}

fn of_one_probe(lines: &[&Line], is_about: impl Fn(&&Line) -> bool) -> Vec<String> {
    let arms = lines.iter().filter(|line| !line.is_baseline()).count();
    if arms > 1 && lines.iter().all(|line| is_about(line) != line.is_baseline()) {
        return vec!["all arms".to_owned()];
    }
    lines.iter().copied().filter(is_about).map(Line::name).collect()
}

/// The verdict, with the seeds that would decide an undecided one.
fn verdict_words(judged: &Judged) -> String {
    let verdict = judged.judgement.verdict;
    match (verdict, judged.seeds_needed) {
        (Verdict::Undecided, SeedsNeeded::More(n)) => format!("{} +{n}", verdict.words()),
        _ => verdict.words().to_owned(),
    }
}
