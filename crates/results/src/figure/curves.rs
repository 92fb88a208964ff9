//! Values over steps (or hours): loss terms, learning rates, probe scores, with baselines as dashed lines.

use super::axis::Axis;
use super::svg::{COLOURS, Font, GRID, INK, Stroke, Svg};
use crate::ResultsError;

/// One line of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// (x, y) in the order of x. A value that is not finite leaves a gap; more than 600 points are averaged in
    /// equal groups.
    pub points: Vec<(f64, f64)>,
}

/// A value that does not change: a baseline, drawn as a dashed line.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Name in the legend.
    pub name: String,
    /// The value on the vertical axis.
    pub value: f64,
}

/// One coordinate system of a figure, with its curves and baselines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Panel {
    /// What the panel shows.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// The lines that change along the horizontal axis.
    pub curves: Vec<Curve>,
    /// Baselines, drawn as horizontal dashed lines.
    pub levels: Vec<Level>,
}

/// A figure of panels in rows of three.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CurvesFigure {
    /// Title above all panels of the figure.
    pub title: String,
    /// A sentence below the title: what was run, on what; the smoke-test warning where it is one.
    pub subtitle: String,
    /// The panels, row by row from the left.
    pub panels: Vec<Panel>,
}

const PANEL_W: f64 = 380.0;
const PLOT_H: f64 = 210.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const HEAD: f64 = 66.0;
const LEGEND_LINE: f64 = 17.0;
const SMALL: Font = Font::new(11.0);

/// Draws `figure` as SVG.
///
/// # Errors
/// [`ResultsError::Empty`] for a figure without panels or a panel without a single finite point.
pub fn curves(figure: &CurvesFigure) -> Result<String, ResultsError> {
    if figure.panels.is_empty() {
        return Err(ResultsError::Empty { what: format!("figure {:?}", figure.title) });
    }
    if let Some(panel) = figure.panels.iter().find(|p| finite(p).next().is_none()) {
        return Err(ResultsError::Empty { what: format!("panel {:?} of figure {:?}", panel.title, figure.title) });
    }
    let per_row = figure.panels.len().min(3);
    let rows: Vec<&[Panel]> = figure.panels.chunks(per_row).collect();
    // All panels of a row leave the room that the longest legend needs, so that their plots line up.
    let legends: Vec<usize> = rows.iter().map(|row| row.iter().map(legend_lines).max().unwrap_or(0)).collect();
    let row_height = |lines: usize| 24.0 + LEGEND_LINE * lines as f64 + PLOT_H + 52.0;
    let width = (PANEL_W * per_row as f64 + 12.0).max(Font::new(12.5).width(&figure.subtitle) + 40.0);
    let height = HEAD + legends.iter().map(|&l| row_height(l)).sum::<f64>();
    let mut svg = Svg::new(width, height);
    svg.text((20.0, 30.0), Font::new(17.0).bold(), &figure.title);
    svg.text((20.0, 50.0), Font::new(12.5).faint(), &figure.subtitle);
    let mut top = HEAD;
    for (row, &lines) in rows.iter().zip(&legends) {
        for (column, panel) in row.iter().enumerate() {
            draw(&mut svg, panel, PANEL_W * column as f64, top, lines);
        }
        top += row_height(lines);
    }
    Ok(svg.finish(&figure.title, &figure.subtitle))
}

/// Finite points of a panel.
fn finite(panel: &Panel) -> impl Iterator<Item = (f64, f64)> + '_ {
    panel.curves.iter().flat_map(|c| &c.points).copied().filter(|p| p.0.is_finite() && p.1.is_finite())
}

fn draw(svg: &mut Svg, panel: &Panel, left: f64, top: f64, legend_lines: usize) {
    svg.text((left + 20.0, top + 12.0), Font::new(13.5).bold(), &panel.title);
    legend(svg, panel, left + 20.0, top + 32.0);
    let plot_top = top + 24.0 + LEGEND_LINE * legend_lines as f64;
    let x = Axis::holding(finite(panel).map(|p| p.0), left + LEFT, left + PANEL_W - RIGHT);
    let levels = panel.levels.iter().map(|l| l.value);
    let thinned: Vec<Vec<(f64, f64)>> = panel.curves.iter().map(|c| thin(&c.points)).collect();
    let y = Axis::holding(thinned.iter().flatten().map(|p| p.1).chain(levels), plot_top + PLOT_H, plot_top);
    axes(svg, panel, &x, &y);
    for (i, level) in panel.levels.iter().enumerate() {
        svg.line((x.start, y.at(level.value)), (x.end, y.at(level.value)), level_stroke(panel, i));
    }
    for (i, points) in thinned.iter().enumerate() {
        let stroke = Stroke { colour: COLOURS[i % COLOURS.len()], width: 1.8, dash: "" };
        for run in points.split(|p| !p.1.is_finite()).filter(|run| !run.is_empty()) {
            let pixels: Vec<(f64, f64)> = run.iter().map(|p| (x.at(p.0), y.at(p.1))).collect();
            svg.polyline(&pixels, stroke);
            if points.len() <= 40 {
                pixels.iter().for_each(|&p| svg.circle(p, 2.6, stroke.colour, 1.0));
            }
        }
    }
}

