//! Rules for labels that could be right, by the names and first bytes of files.

use std::collections::{BTreeMap, BTreeSet};

use segmentation::MaskOptions;

use super::files::Found;
use super::folders::{Meaning, levels};
use super::tables;
use crate::reading::{Listing, Root};
use crate::schema::{LabelRule, name_of, stem_of};

/// Most bytes of a file that is looked into.
const MOST_BYTES: u64 = 64 << 20;

/// All rules that could be right.
pub(super) fn candidates(root: &Root, listing: &Listing, found: &Found) -> Vec<LabelRule> {
    let pictures: BTreeSet<&String> = found.images.iter().collect();
    let others: Vec<&String> = listing.files.iter().filter(|path| !pictures.contains(path)).collect();
    let mut rules = side_files(&others, found);
    rules.extend(masks(found));
    for path in others {
        rules.extend(shared_file(root, path));
    }
    rules.extend(folders(found));
    rules
}

fn ending(path: &str) -> String {
    path.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_lowercase())
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Rules by which a picture of classes belongs to each image.
fn masks(found: &Found) -> Vec<LabelRule> {
    let rule = |file| LabelRule::ClassMask { file, background: vec![0], least_px: MaskOptions::default().least_px };
    templates(found.masks.iter().map(String::as_str), found).into_iter().map(rule).collect()
}

/// Paths, with `{stem}`, `{name}` and `{folder}`, by which some of the files belong to images.
fn templates<'a>(files: impl Iterator<Item = &'a str>, found: &Found) -> BTreeSet<String> {
    let mut by_stem: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in files {
        by_stem.entry(stem_of(path)).or_default().push(path);
        for word in ["_mask", "-mask", "_masks", "_seg"] {
            by_stem.entry(stem_of(path).strip_suffix(word).unwrap_or_default()).or_default().push(path);
        }
    }
    by_stem.remove("");
    let mut templates = BTreeSet::new();
    for image in found.images.iter().step_by(found.images.len().div_ceil(50)) {
        for (name, place) in [(stem_of(image), "{stem}"), (name_of(image), "{name}")] {
            for path in by_stem.get(name).into_iter().flatten() {
                let file = format!("{place}{}", name_of(path).strip_prefix(name).unwrap_or_default());
                if folder(path) == folder(image) {
                    templates.insert(format!("{{folder}}/{file}"));
                    continue;
                }
                templates.insert(format!("{}/{file}", folder(path)));
                if folder(folder(path)) == folder(folder(image)) {
                    templates.insert(format!("{{folder}}/../{}/{file}", name_of(folder(path))));
                }
            }
        }
    }
    templates
}

/// Rules by which a file of labels belongs to each image.
fn side_files(others: &[&String], found: &Found) -> Vec<LabelRule> {
    let is_text = |path: &&&String| ["txt", "xml", "json", "geojson"].contains(&ending(path).as_str());
    let files = templates(others.iter().filter(is_text).map(|path| path.as_str()), found);
    let names = others.iter().find(|path| {
        ["classes.txt", "obj.names", "data.yaml", "dataset.yaml"].contains(&name_of(path).to_lowercase().as_str())
    });
    let rules = |file: String| match ending(&file).as_str() {
        "txt" => {
            let names = names.map(|names| (**names).clone());
            vec![LabelRule::Points { file: file.clone() }, LabelRule::Yolo { file, names }]
        }
        "xml" => vec![LabelRule::Voc { file }],
        "json" => vec![LabelRule::Labelme { file: file.clone() }, LabelRule::Geojson { file }],
        _ => vec![LabelRule::Geojson { file }],
    };
    files.into_iter().flat_map(rules).collect()
}

/// Rules by which one file holds the labels of many images.
fn shared_file(root: &Root, path: &str) -> Vec<LabelRule> {
    let ending = ending(path);
    if !["json", "xml", "csv", "tsv", "txt"].contains(&ending.as_str()) {
        return Vec::new();
    }
    let Ok(bytes) = root.read(path, MOST_BYTES) else { return Vec::new() };
    let text = crate::reading::text_of(&bytes);
    let file = path.to_owned();
    match ending.as_str() {
        "json" if text.contains("\"annotations\"") && text.contains("\"images\"") => {
            tables::keys().map(|key| LabelRule::Coco { file: file.clone(), key }).collect()
        }
        "json" if text.contains("\"region_attributes\"") => match attribute(&text) {
            Some(attribute) => tables::keys()
                .map(|key| LabelRule::Via { file: file.clone(), attribute: attribute.clone(), key })
                .collect(),
            None => Vec::new(),
        },
        "xml" if text.contains("<annotations") => {
            tables::keys().map(|key| LabelRule::Cvat { file: file.clone(), key }).collect()
        }
        "csv" | "tsv" => tables::rules(&text, &file),
        _ => Vec::new(),
    }
}

/// The first attribute of a region of VIA.
fn attribute(text: &str) -> Option<String> {
    let rest = text.split_once("\"region_attributes\"")?.1.split_once('{')?.1;
    Some(rest.split_once('"')?.1.split_once('"')?.0.to_owned())
}

/// The rules that a folder names the class of its images, where the names of the folders are those of classes.
fn folders(found: &Found) -> Vec<LabelRule> {
    let levels = levels(found).into_iter();
    let classes = levels.filter(|level| level.meaning == Meaning::Classes && level.may_be_classes());
    classes.map(|level| LabelRule::Folder { up: level.up }).collect()
}
