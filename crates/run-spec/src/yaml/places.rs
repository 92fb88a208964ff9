//! Where the keys of a YAML file stand: dotted path to line.

use serde_saphyr::granit_parser::{Event, Options, Parser, Span};

/// The lines of a file's keys, and the file's name.
///
/// What an alias or a merge key brings in stands where the alias stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    what: String,
    /// The line where the file's content begins.
    first: Option<usize>,
    /// In the order of the file.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The key with all keys above it: `a.b[2].c`.
    path: String,
    line: usize,
    column: usize,
}

impl Places {
    /// Finds the keys of `text`, up to the first mistake; `what` is the file's name.
    pub fn of(text: &str, what: &str) -> Self {
        let Walked { first, entries, .. } = walk(text);
        Self { what: what.to_owned(), first, entries }
    }

    /// The file and the line of `key`: `a.yaml line 3`. Where the file does not hold the key, the line of the section that
    /// would; without one, the file alone. The empty key is the whole, and stands where it begins.
    pub fn at(&self, key: &str) -> String {
        if let (true, Some(line)) = (key.is_empty(), self.first) {
            return format!("{} line {line}", self.what);
        }
        let mut path = key;
        while !path.is_empty() {
            if let Some(entry) = self.entries.iter().find(|entry| entry.path == path) {
                return format!("{} line {}", self.what, entry.line);
            }
            path = path.rfind(['.', '[']).map_or("", |end| &path[..end]);
        }
        self.what.clone()
    }

    /// Whether the file holds `key`, as a value or a section.
    pub fn holds(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.path == key)
    }
}

/// What is known of a text: its keys, and the brackets that were open when the parser gave up.
#[derive(Debug, Default)]
pub(super) struct Walked {
    first: Option<usize>,
    entries: Vec<Entry>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    path: String,
    line: usize,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    /// The index of the next item.
    List(usize),
    /// The key whose value comes next.
    Section(Option<String>),
}

impl Walked {
    /// The last key that begins at or before a place: the one that a mistake there concerns.
    pub(super) fn key_at(&self, line: usize, column: usize) -> Option<&str> {
        let before = |entry: &&Entry| (entry.line, entry.column) <= (line, column);
        self.entries.iter().rev().find(before).map(|entry| entry.path.as_str())
    }

    /// The line of the first of two places where `key` stands.
    pub(super) fn first_line(&self, key: &str) -> Option<usize> {
        self.entries.iter().find(|entry| entry.path == key).map(|entry| entry.line)
    }

    /// The line and the section in which the innermost open bracket stands.
    pub(super) fn innermost(&self) -> Option<(usize, &str)> {
        self.open.last().map(|open| (open.line, open.path.as_str()))
    }

    /// The character that opened the innermost bracket, `[` or `{`.
    pub(super) fn innermost_bracket(&self) -> Option<char> {
        self.open.last().map(|open| match open.inside {
            Inside::List(_) => '[',
            Inside::Section(_) => '{',
        })
    }

    fn on_event(&mut self, event: &Event<'_>, span: &Span) {
        match event {
            Event::Scalar(text, ..) => drop(self.begin(text, span)),
            Event::Alias(..) | Event::UnresolvedAlias(..) => drop(self.begin("", span)),
            Event::SequenceStart(..) => self.open(span, Inside::List(0)),
            Event::MappingStart(..) => self.open(span, Inside::Section(None)),
            Event::SequenceEnd | Event::MappingEnd => drop(self.open.pop()),
            _ => {}
        }
    }

    fn open(&mut self, span: &Span, inside: Inside) {
        let path = self.begin("", span);
        self.open.push(Open { path, line: span.start.line(), inside });
    }

    /// Notes a node that begins here and returns its path; `text` counts where the node is a key.
    fn begin(&mut self, text: &str, span: &Span) -> String {
        self.first.get_or_insert(span.start.line());
        let Some(parent) = self.open.last_mut() else { return String::new() };
        let path = match &mut parent.inside {
            Inside::List(next) => {
                *next += 1;
                format!("{}[{}]", parent.path, *next - 1)
            }
            Inside::Section(slot) => match slot.take() {
                // Its key has been noted.
                Some(key) => return key,
                None => {
                    let path = crate::layer::join(&parent.path, text);
                    *slot = Some(path.clone());
                    path
                }
            },
        };
        self.entries.push(Entry { path: path.clone(), line: span.start.line(), column: span.start.col() + 1 });
        path
    }
}

/// Walks `text` to its end or its first mistake.
pub(super) fn walk(text: &str) -> Walked {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut walked = Walked::default();
    let text = text.trim_start_matches('\u{feff}');
    for (event, span) in Parser::new_from_str_with_options(text, options).map_while(Result::ok) {
        walked.on_event(&event, &span);
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# words\na: 1\nb:\n  c: {d: 2,\n      e: 3}\n  f:\n    - x\n    - y: 1\ng.h: &n {i: 1}\nj: *n\n";

    #[test]
    fn keys_are_found_in_sections_flows_and_lists() {
        let places = Places::of(TEXT, "a.yaml");
        let lines = ["a", "b", "b.c", "b.c.d", "b.c.e", "b.f[0]", "b.f[1].y", "g.h", "g.h.i"];
        let found: Vec<String> = lines.iter().map(|key| places.at(key)).collect();
        let expected = [2, 3, 4, 4, 5, 7, 8, 9, 9].map(|line| format!("a.yaml line {line}"));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_file_does_not_hold_is_where_its_section_is() {
        let places = Places::of(TEXT, "a.yaml");
        assert_eq!(places.at("b.c.z"), "a.yaml line 4");
        assert_eq!(places.at("j.i"), "a.yaml line 10");
        assert_eq!(places.at("z.z"), "a.yaml");
        assert!(places.holds("b.f") && !places.holds("b.z"));
    }
}
