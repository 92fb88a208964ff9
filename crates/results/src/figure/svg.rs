//! The few SVG elements the figures use.

use std::fmt::Write as _;

/// Okabe and Ito's colours, dark ones first.
pub(super) const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6b6b6b"];
/// Colour of text and of axes.
pub(super) const INK: &str = "#222222";
/// Colour of secondary text and of marks of less weight.
pub(super) const FAINT: &str = "#666666";
/// Colour of the lines of the grid.
pub(super) const GRID: &str = "#e4e4e4";

/// A drawing under construction; the origin is the upper left corner, units are pixels.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

/// How a line looks.
#[derive(Clone, Copy)]
pub(super) struct Stroke<'a> {
    pub(super) colour: &'a str,
    pub(super) width: f64,
    /// SVG dash pattern, empty for a solid line.
    pub(super) dash: &'a str,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) colour: &'static str,
    /// `start`, `middle` or `end`.
    pub(super) anchor: &'static str,
}

impl Font {
    pub(super) const fn new(size: f64) -> Self {
        Self { size, bold: false, colour: INK, anchor: "start" }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) const fn faint(self) -> Self {
        Self { colour: FAINT, ..self }
    }

    pub(super) const fn at(self, anchor: &'static str) -> Self {
        Self { anchor, ..self }
    }

    /// Width of a text in pixels, estimated: fonts differ, so layouts leave room.
    pub(super) fn width(self, text: &str) -> f64 {
        text.chars().map(|c| if "il.,:;|'()[] ".contains(c) { 0.36 } else { 0.58 }).sum::<f64>() * self.size
    }
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke<'_>) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}/>",
            n(from.0),
            n(from.1),
            n(to.0),
            n(to.1),
            stroke.attributes()
        );
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke<'_>) {
        let points: Vec<String> = points.iter().map(|p| format!("{},{}", n(p.0), n(p.1))).collect();
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" stroke-linejoin=\"round\"{}/>",
            points.join(" "),
            stroke.attributes()
        );
    }

    pub(super) fn circle(&mut self, centre: (f64, f64), radius: f64, fill: &str, opacity: f64) {
        let _ = writeln!(
            self.body,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>",
            n(centre.0),
            n(centre.1),
            n(radius)
        );
    }

    /// A filled rectangle from its upper left corner.
    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str, opacity: f64) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>",
            n(x),
            n(y),
            n(width.max(0.0)),
            n(height)
        );
    }

    pub(super) fn diamond(&mut self, (x, y): (f64, f64), radius: f64, fill: &str) {
        let r = radius;
        let corners = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
        let corners: Vec<String> = corners.iter().map(|p| format!("{},{}", n(p.0), n(p.1))).collect();
        let _ = writeln!(
            self.body,
            "<polygon points=\"{}\" fill=\"{fill}\" stroke=\"#ffffff\" stroke-width=\"1\"/>",
            corners.join(" ")
        );
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), font: Font, text: &str) {
        self.styled_text(&format!("x=\"{}\" y=\"{}\"", n(x), n(y)), font, text);
    }

    /// Text that reads upwards, centred on the point.
    pub(super) fn upward_text(&mut self, (x, y): (f64, f64), font: Font, text: &str) {
        self.styled_text(&format!("transform=\"translate({},{}) rotate(-90)\"", n(x), n(y)), font, text);
    }

    fn styled_text(&mut self, place: &str, font: Font, text: &str) {
        let weight = if font.bold { " font-weight=\"600\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<text {place} font-size=\"{}\"{weight} fill=\"{}\" text-anchor=\"{}\">{}</text>",
            n(font.size),
            font.colour,
            font.anchor,
            escape(text)
        );
    }

    /// The whole document; `description` is what a screen reader says.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        let (w, h) = (n(self.width), n(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">\n<title>{}</title>\n<desc>{}</desc>\n\
             <rect width=\"{w}\" height=\"{h}\" rx=\"6\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escape(title),
            escape(description),
            self.body
        )
    }
}

impl Stroke<'_> {
    fn attributes(self) -> String {
        let dash = if self.dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", self.dash) };
        format!(" stroke=\"{}\" stroke-width=\"{}\"{dash}", self.colour, n(self.width))
    }
}

/// A coordinate with at most one decimal.
fn n(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Text as XML content. Characters that XML 1.0 cannot carry become spaces.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_element() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text((0.0, 1.26), Font::new(9.0), "a < b & \"c\"\u{0}</text>");
        let text = svg.finish("t", "d");
        assert!(text.contains("<text x=\"0\" y=\"1.3\""), "{text}");
        assert!(text.contains(">a &lt; b &amp; &quot;c&quot; &lt;/text&gt;</text>"), "{text}");
    }
}
