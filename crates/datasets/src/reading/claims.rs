//! Whose a side file or a row of a table is: what several images may mean is used for none of them.

use std::collections::HashMap;

use rayon::prelude::*;

use super::others::{Neighbour, Others};
use crate::schema::Source;

/// What each image claims as its own: a file beside it, or rows of a table. What two images claim is used for neither.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    by: HashMap<String, Claimants>,
}

/// The images that claim one thing.
#[derive(Debug, Default)]
struct Claimants {
    count: usize,
    /// How many of them the description does not include.
    others: usize,
    first: String,
    second: String,
}

impl Claimants {
    fn add(&mut self, image: &str) {
        match self.count {
            0 => image.clone_into(&mut self.first),
            1 => image.clone_into(&mut self.second),
            _ => {}
        }
        self.count += 1;
    }
}

/// All images to which a side file or a row of a table may belong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatasetImages<'a> {
    /// Images that the description includes, of which a source may be a part.
    pub(crate) described: &'a [String],
    /// Images of other descriptions of the same folder or archive.
    pub(crate) neighbours: &'a [Neighbour<'a>],
    /// Files that no description includes, some of which may be images.
    pub(crate) others: &'a Others<'a>,
}

impl DatasetImages<'_> {
    /// What each image claims as its own by `claim`, which is given the description and the path of the image. `source` is the
    /// description of the described images; of the others it is the one that may be wrong about them.
    pub(crate) fn claims(&self, source: &Source, claim: impl Fn(&Source, &str) -> Option<String> + Sync) -> Claims {
        let mut claims = Claims::of_included(source, self.described, self.neighbours, &claim);
        claims.add_others(self.others, |image| claim(source, image));
        claims
    }
}

impl Claims {
    /// The claims of the images of a description and of its neighbours.
    pub(crate) fn of_included(
        source: &Source,
        described: &[String],
        neighbours: &[Neighbour<'_>],
        claim: impl Fn(&Source, &str) -> Option<String> + Sync,
    ) -> Self {
        let mut claims = Self::of(described, |image| claim(source, image));
        for neighbour in neighbours {
            claims.add(&neighbour.images, |image| claim(neighbour.source, image));
        }
        claims
    }

    /// The claims of `images`, each of which claims at most one thing.
    pub(crate) fn of(images: &[String], claim: impl Fn(&str) -> Option<String> + Sync) -> Self {
        let mut claims = Self::default();
        claims.add(images, claim);
        claims
    }

    /// Adds the claims of further images, each of which claims at most one thing.
    pub(crate) fn add(&mut self, images: &[String], claim: impl Fn(&str) -> Option<String> + Sync) {
        // To follow links takes a while on a file system that is far away.
        let all: Vec<Option<String>> = images.par_iter().map(|image| claim(image)).collect();
        for (image, claimed) in images.iter().zip(all) {
            if let Some(claimed) = claimed {
                self.by.entry(claimed).or_default().add(image);
            }
        }
    }

    /// Adds the claims of image files that the description does not include, on what its own images claim: a label may be theirs.
    ///
    /// A file belongs to the images that lie nearest to it: none in `train/labels` is claimed by an image in `valid` where the
    /// description's own image lies in `train`.
    pub(crate) fn add_others(&mut self, others: &Others<'_>, claim: impl Fn(&str) -> Option<String> + Sync) {
        let by = &self.by;
        let of = |image: &String| {
            let claimed = claim(image)?;
            let own = by.get(&claimed)?;
            let file = file_of(&claimed);
            // An image that is named as a mask or as a label is not one of those that the mask or label may be of.
            let may = image != file && nearness(file, image) >= nearness(file, &own.first) && others.is_image(image);
            may.then_some(claimed)
        };
        let all: Vec<Option<String>> = others.files().par_iter().map(of).collect();
        for (image, claimed) in others.files().iter().zip(all) {
            if let Some(claimants) = claimed.and_then(|claimed| self.by.get_mut(&claimed)) {
                claimants.add(image);
                claimants.others += 1;
            }
        }
    }

    /// Whether an image claims this.
    pub(crate) fn holds(&self, claimed: &str) -> bool {
        self.by.contains_key(claimed)
    }

    /// The images that claim this, for a message, where it is more than one.
    pub(crate) fn several(&self, claimed: &str) -> Option<String> {
        let Claimants { count, others, first, second } = self.by.get(claimed).filter(|by| by.count > 1)?;
        let more = if *count > 2 { ", …" } else { "" };
        let note = match others {
            0 => String::new(),
            _ => format!("; {others} not included: exclude it with `unlabelled: true` if no label or mask is its own"),
        };
        Some(format!("{count} images ({first}, {second}{more}{note})"))
    }
}

/// What a table at `path` calls an image, among all tables: the claim on a row.
pub(crate) fn row_of(path: &str, key: &str) -> String {
    format!("{path}\n{key}")
}

/// The path of the file of what is claimed, which is the file itself or a row of it ([`row_of`]).
fn file_of(claimed: &str) -> &str {
    claimed.split_once('\n').map_or(claimed, |(path, _)| path)
}

/// How many folders from the top the paths of two files have in common.
fn nearness(a: &str, b: &str) -> usize {
    let folders = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let (a, b) = (folders(a), folders(b));
    a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b && !a.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::stem_of;

    #[test]
    fn the_nearest_images_have_the_most_folders_in_common() {
        for (image, folders) in
            [("train/images/a.png", 1), ("valid/images/a.png", 0), ("train/labels/a.png", 2), ("a.png", 0)]
        {
            assert_eq!(nearness("train/labels/a.xml", image), folders, "{image}");
        }
        assert_eq!(nearness("boxes.csv", "a.png"), nearness("boxes.csv", "x/a.png"));
    }

    #[test]
    fn claims_of_several_images_name_them() {
        let images = ["a/1.png", "b/1.png", "b/2.png", "c/1.png"].map(str::to_owned);
        let claims = Claims::of(&images, |image| Some(stem_of(image).to_owned()));
        assert_eq!(claims.several("1").as_deref(), Some("3 images (a/1.png, b/1.png, …)"));
        assert_eq!((claims.several("2"), claims.several("3")), (None, None));
        assert!(claims.holds("2") && !claims.holds("3"));
    }
}
