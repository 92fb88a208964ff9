//! Result rows as Parquet: one column per field, digests as hexadecimal text, so that any reader of Parquet can query them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use run_spec::ids::Digest;

use crate::{ResultRow, ResultsError};

/// Rows as the bytes of one Parquet file. The same rows give the same bytes.
///
/// # Errors
/// [`ResultsError::NotFinite`] for a row that may not be stored.
pub fn to_parquet(rows: &[ResultRow]) -> Result<Vec<u8>, ResultsError> {
    for row in rows {
        row.verify()?;
    }
    let text = |f: fn(&ResultRow) -> &str| texts(rows.iter().map(f));
    let digest = |f: fn(&ResultRow) -> Digest| texts(rows.iter().map(|r| f(r).to_string()));
    let count = |f: fn(&ResultRow) -> u64| counts(rows.iter().map(f));
    let number = |f: fn(&ResultRow) -> f64| numbers(rows.iter().map(|r| Some(f(r))));
    let columns = vec![
        ("run", text(|r| &r.run)),
        ("trial", digest(|r| r.trial)),
        ("seed", count(|r| r.seed.get())),
        ("arm", text(|r| &r.arm)),
        ("features", text(|r| &r.features)),
        ("step", count(|r| r.step.get())),
        ("config", digest(|r| r.config)),
        ("shards_train", digest(|r| r.shards_train)),
        ("shards_eval", digest(|r| r.shards_eval)),
        ("init_weights", some(rows.iter().map(|r| r.init_weights.map(|digest| digest.to_string())))),
        ("code", text(|r| &r.code)),
        ("code_probe", some(rows.iter().map(|r| r.code_probe.clone()))),
        ("dataset", text(|r| &r.dataset)),
        ("split", text(|r| &r.split)),
        ("split_digest", some(rows.iter().map(|r| r.split_digest.map(|digest| digest.to_string())))),
        ("fold", text(|r| &r.fold)),
        ("probe", text(|r| &r.probe)),
        ("metric", text(|r| &r.metric)),
        ("class", some(rows.iter().map(|r| r.class.clone()))),
        ("evaluation", some(rows.iter().map(|r| r.evaluation.clone()))),
        ("fraction", numbers(rows.iter().map(|r| r.fraction))),
        ("labels_per_class", Arc::new(UInt64Array::from_iter(rows.iter().map(|r| r.labels_per_class)))),
        ("repeat", Arc::new(UInt64Array::from_iter(rows.iter().map(|r| r.repeat)))),
        ("token", some(rows.iter().map(|r| r.token.clone()))),
        ("value", number(|r| r.value)),
        ("n", count(|r| r.n)),
        ("n_train", count(|r| r.n_train)),
        ("device", text(|r| &r.device)),
        ("hours", number(|r| r.hours)),
        ("kwh", numbers(rows.iter().map(|r| r.kwh))),
        ("transductive", Arc::new(BooleanArray::from_iter(rows.iter().map(|r| r.transductive)))),
        ("note", text(|r| &r.note)),
    ];
    write_batch(columns, "the result rows")
}

/// Rows from the bytes of a Parquet file. Columns are found by name, so their order is free; further columns are
/// passed over. `what` names the file in messages.
///
/// # Errors
/// [`ResultsError::Parquet`] for bytes that are no Parquet file, [`ResultsError::Column`] for a missing column or one
/// of another type, [`ResultsError::Cell`] for a digest that is none or an empty cell.
pub fn from_parquet(bytes: Vec<u8>, what: &str) -> Result<Vec<ResultRow>, ResultsError> {
    let parquet = |source| ResultsError::Parquet { what: what.to_owned(), source };
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).and_then(|b| b.build()).map_err(parquet)?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|source| ResultsError::Arrow { what: what.to_owned(), source })?;
        let cells = Cells { batch: &batch, what, first_row: rows.len() };
        for i in 0..batch.num_rows() {
            let row = ResultRow {
                run: cells.text("run", i)?,
                trial: cells.digest("trial", i)?,
                seed: cells.count("seed", i)?.into(),
                arm: cells.text("arm", i)?,
                features: cells.text("features", i)?,
                step: cells.count("step", i)?.into(),
                config: cells.digest("config", i)?,
                shards_train: cells.digest("shards_train", i)?,
                shards_eval: cells.digest("shards_eval", i)?,
                init_weights: cells.optional_digest("init_weights", i)?,
                code: cells.text("code", i)?,
                code_probe: cells.optional_text("code_probe", i)?,
                dataset: cells.text("dataset", i)?,
                split: cells.text("split", i)?,
                split_digest: cells.optional_digest("split_digest", i)?,
                fold: cells.text("fold", i)?,
                probe: cells.text("probe", i)?,
                metric: cells.text("metric", i)?,
                class: cells.optional_text("class", i)?,
                evaluation: cells.optional_text("evaluation", i)?,
                fraction: cells.further_number("fraction", i)?,
                labels_per_class: cells.further_count("labels_per_class", i)?,
                repeat: cells.further_count("repeat", i)?,
                token: cells.optional_text("token", i)?,
                value: cells.number("value", i)?,
                n: cells.count("n", i)?,
                n_train: cells.count("n_train", i)?,
                device: cells.text("device", i)?,
                hours: cells.number("hours", i)?,
                kwh: cells.optional_number("kwh", i)?,
                transductive: cells.optional_flag("transductive", i)?,
                note: cells.text("note", i)?,
            };
            row.verify()?;
            rows.push(row);
        }
    }
    Ok(rows)
}

