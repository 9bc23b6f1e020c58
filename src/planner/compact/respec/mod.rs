//! Files of older partition specs: which move to the current one, together with what, and which stay.
//!
//! A file moves for the reasons for which it would be rewritten in its own partition: because there are many small ones,
//! because of deletes, or because `output-spec-id` asks for it. Where it goes is projected from its partition and bounds.
//! All files that have a new partition in common, those that are there already included, are rewritten together, so that
//! every partition gets as few files as it can. Where the rows would be scattered over so many partitions that tiny files
//! came out, they are merged in their old spec instead. What stays is never more worth moving after that (I8): merged
//! files belong to no fewer partitions than before, and have no more bytes.

mod left;
mod ordinal;
mod parts;
mod project;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use iceberg::spec::PartitionSpec;

use super::arrange::Wish;
use super::eligible::pick;
use super::groups::{Group, Place, by_partition, input, of_partition, split, worth};
use super::route::moved;
use super::size::output_files;
use crate::error::{Error, Result};
use crate::model::{CompactPolicy, InputFile, KeepSpec, PickReason, Respec, TableState, TaskReason};
use crate::planner::deletes::Burdens;
pub(super) use left::{explain, left};
use parts::{Item, apart, lowest, partitions};
use project::{Projector, Span};

/// A partition that would get less than this part of a full file (1 in 8) gets a tiny one.
const TINY: u64 = 8;

/// The files of a table, sorted by whether they move.
#[derive(Default)]
pub(super) struct Sorted {
    /// Groups of files that move, and of files that are there already.
    pub(super) moves: Vec<Group>,
    /// Files that are grouped in their own partitions, ascending.
    pub(super) rest: Vec<usize>,
    /// Why files stay in an old spec, though they were due to move; by their indexes.
    pub(super) keeps: HashMap<usize, KeepSpec>,
}

/// The spec that outputs are in.
///
/// # Errors
/// `InvalidInput` for one that the table does not have.
pub(super) fn output_spec<'a>(state: &'a TableState, policy: &CompactPolicy) -> Result<&'a PartitionSpec> {
    let metadata = &state.metadata;
    let Some(wanted) = policy.output_spec_id else { return Ok(metadata.default_partition_spec()) };
    metadata.partition_spec_by_id(wanted).map(AsRef::as_ref).ok_or_else(|| {
        let mut ids: Vec<i32> = metadata.partition_specs_iter().map(|spec| spec.spec_id()).collect();
        ids.sort_unstable();
        Error::invalid(format!("table {} has no partition spec {wanted}", state.name))
            .hint(format!("output-spec-id is one of {ids:?}"))
    })
}

/// Everything that deciding looks at.
struct Movers<'a> {
    state: &'a TableState,
    policy: &'a CompactPolicy,
    wish: &'a Wish,
    burdens: &'a Burdens,
    spec: &'a PartitionSpec,
}

/// Sorts the files of a table that may be rewritten.
///
/// # Errors
/// As [`output_spec`].
pub(super) fn sort_out(
    state: &TableState,
    policy: &CompactPolicy,
    wish: &Wish,
    burdens: &Burdens,
    files: &[usize],
) -> Result<Sorted> {
    let movers = Movers { state, policy, wish, burdens, spec: output_spec(state, policy)? };
    let all_stay = || Sorted { rest: files.to_vec(), ..Sorted::default() };
    if !files.iter().any(|file| movers.is_old(*file)) {
        return Ok(all_stay());
    }
    // A spec whose columns are gone has no partitions to move to.
    let Some(projector) = Projector::new(state, movers.spec) else { return Ok(all_stay()) };
    Ok(movers.sort_out(&projector, files))
}

