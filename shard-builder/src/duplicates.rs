//! `duplicates`: the report on copies, as a table and as a picture of the worst pairs.
//!
//! The worst are pairs with one image in a source for training and one in a source for evaluation; then pairs across
//! sources; then pairs in one source. Among equals the pair that is least alike comes first, because a person should
//! look at it.

use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use image::RgbImage;

use imaging::contact_sheet::{self, Strip};

use crate::cli::DuplicatesArgs;
use crate::locate::{Places, locate};
use crate::output::thousands;
use crate::plan;
use crate::source::describe::{Role, Source, read_sources};
use crate::source::files::name_of;
use crate::survey::{Cutting, Located, Picture, survey};
use crate::target::prepare_folder;
use imaging::DecodeLimits;
use near_copies::{CopyKind, Frame, Pair};

/// Thumbnails in a line of the sheet: four pairs.
const COLUMNS: u32 = 8;

/// What a pair of copies parts, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crosses {
    /// Training and evaluation.
    Roles,
    /// Two sources of one role.
    Sources,
    /// Two images of one source.
    Images,
}

impl Crosses {
    fn name(self) -> &'static str {
        match self {
            Self::Roles => "training and evaluation",
            Self::Sources => "sources",
            Self::Images => "images",
        }
    }
}

/// A line of the report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    crosses: Crosses,
    how: CopyKind,
    sides: [Side<'a>; 2],
}

#[derive(Debug, Clone, Copy)]
struct Side<'a> {
    source: usize,
    name: &'a str,
    role: Role,
    image: &'a str,
    group: &'a str,
}

/// The lines of a report, the worst first.
pub(crate) fn lines<'a>(sources: &'a [Located], pictures: &'a [Picture], pairs: &[Pair]) -> Vec<Line<'a>> {
    let side = |index: usize| {
        let picture = &pictures[index];
        let source = &sources[picture.source].source;
        let group = picture.seen.as_ref().and_then(|seen| seen.group.as_deref()).unwrap_or_default();
        Side { source: picture.source, name: &source.name, role: source.role, image: &picture.image, group }
    };
    let mut lines: Vec<Line<'a>> = pairs
        .iter()
        .map(|pair| {
            let sides = [side(pair.a), side(pair.b)];
            let crosses = match sides {
                [a, b] if a.role != b.role => Crosses::Roles,
                [a, b] if a.source != b.source => Crosses::Sources,
                _ => Crosses::Images,
            };
            Line { crosses, how: pair.kind, sides }
        })
        .collect();
    // The sort is stable and the pairs come in the order of their names.
    lines.sort_by(|p, q| p.crosses.cmp(&q.crosses).then(p.how.score().total_cmp(&q.how.score())));
    lines
}

/// The report as CSV.
///
/// # Errors
/// None that writing to memory can meet.
pub(crate) fn table(lines: &[Line<'_>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = "crosses,how,score,mirrored,angle_deg,scale,squashed,source_a,image_a,role_a,group_a,source_b,image_b,role_b,group_b";
    writer.write_record(header.split(',')).context("write the report on copies")?;
    for Line { crosses, how, sides } in lines {
        let mut record = vec![crosses.name().to_owned(), how.name().to_owned(), format!("{:.3}", how.score())];
        match how {
            CopyKind::Near(overlay) => record.extend([
                if overlay.mirrored { "yes" } else { "no" }.to_owned(),
                format!("{:.1}", overlay.angle),
                format!("{:.3}", overlay.scale),
                if overlay.frame == Frame::Whole { "yes" } else { "no" }.to_owned(),
            ]),
            CopyKind::Bytes | CopyKind::Pixels => record.extend(["no", "0.0", "1.000", "no"].map(str::to_owned)),
        }
        for side in sides {
            record.extend([side.name, side.image, side.role.name(), side.group].map(str::to_owned));
        }
        writer.write_record(&record).context("write the report on copies")?;
    }
    writer.into_inner().context("write the report on copies")
}

/// How many pairs of copies there are of each kind; its text is a sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CopyCounts {
    bytes: u64,
    pixels: u64,
    near: u64,
    sources: u64,
    roles: u64,
    apart: u64,
}

impl CopyCounts {
    /// Adds a pair: how alike, and whether it is in two sources, on both sides of training and evaluation, in groups that the group
    /// rules alone would not keep together.
    pub(crate) fn add(&mut self, how: &str, sources: bool, roles: bool, apart: bool) {
        match how {
            "same bytes" => self.bytes += 1,
            "same pixels" => self.pixels += 1,
            _ => self.near += 1,
        }
        self.sources += u64::from(sources);
        self.roles += u64::from(roles);
        self.apart += u64::from(apart);
    }
}

