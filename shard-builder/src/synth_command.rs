//! `synth`: draws synthetic smears, and says what was drawn.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use synth::{Scale, SmearSet, SourceSummary, SynthError};

use crate::cli::{SynthArgs, SynthScale};
use crate::progress::Progress;
use terminal::megabytes;

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
        let png = smears.sheet().context("cannot make the labelled sheet")?;
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
        SynthScale::Quickstart => Scale::Quickstart,
        SynthScale::Tiny => Scale::Tiny,
        SynthScale::Small => Scale::Small,
        SynthScale::Medium => Scale::Medium,
    };
    let images = args.images.map(|n| format!(" --images {n}")).unwrap_or_default();
    let command = format!("shard-builder synth --seed {} --scale {}{images}", args.seed, scale.name());
    SmearSet { seed: args.seed, scale, images_per_source: args.images, command }
}

fn draw(smears: &SmearSet, dir: &Path) -> Result<Vec<SourceSummary>> {
    let progress = Progress::start("make synthetic smears", smears.images());
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
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create the folder {}", parent.display()))?;
    }
    std::fs::write(file, png).with_context(|| format!("cannot write {}", file.display()))
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
    use super::*;

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
}
