//! From files that belong elsewhere to tasks: merged and encoded anew where that gains something, copied as they are
//! where it does not, left where they are where a move would never pay.

use std::collections::{BTreeMap, HashMap};

use super::TierRatios;
use super::cost::{HORIZON_DAYS, Stored, money, pays, stay_days};
use super::place::Mover;
use crate::model::{
    ArchivePolicy, ArchiveTask, Arrangement, Codec, DataFile, EncodingProfile, FileFormat, Footer, InputFile, JobOrder,
    Money, Move, OutputSpec, PartitionId, ReclassTask, Recompress, RewriteTask, RouteReason, StayReason, Stays,
    TableState, TaskReason, Tier, TransferTask, told_by_class,
};
use crate::planner::compact::eligible::size_reason;
use crate::planner::compact::groups::{input, kept_sort_order, split};
use crate::planner::compact::route::{anew, route_at, shrunk};
use crate::planner::compact::size::estimate;
use crate::planner::compact::{directory, output_files, own_deletes};
use crate::planner::deletes::Burdens;

/// Everything that making tasks looks at.
struct Maker<'a> {
    state: &'a TableState,
    policy: &'a ArchivePolicy,
    ratios: &'a TierRatios,
    burdens: &'a Burdens,
    by_path: HashMap<&'a str, &'a Mover>,
    now_ms: i64,
}

/// Tasks in the order in which they are run, numbered.
pub(super) fn tasks(
    state: &TableState,
    policy: &ArchivePolicy,
    ratios: &TierRatios,
    (movers, burdens): (&[Mover], &Burdens),
    stays: &mut Vec<Stays>,
    now_ms: i64,
) -> Vec<ArchiveTask> {
    let by_path = movers.iter().map(|mover| (&*state.files[mover.index].path, mover)).collect();
    let maker = Maker { state, policy, ratios, burdens, by_path, now_ms };
    let mut groups: BTreeMap<(PartitionId, usize), Vec<&Mover>> = BTreeMap::new();
    for mover in movers {
        groups.entry((state.files[mover.index].partition, mover.to)).or_default().push(mover);
    }
    let mut tasks = Vec::new();
    for ((_, to), mut group) in groups {
        // Write order: neighbours in time stay neighbours.
        group.sort_by(|a, b| {
            let (a, b) = (&state.files[a.index], &state.files[b.index]);
            a.sequence_number.cmp(&b.sequence_number).then_with(|| a.path.cmp(&b.path))
        });
        maker.group(to, group, &mut tasks, stays);
    }
    order(policy.job_order, &mut tasks);
    for (id, task) in tasks.iter_mut().enumerate() {
        let id = u32::try_from(id).unwrap_or(u32::MAX);
        match &mut task.task {
            Move::Rewrite(task) => task.id = id,
            Move::Transfer(task) => task.id = id,
            Move::Reclass(task) => task.id = id,
        }
    }
    tasks
}

/// A partition's tasks stay together: they are committed together.
fn order(by: JobOrder, tasks: &mut [ArchiveTask]) {
    let mut sums: HashMap<String, (u64, u64)> = HashMap::new();
    for task in tasks.iter() {
        let sum = sums.entry(task.partition().to_owned()).or_default();
        *sum = (sum.0 + task.bytes(), sum.1 + task.files());
    }
    tasks.sort_by_cached_key(|task| {
        let (bytes, files) = sums.get(task.partition()).copied().unwrap_or_default();
        let rank: i128 = match by {
            JobOrder::None => 0,
            JobOrder::BytesAsc => i128::from(bytes),
            JobOrder::BytesDesc => -i128::from(bytes),
            JobOrder::FilesAsc => i128::from(files),
            JobOrder::FilesDesc => -i128::from(files),
        };
        let first = match &task.task {
            Move::Reclass(task) => task.path.clone(),
            Move::Rewrite(_) | Move::Transfer(_) => {
                task.inputs().first().map(|input| input.path.clone()).unwrap_or_default()
            }
        };
        (rank, task.partition().to_owned(), task.to, first)
    });
}

