//! Which files of an unknown folder are images, and which look like masks of them.

use std::collections::{BTreeMap, BTreeSet};

use super::slides::FoundSlides;
use crate::reading::{Listing, Root};
use crate::schema::{Exclude, ending_of, stem_of};

/// Words in the names of files and folders that hold masks.
const MASK_WORDS: [&str; 6] = ["_mask", "-mask", "_masks", "masks/", "mask/", "_seg."];

/// The images of a folder, and what is left out.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Paths of the images.
    pub(super) images: Vec<String>,
    /// Globs by which they are included.
    pub(super) include: Vec<String>,
    /// Files that look like masks.
    pub(super) exclude: Vec<Exclude>,
    /// Paths of the files that look like masks.
    pub(super) masks: Vec<String>,
    /// Why files are left out, for a comment.
    pub(super) why: Vec<String>,
    /// What is known of the images if they are whole slides.
    pub(super) slides: Option<FoundSlides>,
}

impl Found {
    /// Looks at the first bytes of every file.
    pub(super) fn of(root: &Root, listing: &Listing) -> Self {
        let pictures: Vec<&String> =
            listing.files.iter().filter(|path| imaging::sniff(&root.head(path)).is_some()).collect();
        let mut found = Self::default();
        let by_ending = by(&pictures, glob_of);
        for (glob, paths) in by_ending {
            let is_mask = |path: &&&String| MASK_WORDS.iter().any(|word| path.to_lowercase().contains(word));
            let masks = paths.iter().filter(is_mask).count();
            let twins = paths.iter().filter(|path| has_twin(path, &pictures)).count();
            if masks == paths.len() || (twins == paths.len() && glob.ends_with(".png")) {
                let why = if masks > 0 {
                    "they are named masks"
                } else {
                    "a picture of another kind beside each has its name"
                };
                found.masks.extend(paths.iter().map(|path| (*path).clone()));
                found.why.push(format!("{glob}: {} files taken for masks, since {why}", paths.len()));
                found.exclude.push(Exclude { glob, why: "looks like masks".to_owned(), unlabelled: true });
            } else {
                found.include.push(glob);
                found.images.extend(paths.into_iter().cloned());
            }
        }
        found.images.sort();
        if found.exclude.is_empty()
            && let Some(include) = of_all_folders(&found.images, listing)
        {
            found.include = include;
        }
        found
    }
}

impl Found {
    /// Keeps either the slides or the other pictures, whichever are more; a description is of one of the two.
    pub(super) fn divide(&mut self, slides: FoundSlides) {
        let own: BTreeSet<&String> = slides.all().collect();
        let of_slides: BTreeSet<String> = own.iter().map(|path| ending_of(path)).collect();
        let others = self.images.iter().filter(|path| !own.contains(path));
        let of_others: BTreeSet<String> = others.map(|path| ending_of(path)).collect();
        let are_slides = slides.are_most();
        let (kept, left) = if are_slides { (&of_slides, &of_others) } else { (&of_others, &of_slides) };
        let what = if are_slides { "not whole slides" } else { "whole slides" };
        for ending in left.difference(kept) {
            let glob = format!("**/*{ending}");
            self.why.push(format!("{glob}: these are {what}; describe them in a source of their own (docs/slides.md)"));
            self.exclude.push(Exclude { glob, why: format!("{what}: a source of its own"), unlabelled: true });
        }
        self.include.retain(|glob| !left.difference(kept).any(|ending| glob.ends_with(ending.as_str())));
        self.images.retain(|path| kept.contains(&ending_of(path)));
        self.slides = are_slides.then_some(slides);
    }
}

/// Whether a picture of another ending in the same folder has the same name.
fn has_twin(path: &str, pictures: &[&String]) -> bool {
    let start = &path[..path.len() - path.rsplit('.').next().map_or(0, str::len)];
    let near = pictures.partition_point(|other| other.as_str() < start);
    pictures[near..]
        .iter()
        .take_while(|other| other.starts_with(start))
        .any(|other| other.as_str() != path && stem_of(other) == stem_of(path))
}

/// Paths by what a function makes of them.
fn by<'a>(paths: &[&'a String], of: impl Fn(&str) -> String) -> BTreeMap<String, Vec<&'a String>> {
    let mut all: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for &path in paths {
        all.entry(of(path)).or_default().push(path);
    }
    let folders = all.keys().filter_map(|glob| glob.split('/').next()).collect::<BTreeSet<_>>().len();
    match folders > 12 {
        // Many folders of one kind, as one for each class or patient.
        true => {
            let mut few: BTreeMap<String, Vec<&String>> = BTreeMap::new();
            for (glob, paths) in all {
                let rest = glob.split_once('/').map_or(glob.clone(), |(_, rest)| format!("*/{rest}"));
                few.entry(rest).or_default().extend(paths);
            }
            few
        }
        false => all,
    }
}

/// A glob for each ending of the images, whatever their folder, so that images of folders that are added later are included too; nothing
/// where such globs would include other files.
fn of_all_folders(images: &[String], listing: &Listing) -> Option<Vec<String>> {
    let endings: BTreeSet<String> = images.iter().map(|image| ending_of(image)).collect();
    let included = listing.files.iter().filter(|path| endings.contains(&ending_of(path))).count();
    let fits = !endings.contains("") && included == images.len();
    fits.then(|| endings.iter().map(|ending| format!("**/*{ending}")).collect())
}

/// A glob of the files of the same folder and ending.
fn glob_of(path: &str) -> String {
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let folder: String = folder.chars().map(|c| if "[]{}*?".contains(c) { '?' } else { c }).collect();
    format!("{folder}*{}", ending_of(path))
}
