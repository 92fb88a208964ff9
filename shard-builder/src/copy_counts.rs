//! What was found of copies, in sentences.

use std::fmt;

use datasets::survey::{CopyPair, CopySearch, Crosses};

use terminal::{counted, thousands};

/// How many pairs of copies there are of each kind; its text is a sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CopyCounts {
    bytes: u64,
    pixels: u64,
    near: u64,
    /// Whether near-copies were not searched, so that there may be some.
    exact_only: bool,
    sources: u64,
    roles: u64,
    apart: u64,
}

impl CopyCounts {
    /// No pairs yet, of a search.
    pub(crate) fn of(search: CopySearch) -> Self {
        Self { exact_only: matches!(search, CopySearch::Exact), ..Self::default() }
    }

    /// Adds a pair: how alike, and whether it is in two sources, on both sides of training and evaluation, in groups that the group
    /// rules alone would not keep together.
    pub(crate) fn add(&mut self, how: &str, sources: bool, roles: bool, apart: bool) {
        match how {
            "same bytes" => self.bytes += 1,
            "same pixels" => self.pixels += 1,
            _ => self.near += 1,
        }
        self.sources += u64::from(sources);
        self.roles += u64::from(roles);
        self.apart += u64::from(apart);
    }
}

impl fmt::Display for CopyCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let searched = if self.exact_only { "; near-copies were not searched" } else { "" };
        let pairs = self.bytes + self.pixels + self.near;
        if pairs == 0 {
            return write!(f, "copies: none{searched}");
        }
        write!(
            f,
            "copies: {} of images ({} with the same bytes, {} with the same pixels, {} near-copies){searched}. Pairs across \
             sources: {}; between training and evaluation: {}; across groups: {} (a build joins such groups)",
            counted(pairs, "pair"),
            thousands(self.bytes),
            thousands(self.pixels),
            thousands(self.near),
            thousands(self.sources),
            thousands(self.roles),
            thousands(self.apart),
        )
    }
}

/// How many pairs of each kind there are, in a sentence.
pub(crate) fn count_pairs(pairs: &[CopyPair<'_>], search: CopySearch) -> String {
    let mut counts = CopyCounts::of(search);
    for CopyPair { crosses, kind, sides: [a, b] } in pairs {
        counts.add(kind.name(), a.source != b.source, *crosses == Crosses::Roles, a.group != b.group);
    }
    counts.to_string()
}

/// How many pairs are alike without being copies, in a sentence; nothing if there are none.
pub(crate) fn only_alike(pairs: usize) -> String {
    match pairs {
        0 => String::new(),
        some => format!(
            "\n{} more with similar outlines but different pixels: not joined, because a single cell that was trimmed, rotated by an odd angle or \
            recoloured cannot be distinguished from another cell",
            counted(some, "pair")
        ),
    }
}
