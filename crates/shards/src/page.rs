//! One image out of one page: Parquet's own page reader and decoder, pointed at a fetched range.

use bytes::{Buf, Bytes};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Parts of a file of `size` bytes that are at hand; reads elsewhere fail instead of fetching.
#[derive(Debug)]
pub(crate) struct Windows {
    pub(crate) size: u64,
    /// Start of each part in the file, and its bytes.
    pub(crate) parts: Vec<(u64, Bytes)>,
}

impl Windows {
    fn from(&self, start: u64) -> Result<Bytes> {
        for (at, bytes) in &self.parts {
            if let Some(skip) = start.checked_sub(*at)
                && skip < bytes.len() as u64
            {
                return Ok(bytes.slice(skip as usize..));
            }
        }
        Err(ParquetError::EOF(format!("byte {start} lies outside what was fetched")))
    }
}

/// Bytes whose end is an error and not a short read: Parquet's page headers name lists of up to two thousand million values, and
/// its reader skips each of them without a look at how many bytes are left.
#[derive(Debug)]
pub(crate) struct ToTheEnd(bytes::buf::Reader<Bytes>);

impl Read for ToTheEnd {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

impl Length for Windows {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Windows {
    type T = ToTheEnd;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(ToTheEnd(self.from(start)?.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} reach beyond what was fetched")));
        }
        Ok(bytes.slice(..length))
    }
}

/// Decodes the single value of the `image.bytes` page `page`, which begins at `offset` of its file. `column` describes
/// the whole column chunk.
///
/// Parquet's decoders panic at some damaged pages; that is an error here, for it would take the whole program.
pub(crate) fn image_of_page(column: &ColumnChunkMetaData, offset: u64, page: Bytes) -> Result<Bytes> {
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(column, offset, page)));
    decoded.unwrap_or_else(|_| Err(ParquetError::General("its page makes the Parquet reader panic".to_owned())))
}

fn decode(column: &ColumnChunkMetaData, offset: u64, page: Bytes) -> Result<Bytes> {
    let length = i64::try_from(page.len())?;
    // A chunk of one page: with the chunk's own numbers, the reader would look for a dictionary before this page.
    let chunk = column
        .clone()
        .into_builder()
        .set_num_values(1)
        .set_data_page_offset(i64::try_from(offset)?)
        .set_dictionary_page_offset(None)
        .set_index_page_offset(None)
        .set_total_compressed_size(length)
        .set_total_uncompressed_size(length)
        .build()?;
    let window = Windows { size: offset + page.len() as u64, parts: vec![(offset, page)] };
    let pages = SerializedPageReader::new(Arc::new(window), &chunk, 1, None)?;
    let mut reader = ColumnReaderImpl::<ByteArrayType>::new(column.column_descr_ptr(), Box::new(pages));
    let mut values: Vec<ByteArray> = Vec::new();
    let mut levels: Vec<i16> = Vec::new();
    // Two are asked for, so that a page of more rows shows.
    let (records, found, _) = reader.read_records(2, Some(&mut levels), None, &mut values)?;
    match values.as_slice() {
        [image] if records == 1 && found == 1 => Ok(Bytes::copy_from_slice(image.data())),
        _ => Err(ParquetError::General(format!("its page holds {found} images in {records} rows, not one"))),
    }
}
