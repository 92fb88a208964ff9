//! The text of a first description, with comments that say what was guessed.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::files::Found;
use super::folders::{FolderLevel, Meaning, group_level, levels};
use super::groups;
use super::trial::Trial;
use crate::annotation::ImageLabels;
use crate::error::DatasetError;
use crate::reading::Listing;
use crate::schema::text::shortened;
use crate::schema::{LabelRule, Source};

/// Labels that a comment names.
const MOST_LABELS: usize = 40;

/// What a description without labels says about labels and cells.
const NO_LABELS: &str = "\
# Could not tell: where labels are. No file in a known format has labels for the images.
label: { from: none }
# Possible: find single cells without labels, for `build --product cells`. 40 stands for the usual diameter of a red cell in pixels;
# `shard-builder segment` draws what a value finds.
# cells: { segment: { diameter: 40 } }
";

/// What a description of slides says about labels.
const NO_LABELS_OF_SLIDES: &str = "\
# Could not tell: where labels are. Labels of slides are not searched for; objects of QuPath are read with
# `label: { from: geojson, file: '{stem}.geojson' }` (docs/sources.md).
label: { from: none }
";

/// A name for the source of a folder: its own, as far as a name may hold it.
pub(super) fn name_of_folder(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_name().map_or(String::new(), |name| name.to_string_lossy().to_lowercase());
    let stem = [".tar.gz", ".tgz", ".tar", ".zip"].iter().find_map(|end| stem.strip_suffix(*end)).unwrap_or(&stem);
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(plain).collect();
    let name = name.trim_matches(|c: char| c == '-' || c == '.');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

/// A description that includes every picture, by which the folder is opened.
///
/// # Errors
/// None that a name from [`name_of_folder`] gives.
pub(super) fn bare(name: &str) -> Result<Source, DatasetError> {
    let include =
        "images: { include: ['**/*.jpg', '**/*.jpeg', '**/*.png', '**/*.bmp', '**/*.tif', '**/*.tiff', '**/*.webp'] }";
    Ok(Source::parse(&format!("{}{include}\n", head(name, "unknown")), "the description")?)
}

fn head(name: &str, licence: &str) -> String {
    format!(
        "name: {name}\ntitle: {name}\nhome: unknown\nlicence: {licence}\ncitation: unknown\nmodality: unknown\nmembership: own\n"
    )
}

/// The description of a folder, whose name and stated licence come first: the best of the rules that were tried on a sample of so many
/// images.
pub(super) fn written(
    (name, licence): (&str, Option<(&str, &str)>),
    listing: &Listing,
    found: &Found,
    tried: &[Trial],
    sample: usize,
) -> String {
    let mut text =
        String::from("# A first description, written by `shard-builder describe`: read each line and correct it.\n");
    let unknown = if licence.is_none() { "title, home, licence" } else { "title, home" };
    let scale = if found.slides.is_some() { "" } else { ", um_per_px" };
    let _ = writeln!(text, "# Could not tell: {unknown}, citation, modality, stain, magnification{scale}.");
    text.push_str(&head(name, licence.map_or("unknown", |(licence, _)| licence)));
    text.push_str(
        "# `own` are images of your own. For a public dataset choose another value (docs/sources.md, `membership`).\n",
    );
    match licence {
        Some((_, file)) => {
            let _ = writeln!(text, "# guessed: the licence, by `{}`; it may be that of code.", shortened(file));
        }
        None => {
            for licence in listing.files.iter().filter(|path| path.to_lowercase().contains("licen")).take(3) {
                let _ = writeln!(text, "# `{}` may say the licence.", shortened(licence));
            }
        }
    }
    for about in listing.files.iter().filter(|path| path.to_lowercase().contains("readme")).take(3) {
        let _ = writeln!(text, "# `{}` may say where the images come from.", shortened(about));
    }
    images(&mut text, found);
    found.slides.iter().for_each(|slides| slides.written(&mut text));
    let levels = levels(found);
    group(&mut text, found, &levels, tried.first().map(|best| &best.rule));
    labels(&mut text, found, (tried, sample), &levels);
    text
}

/// Which files are images.
fn images(text: &mut String, found: &Found) {
    if found.slides.is_none() {
        let _ = writeln!(text, "# Recognised by their first bytes: {} images.", found.images.len());
    }
    text.push_str("images:\n  include:\n");
    for glob in &found.include {
        let _ = writeln!(text, "    - {}", quoted(glob));
    }
    if found.exclude.is_empty() {
        return;
    }
    for why in &found.why {
        let _ = writeln!(text, "  # guessed: {}", shortened(why));
    }
    text.push_str("  exclude:\n");
    for exclude in &found.exclude {
        let (glob, why) = (quoted(&exclude.glob), quoted(&exclude.why));
        let _ = writeln!(text, "    - {{ glob: {glob}, why: {why}, unlabelled: true }}");
    }
}

/// Which images belong together, by the folders if these may be patients or slides. Otherwise each image is a group.
fn group(text: &mut String, found: &Found, levels: &[FolderLevel], label: Option<&LabelRule>) {
    let label_up = label.and_then(folder_label);
    let used = group_level(levels, label_up);
    match used {
        Some(level) if level.meaning == Meaning::Groups => {
            let _ = writeln!(
                text,
                "# guessed: each folder is a patient or slide, by its name ({}). A split never divides a group.",
                shortened(&level.named())
            );
        }
        Some(level) => {
            let _ = writeln!(
                text,
                "# Could not tell: whether the folders are patients or slides, or classes of cells ({}).\n\
                 # Written is the safe rule: each folder is a group, which a split never divides. Keep it if the folders are patients or slides.",
                shortened(&level.named())
            );
        }
        None => {
            text.push_str("# Could not tell: which images are of one patient or slide. Each is a group of its own until `group` says otherwise;\n");
            text.push_str("# a split may then put one patient on both sides (docs/sources.md, `group`).\n");
        }
    }
    if used.is_some() {
        alternative(text, levels, label);
    }
    let ups: Vec<u32> = used.map(|level| level.up).into_iter().chain(label_up).collect();
    for possible in groups::possible(found, &ups) {
        let _ = writeln!(text, "# Possible: {possible}");
    }
    match used {
        Some(level) => {
            let _ = writeln!(text, "group: {{ by: folder, up: {} }}", level.up);
        }
        None => text.push_str("group: { by: image }\n"),
    }
}

/// What to write if the folders are not patients or slides: without other labels they may be classes.
fn alternative(text: &mut String, levels: &[FolderLevel], label: Option<&LabelRule>) {
    let classes = levels.iter().find(|level| label.is_none() && level.may_be_classes());
    let _ = match classes {
        Some(level) => writeln!(
            text,
            "# Possible: group: {{ by: image }} and label: {{ from: folder, up: {} }}, if the folders are classes of cells ({})",
            level.up,
            shortened(&level.named())
        ),
        None => writeln!(text, "# Possible: group: {{ by: image }}, if images of one folder do not belong together"),
    };
}

/// The level of folders that a rule takes labels from.
fn folder_label(rule: &LabelRule) -> Option<u32> {
    if let LabelRule::Folder { up } = rule { Some(*up) } else { None }
}

fn labels(text: &mut String, found: &Found, (tried, sample): (&[Trial], usize), levels: &[FolderLevel]) {
    let Some((best, others)) = tried.split_first() else {
        text.push_str(if found.slides.is_some() { NO_LABELS_OF_SLIDES } else { NO_LABELS });
        return;
    };
    let up = folder_label(&best.rule);
    if let Some(level) = levels.iter().find(|level| Some(level.up) == up) {
        let _ = writeln!(
            text,
            "# guessed: each folder is a class of cells, by its name ({}), and labels its images.\n\
             # Possible: group: {{ by: folder, up: {} }} and label: {{ from: none }}, if each folder is a patient or slide",
            shortened(&level.named()),
            level.up
        );
    }
    let _ = writeln!(text, "# guessed: the rule below gives labels to {} of {sample} sampled images.", best.images);
    if let Some(reason) = &best.first_issue {
        let _ = writeln!(text, "# {} of their labels are not used; the first: {}", best.issues, shortened(reason));
    }
    let _ = writeln!(text, "label: {}", flow(&serde_json::to_value(&best.rule).unwrap_or_default()));
    for other in others.iter().filter(|other| other.images == best.images && other.counts != best.counts).take(2) {
        let rule = flow(&serde_json::to_value(&other.rule).unwrap_or_default());
        let _ = writeln!(text, "# Possible: label: {rule}");
    }
    let seen: Vec<String> =
        best.counts.iter().take(MOST_LABELS).map(|(label, count)| format!("{} {count}", shortened(label))).collect();
    let _ = writeln!(text, "# Labels in the sample: {}", seen.join(", "));
    let draws = best.labels.iter().any(|labels| match labels {
        ImageLabels::Annotations(all) => all.iter().any(|one| one.region.is_some()),
        _ => false,
    });
    if draws {
        text.push_str("# The labels have outlines, so these are the cells.\ncells: { drawn: true }\n");
    }
    text.push_str("# Rename them with `labels: { OLD: new }`; the map must then list every label.\n");
}

/// A value as YAML in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let (first, others): (Vec<_>, Vec<_>) = map.iter().partition(|(key, _)| *key == "from");
            let pairs = first.into_iter().chain(others).map(|(key, value)| format!("{key}: {}", flow(value)));
            let pairs: Vec<String> = pairs.collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A text in double quotes: JSON's are YAML's.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
