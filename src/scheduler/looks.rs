//! One look at the fleet serves all who want one at that moment.
//!
//! Each schedule wants to know of earlier runs when a scheduler starts, metrics want figures, and what was due in a downtime
//! wants to be ranked: a large catalog must not be read once for each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::work::Work;
use crate::error::Result;
use crate::lake::Ambient;
use crate::maintenance::Fleet;

/// A look is good for so long, in milliseconds, as long as nothing was run over any table since. What others changed
/// meanwhile costs a run that finds nothing to do, at worst: runs plan from the table as it is then.
const GOOD_FOR_MS: i64 = 60_000;

/// The last look.
#[derive(Debug, Default)]
pub struct Looks {
    last: Mutex<Option<Last>>,
    runs: AtomicU64,
}

#[derive(Debug)]
struct Last {
    fleet: Arc<Fleet>,
    ended_ms: i64,
    runs: u64,
}

impl Looks {
    /// The fleet as it is, or was a moment ago. Who asks while somebody else looks waits and shares.
    ///
    /// # Errors
    /// Whatever the catalog says when its tables can't be listed.
    pub async fn fleet(&self, work: &dyn Work, ambient: &Ambient) -> Result<Arc<Fleet>> {
        let asked_ms = ambient.now_ms();
        let mut last = self.last.lock().await;
        let runs = self.runs.load(Ordering::Relaxed);
        let good = |last: &&Last| {
            last.runs == runs && (last.ended_ms >= asked_ms || ambient.now_ms() - last.ended_ms < GOOD_FOR_MS)
        };
        if let Some(last) = last.as_ref().filter(good) {
            return Ok(last.fleet.clone());
        }
        let fleet = Arc::new(work.look(work.tables().await?).await);
        *last = Some(Last { fleet: fleet.clone(), ended_ms: ambient.now_ms(), runs });
        Ok(fleet)
    }

    /// Something was run over a table: what was seen before is old.
    pub fn outdate(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::maintenance::{Lease, Taken};
    use crate::model::{TableName, TableReport};
    use crate::scheduler::Job;

    /// Counts looks, each of which takes a moment.
    #[derive(Default)]
    struct Counted(AtomicU64);

    #[async_trait(?Send)]
    impl Work for Counted {
        async fn tables(&self) -> Result<Vec<TableName>> {
            Ok(Vec::new())
        }

        async fn look(&self, _: Vec<TableName>) -> Fleet {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Fleet::default()
        }

        async fn run(&self, _: &Job) -> TableReport {
            unreachable!()
        }

        async fn take_lease(&self, _: &TableName, _: &str, _: Duration) -> Result<Taken> {
            unreachable!()
        }

        async fn renew_lease(&self, _: &Lease, _: Duration) -> Result<bool> {
            unreachable!()
        }

        async fn release_lease(&self, _: &Lease, _: &str, _: bool) -> Result<()> {
            unreachable!()
        }
    }

    #[tokio::test]
    async fn should_share_a_look_until_something_ran_or_a_minute_passed() {
        let (work, looks, ambient) = (Counted::default(), Looks::default(), Ambient::manual(0, 1));
        let look = || async { looks.fleet(&work, &ambient).await.unwrap() };
        futures::join!(look(), look(), look());
        assert_eq!(work.0.load(Ordering::Relaxed), 1, "three ask at once, one looks");
        looks.outdate();
        look().await;
        assert_eq!(work.0.load(Ordering::Relaxed), 2, "a run changed something");
        ambient.advance(Duration::from_secs(59));
        look().await;
        assert_eq!(work.0.load(Ordering::Relaxed), 2);
        ambient.advance(Duration::from_secs(2));
        look().await;
        assert_eq!(work.0.load(Ordering::Relaxed), 3, "others may have changed something");
    }
}
