//! The inputs of a task: opened in order, a few ahead of whoever takes them, and forgotten by those who are done with them. A
//! task may have many thousands, and what is known of each of them takes some kilobytes.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Job;
use super::lineage::Lineage;
use super::source::{Alike, Source, open_like};
use super::verify::Before;
use crate::error::{Error, Result};
use crate::lake::Store;
use crate::model::{InputFile, RewriteTask};

/// Opens the inputs of a task.
#[derive(Debug)]
pub(crate) struct Opening {
    task: Arc<RewriteTask>,
    store: Arc<Store>,
    runtime: Handle,
    alike: Arc<Alike>,
    /// How many were begun with.
    begun: usize,
    ahead: VecDeque<JoinHandle<Result<Source>>>,
}

impl Opening {
    /// Begins with the first inputs.
    pub(crate) fn begin(task: Arc<RewriteTask>, store: Arc<Store>, runtime: Handle) -> Self {
        let (alike, ahead) = (Arc::default(), VecDeque::new());
        let mut opening = Self { task, store, runtime, alike, begun: 0, ahead };
        opening.go_ahead();
        opening
    }

    fn go_ahead(&mut self) {
        // Where data files stay, what is known of their deletes is all that is wanted.
        if self.task.route.keeps_files() {
            return;
        }
        while let Some(input) = self.task.inputs.get(self.begun)
            && self.ahead.len() < self.store.opened_at_once(&input.path)
        {
            let (store, alike, input) = (Arc::clone(&self.store), Arc::clone(&self.alike), input.clone());
            self.ahead.push_back(self.runtime.spawn(async move { open(&store, &alike, &input).await }));
            self.begun += 1;
        }
    }

    /// Waits for the next input. Not to be called where nobody may wait.
    fn next(&mut self) -> Result<Option<Source>> {
        let Some(next) = self.ahead.pop_front() else { return Ok(None) };
        self.go_ahead();
        let opened = self.runtime.block_on(next);
        opened.map_err(|e| Error::internal("opening a file failed").caused_by(e)).flatten().map(Some)
    }

    /// How many are open or being opened that nobody has taken yet.
    #[cfg(test)]
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// All of them, for those who need to know all at once.
    ///
    /// # Errors
    /// As [`Walk::next`].
    pub(crate) fn all(mut self) -> Result<Vec<Source>> {
        std::iter::from_fn(|| self.next().transpose()).collect()
    }
}

async fn open(store: &Arc<Store>, alike: &Alike, input: &InputFile) -> Result<Source> {
    let mut source = open_like(store, &input.path, input.size, alike).await?;
    source.lineage = Lineage::of(input);
    let rows = source.rows();
    if rows != input.records {
        return Err(Error::corrupt(format!(
            "data file {} has {rows} rows, its manifest says {}",
            input.path, input.records
        ))
        .hint("the file is not the one that was committed: restore it; nothing was changed"));
    }
    Ok(source)
}

/// One walk through all inputs of a job, which adds up what they hold.
pub(crate) struct Walk<'a> {
    job: &'a Job,
    opening: Opening,
    /// Bytes of the files that were handed out.
    seen: u64,
    /// Bytes of all files.
    all: u64,
    before: Before,
}

impl<'a> Walk<'a> {
    /// Begins at the first.
    pub(crate) fn new(job: &'a Job, opening: Opening) -> Self {
        let all = job.task.inputs.iter().map(|input| input.size).sum();
        Self { job, opening, seen: 0, all, before: Before::default() }
    }

    /// The next input, and its number among the inputs of the task.
    ///
    /// # Errors
    /// `Corrupt` naming a file that can't be read or is another one than its manifest says, `Unavailable` when the store
    /// does not answer.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Source)>> {
        let Some(source) = self.opening.next()? else { return Ok(None) };
        let number = self.before.inputs();
        self.seen += source.size;
        self.before.add(&source, &self.job.masks.of(number)?, &self.job.table.schema);
        Ok(Some((number, source)))
    }

    /// All inputs, from the first.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) fn all(mut self) -> Result<(Vec<Source>, Before)> {
        let sources = std::iter::from_fn(|| self.next().transpose());
        let sources = sources.map(|found| found.map(|(_, source)| source)).collect::<Result<_>>()?;
        Ok((sources, self.before))
    }

    /// The compressed bytes of the row groups of all inputs: those of the inputs that were seen, and as large a share of the
    /// others; before any was seen, all bytes of their files.
    pub(crate) fn bytes(&self) -> u64 {
        if self.seen == 0 {
            return self.all;
        }
        let guess = u128::from(self.before.bytes()) * u128::from(self.all) / u128::from(self.seen);
        u64::try_from(guess).unwrap_or(u64::MAX)
    }

    /// What the inputs held that were handed out.
    pub(crate) fn before(self) -> Before {
        self.before
    }
}
