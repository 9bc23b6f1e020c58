//! Tables for tests, and a fake executor that makes what the real one would.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use chrono::Datelike;
use iceberg::spec::{Literal, Struct, TableMetadata, Transform};
use serde_json::json;

use crate::model::{
    Codec, ColumnCodec, CompactPlan, CompactPolicy, DataFile, DeleteContent, DeleteFile, FieldBounds, FileBounds,
    FileFormat, Footer, Footers, MIB, Partition, PartitionId, RewriteTask, RowGroup, TableName, TableState,
    human_bytes,
};
use crate::planner::compact::plan;
use crate::planner::time;

/// A table partitioned by year of `ts` (spec 1), with an older unpartitioned spec 0 and snapshot 1 of another engine.
pub(crate) fn metadata(version: u8, properties: &[(&str, &str)]) -> TableMetadata {
    let properties: BTreeMap<_, _> = properties.iter().copied().collect();
    let mut document = json!({
        "format-version": version, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://b/db/t",
        "last-sequence-number": 9, "last-updated-ms": 1_700_000_000_000i64, "last-column-id": 3, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "ts", "required": true, "type": "timestamptz"},
            {"id": 2, "name": "region", "required": false, "type": "string"},
            {"id": 3, "name": "n", "required": false, "type": "long"}]}],
        "default-spec-id": 1, "last-partition-id": 1000,
        "partition-specs": [{"spec-id": 0, "fields": []},
            {"spec-id": 1, "fields": [{"source-id": 1, "field-id": 1000, "name": "ts_year", "transform": "year"}]}],
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": properties,
        "current-snapshot-id": 1, "refs": {"main": {"snapshot-id": 1, "type": "branch"}},
        "snapshots": [{"snapshot-id": 1, "sequence-number": 9, "timestamp-ms": 1_700_000_000_000i64,
            "manifest-list": "s3://b/l.avro", "summary": {"operation": "append"}, "schema-id": 0}],
    });
    if version == 3 {
        document["next-row-id"] = json!(0);
    }
    serde_json::from_value(document).unwrap()
}