impl Movers<'_> {
    fn is_old(&self, file: usize) -> bool {
        self.state.partition(self.state.files[file].partition).spec_id != self.spec.spec_id()
    }

    fn sort_out(&self, projector: &Projector<'_>, files: &[usize]) -> Sorted {
        let old: Vec<usize> = files.iter().copied().filter(|file| self.is_old(*file)).collect();
        let due = self.due(&old);
        let wanted = |file: &usize| due.contains(file) || self.picked(*file).is_some();
        let item = |file: usize| {
            let data = &self.state.files[file];
            let spans = match self.is_old(file) {
                true => projector.of(data),
                false => Projector::within(&self.state.partition(data.partition).values),
            };
            Item { file, spans }
        };
        let (items, mut rest): (Vec<usize>, Vec<usize>) = files.iter().partition(|file| wanted(file));
        let fields = self.spec.fields().len();
        let (mut moves, mut keeps) = (Vec::new(), HashMap::new());
        for part in apart(items.into_iter().map(item).collect(), fields) {
            let whole = self.single(&part) && self.worth_it(&part);
            let due: Vec<usize> = part.iter().map(|item| item.file).filter(|file| due.contains(file)).collect();
            let moving = part.iter().any(|item| self.is_old(item.file)) && (whole || !due.is_empty());
            match if moving { Some(self.fate(&part, whole)) } else { None } {
                Some(Ok(())) => moves.extend(self.groups(part)),
                Some(Err(keep)) => {
                    // Without bounds they are left alone: what is merged would have them, and then might move.
                    let left = keep == KeepSpec::NoBounds;
                    keeps.extend(due.iter().map(|file| (*file, keep.clone())));
                    rest.extend(part.iter().map(|item| item.file).filter(|file| !(left && self.is_old(*file))));
                    if left {
                        let others = part.iter().map(|item| item.file).filter(|file| self.is_old(*file));
                        keeps.extend(others.map(|file| (file, keep.clone())));
                    }
                }
                None => rest.extend(part.iter().map(|item| item.file)),
            }
        }
        rest.sort_unstable();
        Sorted { moves, rest, keeps }
    }

    /// Old files that would be rewritten in their own partitions, or all of them if that was asked for.
    fn due(&self, old: &[usize]) -> HashSet<usize> {
        if self.policy.output_spec_id.is_some() {
            return old.iter().copied().collect();
        }
        let groups = by_partition(self.state, old)
            .into_iter()
            .flat_map(|files| of_partition(self.state, self.policy, self.wish, self.burdens, files).0);
        groups.flat_map(|group| group.inputs).filter_map(|input| self.state.file_index(&input.path)).collect()
    }

    /// Why a file wants a rewrite, if it does.
    fn picked(&self, file: usize) -> Option<PickReason> {
        let data = &self.state.files[file];
        let sorted = self.wish.holds(self.state, data);
        let burden = self.burdens.of(file);
        pick(self.state, self.policy, data, burden).or_else(|| (!sorted).then_some(PickReason::NotInOrder))
    }

    fn input(&self, file: usize) -> InputFile {
        let spec_id = self.state.partition(self.state.files[file].partition).spec_id;
        let picked = self.picked(file).unwrap_or(PickReason::OtherSpec { spec_id });
        input(self.state, self.burdens, file, picked)
    }

    /// Whether all rows belong to one partition.
    fn single(&self, part: &[Item]) -> bool {
        part.iter().all(|item| item.spans.iter().all(|span| matches!(span, Span::One(_))))
    }

    /// Whether the files of one new partition are worth a rewrite.
    fn worth_it(&self, part: &[Item]) -> bool {
        let inputs = part.iter().map(|item| self.input(item.file)).collect();
        let place = part.first().map(|item| Place::Own(self.state.files[item.file].partition));
        place.is_some_and(|place| worth(self.state, self.policy, self.wish, place, inputs).is_ok())
    }

    /// Whether old files should move; they decide alone, so that the answer stays when they stay. `whole`: they make a
    /// group that is worth it with what is in their partition already.
    fn fate(&self, part: &[Item], whole: bool) -> std::result::Result<(), KeepSpec> {
        let old: Vec<Item> = part.iter().filter(|item| self.is_old(item.file)).cloned().collect();
        let files = || old.iter().map(|item| &self.state.files[item.file]);
        let bytes: u64 = files().map(|file| file.size).sum();
        let rows: u64 = files().map(|file| file.records).sum();
        let count = match self.count(&old) {
            Err(_) if self.policy.output_spec_id.is_some() => return Ok(()),
            Err(keep) => return Err(keep),
            Ok(count) => count.min(rows).max(1),
        };
        // Files for each partition: as many as make a group worth it, or at least one where the move was asked for.
        let enough = if self.policy.output_spec_id.is_some() { 1 } else { self.policy.min_input_files };
        let scatters = |bytes: u64, count: u64, files: usize| {
            let tiny = bytes / count < self.policy.target_file_size_bytes / TINY;
            tiny && count.saturating_mul(enough) > files as u64
        };
        if !whole && scatters(bytes, count, old.len()) {
            // What is rewritten has bounds, and then might move: not told is not told (I8).
            return match (old.iter().any(|item| self.is_blind(item)), self.policy.output_spec_id) {
                (true, Some(_)) => Ok(()),
                (true, None) => Err(KeepSpec::NoBounds),
                (false, _) => Err(KeepSpec::Scattered { partitions: count, each: bytes / count }),
            };
        }
        let largest = self.policy.max_file_group_size_bytes;
        if bytes <= largest {
            return Ok(());
        }
        // Every group gives each of its partitions a file of its own. Taken for a full one, so that fewer bytes are no
        // reason to move either.
        for (items, _) in self.cut(old) {
            let count = self.count(&items)?.min(rows).max(1);
            if scatters(largest, count, items.len()) {
                return Err(KeepSpec::Scattered { partitions: count, each: largest / count });
            }
        }
        Ok(())
    }

    /// Whether a partition of a file's rows is known only as far as the transform tells.
    fn is_blind(&self, item: &Item) -> bool {
        let file = &self.state.files[item.file];
        let has_bounds = |id: i32| {
            let bounds = file.bounds.get(&id);
            bounds.is_some_and(|b| (b.lower.is_some() && b.upper.is_some()) || b.nulls == Some(file.records))
        };
        let fields = self.spec.fields().iter().zip(&item.spans);
        fields.into_iter().any(|(field, span)| !matches!(span, Span::One(_)) && !has_bounds(field.source_id))
    }

    /// About how many partitions the rows belong to.
    fn count(&self, items: &[Item]) -> std::result::Result<u64, KeepSpec> {
        let here = || self.state.partitions.iter().filter(|partition| partition.spec_id == self.spec.spec_id());
        let known = |field: usize| {
            let values = here().filter_map(|partition| partition.values.iter().nth(field));
            values.map(|value| format!("{value:?}")).collect::<BTreeSet<_>>().len() as u64
        };
        partitions(items, self.spec.fields().len(), known)
    }

    /// The groups of a part that moves: one, or several where that would be too large.
    fn groups(&self, part: Vec<Item>) -> Vec<Group> {
        self.cut(part).into_iter().map(|(items, inputs)| self.group(&items, inputs)).collect()
    }

    /// The files of a part, group by group.
    fn cut(&self, mut part: Vec<Item>) -> Vec<(Vec<Item>, Vec<InputFile>)> {
        let written = |item: &Item| {
            let file = &self.state.files[item.file];
            (file.sequence_number, file.path.clone())
        };
        part.sort_by_cached_key(written);
        let bytes: u64 = part.iter().map(|item| self.state.files[item.file].size).sum();
        if bytes > self.policy.max_file_group_size_bytes {
            // Neighbours in the new partitions: few of those get files from two groups.
            part.sort_by_cached_key(|item| item.spans.iter().map(lowest).collect::<Vec<_>>());
        }
        let by_path: BTreeMap<&str, &Item> =
            part.iter().map(|item| (&*self.state.files[item.file].path, item)).collect();
        split(part.iter().map(|item| self.input(item.file)).collect(), self.policy)
            .into_iter()
            .map(|inputs| {
                let items = inputs.iter().filter_map(|input| by_path.get(input.path.as_str()).copied().cloned());
                (items.collect(), inputs)
            })
            .collect()
    }

    fn group(&self, items: &[Item], inputs: Vec<InputFile>) -> Group {
        let specs = items.iter().map(|item| self.state.partition(self.state.files[item.file].partition).spec_id);
        let from: BTreeSet<i32> = specs.collect();
        let old = items.iter().filter(|item| self.is_old(item.file)).count() as u64;
        let count = self.count(items).unwrap_or(0);
        let (route, route_why, output_bytes) = moved(self.state, self.wish, &inputs);
        Group {
            place: Place::Moved {
                spec_id: self.spec.spec_id(),
                path: self.label(items),
                respec: Respec { from: from.into_iter().collect(), partitions: count },
            },
            keeps: None,
            why: TaskReason::NewSpec { files: old, partitions: count },
            route,
            route_why,
            output_files: output_files(output_bytes, self.policy).max(count.min(output_bytes.max(1))),
            output_bytes,
            inputs,
            merges_vectors: false,
        }
    }

    /// The partition for people, as far as all files have it in common.
    fn label(&self, items: &[Item]) -> String {
        let there = items.iter().map(|item| self.state.files[item.file].partition).find(|partition| {
            let partition = self.state.partition(*partition);
            partition.spec_id == self.spec.spec_id() && self.single(items)
        });
        if let Some(partition) = there {
            return self.state.partition(partition).path.clone();
        }
        let kind = self.spec.partition_type(self.state.metadata.current_schema()).ok();
        let kinds = kind.as_ref().map(|kind| kind.fields()).unwrap_or_default();
        let field = |(index, field): (usize, &iceberg::spec::PartitionField)| {
            let first = items.first().map(|item| &item.spans[index]);
            let same = items.iter().all(|item| Some(&item.spans[index]) == first);
            let text = match (first, kinds.get(index)) {
                (Some(Span::One(value)), Some(kind)) if same => {
                    field.transform.to_human_string(&kind.field_type, value.as_ref())
                }
                _ => "*".to_owned(),
            };
            format!("{}={text}", field.name)
        };
        self.spec.fields().iter().enumerate().map(field).collect::<Vec<_>>().join("/")
    }
}
