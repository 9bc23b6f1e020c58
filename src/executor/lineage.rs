//! What a row inherits from the file that it is in: its id, and the number of the commit that last changed it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::Field;

use super::columns::id;
use crate::model::{InputFile, LAST_UPDATED, ROW_ID};

/// What the rows of one input inherit where their own columns say nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lineage {
    /// The id of the file's first row. Rows of a file without one get theirs from the file that they are written to.
    pub(crate) first_row_id: Option<i64>,
    /// The data sequence number.
    pub(crate) sequence_number: Option<i64>,
}

impl Lineage {
    /// What rows of an input inherit.
    pub(crate) fn of(input: &InputFile) -> Self {
        Self { first_row_id: input.first_row_id, sequence_number: Some(input.sequence_number) }
    }

    /// Fills in what a column of lineage inherits; other columns stay as they are. The values belong to the rows from
    /// position `first` of the file on.
    pub(crate) fn fill(&self, field: &Field, values: ArrayRef, first: u64) -> ArrayRef {
        let (start, step) = match (id(field), self.first_row_id, self.sequence_number) {
            (Some(ROW_ID), Some(id), _) => (id.saturating_add_unsigned(first), 1),
            (Some(LAST_UPDATED), _, Some(number)) => (number, 0),
            _ => return values,
        };
        let Some(own) = values.as_primitive_opt::<Int64Type>() else { return values };
        if own.null_count() == 0 {
            return values;
        }
        let filled = own.iter().zip(0i64..).map(|(own, row)| own.unwrap_or(start + step * row));
        Arc::new(Int64Array::from_iter_values(filled))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow_array::new_null_array;
    use arrow_schema::DataType;
    use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

    use super::*;

    #[test]
    fn should_inherit_by_position_where_a_row_says_nothing() {
        let field = |id: i32| {
            let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
            Field::new("x", DataType::Int64, true).with_metadata(metadata)
        };
        let fill = |lineage: Lineage, id: i32, values: &[Option<i64>], first| {
            let filled = lineage.fill(&field(id), Arc::new(Int64Array::from(values.to_vec())), first);
            filled.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
        };
        let known = Lineage { first_row_id: Some(1000), sequence_number: Some(4) };
        let upgraded = Lineage { first_row_id: None, sequence_number: Some(4) };
        assert_eq!(fill(known, ROW_ID, &[None, Some(7), None], 20), [Some(1020), Some(7), Some(1022)]);
        assert_eq!(fill(known, LAST_UPDATED, &[None, Some(3)], 20), [Some(4), Some(3)]);
        assert_eq!(fill(known, 1, &[None], 0), [None]);
        assert_eq!(fill(upgraded, ROW_ID, &[None, Some(7)], 0), [None, Some(7)]);
        let text = Lineage::default().fill(&field(1), new_null_array(&DataType::Utf8, 2), 0);
        assert_eq!(text.null_count(), 2);
    }
}
