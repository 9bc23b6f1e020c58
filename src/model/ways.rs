//! On which way column chunks of outputs came to be: copied, made of pages that moved, or encoded anew, and why that.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// So many columns are named with their reasons; what more there are is added up by reason.
const MOST_NAMED: usize = 64;
/// So many reasons are told apart.
const MOST_REASONS: usize = 32;

/// Column chunks of outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSum {
    /// How many.
    pub chunks: u64,
    /// Their bytes, compressed.
    pub bytes: u64,
}

/// Column chunks that were encoded anew for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedChunks {
    /// The top-level column; absent where chunks of further columns are added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Why its chunks, or their pages, could not be taken as they are.
    pub reason: String,
    /// How many there are of them.
    #[serde(flatten)]
    pub chunks: ChunkSum,
}

/// How the column chunks of outputs were made. Its size is bounded, whatever the number of columns and chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkWays {
    /// Copied byte for byte.
    pub copied: ChunkSum,
    /// Made of the pages of many.
    pub merged: ChunkSum,
    /// Decoded and encoded anew.
    pub encoded: ChunkSum,
    /// Why that: by column and reason, those with the most bytes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoded_because: Vec<EncodedChunks>,
}

impl ChunkSum {
    /// One of so many bytes.
    pub fn one(bytes: u64) -> Self {
        Self { chunks: 1, bytes }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }
}

impl ChunkWays {
    /// Whether nothing was made.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> u64 {
        self.copied.bytes + self.merged.bytes + self.encoded.bytes
    }

    /// Counts chunks of a column that were encoded.
    pub fn add_encoded(&mut self, column: &str, reason: &str, chunks: ChunkSum) {
        self.encoded.add(chunks);
        self.add_reason(Some(column), reason, chunks);
    }

    fn add_reason(&mut self, column: Option<&str>, reason: &str, chunks: ChunkSum) {
        let same = |known: &&mut EncodedChunks, column: Option<&str>, reason: &str| {
            known.column.as_deref() == column && known.reason == reason
        };
        if let Some(known) = self.encoded_because.iter_mut().find(|known| same(known, column, reason)) {
            return known.chunks.add(chunks);
        }
        let named = self.encoded_because.iter().filter(|known| known.column.is_some()).count();
        let others = self.encoded_because.len() - named;
        let (column, reason) = match column {
            Some(_) if named < MOST_NAMED => (column, reason),
            None if others < MOST_REASONS => (None, reason),
            Some(_) => return self.add_reason(None, reason, chunks),
            None => (None, "other reasons"),
        };
        match self.encoded_because.iter_mut().find(|known| same(known, column, reason)) {
            Some(known) => known.chunks.add(chunks),
            None => {
                let column = column.map(str::to_owned);
                self.encoded_because.push(EncodedChunks { column, reason: reason.to_owned(), chunks });
            }
        }
    }

    /// Adds what others did; those with the most bytes come first.
    pub fn merge(&mut self, other: &Self) {
        self.copied.add(other.copied);
        self.merged.add(other.merged);
        self.encoded.add(other.encoded);
        for encoded in &other.encoded_because {
            self.add_reason(encoded.column.as_deref(), &encoded.reason, encoded.chunks);
        }
        self.encoded_because.sort_by(|a, b| {
            let key = |e: &EncodedChunks| (Reverse(e.chunks.bytes), e.column.is_none());
            key(a).cmp(&key(b)).then_with(|| (&a.column, &a.reason).cmp(&(&b.column, &b.reason)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_add_up_and_stay_small() {
        let mut all = ChunkWays::default();
        for n in 0..1000u64 {
            let mut some = ChunkWays { merged: ChunkSum::one(5), ..ChunkWays::default() };
            some.add_encoded(&format!("c{n}"), &format!("reason {}", n % 50), ChunkSum::one(n));
            some.add_encoded("c0", "reason 0", ChunkSum::one(10_000));
            all.merge(&some);
        }
        assert_eq!((all.merged, all.encoded.chunks), (ChunkSum { chunks: 1000, bytes: 5000 }, 2000));
        let named: ChunkSum = all.encoded_because.iter().fold(ChunkSum::default(), |mut sum, encoded| {
            sum.add(encoded.chunks);
            sum
        });
        assert_eq!(named, all.encoded, "every chunk has a reason");
        assert!(all.encoded_because.len() <= MOST_NAMED + MOST_REASONS + 1, "{}", all.encoded_because.len());
        let first = &all.encoded_because[0];
        assert_eq!(
            (first.column.as_deref(), first.reason.as_str(), first.chunks.chunks),
            (Some("c0"), "reason 0", 1001)
        );
    }
}
