//! The screen of `watch`: how a picture of a sweep is laid out, and what keys do. Pure.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph, Row, Table};

use crate::live::{Picture, Shown};
use crate::standing::Standing;

/// Lines of failures and the like that are shown.
const WORRIES: usize = 5;

/// Whether the screen has colours: `NO_COLOR` switches them off, and nothing is shown by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Palette {
    /// Sixteen colours of the terminal.
    Colours,
    /// Bold and dim letters.
    Plain,
}

/// Which trials are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    Running,
    Failed,
}

/// What the screen shows.
#[derive(Debug)]
pub(super) struct Watch {
    picture: Picture,
    palette: Palette,
    filter: Filter,
    /// The first trial that is shown.
    top: usize,
    /// Trials on the screen, as it was drawn last.
    page: usize,
    /// Why the store could not be read just now.
    trouble: Option<String>,
}

impl Watch {
    /// A screen of `picture`.
    pub(super) fn new(picture: Picture, palette: Palette) -> Self {
        Self { picture, palette, filter: Filter::All, top: 0, page: 1, trouble: None }
    }

    /// The sweep was read again.
    pub(super) fn on_picture(&mut self, picture: Picture) {
        self.picture = picture;
        self.trouble = None;
    }

    /// The store could not be read: what was read before stays on the screen.
    pub(super) fn on_trouble(&mut self, words: String) {
        self.trouble = Some(words);
    }

    /// A key was pressed. True: the person leaves.
    pub(super) fn on_key(&mut self, key: KeyEvent) -> bool {
        let last = self.shown().len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Down | KeyCode::Char('j') => self.top = (self.top + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top = (self.top + self.page).min(last),
            KeyCode::PageUp => self.top = self.top.saturating_sub(self.page),
            KeyCode::Home => self.top = 0,
            KeyCode::End => self.top = last.saturating_sub(self.page.saturating_sub(1)),
            KeyCode::Char('f') => {
                self.top = 0;
                self.filter = match self.filter {
                    Filter::All => Filter::Running,
                    Filter::Running => Filter::Failed,
                    Filter::Failed => Filter::All,
                };
            }
            _ => {}
        }
        false
    }

    fn shown(&self) -> Vec<&Shown> {
        let fits = |trial: &&Shown| match self.filter {
            Filter::All => true,
            Filter::Running => trial.standing == Some(Standing::Running),
            Filter::Failed => matches!(trial.standing, Some(Standing::Failed | Standing::Damaged)),
        };
        self.picture.in_order().into_iter().filter(fits).collect()
    }

    fn colour(&self, standing: Option<Standing>) -> Style {
        let plain = Style::default();
        match (self.palette, standing) {
            (Palette::Colours, Some(Standing::Running)) => plain.fg(Color::Cyan),
            (Palette::Colours, Some(Standing::Failed | Standing::Damaged)) => plain.fg(Color::Red),
            (Palette::Colours, Some(Standing::Finished)) => plain.fg(Color::Green),
            (Palette::Plain, Some(Standing::Failed | Standing::Damaged)) => plain.add_modifier(Modifier::BOLD),
            (_, Some(Standing::Open) | None) => plain.add_modifier(Modifier::DIM),
            (Palette::Plain, _) => plain,
        }
    }
}

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, watch: &mut Watch) {
    let worries = worries(watch);
    let lines = worries.len() as u16;
    let below = if lines == 0 { 0 } else { lines + 1 };
    let [head, bar, trials, failures, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(below),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(heading(&watch.picture), head);
    frame.render_widget(gauge(watch), bar);
    draw_trials(frame, watch, trials);
    if lines > 0 {
        let block = Block::default().borders(Borders::TOP).title("Look at");
        frame.render_widget(Paragraph::new(worries).block(block), failures);
    }
    frame.render_widget(keys_line(watch), keys);
}

fn heading(picture: &Picture) -> Paragraph<'static> {
    let counts = picture.counts();
    let mut words = format!(
        " {} done, {} running, {} to run, {} failed",
        counts.finished,
        counts.running,
        counts.open,
        counts.failed + counts.damaged
    );
    let seen = picture.seen();
    if seen < picture.trials.len() {
        words += &format!("; read {seen} of {}", picture.trials.len());
    }
    let name = Span::styled(picture.name.clone(), Style::default().add_modifier(Modifier::BOLD));
    Paragraph::new(Line::from(vec![name, Span::raw(format!(" {}", picture.digest)), Span::raw(words)]))
}

fn gauge(watch: &Watch) -> Gauge<'static> {
    let (counts, all) = (watch.picture.counts(), watch.picture.trials.len().max(1));
    let ended = counts.finished + counts.failed + counts.damaged;
    let style = match watch.palette {
        Palette::Colours => Style::default().fg(Color::Green),
        Palette::Plain => Style::default(),
    };
    let left = watch.picture.left_s().map(|left| format!("; about {} left", terminal::duration(left)));
    Gauge::default()
        .ratio((ended as f64 / all as f64).clamp(0.0, 1.0))
        .label(format!("{ended} of {all}{}", left.unwrap_or_default()))
        .gauge_style(style)
}

