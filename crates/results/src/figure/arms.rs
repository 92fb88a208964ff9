//! A table as a picture: one row per arm, one panel per probe; scores as dots, means as diamonds, paired intervals as bars.

use super::axis::Axis;
use super::curves::Level;
use super::svg::{COLOURS, Font, GRID, INK, Stroke, Svg};
use crate::ResultsError;
use crate::render::metric_words;
use crate::stats::Interval;
use crate::table::{Line, SMOKE_TEST, Table};

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
const FOOT: f64 = 84.0;
const NAME: Font = Font::new(12.5);
const SMALL: Font = Font::new(11.0);

/// One probe's share of the figure.
struct Panel<'a> {
    probe: &'a str,
    arms: Vec<&'a Line>,
    levels: Vec<Level>,
    reference: Option<&'a Line>,
}

/// Draws the arms of a table as SVG.
///
/// A bar is the interval of the paired difference, drawn from the reference arm's mean: where it does not reach the
/// dotted line the arm differs from the reference at the table's level (before Holm's correction). Bars that leave the
/// panel end in an arrow head.
///
/// # Errors
/// [`ResultsError::Empty`] if the table has no arm for what was asked.
pub fn arms(figure: &ArmsFigure<'_>) -> Result<String, ResultsError> {
    let panels: Vec<Panel<'_>> =
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
    let left = 34.0 + names.iter().map(|name| NAME.width(name)).fold(60.0, f64::max);
    let plot_h = ROW_H * names.len() as f64;
    let levels = level_names(&panels);
    let entries = entries(figure, &levels);
    let legend_w = 30.0 + entries.iter().map(|(_, text)| entry_width(text)).sum::<f64>();
    let width = (left + panels.len() as f64 * (PLOT_W + GAP) + 6.0).max(legend_w);
    let mut svg = Svg::new(width, HEAD + plot_h + FOOT);
    let title = figure.table.title.as_str();
    let subtitle = format!("{} on {}, split {}", metric_words(figure.metric), figure.dataset, figure.split);
    svg.text((20.0, 30.0), Font::new(17.0).bold(), title);
    svg.text((20.0, 50.0), Font::new(12.5).faint(), &subtitle);
    if !figure.table.evidence {
        let short = SMOKE_TEST.split(':').next().unwrap_or(SMOKE_TEST);
        svg.text((width - 20.0, 30.0), Font { colour: COLOURS[1], ..Font::new(12.5).bold().at("end") }, short);
    }
    for (row, name) in names.iter().enumerate() {
        let y = row_y(row);
        let is_reference = figure.table.reference.as_ref() == Some(name);
        let font = if is_reference { NAME.bold() } else { NAME };
        svg.text((left - 12.0, y + 4.0), font.at("end"), name);
    }
    for (i, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, &names, &levels, left + i as f64 * (PLOT_W + GAP));
    }
    legend(&mut svg, &entries, HEAD + plot_h + 58.0);
    Ok(svg.finish(title, &subtitle))
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
    Panel { probe, levels: levels.collect(), reference, arms }
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

/// The interval as scores: the reference's mean plus the interval of the difference.
fn bar(line: &Line, reference: Option<&Line>) -> Option<Interval> {
    let interval = line.difference?.interval?;
    let base = reference?.mean;
    Some(Interval { lo: base + interval.lo, hi: base + interval.hi })
}

fn draw(svg: &mut Svg, panel: &Panel<'_>, names: &[String], levels: &[String], left: f64) {
    let bottom = row_y(names.len()) - ROW_H / 2.0;
    let scores = panel.arms.iter().flat_map(|l| l.scores.iter().map(|s| s.2));
    let shown = Axis::holding(scores.clone().chain(panel.levels.iter().map(|l| l.value)), left, left + PLOT_W);
    // Two seeds give intervals wider than any score; bars may widen the axis by half on either side, not more.
    let room = 0.5 * (shown.hi - shown.lo);
    let bars = panel.arms.iter().filter_map(|l| bar(l, panel.reference));
    let ends = bars.flat_map(|b| [b.lo.max(shown.lo - room), b.hi.min(shown.hi + room)]);
    let x = Axis::holding(ends.chain([shown.lo, shown.hi]), left, left + PLOT_W);
    svg.text((left, HEAD - 12.0), Font::new(13.5).bold(), probe_name(panel.probe));
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
        arm(svg, line, panel.reference, &x, row_y(row));
    }
}

