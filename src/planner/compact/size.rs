//! How many files come out, and what that costs.

use crate::model::{CompactPolicy, Estimate, Footer, MIB, Route};

/// Bytes a second on two cores, measured on 1.1 GB in 300 Snappy files (byte copy 0.48 s, decode and encode at ZSTD level
/// 3 5.8 s): the base of the estimate, not a promise.
const COPY_BYTES_PER_SECOND: f64 = 2.3e9;
const MERGE_BYTES_PER_SECOND: f64 = 400e6;
const ENCODE_BYTES_PER_SECOND: f64 = 190e6;
const SORT_BYTES_PER_SECOND: f64 = 50e6;
/// What a sort holds besides, under the usual budget.
const SORT_MEMORY: u64 = 448 * MIB;
/// Memory of a run without its row groups.
const BASE_MEMORY: u64 = 64 * MIB;
/// A gain must survive an estimate that is off by this much, or runs would chase each other (I8).
const DOUBT: f64 = 1.05;

/// How many files `bytes` become: as few as possible of at most the target, all of the same size.
///
/// Every file then has at least half the target, if there are half a target's bytes at all.
pub fn output_files(bytes: u64, policy: &CompactPolicy) -> u64 {
    bytes.div_ceil(policy.target_file_size_bytes).max(1)
}

/// Whether so many files become fewer, also if they come out somewhat larger than thought.
pub(super) fn gains(files: u64, bytes: u64, policy: &CompactPolicy) -> bool {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
    let doubted = (bytes as f64 * DOUBT) as u64;
    output_files(doubted, policy) < files
}

/// What a rewrite will cost.
pub(in crate::planner) fn estimate(
    policy: &CompactPolicy,
    route: Route,
    read: u64,
    written: u64,
    footers: &[Option<&Footer>],
) -> Estimate {
    let (speed, memory) = match route {
        Route::Copy | Route::Transfer => (COPY_BYTES_PER_SECOND, 0),
        // Nothing is encoded but positions: what is read sets the pace.
        Route::Deletes | Route::Vectors => (MERGE_BYTES_PER_SECOND, 0),
        Route::Sort => (SORT_BYTES_PER_SECOND, SORT_MEMORY.min(read.saturating_mul(16))),
        Route::Merge | Route::Encode => {
            let speed = if route == Route::Merge { MERGE_BYTES_PER_SECOND } else { ENCODE_BYTES_PER_SECOND };
            let largest = footers.iter().flatten().flat_map(|f| &f.row_groups).map(|g| g.compressed).max().unwrap_or(0);
            (speed, policy.row_group_bytes.min(written).max(largest.min(policy.row_group_bytes)))
        }
    };
    let seconds = read as f64 / speed;
    // Rounded, so that plans compare equal whatever the machine's arithmetic.
    Estimate {
        bytes_read: read,
        bytes_written: written,
        seconds: (seconds * 1e3).round() / 1e3,
        memory: BASE_MEMORY + memory,
    }
}
