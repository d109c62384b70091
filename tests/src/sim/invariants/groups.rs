//! Groups: S10 (of two agents that take themselves for a group's coordinator at most one changes anything); a partition has one owner per generation or
//! epoch; committed offsets never go back, and what was answered as committed is not lost; members that are heard of are not put out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use siltstone_kafka::{ConsumerProtocolAssignment, versioned};
use siltstone_log::{
    ClassicMemberRow, ConsumerMemberRow, GroupHeadRow, OffsetRow, PartitionId, Partitions, RegistrationId,
    TopicId,
};
use siltstone_metadata::keys::lease::decode_owner;
use siltstone_metadata::keys::{group_head, group_member, group_offset, group_owner};
use siltstone_store::{KeyRange, RangeLimit, Snapshot};

use super::{Violation, fail};
use crate::sim::clients::members::{Group, Speaks};
use crate::sim::oracle::at_once;
use crate::sim::setup;
use crate::sim::world::World;

const OWNERS: &str = "one owner";
const OFFSETS: &str = "committed offsets";
const MEMBERS: &str = "members that live";

/// What is known of one group.
#[derive(Debug, Default)]
pub(in crate::sim) struct Known {
    coordinator: Option<(RegistrationId, u64)>,
    /// Since when another agent than before coordinates it.
    coordinated: Duration,
    generation: i32,
    /// Who has a partition in a generation or epoch.
    owners: BTreeMap<(i32, PartitionId), String>,
    /// As rows last said.
    offsets: BTreeMap<PartitionId, i64>,
    /// Answered as committed.
    promised: BTreeMap<PartitionId, i64>,
    /// When members were last heard of, by a group at rest. Those that left of themselves are not in it.
    heard: BTreeMap<String, Duration>,
    /// Members that have rows.
    members: BTreeSet<String>,
}

impl Known {
    /// Rows or an answer say that the member has the partition.
    fn owns(&mut self, generation: i32, partition: PartitionId, member: &str) -> Result<(), Violation> {
        let owner = self.owners.entry((generation, partition)).or_insert_with(|| member.to_owned());
        if owner == member {
            return Ok(());
        }
        fail(OWNERS, format!("{partition:?} is {owner}'s and {member}'s in generation {generation}"))
    }

    /// What any later reader must find at least.
    pub(in crate::sim) fn promised(&self, partition: PartitionId) -> i64 {
        self.promised.get(&partition).copied().unwrap_or(0)
    }
}

/// A member was told what it has.
pub(in crate::sim) fn told(
    world: &World,
    group: Group,
    generation: i32,
    member: &str,
    partitions: impl IntoIterator<Item = PartitionId>,
) -> Result<(), Violation> {
    if group.speaks == Speaks::Both {
        return Ok(());
    }
    let mut all = world.groups.borrow_mut();
    let known = all.entry(group.name).or_default();
    partitions.into_iter().try_for_each(|partition| known.owns(generation, partition, member))
}

/// A commit was answered as done.
pub(in crate::sim) fn committed(
    world: &World,
    group: Group,
    partition: PartitionId,
    offset: i64,
) -> Result<(), Violation> {
    let mut all = world.groups.borrow_mut();
    let promised = all.entry(group.name).or_default().promised.entry(partition).or_default();
    *promised = (*promised).max(offset);
    let row = at_once(world.store.peek().get(&group_offset::key(group.name, partition)));
    let row = row.ok().flatten().and_then(|bytes| OffsetRow::decode(&bytes).ok());
    if row.as_ref().is_some_and(|row| row.offset >= offset) {
        return Ok(());
    }
    fail(OFFSETS, format!("{offset} of {partition:?} was answered as committed, the row is {row:?}"))
}

/// An answer says what is committed.
pub(in crate::sim) fn found(partition: PartitionId, least: i64, found: i64) -> Result<(), Violation> {
    if found >= least {
        return Ok(());
    }
    fail(OFFSETS, format!("{least} of {partition:?} was committed, {found} is found"))
}

