//! Deletes of every kind, evolving schemas and writers in between, against a model in memory.
//!
//! `ICEWRIGHT_SEEDS` sets the number of random tables (24).

use iceberg::spec::FormatVersion;
use proptest::prelude::*;

use super::archive3::to_tier;
use super::lake::{Commit, EXTRA, ID, Lake, NUM, PART, Row, TEXT};
use super::reader::{Value, read};
use crate::model::{CompactPolicy, MIB, Plan, Status, Verify};
use crate::planner::seal;

/// A row in short: id, text, num, extra.
type Short = (u8, u8, u8, u8);

#[derive(Debug, Clone)]
enum Op {
    Append {
        part: i64,
        rows: Vec<Short>,
    },
    Positions {
        part: i64,
        picks: Vec<u16>,
        scoped: bool,
    },
    /// Deletes by columns, in one partition or all of them; a writer that upserts adds rows in the same commit.
    Equality {
        part: Option<i64>,
        columns: Vec<i32>,
        keys: Vec<Short>,
        rows: Vec<Short>,
    },
    Evolve(u8),
    /// To format version 3.
    Upgrade,
    /// A move of everything to a tier.
    Archive {
        cold: bool,
        /// Whether small files are merged.
        merge: bool,
        between: Vec<Self>,
    },
    /// A compaction, with other writers at work between its plan and its commit.
    Compact {
        /// Of deletes alone.
        deletes: bool,
        min_input_files: u64,
        ratio: f64,
        between: Vec<Self>,
    },
}

fn rows() -> impl Strategy<Value = Vec<Short>> {
    prop::collection::vec((0u8..12, 0u8..3, 0u8..3, 0u8..3), 1..12)
}

fn write() -> impl Strategy<Value = Op> {
    let columns = prop::sample::subsequence(vec![ID, TEXT, NUM, EXTRA], 1..=3);
    let keys = prop::collection::vec((0u8..12, 0u8..3, 0u8..3, 0u8..3), 1..4);
    let added = prop_oneof![Just(Vec::new()), rows()];
    prop_oneof![
        4 => (0i64..2, rows()).prop_map(|(part, rows)| Op::Append { part, rows }),
        2 => (0i64..2, prop::collection::vec(any::<u16>(), 1..6), any::<bool>())
            .prop_map(|(part, picks, scoped)| Op::Positions { part, picks, scoped }),
        3 => (prop::option::weighted(0.7, 0i64..2), columns, keys, added)
            .prop_map(|(part, columns, keys, rows)| Op::Equality { part, columns, keys, rows }),
    ]
}

/// What other writers do between a plan and its commit.
fn between() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(write(), 1..3)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => write(),
        2 => (any::<bool>(), any::<bool>(), between()).prop_map(|(cold, merge, between)| Op::Archive { cold, merge, between }),
        1 => (0u8..4).prop_map(Op::Evolve),
        1 => Just(Op::Upgrade),
        4 => (any::<bool>(), 1u64..4, prop_oneof![Just(0.1), Just(1.0)], between()).prop_map(
            |(deletes, min_input_files, ratio, between)| Op::Compact { deletes, min_input_files, ratio, between }
        ),
    ]
}

fn row(part: i64, (id, text, num, extra): Short) -> Row {
    let int = |value: u8| if value == 0 { Value::Null } else { Value::Int(value.into()) };
    let text = if text == 0 { Value::Null } else { Value::Text("t".repeat(text.into())) };
    [(ID, Value::Int(id.into())), (PART, Value::Int(part)), (TEXT, text), (NUM, int(num)), (EXTRA, int(extra))].into()
}

impl Lake {
    /// The row as a writer of the current schema writes it.
    fn written(&self, part: i64, short: Short) -> Row {
        let known = |id: &i32| self.fields.iter().any(|(field, ..)| field == id);
        row(part, short).into_iter().filter(|(id, _)| known(id)).collect()
    }

