//! Deletes of every kind, evolving schemas and partition specs, and writers in between, against a model in memory.
//!
//! `PROPTEST_CASES` sets the number of random tables (48).

use iceberg::spec::FormatVersion;
use proptest::prelude::*;

use super::archive3::to_tier;
use super::lake::{DAY, FLAG, ID, Lake, NUM, PRICE, RATIO, RAW, Row, TEXT};
use super::model::Write;
use super::reader::{Value, read};
use super::strategies::{How, Op, Sizes, op};
use crate::maintenance::depth::by_column;
use crate::model::{
    Arrangement, CompactPolicy, Curve, ExpirePolicy, MIB, ManifestPolicy, Plan, SortField, Status, TableReport, Verify,
};
use crate::planner::seal;

impl Lake {
    /// By names that the columns have by now.
    fn arrangement(&self, how: How) -> Arrangement {
        let name = |id: i32| self.fields.iter().find(|field| field.0 == id).map(|field| field.1.to_owned());
        let names = |ids: &[i32]| ids.iter().filter_map(|id| name(*id)).collect::<Vec<_>>();
        let field = |(column, descending): (String, bool)| SortField {
            column,
            transform: "identity".into(),
            descending,
            nulls_first: !descending,
        };
        match how {
            How::BinPack | How::Deletes => Arrangement::BinPack,
            How::Sort => {
                let fields = names(&[RATIO, TEXT, NUM, DAY]).into_iter().zip([true, false, true, false]).map(field);
                Arrangement::Sort { fields: fields.collect(), order_id: None }
            }
            How::ZOrder => Arrangement::Curve { curve: Curve::ZOrder, columns: names(&[ID, RATIO, TEXT, RAW]) },
            How::Hilbert => Arrangement::Curve { curve: Curve::Hilbert, columns: names(&[PRICE, DAY, NUM, FLAG]) },
        }
    }

