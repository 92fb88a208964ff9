//! Whole sets of synthetic smears, described, found and surveyed.

use std::collections::BTreeMap;
use std::path::Path;

use imaging::DecodeLimits;
use run_spec::ids::Product;
use synth::{Scale, SmearSet};

use crate::describing::Draft;
use crate::reading::{SearchOptions, locate, read_sources};
use crate::schema::{GroupRule, LabelRule, Membership};
use crate::survey::{ImageRecord, Progress, SurveyOptions, survey};

/// Runs the steps of a survey without reporting their progress.
struct Silent;

impl Progress for Silent {
    fn run(&self, _step: &str, _parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        work(&|| ());
    }
}

fn surveyed(dir: &Path, sources: &str, product: Product) -> (Vec<crate::schema::Source>, Vec<ImageRecord>) {
    let descriptions = read_sources(&dir.join(sources)).expect("descriptions");
    let options = SearchOptions { data: Some(dir.join("data")), ..SearchOptions::default() };
    let found = locate(descriptions.clone(), &options).expect("located");
    let options = SurveyOptions {
        product,
        patch_px: 224,
        limits: DecodeLimits::default(),
        um_per_px: None,
        measured: false,
        fingerprints: false,
    };
    (descriptions, survey(&found.sources, options, None, &Silent).expect("surveyed"))
}

#[test]
fn a_first_description_takes_images_for_own_ones_and_old_words_keep_their_digest() {
    let dir = tempfile::tempdir().expect("folder");
    image::RgbImage::new(8, 8).save(dir.path().join("a.png")).expect("a picture");
    let draft = crate::describing::describe(dir.path(), DecodeLimits::default(), 1 << 20).expect("described");
    assert_eq!(draft.source.membership, Membership::Own);
    assert!(draft.yaml.contains("\nmembership: own\n"), "{}", draft.yaml);
    let words = serde_json::to_string(&[Membership::Stated, Membership::Likely, Membership::Candidate]).expect("JSON");
    assert_eq!(words, r#"["stated","likely","candidate"]"#);
}

/// A first description of a folder with small pictures at these paths.
fn drafted(files: &[&str]) -> Draft {
    let dir = tempfile::tempdir().expect("folder");
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        image::RgbImage::new(8, 8).save(path).expect("a picture");
    }
    crate::describing::describe(dir.path(), DecodeLimits::default(), 1 << 20).expect("described")
}

#[test]
fn folders_of_patients_are_groups_folders_of_cells_are_classes_and_others_are_left_to_a_person() {
    let patients = drafted(&["patient-1/a.png", "patient-1/b.png", "patient-2/a.png", "patient-2/b.png"]);
    assert_eq!((&patients.source.group, &patients.source.label), (&GroupRule::Folder { up: 1 }, &LabelRule::None));
    assert!(!patients.has_labels && patients.yaml.contains("# guessed: each folder is a patient or slide"));
    assert!(patients.yaml.contains("# Possible: group: { by: image } and label: { from: folder, up: 1 }"));

    let classes = drafted(&["lymphocyte/a.png", "lymphocyte/b.png", "elliptocyte/a.png", "elliptocyte/b.png"]);
    assert_eq!((&classes.source.group, &classes.source.label), (&GroupRule::Image, &LabelRule::Folder { up: 1 }));
    assert!(classes.has_labels && classes.yaml.contains("# guessed: each folder is a class of cells"));
    assert!(classes.yaml.contains("# Possible: group: { by: folder, up: 1 } and label: { from: none }"));

    let unknown = drafted(&["alpha/a.png", "alpha/b.png", "beta/a.png", "beta/b.png"]);
    assert_eq!((&unknown.source.group, &unknown.source.label), (&GroupRule::Folder { up: 1 }, &LabelRule::None));
    assert!(unknown.yaml.contains("# Could not tell: whether the folders are patients or slides, or classes"));
    assert!(unknown.yaml.contains("# Possible: group: { by: image } and label: { from: folder, up: 1 }"));

    let both = drafted(&["p1/monocyte/a.png", "p1/platelet/a.png", "p2/monocyte/a.png", "p2/platelet/a.png"]);
    assert_eq!((&both.source.group, &both.source.label), (&GroupRule::Folder { up: 2 }, &LabelRule::Folder { up: 1 }));
}

#[test]
fn a_first_description_includes_folders_that_are_added_later_and_offers_cells_without_labels() {
    let draft = drafted(&["patient-1/a.png", "patient-1/b.png", "patient-2/a.jpg", "patient-2/b.jpg"]);
    assert_eq!(draft.source.images.include, ["**/*.jpg", "**/*.png"]);
    let flat = drafted(&["a.png", "b.png", "c.png"]);
    assert_eq!(flat.source.group, GroupRule::Image);
    assert_eq!(flat.source.images.include, ["**/*.png"]);
    assert!(flat.yaml.contains("\n# cells: { segment: { diameter: 40 } }\n"), "{}", flat.yaml);
}

#[test]
fn descriptions_of_synthetic_smears_give_every_image_group_and_label() {
    let dir = tempfile::tempdir().expect("folder");
    let smears = SmearSet { seed: 4, scale: Scale::Tiny, images_per_source: None, command: "synth".to_owned() };
    let drawn = smears.write(dir.path(), &|| {}).expect("drawn");
    let drawn: BTreeMap<&str, _> = drawn.iter().map(|source| (source.name.as_str(), source)).collect();
    for (folder, product) in [("sources", Product::Patches), ("eval-sources", Product::Cells)] {
        let (sources, images) = surveyed(dir.path(), folder, product);
        for (index, source) in sources.iter().enumerate() {
            let name = &source.name;
            assert_eq!((source.membership, source.licence.as_str()), (Membership::Synthetic, "CC0-1.0"));
            assert!(source.title.contains("Synthetic"), "{}", source.title);
            let own = || images.iter().filter(|image| image.source == index);
            let used: Vec<&ImageRecord> = own().filter(|image| image.used.is_ok()).collect();
            assert_eq!(used.len() as u64, drawn[name.as_str()].images, "{name}");
            for image in &used {
                let group = image.used.as_ref().map_or("", |used| used.group.as_str());
                let slide = &group[group.len() - 2..];
                let path = &image.image;
                assert!(
                    path.contains(&format!("slide{slide}_")) || path.starts_with(&format!("slide {slide}/")),
                    "{path}"
                );
            }
            let unused: Vec<&str> = own().filter_map(|image| image.used.as_ref().err()).map(String::as_str).collect();
            assert!(unused.iter().all(|why| why.contains("cell mask")), "{name}: {unused:?}");
            if product == Product::Cells {
                let cells: usize = used.iter().map(|image| image.cuts().len()).sum();
                assert_eq!(cells as u64, drawn[name.as_str()].cells.values().sum::<u64>(), "{name}");
                assert!(used.iter().all(|image| image.issues.is_empty()), "{name}");
                assert!(!matches!(source.label, LabelRule::None), "{name}");
            }
        }
    }
}
