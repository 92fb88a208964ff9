//! How a table names an image: `key` of a rule that reads a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paths::{name_of, stem_of};

/// How a table names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKey {
    /// By file name, with its ending.
    #[default]
    Name,
    /// By file name without its ending.
    Stem,
    /// By the file name without its ending, read as a number: `7` names `007.bmp`.
    Number,
    /// By the path inside the dataset.
    Path,
    /// By the file name at the end of a path, whatever folders it has there: `C:\smears\7.png` names `7.png`.
    Base,
    /// By the first characters of the file name, which may be those of many images: `P3C1` names `P3C1_cell_9.png`, and not
    /// `P3C10_cell_9.png`. The longest of several counts. For groups alone.
    Prefix,
}

impl ImageKey {
    /// What a table calls the image at this path; `None` where the path has no such name.
    pub fn of_image(self, image: &str) -> Option<String> {
        match self {
            Self::Name | Self::Base | Self::Prefix => Some(name_of(image).to_owned()),
            Self::Stem => Some(stem_of(image).to_owned()),
            Self::Path => Some(image.to_owned()),
            Self::Number => number(stem_of(image)),
        }
    }

    /// What a cell of the table's image column calls an image, in the form of [`Self::of_image`]; `None` where it names none.
    pub fn of_cell(self, text: &str) -> Option<String> {
        match self {
            Self::Number => number(text),
            Self::Base => Some(name_of(&text.replace('\\', "/")).to_owned()).filter(|name| !name.is_empty()),
            _ => Some(text.to_owned()).filter(|text| !text.is_empty()),
        }
    }
}

fn number(text: &str) -> Option<String> {
    text.trim().parse::<u64>().ok().map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_an_image_with_leading_zeros() {
        assert_eq!(ImageKey::Number.of_image("Dataset 1/007.bmp"), ImageKey::Number.of_cell("7"));
        assert_eq!(ImageKey::Number.of_image("a/x.bmp"), None);
    }
}
