//! What may happen to a table, at random.

use proptest::prelude::*;

use super::home::SPECS;
use super::lake::{DAY, EXTRA, FLAG, ID, NUM, PART, PRICE, RATIO, RAW, RAW_AGAIN, TEXT};
use super::model::{EVOLUTIONS, Short, Write};
use crate::model::{Codec, CompactPolicy, EncodingProfile, KIB};

/// What happens to a table.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Write(Write),
    /// Makes a branch, unless there is one.
    Branch,
    /// A move of everything to a tier.
    Archive {
        cold: bool,
        /// Whether small files are merged.
        merge: bool,
        between: Vec<Write>,
    },
    /// A compaction, with other writers at work between its plan and its commit.
    Compact {
        how: How,
        min_input_files: u64,
        ratio: f64,
        rewrite_all: bool,
        sizes: Sizes,
        output_spec_id: Option<i32>,
        between: Vec<Write>,
    },
    Manifests,
    /// Only the newest snapshot stays, and what a branch holds.
    Expire,
}

/// A kind of compaction.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    BinPack,
    Deletes,
    Sort,
    ZOrder,
    Hilbert,
}

/// What files and row groups are to be like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sizes {
    /// All files are small, of the wrong codec, and become one.
    One,
    /// Outputs are cut into many files and row groups.
    Cut,
    /// Some files are good as they are; the others may be copied byte for byte.
    Copied,
    /// Any delete file makes a candidate, and the encodings are modern ones.
    Modern,
}

impl Sizes {
    pub(super) fn of(self, policy: CompactPolicy) -> CompactPolicy {
        match self {
            Self::One => policy,
            Self::Cut => CompactPolicy {
                target_file_size_bytes: 6 * KIB,
                min_file_size_bytes: 4 * KIB,
                max_file_size_bytes: 10 * KIB,
                row_group_rows: 4,
                ..policy
            },
            Self::Copied => CompactPolicy {
                min_file_size_bytes: 4 * KIB,
                codec: Codec::Uncompressed,
                copy_min_row_group_bytes: 0,
                ..policy
            },
            Self::Modern => CompactPolicy { delete_file_threshold: 1, encodings: EncodingProfile::Modern, ..policy },
        }
    }
}

const COLUMNS: [i32; 11] = [ID, PART, TEXT, NUM, EXTRA, RATIO, PRICE, RAW, DAY, FLAG, RAW_AGAIN];

fn short() -> impl Strategy<Value = Short> {
    (0u8..12, 0u8..3, 0u8..3, 0u8..3, 0u8..30)
}

fn rows() -> impl Strategy<Value = Vec<Short>> {
    prop::collection::vec(short(), 1..12)
}

fn write() -> impl Strategy<Value = Write> {
    let columns = prop::sample::subsequence(COLUMNS.to_vec(), 1..=3);
    let keys = prop::collection::vec(short(), 1..4);
    let added = prop_oneof![Just(Vec::new()), rows()];
    prop_oneof![
        8 => (0i64..2, rows()).prop_map(|(part, rows)| Write::Append { part, rows }),
        4 => (0i64..2, prop::collection::vec(any::<u16>(), 1..6), any::<bool>())
            .prop_map(|(part, picks, scoped)| Write::Positions { part, picks, scoped }),
        6 => (prop::option::weighted(0.7, 0i64..2), columns, keys, added)
            .prop_map(|(part, columns, keys, rows)| Write::Equality { part, columns, keys, rows }),
        2 => (0..EVOLUTIONS).prop_map(Write::Evolve),
        1 => (0..SPECS).prop_map(Write::Respec),
        1 => Just(Write::Upgrade),
    ]
}

/// What other writers do between a plan and its commit.
fn between() -> impl Strategy<Value = Vec<Write>> {
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(write(), 1..3)]
}

fn compact() -> impl Strategy<Value = Op> {
    let how = prop_oneof![
        4 => Just(How::BinPack), 4 => Just(How::Deletes), 2 => Just(How::Sort), 1 => Just(How::ZOrder), 1 => Just(How::Hilbert)
    ];
    let ratio = prop_oneof![Just(0.1), Just(1.0)];
    let spec = prop::option::weighted(0.3, 0..SPECS);
    let sizes =
        prop_oneof![3 => Just(Sizes::One), 2 => Just(Sizes::Cut), 2 => Just(Sizes::Copied), 1 => Just(Sizes::Modern)];
    (how, 1u64..4, ratio, prop::bool::weighted(0.2), sizes, spec, between()).prop_map(
        |(how, min_input_files, ratio, rewrite_all, sizes, output_spec_id, between)| Op::Compact {
            how,
            min_input_files,
            ratio,
            rewrite_all,
            sizes,
            output_spec_id,
            between,
        },
    )
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => write().prop_map(Op::Write),
        2 => (any::<bool>(), any::<bool>(), between())
            .prop_map(|(cold, merge, between)| Op::Archive { cold, merge, between }),
        5 => compact(),
        1 => Just(Op::Manifests),
        1 => Just(Op::Expire),
        1 => Just(Op::Branch),
    ]
}
