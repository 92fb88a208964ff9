//! `duplicates`: the report on copies, as a table and as a picture of the worst pairs.
//!
//! The worst are pairs with one image in a source for training and one in a source for evaluation; then pairs across
//! sources; then pairs in one source.

use std::fs;

use anyhow::{Context, Result, ensure};
use datasets::reading::LocatedSource;
use datasets::schema::{Role, Source, name_of};
use datasets::survey::{CopyPair, CopySearch, SurveyOptions, copy_table, find_copies, rank_copies, survey};
use imaging::contact_sheet::{self, Strip};
use imaging::{DecodeLimits, RgbImage};
use run_spec::ids::Product;

use crate::cli::DuplicatesArgs;
use crate::copy_counts::{count_pairs, only_alike};
use crate::data_place::prepare_folder;
use crate::progress::Terminal;
use crate::sources::{self, Sources, locate};
use terminal::{counted, thousands};

/// Thumbnails in a line of the sheet: four pairs.
const COLUMNS: u32 = 8;

/// Finds all copies, writes the report, and returns what to print.
///
/// # Errors
/// A description that cannot be used, a source without a folder, a folder that cannot be written.
pub(crate) fn duplicates(args: &DuplicatesArgs) -> Result<String> {
    let mut sources = sources::read(&args.sources)?;
    for name in &args.evaluation {
        let named = |source: &&mut Source| source.name == *name || source.dataset() == name;
        let described = sources.iter_mut().filter(named).map(|source| source.role = Role::Evaluation).count();
        ensure!(described > 0, "--evaluation {name}: no source of that name is described");
    }
    let Sources { located: sources, data } = locate(sources, &args.place)?;
    prepare_folder(&args.out, &data)?;
    let limits = args.decoding.limits();
    let options = SurveyOptions {
        product: Product::Patches,
        patch_px: 224,
        limits,
        um_per_px: None,
        measured: false,
        fingerprints: true,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("cannot start threads")?;
    let (images, found) = pool.install(|| -> Result<_> {
        let mut images = survey(&sources, options, None, &Terminal)?;
        let search = if args.index { CopySearch::Indexed } else { CopySearch::Near };
        let found = find_copies(&sources, &mut images, search, limits, &Terminal);
        Ok((images, found))
    })?;
    let pairs = rank_copies(&sources, &images, &found.pairs);
    let file = args.out.join("duplicates.csv");
    fs::write(&file, copy_table(&pairs)?).with_context(|| format!("cannot write {}", file.display()))?;
    let mut text = format!(
        "{} of {} compared\n{}{}\nreport: {}",
        counted(images.iter().filter(|image| image.info.is_some()).count(), "image"),
        counted(sources.len(), "source"),
        count_pairs(&pairs, CopySearch::Near),
        only_alike(found.alike),
        file.display()
    );
    if !pairs.is_empty() {
        let sheet = args.out.join("duplicates.png");
        contact_sheet::strips(&strips(&sources, &pairs, args.pairs as usize, limits)?, COLUMNS)
            .save_with_format(&sheet, image::ImageFormat::Png)
            .with_context(|| format!("cannot write the contact sheet {}", sheet.display()))?;
        text.push_str(&format!("\nworst pairs: {}", sheet.display()));
    }
    Ok(text)
}

/// The worst pairs side by side, a strip for each kind of pair.
fn strips(sources: &[LocatedSource], pairs: &[CopyPair<'_>], most: usize, limits: DecodeLimits) -> Result<Vec<Strip>> {
    let mut strips = Vec::new();
    let shown = &pairs[..most.min(pairs.len())];
    for alike in shown.chunk_by(|p, q| p.crosses == q.crosses) {
        let mut tiles = Vec::new();
        for (index, pair) in alike.iter().enumerate() {
            for side in &pair.sides {
                let caption = format!("{} {:.2} {}", index + 1, pair.kind.score(), name_of(side.image));
                tiles.push((thumbnail(&sources[side.source], side.image, limits)?, caption));
            }
        }
        let all = pairs.iter().filter(|pair| pair.crosses == alike[0].crosses).count() as u64;
        let name = alike[0].crosses.name();
        strips
            .push(Strip { title: format!("copies across {name}: {} of {} pairs", alike.len(), thousands(all)), tiles });
    }
    Ok(strips)
}

fn thumbnail(located: &LocatedSource, image: &str, limits: DecodeLimits) -> Result<RgbImage> {
    located.rgb(image, limits).map_err(anyhow::Error::msg).with_context(|| format!("show {image}"))
}
