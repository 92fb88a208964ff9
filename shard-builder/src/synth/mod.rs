//! Draws synthetic blood smears: eighteen small sources, and a labelled evaluation set over four of them.
//!
//! For the quickstart, for tests and for trying the tools without data. It always says that it is synthetic: in the README, in
//! every source description and in every source's name. Nothing learnt on it is evidence about blood.
//! A file depends on (seed, scale, source, slide, field) only: never on threads, on the clock or on how many images were asked for.

mod catalogue;
mod describe;
mod encode;
mod lettering;
mod optics;
mod outline;
mod plan;
mod scene;
mod shape;
mod sheet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use serde::Serialize;

use self::catalogue::Labels;
use self::plan::{Field, Set};
use self::scene::{Label, Scene};
use self::shape::Class;

pub(crate) use self::plan::Scale;
use crate::output::Progress;

/// Draw synthetic blood smears: 18 sources to pretrain on and a labelled evaluation set.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SynthArgs {
    /// Folder to write: data/, sources/, eval-sources/ and README.md
    #[arg(long, value_name = "DIR", required_unless_present = "sheet")]
    pub(crate) out: Option<PathBuf>,
    /// Number that everything random follows from
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub(crate) seed: u64,
    /// How much to draw
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) scale: Scale,
    /// Images for each training source, instead of the scale's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) images: Option<u64>,
    /// Draw a labelled sheet: a row for each shape, a column for each evaluation source
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
}

/// What was drawn.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Summary {
    /// Folder that was written, if any.
    pub(crate) out: Option<PathBuf>,
    /// The labelled sheet that was written, if any.
    pub(crate) sheet: Option<PathBuf>,
    /// One entry a set: the training sources, then the evaluation sets.
    pub(crate) sets: Vec<SetSummary>,
}

/// What was drawn of one source.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SetSummary {
    /// Name of the source.
    pub(crate) name: String,
    /// Whether it belongs to the labelled evaluation set.
    pub(crate) evaluation: bool,
    /// File format, for people.
    pub(crate) format: &'static str,
    /// Number of images.
    pub(crate) images: u64,
    /// Bytes of the images.
    pub(crate) bytes: u64,
    /// Labelled cells per class.
    pub(crate) cells: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sheet) = &self.sheet {
            writeln!(out, "labelled sheet (synthetic): {}", sheet.display())?;
        }
        let Some(dir) = &self.out else { return Ok(()) };
        for evaluation in [false, true] {
            let sets = || self.sets.iter().filter(|set| set.evaluation == evaluation);
            let images: u64 = sets().map(|set| set.images).sum();
            let cells: u64 = sets().flat_map(|set| set.cells.values()).sum();
            let megabytes = sets().map(|set| set.bytes).sum::<u64>() as f64 / 1e6;
            let what = if evaluation { "evaluation" } else { "training" };
            writeln!(
                out,
                "{what}: {} synthetic sources, {images} images ({megabytes:.1} MB), {cells} labelled cells",
                sets().count()
            )?;
        }
        write!(out, "in {}; see README.md there", dir.display())
    }
}

/// Draws what the arguments ask for.
///
/// # Errors
/// A folder that holds something else already, a file that cannot be written.
pub(crate) fn run(args: &SynthArgs) -> Result<Summary> {
    let mut summary = Summary { out: args.out.clone(), sheet: args.sheet.clone(), sets: Vec::new() };
    if let Some(dir) = &args.out {
        summary.sets = draw_all(args, dir)?;
    }
    if let Some(file) = &args.sheet {
        let bytes = sheet::draw(args.seed, args.scale).context("draw the labelled sheet")?;
        write(file, &bytes)?;
    }
    Ok(summary)
}

/// What one image left behind for its source's tables.
struct Drawn {
    field: Field,
    labels: Vec<Label>,
    bytes: u64,
}