fn arm(svg: &mut Svg, line: &Line, reference: Option<&Line>, x: &Axis, y: f64) {
    let colour = COLOURS[0];
    if let Some(bar) = bar(line, reference) {
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
    for (i, &(_, _, value)) in line.scores.iter().enumerate() {
        // Dots of equal scores are set apart by a fixed pattern, not by chance.
        let shift = [0.0, -3.0, 3.0, -6.0, 6.0][i % 5];
        svg.circle((x.at(value), y + shift), 2.8, "#222222", 0.4);
    }
    svg.diamond((x.at(line.mean), y), 6.5, colour);
}

/// What a legend entry shows before its text.
enum Mark {
    Mean,
    Score,
    Line(Stroke<'static>),
}

fn entries(figure: &ArmsFigure<'_>, levels: &[String]) -> Vec<(Mark, String)> {
    let mut entries = vec![(Mark::Mean, "mean, %".to_owned()), (Mark::Score, "one seed and fold".to_owned())];
    if figure.table.reference.is_some() {
        let text = format!("{:.0} % interval of the paired difference", 100.0 * figure.table.level);
        entries.push((Mark::Line(Stroke { colour: COLOURS[0], width: 2.2, dash: "" }), text));
    }
    let levels = levels.iter().enumerate();
    entries.extend(levels.map(|(i, name)| (Mark::Line(level_stroke(i)), name.clone())));
    entries
}

/// Pixels that an entry takes.
fn entry_width(text: &str) -> f64 {
    26.0 + SMALL.width(text) + 16.0
}

fn legend(svg: &mut Svg, entries: &[(Mark, String)], y: f64) {
    let mut x = 20.0;
    for (mark, text) in entries {
        match mark {
            Mark::Mean => svg.diamond((x + 10.0, y), 6.0, COLOURS[0]),
            Mark::Score => svg.circle((x + 10.0, y), 2.8, "#222222", 0.4),
            Mark::Line(stroke) => svg.line((x, y), (x + 20.0, y), *stroke),
        }
        svg.text((x + 26.0, y + 4.0), SMALL, text);
        x += entry_width(text);
    }
}

fn probe_name(probe: &str) -> &str {
    match probe {
        "linear" => "linear probe",
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

    fn table() -> Table {
        let mut rows = Vec::new();
        for (seed, gain) in [(0, 0.02), (1, -0.01)] {
            for (fold, base) in [("0", 0.45), ("1", 0.5)] {
                rows.push(row("base", seed, fold, base));
                rows.push(row("no koleo <b>", seed, fold, base + gain));
                rows.push(ResultRow { features: "histogram".into(), step: 0.into(), ..row("base", seed, fold, 0.4) });
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
        let text = arms(&figure(&table(), "weighted_f1")).unwrap();
        // Two arms and the legend have a diamond; eight scores and the legend have a dot.
        assert_eq!((text.matches("<polygon").count(), text.matches("<circle").count()), (3, 9));
        assert!(text.contains(">no koleo &lt;b&gt;</text>") && text.contains(">histogram</text>"));
        assert!(text.contains("SMOKE TEST, NO EVIDENCE") && text.contains(">1-NN</text>"));
        assert!(!text.contains("linear probe"), "a panel without lines is left out");
    }

    #[test]
    fn wide_bars_stay_inside_and_point_outwards() {
        // t(0.975, 1) makes the interval of two seeds ± 19 points, far beyond the scores.
        let text = arms(&figure(&table(), "weighted_f1")).unwrap();
        assert_eq!(text.matches("<polyline").count(), 2);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(arms(&figure(&table(), "accuracy")).unwrap_err().to_string().contains("accuracy on chula-rbc-12"));
    }
}
