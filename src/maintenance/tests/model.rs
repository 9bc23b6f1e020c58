//! What a writer does, to the table and to the model of it.

use std::collections::BTreeMap;

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, SnapshotReference, SnapshotRetention};
use serde_json::json;

use super::home::{BY_NUM, Home, specs};
use super::lake::{
    Commit, DAY, EXTRA, EXTRA_DEFAULT, FLAG, ID, Lake, NUM, PART, PRICE, RATIO, RAW, RAW_AGAIN, Row, TEXT,
};
use super::reader::{Found, Value, read, read_at};

/// A row in short: id, text, num, extra, and what the other columns are made of.
pub(super) type Short = (u8, u8, u8, u8, u8);

/// What a writer does.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Append {
        part: i64,
        rows: Vec<Short>,
    },
    Positions {
        part: i64,
        picks: Vec<u16>,
        scoped: bool,
    },
    /// Deletes by columns, in the partitions of the keys or everywhere; a writer that upserts adds rows in the same commit.
    Equality {
        part: Option<i64>,
        columns: Vec<i32>,
        keys: Vec<Short>,
        rows: Vec<Short>,
    },
    Evolve(u8),
    /// To another partition spec.
    Respec(i32),
    /// To format version 3.
    Upgrade,
}

/// How many ways there are to change the schema.
pub(super) const EVOLUTIONS: u8 = 10;

/// A branch, and what was read of it when it was made.
#[derive(Debug)]
pub(super) struct Branch {
    snapshot: i64,
    rows: Vec<(String, i64, Row)>,
}

fn row(part: i64, (id, text, num, extra, mix): Short) -> Row {
    let int = |value: u8| if value == 0 { Value::Null } else { Value::Int(value.into()) };
    let one_of = |values: &[Value]| values[usize::from(mix) % values.len()].clone();
    let floats = [f64::NAN, -0.0, 0.0, 1.5, f64::NEG_INFINITY].map(Value::float);
    [
        (ID, Value::Int(id.into())),
        (PART, Value::Int(part)),
        (TEXT, if text == 0 { Value::Null } else { Value::Text("t".repeat(text.into())) }),
        (NUM, int(num)),
        (EXTRA, int(extra)),
        (RATIO, one_of(&[&floats[..], &[Value::Null]].concat())),
        (PRICE, one_of(&[Value::Decimal(12_345), Value::Null, Value::Decimal(0), Value::Decimal(-100)])),
        (RAW, one_of(&[Value::Bytes(Vec::new()), Value::Bytes(vec![0, 255]), Value::Null])),
        (DAY, one_of(&[Value::day(0), Value::day(19_000), Value::Null, Value::day(-1), Value::day(19_001)])),
        (FLAG, one_of(&[Value::Bool(true), Value::Bool(false), Value::Null])),
        (RAW_AGAIN, int(num)),
    ]
    .into()
}

fn value(row: &Row, id: i32) -> Value {
    row.get(&id).cloned().unwrap_or(Value::Null)
}

impl Lake {
    fn has(&self, id: i32) -> bool {
        self.fields.iter().any(|(field, ..)| *field == id)
    }

    /// The row as a writer of the current schema writes it.
    fn written(&self, part: i64, short: Short) -> Row {
        row(part, short).into_iter().filter(|(id, _)| self.has(*id)).collect()
    }

    fn begin(&self) -> Commit {
        let wide = self.fields.iter().any(|(id, _, kind)| *id == NUM && *kind == "long");
        Commit { wide, ..Commit::default() }
    }

