//! Leading one member to its target (KIP-848): give up first, then pass to the target's epoch, then take what is free.
//!
//! A member is *stable* in its epoch; *unrevoked* while it has partitions to give up, which it does by no longer reporting them, and which keeps
//! it in its epoch; *unreleased* when it is in the target's epoch and waits for what others have yet to give up.

use std::collections::BTreeSet;

use siltstone_log::{ConsumerMemberRow, ConsumerMemberState, Partitions, TopicId};

/// What a step is judged by.
pub(super) struct Facts<'a> {
    /// The epoch of the target.
    pub(super) target_epoch: i32,
    /// What the member subscribes to. It never owns anything else, whatever its target says.
    pub(super) subscribed: &'a BTreeSet<TopicId>,
    /// Whether that has just changed.
    pub(super) subscription_changed: bool,
    /// What the member says it owns, if it says so.
    pub(super) owned: Option<&'a Partitions>,
    /// Whether nobody but the member owns a partition.
    pub(super) free: &'a dyn Fn(TopicId, u32) -> bool,
}

impl Facts<'_> {
    /// Whether the member may still own some of these.
    fn owns_any(&self, partitions: &Partitions) -> bool {
        let Some(owned) = self.owned else { return true };
        partitions.iter().any(|(topic, some)| owned.get(topic).is_some_and(|own| !own.is_disjoint(some)))
    }
}

/// The member's next step, or `None` if it stays as it is.
pub(super) fn step(member: &ConsumerMemberRow, facts: &Facts<'_>) -> Option<ConsumerMemberRow> {
    let waits = match member.state {
        ConsumerMemberState::Stable => member.epoch == facts.target_epoch,
        ConsumerMemberState::Unrevoked => facts.owns_any(&member.revoking),
        ConsumerMemberState::Unreleased => false,
    };
    let next = match (waits, facts.subscription_changed) {
        (true, false) => return None,
        (true, true) => strip(member, facts)?,
        (false, _) => advance(member, facts),
    };
    (next != *member).then_some(next)
}

/// Takes away what the member does not subscribe to any more, without waiting for a new target.
fn strip(member: &ConsumerMemberRow, facts: &Facts<'_>) -> Option<ConsumerMemberRow> {
    let gone = |topic: &TopicId| !facts.subscribed.contains(topic);
    if !member.assigned.keys().any(gone) {
        return None;
    }
    let mut next = member.clone();
    let (lost, kept) = std::mem::take(&mut next.assigned).into_iter().partition(|(topic, _)| gone(topic));
    next.assigned = kept;
    merge(&mut next.revoking, lost);
    if facts.owns_any(&next.revoking) {
        next.state = ConsumerMemberState::Unrevoked;
    } else {
        // All given up before it was asked.
        next.revoking.clone_from(&member.revoking);
    }
    Some(next)
}

fn merge(into: &mut Partitions, from: Partitions) {
    for (topic, mut partitions) in from {
        into.entry(topic).or_default().append(&mut partitions);
    }
}

fn advance(member: &ConsumerMemberRow, facts: &Facts<'_>) -> ConsumerMemberRow {
    let mut next = member.clone();
    let split = Split::new(member, facts);
    next.assigned = split.keep;
    if facts.owns_any(&split.revoke) && !split.revoke.is_empty() {
        next.state = ConsumerMemberState::Unrevoked;
        next.revoking = split.revoke;
        return next;
    }
    merge(&mut next.assigned, split.gain);
    next.revoking.clear();
    if next.epoch != facts.target_epoch {
        next.previous_epoch = std::mem::replace(&mut next.epoch, facts.target_epoch);
    }
    next.state = if split.waiting { ConsumerMemberState::Unreleased } else { ConsumerMemberState::Stable };
    next
}

/// What the target means for a member.
#[derive(Default)]
struct Split {
    keep: Partitions,
    revoke: Partitions,
    gain: Partitions,
    /// Something of the target belongs to somebody else.
    waiting: bool,
}

impl Split {
    fn new(member: &ConsumerMemberRow, facts: &Facts<'_>) -> Self {
        let mut split = Split::default();
        let target = |topic: &TopicId| member.target.get(topic).filter(|_| facts.subscribed.contains(topic));
        for (topic, assigned) in &member.assigned {
            let keeps = |partition: &u32| target(topic).is_some_and(|target| target.contains(partition));
            for partition in assigned {
                let side = if keeps(partition) { &mut split.keep } else { &mut split.revoke };
                side.entry(*topic).or_default().insert(*partition);
            }
        }
        for (topic, partitions) in member.target.iter().filter(|(topic, _)| target(topic).is_some()) {
            let assigned = member.assigned.get(topic);
            for partition in
                partitions.iter().filter(|p| !assigned.is_some_and(|assigned| assigned.contains(p)))
            {
                if (facts.free)(*topic, *partition) {
                    split.gain.entry(*topic).or_default().insert(*partition);
                } else {
                    split.waiting = true;
                }
            }
        }
        split
    }
}