impl<'a> Maker<'a> {
    /// The tasks of one partition and tier.
    fn group(&self, to: usize, group: Vec<&'a Mover>, tasks: &mut Vec<ArchiveTask>, stays: &mut Vec<Stays>) {
        let policy = &self.policy.tiers[to].policy;
        let (rewrite, mut as_they_are): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|mover| !mover.only_class && self.wants_rewrite(to, mover));
        let inputs: Vec<InputFile> = rewrite.iter().map(|mover| self.input(mover)).collect();
        for inputs in if inputs.is_empty() { Vec::new() } else { split(inputs, policy) } {
            match self.rewrite(to, inputs) {
                Ok(task) => self.accept(to, task, tasks, stays),
                // Merging would gain nothing: each goes by itself.
                Err(inputs) => {
                    as_they_are
                        .extend(inputs.iter().filter_map(|input| self.by_path.get(input.path.as_str()).copied()));
                }
            }
        }
        for mover in as_they_are {
            self.accept(to, self.whole(to, mover), tasks, stays);
        }
    }

    /// Whether a file should not arrive as it is.
    fn wants_rewrite(&self, to: usize, mover: &Mover) -> bool {
        let (file, policy) = (self.file(mover), &self.policy.tiers[to].policy);
        file.format == FileFormat::Parquet
            && (size_reason(file, policy).is_some() || self.has_to_be_encoded(to, mover).is_some())
    }

    /// Why a file has to be decoded and encoded anew, whatever its size.
    fn has_to_be_encoded(&self, to: usize, mover: &Mover) -> Option<RouteReason> {
        if !self.burdens.of(mover.index).deletes.is_empty() {
            return Some(RouteReason::DeletesApply);
        }
        let file = self.file(mover);
        let tier = &self.policy.tiers[to];
        let found = self.state.footers.get(&*file.path).and_then(Footer::main_codec);
        match (tier.recompress, found) {
            (_, Some(found)) if found != tier.policy.codec && found != Codec::Uncompressed => {
                Some(RouteReason::CodecDiffers { found })
            }
            (Recompress::Always, _) => Some(RouteReason::AlwaysEncoded),
            // What the tier's encodings gain is not sampled: they are asked for because they do (measured: a tenth).
            (Recompress::Auto, _) if self.lacks_encodings(tier, file) => Some(RouteReason::OutsideProfile),
            (Recompress::Auto, Some(found)) => {
                let ratio = self.ratios.get(&to)?.get(&found).copied()?;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a hundred")]
                let percent = (ratio * 100.0).round() as u64;
                (ratio <= 1.0 - Recompress::LEAST_GAIN).then_some(RouteReason::BetterEncoding { percent })
            }
            (Recompress::Auto | Recompress::Never, _) => None,
        }
    }

    /// Whether a file is known to have none of the encodings that its tier writes.
    fn lacks_encodings(&self, tier: &Tier, file: &DataFile) -> bool {
        let compatible = self.state.footers.get(&*file.path).is_some_and(|footer| footer.compatible);
        tier.policy.encodings == EncodingProfile::Modern && compatible
    }

    /// A rewrite of files into one place; gives the files back when it would gain nothing.
    fn rewrite(&self, to: usize, mut inputs: Vec<InputFile>) -> Result<ArchiveTask, Vec<InputFile>> {
        let tier = &self.policy.tiers[to];
        let none = BTreeMap::new();
        let ratios = self.ratios.get(&to).unwrap_or(&none);
        let mover_of = |input: &InputFile| self.by_path.get(input.path.as_str()).copied();
        let encode = inputs.iter().filter_map(mover_of).find_map(|mover| self.has_to_be_encoded(to, mover));
        let encode_anew = encode.is_some();
        let (route, route_why, bytes) = match encode {
            Some(why) => (anew(self.state, &inputs), why, shrunk(self.state, ratios, &inputs)),
            None => route_at(self.state, ratios, &tier.policy, &inputs),
        };
        let files = output_files(bytes, &tier.policy);
        let too_large = inputs.iter().any(|input| input.size > tier.policy.max_file_size_bytes);
        let fewer = files < inputs.len() as u64;
        if !(fewer || too_large || encode_anew) {
            return Err(inputs);
        }
        let Some(partition) =
            inputs.first().and_then(mover_of).map(|mover| self.state.partition(self.file(mover).partition))
        else {
            return Err(inputs);
        };
        let read = inputs.iter().map(|input| input.size).sum();
        let footers: Vec<Option<&Footer>> = inputs.iter().map(|input| self.state.footers.get(&input.path)).collect();
        let estimate = estimate(&tier.policy, route, read, bytes, &footers);
        let task = RewriteTask {
            id: 0,
            deletes: own_deletes(self.state, &mut inputs),
            spec_id: partition.spec_id,
            partition: partition.path.clone(),
            respec: None,
            keeps_spec: None,
            why: TaskReason::Archive { tier: tier.name.clone() },
            route,
            route_why,
            arrangement: Arrangement::BinPack,
            sort_order_id: kept_sort_order(self.state, &inputs),
            estimate,
            output: OutputSpec {
                directory: self.directory(to, &partition.path),
                files,
                bytes,
                cut_bytes: bytes / files.max(1),
                storage_class: tier.storage_class.clone(),
            },
            inputs,
        };
        Ok(self.task(to, Move::Rewrite(task), files, bytes))
    }

    /// A whole file that moves, or changes its class where it is.
    fn whole(&self, to: usize, mover: &Mover) -> ArchiveTask {
        let file = self.file(mover);
        let (tier, partition) = (&self.policy.tiers[to], self.state.partition(file.partition));
        let in_place = mover.from == to || told_by_class(&[self.policy.tiers[mover.from].place(), tier.place()]);
        let task = if in_place {
            Move::Reclass(ReclassTask {
                id: 0,
                partition: partition.path.clone(),
                path: file.path.to_string(),
                size: file.size,
                from: self.state.classes.get(&*file.path).cloned().unwrap_or_default(),
                storage_class: tier.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()),
            })
        } else {
            Move::Transfer(TransferTask {
                id: 0,
                spec_id: partition.spec_id,
                partition: partition.path.clone(),
                input: self.input(mover),
                directory: self.directory(to, &partition.path),
                storage_class: tier.storage_class.clone(),
            })
        };
        self.task(to, task, 1, file.size)
    }

    fn task(&self, to: usize, task: Move, output_files: u64, output_bytes: u64) -> ArchiveTask {
        let mut made = ArchiveTask { to, task, output_bytes, output_files, money: Money::default() };
        let stored: Vec<Stored> = self.movers_of(&made).map(|mover| self.stored(mover)).collect();
        if let Some(money) = money(&self.policy.tiers, &stored, to, output_files, output_bytes, self.now_ms) {
            made.money = money;
        }
        made
    }

    /// Takes a task into the plan, unless its objects would be too small or it never pays.
    fn accept(&self, to: usize, task: ArchiveTask, tasks: &mut Vec<ArchiveTask>, stays: &mut Vec<Stays>) {
        let tier = &self.policy.tiers[to];
        let asked = self.policy.to.is_some() || self.policy.ignore_cost;
        let corrects_class = self.movers_of(&task).any(|mover| mover.from == to);
        let youngest = self.movers_of(&task).map(|mover| mover.age_ms).min().unwrap_or(0);
        let stay = stay_days(&self.policy.tiers, to, youngest);
        let why = if asked || corrects_class {
            None
        } else if task.output_bytes / task.output_files.max(1) < tier.min_object_bytes {
            Some(StayReason::TooSmall { tier: tier.name.clone(), least: tier.min_object_bytes })
        } else {
            let priced = task.money != Money::default();
            let prices = tier.prices.as_ref().filter(|prices| priced && !pays(&task.money, prices, stay));
            prices.map(|_| StayReason::NeverPays {
                tier: tier.name.clone(),
                once: task.money.once,
                saves: task.money.saved(),
                days: stay.min(HORIZON_DAYS),
            })
        };
        let Some(why) = why else { return tasks.push(task) };
        let left = self.movers_of(&task).map(|mover| {
            let file = self.file(mover);
            Stays { path: file.path.to_string(), size: file.size, why: why.clone() }
        });
        stays.extend(left);
    }

    fn movers_of<'t>(&'t self, task: &'t ArchiveTask) -> impl Iterator<Item = &'a Mover> + 't {
        let reclassed = match &task.task {
            Move::Reclass(task) => Some(task.path.as_str()),
            Move::Rewrite(_) | Move::Transfer(_) => None,
        };
        let paths = task.inputs().iter().map(|input| input.path.as_str()).chain(reclassed);
        paths.filter_map(|path| self.by_path.get(path).copied())
    }

    fn stored(&self, mover: &Mover) -> Stored {
        let file = self.file(mover);
        let snapshot = file.snapshot_id.and_then(|id| self.state.metadata.snapshot_by_id(id));
        Stored { tier: mover.from, bytes: file.size, written_ms: snapshot.map(|snapshot| snapshot.timestamp_ms()) }
    }

    fn file(&self, mover: &Mover) -> &'a DataFile {
        &self.state.files[mover.index]
    }

    fn input(&self, mover: &Mover) -> InputFile {
        input(self.state, self.burdens, mover.index, mover.picked.clone())
    }

    /// Where a partition's files go in a tier.
    fn directory(&self, to: usize, partition: &str) -> String {
        let parts = self.state.name.namespace.len() + 1;
        match self.policy.tiers[to].place().table_location(self.state.metadata.location(), parts) {
            None => directory(self.state, partition),
            Some(root) if partition.is_empty() => format!("{root}/data"),
            Some(root) => format!("{root}/data/{partition}"),
        }
    }
}
