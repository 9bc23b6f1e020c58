//! A table that somebody drops while a run is at work on it.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Connection;

use super::lake::{Commit, ID, Lake, PART, Row};
use super::reader::Value;
use crate::error::{Kind, Result};
use crate::lake::intercepted::{Intercepted, Meddler};
use crate::lake::{Catalog, LoadedTable, Swap, TableChange};
use crate::model::{CompactPolicy, Status, TableName};

/// Drops the table at the moment when a run wants to commit.
struct DropsBeforeCommit {
    database: String,
}

#[async_trait]
impl Meddler for DropsBeforeCommit {
    async fn commit(&self, catalog: &dyn Catalog, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        let mut database = sqlx::SqliteConnection::connect(&self.database).await.unwrap();
        sqlx::query("DELETE FROM iceberg_tables WHERE table_name = 't'").execute(&mut database).await.unwrap();
        catalog.commit(base, change).await
    }
}

#[tokio::test]
async fn a_table_that_is_dropped_during_a_run_fails_that_run_and_nothing_else() {
    let mut lake = Lake::new().await;
    for n in 0..3 {
        let mut commit = Commit::default();
        let rows: Vec<Row> = vec![[(ID, Value::Int(n)), (PART, Value::Int(0))].into()];
        lake.append(&mut commit, 0, &rows);
        lake.commit(commit).await;
    }
    let other = TableName::new(["db"], "other");
    let metadata = lake.load().await.metadata;
    lake.maintenance.catalog.create_table(&other, (*metadata).clone()).await.unwrap();
    let (inner, database) = (lake.maintenance.catalog.clone(), lake.database());
    lake.maintenance.catalog = Arc::new(Intercepted(inner, DropsBeforeCommit { database }));
    let policy = CompactPolicy { min_input_files: 2, ..CompactPolicy::default() };
    let policy_for = |_: &TableName, _: &std::collections::HashMap<String, String>| Ok(policy.clone());
    let report = lake.maintenance.compact(&lake.name, &policy_for).await;
    assert_eq!(report.status, Status::Failed, "{report:?}");
    let error = report.error.unwrap();
    assert!(error.message.contains("db.t") || error.message.contains("no table"), "{error:?}");
    // A fleet that was listed before does not stumble over it either.
    let fleet = lake.maintenance.inspect_fleet(vec![lake.name.clone(), other.clone()], &policy_for).await;
    assert_eq!(fleet.tables.iter().map(|table| &table.table).collect::<Vec<_>>(), [&other]);
    assert_eq!(fleet.unreadable.len(), 1);
    assert_eq!(fleet.unreadable[0].1.kind(), Kind::InvalidInput);
}