/// What the member sent at `sent` was answered as by a group at rest. One who was paused and is no coordinator any more may answer so once, from memory,
/// before it finds out: then nobody who counts has heard it.
pub(in crate::sim) fn heard(
    world: &World,
    group: Group,
    member: &str,
    sent: Duration,
    by: Option<RegistrationId>,
) {
    let owner = at_once(world.store.peek().get(&group_owner::key(group.name))).ok().flatten();
    let holder = owner.as_deref().and_then(decode_owner).map(|(holder, _)| holder);
    if by.is_some() && by == holder {
        let mut all = world.groups.borrow_mut();
        all.entry(group.name).or_default().heard.insert(member.to_owned(), sent);
    }
}

/// The member is about to leave of itself.
pub(in crate::sim) fn leaves(world: &World, group: Group, member: &str) {
    let mut all = world.groups.borrow_mut();
    all.entry(group.name).or_default().heard.remove(member);
}

/// Whoever has no row any more was put out: silent for a session's time, or slow to join again for as long, as its coordinator counts. `since` is when
/// the coordinator that did it took over, or earlier.
fn put_out(known: &mut Known, now: BTreeSet<String>, since: Duration, at: Duration) -> Result<(), Violation> {
    for member in known.members.difference(&now) {
        let Some(heard) = known.heard.remove(member) else { continue };
        if at < heard.max(since) + setup::SESSION {
            let what = format!("{member} is put out at {at:?}, last heard of at {heard:?}");
            return fail(MEMBERS, format!("{what}; its coordinator took over at {since:?}"));
        }
    }
    known.members = now;
    Ok(())
}

/// Looks at all groups' rows.
pub(in crate::sim) fn rows(world: &World) -> Result<(), Violation> {
    let snapshot = world.store.peek();
    let mut all = world.groups.borrow_mut();
    for group in world.plan_of_groups() {
        let known = all.entry(group.name).or_default();
        // If another takes over within this step, it may still have been the one before.
        let since = known.coordinated;
        coordinator(world, snapshot.as_ref(), group, known)?;
        offsets(snapshot.as_ref(), group, known)?;
        let now = members(snapshot.as_ref(), group, known, world.grouped.get())?;
        put_out(known, now, since, world.elapsed())?;
    }
    Ok(())
}

fn coordinator(
    world: &World,
    snapshot: &dyn Snapshot,
    group: Group,
    known: &mut Known,
) -> Result<(), Violation> {
    let owner = at_once(snapshot.get(&group_owner::key(group.name))).ok().flatten();
    let Some((holder, takeovers)) = owner.as_deref().and_then(decode_owner) else { return Ok(()) };
    let before = known.coordinator.replace((holder, takeovers));
    if before.is_none_or(|(old, _)| old != holder) {
        known.coordinated = world.elapsed();
        world.count(|counts| counts.takeovers += 1);
    }
    match before {
        Some((_, old)) if old > takeovers => fail("S10", format!("takeover {takeovers} follows {old}")),
        Some((old, same)) if same == takeovers && old != holder => {
            fail("S10", format!("{old:?} and {holder:?} hold {} in takeover {same}", group.name))
        }
        _ => Ok(()),
    }
}

fn entries(snapshot: &dyn Snapshot, range: &KeyRange) -> Vec<(Bytes, Bytes)> {
    let page = at_once(snapshot.range(range, RangeLimit { entries: 10_000, bytes: 1 << 20, reverse: false }));
    page.map(|page| page.entries).unwrap_or_default()
}

fn offsets(snapshot: &dyn Snapshot, group: Group, known: &mut Known) -> Result<(), Violation> {
    for (key, value) in entries(snapshot, &group_offset::of(group.name)) {
        let (Some(partition), Ok(row)) = (group_offset::parse(&key), OffsetRow::decode(&value)) else {
            return fail(OFFSETS, format!("a row of {} can't be read", group.name));
        };
        let before = known.offsets.insert(partition, row.offset).unwrap_or(0);
        if row.offset < before || row.offset < known.promised(partition) {
            let promised = known.promised(partition);
            let what = format!("{partition:?} of {} goes from {before} to {}", group.name, row.offset);
            return fail(OFFSETS, format!("{what}, {promised} was promised"));
        }
    }
    Ok(())
}

