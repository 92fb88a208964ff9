//! What the folders of an unknown dataset are, by their names: classes of cells, or patients and slides.

use std::collections::BTreeMap;

use super::files::Found;
use crate::schema::folder_of;

/// Names of folders that say nothing about the images in them.
pub(super) const NO_CLASSES: [&str; 14] = [
    "images",
    "image",
    "img",
    "imgs",
    "jpegimages",
    "data",
    "dataset",
    "train",
    "training",
    "test",
    "testing",
    "val",
    "valid",
    "validation",
];
/// Most folders that may be classes.
const MOST_CLASSES: usize = 60;
/// Folders that a comment names.
const MOST_NAMED: usize = 3;

/// Parts of the names of classes, in lower case.
const CLASS_PARTS: &[&str] = &[
    "cyte", "ophil", "blast", "platelet", "thromb", "sickle", "teardrop", "parasit", "infect", "trophozo", "schizont",
    "malaria", "normal", "healthy", "anemi", "anaemi", "thalass", "leuk", "lymph",
];
/// Words in the names of classes.
const CLASS_WORDS: &[&str] = &[
    "rbc",
    "rbcs",
    "wbc",
    "wbcs",
    "ig",
    "ring",
    "rings",
    "burr",
    "target",
    "smudge",
    "artefact",
    "artifact",
    "positive",
    "negative",
    "benign",
    "malignant",
    "aml",
    "cll",
    "control",
];
/// Words that make a class of a number, as in `class 3`.
const NUMBERED_CLASSES: &[&str] = &["class", "type", "grade", "stage", "label"];
/// Words in the names of patients, slides and the like.
const GROUP_WORDS: &[&str] = &[
    "patient",
    "patients",
    "pat",
    "pt",
    "person",
    "subject",
    "sub",
    "donor",
    "volunteer",
    "individual",
    "case",
    "cases",
    "slide",
    "slides",
    "smear",
    "smears",
    "sample",
    "specimen",
    "field",
    "fov",
    "scan",
    "batch",
    "series",
    "session",
    "visit",
    "day",
    "ward",
];

/// What folders are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Classes of cells.
    Classes,
    /// Patients, slides or the like.
    Groups,
    /// Their names do not tell.
    Unknown,
}

/// The folders that are so many levels above the images.
#[derive(Debug)]
pub(super) struct FolderLevel {
    /// 1 for the folders that hold the images, 2 for those above.
    pub(super) up: u32,
    /// How many images each folder has, by its name.
    images: BTreeMap<String, usize>,
    /// What the folders are, by their names.
    pub(super) meaning: Meaning,
}

impl FolderLevel {
    /// The folders `up` levels above the images; nothing where they do not divide the images.
    fn of(found: &Found, up: u32) -> Option<Self> {
        let mut images: BTreeMap<String, usize> = BTreeMap::new();
        for image in &found.images {
            let name = folder_of(image, up)?;
            if NO_CLASSES.contains(&without_numbers(name).as_str()) {
                return None;
            }
            *images.entry(name.to_owned()).or_default() += 1;
        }
        if images.len() < 2 || images.len() >= found.images.len() {
            return None;
        }
        let names: Vec<&str> = images.keys().map(String::as_str).collect();
        let meaning = meaning(&names);
        Some(Self { up, images, meaning })
    }

    /// Whether there are few enough folders for classes.
    pub(super) fn may_be_classes(&self) -> bool {
        self.images.len() <= MOST_CLASSES
    }

    /// How many folders there are, and some of their names.
    pub(super) fn named(&self) -> String {
        let names: Vec<&str> = self.images.keys().take(MOST_NAMED).map(String::as_str).collect();
        let more = if self.images.len() > MOST_NAMED { ", …" } else { "" };
        let largest = self.images.values().max().copied().unwrap_or_default();
        format!("{} folders of up to {largest} images: {}{more}", self.images.len(), names.join(", "))
    }
}

/// The levels of folders that divide the images, the lowest first.
pub(super) fn levels(found: &Found) -> Vec<FolderLevel> {
    (1..=2).filter_map(|up| FolderLevel::of(found, up)).collect()
}

