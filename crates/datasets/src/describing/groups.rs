//! Which images might belong together, by their folders and the beginnings of their names: for a person to decide.

use std::collections::BTreeMap;

use regex::Regex;

use super::files::Found;
use super::folders::NO_CLASSES;
use crate::schema::folder_of;

/// Beginnings of names that may be those of patients or slides: what stands before a last number.
const BEFORE_A_NUMBER: &str = r"([^/]*[^/0-9_. -])[_. -]*\d+\.[^./]+$";
/// The same before the last `_` or `-`.
const BEFORE_A_MARK: &str = r"([^/]+)[_-][^/_-]+\.[^./]+$";

/// Group rules that divide the images into several groups of several images, as YAML with their counts. Levels of folders that the
/// description uses already (`used`) are left out.
pub(super) fn possible(found: &Found, used: &[u32]) -> Vec<String> {
    let mut rules = Vec::new();
    for up in (1..=2).filter(|up| !used.contains(up)) {
        let folder = |image: &str| {
            let name = folder_of(image, up)?;
            (!NO_CLASSES.contains(&name.to_lowercase().as_str())).then(|| name.to_owned())
        };
        let counts = counted(found, &folder);
        rules.extend(counts.map(|counts| format!("group: {{ by: folder, up: {up} }} gives {counts}")));
    }
    for pattern in [BEFORE_A_MARK, BEFORE_A_NUMBER] {
        let Ok(compiled) = Regex::new(pattern) else { continue };
        let start = |image: &str| Some(compiled.captures(image)?.get(1)?.as_str().to_owned());
        rules.extend(
            counted(found, &start)
                .map(|counts| format!("group: {{ by: pattern, pattern: '{pattern}' }} gives {counts}")),
        );
    }
    rules
}

/// How many groups of how many images a rule gives, with some of their names; nothing where it leaves images out, or gives one group or
/// hardly more images than groups.
fn counted(found: &Found, group: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for image in &found.images {
        *groups.entry(group(image)?).or_default() += 1;
    }
    if groups.len() < 2 || groups.len() * 2 > found.images.len() {
        return None;
    }
    let names: Vec<&str> = groups.keys().take(3).map(String::as_str).collect();
    let largest = groups.values().max().copied().unwrap_or_default();
    Some(format!("{} groups of up to {largest} images: {}, …", groups.len(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(images: &[&str]) -> Found {
        Found { images: images.iter().map(|image| (*image).to_owned()).collect(), ..Found::default() }
    }

    #[test]
    fn folders_and_beginnings_of_names_are_offered_where_they_part_the_images() {
        let slides = found(&["p1/a_1.png", "p1/a_2.png", "p2/b_1.png", "p2/b_2.png"]);
        let said = possible(&slides, &[]);
        assert!(
            said[0].contains("by: folder, up: 1") && said[0].contains("2 groups of up to 2 images: p1, p2"),
            "{said:?}"
        );
        assert!(said.iter().any(|rule| rule.contains("by: pattern")), "{said:?}");
        assert!(possible(&slides, &[1])[0].contains("pattern"));
        assert!(possible(&found(&["images/1.png", "images/2.png", "images/3.png"]), &[]).is_empty());
    }
}