impl fmt::Display for CopyCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "copies: {} pairs with the same bytes, {} with the same pixels, {} near; {} across sources, {} between training \
             and evaluation, {} that the group rules alone would not keep together",
            thousands(self.bytes),
            thousands(self.pixels),
            thousands(self.near),
            thousands(self.sources),
            thousands(self.roles),
            thousands(self.apart),
        )
    }
}

/// How many pairs of each kind there are, in a sentence.
pub(crate) fn tally(lines: &[Line<'_>]) -> String {
    let mut counts = CopyCounts::default();
    for Line { crosses, how, sides: [a, b] } in lines {
        counts.add(how.name(), a.source != b.source, *crosses == Crosses::Roles, a.group != b.group);
    }
    counts.to_string()
}

/// How many pairs are alike and no copies, in a sentence for people; nothing if there are none.
pub(crate) fn only_alike(pairs: usize) -> String {
    match pairs {
        0 => String::new(),
        some => format!(
            "\n{} more pairs have outlines alike and other pixels, and were not joined; a single cell that was trimmed, turned by an odd angle or \
             coloured otherwise cannot be told from another cell",
            thousands(some as u64)
        ),
    }
}

/// Finds all copies, writes the report, and returns what to print.
///
/// # Errors
/// A description that cannot be used, a source without a folder, a folder that cannot be written.
pub(crate) fn duplicates(args: &DuplicatesArgs) -> Result<String> {
    let mut sources = read_sources(&args.sources)?;
    for name in &args.evaluation {
        let named = |source: &&mut Source| source.name == *name || source.dataset() == name;
        let described = sources.iter_mut().filter(named).map(|source| source.role = Role::Evaluation).count();
        ensure!(described > 0, "--evaluation {name}: no source of that name is described");
    }
    let Places { sources, data } = locate(sources, &args.place)?;
    prepare_folder(&args.out, &data)?;
    let limits = args.decoding.limits();
    let cutting = Cutting {
        product: run_spec::ids::Product::Patches,
        size: 224,
        limits,
        um_per_px: None,
        measured: false,
        fingerprints: true,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("start threads")?;
    let (pictures, found) = pool.install(|| -> Result<_> {
        let mut pictures = survey(&sources, cutting, None)?;
        let found = plan::copies(&sources, &mut pictures, limits);
        Ok((pictures, found))
    })?;
    let lines = lines(&sources, &pictures, &found.pairs);
    let file = args.out.join("duplicates.csv");
    fs::write(&file, table(&lines)?).with_context(|| format!("write {}", file.display()))?;
    let mut text = format!(
        "{} images of {} sources compared\n{}{}\nreport: {}",
        thousands(pictures.iter().filter(|picture| picture.seen.is_some()).count() as u64),
        sources.len(),
        tally(&lines),
        only_alike(found.alike),
        file.display()
    );
    if !lines.is_empty() {
        let sheet = args.out.join("duplicates.png");
        contact_sheet::strips(&strips(&sources, &lines, args.pairs as usize, limits)?, COLUMNS)
            .save_with_format(&sheet, image::ImageFormat::Png)
            .with_context(|| format!("write the contact sheet {}", sheet.display()))?;
        text.push_str(&format!("\nworst pairs: {}", sheet.display()));
    }
    Ok(text)
}

/// The worst pairs side by side, a strip for each kind of pair.
fn strips(sources: &[Located], lines: &[Line<'_>], most: usize, limits: DecodeLimits) -> Result<Vec<Strip>> {
    let mut strips = Vec::new();
    let shown = &lines[..most.min(lines.len())];
    for alike in shown.chunk_by(|p, q| p.crosses == q.crosses) {
        let mut tiles = Vec::new();
        for (index, line) in alike.iter().enumerate() {
            for side in &line.sides {
                let caption = format!("{} {:.2} {}", index + 1, line.how.score(), name_of(side.image));
                tiles.push((thumbnail(&sources[side.source], side.image, limits)?, caption));
            }
        }
        let all = lines.iter().filter(|line| line.crosses == alike[0].crosses).count() as u64;
        let name = alike[0].crosses.name();
        strips
            .push(Strip { title: format!("copies across {name}: {} of {} pairs", alike.len(), thousands(all)), tiles });
    }
    Ok(strips)
}

fn thumbnail(located: &Located, image: &str, limits: DecodeLimits) -> Result<RgbImage> {
    located.rgb(image, limits).map_err(anyhow::Error::msg).with_context(|| format!("show {image}"))
}
