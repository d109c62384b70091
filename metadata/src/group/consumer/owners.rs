//! Who owns which partition now. The one place that a partition can't have two owners.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_log::{ConsumerMemberRow, TopicId};

/// A partition would have two owners. From rows it means that they are corrupt; from a request, that this program has a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} of topic {topic} would be owned by {new} and is owned by {old}")]
pub struct TwoOwners {
    /// The topic.
    pub topic: TopicIdText,
    /// The partition.
    pub partition: u32,
    /// Its owner.
    pub old: String,
    /// Who would own it too.
    pub new: String,
}

/// A topic's id, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicIdText(pub TopicId);

impl std::fmt::Display for TopicIdText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0.0)
    }
}

/// Owners by partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    topics: BTreeMap<TopicId, BTreeMap<u32, Arc<str>>>,
}

/// What a member owns: what it may keep, and what it has yet to give up.
fn owned(row: &ConsumerMemberRow) -> impl Iterator<Item = (TopicId, u32)> {
    let both = row.assigned.iter().chain(&row.revoking);
    both.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}

impl Owners {
    pub(super) fn of(&self, topic: TopicId, partition: u32) -> Option<&Arc<str>> {
        self.topics.get(&topic)?.get(&partition)
    }

    /// Whether the member may have the partition: nobody else owns it.
    pub(super) fn free_for(&self, member: &str, topic: TopicId, partition: u32) -> bool {
        self.of(topic, partition).is_none_or(|owner| &**owner == member)
    }

    /// The member owned `old` and owns `new` from now on. Nothing changes if that can't be.
    pub(super) fn replace(
        &mut self,
        member: &str,
        old: Option<&ConsumerMemberRow>,
        new: &ConsumerMemberRow,
    ) -> Result<(), TwoOwners> {
        if old.is_some_and(|old| old.assigned == new.assigned && old.revoking == new.revoking) {
            return Ok(());
        }
        if let Some((topic, partition)) = owned(new).find(|(t, p)| !self.free_for(member, *t, *p)) {
            let old = self.of(topic, partition).map(|owner| owner.to_string()).unwrap_or_default();
            return Err(TwoOwners { topic: TopicIdText(topic), partition, old, new: member.to_owned() });
        }
        if let Some(old) = old {
            self.release(member, old);
        }
        let member: Arc<str> = member.into();
        for (topic, partition) in owned(new) {
            self.topics.entry(topic).or_default().insert(partition, member.clone());
        }
        Ok(())
    }

    /// The member is gone.
    pub(super) fn release(&mut self, member: &str, row: &ConsumerMemberRow) {
        for (topic, partition) in owned(row) {
            let Some(partitions) = self.topics.get_mut(&topic) else { continue };
            if partitions.get(&partition).is_some_and(|owner| &**owner == member) {
                partitions.remove(&partition);
            }
            if partitions.is_empty() {
                self.topics.remove(&topic);
            }
        }
    }
}
