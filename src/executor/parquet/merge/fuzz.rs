//! Any bytes, taken for a column chunk with a footer that may lie: what comes out is an error, or what another reader makes
//! of the same bytes; never a panic, never other values. A fuzzer calls [`check`] (`tests/fuzz`), and so do the unit tests.

use std::panic::catch_unwind;
use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use bytes::Bytes;
use parquet::basic::{Compression, Type as Physical};
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::{Choice, Merge, Rules, Stop, Wanted, Workspace};

/// Bytes before those of the column chunk.
const HEADER: usize = 16;
/// More levels than this tell nothing new.
const MOST_LEVELS: u32 = 1 << 16;
const PHYSICAL: [(Physical, &str); 8] = [
    (Physical::BOOLEAN, "boolean"),
    (Physical::INT32, "int32"),
    (Physical::INT64, "int64"),
    (Physical::INT96, "int96"),
    (Physical::FLOAT, "float"),
    (Physical::DOUBLE, "double"),
    (Physical::BYTE_ARRAY, "binary"),
    (Physical::FIXED_LEN_BYTE_ARRAY, "fixed_len_byte_array"),
];

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is no input at all.
    TooShort,
    /// Its pages were refused.
    Refused,
    /// They were moved, and another reader can't read them where they were.
    Moved,
    /// They were moved, and another reader finds the same values before and after.
    Same,
}

/// Levels, and values as bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    definition: Vec<i16>,
    repetition: Vec<i16>,
    values: Vec<Vec<u8>>,
}

/// Moves the pages of a chunk and looks at the result.
///
/// # Panics
/// When the result can't be read, or has other values than the input: that is what a fuzzer looks for.
pub fn check(input: &[u8]) -> Checked {
    let Some((header, chunk)) = input.split_first_chunk::<HEADER>() else { return Checked::TooShort };
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (flags, levels, rows) = (header[2], number(4) % MOST_LEVELS, u64::from(number(12) % MOST_LEVELS));
    let schema = schema(header[0], header[1], header[3]);
    let column = schema.column(0);
    let metadata = ColumnChunkMetaData::builder(column.clone())
        .set_compression(codec(flags >> 3))
        .set_num_values(levels.into())
        .set_total_uncompressed_size(number(8).into())
        .set_total_compressed_size(i64::try_from(chunk.len()).unwrap_or(0))
        .set_data_page_offset(0)
        .build();
    let Ok(metadata) = metadata else { return Checked::TooShort };
    let rules = Rules {
        level: 1,
        modern: flags & 1 != 0,
        no_dictionary: flags & 2 != 0,
        page_bytes: 500,
        page_rows: 50,
        dictionary_bytes: 1000,
    };
    let nested = column.max_rep_level() > 0;
    // In flat columns rows are levels: some can be left out, and it is known which.
    let part = flags & 4 != 0 && !nested;
    let before = if part { rows / 3 } else { 0 };
    let kept = if part { rows / 2 } else { rows };
    let ranges = [(false, before), (true, kept), (false, rows - before - kept)];
    // Or two of three rows, as if the others were deleted.
    let scattered = header[3] & 0x80 != 0;
    let lives = |row: u64| row >= before && row < before + kept && (!scattered || row % 3 != 1);
    let living: BooleanBuffer = (before..before + kept).map(lives).collect();
    let size = |n: u64| usize::try_from(n).unwrap_or(0);
    let wanted = match scattered {
        true => Wanted::Living { all: size(rows), offset: size(before), rows: &living },
        false => Wanted::Ranges(&ranges),
    };
    let kept = if scattered { living.count_set_bits() as u64 } else { kept };
    if rows == 0 || (!nested && u64::from(levels) != rows) {
        // The caller's own checks.
        return Checked::Refused;
    }
    let Ok((moved, found)) = moved(&schema, &metadata, chunk, &rules, wanted) else { return Checked::Refused };
    assert_eq!(found, kept, "rows that came out");
    let after = read(moved).expect("what came out can be read");
    assert!(nested || after.rows(&column) == kept, "{} values of {kept} rows", after.rows(&column));
    let bytes = Bytes::copy_from_slice(chunk);
    let reading = catch_unwind(|| {
        let pages = SerializedPageReader::new(Arc::new(bytes), &metadata, usize::try_from(rows).unwrap_or(0), None)?;
        drained(get_column_reader(column.clone(), Box::new(pages) as Box<dyn PageReader>))
    });
    match reading {
        Ok(Ok(all)) if nested || all.rows(&column) == rows => {
            assert_eq!(after, all.only(&column, lives), "other values than another reader finds");
            Checked::Same
        }
        _ => Checked::Moved,
    }
}

/// An input of [`check`] made of a chunk of a file, to begin with.
#[cfg(test)]
pub(super) fn input(metadata: &ColumnChunkMetaData, flags: u8, rows: u32, chunk: &[u8]) -> Vec<u8> {
    let column = metadata.column_descr();
    let byte = |n: usize| u8::try_from(n).unwrap();
    let codec = (0..6).find(|n| std::mem::discriminant(&codec(*n)) == std::mem::discriminant(&metadata.compression()));
    let kind = PHYSICAL.iter().position(|(kind, _)| *kind == column.physical_type()).unwrap();
    let levels = byte(usize::try_from(column.max_def_level() * 4 + column.max_rep_level()).unwrap());
    let length = byte(usize::try_from(column.type_length().max(0)).unwrap());
    let mut input = vec![byte(kind), levels, (flags & 7) | (codec.unwrap() << 3), length];
    for number in [metadata.num_values(), metadata.uncompressed_size(), rows.into()] {
        input.extend_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
    }
    input.extend_from_slice(chunk);
    input
}