fn axes(svg: &mut Svg, panel: &Panel, x: &Axis, y: &Axis) {
    for (value, label) in y.ticks(5) {
        svg.line((x.start, y.at(value)), (x.end, y.at(value)), Stroke { colour: GRID, width: 1.0, dash: "" });
        svg.text((x.start - 6.0, y.at(value) + 4.0), SMALL.at("end"), &label);
    }
    for (value, label) in x.ticks(4) {
        svg.line((x.at(value), y.start), (x.at(value), y.start + 4.0), Stroke { colour: INK, width: 1.0, dash: "" });
        svg.text((x.at(value), y.start + 17.0), SMALL.at("middle"), &label);
    }
    svg.line((x.start, y.start), (x.end, y.start), Stroke { colour: INK, width: 1.0, dash: "" });
    let centre = (x.start + x.end) / 2.0;
    svg.text((centre, y.start + 34.0), SMALL.faint().at("middle"), &panel.x_label);
    svg.upward_text((x.start - 44.0, (y.start + y.end) / 2.0), SMALL.faint().at("middle"), &panel.y_label);
}

fn level_stroke(panel: &Panel, i: usize) -> Stroke<'static> {
    let colour = COLOURS[(panel.curves.len() + i) % COLOURS.len()];
    Stroke { colour, width: 1.5, dash: ["6 4", "2 3", "9 3 2 3"][i % 3] }
}

/// Entries of the legend: name and stroke.
fn entries(panel: &Panel) -> Vec<(&str, Stroke<'static>)> {
    let curves = panel.curves.iter().enumerate();
    let curves = curves.map(|(i, c)| (&*c.name, Stroke { colour: COLOURS[i % COLOURS.len()], width: 2.4, dash: "" }));
    let levels = panel.levels.iter().enumerate().map(|(i, l)| (&*l.name, level_stroke(panel, i)));
    curves.chain(levels).filter(|e| !e.0.is_empty()).collect()
}

/// Where each legend entry stands: (x, line) relative to the legend's corner.
fn legend_places(panel: &Panel) -> Vec<(f64, usize)> {
    let (mut x, mut line) = (0.0, 0);
    let mut places = Vec::new();
    for (name, _) in entries(panel) {
        let width = 26.0 + SMALL.width(name) + 14.0;
        if x > 0.0 && x + width > PANEL_W - 30.0 {
            (x, line) = (0.0, line + 1);
        }
        places.push((x, line));
        x += width;
    }
    places
}

fn legend_lines(panel: &Panel) -> usize {
    legend_places(panel).last().map_or(0, |&(_, line)| line + 1)
}

fn legend(svg: &mut Svg, panel: &Panel, left: f64, top: f64) {
    for ((name, stroke), (x, line)) in entries(panel).into_iter().zip(legend_places(panel)) {
        let (x, y) = (left + x, top + LEGEND_LINE * line as f64);
        svg.line((x, y - 4.0), (x + 20.0, y - 4.0), stroke);
        svg.text((x + 26.0, y), SMALL, name);
    }
}

/// At most 600 points: means over equal groups, so that a long noisy run stays a line and a small file.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(600).max(1);
    let mean = |group: &[(f64, f64)]| {
        let n = group.len() as f64;
        (group.iter().map(|p| p.0).sum::<f64>() / n, group.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(group).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: Vec<(f64, f64)>) -> Panel {
        Panel {
            title: "loss".into(),
            curves: vec![Curve { name: "dino".into(), points }],
            levels: vec![Level { name: "random weights".into(), value: 0.4 }],
            ..Panel::default()
        }
    }

    #[test]
    fn a_value_that_is_not_finite_leaves_a_gap() {
        let points = vec![(0.0, 1.0), (1.0, 0.9), (2.0, f64::NAN), (3.0, 0.8), (4.0, 0.7)];
        let figure = CurvesFigure { panels: vec![panel(points)], ..CurvesFigure::default() };
        let text = curves(&figure).unwrap();
        assert_eq!(text.matches("<polyline").count(), 2);
        assert!(!text.contains("NaN") && text.contains("stroke-dasharray") && text.contains(">random weights</text>"));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(curves(&CurvesFigure::default()).is_err());
        let empty = CurvesFigure { panels: vec![panel(vec![(0.0, f64::NAN)])], ..CurvesFigure::default() };
        assert!(curves(&empty).unwrap_err().to_string().contains("panel \"loss\""));
    }

    #[test]
    fn long_runs_are_averaged_not_cut() {
        let points: Vec<(f64, f64)> = (0..60_000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let thinned = thin(&points);
        assert!(thinned.len() == 600 && thinned.iter().all(|p| (p.1 - 0.5).abs() < 1e-9));
    }

    #[test]
    fn legends_wrap_within_their_panel() {
        let mut wide = panel(vec![(0.0, 1.0), (1.0, 2.0)]);
        wide.curves.extend((0..5).map(|i| Curve { name: format!("a rather long name {i}"), points: vec![] }));
        assert!(legend_lines(&wide) >= 3);
        assert!(legend_places(&wide).iter().all(|&(x, _)| x < PANEL_W - 100.0));
    }
}
