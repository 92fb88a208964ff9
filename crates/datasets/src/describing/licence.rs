//! The licence that a file of an unknown folder states.

use crate::reading::{Listing, Root, text_of};

/// Bytes of a file that are looked at.
const HEAD: usize = 4096;
/// Largest licence file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Words that begin a licence, and its name.
const KNOWN: [(&str, &str); 9] = [
    ("mit license", "MIT"),
    ("apache license", "Apache-2.0"),
    ("gnu general public license version 3", "GPL-3.0"),
    ("gnu general public license version 2", "GPL-2.0"),
    ("attribution-noncommercial-sharealike 4.0", "CC BY-NC-SA 4.0"),
    ("attribution-noncommercial 4.0", "CC BY-NC 4.0"),
    ("attribution-sharealike 4.0", "CC BY-SA 4.0"),
    ("attribution 4.0 international", "CC BY 4.0"),
    ("cc0 1.0 universal", "CC0 1.0"),
];

/// The name of the licence and the file that states it; nothing where none is known or two differ.
pub(super) fn stated<'a>(root: &Root, listing: &'a Listing) -> Option<(&'static str, &'a str)> {
    let files = listing
        .files
        .iter()
        .filter(|path| path.to_lowercase().contains("licen") || path.to_lowercase().contains("copying"));
    let stated = |path: &'a String| {
        let bytes = root.read(path, MOST_BYTES).ok()?;
        let text = text_of(&bytes[..bytes.len().min(HEAD)]).to_lowercase();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        KNOWN.iter().find(|(words, _)| text.contains(words)).map(|(_, name)| (*name, path.as_str()))
    };
    let all: Vec<(&str, &str)> = files.filter_map(stated).collect();
    let first = *all.first()?;
    all.iter().all(|(name, _)| *name == first.0).then_some(first)
}
