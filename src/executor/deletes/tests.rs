//! What tests of deletes share.

use crate::model::{
    Arrangement, DeleteContent, DeleteKey, Estimate, FileFormat, InputFile, OutputSpec, PickReason, RewriteTask, Route,
    RouteReason, TaskDelete, TaskReason,
};

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
    });
    RewriteTask {
        id: 0,
        spec_id: 0,
        partition: String::new(),
        why: TaskReason::RewriteAll,
        route: Route::Encode,
        route_why: RouteReason::DeletesApply,
        inputs: inputs.collect(),
        deletes: deletes.collect(),
        respec: None,
        keeps_spec: None,
        arrangement: Arrangement::BinPack,
        sort_order_id: None,
        output: OutputSpec { directory: "out".into(), files: 1, bytes: 1, cut_bytes: 1, storage_class: None },
        estimate: Estimate { bytes_read: 1, bytes_written: 1, seconds: 0.0, memory: 0 },
    }
}
