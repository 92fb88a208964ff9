//! Writing a file of predictions, block by block.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use run_spec::ids::Digest;

use super::columns::{self, BLOCK, METADATA_KEY};
use super::{FeaturesRecord, Metadata, Task, VERSION};
use crate::ResultsError;

/// What errors call a file that is being written.
const WHAT: &str = "the file of predictions";

/// A labelled cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Id of its row in the shard set.
    pub id: Digest,
    /// Digest of its pixels.
    pub pixel_digest: Digest,
    /// The source that it is of.
    pub source: Arc<str>,
    /// Its image, slide or patient.
    pub group: Arc<str>,
    /// Position of the fold that tests it in [`Task::folds`].
    pub fold: u32,
    /// Position of its class in [`Task::classes`].
    pub truth: u32,
}

/// What one probe predicted for all cells.
#[derive(Debug, Clone, Copy)]
pub struct Predicted<'a> {
    /// The class of each cell, `[n]`, as a position in [`Task::classes`].
    pub classes: &'a [u32],
    /// The probability of each class, `[n, classes]` row-major; there if and only if the probe's column says so.
    pub probabilities: Option<&'a [f32]>,
}

/// Writes a file of predictions. The same predictions give the same bytes.
#[derive(Debug)]
pub struct Writer<W: Write + Send> {
    out: ArrowWriter<W>,
    metadata: Metadata,
    /// The names of the classes, as values of dictionaries.
    classes: ArrayRef,
    /// The names of the folds, as values of a dictionary.
    folds: ArrayRef,
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file of predictions of `task`.
    ///
    /// # Errors
    /// [`ResultsError::Parquet`] if `out` cannot be written.
    pub fn new(out: W, task: Task) -> Result<Self, ResultsError> {
        let (schema, properties) = (columns::schema(&task), columns::properties(&task));
        let out = ArrowWriter::try_new(out, schema, Some(properties)).map_err(parquet)?;
        let names = |names: &[String]| -> ArrayRef { Arc::new(StringArray::from_iter_values(names)) };
        let (classes, folds) = (names(&task.classes), names(&task.folds));
        Ok(Self { out, metadata: Metadata { version: VERSION, task, features: Vec::new() }, classes, folds })
    }

