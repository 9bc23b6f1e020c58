//! How outputs are encoded.

use iceberg::spec::{PrimitiveType, Schema, Type};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::merge::Rules;
use crate::error::{Error, Result};
use crate::model::{Arrangement, CompactPolicy, EncodingProfile, Footer, ROW_ID};

/// Uncompressed bytes of a data page. Between 64 KB and 4 MB size and speed differ by less than 2 %.
const PAGE_BYTES: usize = 1 << 20;
/// The same for pages that are moved: ZSTD is quicker and makes less of pages that fit its smaller tables (measured on
/// sorted timestamps and on strings of digits, 64 KB to 1 MB).
const MOVED_PAGE_BYTES: usize = 256 << 10;
/// Rows of a data page: pages of narrow columns stay small enough for the page index to prune.
const PAGE_ROWS: usize = 64 * 1024;
/// The same in files that are sorted (the default of parquet-rs and of Iceberg's own writer).
const SORTED_PAGE_ROWS: usize = 20_000;
/// A dictionary larger than this is given up for PLAIN pages.
const DICTIONARY_BYTES: usize = 2 << 20;

/// Writer properties in the `compatible` profile (I13): v1 data pages, PLAIN and dictionary, booleans PLAIN (which
/// parquet-rs does for version 1.0), no dictionaries for UUIDs, which Spark's vectorised reader refused until 2025.
pub(crate) fn writer_properties(
    policy: &CompactPolicy,
    schema: &Schema,
    physical: &SchemaDescriptor,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(policy.zstd_level)
        .map_err(|e| Error::invalid(format!("zstd level {} can't be used", policy.zstd_level)).caused_by(e))?;
    let json = serde_json::to_string(schema)
        .map_err(|e| Error::internal("the schema can't be written as JSON").caused_by(e))?;
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("icewright version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Page)
        // Bounds for the manifest are truncated by the spec's rules, from whole values.
        .set_statistics_truncate_length(None)
        .set_column_index_truncate_length(Some(64))
        .set_key_value_metadata(Some(vec![KeyValue::new("iceberg.schema".to_owned(), json)]));
    for column in physical.columns().iter().filter(|column| is_unique(column, schema)) {
        builder = builder.set_column_dictionary_enabled(column.path().clone(), false);
    }
    Ok(builder.build())
}

/// The same for rows that were sorted: pages are short, so that the page index has more to tell, and the footer says what
/// the rows are arranged by.
pub(super) fn sorted_properties(
    policy: &CompactPolicy,
    schema: &Schema,
    physical: &SchemaDescriptor,
    arrangement: &Arrangement,
) -> Result<WriterProperties> {
    let properties = writer_properties(policy, schema, physical)?;
    if arrangement.is_bin_pack() {
        return Ok(properties);
    }
    let mut pairs = properties.key_value_metadata().cloned().unwrap_or_default();
    pairs.extend(arrangement.mark().map(|mark| KeyValue::new(Footer::ARRANGEMENT.to_owned(), mark)));
    let by_ids = arrangement.mark_by_ids(|column| schema.field_id_by_name(column));
    pairs.extend(by_ids.map(|mark| KeyValue::new(Footer::ARRANGEMENT_IDS.to_owned(), mark)));
    let builder = properties.into_builder().set_key_value_metadata(Some(pairs));
    Ok(builder.set_data_page_row_count_limit(SORTED_PAGE_ROWS).build())
}

/// The same by leaf, for pages that are moved.
pub(super) fn rules(policy: &CompactPolicy, schema: &Schema, physical: &SchemaDescriptor) -> Vec<Rules> {
    let of = |column: &ColumnDescPtr| Rules {
        level: policy.zstd_level,
        modern: policy.encodings == EncodingProfile::Modern,
        no_dictionary: is_unique(column, schema),
        page_bytes: MOVED_PAGE_BYTES,
        page_rows: PAGE_ROWS,
        dictionary_bytes: DICTIONARY_BYTES,
    };
    physical.columns().iter().map(of).collect()
}

/// The same for rows that were sorted, whose pages are short.
pub(super) fn sorted_rules(
    policy: &CompactPolicy,
    schema: &Schema,
    physical: &SchemaDescriptor,
    arrangement: &Arrangement,
) -> Vec<Rules> {
    let page_rows = if arrangement.is_bin_pack() { PAGE_ROWS } else { SORTED_PAGE_ROWS };
    rules(policy, schema, physical).into_iter().map(|rules| Rules { page_rows, ..rules }).collect()
}

/// Columns that are written without a dictionary: UUIDs, and row ids, of which no two are equal.
fn is_unique(column: &ColumnDescPtr, schema: &Schema) -> bool {
    let info = column.self_type().get_basic_info();
    let id = if info.has_id() { info.id() } else { -1 };
    let kind = schema.field_by_id(id).map(|field| field.field_type.as_ref());
    kind == Some(&Type::Primitive(PrimitiveType::Uuid)) || id == ROW_ID
}
