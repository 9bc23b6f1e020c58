//! Inputs: footers once, then row groups as byte ranges.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef as ArrowSchemaRef, TimeUnit};
use bytes::{Buf, Bytes};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as Physical;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder,
};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescPtr;

use super::lineage::Lineage;
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::lake::{Store, damaged, read_metadata_like};
use crate::model::{Footer, MIB};

/// The size of one ranged read from an object store.
const REMOTE_RANGE: u64 = 8 * MIB;
/// Columns of a local file of at most so many bytes are read in one go.
const WHOLE: u64 = 16 * MIB;
/// The read buffer of a local file.
const LOCAL_BUFFER: usize = 1 << 20;

/// An opened input file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) metadata: Arc<ParquetMetaData>,
    /// Its columns as arrays.
    schema: ArrowSchemaRef,
    /// What reads them, once somebody did.
    arrays: Arc<OnceLock<ArrowReaderMetadata>>,
    /// What its rows inherit from it.
    pub(crate) lineage: Lineage,
    backing: Backing,
}

#[derive(Debug, Clone)]
enum Backing {
    /// Opened for each row group: a group may have more files than a process may have open.
    Local(PathBuf),
    Remote(Arc<Store>),
}

/// Where a column chunk's dictionary page begins, if it has one. Some writers say 0 where they mean that it has none.
pub(crate) fn dictionary_offset(chunk: &ColumnChunkMetaData) -> Option<i64> {
    let data = chunk.data_page_offset();
    chunk.dictionary_page_offset().filter(|offset| (1..data).contains(offset))
}

/// Where a column chunk lies in its file; nowhere, if its metadata is damaged.
pub(crate) fn chunk_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = dictionary_offset(chunk).unwrap_or(chunk.data_page_offset());
    let (start, length) = (u64::try_from(start).ok()?, u64::try_from(chunk.compressed_size()).ok()?);
    let end = start.checked_add(length).filter(|end| i64::try_from(*end).is_ok())?;
    Some(start..end)
}

/// Opens one file.
pub(crate) async fn open(store: &Arc<Store>, path: &str, size: u64) -> Result<Source> {
    open_like(store, path, size, &Alike::default()).await
}

/// What files of a group have in common: a group may have many thousands.
#[derive(Debug, Default)]
pub(super) struct Alike(Mutex<Option<(SchemaDescPtr, ArrowSchemaRef)>>);

/// The same, one of such files.
pub(super) async fn open_like(store: &Arc<Store>, path: &str, size: u64, alike: &Alike) -> Result<Source> {
    let known = alike.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let columns = known.as_ref().map(|(columns, _)| columns.clone());
    let metadata = read_metadata_like(store, path, size, PageIndexPolicy::Optional, columns).await?;
    let metadata = Arc::new(without_pairs(metadata));
    let columns = metadata.file_metadata().schema_descr_ptr();
    let schema = match known {
        Some((known, schema)) if Arc::ptr_eq(&known, &columns) => schema,
        _ => as_arrays(&metadata).map_err(|e| damaged(path, e))?.schema().clone(),
    };
    alike.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| (columns, schema.clone()));
    let backing = match store.local_path(path) {
        Some(local) => Backing::Local(local),
        None => Backing::Remote(store.clone()),
    };
    let (lineage, arrays) = (Lineage::default(), Arc::default());
    Ok(Source { path: path.to_owned(), size, metadata, schema, arrays, lineage, backing })
}

/// The same without what other writers say beside: the schema in other words, for the most part.
fn without_pairs(metadata: ParquetMetaData) -> ParquetMetaData {
    let file = metadata.file_metadata();
    let ours = |pair: &&KeyValue| [Footer::ARRANGEMENT, Footer::ARRANGEMENT_IDS].contains(&pair.key.as_str());
    let pairs = file.key_value_metadata().map(|pairs| pairs.iter().filter(ours).cloned().collect());
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        pairs,
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let mut parts = metadata.into_builder();
    ParquetMetaDataBuilder::new(file)
        .set_row_groups(parts.take_row_groups())
        .set_column_index(parts.take_column_index())
        .set_offset_index(parts.take_offset_index())
        .build()
}

