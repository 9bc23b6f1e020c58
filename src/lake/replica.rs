//! A catalog whose reads may go to a replica (`read-uri`), while everything that changes a table goes to the primary.
//!
//! The replica may lag. Only looking and planning use it ([`Catalog::replica`]); the committer loads what it builds on from
//! the primary and checks every input against it, removal reads the primary too. So a stale view costs a plan that has to
//! be made anew, and can't become a wrong commit.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iceberg::spec::TableMetadata;

use super::{Catalog, LoadedTable, Swap, TableChange};
use crate::error::{Error, Result};
use crate::model::TableName;

/// The property that names the replica's URI.
pub(super) const READ_URI: &str = "read-uri";

/// How long a server that is no more than a help may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a replica that did not answer is left alone: each question to a dead one costs [`PATIENCE`].
const REST: Duration = Duration::from_secs(30);

/// A primary and its replica.
#[derive(Debug)]
pub(super) struct WithReplica {
    primary: Arc<dyn Catalog>,
    replica: Arc<dyn Catalog>,
}

impl WithReplica {
    pub(super) fn new(primary: Arc<dyn Catalog>, replica: Arc<dyn Catalog>) -> Self {
        Self { primary, replica: Arc::new(Resting { inner: replica, until: Mutex::default() }) }
    }
}

impl fmt::Display for WithReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, read from {}", self.primary, self.replica)
    }
}

#[async_trait]
impl Catalog for WithReplica {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        match self.replica.list_tables().await {
            Err(error) => {
                tracing::warn!(%error, "the replica does not list tables, asking the primary");
                self.primary.list_tables().await
            }
            listed => listed,
        }
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        self.primary.load_table(name).await
    }

    fn warehouse(&self) -> Option<&str> {
        self.primary.warehouse()
    }

    async fn create_table(&self, name: &TableName, metadata: TableMetadata) -> Result<LoadedTable> {
        self.primary.create_table(name, metadata).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        self.primary.commit(base, change).await
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        self.primary.default_location(name)
    }

    fn replica(&self) -> Option<&Arc<dyn Catalog>> {
        Some(&self.replica)
    }
}

/// A replica that is not asked for a while once it did not answer.
#[derive(Debug)]
struct Resting {
    inner: Arc<dyn Catalog>,
    until: Mutex<Option<Instant>>,
}

impl Resting {
    async fn ask<T>(&self, question: impl Future<Output = Result<T>>) -> Result<T> {
        let rests = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        if rests(&self.until.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Err(Error::unavailable(format!("{} is left alone for a while", self.inner)));
        }
        let answer = question.await;
        if let Err(error) = answer.as_ref()
            && error.is_retryable()
        {
            let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
            // Of many questions at once, the first that fails says it.
            if !rests(&until) {
                tracing::warn!(%error, seconds = REST.as_secs(), "the replica does not answer, the primary is read for a while");
                *until = Some(Instant::now() + REST);
            }
        }
        answer
    }
}

impl fmt::Display for Resting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Catalog for Resting {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        self.ask(self.inner.list_tables()).await
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        self.ask(self.inner.load_table(name)).await
    }

    async fn create_table(&self, name: &TableName, metadata: TableMetadata) -> Result<LoadedTable> {
        self.inner.create_table(name, metadata).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        self.inner.commit(base, change).await
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        self.inner.default_location(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Never answers, and counts how often it was asked.
    #[derive(Debug, Default)]
    struct Dead(AtomicUsize);

    impl fmt::Display for Dead {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a dead one")
        }
    }

    #[async_trait]
    impl Catalog for Dead {
        async fn list_tables(&self) -> Result<Vec<TableName>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(Error::unavailable("no answer"))
        }

        async fn load_table(&self, _: &TableName) -> Result<LoadedTable> {
            self.list_tables().await.map(|_| unreachable!())
        }

        async fn create_table(&self, _: &TableName, _: TableMetadata) -> Result<LoadedTable> {
            unreachable!()
        }

        async fn commit(&self, _: &LoadedTable, _: &TableChange) -> Result<Swap> {
            unreachable!()
        }

        fn default_location(&self, _: &TableName) -> Result<String> {
            unreachable!()
        }
    }

    #[tokio::test]
    async fn should_ask_a_dead_replica_once_and_not_for_each_of_a_thousand_tables() {
        let dead = Arc::new(Dead::default());
        let both = WithReplica::new(Arc::new(Dead::default()), dead.clone());
        let replica = both.replica().unwrap();
        for n in 0..1000 {
            let error = replica.load_table(&TableName::new(["db"], format!("t{n}"))).await.unwrap_err();
            assert!(error.is_retryable(), "the primary is asked then");
        }
        assert_eq!(dead.0.load(Ordering::Relaxed), 1);
    }
}
