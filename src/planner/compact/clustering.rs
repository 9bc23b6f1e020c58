//! How deep files lie over one another, before a run and after it: what sorted layouts are worth to a reader.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{PrimitiveType, TableMetadata, Type};

use super::overlap::Span;
use crate::model::{Arrangement, ColumnStats, FieldBounds, OverlapDepth, PartitionDepth, TableState};
use crate::planner::filter::Literal;

/// A column whose bounds tell where files lie.
#[derive(Debug, Clone)]
struct Column {
    id: i32,
    name: String,
    kind: PrimitiveType,
}

/// Where the files of a table lie, by the columns that their rows are arranged by.
#[derive(Debug, Clone)]
pub struct Clustering {
    columns: Vec<Column>,
    /// Partition specs and paths, and the number of each.
    places: BTreeMap<(i32, String), u32>,
    /// By path: the partition, and the span of each column.
    files: HashMap<String, (u32, Vec<Option<Span>>)>,
}

/// The fields whose bounds [`Clustering::of`] wants to see.
pub fn clustering_fields(metadata: &TableMetadata, arrangement: &Arrangement) -> Vec<i32> {
    columns(metadata, arrangement).into_iter().map(|column| column.id).collect()
}

/// The leading column of an order (the table's own where none is asked for), all columns of a curve. A column that is put
/// into buckets first is left out: its values tell nothing about where files lie.
fn columns(metadata: &TableMetadata, arrangement: &Arrangement) -> Vec<Column> {
    let schema = metadata.current_schema();
    let keeps_order = |transform: &str| !transform.starts_with("bucket") && transform != "void";
    let own = || {
        let first = metadata.default_sort_order().fields.first()?;
        keeps_order(&first.transform.to_string()).then_some(first.source_id)
    };
    let ids: Vec<Option<i32>> = match arrangement {
        Arrangement::BinPack => vec![own()],
        Arrangement::Sort { fields, .. } => vec![match fields.first() {
            Some(first) if keeps_order(&first.transform) => schema.field_id_by_name(&first.column),
            Some(_) => None,
            None => own(),
        }],
        Arrangement::Curve { columns, .. } => columns.iter().map(|name| schema.field_id_by_name(name)).collect(),
    };
    let column = |id: i32| match schema.field_by_id(id)?.field_type.as_ref() {
        Type::Primitive(kind) => Some(Column { id, name: schema.name_by_field_id(id)?.to_owned(), kind: kind.clone() }),
        Type::Struct(_) | Type::List(_) | Type::Map(_) => None,
    };
    ids.into_iter().flatten().filter_map(column).collect()
}

impl Clustering {
    /// Where the files of a table lie by an arrangement; `None` where it has no column that tells.
    pub fn of(state: &TableState, arrangement: &Arrangement) -> Option<Self> {
        let columns = columns(&state.metadata, arrangement);
        if columns.is_empty() {
            return None;
        }
        let mut found = Self { columns, places: BTreeMap::new(), files: HashMap::with_capacity(state.files.len()) };
        for file in &state.files {
            let partition = state.partition(file.partition);
            let place = found.place(partition.spec_id, &partition.path);
            let spans = found.columns.iter().map(|c| Span::of_bounds(file.bounds.get(&c.id)?, &c.kind)).collect();
            found.files.insert(file.path.to_string(), (place, spans));
        }
        Some(found)
    }

    fn place(&mut self, spec_id: i32, path: &str) -> u32 {
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        *self.places.entry((spec_id, path.to_owned())).or_insert(next)
    }

    /// Forgets a file that was replaced.
    pub fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// Takes note of a new file of a partition.
    pub fn add(&mut self, path: &str, (spec_id, partition): (i32, &str), stats: &BTreeMap<i32, ColumnStats>) {
        let place = self.place(spec_id, partition);
        let span = |column: &Column| {
            let ColumnStats { lower, upper, .. } = stats.get(&column.id)?.clone();
            Span::of_bounds(&FieldBounds { lower, upper, nulls: None, values: None }, &column.kind)
        };
        let spans = self.columns.iter().map(span).collect();
        self.files.insert(path.to_owned(), (place, spans));
    }

    /// The depth of the whole table, by column.
    pub fn table(&self) -> Vec<OverlapDepth> {
        let mut sums: Vec<Sum> = vec![Sum::default(); self.columns.len()];
        for (column, _, sum) in self.by_partition() {
            sums[column].add(&sum);
        }
        self.columns.iter().zip(&sums).map(|(column, sum)| sum.told(&column.name)).collect()
    }

    /// The partitions with the greatest average depth of a column, at most so many; those in which no file lies over
    /// another are left out.
    pub fn deepest(&self, most: usize) -> Vec<PartitionDepth> {
        let names: HashMap<u32, &str> =
            self.places.iter().map(|((_, path), number)| (*number, path.as_str())).collect();
        let told = |(column, place, sum): (usize, u32, Sum)| PartitionDepth {
            partition: names.get(&place).copied().unwrap_or_default().to_owned(),
            depth: sum.told(&self.columns[column].name),
        };
        let mut all: Vec<PartitionDepth> =
            self.by_partition().into_iter().filter(|(.., sum)| sum.max > 1).map(told).collect();
        all.sort_by(|a, b| {
            let depth = b.depth.average.total_cmp(&a.depth.average);
            depth.then_with(|| a.partition.cmp(&b.partition)).then_with(|| a.depth.column.cmp(&b.depth.column))
        });
        all.truncate(most);
        all
    }

