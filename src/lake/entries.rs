//! Entries of a manifest as planning needs them, decoded without building what it does not: a manifest carries maps of
//! bounds and counts for every column of every file, and a table may have a million files.
//!
//! Fields are skipped while they are decoded. What this reader does not know (partitions of decimals, say) goes through
//! the `iceberg` crate's own ([`from_manifest`]).

mod long_way;

use std::fmt;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFileFormat, Literal, ManifestFile, ManifestMetadata, PrimitiveType, SchemaRef, Struct,
    StructType, Type,
};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};

use long_way::from_manifest;

use super::row_ids::RowIds;
use super::{Store, avro::Container, manifests::read_manifest};
use crate::error::Result;
use crate::model::{Blob, DELETE_FILE_PATH, FieldBounds, FileBounds, FileFormat};

/// Entry status and file content as the spec numbers them.
const ADDED: i32 = 1;
const DELETED: i32 = 2;

/// A live file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LiveEntry {
    pub(crate) content: DataContentType,
    pub(crate) path: Arc<str>,
    pub(crate) format: FileFormat,
    pub(crate) partition: Struct,
    pub(crate) records: u64,
    pub(crate) size: u64,
    pub(crate) sequence_number: i64,
    /// Sequence number of the commit that added the file itself.
    pub(crate) file_sequence_number: i64,
    /// The id of a data file's first row.
    pub(crate) first_row_id: Option<i64>,
    /// Where a deletion vector lies in the file.
    pub(crate) vector: Option<Blob>,
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) sort_order_id: Option<i32>,
    pub(crate) encrypted: bool,
    /// For position deletes: the only data file they speak of.
    pub(crate) referenced_data_file: Option<String>,
    pub(crate) equality_ids: Vec<i32>,
    pub(crate) bounds: FileBounds,
}

/// The live entries of a manifest, ordered by path, with the schema that it was written in.
#[derive(Debug, Clone)]
pub(crate) struct LiveEntries {
    pub(crate) schema: SchemaRef,
    pub(crate) entries: Vec<LiveEntry>,
}

impl LiveEntries {
    /// Puts entries in order. Done here, the manifests of a table are sorted side by side, and only have to be merged.
    fn new(schema: SchemaRef, mut entries: Vec<LiveEntry>) -> Self {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self { schema, entries }
    }
}

/// Reads the live entries of a manifest, with bounds of some fields.
///
/// # Errors
/// As [`read_manifest`].
pub(super) async fn read_live(store: &Arc<Store>, manifest: &ManifestFile, bounds_for: &[i32]) -> Result<LiveEntries> {
    let path = &manifest.manifest_path;
    if manifest.key_metadata.is_none() {
        let bytes = store.read(path).await?;
        let (manifest, bounds_for) = (manifest.clone(), bounds_for.to_vec());
        // Decoding is work for a core: it must not hold up the requests that are under way.
        let decoded = tokio::task::spawn_blocking(move || decode(&bytes, &manifest, &bounds_for)).await;
        if let Ok(Some(entries)) = decoded {
            return Ok(entries);
        }
        tracing::debug!(manifest = path, "a manifest is read the long way");
    }
    from_manifest(&read_manifest(store, manifest).await?, RowIds::of(manifest), bounds_for)
}

/// `B` and `C`: maps of bounds and counts, or [`IgnoredAny`] where nobody wants them.
#[derive(Deserialize)]
struct Entry<B, C> {
    status: i32,
    #[serde(default)]
    snapshot_id: Option<i64>,
    #[serde(default)]
    sequence_number: Option<i64>,
    #[serde(default)]
    file_sequence_number: Option<i64>,
    data_file: EntryFile<B, C>,
}

#[derive(Deserialize)]
struct EntryFile<B, C> {
    #[serde(default)]
    content: i32,
    #[serde(deserialize_with = "shared_text")]
    file_path: Arc<str>,
    file_format: String,
    partition: Partition,
    record_count: i64,
    file_size_in_bytes: i64,
    #[serde(default = "nothing")]
    value_counts: Option<C>,
    #[serde(default = "nothing")]
    null_value_counts: Option<C>,
    #[serde(default = "nothing")]
    lower_bounds: Option<B>,
    #[serde(default = "nothing")]
    upper_bounds: Option<B>,
    #[serde(default)]
    sort_order_id: Option<i32>,
    #[serde(default)]
    key_metadata: Option<IgnoredAny>,
    #[serde(default)]
    referenced_data_file: Option<String>,
    #[serde(default)]
    equality_ids: Option<Vec<i32>>,
    #[serde(default)]
    first_row_id: Option<i64>,
    #[serde(default)]
    content_offset: Option<i64>,
    #[serde(default)]
    content_size_in_bytes: Option<i64>,
}

fn nothing<T>() -> Option<T> {
    None
}

/// An entry of a map whose keys are numbers, as Iceberg writes it in Avro.
#[derive(Deserialize)]
struct Pair<T> {
    key: i32,
    value: T,
}