    /// Writes the predictions of all `cells` from one set of features; `predicted` has one entry for each probe.
    ///
    /// # Errors
    /// [`ResultsError::Predictions`] for fits, predictions or probabilities that are not one for each probe, fold and cell,
    /// [`ResultsError::UnknownClass`] for a class that is none, [`ResultsError::Parquet`] if the file cannot be written.
    pub fn write(
        &mut self,
        features: FeaturesRecord,
        cells: impl IntoIterator<Item = Cell>,
        predicted: &[Predicted<'_>],
    ) -> Result<(), ResultsError> {
        self.metadata.task.verify(&features, WHAT)?;
        self.verify_shapes(predicted)?;
        let (mut cells, mut at) = (cells.into_iter(), 0);
        loop {
            let block: Vec<Cell> = cells.by_ref().take(BLOCK).collect();
            if block.is_empty() {
                break;
            }
            self.write_block(&features.features, &block, at, predicted)?;
            at += block.len();
        }
        if let Some(other) = predicted.iter().find(|of| of.classes.len() != at) {
            return Err(unequal("predictions", at, other.classes.len()));
        }
        self.metadata.features.push(features);
        Ok(())
    }

    fn verify_shapes(&self, predicted: &[Predicted<'_>]) -> Result<(), ResultsError> {
        let Task { probes, classes, .. } = &self.metadata.task;
        if predicted.len() != probes.len() {
            return Err(unequal("probes", probes.len(), predicted.len()));
        }
        for (of, probe) in predicted.iter().zip(probes) {
            let expected = if probe.probabilities { of.classes.len() * classes.len() } else { 0 };
            let found = of.probabilities.map_or(0, <[f32]>::len);
            if expected != found {
                return Err(unequal("probabilities", expected, found));
            }
        }
        Ok(())
    }

    fn write_block(
        &mut self,
        features: &str,
        cells: &[Cell],
        at: usize,
        predicted: &[Predicted<'_>],
    ) -> Result<(), ResultsError> {
        let range = at..at + cells.len();
        let class_count = self.classes.len();
        let texts = |of: fn(&Cell) -> &str| texts(cells.iter().map(of));
        let mut arrays = vec![
            self::texts(cells.iter().map(|_| features))?,
            texts(|cell| &cell.source)?,
            texts(|cell| &cell.group)?,
            numbers(cells.iter().map(|cell| cell.fold), &self.folds)?,
            numbers(cells.iter().map(|cell| cell.truth), &self.classes)?,
        ];
        for of in predicted {
            let classes = of.classes.get(range.clone()).ok_or_else(|| unequal("cells", of.classes.len(), range.end))?;
            arrays.push(numbers(classes.iter().copied(), &self.classes)?);
        }
        arrays.push(digests(cells.iter().map(|cell| cell.id)));
        arrays.push(digests(cells.iter().map(|cell| cell.pixel_digest)));
        for probabilities in predicted.iter().filter_map(|of| of.probabilities) {
            let block = &probabilities[range.start * class_count..range.end * class_count];
            arrays.push(lists(block, class_count)?);
        }
        let schema = columns::schema(&self.metadata.task);
        let batch = RecordBatch::try_new(schema, arrays).map_err(arrow)?;
        self.out.write(&batch).map_err(parquet)
    }

    /// Bytes that are held in memory until their row group is whole.
    pub fn memory_size(&self) -> usize {
        self.out.memory_size()
    }

    /// Ends the file with its metadata.
    ///
    /// # Errors
    /// [`ResultsError::NotFinite`] for a number that JSON cannot carry, [`ResultsError::Parquet`] if the file cannot be written.
    pub fn finish(mut self) -> Result<W, ResultsError> {
        super::rows::verify(&self.metadata)?;
        let json = serde_json::to_string(&self.metadata);
        let json = json.map_err(|error| wrong(format!("its metadata cannot be written: {error}")))?;
        self.out.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_owned(), json));
        self.out.into_inner().map_err(parquet)
    }
}

/// A dictionary column of texts.
fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Result<ArrayRef, ResultsError> {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    for value in values {
        builder.append(value).map_err(arrow)?;
    }
    Ok(Arc::new(builder.finish()))
}

/// A dictionary column of positions in `names`.
fn numbers(values: impl Iterator<Item = u32>, names: &ArrayRef) -> Result<ArrayRef, ResultsError> {
    let keys: Vec<i32> = values.map(|value| value as i32).collect();
    if let Some(&class) = keys.iter().find(|&&key| key as usize >= names.len()) {
        return Err(ResultsError::UnknownClass { class: class as u32, classes: names.len() });
    }
    let array = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), Arc::clone(names)).map_err(arrow)?;
    Ok(Arc::new(array))
}

fn digests(values: impl Iterator<Item = Digest>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.map(|digest| digest.to_string())))
}

/// `[n, classes]` probabilities as a column of lists.
fn lists(probabilities: &[f32], classes: usize) -> Result<ArrayRef, ResultsError> {
    let values = Arc::new(Float32Array::from(probabilities.to_vec()));
    let array = FixedSizeListArray::try_new(columns::item(), classes as i32, values, None).map_err(arrow)?;
    Ok(Arc::new(array))
}

fn unequal(of: &str, expected: usize, found: usize) -> ResultsError {
    wrong(format!("{found} {of} were given where {expected} are needed"))
}

fn wrong(why: String) -> ResultsError {
    ResultsError::Predictions { what: WHAT.to_owned(), why }
}

fn parquet(source: parquet::errors::ParquetError) -> ResultsError {
    ResultsError::Parquet { what: WHAT.to_owned(), source }
}

fn arrow(source: ArrowError) -> ResultsError {
    ResultsError::Arrow { what: WHAT.to_owned(), source }
}