/// Builds a state, file by file.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) state: TableState,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self::with(metadata(2, &[]))
    }

    pub(crate) fn with(metadata: TableMetadata) -> Self {
        let partition = |spec_id: i32, year: Option<i32>| Partition {
            spec_id,
            values: year.map_or_else(Struct::empty, |year| Struct::from_iter([Some(Literal::int(year - 1970))])),
            path: year.map_or_else(String::new, |year| format!("ts_year={year}")),
        };
        let mut partitions = vec![partition(0, None)];
        partitions.extend((2020..2030).map(|year| partition(1, Some(year))));
        let state = TableState {
            name: TableName::new(["db"], "t"),
            metadata_location: "s3://b/m.json".into(),
            metadata_size: 1000,
            metadata: Arc::new(metadata),
            snapshot_id: Some(1),
            sequence_number: 9,
            partitions,
            files: Vec::new(),
            deletes: Vec::new(),
            manifests: Vec::new(),
            footers: Footers::default(),
            classes: BTreeMap::new(),
            ratios: BTreeMap::new(),
        };
        Self { state }
    }

    /// Adds a file of a year (0 for the old, unpartitioned spec) with its footer.
    pub(crate) fn file(mut self, name: &str, year: i32, size: u64, codec: Codec) -> Self {
        let partition = PartitionId(if year == 0 { 0 } else { u32::try_from(year - 2019).unwrap() });
        self.state.files.push(DataFile {
            path: name.into(),
            format: FileFormat::Parquet,
            partition,
            records: size / 100,
            size,
            sequence_number: 5,
            file_sequence_number: 5,
            first_row_id: None,
            snapshot_id: Some(1),
            sort_order_id: None,
            encrypted: false,
            bounds: FileBounds::default(),
        });
        let groups = size.div_ceil(64 * MIB).max(1);
        let group = RowGroup { rows: size / 100 / groups, compressed: size / groups, uncompressed: size / groups * 2 };
        self.state.footers.insert(name.to_owned(), footer(codec, vec![group; usize::try_from(groups).unwrap()]));
        self.state.files.sort_by(|a, b| a.path.cmp(&b.path));
        self
    }

    /// Adds several files of one size.
    pub(crate) fn files(mut self, prefix: &str, count: u32, year: i32, size: u64, codec: Codec) -> Self {
        for n in 0..count {
            self = self.file(&format!("{prefix}{n:02}"), year, size, codec);
        }
        self
    }

    pub(crate) fn ratio(mut self, codec: Codec, ratio: f64) -> Self {
        self.state.ratios.insert(codec, ratio);
        self
    }

    /// Adds a delete file of one record.
    pub(crate) fn delete(self, content: DeleteContent, year: i32, sequence_number: i64, of: Option<&str>) -> Self {
        self.deletes(content, year, sequence_number, of, 1)
    }

    /// Adds a delete file.
    pub(crate) fn deletes(
        mut self,
        content: DeleteContent,
        year: i32,
        sequence_number: i64,
        of: Option<&str>,
        records: u64,
    ) -> Self {
        self.state.deletes.push(DeleteFile {
            path: format!("delete{}", self.state.deletes.len()),
            content,
            format: FileFormat::Parquet,
            partition: PartitionId(if year == 0 { 0 } else { u32::try_from(year - 2019).unwrap() }),
            records,
            size: 100,
            sequence_number,
            file_sequence_number: sequence_number,
            vector: None,
            encrypted: false,
            referenced_data_file: of.map(str::to_owned),
            equality_ids: Vec::new(),
        });
        self
    }

    /// The picture: files before, tasks with reasons, files after, bytes written.
    pub(crate) fn picture(&self, policy: &CompactPolicy) -> String {
        let plan = plan(&self.state, policy, 0).unwrap();
        let mut text = String::new();
        let _ = writeln!(text, "before: {}", sizes(&self.state));
        for task in plan.rewrites() {
            let _ = writeln!(
                text,
                "task {} {}: {}{} | {:?}: {} | {} files, {} -> {} x {}",
                task.id,
                task.partition,
                task.why,
                task.keeps_spec.as_ref().map(|keep| format!(" (stays: {keep})")).unwrap_or_default(),
                task.route,
                task.route_why,
                task.inputs.len(),
                human_bytes(task.estimate.bytes_read),
                task.output.files,
                human_bytes(task.output.cut_bytes),
            );
        }
        let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for file in &plan.skipped {
            reasons.entry(file.why.to_string()).or_default().push(&file.path);
        }
        for (why, files) in reasons {
            let _ = writeln!(text, "left {}: {why}", summary(&files));
        }
        for delete in &plan.deletes {
            let _ = writeln!(text, "{} ({:?}) {}", delete.key, delete.content, delete.fate);
        }
        let (after, written) = execute(&self.state, &plan, 1.0);
        let _ = writeln!(text, "after: {}", sizes(&after));
        let _ = write!(text, "{} written", human_bytes(written));
        text
    }
}

fn summary(files: &[&str]) -> String {
    match files {
        [first, .., last] if files.len() > 3 => format!("{first}..{last} ({})", files.len()),
        _ => files.join(" "),
    }
}

