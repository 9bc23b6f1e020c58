//! How deep files lie over one another, by the column that rows are arranged by.

use serde::Serialize;

/// How many files lie over one another by one column, over the files of a table or of one partition.
///
/// A file's depth is the greatest number of files of its partition, itself included, that have values on both sides of one
/// value of its range: about so many are opened by a reader that looks for that value. Files that only share an end are
/// neighbours, and a file of one value lies over none. The average over all files is what Snowflake calls the average
/// clustering depth (`average_depth` of `SYSTEM$CLUSTERING_INFORMATION`): 1 is perfect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverlapDepth {
    /// The column's full name.
    pub column: String,
    /// Files whose bounds tell where they lie.
    pub files: u64,
    /// Files whose bounds do not: they are in neither of the figures below.
    pub unknown_files: u64,
    /// The average depth of these files; 0 when there are none.
    pub average: f64,
    /// The greatest.
    pub max: u64,
}

/// The same of one partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionDepth {
    /// The partition as a path, empty when unpartitioned.
    pub partition: String,
    /// Its depth.
    #[serde(flatten)]
    pub depth: OverlapDepth,
}

impl OverlapDepth {
    /// The average for people: `3.4`, `12`.
    pub fn words(&self) -> String {
        if self.average >= 10.0 || (self.average - self.average.round()).abs() < 0.05 {
            format!("{:.0}", self.average)
        } else {
            format!("{:.1}", self.average)
        }
    }
}
