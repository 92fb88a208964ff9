//! Reading a file of predictions: only the columns that are asked for.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaDataReader};

use super::columns::{FEATURES, FOLD, GROUP, METADATA_KEY, SOURCE, TRUTH};
use super::{BLOCK, Metadata, rows};
use crate::stats::counts::{CountsBuilder, Place};
use crate::stats::score::ClassCounts;
use crate::{ResultRow, ResultsError};

/// A file of predictions, whose metadata was read. Cells are decoded when they are asked for, block by block.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// What errors call the file.
    what: String,
    bytes: Bytes,
    parquet: ArrowReaderMetadata,
    metadata: Metadata,
}

/// Bytes from the end of a file that mostly hold all of its metadata.
const END: u64 = 1 << 16;

/// The metadata of a file of `size` bytes, of which only the end is read, by `read`. `what` names the file in messages.
///
/// # Errors
/// Those of `read`; within, as [`Predictions::open`].
pub fn metadata_at_end<E>(
    size: u64,
    what: &str,
    mut read: impl FnMut(Range<u64>) -> Result<Bytes, E>,
) -> Result<Result<Metadata, ResultsError>, E> {
    let (mut reader, mut wanted) = (ParquetMetaDataReader::new(), END.min(size));
    loop {
        let end = read(size - wanted..size)?;
        match reader.try_parse_sized(&end, size) {
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted => wanted = (needed as u64).min(size),
            parsed => {
                let metadata = parsed.and_then(|()| reader.finish());
                let metadata = metadata.map_err(|source| ResultsError::Parquet { what: what.to_owned(), source });
                return Ok(metadata.and_then(|metadata| of_file(metadata.file_metadata(), what)));
            }
        }
    }
}

/// What the key-value metadata of a file hold.
fn of_file(file: &FileMetaData, what: &str) -> Result<Metadata, ResultsError> {
    let pairs = file.key_value_metadata();
    let json = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY)?.value.as_deref());
    let json = json.ok_or_else(|| ResultsError::Predictions {
        what: what.to_owned(),
        why: format!("it has no metadata named {METADATA_KEY}"),
    })?;
    Metadata::from_json(json, what)
}

/// One line, as numbers: positions in the metadata, or in the names met so far.
struct Line<'a> {
    features: usize,
    /// Source, fold and group.
    place: (u32, u32, u32),
    truth: usize,
    /// The class that each probe asked for predicts.
    predicted: &'a [usize],
}

