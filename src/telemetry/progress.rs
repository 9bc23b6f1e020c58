//! Progress of long work: counters that workers add to and that a terminal or a log looks at.

use std::sync::atomic::{AtomicU64, Ordering};

/// Shared counters of a run. Adding never blocks; whoever shows them asks for a [`ProgressView`] when it likes.
#[derive(Debug, Default)]
pub struct Progress {
    tasks_total: AtomicU64,
    tasks_done: AtomicU64,
    bytes_total: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    files_written: AtomicU64,
    commits: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressView {
    /// Groups to rewrite.
    pub tasks_total: u64,
    /// Groups done.
    pub tasks_done: u64,
    /// Input bytes of all groups.
    pub bytes_total: u64,
    /// Input bytes read so far.
    pub bytes_read: u64,
    /// Output bytes written so far.
    pub bytes_written: u64,
    /// Output files finished.
    pub files_written: u64,
    /// Commits made.
    pub commits: u64,
}

impl Progress {
    /// Announces work: groups and their input bytes.
    pub fn expect(&self, tasks: u64, bytes: u64) {
        self.tasks_total.fetch_add(tasks, Ordering::Relaxed);
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Input bytes were read.
    pub fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Output bytes were written.
    pub fn wrote(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An output file is complete.
    pub fn file_done(&self) {
        self.files_written.fetch_add(1, Ordering::Relaxed);
    }

    /// A group is done.
    pub fn task_done(&self) {
        self.tasks_done.fetch_add(1, Ordering::Relaxed);
    }

    /// A commit was made.
    pub fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn view(&self) -> ProgressView {
        ProgressView {
            tasks_total: self.tasks_total.load(Ordering::Relaxed),
            tasks_done: self.tasks_done.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            files_written: self.files_written.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
        }
    }
}