type Bounds = Vec<Pair<RawBytes>>;
type Counts = Vec<Pair<i64>>;

/// What bounds and counts are asked for.
trait Statistics: Sized {
    fn bounds(file: &EntryFile<Self::Bytes, Self::Numbers>, ids: &[i32]) -> FileBounds;
    fn one_path(file: &EntryFile<Self::Bytes, Self::Numbers>) -> Option<String>;
    type Bytes: de::DeserializeOwned;
    type Numbers: de::DeserializeOwned;
}

struct Wanted;
struct Unwanted;

impl Statistics for Wanted {
    type Bytes = Bounds;
    type Numbers = Counts;

    fn bounds(file: &EntryFile<Bounds, Counts>, ids: &[i32]) -> FileBounds {
        let of = |id: i32| FieldBounds {
            lower: find(&file.lower_bounds, id).map(|bytes| bytes.0.clone()),
            upper: find(&file.upper_bounds, id).map(|bytes| bytes.0.clone()),
            nulls: find(&file.null_value_counts, id).and_then(|count| u64::try_from(*count).ok()),
            values: find(&file.value_counts, id).and_then(|count| u64::try_from(*count).ok()),
        };
        ids.iter().map(|id| (*id, of(*id))).collect()
    }

    fn one_path(file: &EntryFile<Bounds, Counts>) -> Option<String> {
        let lower = find(&file.lower_bounds, DELETE_FILE_PATH)?;
        let upper = find(&file.upper_bounds, DELETE_FILE_PATH)?;
        if lower.0 == upper.0 { String::from_utf8(lower.0.clone()).ok() } else { None }
    }
}

impl Statistics for Unwanted {
    type Bytes = IgnoredAny;
    type Numbers = IgnoredAny;

    fn bounds(_: &EntryFile<IgnoredAny, IgnoredAny>, _: &[i32]) -> FileBounds {
        FileBounds::default()
    }

    fn one_path(_: &EntryFile<IgnoredAny, IgnoredAny>) -> Option<String> {
        None
    }
}

fn find<T>(pairs: &Option<Vec<Pair<T>>>, id: i32) -> Option<&T> {
    pairs.as_ref()?.iter().find(|pair| pair.key == id).map(|pair| &pair.value)
}

/// Decodes a manifest; `None` for whatever has to be read the long way, damage included: there it is given its name.
fn decode(bytes: &[u8], manifest: &ManifestFile, bounds_for: &[i32]) -> Option<LiveEntries> {
    let container = Container::open(bytes).ok()?;
    let metadata = ManifestMetadata::parse(&container.head().ok()?).ok()?;
    let partition_type = metadata.partition_spec().partition_type(metadata.schema()).ok()?;
    let kinds = simple_kinds(&partition_type)?;
    let deletes = manifest.content == iceberg::spec::ManifestContentType::Deletes;
    let entries = if deletes || !bounds_for.is_empty() {
        live::<Wanted>(container, manifest, &kinds, bounds_for)
    } else {
        live::<Unwanted>(container, manifest, &kinds, bounds_for)
    }?;
    Some(LiveEntries::new(metadata.schema().clone(), entries))
}

fn live<S: Statistics>(
    container: Container<'_>,
    manifest: &ManifestFile,
    kinds: &[PrimitiveType],
    bounds_for: &[i32],
) -> Option<Vec<LiveEntry>> {
    let (mut entries, mut row_ids) = (Vec::new(), RowIds::of(manifest));
    let each = |entry: Entry<S::Bytes, S::Numbers>| {
        if entry.status != DELETED {
            entries.push(live_entry::<S>(entry, manifest, kinds, bounds_for, &mut row_ids).ok_or(())?);
        }
        Ok::<(), ()>(())
    };
    container.each_record(each).ok()?;
    Some(entries)
}

fn live_entry<S: Statistics>(
    entry: Entry<S::Bytes, S::Numbers>,
    manifest: &ManifestFile,
    kinds: &[PrimitiveType],
    bounds_for: &[i32],
    row_ids: &mut RowIds,
) -> Option<LiveEntry> {
    let mut file = entry.data_file;
    // Sequence numbers are inherited by what was added (spec, "Sequence Number Inheritance").
    let inherits = entry.status == ADDED || manifest.sequence_number == 0;
    let inherited = inherits.then_some(manifest.sequence_number);
    Some(LiveEntry {
        content: match file.content {
            0 => DataContentType::Data,
            1 => DataContentType::PositionDeletes,
            2 => DataContentType::EqualityDeletes,
            _ => return None,
        },
        format: format_of(file.file_format.parse().ok()?),
        partition: std::mem::take(&mut file.partition).into_struct(kinds)?,
        records: u64::try_from(file.record_count).ok()?,
        size: u64::try_from(file.file_size_in_bytes).ok()?,
        sequence_number: entry.sequence_number.or(inherited).unwrap_or(0),
        file_sequence_number: entry.file_sequence_number.or(inherited).or(entry.sequence_number).unwrap_or(0),
        first_row_id: row_ids.of_file(file.first_row_id, u64::try_from(file.record_count).ok()?),
        vector: vector(file.content_offset, file.content_size_in_bytes),
        snapshot_id: entry.snapshot_id.or(Some(manifest.added_snapshot_id)),
        sort_order_id: file.sort_order_id.filter(|id| *id != 0),
        encrypted: file.key_metadata.is_some(),
        bounds: S::bounds(&file, bounds_for),
        referenced_data_file: if file.content == 0 {
            None
        } else {
            file.referenced_data_file.clone().or_else(|| S::one_path(&file))
        },
        equality_ids: file.equality_ids.unwrap_or_default(),
        path: file.file_path,
    })
}