/// The columns that a width has room for: names and places of trials need it first, curves get what is left.
struct Widths {
    label: u16,
    stage: u16,
    curve: u16,
}

impl Widths {
    /// Step, loss, score and time, with the spaces between all columns.
    const NUMBERS: u16 = 13 + 8 + 6 + 7 + 6;

    /// What a curve has at least, where names can be cut for it.
    const CURVE: u16 = 8;

    fn of(width: u16, longest: usize) -> Self {
        let left = width.saturating_sub(Self::NUMBERS);
        let stage = 12.min(left / 3);
        let most = (left - stage).saturating_sub(Self::CURVE);
        let label = u16::try_from(longest).unwrap_or(u16::MAX).min(most);
        Self { label, stage, curve: (left - stage - label).min(60) }
    }
}

fn draw_trials(frame: &mut Frame<'_>, watch: &mut Watch, area: Rect) {
    watch.page = usize::from(area.height.saturating_sub(1)).max(1);
    let (top, now) = (watch.top.min(watch.shown().len().saturating_sub(1)), watch.picture.unix_s);
    watch.top = top;
    let trials = watch.shown();
    let shown: Vec<&Shown> = trials.iter().skip(top).take(watch.page).copied().collect();
    let longest = shown.iter().map(|trial| trial.label.chars().count()).max().unwrap_or(0);
    let widths = Widths::of(area.width, longest);
    let rows = shown.into_iter().map(|trial| row(trial, &widths, now).style(watch.colour(trial.standing)));
    let header = Row::new(["trial", "stage", "step", "loss", "score", "time", "loss over steps"])
        .style(Style::default().add_modifier(Modifier::UNDERLINED));
    let columns = [widths.label, widths.stage, 13, 8, 6, 7, widths.curve].map(Constraint::Length);
    frame.render_widget(Table::new(rows, columns).header(header).column_spacing(1), area);
}

fn row(trial: &Shown, widths: &Widths, now: u64) -> Row<'static> {
    let stage = match trial.standing {
        None => "…".to_owned(),
        Some(Standing::Open) if trial.attempt.is_none() => "not run yet".to_owned(),
        Some(Standing::Open) => "cut off".to_owned(),
        Some(Standing::Failed) => "failed".to_owned(),
        Some(Standing::Damaged) => "damaged".to_owned(),
        Some(Standing::Finished) => "done".to_owned(),
        Some(Standing::Running) if trial.silent_s(now).is_some() => "silent?".to_owned(),
        Some(Standing::Running) => trial.stage.clone(),
    };
    let step = trial.step.map(|step| format!("{step}/{}", trial.steps)).unwrap_or_default();
    let time = trial.took_s.or_else(|| trial.running_s(now)).map(terminal::duration).unwrap_or_default();
    Row::new([
        shortened(&trial.label, widths.label),
        cut(&stage, widths.stage),
        step,
        trial.losses.last().map(|loss| format!("{loss:.3}")).unwrap_or_default(),
        trial.score.map(|score| format!("{:.1}", 100.0 * score)).unwrap_or_default(),
        time,
        trial.losses.letters(usize::from(widths.curve)),
    ])
}

/// The name of a trial in `width` letters: of a long one the seed at its end stays.
fn shortened(label: &str, width: u16) -> String {
    let width = usize::from(width);
    let end: Vec<char> = label.rsplit_once('/').map(|(_, seed)| seed.chars().collect()).unwrap_or_default();
    if label.chars().count() <= width || end.len() + 3 > width {
        return cut(label, width as u16);
    }
    label.chars().take(width - end.len() - 2).chain(['…', '/']).chain(end).collect()
}

/// Text that fits into `width` letters; what is cut off shows as an ellipsis.
fn cut(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn worries(watch: &Watch) -> Vec<Line<'static>> {
    let found = watch.picture.worries();
    let more = found.len().saturating_sub(WORRIES);
    let shown = if more > 0 { WORRIES - 1 } else { WORRIES };
    let mut lines: Vec<Line<'static>> = found
        .iter()
        .take(shown)
        .map(|(trial, words)| {
            let first: String = words.lines().next().unwrap_or_default().to_owned();
            Line::styled(format!("{} {first}", shortened(&trial.label, 30)), watch.colour(Some(Standing::Failed)))
        })
        .collect();
    if more > 0 {
        lines.push(Line::raw(format!("and {} more; f shows them", found.len() - shown)));
    }
    lines
}

fn keys_line(watch: &Watch) -> Paragraph<'static> {
    if let Some(trouble) = &watch.trouble {
        return Paragraph::new(format!("the store cannot be read: {trouble}"))
            .style(watch.colour(Some(Standing::Failed)));
    }
    let shows = match watch.filter {
        Filter::All => "all",
        Filter::Running => "running",
        Filter::Failed => "failed",
    };
    let trials = watch.shown().len();
    let last = (watch.top + watch.page).min(trials);
    let first = if trials == 0 { 0 } else { watch.top + 1 };
    Paragraph::new(format!(
        "q quits, the sweep continues · ↑↓ PgUp PgDn scroll · f: {shows} · {first}–{last} of {trials}"
    ))
    .style(Style::default().add_modifier(Modifier::DIM))
}

#[cfg(test)]
mod tests;
