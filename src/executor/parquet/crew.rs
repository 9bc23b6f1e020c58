//! The threads of one task: they make columns of row groups, heaviest first, and go on with the next row group while
//! this one is written.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};

use super::merge::Workspace;
use super::rewrite::{RowGroup, Work, lock};
use super::roots::{self, Made};
use crate::error::{Error, Result};

/// Columns waiting to be made.
#[derive(Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Arc<RowGroup>, usize)>,
    /// Whether nothing more will come.
    ended: bool,
}

/// Dismisses the crew when its conductor leaves, however that happens: what still waits is not begun.
pub(super) struct Closing<'a>(pub(super) &'a Crew);

/// The columns of one row group that are done.
pub(super) struct Done {
    made: Vec<Option<Made>>,
    left: usize,
    failure: Option<Error>,
}

impl Done {
    pub(super) fn new(columns: usize) -> Self {
        Self { made: (0..columns).map(|_| None).collect(), left: columns, failure: None }
    }
}

impl Crew {
    /// Hands in the columns of a row group, in the order in which they should be begun.
    pub(super) fn submit(&self, group: &Arc<RowGroup>, order: Vec<usize>) {
        lock(&self.state).waiting.extend(order.into_iter().map(|root| (Arc::clone(group), root)));
        self.changed.notify_all();
    }

    /// No more row groups will come: a thread that finds no column left goes home.
    pub(super) fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    /// Waits for all columns of a row group.
    pub(super) fn wait(&self, group: &RowGroup) -> Result<Vec<Made>> {
        let mut state = lock(&self.state);
        loop {
            {
                let mut done = lock(&group.done);
                if let Some(error) = done.failure.take() {
                    return Err(error);
                }
                if done.left == 0 {
                    let made = std::mem::take(&mut done.made);
                    let missing = || Error::internal("a column was not made");
                    return made.into_iter().map(|made| made.ok_or_else(missing)).collect();
                }
            }
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// What each thread does until nothing is left to be done.
    pub(super) fn work(&self, work: &Work<'_>) {
        let mut space = Workspace::new(work.pool.clone());
        while let Some((group, root)) = self.next() {
            let made = catch_unwind(AssertUnwindSafe(|| roots::make(work, &group, root, &mut space)));
            let made = made.unwrap_or_else(|_| {
                space = Workspace::new(work.pool.clone());
                let name = work.schema.arrow.field(root).name();
                Err(Error::corrupt(format!("column {name} can't be decoded"))
                    .hint("one of the group's files is damaged; --log debug names the file that was read last"))
            });
            {
                let mut done = lock(&group.done);
                match made {
                    Ok(made) => {
                        done.made[root] = Some(made);
                        done.left -= 1;
                    }
                    Err(error) => {
                        done.failure.get_or_insert(error);
                    }
                }
            }
            // Under the lock that the conductor waits with, so that it can't miss the call.
            drop(lock(&self.state));
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<(Arc<RowGroup>, usize)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(next) = state.waiting.pop_front() {
                return Some(next);
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).waiting.clear();
        self.0.end();
    }
}
