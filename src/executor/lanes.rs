//! Processors, shared between tasks: a large task has all of them to itself, small ones run side by side.
//!
//! One large task keeps every processor busy, so a second one at the same time would only hold memory. A task leaves its
//! lanes when one of its threads has nothing left to do: the next one begins while this one's last columns are made and
//! its file is completed and made durable. Of those that wait one is next: it opens its files meanwhile, so that nobody
//! waits for a store while processors stand still. It is only one, because what is known of open files takes memory.
//!
//! Two tasks meet in that moment, and have more threads than there are processors. Each thread that makes columns has a seat,
//! and no buffers before it has one: there are never more seats than processors.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::model::{MIB, RewriteTask, Route};

/// Inputs of so many bytes are worth all processors.
const LARGE: u64 = 64 * MIB;

/// The processors of one executor.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Arc<Semaphore>,
    next: Semaphore,
    seats: Arc<Semaphore>,
    workers: usize,
}

/// The lanes that a task holds.
#[derive(Debug)]
pub(crate) struct Held {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    seats: Arc<Semaphore>,
    /// How many they are.
    pub(crate) workers: usize,
    /// How many there are altogether.
    pub(crate) all: usize,
}

impl Lanes {
    pub(super) fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        let semaphore = || Arc::new(Semaphore::new(workers));
        Self { all: semaphore(), next: Semaphore::new(1), seats: semaphore(), workers }
    }

    /// Waits for the lanes of a task. They are taken before memory is, and given back while it is still held, so nobody
    /// who holds memory ever waits for lanes.
    pub(super) async fn acquire(&self, task: &RewriteTask) -> Result<Held> {
        let workers = self.of(task);
        let permit = Arc::clone(&self.all).acquire_many_owned(permits(workers)).await.map_err(closed)?;
        Ok(self.held(permit, workers))
    }

    /// The lanes of a task, if they are free.
    pub(super) fn try_acquire(&self, task: &RewriteTask) -> Option<Held> {
        let workers = self.of(task);
        let permit = Arc::clone(&self.all).try_acquire_many_owned(permits(workers)).ok()?;
        Some(self.held(permit, workers))
    }

    /// Waits to be next in line, and is until the permit is dropped.
    pub(super) async fn next(&self) -> Result<SemaphorePermit<'_>> {
        self.next.acquire().await.map_err(closed)
    }

    fn held(&self, permit: OwnedSemaphorePermit, workers: usize) -> Held {
        Held { permit: Mutex::new(Some(permit)), seats: Arc::clone(&self.seats), workers, all: self.workers }
    }

    /// How many lanes a task has.
    fn of(&self, task: &RewriteTask) -> usize {
        let bytes: u64 = task.inputs.iter().map(|input| input.size).sum();
        match task.route {
            Route::Copy => 1,
            // A sort has phases in which one thread is all there is to do: two of them even that out.
            Route::Sort if bytes >= LARGE => self.workers.div_ceil(2),
            _ if bytes >= LARGE => self.workers,
            _ => 1,
        }
    }
}

fn permits(workers: usize) -> u32 {
    u32::try_from(workers).unwrap_or(u32::MAX)
}

fn closed(error: AcquireError) -> Error {
    Error::internal("the processors were closed").caused_by(error)
}

impl Held {
    /// Waits for the seat of one thread; it is given back when it is dropped.
    pub(crate) async fn seat(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).acquire_owned().await.map_err(closed)
    }

    /// Lets the next task begin.
    pub(crate) fn leave(&self) {
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::executor::tests::plain_task;
    use crate::model::{InputFile, PickReason};

    fn task(bytes: u64, route: Route) -> RewriteTask {
        let input = InputFile {
            path: "a".into(),
            size: bytes,
            records: 1,
            sequence_number: 1,
            first_row_id: None,
            deletes: Vec::new(),
            deleted: 0,
            picked: PickReason::TooSmall,
        };
        plain_task(route, vec![input], bytes, "out")
    }

    #[tokio::test]
    async fn should_run_small_tasks_side_by_side_and_large_ones_alone() {
        let lanes = Lanes::new(2);
        let waits = async |task: RewriteTask| {
            tokio::time::timeout(Duration::from_millis(20), lanes.acquire(&task)).await.is_err()
        };
        let first = lanes.acquire(&task(MIB, Route::Merge)).await.unwrap();
        let second = lanes.acquire(&task(100 * MIB, Route::Copy)).await.unwrap();
        assert_eq!((first.workers, second.workers), (1, 1));
        assert!(waits(task(MIB, Route::Merge)).await);
        first.leave();
        assert!(!waits(task(MIB, Route::Merge)).await);
        assert!(waits(task(LARGE, Route::Merge)).await, "a large one needs both");
        drop(second);
        assert!(lanes.try_acquire(&task(LARGE, Route::Copy)).is_some());
        let next = lanes.next().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), lanes.next()).await.is_err(), "one is next, not two");
        drop(next);
        assert_eq!(lanes.acquire(&task(LARGE, Route::Merge)).await.unwrap().workers, 2);
    }

    #[tokio::test]
    async fn should_seat_as_many_threads_as_there_are_processors_whosever_they_are() {
        let lanes = Lanes::new(2);
        let one = lanes.acquire(&task(LARGE, Route::Merge)).await.unwrap();
        let (first, last) = (one.seat().await.unwrap(), one.seat().await.unwrap());
        drop(first);
        one.leave();
        let other = lanes.acquire(&task(LARGE, Route::Merge)).await.unwrap();
        let here = other.seat().await.unwrap();
        let waiting = other.seat();
        tokio::pin!(waiting);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err(),
            "the last one still sits"
        );
        drop(last);
        drop((waiting.await.unwrap(), here));
    }
}
