//! A table as a picture: one row per arm, one panel per probe; seeds as dots, means as diamonds, paired intervals as bars, and beside
//! the primary panel the verdicts.

use super::axis::Axis;
use super::curves::Level;
use super::svg::{COLOURS, FAINT, Font, GRID, INK, Stroke, Svg};
use crate::ResultsError;
use crate::render::{metric_words, shortened};
use crate::stats::Interval;
use crate::stats::estimate::Estimate;
use crate::stats::power::SeedsNeeded;
use crate::stats::verdict::Verdict;
use crate::table::{Difference, Line, Missing, SMOKE_TEST, Table};

/// What of a table to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmsFigure<'a> {
    /// The table whose lines are drawn.
    pub table: &'a Table,
    /// Name of the data set to draw.
    pub dataset: &'a str,
    /// Name of the split to draw.
    pub split: &'a str,
    /// Metric; it must be a fraction, since the axis is in percent.
    pub metric: &'a str,
    /// Probes, one panel each; those without lines are left out.
    pub probes: &'a [&'a str],
}

const ROW_H: f64 = 30.0;
const PLOT_W: f64 = 240.0;
const GAP: f64 = 26.0;
const HEAD: f64 = 92.0;
const FOOT: f64 = 46.0;
const LEGEND_LINE: f64 = 20.0;
/// Room for the verdicts to the right of the primary panel.
const VERDICT_W: f64 = 96.0;
/// Characters of a name; longer ones lose their middle.
const LONGEST_NAME: usize = 40;
const NAME: Font = Font::new(12.5);
const SMALL: Font = Font::new(11.0);
/// Colour of the region of practical equivalence.
const REGION: &str = "#009E73";

/// One probe's share of the figure.
struct Panel<'a> {
    table: &'a Table,
    probe: &'a str,
    arms: Vec<&'a Line>,
    levels: Vec<Level>,
    reference: Option<&'a Line>,
    is_primary: bool,
    left: f64,
}

/// Draws the arms of a table as SVG.
///
/// A bar is an interval of the paired difference, drawn from the reference arm's mean: the thin one over new seeds and groups, the
/// broad one behind it over new seeds alone. On the primary panel the region of practical equivalence is a band around the
/// reference, and the verdicts stand to the right. Bars that leave the panel end in an arrow head.
///
/// # Errors
/// [`ResultsError::Empty`] if the table has no arm for what was asked.
pub fn arms(figure: &ArmsFigure<'_>) -> Result<String, ResultsError> {
    let mut panels: Vec<Panel<'_>> =
        figure.probes.iter().map(|p| panel(figure, p)).filter(|p| !p.arms.is_empty()).collect();
    let mut names: Vec<String> = Vec::new();
    for line in panels.iter().flat_map(|p| &p.arms) {
        if !names.contains(&line.name()) {
            names.push(line.name());
        }
    }
    if names.is_empty() {
        let ArmsFigure { dataset, split, metric, .. } = figure;
        return Err(ResultsError::Empty { what: format!("{metric} on {dataset}, split {split}") });
    }
    let left = 34.0 + names.iter().map(|name| NAME.width(&shown(name))).fold(60.0, f64::max);
    let mut right = left;
    for panel in &mut panels {
        panel.left = right;
        right += PLOT_W + GAP + if panel.is_primary { VERDICT_W } else { 0.0 };
    }
    let bottom = HEAD + ROW_H * names.len() as f64;
    let levels = level_names(&panels);
    let head = Head::of(figure);
    let width = (right + 6.0).max(head.width());
    let legend = placed(entries(&panels, &levels), width - 40.0);
    let legend_h = LEGEND_LINE * (1 + legend.last().map_or(0, |entry| entry.line)) as f64;
    let mut svg = Svg::new(width, bottom + FOOT + legend_h);
    head.draw(&mut svg, width);
    for (row, name) in names.iter().enumerate() {
        let is_reference = figure.table.reference.as_ref() == Some(name);
        let font = if is_reference { NAME.bold() } else { NAME };
        svg.text((left - 12.0, row_y(row) + 4.0), font.at("end"), &shown(name));
    }
    for panel in &panels {
        draw(&mut svg, panel, &names, &levels);
    }
    draw_legend(&mut svg, &legend, bottom + FOOT);
    Ok(svg.finish(head.title, &description(&head.subtitle, &panels)))
}