/// The file's columns as arrays, by their physical types alone. Embedded Arrow schemas (dictionaries, time zones) are ignored.
fn as_arrays(metadata: &Arc<ParquetMetaData>) -> parquet::errors::Result<ArrowReaderMetadata> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(metadata.clone(), options.clone())?;
    let descriptor = metadata.file_metadata().schema_descr();
    let int96: Vec<usize> = (0..descriptor.num_columns())
        .filter(|leaf| descriptor.column(*leaf).physical_type() == Physical::INT96)
        .map(|leaf| descriptor.get_column_root_idx(leaf))
        .collect();
    if int96.is_empty() {
        return Ok(plain);
    }
    let fields = plain.schema().fields().iter().enumerate();
    let fields: Vec<Field> = fields
        .map(|(index, field)| if int96.contains(&index) { micros(field) } else { field.as_ref().clone() })
        .collect();
    ArrowReaderMetadata::try_new(metadata.clone(), options.with_schema(Arc::new(Schema::new(fields))))
}

/// INT96 reaches years that nanoseconds can't: it is read as microseconds, which is what Iceberg has; inside of others, too.
fn micros(field: &Field) -> Field {
    let inner = |field: &FieldRef| Arc::new(micros(field));
    field.clone().with_data_type(match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
    })
}

impl Source {
    /// The bytes of one row group: fetched now from an object store, read when needed from a local file.
    pub(crate) async fn row_group(&self, index: usize) -> Result<Chunks> {
        match &self.backing {
            Backing::Local(local) => self.opened(local),
            Backing::Remote(_) => self.window(self.range(index)).await,
        }
    }

    /// All of a local file.
    fn opened(&self, local: &Path) -> Result<Chunks> {
        let file = File::open(local)
            .map_err(|e| Error::corrupt(format!("data file {} can't be opened", self.path)).caused_by(e))?;
        Ok(Chunks { size: self.size, inner: Inner::Local(Arc::new(file)) })
    }

    /// The bytes of some top-level columns of a row group, and of what lies between them: read now, unless they are many
    /// and at hand when they are needed.
    pub(crate) async fn columns(&self, index: usize, roots: &[usize]) -> Result<Chunks> {
        let descriptor = self.metadata.file_metadata().schema_descr();
        let columns = self.metadata.row_group(index).columns().iter().enumerate();
        let wanted = columns.filter(|(leaf, _)| roots.contains(&descriptor.get_column_root_idx(*leaf)));
        let range = self.around(wanted.map(|(_, column)| column));
        match &self.backing {
            Backing::Local(local) => {
                let file = self.opened(local)?;
                let whole = range.end.saturating_sub(range.start) <= WHOLE;
                if whole { file.preload(range).map_err(|e| damaged(&self.path, e)) } else { Ok(file) }
            }
            Backing::Remote(_) => self.window(range).await,
        }
    }

    /// Some bytes, read now.
    pub(crate) async fn window(&self, range: Range<u64>) -> Result<Chunks> {
        match &self.backing {
            Backing::Local(local) => self.opened(local)?.preload(range).map_err(|e| damaged(&self.path, e)),
            Backing::Remote(store) => {
                let bytes = fetch(store, &self.path, range.clone()).await?;
                Ok(Chunks { size: self.size, inner: Inner::Memory { start: range.start, bytes } })
            }
        }
    }

    /// Whether what is asked for is read then, and not all of a row group before.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.backing, Backing::Local(_))
    }

    /// Rows.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    /// The position in the file of a row group's first row.
    pub(crate) fn first_row(&self, row_group: usize) -> u64 {
        let rows = self.metadata.row_groups().iter().take(row_group).map(|group| group.num_rows());
        rows.map(|rows| u64::try_from(rows).unwrap_or(0)).sum()
    }

    /// Where a row group's column chunks lie in the file.
    pub(crate) fn range(&self, index: usize) -> Range<u64> {
        self.around(self.metadata.row_group(index).columns().iter())
    }

    fn around<'a>(&self, columns: impl Iterator<Item = &'a ColumnChunkMetaData>) -> Range<u64> {
        let ranges = columns.map(|column| column.byte_range());
        let (mut start, mut end) = (u64::MAX, 0);
        for (offset, length) in ranges {
            start = start.min(offset);
            end = end.max(offset.saturating_add(length));
        }
        start.min(end)..end.min(self.size)
    }

    /// The file's columns as arrays.
    pub(crate) fn schema(&self) -> &ArrowSchemaRef {
        &self.schema
    }

    /// What reads them. It is made when it is wanted first, as it takes more memory than all else that is kept of a small
    /// file, and pages that are moved do without.
    pub(crate) fn arrays(&self) -> parquet::errors::Result<ArrowReaderMetadata> {
        match self.arrays.get() {
            Some(made) => Ok(made.clone()),
            None => {
                let made = as_arrays(&self.metadata)?;
                Ok(self.arrays.get_or_init(|| made).clone())
            }
        }
    }
}