    fn by_partition(&self) -> Vec<(usize, u32, Sum)> {
        let mut grouped: BTreeMap<u32, Vec<&Vec<Option<Span>>>> = BTreeMap::new();
        for (place, spans) in self.files.values() {
            grouped.entry(*place).or_default().push(spans);
        }
        let mut found = Vec::new();
        for (place, files) in grouped {
            for column in 0..self.columns.len() {
                let known: Vec<&Span> = files.iter().filter_map(|spans| spans[column].as_ref()).collect();
                let mut sum = Sum { unknown: (files.len() - known.len()) as u64, ..Sum::default() };
                for depth in depths(&known) {
                    sum.files += 1;
                    sum.depths += depth;
                    sum.max = sum.max.max(depth);
                }
                found.push((column, place, sum));
            }
        }
        found
    }
}

/// Depths of some files, added up.
#[derive(Debug, Clone, Default)]
struct Sum {
    files: u64,
    unknown: u64,
    depths: u64,
    max: u64,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.unknown += other.unknown;
        self.depths += other.depths;
        self.max = self.max.max(other.max);
    }

    fn told(&self, column: &str) -> OverlapDepth {
        OverlapDepth {
            column: column.to_owned(),
            files: self.files,
            unknown_files: self.unknown,
            average: if self.files == 0 { 0.0 } else { self.depths as f64 / self.files as f64 },
            max: self.max,
        }
    }
}

/// What happens at a value; at one and the same value in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ends,
    Point,
    Begins,
}

/// The depth of each span: the most that lie over one another somewhere in it.
fn depths(spans: &[&Span]) -> Vec<u64> {
    let mut events: Vec<(&Literal, Event, usize)> = Vec::with_capacity(spans.len() * 2);
    for (n, span) in spans.iter().enumerate() {
        if span.is_point() {
            events.push((&span.low, Event::Point, n));
        } else {
            events.push((&span.low, Event::Begins, n));
            events.push((&span.high, Event::Ends, n));
        }
    }
    events.sort_by(|a, b| a.0.order(b.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut found = vec![1; spans.len()];
    let mut began = vec![0; spans.len()];
    let mut open = 0u64;
    // The greatest depth since each event, for those where it is greater than ever after: depths fall from left to right.
    let mut peaks: Vec<(usize, u64)> = Vec::new();
    for (time, (_, event, n)) in events.into_iter().enumerate() {
        match event {
            Event::Point => found[n] = open + 1,
            Event::Begins => {
                open += 1;
                began[n] = time;
                while peaks.pop_if(|(_, depth)| *depth <= open).is_some() {}
                peaks.push((time, open));
            }
            Event::Ends => {
                let first = peaks.partition_point(|(at, _)| *at < began[n]);
                found[n] = peaks.get(first).map_or(1, |(_, depth)| *depth);
                open = open.saturating_sub(1);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(low: i64, high: i64) -> Span {
        Span { low: Literal::Integer(low), high: Literal::Integer(high) }
    }

    fn depths_of(spans: &[(i64, i64)]) -> Vec<u64> {
        let spans: Vec<Span> = spans.iter().map(|(low, high)| span(*low, *high)).collect();
        depths(&spans.iter().collect::<Vec<_>>())
    }

    #[test]
    fn should_count_files_over_one_another() {
        assert_eq!(depths_of(&[(0, 9), (0, 9), (0, 9)]), [3, 3, 3]);
        assert_eq!(depths_of(&[(0, 3), (3, 6), (6, 9)]), [1, 1, 1], "neighbours share an end");
        // One wide file over a chain of narrow ones, and one apart.
        assert_eq!(depths_of(&[(0, 9), (0, 3), (2, 6), (6, 8), (20, 30)]), [3, 3, 3, 2, 1]);
        assert_eq!(depths_of(&[(0, 9), (5, 5), (5, 5), (9, 9), (0, 0)]), [1, 2, 2, 1, 1], "files of one value");
        assert_eq!(depths_of(&[]), Vec::<u64>::new());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// Against the definition, tried at every value and between.
        #[test]
        fn should_be_the_most_over_any_value(spans in prop::collection::vec((0i64..12, 0i64..6), 0..12)) {
            let spans: Vec<(i64, i64)> = spans.into_iter().map(|(low, width)| (low * 2, (low + width) * 2)).collect();
            let over = |at: i64| spans.iter().filter(|(low, high)| *low < at && at < *high).count() as u64;
            let wanted: Vec<u64> = spans
                .iter()
                .map(|(low, high)| {
                    if low == high { over(*low) + 1 } else { (low + 1..*high).map(over).max().unwrap_or(0) }
                })
                .collect();
            prop_assert_eq!(depths_of(&spans), wanted);
        }
    }
}
