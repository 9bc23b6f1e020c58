//! Row lineage: a row keeps its id, and the number of the commit that last changed it, wherever it is moved (spec, "Row
//! Lineage"; format version 3).

use std::sync::Arc;

use iceberg::spec::{FormatVersion, NestedField, PrimitiveType, Schema, TableMetadata, Type};

/// The reserved field id of `_row_id`.
pub const ROW_ID: i32 = 2_147_483_540;
/// The reserved field id of `_last_updated_sequence_number`.
pub const LAST_UPDATED: i32 = 2_147_483_539;

/// Whether a table's rows have ids.
pub fn has_row_lineage(table: &TableMetadata) -> bool {
    table.format_version() >= FormatVersion::V3
}

/// Whether a field is one of the two.
pub fn is_row_lineage(id: i32) -> bool {
    id == ROW_ID || id == LAST_UPDATED
}

/// A schema with both fields at its end, as files need it whose rows were in other files before.
///
/// # Errors
/// When the schema has a field of such a name already.
pub fn with_row_lineage(schema: &Schema) -> std::result::Result<Schema, iceberg::Error> {
    let long = || Type::Primitive(PrimitiveType::Long);
    let fields = [(ROW_ID, "_row_id"), (LAST_UPDATED, "_last_updated_sequence_number")];
    let fields = fields.map(|(id, name)| Arc::new(NestedField::optional(id, name, long())));
    schema.clone().into_builder().with_fields(fields).build()
}