/// Where a deletion vector lies in its file.
fn vector(offset: Option<i64>, length: Option<i64>) -> Option<Blob> {
    Some(Blob { offset: u64::try_from(offset?).ok()?, length: u64::try_from(length?).ok()? })
}

fn format_of(format: DataFileFormat) -> FileFormat {
    match format {
        DataFileFormat::Parquet => FileFormat::Parquet,
        DataFileFormat::Avro => FileFormat::Avro,
        DataFileFormat::Orc => FileFormat::Orc,
        DataFileFormat::Puffin => FileFormat::Puffin,
    }
}

/// The types of partition values, if this reader knows them all.
fn simple_kinds(partition: &StructType) -> Option<Vec<PrimitiveType>> {
    let known = |kind: &PrimitiveType| {
        matches!(
            kind,
            PrimitiveType::Boolean
                | PrimitiveType::Int
                | PrimitiveType::Long
                | PrimitiveType::Date
                | PrimitiveType::Timestamp
                | PrimitiveType::Timestamptz
                | PrimitiveType::String
        )
    };
    let kind = |kind: &Type| match kind {
        Type::Primitive(kind) if known(kind) => Some(kind.clone()),
        _ => None,
    };
    partition.fields().iter().map(|field| kind(&field.field_type)).collect()
}

/// Partition values in the order of the manifest's spec.
#[derive(Default)]
struct Partition(Vec<Raw>);

enum Raw {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    Other,
}

impl Partition {
    fn into_struct(self, kinds: &[PrimitiveType]) -> Option<Struct> {
        if self.0.len() != kinds.len() {
            return None;
        }
        let values = self.0.into_iter().zip(kinds).map(|(raw, kind)| {
            Some(Some(match (raw, kind) {
                (Raw::Null, _) => return Some(None),
                (Raw::Bool(value), PrimitiveType::Boolean) => Literal::bool(value),
                (Raw::Number(value), PrimitiveType::Int | PrimitiveType::Date) => {
                    Literal::int(i32::try_from(value).ok()?)
                }
                (Raw::Number(value), PrimitiveType::Long | PrimitiveType::Timestamp | PrimitiveType::Timestamptz) => {
                    Literal::long(value)
                }
                (Raw::Text(value), PrimitiveType::String) => Literal::string(value),
                _ => return None,
            }))
        });
        values.collect::<Option<Vec<Option<Literal>>>>().map(Struct::from_iter)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Partition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a partition")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Partition, A::Error> {
                let mut values = Vec::new();
                while map.next_key::<IgnoredAny>()?.is_some() {
                    values.push(map.next_value()?);
                }
                Ok(Partition(values))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a partition value")
            }

            fn visit_unit<E>(self) -> std::result::Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_none<E>(self) -> std::result::Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }

            fn visit_bool<E>(self, value: bool) -> std::result::Result<Raw, E> {
                Ok(Raw::Bool(value))
            }

            fn visit_i32<E>(self, value: i32) -> std::result::Result<Raw, E> {
                Ok(Raw::Number(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> std::result::Result<Raw, E> {
                Ok(Raw::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Raw, E> {
                Ok(Raw::Text(value.to_owned()))
            }

            fn visit_bytes<E>(self, _: &[u8]) -> std::result::Result<Raw, E> {
                Ok(Raw::Other)
            }

            fn visit_f32<E>(self, _: f32) -> std::result::Result<Raw, E> {
                Ok(Raw::Other)
            }

            fn visit_f64<E>(self, _: f64) -> std::result::Result<Raw, E> {
                Ok(Raw::Other)
            }
        }
        deserializer.deserialize_any(Value)
    }
}

/// A text that is shared from the beginning.
fn shared_text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Arc<str>, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Arc<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E>(self, text: &str) -> std::result::Result<Arc<str>, E> {
            Ok(text.into())
        }
    }
    deserializer.deserialize_str(Text)
}

/// Avro bytes.
struct RawBytes(Vec<u8>);

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = RawBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<RawBytes, E> {
                Ok(RawBytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> std::result::Result<RawBytes, E> {
                Ok(RawBytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests;