fn shown(name: &str) -> String {
    shortened(name, LONGEST_NAME)
}

/// Title, subtitle and the warning of a smoke test.
struct Head<'a> {
    title: &'a str,
    subtitle: String,
    warning: Option<&'static str>,
}

impl<'a> Head<'a> {
    const TITLE: Font = Font::new(17.0).bold();
    const SUBTITLE: Font = Font::new(12.5).faint();
    const WARNING: Font = Font { colour: COLOURS[1], ..Font::new(12.5).bold().at("end") };

    fn of(figure: &ArmsFigure<'a>) -> Self {
        let subtitle = format!("{} on {}, split {}", metric_words(figure.metric), figure.dataset, figure.split);
        let warning = (!figure.table.evidence).then(|| SMOKE_TEST.split(':').next().unwrap_or(SMOKE_TEST));
        Self { title: &figure.table.title, subtitle, warning }
    }

    fn width(&self) -> f64 {
        let warning = self.warning.map_or(0.0, |text| Self::WARNING.width(text) + 30.0);
        (Self::TITLE.width(self.title) + warning).max(Self::SUBTITLE.width(&self.subtitle)) + 40.0
    }

    fn draw(&self, svg: &mut Svg, width: f64) {
        svg.text((20.0, 30.0), Self::TITLE, self.title);
        svg.text((20.0, 50.0), Self::SUBTITLE, &self.subtitle);
        if let Some(warning) = self.warning {
            svg.text((width - 20.0, 30.0), Self::WARNING, warning);
        }
    }
}

/// What a screen reader says: the verdicts.
fn description(subtitle: &str, panels: &[Panel<'_>]) -> String {
    let primary = panels.iter().filter(|panel| panel.is_primary);
    let verdicts: Vec<String> = primary
        .flat_map(|panel| &panel.arms)
        .filter_map(|line| Some(format!("{}: {}", line.name(), verdict(line)?.0)))
        .collect();
    if verdicts.is_empty() { subtitle.to_owned() } else { format!("{subtitle}. {}", verdicts.join("; ")) }
}

fn row_y(row: usize) -> f64 {
    HEAD + ROW_H * (row as f64 + 0.5)
}

fn panel<'a>(figure: &ArmsFigure<'a>, probe: &'a str) -> Panel<'a> {
    let lines = figure.table.comparison(figure.dataset, figure.split, figure.metric, probe);
    let (levels, arms): (Vec<&Line>, Vec<&Line>) = lines.into_iter().partition(|l| l.is_baseline());
    let levels = levels.into_iter().map(|l| {
        let name = l.name();
        Level { name: name.strip_prefix("baseline: ").unwrap_or(&name).to_owned(), value: l.mean }
    });
    let reference = arms.iter().copied().find(|l| Some(&l.arm) == figure.table.reference.as_ref());
    let is_primary = arms.iter().any(|line| line.is_primary) && reference.is_some();
    Panel { table: figure.table, probe, levels: levels.collect(), reference, arms, is_primary, left: 0.0 }
}

/// Names of all baselines, in order of appearance; a name has one dash pattern in every panel.
fn level_names(panels: &[Panel<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for level in panels.iter().flat_map(|p| &p.levels) {
        if !names.contains(&level.name) {
            names.push(level.name.clone());
        }
    }
    names
}

fn level_stroke(i: usize) -> Stroke<'static> {
    let colour = [COLOURS[1], COLOURS[3], COLOURS[4], COLOURS[6]][i % 4];
    Stroke { colour, width: 1.6, dash: ["6 4", "2 3", "9 3 2 3"][i % 3] }
}

/// Which interval a bar shows.
type Of = fn(&Difference) -> &Result<Estimate, Missing>;

const GROUPS: Of = |difference| &difference.over_seeds_and_groups;
const SEEDS: Of = |difference| &difference.over_seeds;

impl Panel<'_> {
    /// An interval of a difference as scores: the reference's mean plus the interval.
    fn bar(&self, line: &Line, of: Of) -> Option<Interval> {
        let interval = of(line.difference.as_ref()?).as_ref().ok()?.interval(self.table.level());
        let base = self.reference?.mean;
        Some(Interval { lo: base + interval.lo, hi: base + interval.hi })
    }

    /// The region of practical equivalence as scores.
    fn region(&self) -> Option<Interval> {
        let (base, margin) = (self.reference?.mean, self.table.rules.margin);
        self.is_primary.then_some(Interval { lo: base - margin, hi: base + margin })
    }

    fn axis(&self) -> Axis {
        let (start, end) = (self.left, self.left + PLOT_W);
        let scores = self.arms.iter().flat_map(|l| l.by_seed.iter().map(|(_, score)| *score));
        let levels = self.levels.iter().map(|level| level.value);
        let region = self.region().into_iter().flat_map(|region| [region.lo, region.hi]);
        let shown = Axis::holding(scores.chain(levels).chain(region), start, end);
        // Few seeds give intervals wider than any score; bars may widen the axis by half on either side, not more.
        let room = 0.5 * (shown.hi - shown.lo);
        let bars = self.arms.iter().flat_map(|l| [self.bar(l, GROUPS), self.bar(l, SEEDS)]).flatten();
        let ends = bars.flat_map(|b| [b.lo.max(shown.lo - room), b.hi.min(shown.hi + room)]);
        Axis::holding(ends.chain([shown.lo, shown.hi]), start, end)
    }
}

