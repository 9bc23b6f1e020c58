//! Rows that come in order become row groups: each thread encodes some of the columns while the next rows are merged.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::Scope;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

use super::decode::count_nans;
use super::merge::{Choice, Numbered, Pool, Stop, Workspace};
use super::numbers::Numbers;
use super::output::write_error;
use super::roots::{Made, MadeLeaf};
use super::writers::Writers;
use crate::error::{Error, Result};

/// Batches that wait for a thread: enough to even out their pace, few enough to be no memory to speak of.
const WAITING: usize = 4;

/// One top-level column of the row group at hand.
struct Root {
    number: usize,
    first_leaf: usize,
    making: Making,
    nans: HashMap<usize, u64>,
}

/// What becomes of its values.
enum Making {
    Values(Vec<ArrowColumnWriter>),
    Numbers(Box<Numbered>),
}

/// A finished top-level column: its number, and what was found to suit it.
type Ended = (usize, Made, Choice);

enum Order {
    Begin(Vec<Root>),
    Rows(RecordBatch),
    End,
}

/// Threads that encode.
pub(super) struct Encoders {
    orders: Vec<SyncSender<Order>>,
    done: Receiver<Result<Vec<Ended>>>,
    /// By thread: the top-level columns that it encodes.
    shares: Vec<Vec<usize>>,
    /// By top-level column: its first leaf, and how many it has.
    leaves: Vec<(usize, usize)>,
    /// By top-level column: what was found to suit it so far.
    choices: Vec<Choice>,
    pool: Arc<Pool>,
    open: bool,
}

impl Encoders {
    /// Begins so many threads. `weights` says how much work each top-level column is, `leaves` how many leaves it has.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        schema: &SchemaRef,
        weights: &[u64],
        leaves: &[usize],
        directory: &str,
    ) -> Self {
        let shares = shares(weights, threads);
        let (tell, done) = channel();
        let pool = Arc::<Pool>::default();
        let orders = shares
            .iter()
            .map(|_| {
                let (send, receive) = sync_channel(WAITING);
                let (tell, schema, directory) = (tell.clone(), schema.clone(), directory.to_owned());
                let mut space = Workspace::new(pool.clone());
                scope.spawn(move || {
                    let failed = |e| write_error(&directory, e);
                    let mut roots = Vec::new();
                    let mut failure: Option<Error> = None;
                    // After a failure orders are taken and not followed: the conductor hears of it at the row group's end.
                    for order in receive {
                        match order {
                            Order::Begin(begun) => roots = begun,
                            Order::Rows(rows) if failure.is_none() => {
                                failure = match catch_unwind(AssertUnwindSafe(|| {
                                    write(&schema, &mut roots, &rows, &mut space)
                                })) {
                                    Ok(wrote) => wrote.map_err(failed).err(),
                                    Err(_) => Some(Error::internal("an encoder gave up")),
                                };
                            }
                            Order::Rows(_) => {}
                            Order::End => {
                                let made = match failure.take() {
                                    Some(error) => Err(error),
                                    None => close(std::mem::take(&mut roots), &mut space).map_err(failed),
                                };
                                if tell.send(made).is_err() {
                                    return;
                                }
                            }
                        }
                    }
                });
                send
            })
            .collect();
        let mut first = 0;
        let leaves = leaves
            .iter()
            .map(|count| {
                first += count;
                (first - count, *count)
            })
            .collect();
        let choices = vec![Choice::default(); weights.len()];
        Self { orders, done, shares, leaves, choices, pool, open: false }
    }

    /// Takes rows of the row group at hand; begins one when none is.
    pub(super) fn write(&mut self, writers: &Writers<'_>, numbers: &Numbers, rows: &RecordBatch) -> Result<()> {
        if !self.open {
            let mut of_values = writers.begin()?;
            for (share, orders) in self.shares.iter().zip(&self.orders) {
                let roots = share.iter().map(|number| {
                    let (first_leaf, count) = self.leaves[*number];
                    let making = match numbers.column(*number) {
                        Some(column) => {
                            let (known, choice) = (column.known.clone(), self.choices[*number]);
                            Making::Numbers(Box::new(writers.numbered(first_leaf, known, choice, self.pool.clone())?))
                        }
                        None => {
                            let of_values = of_values[first_leaf..first_leaf + count].iter_mut();
                            Making::Values(of_values.filter_map(Option::take).collect())
                        }
                    };
                    Ok(Root { number: *number, first_leaf, making, nans: HashMap::new() })
                });
                orders.send(Order::Begin(roots.collect::<Result<_>>()?)).map_err(gone)?;
            }
            self.open = true;
        }
        self.orders.iter().try_for_each(|orders| orders.send(Order::Rows(rows.clone())).map_err(gone))
    }

    /// Ends the row group at hand: its columns, in order.
    pub(super) fn end(&mut self) -> Result<Vec<Made>> {
        self.open = false;
        self.orders.iter().try_for_each(|orders| orders.send(Order::End).map_err(gone))?;
        let mut all = Vec::with_capacity(self.leaves.len());
        for _ in &self.orders {
            all.extend(self.done.recv().map_err(gone).flatten()?);
        }
        all.sort_unstable_by_key(|(number, ..)| *number);
        let made = all.into_iter().map(|(number, made, choice)| {
            self.choices[number] = choice;
            made
        });
        Ok(made.collect())
    }
}