    pub(super) async fn write(&mut self, op: &Write) {
        let mut commit = self.begin();
        match op {
            Write::Append { part, rows } => self.insert(&mut commit, *part, rows),
            Write::Positions { part, picks, scoped } => {
                if !self.pick(&mut commit, *part, picks, *scoped).await {
                    return;
                }
            }
            Write::Equality { part, columns, keys, rows } => {
                let columns: Vec<i32> = columns.iter().copied().filter(|id| self.has(*id)).collect();
                if columns.is_empty() {
                    return;
                }
                self.delete_equal(&mut commit, *part, &columns, keys).await;
                if let Some(part) = part {
                    self.insert(&mut commit, *part, rows);
                }
            }
            Write::Evolve(kind) => return self.change_schema(*kind).await,
            Write::Respec(spec) => return self.change_spec(*spec).await,
            Write::Upgrade => {
                if self.version < FormatVersion::V3 {
                    self.upgrade().await;
                }
                return;
            }
        }
        self.with_all_specs().await;
        self.commit(commit).await;
    }

    /// Adds rows, a file a partition.
    fn insert(&mut self, commit: &mut Commit, part: i64, rows: &[Short]) {
        let mut homes: BTreeMap<Home, Vec<Row>> = BTreeMap::new();
        for short in rows {
            let row = self.written(part, *short);
            homes.entry(Home::of(self.spec, &row)).or_default().push(row);
        }
        for (home, rows) in homes {
            self.append(commit, home, &rows);
            self.model.extend(rows);
        }
    }

    /// Deletes rows where they lie: those of one file, or of one partition.
    async fn pick(&mut self, commit: &mut Commit, part: i64, picks: &[u16], scoped: bool) -> bool {
        let live = read(&self.load().await).await;
        let live: Vec<_> = live.iter().filter(|found| found.row[&PART] == Value::Int(part)).collect();
        let mut picked: Vec<usize> =
            picks.iter().filter_map(|pick| usize::from(*pick).checked_rem(live.len())).collect();
        picked.sort_unstable();
        picked.dedup();
        let Some(first) = picked.first().map(|index| live[*index]) else { return false };
        // A file of vectors may hold some of several partitions.
        let anywhere = self.version >= FormatVersion::V3;
        picked.retain(|index| {
            let found = live[*index];
            (anywhere || found.home == first.home) && (!scoped || found.path == first.path)
        });
        let place = |index: &usize| (live[*index].home.clone(), live[*index].path.clone(), live[*index].position);
        let rows: Vec<_> = picked.iter().map(place).collect();
        if anywhere {
            self.vectors(commit, &rows).await;
        } else {
            let pairs: Vec<_> = rows.into_iter().map(|(_, path, position)| (path, position)).collect();
            self.delete_rows(commit, first.home.clone(), &pairs, scoped.then(|| first.path.clone())).await;
        }
        for index in picked {
            self.forget(live[index]);
        }
        true
    }

    /// Deletes rows by their values: everywhere, or where a writer of the current spec would have put the keys.
    async fn delete_equal(&mut self, commit: &mut Commit, part: Option<i64>, columns: &[i32], keys: &[Short]) {
        let mut homes: BTreeMap<Home, Vec<Row>> = BTreeMap::new();
        for short in keys {
            let key = self.written(part.unwrap_or(0), *short);
            let home = part.map_or(Home::from(None), |_| Home::of(self.spec, &key));
            homes.entry(home).or_default().push(key);
        }
        let live = read(&self.load().await).await;
        let equal = |row: &Row, key: &Row| columns.iter().all(|id| value(key, *id) == value(row, *id));
        for (home, keys) in homes {
            self.equality(commit, home.clone(), columns, &keys);
            if home.is_everywhere() {
                self.model.retain(|row| !keys.iter().any(|key| equal(row, key)));
                continue;
            }
            // Where a row lies, only the table knows.
            for found in live.iter().filter(|found| found.home == home) {
                if keys.iter().any(|key| equal(&found.row, key)) {
                    self.forget(found);
                }
            }
        }
    }

    /// Takes a row out of the model.
    fn forget(&mut self, found: &Found) {
        let shown = |row: &Row| self.fields.iter().map(|(id, ..)| value(row, *id)).collect::<Vec<_>>();
        // Values of a dropped column may be gone from the file: the stored row is part of the model's.
        let same = |row: &Row| shown(row) == shown(&found.row) && found.row.iter().all(|(id, v)| value(row, *id) == *v);
        let at = self.model.iter().position(same).expect("the model has the row");
        self.model.swap_remove(at);
    }

