//! Paths of files that belong to an image, written with the parts of the image's own path: `labels/{stem}.xml`.

use super::error::RuleError;
use super::paths::{inside, name_of, stem_of};

/// What a path may hold for a part of the image's own path.
const PLACEHOLDERS: [&str; 3] = ["{stem}", "{name}", "{folder}"];

/// The path that `template` gives for `image`: `{stem}` stands for its file name without its ending, `{name}` for its file name,
/// `{folder}` for its folder. `.`, `..` and empty parts are resolved, so one file has one path.
///
/// # Errors
/// The reason for the report, where the path leads out of the dataset.
pub(crate) fn path_of(template: &str, image: &str) -> Result<String, String> {
    path_with(template, image, str::to_owned)
}

/// The same, with what stands for each part of the image's path as `of` writes it.
///
/// # Errors
/// As [`path_of`].
pub(crate) fn path_with(template: &str, image: &str, of: impl Fn(&str) -> String) -> Result<String, String> {
    let folder = image.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut path = String::with_capacity(template.len() + image.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        path.push_str(before);
        let place = PLACEHOLDERS.into_iter().find(|place| after.starts_with(place));
        match place {
            Some("{stem}") => path.push_str(&of(stem_of(image))),
            Some("{name}") => path.push_str(&of(name_of(image))),
            Some(_) => path.push_str(&of(folder)),
            None => path.push('{'),
        }
        rest = &after[place.map_or(1, str::len)..];
    }
    path.push_str(rest);
    inside(&path).ok_or_else(|| format!("`{template}` leads out of the dataset's folder for this image"))
}

/// Checks a template, the value of `key`, that must give each image a file of its own.
///
/// # Errors
/// Nothing in it that names the image; something in braces that stands for nothing.
pub(crate) fn check_own(key: &str, template: &str) -> Result<(), RuleError> {
    check(key, template)?;
    if template.contains("{stem}") || template.contains("{name}") {
        return Ok(());
    }
    let remedy = "write `{stem}` or `{name}` where the name of the image stands, as in `labels/{stem}.xml`";
    Err(RuleError::new(key, format!("`{template}` is one file for all images; {remedy}")))
}

/// Checks a template, the value of `key`, that may give each folder files of its own, as where each image has one.
///
/// # Errors
/// As [`check_own`], of a template that does not name the folder either.
pub(crate) fn check_own_or_folder(key: &str, template: &str) -> Result<(), RuleError> {
    if template.contains("{folder}") { check(key, template) } else { check_own(key, template) }
}

/// Checks a template, the value of `key`.
///
/// # Errors
/// Something in braces that stands for nothing; a path that does not begin in the dataset's folder.
pub(crate) fn check(key: &str, template: &str) -> Result<(), RuleError> {
    if template.starts_with('/') || inside(template).is_none() {
        let remedy = "write a path inside it, without a leading `/` or `..`";
        return Err(RuleError::new(key, format!("`{template}` leads out of the dataset's folder; {remedy}")));
    }
    let unknown = template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    for name in unknown {
        if !PLACEHOLDERS.contains(&format!("{{{name}}}").as_str()) {
            let known = "`{stem}` (file name without its ending), `{name}` (file name) and `{folder}` (folder)";
            return Err(RuleError::new(key, format!("`{{{name}}}` stands for nothing; {known} are read")));
        }
    }
    Ok(())
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
}
