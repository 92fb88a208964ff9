//! Whole sets of synthetic smears, described, found and surveyed.

use std::collections::BTreeMap;
use std::path::Path;

use imaging::DecodeLimits;
use run_spec::ids::Product;
use synth::{Scale, SmearSet};

use crate::reading::{SearchOptions, locate, read_sources};
use crate::schema::{LabelRule, Membership};
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
