//! What tests of deletes share.

use crate::executor::tests::plain_task;
use crate::model::{DeleteContent, DeleteKey, FileFormat, InputFile, PickReason, RewriteTask, Route, TaskDelete};

/// A task of inputs (sequence number, deletes) and equality deletes (sequence number, column).
pub(super) fn task(inputs: &[(i64, Vec<u32>)], deletes: &[(i64, i32)]) -> RewriteTask {
    let inputs = inputs.iter().enumerate().map(|(number, (sequence_number, deletes))| InputFile {
        path: format!("data-{number}"),
        size: 1,
        records: 1,
        sequence_number: *sequence_number,
        first_row_id: None,
        deletes: deletes.clone(),
        deleted: 0,
        picked: PickReason::TooSmall,
    });
    let deletes = deletes.iter().enumerate().map(|(number, (sequence_number, column))| TaskDelete {
        key: DeleteKey { path: format!("delete-{number}"), offset: None },
        content: DeleteContent::Equality,
        format: FileFormat::Parquet,
        size: 1,
        length: None,
        records: 1,
        sequence_number: *sequence_number,
        equality_ids: vec![*column],
        moves: false,
    });
    RewriteTask { deletes: deletes.collect(), ..plain_task(Route::Encode, inputs.collect(), 1, "out") }
}