fn draw(svg: &mut Svg, panel: &Panel<'_>, names: &[String], levels: &[String]) {
    let (x, left, bottom) = (panel.axis(), panel.left, row_y(names.len()) - ROW_H / 2.0);
    let primary = if panel.is_primary { " (primary)" } else { "" };
    svg.text((left, HEAD - 12.0), Font::new(13.5).bold(), &format!("{}{primary}", probe_name(panel.probe)));
    if let Some(region) = panel.region() {
        svg.rect((x.at(region.lo), HEAD), (x.at(region.hi) - x.at(region.lo), bottom - HEAD), REGION, 0.16);
    }
    for (value, _) in x.ticks(4) {
        svg.line((x.at(value), HEAD), (x.at(value), bottom), Stroke { colour: GRID, width: 1.0, dash: "" });
        let label = format!("{:.1}", 100.0 * value);
        let label = label.strip_suffix(".0").unwrap_or(&label);
        svg.text((x.at(value), bottom + 17.0), SMALL.at("middle"), label);
    }
    svg.line((left, bottom), (left + PLOT_W, bottom), Stroke { colour: INK, width: 1.0, dash: "" });
    for level in &panel.levels {
        let i = levels.iter().position(|n| *n == level.name).unwrap_or(0);
        svg.line((x.at(level.value), HEAD), (x.at(level.value), bottom), level_stroke(i));
    }
    if let Some(reference) = panel.reference {
        let at = x.at(reference.mean);
        svg.line((at, HEAD), (at, bottom), Stroke { colour: COLOURS[0], width: 1.0, dash: "1 3" });
    }
    for line in &panel.arms {
        let row = names.iter().position(|n| *n == line.name()).unwrap_or(0);
        arm(svg, panel, line, &x, row_y(row));
    }
    if panel.is_primary {
        draw_verdicts(svg, panel, names);
    }
}

fn draw_verdicts(svg: &mut Svg, panel: &Panel<'_>, names: &[String]) {
    let at = panel.left + PLOT_W + 12.0;
    svg.text((at, HEAD - 12.0), SMALL.faint(), "verdict");
    for line in &panel.arms {
        let row = names.iter().position(|n| *n == line.name()).unwrap_or(0);
        if let Some((text, font)) = verdict(line) {
            svg.text((at, row_y(row) + 4.0), font, &text);
        }
    }
}

