//! A synthetic set: all images, label files and descriptions, drawn in parallel and written to one folder.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::catalogue::LabelFormat;
use crate::error::SynthError;
use crate::form::Class;
use crate::plan::{DrawnSource, Field, Scale};
use crate::scene::{CellLabel, Scene};
use crate::{encode, files, optics, sheet, words};

/// Which set is drawn. The same values give the same bytes, on any number of threads.
///
/// ```
/// use synth::{Scale, SmearSet};
///
/// let smears = SmearSet { seed: 7, scale: Scale::Tiny, images_per_source: Some(1), command: "an example".to_owned() };
/// let folder = tempfile::tempdir()?;
/// let sources = smears.write(folder.path(), &|| {})?;
/// assert_eq!(sources.iter().map(|source| source.images).sum::<u64>(), smears.images());
/// assert!(folder.path().join("data/synth-pink-giemsa/images/slide01_field01.jpg").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SmearSet {
    /// Seed of everything random.
    pub seed: u64,
    /// How many fields there are, and how large.
    pub scale: Scale,
    /// Images of each training source, instead of the scale's number.
    pub images_per_source: Option<u64>,
    /// The command that draws this set again, for the README and the descriptions. The README identifies the set, so the command
    /// must name all that decides what is drawn and nothing else.
    pub command: String,
}

/// What was drawn of one source.
#[derive(Clone, Debug)]
pub struct SourceSummary {
    /// Name of the source, of its folder and of its description.
    pub name: String,
    /// Whether it belongs to the labelled evaluation set.
    pub evaluation: bool,
    /// Number of its images.
    pub images: u64,
    /// Bytes of the image files.
    pub bytes: u64,
    /// Labelled cells by the name of their class; a class without cells has 0.
    pub cells: BTreeMap<&'static str, u64>,
}

impl SmearSet {
    /// Number of images of the set, training and evaluation together.
    pub fn images(&self) -> u64 {
        self.fields(&DrawnSource::all(self.scale)).len() as u64
    }

    /// Writes the set to `dir` (`data/`, `sources/`, `eval-sources/`, `README.md`) and calls `on_image` after each image, from
    /// any thread. Returns what was drawn: the training sources, then the evaluation sets.
    ///
    /// # Errors
    /// A folder that holds something else already, a file that cannot be written.
    pub fn write(&self, dir: &Path, on_image: &(dyn Fn() + Sync)) -> Result<Vec<SourceSummary>, SynthError> {
        let sources = DrawnSource::all(self.scale);
        files::claim(dir, &words::readme(&self.command, &sources))?;
        let one = |field: &Field| draw(field, self.seed, dir).inspect(|_| on_image());
        let drawn = self.fields(&sources).par_iter().map(one).collect::<Result<Vec<Drawn>, _>>()?;
        let mut rest = drawn.as_slice();
        let mut summaries = Vec::new();
        for source in &sources {
            let own = rest.iter().take_while(|image| image.field.source.name() == source.name()).count();
            let (images, others) = rest.split_at(own);
            rest = others;
            self.write_tables(dir, source, images)?;
            summaries.push(summary(source, images));
        }
        Ok(summaries)
    }

    /// Draws a labelled sheet as PNG: a row for each shape class, a column for each evaluation source.
    ///
    /// # Errors
    /// None is expected: encoding to memory fails only if the image crate refuses a format it was built with.
    pub fn sheet(&self) -> Result<Vec<u8>, SynthError> {
        sheet::draw(self.seed, self.scale)
    }

    fn fields(&self, sources: &[DrawnSource]) -> Vec<Field> {
        sources.iter().flat_map(|source| source.fields(self.scale, self.images_per_source)).collect()
    }

    /// Writes the table of cells and the description of a source.
    fn write_tables(&self, dir: &Path, source: &DrawnSource, images: &[Drawn]) -> Result<(), SynthError> {
        let table = words::cells_csv(images.iter().map(|image| (&image.field, image.labels.as_slice())));
        let name = source.name();
        files::write(&dir.join("data").join(&name).join("cells.csv"), table.as_bytes())?;
        let folder = if source.evaluation.is_some() { "eval-sources" } else { "sources" };
        let yaml = words::source_yaml(source, &self.command);
        files::write(&dir.join(folder).join(format!("{name}.yaml")), yaml.as_bytes())
    }
}

/// One image that was written, and its labels for the tables of its source.
struct Drawn {
    field: Field,
    labels: Vec<CellLabel>,
    bytes: u64,
}

/// Draws a field and writes its image, its mask and its side file of labels.
fn draw(field: &Field, seed: u64, dir: &Path) -> Result<Drawn, SynthError> {
    let (style, key) = (field.source.style, field.key(seed));
    let scene = Scene::draw(field, seed);
    let exposure = optics::expose(&scene, style, key);
    let bytes = encode::encode(&exposure, field.format(), field.index)?;
    let labels = scene.labels();
    let root = dir.join("data").join(field.source.name());
    files::write(&root.join(field.path()), &bytes)?;
    if let Some(path) = field.mask_path() {
        let mask = encode::encode_mask(&optics::mask(&scene), field.width, field.height)?;
        files::write(&root.join(path), &mask)?;
    }
    if let Some((LabelFormat::Points, _)) = field.source.evaluation {
        let text = words::points(&labels);
        files::write(&root.join("labels").join(format!("{}.txt", field.stem())), text.as_bytes())?;
    }
    Ok(Drawn { field: *field, labels, bytes: bytes.len() as u64 })
}

fn summary(source: &DrawnSource, drawn: &[Drawn]) -> SourceSummary {
    let mut cells: BTreeMap<&'static str, u64> = Class::ALL.iter().map(|class| (class.name(), 0)).collect();
    for label in drawn.iter().flat_map(|image| &image.labels) {
        *cells.entry(label.class.name()).or_default() += 1;
    }
    SourceSummary {
        name: source.name(),
        evaluation: source.evaluation.is_some(),
        images: drawn.len() as u64,
        bytes: drawn.iter().map(|image| image.bytes).sum(),
        cells,
    }
}
