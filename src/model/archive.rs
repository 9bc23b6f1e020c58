//! Moving ageing data to cheaper storage: policy, plan and reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Base, Filter, InputFile, JobOrder, PartialProgress, RewriteTask, TableName, Tier, human_bytes, human_money,
};
use crate::error::{Error, Result};

/// Where a table's data belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ArchivePolicy {
    /// Hottest first.
    pub tiers: Vec<Tier>,
    /// The column that tells the age of rows; the one that the table is partitioned by when absent.
    pub time_column: Option<String>,
    /// Everything that the filter selects goes to this tier, whatever its age and the price.
    pub to: Option<String>,
    /// Which rows' files are looked at; all of them without a filter.
    pub filter: Option<Filter>,
    /// Whether tiers may be used whose objects can't be read without a restore.
    pub allow_offline: bool,
    /// Whether moves are made that cost more than they save.
    pub ignore_cost: bool,
    /// In which order tasks are run.
    pub job_order: JobOrder,
    /// Tasks side by side.
    pub max_concurrent: u64,
    /// Committing in batches of partitions.
    pub partial_progress: PartialProgress,
}

impl ArchivePolicy {
    /// The index of the tier that was asked for.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) when there is no such tier.
    pub fn asked(&self) -> Result<Option<usize>> {
        let Some(name) = &self.to else { return Ok(None) };
        match self.tiers.iter().position(|tier| tier.name == *name) {
            Some(index) => Ok(Some(index)),
            None => {
                let names: Vec<&str> = self.tiers.iter().map(|tier| tier.name.as_str()).collect();
                Err(Error::invalid(format!("there is no tier {name:?}"))
                    .hint(format!("the tiers are {}", names.join(", "))))
            }
        }
    }
}

/// A whole file that moves byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferTask {
    /// Its number in the plan, from 0.
    pub id: u32,
    /// The partition spec of the file.
    pub spec_id: i32,
    /// The partition as a path, empty when unpartitioned.
    pub partition: String,
    /// The file.
    pub input: InputFile,
    /// The folder that it goes to, without a final slash.
    pub directory: String,
    /// The store's class for it there.
    pub storage_class: Option<String>,
}

/// A file that stays where it is and gets another storage class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReclassTask {
    /// Its number in the plan, from 0.
    pub id: u32,
    /// The partition as a path, empty when unpartitioned.
    pub partition: String,
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The class that it has.
    pub from: String,
    /// The class that it gets.
    pub storage_class: String,
}

/// How data gets into its tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Move {
    /// Files are merged, or encoded anew, on the way.
    Rewrite(RewriteTask),
    /// A file is copied byte for byte.
    Transfer(TransferTask),
    /// A file gets another storage class where it is.
    Reclass(ReclassTask),
}

/// What a move costs once and saves from then on. Zero where prices are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Money {
    /// Requests, retrieval, and what is billed for objects that are removed too early.
    pub once: f64,
    /// What the files cost a month where they are.
    pub monthly_before: f64,
    /// What they will cost a month.
    pub monthly_after: f64,
}

impl Money {
    /// What is saved a month.
    pub fn saved(&self) -> f64 {
        self.monthly_before - self.monthly_after
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.once += other.once;
        self.monthly_before += other.monthly_before;
        self.monthly_after += other.monthly_after;
    }
}

/// One independent unit of an archival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchiveTask {
    /// Index of the tier that the data goes to.
    pub to: usize,
    /// What is done.
    #[serde(flatten)]
    pub task: Move,
    /// Bytes that will be there.
    pub output_bytes: u64,
    /// Files that will be there.
    pub output_files: u64,
    /// What it costs and saves.
    pub money: Money,
}

impl ArchiveTask {
    /// Its number in the plan.
    pub fn id(&self) -> u32 {
        match &self.task {
            Move::Rewrite(task) => task.id,
            Move::Transfer(task) => task.id,
            Move::Reclass(task) => task.id,
        }
    }

    /// Its partition as a path.
    pub fn partition(&self) -> &str {
        match &self.task {
            Move::Rewrite(task) => &task.partition,
            Move::Transfer(task) => &task.partition,
            Move::Reclass(task) => &task.partition,
        }
    }

    /// The files that a commit replaces; none for a change of class.
    pub fn inputs(&self) -> &[InputFile] {
        match &self.task {
            Move::Rewrite(task) => &task.inputs,
            Move::Transfer(task) => std::slice::from_ref(&task.input),
            Move::Reclass(_) => &[],
        }
    }

    /// How many files are moved.
    pub fn files(&self) -> u64 {
        match &self.task {
            Move::Reclass(_) => 1,
            Move::Rewrite(_) | Move::Transfer(_) => self.inputs().len() as u64,
        }
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        match &self.task {
            Move::Reclass(task) => task.size,
            Move::Rewrite(_) | Move::Transfer(_) => self.inputs().iter().map(|input| input.size).sum(),
        }
    }
}