/// A column of texts without nulls.
pub(crate) fn texts<T: Into<String>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.map(Into::<String>::into)))
}

/// A text column; `None` is null.
fn some(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// A column of counts.
pub(crate) fn counts(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

/// A column of numbers; `None` is null.
pub(crate) fn numbers(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

/// Named columns of equal length as a Parquet file.
pub(crate) fn write_batch(columns: Vec<(&str, ArrayRef)>, what: &str) -> Result<Vec<u8>, ResultsError> {
    let parquet = |source| ResultsError::Parquet { what: what.to_owned(), source };
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(|source| ResultsError::Arrow { what: what.to_owned(), source })?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).map_err(parquet)?;
    writer.write(&batch).map_err(parquet)?;
    writer.into_inner().map_err(parquet)
}

/// Cells of one batch by column name.
struct Cells<'a> {
    batch: &'a RecordBatch,
    what: &'a str,
    first_row: usize,
}

impl Cells<'_> {
    fn column(&self, name: &'static str, expected: &'static str) -> Result<&ArrayRef, ResultsError> {
        self.batch.column_by_name(name).ok_or_else(|| self.wrong_column(name, expected))
    }

    fn wrong_column(&self, name: &str, expected: &'static str) -> ResultsError {
        ResultsError::Column { what: self.what.to_owned(), column: name.to_owned(), expected }
    }

    fn wrong_cell(&self, column: &'static str, i: usize, found: &str) -> ResultsError {
        ResultsError::Cell { row: self.first_row + i, what: self.what.to_owned(), column, found: found.to_owned() }
    }

    fn text(&self, name: &'static str, i: usize) -> Result<String, ResultsError> {
        let array = self.column(name, "text")?;
        let array = array.as_string_opt::<i32>().ok_or_else(|| self.wrong_column(name, "text"))?;
        if array.is_null(i) {
            return Err(self.wrong_cell(name, i, "null"));
        }
        Ok(array.value(i).to_owned())
    }

    fn digest(&self, name: &'static str, i: usize) -> Result<Digest, ResultsError> {
        let text = self.text(name, i)?;
        text.parse().map_err(|_| self.wrong_cell(name, i, &text))
    }

    /// A cell of a column that files of older versions lack; null and a missing column are `None`.
    fn optional_text(&self, name: &'static str, i: usize) -> Result<Option<String>, ResultsError> {
        let Some(array) = self.batch.column_by_name(name) else { return Ok(None) };
        let array = array.as_string_opt::<i32>().ok_or_else(|| self.wrong_column(name, "text"))?;
        Ok((!array.is_null(i)).then(|| array.value(i).to_owned()))
    }

    fn optional_digest(&self, name: &'static str, i: usize) -> Result<Option<Digest>, ResultsError> {
        let text = self.optional_text(name, i)?;
        text.map(|text| text.parse().map_err(|_| self.wrong_cell(name, i, &text))).transpose()
    }

    fn optional_flag(&self, name: &'static str, i: usize) -> Result<Option<bool>, ResultsError> {
        let Some(array) = self.batch.column_by_name(name) else { return Ok(None) };
        let array = array.as_boolean_opt().ok_or_else(|| self.wrong_column(name, "true or false"))?;
        Ok((!array.is_null(i)).then(|| array.value(i)))
    }

    fn further_number(&self, name: &'static str, i: usize) -> Result<Option<f64>, ResultsError> {
        if self.batch.column_by_name(name).is_none() { Ok(None) } else { self.optional_number(name, i) }
    }

    fn further_count(&self, name: &'static str, i: usize) -> Result<Option<u64>, ResultsError> {
        let Some(array) = self.batch.column_by_name(name) else { return Ok(None) };
        if array.is_null(i) { Ok(None) } else { self.count(name, i).map(Some) }
    }

    fn count(&self, name: &'static str, i: usize) -> Result<u64, ResultsError> {
        let expected = "unsigned 64-bit integer";
        let array = self.column(name, expected)?;
        let array = array.as_primitive_opt::<UInt64Type>().ok_or_else(|| self.wrong_column(name, expected))?;
        if array.is_null(i) {
            return Err(self.wrong_cell(name, i, "null"));
        }
        Ok(array.value(i))
    }

    fn optional_number(&self, name: &'static str, i: usize) -> Result<Option<f64>, ResultsError> {
        let expected = "64-bit float";
        let array = self.column(name, expected)?;
        let array = array.as_primitive_opt::<Float64Type>().ok_or_else(|| self.wrong_column(name, expected))?;
        Ok((!array.is_null(i)).then(|| array.value(i)))
    }

    fn number(&self, name: &'static str, i: usize) -> Result<f64, ResultsError> {
        self.optional_number(name, i)?.ok_or_else(|| self.wrong_cell(name, i, "null"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn rows_survive_parquet() {
        let rows = vec![
            row("base", u64::MAX, "0", 0.1 + 0.2),
            ResultRow { kwh: Some(2.5), note: "did not converge".into(), ..row("koleo", 1, "1", 0.75) },
            ResultRow { transductive: None, code_probe: None, split_digest: None, ..row("old", 1, "1", 0.75) },
            ResultRow { class: Some("echinocyte".into()), ..row("base", 1, "1", 0.5) },
            ResultRow {
                evaluation: Some("label_efficiency".into()),
                fraction: Some(0.05),
                labels_per_class: Some(10),
                repeat: Some(2),
                token: Some("both".into()),
                ..row("base", 1, "1", 0.5)
            },
            ResultRow { transductive: Some(true), init_weights: Some(Digest::of(b"w")), ..row("w", 1, "1", 0.75) },
        ];
        let bytes = to_parquet(&rows).unwrap();
        assert_eq!(bytes, to_parquet(&rows).unwrap());
        assert_eq!(from_parquet(bytes, "rows.parquet").unwrap(), rows);
    }

    #[test]
    fn a_file_of_an_older_version_lacks_columns() {
        let row = ResultRow { note: "transductive".into(), ..row("old", 1, "1", 0.75) };
        let bytes = bytes::Bytes::from(to_parquet(std::slice::from_ref(&row)).unwrap());
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let batch = reader.next().unwrap().unwrap();
        let further = ["class", "evaluation", "fraction", "labels_per_class", "repeat", "token"];
        let new = [&["init_weights", "code_probe", "split_digest", "transductive"], &further[..]].concat();
        let schema = batch.schema();
        let old = schema.fields().iter().filter(|field| !new.contains(&field.name().as_str()));
        let columns: Vec<_> =
            old.map(|f| (f.name().as_str(), Arc::clone(batch.column_by_name(f.name()).unwrap()))).collect();
        let read = from_parquet(write_batch(columns, "old").unwrap(), "old.parquet").unwrap();
        let expected =
            ResultRow { init_weights: None, code_probe: None, split_digest: None, transductive: None, ..row };
        assert_eq!(read, [expected]);
    }

    #[test]
    fn no_rows_are_a_file_too() {
        assert_eq!(from_parquet(to_parquet(&[]).unwrap(), "empty").unwrap(), []);
    }

    #[test]
    fn another_layout_is_named() {
        let bytes =
            write_batch(vec![("run", texts(["a"].into_iter())), ("trial", counts([1].into_iter()))], "x").unwrap();
        let error = from_parquet(bytes, "old.parquet").unwrap_err().to_string();
        assert!(error.contains("old.parquet has no column \"trial\""), "{error}");
        assert!(from_parquet(b"PAR1 no".to_vec(), "cut.parquet").is_err());
    }
}