    async fn compact(&mut self, policy: CompactPolicy, rests: bool, between: &[Write]) -> Result<(), String> {
        let target = policy.output_spec_id;
        let asked = policy.clone();
        let policy_for = move |_: &_, _: &_| Ok(policy.clone());
        let planned = self.maintenance.plan_compaction(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
        let report = self.apply(Plan::Compact(planned.plan), between).await?;
        if between.is_empty() {
            let mut again =
                self.maintenance.plan_compaction(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
            let depth = by_column(&again.state, &asked);
            if report.status == Status::Committed && report.depth_after != depth {
                return Err(format!("depth is {depth:?}, and was told as {:?}", report.depth_after));
            }
            if !rests {
                return Ok(());
            }
            let target = target.unwrap_or_else(|| again.state.metadata.default_partition_spec_id());
            let is_old = again.state.partitions.iter().any(|partition| partition.spec_id != target);
            if is_old && !again.plan.is_empty() {
                // Without its deleted rows, a file that stayed in its old spec may belong to fewer partitions.
                self.maintenance.compact(&self.name, &policy_for).await;
                again = self.maintenance.plan_compaction(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
            }
            if !again.plan.is_empty() {
                return Err(format!("not at rest: {:#?} {:#?}", again.plan.tasks, again.plan.deletes));
            }
        }
        Ok(())
    }

    async fn archive(&mut self, cold: bool, merge: bool, between: &[Write]) -> Result<(), String> {
        let policy = to_tier(self, if cold { "cold" } else { "hot" }, if merge { MIB } else { 0 });
        let policy_for = move |_: &_, _: &_| Ok(policy.clone());
        let planned = self.maintenance.plan_archive(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
        self.apply(Plan::Archive(planned.plan), between).await?;
        if between.is_empty() {
            let again = self.maintenance.plan_archive(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
            if !again.plan.is_empty() {
                return Err(format!("not at rest: {:#?}", again.plan.tasks));
            }
        }
        Ok(())
    }

    /// Runs a plan after others have been at work.
    async fn apply(&mut self, plan: Plan, between: &[Write]) -> Result<TableReport, String> {
        let saved = seal(plan).map_err(|e| e.to_string())?;
        for op in between {
            self.write(op).await;
        }
        let ids = self.lineage().await;
        let report = self.maintenance.apply(&saved).await;
        self.still(&ids).await?;
        match (report.status, &report.error) {
            (Status::Committed | Status::NothingToDo, None) => Ok(report),
            // Others were at work: groups may have been dropped.
            (_, Some(error)) if !between.is_empty() && error.kind == crate::error::Kind::Conflict => Ok(report),
            (_, error) => Err(format!("{error:?}")),
        }
    }

    /// What touches no data file.
    async fn metadata_only(&self, op: &Op) -> Result<(), String> {
        let ids = self.lineage().await;
        let report: TableReport = if matches!(op, Op::Expire) {
            let policy = ExpirePolicy {
                retain_min: 1,
                retain_max: 1,
                older_than_ms: 0,
                min_age_ms: 0,
                clean_expired_metadata: true,
                ..ExpirePolicy::default()
            };
            self.maintenance.expire(&self.name, &|_, _| Ok(policy.clone())).await
        } else {
            let policy = ManifestPolicy { rewrite_all: true, ..ManifestPolicy::default() };
            self.maintenance.rewrite_manifests(&self.name, &|_, _| Ok(policy.clone())).await
        };
        self.still(&ids).await?;
        report.error.map_or(Ok(()), |error| Err(format!("{error:?}")))
    }

    /// A row that had an id still has it; others have got one.
    async fn still(&self, ids: &[(Row, (Option<i64>, i64))]) -> Result<(), String> {
        let kept = self.lineage().await;
        let lost = |row: &&(Row, (Option<i64>, i64))| row.1.0.is_some() && !kept.contains(row);
        match self.version >= FormatVersion::V3 && ids.iter().any(|row| lost(&row)) {
            true => Err(format!("row ids were {ids:?}, and are {kept:?}")),
            false => Ok(()),
        }
    }

    /// The table's rows with what says where they came from.
    async fn lineage(&self) -> Vec<(Row, (Option<i64>, i64))> {
        let mut rows: Vec<_> = read(&self.load().await)
            .await
            .into_iter()
            .map(|found| (self.shown_row(found.row), found.lineage))
            .collect();
        rows.sort();
        rows
    }

    fn shown_row(&self, row: Row) -> Row {
        self.fields.iter().map(|(id, ..)| (*id, row.get(id).cloned().unwrap_or(Value::Null))).collect()
    }

    /// Does all of it; says where the table is not what the model is.
    pub(super) async fn run(version: FormatVersion, ops: &[Op]) -> Result<(), String> {
        let mut lake = Self::of_version(version).await;
        let mut branch = None;
        for (number, op) in ops.iter().enumerate() {
            let done = match op {
                Op::Compact { how, min_input_files, ratio, rewrite_all, sizes, output_spec_id, between } => {
                    let only_deletes = matches!(how, How::Deletes);
                    let metadata = lake.load().await.metadata;
                    let has_spec = |id: &i32| metadata.partition_spec_by_id(*id).is_some();
                    let policy = CompactPolicy {
                        only_deletes,
                        arrangement: lake.arrangement(*how),
                        min_input_files: *min_input_files,
                        delete_ratio_threshold: *ratio,
                        rewrite_all: *rewrite_all && !only_deletes,
                        output_spec_id: output_spec_id.filter(|id| !only_deletes && has_spec(id)),
                        verify: Verify::Content,
                        ..CompactPolicy::default()
                    };
                    // Files that are cut as small as these are never large enough.
                    let rests = !rewrite_all && !matches!(sizes, Sizes::Cut);
                    lake.compact(sizes.of(policy), rests, between).await
                }
                Op::Archive { cold, merge, between } => lake.archive(*cold, *merge, between).await,
                Op::Manifests | Op::Expire => lake.metadata_only(op).await,
                Op::Branch => {
                    if branch.is_none() {
                        branch = lake.branch().await;
                    }
                    Ok(())
                }
                Op::Write(write) => {
                    lake.write(write).await;
                    Ok(())
                }
            };
            done.map_err(|e| format!("step {number}: {e}"))?;
            let (found, expected) = (lake.rows().await, lake.expected());
            if found != expected {
                return Err(format!("after step {number}:\nfound    {found:?}\nexpected {expected:?}"));
            }
            if let Some(branch) = &branch
                && !lake.holds(branch).await
            {
                return Err(format!("after step {number} the branch is not what it was"));
            }
        }
        Ok(())
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn should_hold_what_the_model_holds(version_3 in any::<bool>(), ops in prop::collection::vec(op(), 1..14)) {
        let version = if version_3 { FormatVersion::V3 } else { FormatVersion::V2 };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let done = runtime.block_on(Lake::run(version, &ops));
        prop_assert!(done.is_ok(), "{}", done.unwrap_err());
    }
}