fn sizes(state: &TableState) -> String {
    let mut by_size: BTreeMap<(PartitionId, u64), u64> = BTreeMap::new();
    for file in &state.files {
        *by_size.entry((file.partition, file.size)).or_default() += 1;
    }
    let part = |id: PartitionId| state.partition(id).path.trim_start_matches("ts_year=").to_owned();
    let words = by_size.into_iter().map(|((id, size), n)| format!("{}:{n}x{}", part(id), human_bytes(size)));
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn footer(codec: Codec, row_groups: Vec<RowGroup>) -> Footer {
    Footer {
        codecs: vec![ColumnCodec { codec, bytes: 1 }],
        row_groups,
        schema_hash: 1,
        schema_is_current: true,
        compatible: true,
        arrangement: None,
        created_by: None,
    }
}

/// What is there after a plan was executed, if every encoded byte comes out `error` times as large as was thought; the
/// executor re-divides by what it measures, so the number of files follows the real size.
pub(crate) fn execute(state: &TableState, plan: &CompactPlan, error: f64) -> (TableState, u64) {
    let mut after = state.clone();
    let mut written = 0;
    for task in plan.rewrites() {
        let inputs: BTreeSet<&str> = task.inputs.iter().map(|input| input.path.as_str()).collect();
        if task.respec.is_some() {
            written += move_rows(&mut after, plan, task, error);
            continue;
        }
        let (low, high) = years(&after, &inputs);
        let first = after.files.iter().find(|file| inputs.contains(&*file.path)).unwrap().clone();
        let records: u64 = task.inputs.iter().map(|input| input.records - input.deleted).sum();
        after.files.retain(|file| !inputs.contains(&*file.path));
        let factor = if task.route == crate::model::Route::Copy { 1.0 } else { error };
        let total = (task.output.bytes as f64 * factor) as u64;
        let files = total.div_ceil(plan.policy.target_file_size_bytes).max(1);
        for n in 0..files {
            let path = format!("out-{}-{:05}-{n:03}", task.partition, task.id);
            let size = total / files;
            written += size;
            let rows = records / files + u64::from(n < records % files);
            let (sequence_number, file_sequence_number) = (9, 10);
            after.files.push(DataFile {
                path: path.as_str().into(),
                size,
                records: rows,
                sequence_number,
                file_sequence_number,
                ..first.clone()
            });
            if let (Some(low), Some(high)) = (low, high) {
                between(after.files.last_mut().unwrap(), low, high);
            }
            let groups = size.div_ceil(64 * MIB).max(1);
            let group = RowGroup { rows: rows / groups, compressed: size / groups, uncompressed: size / groups };
            after.footers.insert(path, footer(plan.policy.codec, vec![group; usize::try_from(groups).unwrap()]));
        }
    }
    let gone: BTreeSet<&str> = plan.retired().map(|delete| delete.key.path.as_str()).collect();
    after.deletes.retain(|delete| !gone.contains(delete.path.as_str()));
    after.files.sort_by(|a, b| a.path.cmp(&b.path));
    (after, written)
}

/// Gives a file values of `ts` from one year to another.
pub(crate) fn between(file: &mut DataFile, first: i32, last: i32) {
    let start = |year: i32| time::covers(&Transform::Year, year - 1970).unwrap();
    let bytes = |micros: i64| Some(micros.to_le_bytes().to_vec());
    let (lower, upper) = (bytes(start(first).0), bytes(start(last).1 - 1));
    file.bounds.insert(1, FieldBounds { lower, upper, nulls: Some(0), values: None });
}

/// The years that the rows of some files are of, as far as their bounds tell.
fn years(state: &TableState, inputs: &BTreeSet<&str>) -> (Option<i32>, Option<i32>) {
    let files = || state.files.iter().filter(|file| inputs.contains(&*file.path));
    let ends: Option<Vec<(i32, i32)>> = files().map(years_of).collect();
    let ends = ends.unwrap_or_default();
    (ends.iter().map(|ends| ends.0).min(), ends.iter().map(|ends| ends.1).max())
}

fn years_of(file: &DataFile) -> Option<(i32, i32)> {
    let bounds = file.bounds.get(&1)?;
    let year = |bytes: &Option<Vec<u8>>| {
        let micros = i64::from_le_bytes(bytes.as_ref()?.as_slice().try_into().ok()?);
        Some(chrono::DateTime::from_timestamp_micros(micros)?.year())
    };
    Some((year(&bounds.lower)?, year(&bounds.upper)?))
}

/// Moves rows to the years that they are of, or to no partition; those of one file are spread over its years evenly.
fn move_rows(after: &mut TableState, plan: &CompactPlan, task: &RewriteTask, error: f64) -> u64 {
    let read: u64 = task.inputs.iter().map(|input| input.size).sum();
    let ratio = task.output.bytes as f64 * error / read as f64;
    let mut by_year: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
    let (mut written, mut all) = (0, (i32::MAX, i32::MIN));
    for input in &task.inputs {
        let at = after.files.iter().position(|file| *file.path == *input.path).unwrap();
        let file = after.files.remove(at);
        let years = match after.partition(file.partition).spec_id {
            1 => (file.partition.0 as i32 + 2019, file.partition.0 as i32 + 2019),
            _ => years_of(&file).unwrap_or((2020, 2020)),
        };
        all = (all.0.min(years.0), all.1.max(years.1));
        let count = (years.1 - years.0 + 1) as u64;
        let rows = input.records - input.deleted;
        for (n, year) in (years.0..=years.1).enumerate() {
            let sum = by_year.entry(if task.spec_id == 0 { 0 } else { year }).or_default();
            sum.0 += file.size / count;
            sum.1 += rows / count + u64::from((n as u64) < rows % count);
        }
    }
    for (year, (bytes, rows)) in by_year {
        let total = (bytes as f64 * ratio) as u64;
        let files = total.div_ceil(plan.policy.target_file_size_bytes).max(1);
        for n in 0..files {
            let name = format!("out-moved-{year}-{:05}-{n:03}", task.id);
            let table = Table { state: after.clone() }.file(&name, year, total / files, plan.policy.codec);
            *after = table.state;
            let file = after.files.iter_mut().find(|file| *file.path == *name).unwrap();
            file.records = rows / files + u64::from(n < rows % files);
            (file.sequence_number, file.file_sequence_number) = (9, 10);
            let (first, last) = if year == 0 { all } else { (year, year) };
            between(file, first, last);
            written += total / files;
        }
    }
    written
}

/// Whether a delete applies to a file, word for word by the spec's "Scan Planning" (version 2).
fn applies(state: &TableState, delete: &DeleteFile, file: &DataFile) -> bool {
    let same_partition = delete.partition == file.partition;
    let unpartitioned = state.partition(delete.partition).spec_id == 0;
    match delete.content {
        // Where the delete names its file, readers go by the name alone.
        DeleteContent::Position => {
            file.sequence_number <= delete.sequence_number
                && delete.referenced_data_file.as_ref().map_or(same_partition, |path| **path == *file.path)
        }
        DeleteContent::Equality => file.sequence_number < delete.sequence_number && (same_partition || unpartitioned),
    }
}

/// What a plan must never be, whatever the policy. Empty when all is well.
pub(crate) fn flaws(state: &TableState, policy: &CompactPolicy, plan: &CompactPlan) -> Vec<String> {
    let mut flaws = Vec::new();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for input in plan.rewrites().flat_map(|task| &task.inputs) {
        *seen.entry(&input.path).or_default() += 1;
    }
    for file in &plan.skipped {
        *seen.entry(&file.path).or_default() += 1;
    }
    for file in &state.files {
        match seen.remove(&*file.path) {
            Some(1) => {}
            Some(n) => flaws.push(format!("{} is planned {n} times", file.path)),
            None => flaws.push(format!("{} is forgotten", file.path)),
        }
    }
    flaws.extend(seen.keys().map(|path| format!("{path} is not in the table")));
    let planned: Vec<&str> = plan.deletes.iter().map(|delete| delete.key.path.as_str()).collect();
    if planned != state.deletes.iter().map(|delete| delete.path.as_str()).collect::<Vec<_>>() {
        flaws.push(format!("other deletes than the table's: {planned:?}"));
    }
    // Nothing that still applies to a file goes: by the naive rule, over all files that stay.
    let inputs: BTreeSet<&str> =
        plan.rewrites().flat_map(|task| &task.inputs).map(|input| input.path.as_str()).collect();
    for (delete, planned) in state.deletes.iter().zip(&plan.deletes) {
        let hit = |file: &&DataFile| applies(state, delete, file) && !inputs.contains(&*file.path);
        if let (true, Some(file)) = (planned.fate.goes(), state.files.iter().find(hit)) {
            flaws.push(format!("{} goes although it applies to {}", delete.path, file.path));
        }
    }
    for task in plan.rewrites() {
        for input in &task.inputs {
            let file = state.files.iter().find(|file| *file.path == *input.path);
            let mut wanted: Vec<&str> = state
                .deletes
                .iter()
                .filter(|delete| file.is_some_and(|file| applies(state, delete, file)))
                .map(|delete| delete.path.as_str())
                .collect();
            let mut have: Vec<&str> =
                input.deletes.iter().map(|n| task.deletes[*n as usize].key.path.as_str()).collect();
            wanted.sort_unstable();
            have.sort_unstable();
            if wanted != have {
                flaws.push(format!("{} has deletes {have:?} instead of {wanted:?}", input.path));
            }
        }
        let bytes: u64 = task.inputs.iter().map(|input| input.size).sum();
        let share = task.output.bytes / task.output.files.max(1);
        if task.respec.is_none()
            && task.output.bytes >= policy.band_min()
            && !(policy.band_min()..=policy.target_file_size_bytes).contains(&share)
        {
            flaws.push(format!("outputs of {share} bytes are outside of the band"));
        }
        let largest = task.inputs.iter().map(|input| input.size).max().unwrap_or(0);
        if task.inputs.len() > 1 && bytes > policy.max_file_group_size_bytes + largest {
            flaws.push(format!("a group of {bytes} bytes"));
        }
        if task.inputs.is_empty() {
            flaws.push("a task without inputs".into());
        }
        let fewer = task.output.files < task.inputs.len() as u64;
        let other = task.inputs.iter().any(|i| !matches!(i.picked, crate::model::PickReason::TooSmall));
        if !fewer && !other && !policy.rewrite_all && task.respec.is_none() {
            flaws.push("a task that gains nothing".into());
        }
    }
    if let Some(most) = policy.max_files_to_rewrite
        && plan.totals.input_files > most
    {
        flaws.push(format!("{} files are over the limit of {most}", plan.totals.input_files));
    }
    flaws
}