fn codec(number: u8) -> Compression {
    match number % 6 {
        0 => Compression::UNCOMPRESSED,
        1 => Compression::SNAPPY,
        2 => Compression::GZIP(Default::default()),
        3 => Compression::LZ4_RAW,
        4 => Compression::BROTLI(Default::default()),
        _ => Compression::ZSTD(Default::default()),
    }
}

/// A schema of one column of a type with so many levels (four times definition, plus repetition).
fn schema(kind: u8, levels: u8, length: u8) -> SchemaDescriptor {
    let (_, name) = PHYSICAL[usize::from(kind) % PHYSICAL.len()];
    let repetition = levels % 4 % 3;
    let definition = (levels / 4 % 6).max(repetition);
    let options = definition - repetition;
    let (mut text, mut ends) = ("message m { ".to_owned(), String::new());
    let groups = (0..repetition).map(|_| "repeated").chain((1..options).map(|_| "optional"));
    for (number, how) in groups.enumerate() {
        text += &format!("{how} group g{number} {{ ");
        ends += " }";
    }
    let width = if name.starts_with("fixed") { format!(" ({})", length.max(1)) } else { String::new() };
    let how = if options > 0 { "optional" } else { "required" };
    text += &format!("{how} {name}{width} c;{ends} }}");
    let schema = parse_message_type(&text).expect("a schema of this file's own making");
    SchemaDescriptor::new(Arc::new(schema))
}

/// The pages of a chunk in a file of their own, and how many rows they have.
fn moved(
    schema: &SchemaDescriptor,
    metadata: &ColumnChunkMetaData,
    chunk: &[u8],
    rules: &Rules,
    wanted: Wanted<'_>,
) -> Result<(Bytes, u64), Stop> {
    let mut space = Workspace::new(Arc::default());
    let mut merge = Merge::new(&mut space, schema.column(0), *rules, Choice::default())?;
    merge.add(&mut space, metadata, chunk, wanted)?;
    let rows = merge.rows() as u64;
    let (merged, _) = merge.finish(&mut space)?;
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| -> ParquetResult<()> {
        let mut writer = SerializedFileWriter::new(out, schema.root_schema_ptr(), Arc::default())?;
        let mut group = writer.next_row_group()?;
        group.append_column(&merged.bytes, merged.close)?;
        group.close()?;
        writer.close().map(drop)
    };
    write(&mut out).expect("a file of one column");
    Ok((out.into(), rows))
}

fn read(file: Bytes) -> ParquetResult<Content> {
    let reader = SerializedFileReader::new(file)?;
    drained(reader.get_row_group(0)?.get_column_reader(0)?)
}

fn drained(reader: ColumnReader) -> ParquetResult<Content> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => drain(reader),
        ColumnReader::Int32ColumnReader(reader) => drain(reader),
        ColumnReader::Int64ColumnReader(reader) => drain(reader),
        ColumnReader::Int96ColumnReader(reader) => drain(reader),
        ColumnReader::FloatColumnReader(reader) => drain(reader),
        ColumnReader::DoubleColumnReader(reader) => drain(reader),
        ColumnReader::ByteArrayColumnReader(reader) => drain(reader),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => drain(reader),
    }
}

fn drain<T: DataType>(mut reader: ColumnReaderImpl<T>) -> ParquetResult<Content> {
    let (mut content, mut values) = (Content::default(), Vec::new());
    loop {
        let (definition, repetition) = (&mut content.definition, &mut content.repetition);
        let (records, _, levels) = reader.read_records(1 << 16, Some(definition), Some(repetition), &mut values)?;
        if records == 0 && levels == 0 {
            break;
        }
    }
    content.values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
    Ok(content)
}

impl Content {
    /// Rows of a flat column.
    fn rows(&self, column: &ColumnDescPtr) -> u64 {
        (if column.max_def_level() > 0 { self.definition.len() } else { self.values.len() }) as u64
    }

    /// Some of its rows.
    fn only(self, column: &ColumnDescPtr, lives: impl Fn(u64) -> bool) -> Self {
        if column.max_def_level() == 0 {
            let values = self.values.into_iter().zip(0..).filter(|(_, row)| lives(*row)).map(|(value, _)| value);
            return Self { values: values.collect(), ..Self::default() };
        }
        let (mut left, mut values, mut begun) = (Self::default(), self.values.into_iter(), 0);
        for (at, definition) in self.definition.iter().enumerate() {
            let repetition = self.repetition.get(at).copied();
            begun += u64::from(repetition.unwrap_or(0) == 0);
            let value = if *definition == column.max_def_level() { values.next() } else { None };
            if begun > 0 && lives(begun - 1) {
                left.definition.push(*definition);
                left.repetition.extend(repetition);
                left.values.extend(value);
            }
        }
        left
    }
}