fn members(
    snapshot: &dyn Snapshot,
    group: Group,
    known: &mut Known,
    topic: Option<TopicId>,
) -> Result<BTreeSet<String>, Violation> {
    let head = at_once(snapshot.get(&group_head::key(group.name))).ok().flatten();
    let Some(head) = head else { return Ok(BTreeSet::new()) };
    let Ok(head) = GroupHeadRow::decode(&head) else { return Err(unreadable("head")) };
    let generation = match &head {
        GroupHeadRow::Classic(head) => head.generation,
        GroupHeadRow::Consumer(head) => head.epoch,
    };
    let pure = group.speaks != Speaks::Both;
    if pure && generation < known.generation {
        let what = format!("{} goes from generation {} to {generation}", group.name, known.generation);
        return Err(Violation { invariant: OWNERS, what });
    }
    known.generation = generation;
    let (mut taken, mut found) = (BTreeMap::new(), BTreeSet::new());
    for (key, value) in entries(snapshot, &group_member::of(group.name)) {
        let Some(member) = group_member::parse(&key) else { return Err(unreadable("key")) };
        let (epoch, owned, giving_up) = match &head {
            GroupHeadRow::Classic(_) => (generation, classic(&value, topic)?, Vec::new()),
            GroupHeadRow::Consumer(_) => consumer(&value)?,
        };
        for partition in owned.iter().chain(&giving_up).copied() {
            if let Some(other) = taken.insert(partition, member.clone()) {
                let what = format!("{partition:?} is {other}'s and {member}'s in {}", group.name);
                return Err(Violation { invariant: OWNERS, what });
            }
        }
        if pure {
            owned.into_iter().try_for_each(|partition| known.owns(epoch, partition, &member))?;
        }
        found.insert(member);
    }
    Ok(found)
}

fn unreadable(what: &str) -> Violation {
    Violation { invariant: OWNERS, what: format!("a {what} that can't be read") }
}

fn classic(row: &Bytes, topic: Option<TopicId>) -> Result<Vec<PartitionId>, Violation> {
    match ClassicMemberRow::decode(row) {
        Ok(row) => Ok(assigned(&row.assignment, topic)),
        Err(error) => Err(Violation { invariant: OWNERS, what: error.to_string() }),
    }
}

type Owned = (i32, Vec<PartitionId>, Vec<PartitionId>);

fn consumer(row: &Bytes) -> Result<Owned, Violation> {
    match ConsumerMemberRow::decode(row) {
        Ok(row) => Ok((row.epoch, flat(&row.assigned), flat(&row.revoking))),
        Err(error) => Err(Violation { invariant: OWNERS, what: error.to_string() }),
    }
}

/// All partitions, one by one.
pub(in crate::sim) fn flat(partitions: &Partitions) -> Vec<PartitionId> {
    let each = partitions.iter().flat_map(|(topic, some)| some.iter().map(|index| (*topic, *index)));
    each.map(|(topic, index)| PartitionId { topic, index }).collect()
}

/// What an assignment of the classic protocol gives; all of it is of one topic.
pub(in crate::sim) fn assigned(bytes: &Bytes, topic: Option<TopicId>) -> Vec<PartitionId> {
    let Some(topic) = topic else { return Vec::new() };
    let Ok((_, read)) = versioned::decode::<ConsumerProtocolAssignment>(bytes) else { return Vec::new() };
    let indices = read.assigned_partitions.iter().flat_map(|topic| topic.partitions.iter().copied());
    indices.filter_map(|index| u32::try_from(index).ok()).map(|index| PartitionId { topic, index }).collect()
}