/// Why a file stays where it is although it does not belong there, or why nobody can say where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StayReason {
    /// The `--where` filter rules it out.
    FilteredOut,
    /// Its newest row's age is not known: no time in its partition, no bounds.
    AgeUnknown,
    /// It is in a colder tier than its age asks for. Data comes back only when it is asked for.
    ColderThanNeeded,
    /// It was brought back from a colder tier lately, by somebody who wants to read it.
    BroughtBack,
    /// Delete files apply to it, which can only be applied to Parquet.
    HasDeletes {
        /// Delete files that may apply.
        delete_files: u64,
    },
    /// A delete applies to it that can't be applied.
    UnsupportedDeletes {
        /// The delete file.
        delete_file: String,
        /// What about it.
        what: String,
    },
    /// Encrypted.
    Encrypted,
    /// It would be smaller than the tier's objects may be.
    TooSmall {
        /// The tier.
        tier: String,
        /// The least bytes of an object in it.
        least: u64,
    },
    /// The move never pays.
    NeverPays {
        /// The tier.
        tier: String,
        /// What it would cost once.
        once: f64,
        /// What it would save a month.
        saves: f64,
        /// For how many days.
        days: u64,
    },
    /// The store can't say which class the file has, and the tier differs in nothing else.
    ClassUnknown {
        /// The tier.
        tier: String,
    },
}

impl fmt::Display for StayReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FilteredOut => f.write_str("ruled out by --where"),
            Self::AgeUnknown => {
                f.write_str("its age is not known (no time in partition or bounds, or none named: time-column)")
            }
            Self::ColderThanNeeded => f.write_str("colder than its age asks for (archive --to brings data back)"),
            Self::BroughtBack => f.write_str("brought back lately"),
            Self::HasDeletes { .. } => f.write_str("delete files apply to it, and it is not Parquet"),
            Self::UnsupportedDeletes { delete_file, what } => write!(f, "the delete file {delete_file} {what}"),
            Self::Encrypted => f.write_str("encrypted"),
            Self::TooSmall { tier, least } => {
                write!(f, "smaller than an object of {tier} may be ({})", human_bytes(*least))
            }
            Self::NeverPays { tier, once, saves, days } => {
                if *saves <= 0.0 {
                    return write!(f, "moving it to {tier} would save nothing");
                }
                let (once, saves) = (human_money(*once), human_money(*saves));
                write!(f, "moving it to {tier} never pays: {once} once, {saves} saved a month for {days} days")
            }
            Self::ClassUnknown { tier } => write!(f, "the store has no storage classes, and {tier} is nothing else"),
        }
    }
}

/// A file that stays, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stays {
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Why.
    #[serde(flatten)]
    pub why: StayReason,
}

/// What a table has in one tier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TierUse {
    /// The tier.
    pub tier: String,
    /// Partitions with files there.
    pub partitions: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Age of the newest rows in days, where it is known.
    pub newest_days: Option<i64>,
    /// Age of the newest rows of the oldest file, where it is known.
    pub oldest_days: Option<i64>,
    /// What it costs a month, where prices are known.
    pub monthly: Option<f64>,
}

/// Moves of one table's data between tiers, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivePlan {
    /// The table.
    pub table: TableName,
    /// Its id.
    pub table_uuid: String,
    /// The snapshot the plan was made from; `None` for a table without data.
    pub base: Option<Base>,
    /// When it was made, in milliseconds since 1970. It decides ages.
    pub created_ms: i64,
    /// The policy it follows.
    pub policy: ArchivePolicy,
    /// The column that told the age of rows.
    pub time_column: Option<String>,
    /// What to do.
    pub tasks: Vec<ArchiveTask>,
    /// What stays although it does not belong there.
    pub stays: Vec<Stays>,
    /// Where the table's data is, a line a tier.
    pub before: Vec<TierUse>,
    /// Where it will be.
    pub after: Vec<TierUse>,
    /// What all tasks cost and save.
    pub money: Money,
}

/// What an archival did to a table, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ArchiveReport {
    /// Files that moved, or got another class.
    pub moved_files: u64,
    /// Their bytes before.
    pub moved_bytes: u64,
    /// What it costs once, where prices are known.
    pub cost_once: f64,
    /// What it saves a month, where prices are known.
    pub saved_monthly: f64,
    /// Where the table's data was.
    pub tiers_before: Vec<TierUse>,
    /// Where it is now, or would be.
    pub tiers_after: Vec<TierUse>,
}

impl ArchivePlan {
    /// What would be done, as a report.
    pub fn report(&self) -> ArchiveReport {
        ArchiveReport {
            moved_files: self.moved_files(),
            moved_bytes: self.moved_bytes(),
            cost_once: self.money.once,
            saved_monthly: self.money.saved(),
            tiers_before: self.before.clone(),
            tiers_after: self.after.clone(),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Files that would move.
    pub fn moved_files(&self) -> u64 {
        self.tasks.iter().map(ArchiveTask::files).sum()
    }

    /// Their bytes.
    pub fn moved_bytes(&self) -> u64 {
        self.tasks.iter().map(ArchiveTask::bytes).sum()
    }
}