/// The verdict on an arm and how it is written; `None` for the reference.
fn verdict(line: &Line) -> Option<(String, Font)> {
    let difference = line.difference.as_ref()?;
    let Some(judged) = &difference.judgement else { return Some(("no verdict".to_owned(), NAME.faint())) };
    let verdict = judged.judgement.verdict;
    let font = match verdict {
        Verdict::Better => Font { colour: COLOURS[0], ..NAME.bold() },
        Verdict::Worse => Font { colour: COLOURS[1], ..NAME.bold() },
        Verdict::Equivalent => Font { colour: REGION, ..NAME.bold() },
        Verdict::Undecided => Font { colour: FAINT, ..NAME },
    };
    let more = match judged.seeds_needed {
        SeedsNeeded::More(n) if verdict == Verdict::Undecided => format!(" +{n}"),
        _ => String::new(),
    };
    Some((format!("{}{more}", verdict.words()), font))
}

fn arm(svg: &mut Svg, panel: &Panel<'_>, line: &Line, x: &Axis, y: f64) {
    let colour = COLOURS[0];
    if let Some(bar) = panel.bar(line, SEEDS) {
        let (lo, hi) = (x.clamped(bar.lo), x.clamped(bar.hi));
        svg.rect((lo, y - 4.5), (hi - lo, 9.0), colour, 0.22);
    }
    if let Some(bar) = panel.bar(line, GROUPS) {
        let stroke = Stroke { colour, width: 2.2, dash: "" };
        svg.line((x.clamped(bar.lo), y), (x.clamped(bar.hi), y), stroke);
        for (end, inward) in [(bar.lo, 5.0), (bar.hi, -5.0)] {
            let at = x.clamped(end);
            if end < x.lo || end > x.hi {
                svg.polyline(&[(at + inward, y - 4.0), (at, y), (at + inward, y + 4.0)], stroke);
            } else {
                svg.line((at, y - 4.0), (at, y + 4.0), stroke);
            }
        }
    }
    for (i, &(_, value)) in line.by_seed.iter().enumerate() {
        // Dots of equal scores are set apart by a fixed pattern, not by chance.
        let shift = [0.0, -3.0, 3.0, -6.0, 6.0][i % 5];
        svg.circle((x.at(value), y + shift), 2.8, INK, 0.45);
    }
    svg.diamond((x.at(line.mean), y), 5.5, colour);
}

