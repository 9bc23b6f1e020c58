//! What should happen and why: a plain, versioned, serialisable value, pinned to a base snapshot (I1).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    ArchivePlan, Arrangement, CompactPolicy, DeleteFate, ExpirePlan, KeepSpec, ManifestPlan, Operation, OrphanPlan,
    PickReason, PlannedDelete, Respec, RouteReason, SkipReason, TableName, TaskDelete, TaskReason,
};

/// The version of the plan format that this build writes and reads.
pub const PLAN_VERSION: u32 = 1;

/// The snapshot that a plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The snapshot.
    pub snapshot_id: i64,
    /// Its sequence number: new files carry it, so that later deletes still apply to them (I4).
    pub sequence_number: i64,
    /// The schema that outputs are written in.
    pub schema_id: i32,
    /// The metadata file that the plan was made from.
    pub metadata_location: String,
}

/// A file that goes into a rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub records: u64,
    /// Data sequence number.
    pub sequence_number: i64,
    /// The id of its first row; absent below format version 3, and in files that nothing was committed to since an upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_row_id: Option<i64>,
    /// The deletes that apply to it, as indexes into [`RewriteTask::deletes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<u32>,
    /// About how many of its rows are deleted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deleted: u64,
    /// Why it was picked.
    #[serde(flatten)]
    pub picked: PickReason,
}

/// How a group is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Encoded column chunks are copied byte for byte.
    Copy,
    /// Pages are moved into larger row groups, no value is decoded; a column that can't go this way is encoded anew.
    Merge,
    /// Values are decoded and encoded anew.
    Encode,
    /// Values are decoded, their rows sorted, and encoded anew.
    Sort,
    /// A whole file is copied byte for byte to another place.
    Transfer,
    /// The files stay; the deletes that apply to them are written anew, as positions.
    Deletes,
    /// The files stay; the deletes that apply to them are written anew, as one deletion vector a file (format version 3).
    Vectors,
}

impl Route {
    /// Whether data files stay as they are, with new deletes.
    pub fn keeps_files(self) -> bool {
        matches!(self, Self::Deletes | Self::Vectors)
    }
}

/// Groups of a plan that are to be rewritten on one way, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedWay {
    /// The way. On that of pages, a column that can't go it is encoded: which one, only the files tell.
    pub way: Route,
    /// Why, as the first group has it.
    #[serde(flatten)]
    pub why: RouteReason,
    /// Groups.
    pub groups: u64,
    /// Their files.
    pub files: u64,
    /// The bytes of those.
    pub bytes: u64,
}

/// What should come out of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// The folder that outputs go to, without a final slash; where rows move, the one that holds the partitions.
    pub directory: String,
    /// How many files are expected.
    pub files: u64,
    /// Expected bytes of all of them together.
    pub bytes: u64,
    /// Where the executor cuts: it re-divides what is left by what it measures, and never lets a file grow past
    /// [`CompactPolicy::target_file_size_bytes`].
    pub cut_bytes: u64,
    /// The store's class for them; its default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

/// What a task will cost, as far as that can be told beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Wall seconds on two cores.
    pub seconds: f64,
    /// Peak memory in bytes.
    pub memory: u64,
}

/// One group of files to rewrite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewriteTask {
    /// Its number in the plan, from 0.
    pub id: u32,
    /// The partition spec of outputs, and of inputs unless rows move ([`Self::respec`]).
    pub spec_id: i32,
    /// The partition as a path, empty when unpartitioned.
    pub partition: String,
    /// Why the group is worth it.
    pub why: TaskReason,
    /// How it is rewritten.
    pub route: Route,
    /// Why that way.
    pub route_why: RouteReason,
    /// The files, in the order in which they are read.
    pub inputs: Vec<InputFile>,
    /// Deletes that apply to some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<TaskDelete>,
    /// How rows are arranged ([`Route::Sort`]).
    #[serde(default, skip_serializing_if = "Arrangement::is_bin_pack")]
    pub arrangement: Arrangement,
    /// Where rows move, when inputs are of other partition specs than the outputs: each to the partition that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respec: Option<Respec>,
    /// Why files of an older spec are rewritten in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_spec: Option<KeepSpec>,
    /// The sort order that outputs may claim: only when their rows are in it.
    pub sort_order_id: Option<i32>,
    /// What comes out.
    pub output: OutputSpec,
    /// What it costs.
    pub estimate: Estimate,
}

/// One independent unit of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// A group of files to rewrite.
    Rewrite(RewriteTask),
}

/// A file that is left alone, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Location.
    pub path: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// Why.
    #[serde(flatten)]
    pub why: SkipReason,
}

