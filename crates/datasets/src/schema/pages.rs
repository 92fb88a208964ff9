//! Pages of a TIFF as images of their own: `a/stack.tif` is the first, `a/stack#2.tif` the second.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is read of a TIFF of several pages: `images.pages` of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pages {
    /// The first page; the report says how many there are.
    #[default]
    First,
    /// Each page, as an image of its own. Labels and group are those of the file.
    All,
}

impl Pages {
    /// Whether it is the default, which a description need not say.
    pub(crate) fn is_first(&self) -> bool {
        *self == Self::First
    }

    /// The file of an image, and which page of it.
    pub fn file_of(self, image: &str) -> (String, u32) {
        match (self, split_page(image)) {
            (Self::All, Some((file, page))) => (file, page),
            _ => (image.to_owned(), 1),
        }
    }

    /// Whether a file may not have this name, because a page of another file has it.
    pub(crate) fn reserves(self, file: &str) -> bool {
        self == Self::All && split_page(file).is_some()
    }
}

/// The name of a page of `file`; the first page has the name of the file.
pub(crate) fn page_name(file: &str, page: u32) -> String {
    match (page, ending(file)) {
        (1, _) => file.to_owned(),
        (_, at) => format!("{}#{page}{}", &file[..at], &file[at..]),
    }
}

/// The page of a file that an image of this name is: 2 of `stack#2.tif`, 1 of most.
pub fn page_of(image: &str) -> u32 {
    split_page(image).map_or(1, |(_, page)| page)
}

/// The file and the page of which this is the name; nothing for what names no page after the first.
fn split_page(image: &str) -> Option<(String, u32)> {
    let (stem, ending) = image.split_at(ending(image));
    let (before, number) = stem.rsplit_once('#')?;
    let page = number.parse::<u32>().ok().filter(|page| *page > 1 && page.to_string() == number)?;
    (!before.is_empty() && !before.ends_with('/')).then(|| (format!("{before}{ending}"), page))
}

/// Where the ending of a file's name begins, with its dot; its length where it has none.
pub(super) fn ending(path: &str) -> usize {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    path[name..].rfind('.').filter(|&dot| dot > 0).map_or(path.len(), |dot| name + dot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pages_lead_back_to_the_file() {
        for file in ["stack.tif", "a.b/stack", "a/x.y.tif", "a/.tif"] {
            assert_eq!(page_name(file, 1), file);
            assert_eq!(Pages::All.file_of(file), (file.to_owned(), 1));
            for page in [2, 17] {
                let name = page_name(file, page);
                assert!(Pages::All.reserves(&name) && !Pages::First.reserves(&name), "{name}");
                assert_eq!(Pages::All.file_of(&name), (file.to_owned(), page));
                assert_eq!(Pages::First.file_of(&name), (name.clone(), 1));
            }
        }
        assert_eq!(page_name("a.b/stack.tif", 2), "a.b/stack#2.tif");
        for plain in ["a#1.tif", "a#02.tif", "a#x.tif", "#2.tif", "a/#2.tif", "a#2/b.tif"] {
            assert!(!Pages::All.reserves(plain), "{plain}");
        }
    }
}
