//! Rows in order: which files of a partition are not, and which of those that are go with them.
//!
//! A file is in order when it claims the wanted sort order, or when its footer says that icewright arranged it so. What is
//! not in order is sorted once it is enough; files in order are taken in only when that keeps their number over any one
//! value small, so that a trickle of new files never rewrites a large partition again and again.

use iceberg::spec::{NullOrder, PrimitiveType, Schema, SortDirection, Transform, Type};

use super::overlap::{crossing, depth, depth_with, within};
use crate::error::{Error, Result};
use crate::model::{Arrangement, CompactPolicy, DataFile, InputFile, PickReason, SkipReason, SortField, TableState};

/// So many sorted runs may lie over one another before they are made one.
const MOST_RUNS: usize = 4;
/// What is out of order is sorted together with the files that it lies over when it has this share of the bytes (1 in 4).
const SHARE: u64 = 4;

/// A policy's arrangement, as it is for one table.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) arrangement: Arrangement,
    mark: Option<String>,
    leading: Option<(i32, PrimitiveType)>,
}

impl Wish {
    /// What a policy wants of a table.
    ///
    /// # Errors
    /// `InvalidInput` for a column that is not there or has no order, a transform that does not fit, or a table without
    /// a sort order of its own.
    pub(super) fn of(state: &TableState, policy: &CompactPolicy) -> Result<Self> {
        let arrangement = resolve(state, &policy.arrangement)?;
        let schema = state.metadata.current_schema();
        let leading = match &arrangement {
            // Only the column itself tells by its bounds where files lie: many files may share a day or a bucket.
            Arrangement::Sort { fields, .. } => fields.first().filter(|field| field.transform == "identity"),
            _ => None,
        };
        let leading = leading.map(|field| primitive(schema, &field.column)).transpose()?;
        let mark = arrangement.mark();
        Ok(Self { arrangement, mark, leading: leading.map(|(id, kind)| (id, kind.clone())) })
    }

    /// Whether rows are moved.
    pub(super) fn sorts(&self) -> bool {
        !self.arrangement.is_bin_pack()
    }

    /// The column whose bounds tell where files lie.
    pub(super) fn leading(&self) -> Option<(i32, &PrimitiveType)> {
        self.leading.as_ref().map(|(id, kind)| (*id, kind))
    }

    /// Whether the file claims the table's sort order that is wanted.
    pub(super) fn claims(&self, file: &DataFile) -> bool {
        self.arrangement.order_id().is_some_and(|id| file.sort_order_id == Some(id))
    }

    /// Whether a file is in order.
    pub(super) fn holds(&self, state: &TableState, file: &DataFile) -> bool {
        let marked =
            || state.footers.get(&*file.path).is_some_and(|f| f.arrangement.is_some() && f.arrangement == self.mark);
        !self.sorts() || self.claims(file) || marked()
    }
}

/// The column of a name, which must have values that can be compared.
fn primitive<'a>(schema: &'a Schema, name: &str) -> Result<(i32, &'a PrimitiveType)> {
    let Some(field) = schema.field_by_name(name) else {
        let names: Vec<&str> = schema.as_struct().fields().iter().map(|field| field.name.as_str()).collect();
        return Err(Error::invalid(format!("there is no column {name:?} to sort by"))
            .hint(format!("the table's columns are {}", names.join(", "))));
    };
    match field.field_type.as_ref() {
        Type::Primitive(kind) => Ok((field.id, kind)),
        other => Err(Error::invalid(format!("column {name:?} has no order: it is a {}", kind_of(other)))
            .hint("sort by columns of numbers, times, texts or booleans; a field of a struct is written a.b")),
    }
}

fn kind_of(kind: &Type) -> &'static str {
    match kind {
        Type::Struct(_) => "struct",
        Type::List(_) => "list",
        Type::Map(_) => "map",
        Type::Primitive(_) => "value",
    }
}

/// The arrangement with the table's own order filled in, checked against its schema.
pub(in crate::planner) fn resolve(state: &TableState, wanted: &Arrangement) -> Result<Arrangement> {
    let schema = state.metadata.current_schema();
    match wanted {
        Arrangement::BinPack => Ok(Arrangement::BinPack),
        Arrangement::Curve { columns, .. } => {
            columns.iter().try_for_each(|column| primitive(schema, column).map(|_| ()))?;
            Ok(wanted.clone())
        }
        Arrangement::Sort { fields, .. } => {
            let order = state.metadata.default_sort_order();
            let fields = if fields.is_empty() { own_order(state)? } else { fields.clone() };
            for field in &fields {
                let (_, kind) = primitive(schema, &field.column)?;
                let transform: Option<Transform> = field.transform.parse().ok();
                let fits = transform.is_some_and(|t| t.result_type(&Type::Primitive(kind.clone())).is_ok());
                if !fits {
                    return Err(Error::invalid(format!("{} can't be computed of {}, a {kind}", field.transform, field.column))
                        .hint("the transforms are year, month, day, hour (of times), bucket(N, column) and truncate(W, column)"));
                }
            }
            let own = !order.is_unsorted() && own_order(state).is_ok_and(|own| own == fields);
            let order_id = own.then(|| i32::try_from(order.order_id).ok()).flatten();
            Ok(Arrangement::Sort { fields, order_id })
        }
    }
}