/// Sums over a plan, so that a reader need not add them up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanTotals {
    /// Live data files of the table.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Data files that are replaced.
    pub input_files: u64,
    /// Their bytes.
    pub input_bytes: u64,
    /// Expected new data files.
    pub output_files: u64,
    /// Expected output bytes.
    pub output_bytes: u64,
    /// Live delete files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delete_files: u64,
    /// Of those, the ones that go.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retired_delete_files: u64,
    /// Expected new delete files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub new_delete_files: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A compaction of one table, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompactPlan {
    /// The table.
    pub table: TableName,
    /// Its id, so that a table of the same name made anew is not mistaken for it.
    pub table_uuid: String,
    /// The snapshot the plan was made from; `None` for a table without data.
    pub base: Option<Base>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The policy it follows.
    pub policy: CompactPolicy,
    /// What to do.
    pub tasks: Vec<Task>,
    /// What is left alone.
    pub skipped: Vec<Skipped>,
    /// What becomes of the table's delete files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<PlannedDelete>,
    /// Sums.
    pub totals: PlanTotals,
}

impl CompactPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && !self.deletes.iter().any(|delete| delete.fate == DeleteFate::NothingLeft)
    }

    /// The delete files that go, as far as the plan can tell.
    pub fn retired(&self) -> impl Iterator<Item = &PlannedDelete> {
        self.deletes.iter().filter(|delete| delete.fate.goes())
    }

    /// The ways on which groups are to be rewritten, with the reasons, most bytes first. Reasons that differ only in their
    /// figures are one.
    pub fn ways(&self) -> Vec<PlannedWay> {
        let mut ways: Vec<PlannedWay> = Vec::new();
        for task in self.rewrites() {
            let same = |way: &&mut PlannedWay| way.way == task.route && way.why.is_like(&task.route_why);
            let (files, bytes) = (task.inputs.len() as u64, task.inputs.iter().map(|input| input.size).sum::<u64>());
            match ways.iter_mut().find(same) {
                Some(way) => {
                    way.groups += 1;
                    way.files += files;
                    way.bytes += bytes;
                }
                None => {
                    ways.push(PlannedWay { way: task.route, why: task.route_why.clone(), groups: 1, files, bytes });
                }
            }
        }
        ways.sort_by_key(|way| std::cmp::Reverse(way.bytes));
        ways
    }

    /// The rewrite tasks.
    pub fn rewrites(&self) -> impl Iterator<Item = &RewriteTask> {
        self.tasks.iter().map(|Task::Rewrite(task)| task)
    }
}

/// What should happen to one table, and why: one kind an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Plan {
    /// Small files become large ones.
    Compact(CompactPlan),
    /// Small manifests become large ones.
    RewriteManifests(ManifestPlan),
    /// Old snapshots go, and the files that only they reach.
    Expire(ExpirePlan),
    /// Files that nothing refers to go.
    RemoveOrphans(OrphanPlan),
    /// Ageing data moves to cheaper storage.
    Archive(ArchivePlan),
}

impl Plan {
    /// The table.
    pub fn table(&self) -> &TableName {
        match self {
            Self::Compact(plan) => &plan.table,
            Self::RewriteManifests(plan) => &plan.table,
            Self::Expire(plan) => &plan.table,
            Self::RemoveOrphans(plan) => &plan.table,
            Self::Archive(plan) => &plan.table,
        }
    }

    /// The id of the table that the plan was made for.
    pub fn table_uuid(&self) -> &str {
        match self {
            Self::Compact(plan) => &plan.table_uuid,
            Self::RewriteManifests(plan) => &plan.table_uuid,
            Self::Expire(plan) => &plan.table_uuid,
            Self::RemoveOrphans(plan) => &plan.table_uuid,
            Self::Archive(plan) => &plan.table_uuid,
        }
    }

    /// The operation, as the command line calls it.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Compact(_) => Operation::Compact,
            Self::RewriteManifests(_) => Operation::RewriteManifests,
            Self::Expire(_) => Operation::Expire,
            Self::RemoveOrphans(_) => Operation::RemoveOrphans,
            Self::Archive(_) => Operation::Archive,
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Compact(plan) => plan.is_empty(),
            Self::RewriteManifests(plan) => plan.is_empty(),
            Self::Expire(plan) => plan.is_empty(),
            Self::RemoveOrphans(plan) => plan.is_empty(),
            Self::Archive(plan) => plan.is_empty(),
        }
    }
}

/// A plan as it is saved: with its version, and a checksum over all of it, so that an edited plan is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// The checksum.
    pub checksum: String,
}
