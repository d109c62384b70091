//! The `range` assignor: contiguous ranges of each topic, in one order of members for all topics.

use std::collections::BTreeMap;

use siltstone_log::{Partitions, TopicId};

use super::{Assignment, Group};

/// How far a topic has been handed out.
struct Cut {
    partitions: u32,
    least: u32,
    extras: u32,
    next: u32,
}

impl Cut {
    fn new(partitions: u32, subscribers: u32) -> Self {
        let subscribers = subscribers.max(1);
        Cut { partitions, least: partitions / subscribers, extras: partitions % subscribers, next: 0 }
    }

    fn take(&mut self) -> std::ops::Range<u32> {
        let extra = u32::from(self.extras > 0);
        self.extras -= extra;
        let end = self.next.saturating_add(self.least + extra).min(self.partitions);
        std::mem::replace(&mut self.next, end)..end
    }
}

/// Members in one order for all topics: static ones by instance id, so that a restarted one gets the same ranges, then the
/// others by member id.
fn ordered<'a>(group: &Group<'a>) -> Vec<&'a str> {
    let mut members: Vec<&str> = group.members.keys().copied().collect();
    members.sort_by_key(|id| {
        let instance = group.members.get(id).and_then(|member| member.instance);
        (instance.is_none(), instance, *id)
    });
    members
}

pub(super) fn assign(group: &Group<'_>) -> Assignment {
    let mut subscribers: BTreeMap<TopicId, u32> = BTreeMap::new();
    for topic in group.members.values().flat_map(|member| member.topics) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let cut = |(topic, count): (&TopicId, &u32)| {
        (*topic, Cut::new(*count, subscribers.get(topic).copied().unwrap_or(0)))
    };
    let mut cuts: BTreeMap<TopicId, Cut> = group.topics.iter().map(cut).collect();
    let mut assignment = Assignment::new();
    for id in ordered(group) {
        let mut own = Partitions::new();
        for topic in group.members.get(id).into_iter().flat_map(|member| member.topics) {
            let range = cuts.get_mut(topic).map(Cut::take).unwrap_or_default();
            if !range.is_empty() {
                own.insert(*topic, range.collect());
            }
        }
        assignment.insert(id.to_owned(), own);
    }
    assignment
}
