//! Which snapshots stay, which go, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::age_ms;
use crate::error::{Error, Result};
use crate::model::{ExpirePolicy, ExpireReason, ExpiredRef, History, KeepReason, RefInfo, RefKind, SnapshotInfo};

/// What becomes of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep(KeepReason),
    Expire(ExpireReason),
}

/// Judges every snapshot; `gone` are references that expire in the same plan.
pub(super) fn verdicts(
    history: &History,
    policy: &ExpirePolicy,
    gone: &[ExpiredRef],
    now_ms: i64,
) -> Result<BTreeMap<i64, Verdict>> {
    let judge = Judge { history, policy, now_ms };
    if !policy.snapshot_ids.is_empty() {
        return judge.named();
    }
    let gone: BTreeSet<&str> = gone.iter().map(|reference| reference.name.as_str()).collect();
    let mut refs: Vec<&RefInfo> = history.refs.iter().filter(|r| !gone.contains(r.name.as_str())).collect();
    refs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(judge.by_retention(&refs))
}

struct Judge<'a> {
    history: &'a History,
    policy: &'a ExpirePolicy,
    now_ms: i64,
}

impl Judge<'_> {
    fn age(&self, snapshot: &SnapshotInfo) -> u64 {
        age_ms(self.now_ms, snapshot.timestamp_ms)
    }

    fn is_young(&self, snapshot: &SnapshotInfo) -> bool {
        self.age(snapshot) < self.policy.min_age_ms
    }

    /// Only what was named goes. It may lie among those that retention would keep: whoever names a snapshot means it.
    fn named(&self) -> Result<BTreeMap<i64, Verdict>> {
        let keep = |id: &i64| (*id, Verdict::Keep(KeepReason::NotNamed));
        let mut verdicts: BTreeMap<i64, Verdict> = self.history.snapshots.keys().map(keep).collect();
        for id in &self.policy.snapshot_ids {
            self.check_named(*id)?;
            verdicts.insert(*id, Verdict::Expire(ExpireReason::Named));
        }
        Ok(verdicts)
    }

    fn check_named(&self, id: i64) -> Result<()> {
        let table = &self.history.table;
        let Some(snapshot) = self.history.snapshots.get(&id) else {
            return Err(Error::invalid(format!("table {table} has no snapshot {id}"))
                .hint("it may have expired already; `icewright plan expire --files` lists the snapshots"));
        };
        if let Some(holder) = self.history.refs.iter().find(|reference| reference.snapshot_id == id) {
            let (kind, name) = (kind(holder.kind), &holder.name);
            return Err(Error::invalid(format!("snapshot {id} of {table} is where {kind} {name} points"))
                .hint("move or remove it first, or leave the snapshot out; nothing was changed"));
        }
        if self.is_young(snapshot) {
            return Err(Error::invalid(format!("snapshot {id} of {table} is younger than min-age"))
                .hint("readers may be at work on it: wait, or lower --min-age when there are none"));
        }
        Ok(())
    }

    fn by_retention(&self, refs: &[&RefInfo]) -> BTreeMap<i64, Verdict> {
        let mut keep: BTreeMap<i64, KeepReason> = BTreeMap::new();
        let (branches, tags): (Vec<&RefInfo>, Vec<&RefInfo>) = refs.iter().partition(|r| r.kind == RefKind::Branch);
        for branch in &branches {
            keep.entry(branch.snapshot_id).or_insert_with(|| KeepReason::Head { branch: branch.name.clone() });
        }
        for tag in &tags {
            keep.entry(tag.snapshot_id).or_insert_with(|| KeepReason::Tagged { tag: tag.name.clone() });
        }
        // The place on `main`, from its head; and everything that any branch or tag has in its history.
        let mut place: HashMap<i64, u64> = HashMap::new();
        let mut referenced: BTreeSet<i64> = tags.iter().map(|tag| tag.snapshot_id).collect();
        for branch in &branches {
            let chain = self.history.ancestors(branch.snapshot_id);
            if branch.name == History::MAIN {
                place = (0..).zip(&chain).map(|(index, snapshot)| (snapshot.id, index)).collect();
            }
            referenced.extend(chain.iter().map(|snapshot| snapshot.id));
            for (id, why) in self.held(branch, &chain) {
                keep.entry(id).or_insert(why);
            }
        }
        let mut verdict = |snapshot: &SnapshotInfo| match keep.remove(&snapshot.id) {
            Some(why) => Verdict::Keep(why),
            None if self.is_young(snapshot) => Verdict::Keep(KeepReason::TooYoung),
            None if !referenced.contains(&snapshot.id) => self.unreferenced(snapshot),
            None => Verdict::Expire(match place.get(&snapshot.id) {
                Some(index) if *index >= self.policy.retain_max => {
                    ExpireReason::BeyondMax { max: self.policy.retain_max }
                }
                _ => ExpireReason::TooOld,
            }),
        };
        self.history.snapshots.values().map(|snapshot| (snapshot.id, verdict(snapshot))).collect()
    }

    fn unreferenced(&self, snapshot: &SnapshotInfo) -> Verdict {
        if self.age(snapshot) > self.policy.older_than_ms {
            Verdict::Expire(ExpireReason::Unreferenced)
        } else {
            Verdict::Keep(KeepReason::NotOld)
        }
    }

    /// What a branch keeps of its history (newest first): everything down to the oldest that it wants.
    fn held(&self, branch: &RefInfo, chain: &[&SnapshotInfo]) -> Vec<(i64, KeepReason)> {
        let own_min = branch.min_snapshots_to_keep;
        let (min, max) = if branch.name == History::MAIN {
            let min = own_min.unwrap_or(0).max(self.policy.retain_min);
            (min, self.policy.retain_max.max(min))
        } else {
            (own_min.unwrap_or(self.policy.branch_min).max(1), u64::MAX)
        };
        let max_age = branch.max_snapshot_age_ms.unwrap_or(self.policy.older_than_ms);
        let is_old = |snapshot: &SnapshotInfo| self.age(snapshot) > max_age;
        let name = || branch.name.clone();
        let mut held = Vec::new();
        let mut wanted = 0;
        for (index, snapshot) in (0..max).zip(chain) {
            let why = if index < min {
                KeepReason::AmongNewest { branch: name(), min }
            } else if is_old(snapshot) {
                KeepReason::Between { branch: name() }
            } else {
                KeepReason::NotOld
            };
            let is_wanted = !matches!(why, KeepReason::Between { .. });
            held.push((snapshot.id, why));
            if is_wanted {
                wanted = held.len();
            }
        }
        held.truncate(wanted);
        held
    }
}

fn kind(kind: RefKind) -> &'static str {
    match kind {
        RefKind::Branch => "branch",
        RefKind::Tag => "tag",
    }
}