/// The table's own sort order in our words.
fn own_order(state: &TableState) -> Result<Vec<SortField>> {
    let metadata = &state.metadata;
    let order = metadata.default_sort_order();
    if order.is_unsorted() {
        return Err(Error::invalid(format!("table {} has no sort order to sort by", state.name))
            .hint("name one, as in --sort-order 'ts DESC NULLS LAST, id', or give the table one (ALTER TABLE … WRITE ORDERED BY)"));
    }
    let field = |field: &iceberg::spec::SortField| {
        let column = metadata.current_schema().name_by_field_id(field.source_id).ok_or_else(|| {
            Error::invalid(format!("the sort order of table {} names a column that was dropped", state.name))
                .hint("name another order with --sort-order")
        })?;
        Ok(SortField {
            column: column.to_owned(),
            transform: field.transform.to_string(),
            descending: field.direction == SortDirection::Descending,
            nulls_first: field.null_order == NullOrder::First,
        })
    };
    order.fields.iter().map(field).collect()
}

/// What a partition's files want: those that are rewritten, and those that are left out of order, with the reason.
pub(super) struct Sorted {
    pub(super) picked: Vec<(usize, PickReason)>,
    pub(super) left: Vec<(usize, SkipReason)>,
    /// Files that are as wanted.
    pub(super) settled: Vec<usize>,
}

/// Sorts out a partition. `picks` says which files want a rewrite for other reasons, by their place in `files`; `worth`,
/// whether such files alone are worth one.
pub(super) fn sort_out(
    state: &TableState,
    policy: &CompactPolicy,
    wish: &Wish,
    files: &[usize],
    picks: Vec<Option<PickReason>>,
    worth: impl Fn(&[(usize, PickReason)]) -> bool,
) -> Sorted {
    let size = |files: &[usize]| files.iter().map(|file| state.files[*file].size).sum::<u64>();
    let (mut picked, mut unsorted, mut settled) = (Vec::new(), Vec::new(), Vec::new());
    for (file, pick) in files.iter().zip(picks) {
        if !wish.holds(state, &state.files[*file]) {
            unsorted.push((*file, pick));
        } else if let Some(pick) = pick {
            picked.push((*file, pick));
        } else {
            settled.push(*file);
        }
    }
    let mut found = Sorted { picked, left: Vec::new(), settled };
    let numbers: Vec<usize> = unsorted.iter().map(|(file, _)| *file).collect();
    let bytes = size(&numbers);
    let forced = |pick: &Option<PickReason>| matches!(pick, Some(p) if *p != PickReason::TooSmall && !matches!(p, PickReason::WrongCodec { .. }));
    let deep = wish.sorts() && depth(state, wish, &found.settled) > MOST_RUNS;
    // Where others are written anew, what is out of order goes with them: it might be a larger share of what they become,
    // and the next run would have to come for it alone (I8).
    let company = deep || (wish.sorts() && !found.picked.is_empty() && worth(&found.picked));
    let due = company
        || numbers.len() as u64 >= policy.min_input_files
        || bytes >= policy.target_file_size_bytes
        || bytes.saturating_mul(SHARE) >= size(files)
        || unsorted.iter().any(|(_, pick)| forced(pick));
    if !due {
        let why = SkipReason::FewOutOfOrder { files: numbers.len() as u64, bytes };
        found.left.extend(numbers.iter().map(|file| (*file, why.clone())));
    }
    let unsorted = if due { numbers } else { Vec::new() };
    let mut taken = if deep { crossing(state, wish, &found.settled) } else { Vec::new() };
    let new: Vec<usize> = unsorted.iter().chain(&taken).copied().collect();
    // Whatever is rewritten goes together, and makes one run that lies over what is there.
    if wish.sorts() && (!new.is_empty() || (!found.picked.is_empty() && worth(&found.picked))) {
        let moved: Vec<usize> = new.iter().copied().chain(found.picked.iter().map(|(file, _)| *file)).collect();
        let rest: Vec<usize> = found.settled.iter().filter(|file| !taken.contains(file)).copied().collect();
        let below = within(state, wish, &moved, &rest);
        let share = !new.is_empty() && size(&moved).saturating_mul(SHARE) >= size(&below);
        if share || !taken.is_empty() || depth_with(state, wish, &moved, &below) > MOST_RUNS {
            taken.extend(below);
        }
    }
    found.settled.retain(|file| !taken.contains(file));
    found.picked.extend(unsorted.into_iter().map(|file| (file, PickReason::NotInOrder)));
    found.picked.extend(taken.into_iter().map(|file| (file, PickReason::Overlaps)));
    found.picked.sort_unstable_by_key(|(file, _)| *file);
    found
}

/// What the order says about why a group is rewritten: files out of order, and files that lie over others.
pub(super) fn out_of_order(inputs: &[InputFile]) -> (u64, u64) {
    let count = |reason: &PickReason| inputs.iter().filter(|input| input.picked == *reason).count() as u64;
    (count(&PickReason::NotInOrder), count(&PickReason::Overlaps))
}