async fn fetch(store: &Arc<Store>, path: &str, range: Range<u64>) -> Result<Bytes> {
    if range.end - range.start <= REMOTE_RANGE {
        return store.read_range(path, range).await;
    }
    let starts = (range.start..range.end).step_by(usize::try_from(REMOTE_RANGE).unwrap_or(usize::MAX));
    let parts: Vec<Bytes> = futures::stream::iter(starts)
        .map(|start| store.read_range(path, start..(start + REMOTE_RANGE).min(range.end)))
        .buffered(4)
        .try_collect()
        .await?;
    Ok(parts.concat().into())
}

/// A window on a file's bytes, addressed by the file's own offsets. May be read from several threads at once.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    size: u64,
    inner: Inner,
}

#[derive(Debug, Clone)]
enum Inner {
    Local(Arc<File>),
    Memory { start: u64, bytes: Bytes },
}

impl Chunks {
    /// The same window with a part of it read into memory in one go.
    pub(crate) fn preload(&self, range: Range<u64>) -> parquet::errors::Result<Self> {
        let length =
            usize::try_from(range.end.saturating_sub(range.start)).map_err(|e| ParquetError::General(e.to_string()))?;
        let bytes = self.get_bytes(range.start, length)?;
        Ok(Self { size: self.size, inner: Inner::Memory { start: range.start, bytes } })
    }
}

impl Chunks {
    /// Some bytes of the window: those in memory as they are, others by way of a buffer.
    pub(crate) fn read<'a>(&'a self, range: Range<u64>, buffer: &'a mut Vec<u8>) -> parquet::errors::Result<&'a [u8]> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        match &self.inner {
            Inner::Memory { start, bytes } => {
                let skip = window(*start, bytes, range.start, length)?;
                Ok(&bytes[skip..skip + length])
            }
            Inner::Local(file) => {
                self.check(range.start, length)?;
                buffer.resize(length, 0);
                read_exact_at(file, buffer, range.start)?;
                Ok(buffer)
            }
        }
    }

    /// Passes a part of the window on as it is. Nobody else may do so with the same window at the same time.
    pub(crate) fn copy_to(&self, sink: &mut Sink, range: Range<u64>) -> parquet::errors::Result<()> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        match &self.inner {
            Inner::Memory { start, bytes } => {
                let skip = window(*start, bytes, range.start, length)?;
                sink.write_all(&bytes[skip..skip + length])?;
            }
            Inner::Local(file) => {
                self.check(range.start, length)?;
                sink.copy(file, range)?;
            }
        }
        Ok(())
    }

    /// A footer that lies about lengths must not make us reserve its lie.
    fn check(&self, start: u64, length: usize) -> parquet::errors::Result<()> {
        if start.saturating_add(length as u64) > self.size {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {}", self.size)));
        }
        Ok(())
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        match &self.inner {
            Inner::Local(file) => {
                Ok(Box::new(BufReader::with_capacity(LOCAL_BUFFER, Positioned { file: file.clone(), offset: start })))
            }
            Inner::Memory { start: first, bytes } => {
                let skip = window(*first, bytes, start, 0)?;
                Ok(Box::new(bytes.slice(skip..).reader()))
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match &self.inner {
            Inner::Local(file) => {
                self.check(start, length)?;
                let mut buffer = vec![0; length];
                read_exact_at(file, &mut buffer, start)?;
                Ok(buffer.into())
            }
            Inner::Memory { start: first, bytes } => {
                let skip = window(*first, bytes, start, length)?;
                Ok(bytes.slice(skip..skip + length))
            }
        }
    }
}

fn window(first: u64, bytes: &Bytes, start: u64, length: usize) -> parquet::errors::Result<usize> {
    let skip = start.checked_sub(first).and_then(|skip| usize::try_from(skip).ok());
    match skip {
        Some(skip) if skip.saturating_add(length) <= bytes.len() => Ok(skip),
        _ => Err(ParquetError::EOF(format!("{length} bytes at {start} are outside of the row group"))),
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Reads a shared file without sharing its cursor (which is what `File`'s own clones do).
struct Positioned {
    file: Arc<File>,
    offset: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
