//! Partition values in the types that the table has for them now. A manifest has them in those of its own schema: where the
//! source column was promoted since, one and the same partition would be two, and deletes would miss their files.

use std::collections::HashMap;

use iceberg::spec::{
    DataFile, DataFileBuilder, Literal, PartitionSpec, PrimitiveLiteral, PrimitiveType, SchemaRef, Struct, StructType,
    TableMetadata, Type,
};

/// The schema that a spec's partitions are typed by: the current one or, where it has lost a source column, the newest that
/// had them all. `None` when no schema has them.
pub fn partition_schema<'t>(metadata: &'t TableMetadata, spec: &PartitionSpec) -> Option<&'t SchemaRef> {
    let fits = |schema: &&SchemaRef| spec.partition_type(schema).is_ok();
    let current = Some(metadata.current_schema()).filter(fits);
    current.or_else(|| metadata.schemas_iter().filter(fits).max_by_key(|schema| schema.schema_id()))
}

/// The types of partition values, by spec.
#[derive(Debug, Default)]
pub(super) struct PartitionTypes(HashMap<i32, Option<StructType>>);

impl PartitionTypes {
    pub(super) fn of(&mut self, metadata: &TableMetadata, spec_id: i32) -> Option<&StructType> {
        let find = || {
            let spec = metadata.partition_spec_by_id(spec_id)?;
            spec.partition_type(partition_schema(metadata, spec)?).ok()
        };
        self.0.entry(spec_id).or_insert_with(find).as_ref()
    }
}

/// The values in these types; `None` when they are already.
pub(super) fn promoted(values: &Struct, kinds: &StructType) -> Option<Struct> {
    let of = |value: Option<&Literal>, kind: &Type| match (value, kind) {
        (Some(Literal::Primitive(PrimitiveLiteral::Int(value))), Type::Primitive(PrimitiveType::Long)) => {
            Some(Literal::long(*value))
        }
        (Some(Literal::Primitive(PrimitiveLiteral::Float(value))), Type::Primitive(PrimitiveType::Double)) => {
            Some(Literal::double(f64::from(value.0)))
        }
        _ => None,
    };
    let pairs = || values.iter().zip(kinds.fields());
    if values.iter().len() != kinds.fields().len() || !pairs().any(|(v, kind)| of(v, &kind.field_type).is_some()) {
        return None;
    }
    Some(pairs().map(|(value, kind)| of(value, &kind.field_type).or_else(|| value.cloned())).collect())
}

/// The file with its partition in these types; `None` when it is already.
pub(super) fn promoted_file(file: &DataFile, kinds: &StructType, spec_id: i32) -> Option<DataFile> {
    let values = promoted(file.partition(), kinds)?;
    copied(file, spec_id).partition(values).build().ok()
}

/// All that a manifest says of a file, to be changed.
pub fn copied(file: &DataFile, spec_id: i32) -> DataFileBuilder {
    let mut builder = DataFileBuilder::default();
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .partition_spec_id(spec_id)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .value_counts(file.value_counts().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .split_offsets(file.split_offsets().map(<[i64]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(file.first_row_id())
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes());
    if let Some(id) = file.sort_order_id() {
        builder.sort_order_id(id);
    }
    builder
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::NestedField;

    use super::*;

    #[test]
    fn should_widen_what_was_promoted_and_leave_the_rest() {
        let field = |id, kind| Arc::new(NestedField::optional(id, "f", Type::Primitive(kind)));
        let kinds = StructType::new(vec![
            field(1, PrimitiveType::Long),
            field(2, PrimitiveType::Double),
            field(3, PrimitiveType::Date),
            field(4, PrimitiveType::Long),
        ]);
        let old = Struct::from_iter([Some(Literal::int(-3)), Some(Literal::float(0.5)), Some(Literal::date(7)), None]);
        let new =
            Struct::from_iter([Some(Literal::long(-3)), Some(Literal::double(0.5)), Some(Literal::date(7)), None]);
        assert_eq!(promoted(&old, &kinds), Some(new.clone()));
        assert_eq!(promoted(&new, &kinds), None);
        assert_eq!(promoted(&Struct::empty(), &kinds), None);
    }
}
