//! Values only: what the other rooms hand to one another.
//!
//! No IO, no async, no clock, no random ids. Everything a person may want to read, save or compare is serialisable;
//! every order ends in a total order (I11). The only foreign types are the `iceberg` crate's plain spec types.

mod age;
mod archive;
mod bound;
mod bytes;
mod catalog;
mod deletes;
mod depth;
mod expire;
mod file_bounds;
mod filter;
mod fleet;
mod footer;
mod health;
mod history;
mod lineage;
mod manifests;
mod name;
mod operation;
mod orphans;
mod outcome;
mod plan;
mod policy;
mod reason;
mod removal;
mod report;
mod report_steps;
mod respec;
mod schedule;
mod similar;
mod sort;
mod state;
mod tier;
mod ways;

pub use age::{human_age, parse_age};
pub use archive::{
    ArchivePlan, ArchivePolicy, ArchiveReport, ArchiveTask, Money, Move, ReclassTask, StayReason, Stays, TierUse,
    TransferTask,
};
pub use bound::widened;
pub use bytes::{GIB, KIB, MIB, human_bytes, parse_bytes};
pub use catalog::{CatalogSettings, StoragePlace};
pub use deletes::{AppliedDelete, DELETE_FILE_PATH, DELETE_POS, DeleteFate, DeleteKey, PlannedDelete, TaskDelete};
pub use depth::{OverlapDepth, PartitionDepth};
pub use expire::{ExpirePlan, ExpirePolicy, ExpireReason, ExpiredRef, ExpiredSnapshot, KeepReason, KeptSnapshot};
pub use file_bounds::{FieldBounds, FileBounds};
pub use filter::{Compare, Filter, Value};
pub use fleet::{Candidates, Closeness, HOT, RunMemory, TableSummary};
pub use footer::{Codec, ColumnCodec, Footer, RowGroup};
pub use health::{Due, Health, LeftAlone, PartitionHealth, SizeClass};
pub use history::{History, RefInfo, RefKind, SnapshotInfo};
pub use lineage::{LAST_UPDATED, ROW_ID, has_row_lineage, is_row_lineage, with_row_lineage};
pub use manifests::{ManifestPlan, ManifestPolicy, ManifestReason, ManifestTask};
pub use name::TableName;
pub use operation::Operation;
pub use orphans::{Judged, LocationCount, Orphan, OrphanPlan, OrphanPolicy, OrphanSkip, judge, orphan_kind};
pub use outcome::{ColumnStats, NewFile, NewVector, Outcome};
pub use plan::{
    Base, CompactPlan, Estimate, InputFile, OutputSpec, PLAN_VERSION, Plan, PlanTotals, PlannedWay, RewriteTask, Route,
    SavedPlan, Skipped, Task,
};
pub use policy::{CompactPolicy, EncodingProfile, JobOrder, PartialProgress, Verify};
pub use reason::{PickReason, RouteReason, SkipReason, TaskReason, UnsupportedDelete};
pub use removal::{Count, FileKind, Removal};
pub use report::{ErrorReport, REPORT_VERSION, Report, Status, StepReport, TableReport};
pub use respec::{KeepSpec, PartitionValues, Respec};
pub use schedule::{CronTime, Windows, parse_zone};
pub use similar::{closest, edit_distance};
pub use sort::{Arrangement, Curve, SortField};
pub use state::{
    Blob, DataFile, DeleteContent, DeleteFile, FieldRange, FileFormat, Footers, ManifestInfo, Partition, PartitionId,
    TableState,
};
pub use tier::{
    BILLED_GIB, DAYS_A_MONTH, Prices, Recompress, Tier, TierPlace, class_is_offline, class_prices, human_money,
    same_class, tier_locations, tier_of, told_by_class,
};
pub use ways::{ChunkSum, ChunkWays, EncodedChunks};