fn gone<E>(_: E) -> Error {
    Error::internal("a thread that encodes is gone")
}

/// Columns for each thread, so that all have about the same work: the heaviest goes to whoever has least.
fn shares(weights: &[u64], threads: usize) -> Vec<Vec<usize>> {
    let threads = threads.clamp(1, weights.len().max(1));
    let mut shares = vec![(0u64, Vec::new()); threads];
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|root| std::cmp::Reverse(weights[*root]));
    for root in order {
        if let Some(least) = shares.iter_mut().min_by_key(|(weight, _)| *weight) {
            least.0 += weights[root].max(1);
            least.1.push(root);
        }
    }
    shares.into_iter().map(|(_, roots)| roots).collect()
}

type Parquet<T> = parquet::errors::Result<T>;

fn write(schema: &SchemaRef, roots: &mut [Root], rows: &RecordBatch, space: &mut Workspace) -> Parquet<()> {
    for root in roots {
        let values = rows.column(root.number);
        match &mut root.making {
            Making::Numbers(chunk) => chunk.push(space, values.as_primitive()).map_err(stopped)?,
            Making::Values(writers) => {
                count_nans(values, root.first_leaf, &mut root.nans);
                let leaves = compute_leaves(schema.field(root.number), values)?;
                for (writer, leaf) in writers.iter_mut().zip(leaves) {
                    writer.write(&leaf)?;
                }
            }
        }
    }
    Ok(())
}

fn close(roots: Vec<Root>, space: &mut Workspace) -> Parquet<Vec<Ended>> {
    let done = roots.into_iter().map(|root| {
        let (leaves, choice) = match root.making {
            Making::Numbers(chunk) => {
                let (merged, choice) = chunk.finish(space).map_err(stopped)?;
                (vec![MadeLeaf::Numbered(Box::new(merged))], choice)
            }
            Making::Values(writers) => {
                let leaves = writers.into_iter().map(|w| w.close().map(|chunk| MadeLeaf::Encoded(Box::new(chunk))));
                (leaves.collect::<Parquet<Vec<_>>>()?, Choice::default())
            }
        };
        let nans = root.nans.into_iter().collect();
        Ok((root.number, Made { leaves, nans, removed_nulls: 0, why: None }, choice))
    });
    done.collect()
}

fn stopped(stop: Stop) -> ParquetError {
    ParquetError::General(format!("numbers can't be written: {stop:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_share_out_work_evenly() {
        assert_eq!(shares(&[1, 9, 5, 5], 2), [vec![1, 0], vec![2, 3]]);
        assert_eq!(shares(&[1], 8), [vec![0]]);
        assert!(shares(&[], 2)[0].is_empty());
    }
}