fn draw_all(args: &SynthArgs, dir: &Path) -> Result<Vec<SetSummary>> {
    let arguments = spell(args);
    claim(dir, &describe::readme(&arguments))?;
    let sets = Set::all();
    let fields: Vec<Field> = sets.iter().flat_map(|set| set.fields(args.scale, args.images)).collect();
    let progress = Progress::start("draw synthetic smears", fields.len() as u64);
    let one = |field: &Field| draw(field, args.seed, dir).inspect(|_| progress.tick());
    let drawn = fields.par_iter().map(one).collect::<Result<Vec<Drawn>>>()?;
    progress.end();
    let mut rest = drawn.as_slice();
    let mut summaries = Vec::new();
    for set in &sets {
        let (of_set, others) =
            rest.split_at(rest.iter().take_while(|image| image.field.set.name() == set.name()).count());
        rest = others;
        let table = describe::cells_csv(of_set.iter().map(|image| (&image.field, image.labels.as_slice())));
        let name = set.name();
        write(&dir.join("data").join(&name).join("cells.csv"), table.as_bytes())?;
        let folder = if set.evaluation.is_some() { "eval-sources" } else { "sources" };
        let yaml = describe::source_yaml(set, &arguments);
        write(&dir.join(folder).join(format!("{name}.yaml")), yaml.as_bytes())?;
        summaries.push(summarise(set, of_set));
    }
    Ok(summaries)
}

fn draw(field: &Field, seed: u64, dir: &Path) -> Result<Drawn> {
    let (look, place) = (field.set.look, field.place(seed));
    let scene = Scene::draw(look, place, field.width, field.height, field.set.evaluation.is_some());
    let exposure = optics::expose(&scene, look, place);
    let bytes = encode::encode(&exposure, field.format(), field.index)?;
    let labels = scene.labels();
    let root = dir.join("data").join(field.set.name());
    write(&root.join(field.path()), &bytes)?;
    if let Some(path) = field.mask_path() {
        let mask = encode::encode_mask(&optics::mask(&scene), field.width, field.height)?;
        write(&root.join(path), &mask)?;
    }
    if let Some((Labels::Points, _)) = field.set.evaluation {
        let text = describe::points(&labels);
        write(&root.join("labels").join(format!("{}.txt", field.stem())), text.as_bytes())?;
    }
    Ok(Drawn { field: *field, labels, bytes: bytes.len() as u64 })
}

fn summarise(set: &Set, drawn: &[Drawn]) -> SetSummary {
    let mut cells: BTreeMap<&'static str, u64> = Class::ALL.iter().map(|class| (class.name(), 0)).collect();
    for label in drawn.iter().flat_map(|image| &image.labels) {
        *cells.entry(label.class.name()).or_default() += 1;
    }
    SetSummary {
        name: set.name(),
        evaluation: set.evaluation.is_some(),
        format: describe::format_words(set.look.format),
        images: drawn.len() as u64,
        bytes: drawn.iter().map(|image| image.bytes).sum(),
        cells,
    }
}

/// The arguments that decide what is drawn, as a command line would give them.
fn spell(args: &SynthArgs) -> String {
    let images = args.images.map(|n| format!(" --images {n}")).unwrap_or_default();
    format!("--seed {} --scale {}{images}", args.seed, args.scale.word())
}

/// Takes a folder: it must be empty, or hold the same synthetic set from an earlier (perhaps interrupted) run.
fn claim(dir: &Path, readme: &str) -> Result<()> {
    let path = dir.join("README.md");
    fs::create_dir_all(dir).with_context(|| format!("create the folder {}", dir.display()))?;
    match fs::read_to_string(&path) {
        Ok(found) if found == readme => Ok(()),
        Ok(_) => bail!("{} holds another set already; give another --out or delete it", dir.display()),
        Err(_) => {
            let mut entries = fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
            ensure!(entries.next().is_none(), "{} is not empty; give another --out", dir.display());
            write(&path, readme.as_bytes())
        }
    }
}

/// Writes a file whole: a run that is killed leaves no half image.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if !parent.as_os_str().is_empty() {
        fs::create_dir_all(parent).with_context(|| format!("create the folder {}", parent.display()))?;
    }
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).with_context(|| format!("write {}", path.display()))
}
