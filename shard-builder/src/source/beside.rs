//! Files that lie beside the images: which one belongs to an image, and whether another image claims it too.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use rayon::prelude::*;

use super::describe::Source;
use super::files::{inside, name_of, stem_of};
use super::others::Others;

/// What a path may hold for a part of the image's own path.
const PLACES: [&str; 3] = ["{stem}", "{name}", "{folder}"];

/// The path that `template` gives for `image`: `{stem}` stands for its file name without its ending, `{name}` for its file name,
/// `{folder}` for its folder. `.`, `..` and empty parts are resolved, so one file has one path.
///
/// # Errors
/// The reason for the report, where the path leads out of the dataset.
pub(crate) fn path_of(template: &str, image: &str) -> Result<String, String> {
    let folder = image.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut path = String::with_capacity(template.len() + image.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        path.push_str(before);
        let place = PLACES.into_iter().find(|place| after.starts_with(place));
        path.push_str(match place {
            Some("{stem}") => stem_of(image),
            Some("{name}") => name_of(image),
            Some(_) => folder,
            None => "{",
        });
        rest = &after[place.map_or(1, str::len)..];
    }
    path.push_str(rest);
    inside(&path).ok_or_else(|| format!("`{template}` leads out of the dataset's folder for this image"))
}

/// Checks a template, the value of `key`, that must give each image a file of its own.
///
/// # Errors
/// Nothing in it that names the image; something in braces that stands for nothing.
pub(crate) fn check_own(key: &str, template: &str) -> Result<()> {
    check(key, template)?;
    ensure!(
        template.contains("{stem}") || template.contains("{name}"),
        "{key}: `{template}` is one file for all images; write `{{stem}}` or `{{name}}` where the name of the image stands, as in \
         `labels/{{stem}}.xml`"
    );
    Ok(())
}

/// Checks a template, the value of `key`.
///
/// # Errors
/// Something in braces that stands for nothing; a path that does not begin in the dataset's folder.
pub(crate) fn check(key: &str, template: &str) -> Result<()> {
    if template.starts_with('/') || inside(template).is_none() {
        bail!(
            "{key}: `{template}` leads out of the dataset's folder; write a path inside it, without a leading `/` or `..`"
        );
    }
    let unknown = template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    for name in unknown {
        ensure!(
            PLACES.contains(&format!("{{{name}}}").as_str()),
            "{key}: `{{{name}}}` stands for nothing; {} are read",
            "`{stem}` (file name without its ending), `{name}` (file name) and `{folder}` (folder)"
        );
    }
    Ok(())
}

/// Another description of the same folder or archive, and its images that are not also those of the first.
#[derive(Debug)]
pub(crate) struct Neighbour<'a> {
    /// The description.
    pub(crate) source: &'a Source,
    /// Its images.
    pub(crate) images: Vec<String>,
}

/// What each image claims as its own: a file beside it, or rows of a table. What two images claim is neither's.
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

impl Claims {
    /// The claims of `images`, each of which claims at most one thing.
    pub(crate) fn of(images: &[String], claim: impl Fn(&str) -> Option<String> + Sync) -> Self {
        let mut claims = Self::default();
        claims.add(images, claim);
        claims
    }

    /// Adds the claims of other images.
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

    /// The images that claim this in words, where it is more than one.
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

/// The path of the file of what is claimed, which is the file itself or a row of it ([`row_name`](super::labels::row_name)).
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

    #[test]
    fn a_path_takes_its_parts_from_the_image_once() {
        for (template, image, path) in [
            ("{folder}/{stem}.xml", "train/a.rf.1.png", "train/a.rf.1.xml"),
            ("{folder}/{stem}.xml", "a.png", "a.xml"),
            ("Labels/{name}.txt", "x/a.png", "Labels/a.png.txt"),
            ("{folder}/{stem}.x", "{stem}/{name}.png", "{stem}/{name}.x"),
            ("a{b", "x.png", "a{b"),
        ] {
            assert_eq!(path_of(template, image).as_deref(), Ok(path), "{template} of {image}");
        }
    }

    #[test]
    fn one_file_has_one_path_and_none_leads_out() {
        for template in
            ["{folder}/../x/{stem}.xml", "{folder}/.././x//{stem}.xml", "x/y/../{stem}.xml", "./x/{stem}.xml"]
        {
            assert_eq!(path_of(template, "train/a.png").as_deref(), Ok("x/a.xml"), "{template}");
        }
        let out = path_of("{folder}/../{stem}.xml", "a.png").expect_err("above the dataset");
        assert!(out.contains("leads out"), "{out}");
        assert_eq!(path_of("{folder}/../../x/{stem}.xml", "train/a.png").ok(), None);
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        assert!(check_own("label.file", "{folder}/{stem}.xml").is_ok());
        let error = check_own("label.file", "{dir}/{stem}.xml").expect_err("refused").to_string();
        assert!(error.contains("label.file") && error.contains("`{dir}`") && error.contains("`{folder}`"), "{error}");
        let shared = check_own("label.file", "{folder}/all.xml").expect_err("refused").to_string();
        assert!(shared.contains("one file for all images") && shared.contains("`labels/{stem}.xml`"), "{shared}");
        assert!(check("label.file", "{folder}/all.csv").is_ok());
        for template in ["/data/{stem}.xml", "../{stem}.xml", "a/../../{stem}.xml"] {
            let error = check_own("label.file", template).expect_err("refused").to_string();
            assert!(error.contains("path inside"), "{error}");
        }
    }

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
