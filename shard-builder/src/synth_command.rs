//! `synth`: draws synthetic smears, and says what was drawn.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use synth::{Scale, SmearSet, SourceSummary, SynthError};

use crate::cli::{SynthArgs, SynthScale};
use crate::output::{Progress, megabytes};

/// Draws what the arguments ask for and returns what to print.
///
/// # Errors
/// A folder that holds something else already, a file that cannot be written.
pub(crate) fn synth(args: &SynthArgs) -> Result<String> {
    let smears = smears(args);
    let mut lines = Vec::new();
    let summaries = match &args.out {
        Some(dir) => draw(&smears, dir)?,
        None => Vec::new(),
    };
    if let Some(file) = &args.sheet {
        let png = smears.sheet().context("draw the labelled sheet")?;
        write_sheet(file, &png)?;
        lines.push(format!("labelled sheet (synthetic): {}", file.display()));
    }
    if let Some(dir) = &args.out {
        lines.extend([false, true].map(|evaluation| line(&summaries, evaluation)));
        lines.push(format!("in {}; see README.md there", dir.display()));
    }
    Ok(lines.join("\n"))
}

fn smears(args: &SynthArgs) -> SmearSet {
    let scale = match args.scale {
        SynthScale::Tiny => Scale::Tiny,
        SynthScale::Small => Scale::Small,
        SynthScale::Medium => Scale::Medium,
    };
    let images = args.images.map(|n| format!(" --images {n}")).unwrap_or_default();
    let command = format!("shard-builder synth --seed {} --scale {}{images}", args.seed, scale.name());
    SmearSet { seed: args.seed, scale, images_per_source: args.images, command }
}

fn draw(smears: &SmearSet, dir: &Path) -> Result<Vec<SourceSummary>> {
    let progress = Progress::start("draw synthetic smears", smears.images());
    let drawn = smears.write(dir, &|| progress.tick());
    progress.end();
    drawn.map_err(|error| match error {
        SynthError::OtherSet { .. } | SynthError::NotEmpty { .. } => anyhow!("--out {error}"),
        error => Error::new(error),
    })
}

/// Writes the sheet, and the folders above it.
fn write_sheet(file: &Path, png: &[u8]) -> Result<()> {
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("create the folder {}", parent.display()))?;
    }
    std::fs::write(file, png).with_context(|| format!("write {}", file.display()))
}

/// How much was drawn for training, or for evaluation.
fn line(summaries: &[SourceSummary], evaluation: bool) -> String {
    let own = || summaries.iter().filter(|source| source.evaluation == evaluation);
    format!(
        "{}: {} synthetic sources, {} images ({}), {} labelled cells",
        if evaluation { "evaluation" } else { "training" },
        own().count(),
        own().map(|source| source.images).sum::<u64>(),
        megabytes(own().map(|source| source.bytes).sum()),
        own().flat_map(|source| source.cells.values()).sum::<u64>(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::source::describe::{LabelRule, Membership, read_sources};
    use crate::source::files::{Globs, Root, Verdict};
    use crate::source::groups::GroupBook;
    use crate::source::labels::{Known, LabelBook, Shape};
    use crate::source::others::Others;

    #[test]
    fn a_folder_that_is_not_empty_is_refused_with_the_flag() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("thesis.tex"), "x").expect("write");
        let args = SynthArgs {
            out: Some(folder.path().to_owned()),
            seed: 0,
            scale: SynthScale::Tiny,
            images: None,
            sheet: None,
        };
        let error = synth(&args).expect_err("refused").to_string();
        assert!(error.starts_with("--out ") && error.contains("not empty"), "{error}");
    }

    #[test]
    fn build_understands_the_descriptions_and_finds_every_image_group_and_label() {
        let dir = tempfile::tempdir().expect("folder");
        let smears = SmearSet { seed: 4, scale: Scale::Tiny, images_per_source: None, command: "synth".to_owned() };
        let summaries = smears.write(dir.path(), &|| {}).expect("draw");
        for (folder, evaluation) in [("sources", false), ("eval-sources", true)] {
            for source in read_sources(&dir.path().join(folder)).expect("descriptions") {
                assert_eq!((source.membership, source.licence.as_str()), (Membership::Synthetic, "CC0-1.0"));
                assert!(source.title.contains("Synthetic"), "{}", source.title);
                let summary = summaries.iter().find(|summary| summary.name == source.name).expect("in the summary");
                let data = dir.path().join("data").join(&source.name);
                let root = Root::open(&data, 0, &source.images, |_| false).expect("root");
                let globs = Globs::new(&source.images).expect("globs");
                let listing = root.list().expect("list");
                let images: Vec<String> =
                    listing.files.iter().filter(|path| globs.judge(path) == Verdict::Image).cloned().collect();
                assert_eq!(images.len() as u64, summary.images, "{}", source.name);
                let table = std::fs::read_to_string(data.join("cells.csv")).expect("a table of cells");
                let in_table: BTreeSet<&str> =
                    table.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
                assert!(in_table.iter().all(|image| images.iter().any(|own| own == image)), "{}", source.name);
                let others = Others::of(&source, &root, &listing, &images, &[]).expect("others");
                let groups = GroupBook::open(&source, &root, &images, &[], &others).expect("groups");
                let labels = LabelBook::open(&source, &root, &images, &[], &others).expect("labels");
                let mut cells = 0;
                for image in &images {
                    let slide = groups.group_of(image).expect("a group");
                    let number = &slide[slide.len() - 2..];
                    assert!(
                        image.contains(&format!("slide{number}_")) || image.starts_with(&format!("slide {number}/"))
                    );
                    let bytes = std::fs::read(data.join(image)).expect("read");
                    let size = image::load_from_memory(&bytes).expect("decodes").to_rgb8();
                    match labels.look_up(image, size.width(), size.height()) {
                        (Known::Marks(marks), issues) => {
                            assert!(issues.is_empty(), "{issues:?}");
                            let points = matches!(source.label, LabelRule::Points { .. });
                            assert!(marks.iter().all(|mark| matches!(mark.shape, Shape::Point { .. }) == points));
                            cells += marks.len() as u64;
                        }
                        (known, _) => assert!(!evaluation, "{}: {known:?}", source.name),
                    }
                }
                let expected = if evaluation { summary.cells.values().sum() } else { 0 };
                assert_eq!(cells, expected, "{}", source.name);
            }
        }
    }
}