/// The level whose folders are groups, where `label_up` is the level whose folders are labels. If names do not tell and folders give no
/// label, the highest level: images that may be of one patient then stay together.
pub(super) fn group_level(levels: &[FolderLevel], label_up: Option<u32>) -> Option<&FolderLevel> {
    let named = levels.iter().find(|level| level.meaning == Meaning::Groups);
    let highest = levels.iter().rev().find(|level| level.meaning == Meaning::Unknown);
    named.or(if label_up.is_none() { highest } else { None })
}

/// What one name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Class,
    Group,
    Number,
    Nothing,
}

/// What folders with these names are.
fn meaning(names: &[&str]) -> Meaning {
    let mut letters: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *letters.entry(without_numbers(name)).or_default() += 1;
    }
    let said: Vec<Says> = names.iter().map(|name| says(name, letters[&without_numbers(name)])).collect();
    let count = |wanted: Says| said.iter().filter(|says| **says == wanted).count();
    let (classes, groups) = (count(Says::Class), count(Says::Group));
    if groups == 0 && 2 * classes >= names.len() {
        Meaning::Classes
    } else if classes == 0 && 2 * (groups + count(Says::Number)) >= names.len() {
        Meaning::Groups
    } else {
        Meaning::Unknown
    }
}

/// What a name says, if so many names are the same but for their numbers: `healthy-1` and `healthy-2` may be two donors, or two parts of a
/// class.
fn says(name: &str, alike: usize) -> Says {
    let letters = without_numbers(name);
    let has = |words: &[&str]| letters.split(' ').any(|word| words.contains(&word));
    let is_class = CLASS_PARTS.iter().any(|part| letters.contains(part)) || has(CLASS_WORDS);
    match () {
        () if has(GROUP_WORDS) => Says::Group,
        () if has(NUMBERED_CLASSES) || (is_class && alike == 1) => Says::Class,
        () if is_class => Says::Nothing,
        () if name.contains(|letter: char| letter.is_ascii_digit()) => Says::Number,
        () => Says::Nothing,
    }
}

/// The words of a name in lower case, with a space between them.
fn without_numbers(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> =
        lower.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cells_are_classes_numbers_and_patients_are_groups_and_others_are_unknown() {
        for (names, expected) in [
            (&["elliptocyte", "RBC", "Normal cell"][..], Meaning::Classes),
            (&["basophil", "eosinophil", "ig", "monocyte", "platelet"], Meaning::Classes),
            (&["01-Normal RBC", "02-Macrocyte", "03-Teardrop", "04-Two overlapping"], Meaning::Classes),
            (&["class 1", "class 2"], Meaning::Classes),
            (&["Parasitized", "Uninfected"], Meaning::Classes),
            (&["patient-1", "patient-2"], Meaning::Groups),
            (&["slide_07", "slide_08", "leftovers"], Meaning::Groups),
            (&["p12", "p13"], Meaning::Groups),
            (&["case3", "case4"], Meaning::Groups),
            (&["1", "2", "17"], Meaning::Groups),
            (&["healthy-1", "healthy-2", "healthy-3"], Meaning::Unknown),
            (&["patient-1", "control"], Meaning::Unknown),
            (&["alpha", "beta"], Meaning::Unknown),
        ] {
            assert_eq!(meaning(names), expected, "{names:?}");
        }
    }

    #[test]
    fn folders_count_where_they_divide_the_images() {
        let found = |images: &[&str]| Found {
            images: images.iter().map(|image| (*image).to_owned()).collect(),
            ..Found::default()
        };
        assert!(levels(&found(&["a.png", "p1/b.png"])).is_empty());
        assert!(levels(&found(&["images/a.png", "images/b.png"])).is_empty());
        assert!(levels(&found(&["Dataset 1/a.png", "Dataset 1/b.png", "Dataset 2/a.png"])).is_empty());
        assert!(levels(&found(&["p1/a.png", "p2/a.png"])).is_empty(), "each image has a folder of its own");
        let nested = found(&["p1/monocyte/a.png", "p1/platelet/a.png", "p2/monocyte/a.png", "p2/platelet/a.png"]);
        let levels = levels(&nested);
        let said: Vec<(u32, Meaning)> = levels.iter().map(|level| (level.up, level.meaning)).collect();
        assert_eq!(said, [(1, Meaning::Classes), (2, Meaning::Groups)]);
        assert_eq!(group_level(&levels, Some(1)).map(|level| level.up), Some(2));
        assert_eq!(levels[1].named(), "2 folders of up to 2 images: p1, p2");
    }
}