/// What a legend entry shows before its text.
enum Mark {
    Mean,
    Seed,
    SeedsAlone,
    Region,
    Line(Stroke<'static>),
}

/// An entry of the legend and its place.
struct Entry {
    mark: Mark,
    text: String,
    x: f64,
    line: usize,
}

fn entries(panels: &[Panel<'_>], levels: &[String]) -> Vec<(Mark, String)> {
    let mut entries = vec![(Mark::Mean, "mean, %".to_owned()), (Mark::Seed, "one seed".to_owned())];
    let any = |of: Of| panels.iter().any(|panel| panel.arms.iter().any(|line| panel.bar(line, of).is_some()));
    let level = panels.first().map_or(0.0, |panel| 100.0 * panel.table.level());
    if any(GROUPS) {
        let text = format!("{level:.0} % interval of the paired difference, new seeds and groups");
        entries.push((Mark::Line(Stroke { colour: COLOURS[0], width: 2.2, dash: "" }), text));
    }
    if any(SEEDS) {
        entries.push((Mark::SeedsAlone, format!("{level:.0} %, new seeds alone")));
    }
    if let Some(panel) = panels.iter().find(|panel| panel.region().is_some()) {
        entries.push((Mark::Region, format!("region of equivalence, ±{} points", 100.0 * panel.table.rules.margin)));
    }
    let levels = levels.iter().enumerate();
    entries.extend(levels.map(|(i, name)| (Mark::Line(level_stroke(i)), shortened(name, LONGEST_NAME))));
    entries
}

/// Puts entries side by side, in as many lines as `width` pixels ask for.
fn placed(entries: Vec<(Mark, String)>, width: f64) -> Vec<Entry> {
    let (mut x, mut line) = (0.0, 0);
    let mut placed = Vec::new();
    for (mark, text) in entries {
        let needs = 26.0 + SMALL.width(&text) + 16.0;
        if x > 0.0 && x + needs > width {
            (x, line) = (0.0, line + 1);
        }
        placed.push(Entry { mark, text, x, line });
        x += needs;
    }
    placed
}

fn draw_legend(svg: &mut Svg, entries: &[Entry], top: f64) {
    for Entry { mark, text, x, line } in entries {
        let (x, y) = (20.0 + x, top + LEGEND_LINE * *line as f64);
        match mark {
            Mark::Mean => svg.diamond((x + 10.0, y), 6.0, COLOURS[0]),
            Mark::Seed => svg.circle((x + 10.0, y), 2.8, INK, 0.45),
            Mark::SeedsAlone => svg.rect((x, y - 4.5), (20.0, 9.0), COLOURS[0], 0.22),
            Mark::Region => svg.rect((x, y - 7.0), (20.0, 14.0), REGION, 0.16),
            Mark::Line(stroke) => svg.line((x, y), (x + 20.0, y), *stroke),
        }
        svg.text((x + 26.0, y + 4.0), SMALL, text);
    }
}

fn probe_name(probe: &str) -> &str {
    match probe {
        "linear" => "linear probe",
        "linear_standardised" => "linear, standardised",
        "1nn" => "1-NN",
        "20nn" => "20-NN",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ResultRow;
    use crate::row::tests::row;
    use crate::table::TableOptions;

    fn table(gains: &[f64]) -> Table {
        let mut rows = Vec::new();
        for (seed, gain) in gains.iter().enumerate() {
            for (fold, base) in [("0", 0.45), ("1", 0.5)] {
                rows.push(row("base", seed as u64, fold, base));
                rows.push(row("no koleo <b>", seed as u64, fold, base + gain));
                let baseline = row("base", seed as u64, fold, 0.4);
                rows.push(ResultRow { features: "histogram".into(), step: 0.into(), ..baseline });
            }
        }
        let options = TableOptions { reference: Some("base".into()), evidence: false, ..TableOptions::default() };
        Table::build(&rows, &[], &options).unwrap()
    }

    fn figure<'a>(table: &'a Table, metric: &'a str) -> ArmsFigure<'a> {
        ArmsFigure { table, dataset: "chula-rbc-12", split: "grouped-5", metric, probes: &["linear", "1nn"] }
    }

    #[test]
    fn arms_scores_and_baselines_are_all_drawn() {
        let text = arms(&figure(&table(&[0.02, -0.01]), "weighted_f1")).unwrap();
        // Two arms and the legend have a diamond; two seeds of each and the legend have a dot.
        assert_eq!((text.matches("<polygon").count(), text.matches("<circle").count()), (3, 5));
        assert!(text.contains(">no koleo &lt;b&gt;</text>") && text.contains(">histogram</text>"));
        assert!(text.contains("SMOKE TEST, NO EVIDENCE") && text.contains(">1-NN</text>"));
        assert!(!text.contains("linear probe"), "a panel without lines is left out");
        assert!(!text.contains("interval") && !text.contains("verdict"), "two seeds give neither");
    }

    #[test]
    fn wide_bars_stay_inside_and_point_outwards() {
        // The bar of three seeds is ± 75 points, far beyond the scores.
        let text = arms(&figure(&table(&[0.3, -0.3, 0.0]), "weighted_f1")).unwrap();
        let numbers = text.split('"').filter_map(|part| part.parse::<f64>().ok());
        assert!(numbers.clone().all(|x| (-1.0..2000.0).contains(&x)), "{:?}", numbers.collect::<Vec<_>>());
        assert!(text.contains("95 %, new seeds alone") && !text.contains("new seeds and groups"));
    }

    #[test]
    fn legends_wrap_within_their_width() {
        let entries = (0..5).map(|i| (Mark::Mean, format!("a rather long entry {i}"))).collect();
        let placed = placed(entries, 300.0);
        assert!(placed.last().is_some_and(|entry| entry.line == 4) || placed.iter().all(|entry| entry.x < 300.0));
        assert!(placed.iter().map(|entry| entry.line).max() > Some(0));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let error = arms(&figure(&table(&[0.0, 0.1]), "accuracy")).unwrap_err().to_string();
        assert!(error.contains("accuracy on chula-rbc-12"));
    }
}