impl Predictions {
    /// Opens the bytes of a file; `what` names it in messages.
    ///
    /// # Errors
    /// [`ResultsError::Parquet`] for bytes that are no Parquet file, [`ResultsError::Predictions`] for one of another kind or
    /// version.
    pub fn open(bytes: impl Into<Bytes>, what: &str) -> Result<Self, ResultsError> {
        let bytes = bytes.into();
        let parquet = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())
            .map_err(|source| ResultsError::Parquet { what: what.to_owned(), source })?;
        let metadata = of_file(parquet.metadata().file_metadata(), what)?;
        Ok(Self { what: what.to_owned(), bytes, parquet, metadata })
    }

    /// What all lines have in common.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The file itself.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The number of lines: cells times sets of features.
    pub fn lines(&self) -> u64 {
        self.parquet.metadata().file_metadata().num_rows().unsigned_abs()
    }

    /// Adds what `probe` predicted from `features` to `counts`, as the predictions of `trial` (arm and seed).
    ///
    /// # Errors
    /// [`ResultsError::Empty`] for a probe or features that the file does not hold; else as [`Self::rows`].
    pub fn add_counts(
        &self,
        (features, probe): (&str, &str),
        trial: (&str, u64),
        counts: &mut CountsBuilder,
    ) -> Result<(), ResultsError> {
        let (wanted, probe) = self.find(features, probe)?;
        let classes = self.metadata.task.classes.len();
        let mut of_place: HashMap<(u32, u32, u32), Vec<ClassCounts>> = HashMap::new();
        let names = self.scan(&[probe], |line| {
            if line.features == wanted {
                let counts = of_place.entry(line.place).or_insert_with(|| vec![ClassCounts::default(); classes]);
                count(counts, line.truth, line.predicted[0]);
            }
        })?;
        for ((source, fold, group), of_class) in of_place {
            let fold = &self.metadata.task.folds[fold as usize];
            let place = Place { source: names.name(source), fold, group: names.name(group) };
            counts.add_group(trial, place, &of_class)?;
        }
        Ok(())
    }

    /// Positions of features and probe.
    pub(super) fn find(&self, features: &str, probe: &str) -> Result<(usize, usize), ResultsError> {
        let absent = |what: &str| ResultsError::Empty { what: format!("{what} in {}", self.what) };
        let wanted = self.metadata.features(features).ok_or_else(|| absent(&format!("features {features}")))?;
        let probe = self.metadata.task.probe(probe).ok_or_else(|| absent(&format!("probe {probe}")))?;
        Ok((wanted, probe))
    }

    /// The result rows of all features: what every program that writes rows writes.
    ///
    /// # Errors
    /// [`ResultsError::Parquet`], [`ResultsError::Arrow`], [`ResultsError::Column`] or [`ResultsError::Cell`] for a damaged file,
    /// [`ResultsError::NotFinite`] for a number that no row may hold.
    pub fn rows(&self) -> Result<Vec<ResultRow>, ResultsError> {
        let Metadata { task, features, .. } = &self.metadata;
        let no_counts = vec![ClassCounts::default(); task.classes.len()];
        let of_probe = vec![no_counts; task.folds.len()];
        let mut tallies = vec![vec![of_probe; task.probes.len()]; features.len()];
        let probes: Vec<usize> = (0..task.probes.len()).collect();
        self.scan(&probes, |line| {
            let fold = line.place.1 as usize;
            for (of_probe, &predicted) in tallies[line.features].iter_mut().zip(line.predicted) {
                count(&mut of_probe[fold], line.truth, predicted);
            }
        })?;
        let rows = rows::rows(&self.metadata, &tallies);
        rows.iter().try_for_each(ResultRow::verify)?;
        Ok(rows)
    }

    /// Calls `each` for every line with the predictions of `probes`, by position. Returns the names that places refer to.
    fn scan(&self, probes: &[usize], mut each: impl FnMut(&Line<'_>)) -> Result<Names, ResultsError> {
        let Metadata { task, features, .. } = &self.metadata;
        let probes: Vec<&str> = probes.iter().map(|&probe| task.probes[probe].name.as_str()).collect();
        let wanted = [FEATURES, SOURCE, GROUP, FOLD, TRUTH].into_iter().chain(probes.iter().copied());
        let features = positions(features.iter().map(|record| record.features.as_str()));
        let folds = positions(task.folds.iter().map(String::as_str));
        let classes = positions(task.classes.iter().map(String::as_str));
        let (mut names, mut predicted) = (Names::default(), vec![0; probes.len()]);
        for batch in self.batches(wanted)? {
            let batch = batch?;
            let column =
                |name: &str, known: &HashMap<&str, u32>| self.numbers(&batch, name, |value| known.get(value).copied());
            let (of_features, of_fold) = (column(FEATURES, &features)?, column(FOLD, &folds)?);
            let of_truth = column(TRUTH, &classes)?;
            let of_probes = probes.iter().map(|probe| column(probe, &classes)).collect::<Result<Vec<_>, _>>()?;
            let of_source = self.numbers(&batch, SOURCE, |value| Some(names.number(value)))?;
            let of_group = self.numbers(&batch, GROUP, |value| Some(names.number(value)))?;
            for i in 0..batch.num_rows() {
                predicted.iter_mut().zip(&of_probes).for_each(|(class, of)| *class = of.at(i) as usize);
                each(&Line {
                    features: of_features.at(i) as usize,
                    place: (of_source.at(i), of_fold.at(i), of_group.at(i)),
                    truth: of_truth.at(i) as usize,
                    predicted: &predicted,
                });
            }
        }
        Ok(names)
    }

    /// Blocks of the columns `wanted`.
    pub(super) fn batches<'a>(
        &self,
        wanted: impl Iterator<Item = &'a str>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ResultsError>>, ResultsError> {
        let schema = self.parquet.schema();
        let root = |name: &str| schema.index_of(name).map_err(|_| self.wrong_column(name));
        let roots = wanted.map(root).collect::<Result<Vec<_>, _>>()?;
        let mask = ProjectionMask::roots(self.parquet.metadata().file_metadata().schema_descr(), roots);
        let what = self.what.clone();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.parquet.clone())
            .with_projection(mask)
            .with_batch_size(BLOCK)
            .build()
            .map_err(|source| ResultsError::Parquet { what: what.clone(), source })?;
        Ok(reader.map(move |batch| batch.map_err(|source| ResultsError::Arrow { what: what.clone(), source })))
    }

    /// The numbers that `number` gives to the values of a dictionary column.
    pub(super) fn numbers<'a>(
        &self,
        batch: &'a RecordBatch,
        name: &str,
        mut number: impl FnMut(&str) -> Option<u32>,
    ) -> Result<Numbers<'a>, ResultsError> {
        let array = batch.column_by_name(name).ok_or_else(|| self.wrong_column(name))?;
        let array = array.as_dictionary_opt::<Int32Type>().ok_or_else(|| self.wrong_column(name))?;
        let values = array.values().as_string_opt::<i32>().ok_or_else(|| self.wrong_column(name))?;
        if array.null_count() > 0 || values.null_count() > 0 {
            return Err(self.wrong(format!("column {name} has empty cells")));
        }
        let of_value = |value: Option<&str>| {
            let value = value.unwrap_or_default();
            number(value).ok_or_else(|| self.wrong(format!("column {name} holds {value:?}, which its metadata lacks")))
        };
        let of_value = values.iter().map(of_value).collect::<Result<Vec<_>, _>>()?;
        Ok(Numbers { keys: array.keys().values(), of_value })
    }

    fn wrong(&self, why: String) -> ResultsError {
        ResultsError::Predictions { what: self.what.clone(), why }
    }

    pub(super) fn wrong_column(&self, name: &str) -> ResultsError {
        let (what, column) = (self.what.clone(), name.to_owned());
        ResultsError::Column { what, column, expected: "dictionary of text" }
    }
}

/// A dictionary column whose values have numbers.
pub(super) struct Numbers<'a> {
    keys: &'a [i32],
    of_value: Vec<u32>,
}

impl Numbers<'_> {
    pub(super) fn at(&self, line: usize) -> u32 {
        self.of_value[self.keys[line] as usize]
    }
}

/// Names of sources and groups, numbered as they are met.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(super) fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}

pub(super) fn positions<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<&'a str, u32> {
    names.zip(0..).collect()
}

/// Counts one cell.
fn count(of_class: &mut [ClassCounts], truth: usize, predicted: usize) {
    of_class[truth].support += 1;
    of_class[predicted].predicted += 1;
    if truth == predicted {
        of_class[truth].correct += 1;
    }
}