    async fn change_schema(&mut self, kind: u8) {
        let (v3, spec) = (self.version >= FormatVersion::V3, self.spec);
        let had_extra = self.has(EXTRA);
        let promote = |fields: &mut Vec<(i32, &'static str, &'static str)>, id: i32, kind: &'static str| {
            fields.iter_mut().filter(|field| field.0 == id).for_each(|field| field.2 = kind);
        };
        if kind == 3 && !had_extra && v3 {
            self.has_default = true;
            self.model.iter_mut().for_each(|row| drop(row.insert(EXTRA, Value::Int(EXTRA_DEFAULT))));
        }
        self.evolve(|fields| match kind {
            0 => promote(fields, NUM, "long"),
            // Partitions of the current spec need their source.
            1 => fields.retain(|field| field.0 != NUM || spec == BY_NUM),
            2 => fields.iter_mut().filter(|field| field.0 == TEXT).for_each(|field| field.1 = "label"),
            3 if !had_extra => fields.push((EXTRA, "extra", "long")),
            4 => promote(fields, RATIO, "double"),
            5 => {
                let wider = |field: &&mut (i32, &str, &'static str)| field.2 == "decimal(9,2)";
                fields.iter_mut().filter(wider).for_each(|field| field.2 = "decimal(18,2)");
            }
            6 => promote(fields, PRICE, "decimal(30,2)"),
            7 if v3 => promote(fields, DAY, "timestamp"),
            8 => fields.rotate_left(1),
            9 if fields.iter().any(|field| field.0 == RAW) => {
                fields.retain(|field| field.0 != RAW);
                fields.push((RAW_AGAIN, "raw", "long"));
            }
            _ => {}
        })
        .await;
    }

    async fn change_spec(&mut self, spec: i32) {
        if spec == BY_NUM && !self.has(NUM) {
            return;
        }
        self.spec = spec;
        self.with_all_specs().await;
        self.edit(|metadata| metadata["default-spec-id"] = json!(spec)).await;
    }

    /// Expiry may have removed specs that nothing used.
    async fn with_all_specs(&self) {
        let all = specs();
        self.edit(|metadata| {
            let known = metadata["partition-specs"].as_array_mut().unwrap();
            let is_new = |spec: &&serde_json::Value| known.iter().all(|one| one["spec-id"] != spec["spec-id"]);
            let new: Vec<_> = all.as_array().unwrap().iter().filter(is_new).cloned().collect();
            known.extend(new);
        })
        .await;
    }

    /// Makes a branch of the current snapshot.
    pub(super) async fn branch(&self) -> Option<Branch> {
        let table = self.load().await;
        let snapshot = table.metadata.current_snapshot_id()?;
        let reference = SnapshotReference::new(snapshot, SnapshotRetention::branch(None, None, None));
        self.swap(&table, vec![TableUpdate::SetSnapshotRef { ref_name: "side".into(), reference }]).await;
        Some(Branch { snapshot, rows: self.of_snapshot(snapshot).await })
    }

    /// Whether a branch is what it was.
    pub(super) async fn holds(&self, branch: &Branch) -> bool {
        let table = self.load().await;
        let head = table.metadata.snapshot_for_ref("side").map(|snapshot| snapshot.snapshot_id());
        head == Some(branch.snapshot) && self.of_snapshot(branch.snapshot).await == branch.rows
    }

    async fn of_snapshot(&self, snapshot: i64) -> Vec<(String, i64, Row)> {
        let table = self.load().await;
        let snapshot = table.metadata.snapshot_by_id(snapshot).cloned();
        let live = read_at(&table, snapshot.as_deref()).await.into_iter();
        // What a column that came later has by default is none of the branch's business.
        let without = |mut row: Row| {
            row.remove(&EXTRA);
            row
        };
        live.map(|found| (found.path, found.position, without(found.row))).collect()
    }
}