    async fn write(&mut self, op: &Op) {
        let mut commit = Commit::default();
        match op {
            Op::Append { part, rows } => {
                let rows: Vec<Row> = rows.iter().map(|short| self.written(*part, *short)).collect();
                self.append(&mut commit, *part, &rows);
                self.model.extend(rows);
            }
            Op::Positions { part, picks, scoped } => {
                let live = read(&self.load().await).await;
                let live: Vec<_> = live.iter().filter(|found| found.row[&PART] == Value::Int(*part)).collect();
                let mut picked: Vec<usize> =
                    picks.iter().filter_map(|pick| usize::from(*pick).checked_rem(live.len())).collect();
                picked.sort_unstable();
                picked.dedup();
                if *scoped {
                    let first = picked.first().map(|index| live[*index].path.clone());
                    picked.retain(|index| Some(&live[*index].path) == first.as_ref());
                }
                let Some(first) = picked.first() else { return };
                let of = scoped.then(|| live[*first].path.clone());
                let pairs: Vec<_> =
                    picked.iter().map(|index| (live[*index].path.clone(), live[*index].position)).collect();
                self.delete_rows(&mut commit, *part, &pairs, of).await;
                for index in picked {
                    let shown = |row: &Row| self.fields.iter().map(|(id, ..)| row.get(id).cloned()).collect::<Vec<_>>();
                    let null =
                        |row: Vec<Option<Value>>| row.into_iter().map(|v| v.unwrap_or(Value::Null)).collect::<Vec<_>>();
                    // Values of a dropped column may be gone from the file: the stored row is part of the model's.
                    let same = |row: &Row| {
                        null(shown(row)) == null(shown(&live[index].row))
                            && live[index].row.iter().all(|(id, v)| row.get(id).unwrap_or(&Value::Null) == v)
                    };
                    let at = self.model.iter().position(same).expect("the model has the row");
                    self.model.swap_remove(at);
                }
            }
            Op::Equality { part, columns, keys, rows } => {
                let known = |id: &i32| self.fields.iter().any(|(field, ..)| field == id);
                let columns: Vec<i32> = columns.iter().copied().filter(known).collect();
                if columns.is_empty() {
                    return;
                }
                let keys: Vec<Row> = keys.iter().map(|short| self.written(0, *short)).collect();
                self.equality(&mut commit, *part, &columns, &keys);
                let value = |row: &Row, id: &i32| row.get(id).cloned().unwrap_or(Value::Null);
                self.model.retain(|row| {
                    let here = part.is_none_or(|part| row[&PART] == Value::Int(part));
                    !(here && keys.iter().any(|key| columns.iter().all(|id| value(key, id) == value(row, id))))
                });
                if let (Some(part), false) = (part, rows.is_empty()) {
                    let rows: Vec<Row> = rows.iter().map(|short| self.written(*part, *short)).collect();
                    self.append(&mut commit, *part, &rows);
                    self.model.extend(rows);
                }
            }
            Op::Evolve(kind) => {
                self.evolve(|fields| match kind {
                    0 => fields.iter_mut().filter(|field| field.0 == NUM).for_each(|field| field.2 = "long"),
                    1 => fields.retain(|field| field.0 != NUM),
                    2 => fields.iter_mut().filter(|field| field.0 == TEXT).for_each(|field| field.1 = "label"),
                    _ if fields.iter().any(|field| field.0 == EXTRA) => {}
                    _ => fields.push((EXTRA, "extra", "long")),
                })
                .await;
                return;
            }
            Op::Upgrade => {
                if self.version < FormatVersion::V3 {
                    self.upgrade().await;
                }
                return;
            }
            Op::Compact { .. } | Op::Archive { .. } => return,
        }
        self.commit(commit).await;
    }

    async fn compact(&mut self, deletes: bool, files: u64, ratio: f64, between: &[Op]) -> Result<(), String> {
        let policy = CompactPolicy {
            only_deletes: deletes,
            min_input_files: files,
            delete_ratio_threshold: ratio,
            verify: Verify::Content,
            ..CompactPolicy::default()
        };
        let policy_for = move |_: &_, _: &_| Ok(policy.clone());
        let planned = self.maintenance.plan_compaction(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
        self.apply(Plan::Compact(planned.plan), between).await?;
        if between.is_empty() {
            let again = self.maintenance.plan_compaction(&self.name, &policy_for).await.map_err(|e| e.to_string())?;
            if !again.plan.is_empty() {
                return Err(format!("not at rest: {:#?} {:#?}", again.plan.tasks, again.plan.deletes));
            }
        }
        Ok(())
    }

    async fn archive(&mut self, cold: bool, merge: bool, between: &[Op]) -> Result<(), String> {
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
    async fn apply(&mut self, plan: Plan, between: &[Op]) -> Result<(), String> {
        let saved = seal(plan).map_err(|e| e.to_string())?;
        for op in between {
            self.write(op).await;
        }
        let ids = self.lineage().await;
        let report = self.maintenance.apply(&saved).await;
        let kept = self.lineage().await;
        // A row that had an id still has it; others have got one.
        if self.version >= FormatVersion::V3
            && ids.iter().any(|(row, id)| id.0.is_some() && !kept.contains(&(row.clone(), *id)))
        {
            return Err(format!("row ids were {ids:?}, and are {kept:?}"));
        }
        match (report.status, &report.error) {
            (Status::Committed | Status::NothingToDo, None) => {}
            // Others were at work: groups may have been dropped.
            (_, Some(error)) if !between.is_empty() && error.kind == crate::error::Kind::Conflict => {}
            (_, error) => return Err(format!("{error:?}")),
        }
        Ok(())
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

    async fn run(version: FormatVersion, ops: &[Op]) -> Result<(), String> {
        let mut lake = Self::of_version(version).await;
        for (number, op) in ops.iter().enumerate() {
            match op {
                Op::Compact { deletes, min_input_files, ratio, between } => {
                    lake.compact(*deletes, *min_input_files, *ratio, between)
                        .await
                        .map_err(|e| format!("step {number}: {e}"))?;
                }
                Op::Archive { cold, merge, between } => {
                    lake.archive(*cold, *merge, between).await.map_err(|e| format!("step {number}: {e}"))?;
                }
                op => lake.write(op).await,
            }
            let (found, expected) = (lake.rows().await, lake.expected());
            if found != expected {
                return Err(format!("after step {number}:\nfound    {found:?}\nexpected {expected:?}"));
            }
        }
        Ok(())
    }
}

fn cases() -> u32 {
    std::env::var("ICEWRIGHT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(24)
}

/// A case that once failed: promotion alone, of a table without rows.
#[tokio::test]
async fn should_promote_a_column_of_an_empty_table() {
    Lake::run(FormatVersion::V2, &[Op::Evolve(0)]).await.unwrap();
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
