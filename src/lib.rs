//! icewright keeps Apache Iceberg tables fast and cheap: it merges small files into 256–512 MiB ZSTD files, moves ageing
//! data to cheaper storage, keeps snapshots, metadata and manifests short, and removes what nothing refers to; all of that
//! without ever losing, doubling or resurrecting a row. This page is the architecture: words, flow, rooms, invariants.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | `Policy` | what the owner wants: sizes, retention, tiers. Resolved and validated once, before anything is read |
//! | `TableState` | what is there: one consistent picture of a table at one snapshot |
//! | `History` | what there was: snapshots, branches, tags, older metadata files; what expiry decides on |
//! | `Plan` | what should happen and why, one kind an operation: a plain, versioned, serialisable value, pinned to a base |
//! | `Task` | one independent unit of a plan: one group of files to rewrite or move, one set of manifests to merge |
//! | `Reason` | why a file or group was picked, or was not; shown in plans, logs and reports alike |
//! | `Outcome` | what running a task made: new files with their statistics |
//! | `Commit` | outcomes made durable in the catalog by compare-and-swap |
//! | `Reclaim` | removal of files that no retained metadata can reach; after the commit, never before |
//!
//! # The flow
//!
//! ```text
//! Policy ─┐
//!         ├─▶ planner ──Plan──▶ executor ──Outcomes──▶ committer ──▶ reclaim
//! TableState (lake) ┘  pure        bytes only           metadata only     deletes only
//! ```
//!
//! `maintenance` runs this flow over one table, for one operation or, as `maintain`, for all of them in the order in which
//! one feeds the next: compaction, manifests, expiry, orphans, tiers. Expiry and orphan removal have no bytes to make: their
//! plans go to the committer and to `reclaim`. A plan can be saved, read by a person, and applied later or elsewhere.
//!
//! # The rooms, and who may use whom
//!
//! `cli → scheduler → maintenance → {planner, executor, committer, reclaim} → lake → model`
//!
//! - [`model`]: values only. No IO, no clock, no random ids.
//! - [`planner`]: pure: `(&TableState, &Policy, now) → Plan`. Uses `model` alone.
//! - [`executor`]: a task becomes files: Parquet copied or encoded anew, verified, within a memory budget.
//! - [`committer`]: outcomes become a snapshot. The only writer of metadata.
//! - [`reclaim`]: the only place that deletes what a table once had.
//! - [`lake`]: catalogs, object stores, loading a table's state, the clock. The only room that talks to the outside.
//! - [`maintenance`]: one run over one table; the only place where these five meet.
//! - [`scheduler`]: which table when: budgets, ranking, fairness; starts maintenance runs, touches nothing itself.
//! - [`config`]: files and environment become settings and policies.
//! - [`telemetry`]: progress, and what the system says about the process.
//! - [`fixture`]: deterministic lakes for demo, tests and benchmarks.
//! - [`cli`]: one file per verb; text for people lives only here.
//!
//! A room may skip floors on the way down. Planner, executor, committer and reclaim never use one another: they meet in
//! `model`. `config` and `telemetry` know only `model`. A room may delete a file that it made itself in the same run and
//! that nobody was told of; everything else goes through `reclaim`. `tests/architecture.rs` reads the `use` lines and
//! fails on any other direction.
//!
//! # Invariants
//!
//! Tests and comments cite these numbers.
//!
//! - **I1** A plan pins the snapshot it was made from; nothing is committed from a plan whose inputs are no longer live.
//! - **I2** No input file is in two tasks. Every live row before a commit is live after it, once: rows in are rows out and
//!   rows removed by deletes that were applied.
//! - **I3** Before a commit, row counts, null counts and value bounds of inputs and outputs are compared per group; a
//!   mismatch fails the group. `--verify content` also compares an order-free hash of every column.
//! - **I4** A delete committed after the base snapshot is never lost: new files carry the base snapshot's data sequence
//!   number, and position deletes or deletion vectors that arrived for a replaced file (or for one that gets a new vector)
//!   send that group back to planning. A delete file goes only when no live data file can match it any more.
//! - **I5** A commit has three results: committed, rejected, unknown. Unknown is resolved by looking for our own snapshot
//!   in fresh metadata. Nothing is deleted while it is unknown.
//! - **I6** A crash at any instruction leaves a readable table and, at worst, unreferenced files.
//! - **I7** Nothing reachable from retained metadata is ever deleted, and nothing outside the table's own locations. What is
//!   reachable is computed from metadata that is younger than the commit, or than the listing; young files are left alone.
//! - **I8** Planning again right after a run gives an empty plan, whatever the codec or the data.
//! - **I9** Memory stays within the budget (`--memory`, default 512 MiB; the container's limit is read).
//! - **I10** What is not fully supported is refused with a clear error before anything is written, never approximated.
//! - **I11** Same input, same plan, byte for byte. Every order ends in a total order (the file path).
//! - **I12** Another engine's metadata survives: unknown fields and properties, refs and their retention, statistics.
//! - **I13** What icewright writes, the table's readers can read: v1 data pages, PLAIN and dictionary encodings, booleans
//!   PLAIN, standard field ids and logical types. Delta and byte-stream-split encodings only where `modern` was asked for.
//!
//! # How to add an operation
//!
//! A policy, its reasons and a variant of [`model::Plan`] in `model`, a pure file in `planner` with layout tests, the work
//! in `executor` (or `reclaim`), its metadata in `committer`, options in `config`, one file in `maintenance` that joins
//! them and a step in `maintenance::maintain`, one in `cli` for the verb.

pub mod cli;
pub mod committer;
pub mod config;
pub mod error;
pub mod executor;
pub mod fixture;
pub mod lake;
pub mod maintenance;
pub mod model;
pub mod planner;
pub mod reclaim;
pub mod scheduler;
pub mod telemetry;
