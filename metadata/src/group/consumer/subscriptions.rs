//! What members subscribe to, and which topics that is.
//!
//! Members mostly share a subscription, so that each different one is resolved once: when a member has it first, and whenever
//! the catalog has moved. Patterns are compiled to be resolved and not kept, so that they take no memory meanwhile. What a pattern
//! resolves to is not kept in rows either: the digest in the group's head says whether it is still the same.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{ConsumerMemberRow, Position, TopicId, mix64};

use super::pattern;
use crate::catalog::CatalogState;

/// Names, and a pattern.
type Subscription = (BTreeSet<String>, Option<String>);

#[derive(Debug, Clone, Default)]
struct Resolved {
    members: usize,
    topics: Option<BTreeSet<TopicId>>,
}

/// All subscriptions of a group.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<Subscription, Resolved>,
    position: Option<Position>,
}

const NOTHING: &BTreeSet<TopicId> = &BTreeSet::new();

fn subscription(row: &ConsumerMemberRow) -> Subscription {
    (row.topics.clone(), row.regex.clone())
}

impl Subscriptions {
    pub(super) fn add(&mut self, row: &ConsumerMemberRow) {
        self.all.entry(subscription(row)).or_default().members += 1;
    }

    pub(super) fn remove(&mut self, row: &ConsumerMemberRow) {
        let subscription = subscription(row);
        let Some(resolved) = self.all.get_mut(&subscription) else { return };
        resolved.members = resolved.members.saturating_sub(1);
        if resolved.members == 0 {
            self.all.remove(&subscription);
        }
    }

    /// Whether all was resolved against this catalog.
    pub(super) fn is_current(&self, catalog: &CatalogState) -> bool {
        self.position == Some(catalog.position())
    }

    /// Resolves what is not, or all if the catalog has moved.
    pub(super) fn resolve(&mut self, catalog: &CatalogState) {
        let moved = !self.is_current(catalog);
        self.position = Some(catalog.position());
        for ((names, regex), resolved) in &mut self.all {
            if moved || resolved.topics.is_none() {
                resolved.topics = Some(resolve(names, regex.as_deref(), catalog));
            }
        }
    }

    /// The topics that a member subscribes to, as of the last [`resolve`](Self::resolve).
    pub(super) fn topics(&self, row: &ConsumerMemberRow) -> &BTreeSet<TopicId> {
        self.all.get(&subscription(row)).and_then(|resolved| resolved.topics.as_ref()).unwrap_or(NOTHING)
    }

    /// All topics that anybody subscribes to, and how many partitions each has.
    pub(super) fn union(&self, catalog: &CatalogState) -> BTreeMap<TopicId, u32> {
        let topics = self.all.values().filter_map(|resolved| resolved.topics.as_ref()).flatten();
        topics.filter_map(|id| Some((*id, catalog.by_id(*id)?.partitions))).collect()
    }

    /// Changes when a subscribed topic comes, goes or grows, or a pattern comes to mean other topics.
    pub(super) fn digest(&self, catalog: &CatalogState) -> u64 {
        // Each part goes through the mixer before the next is added: ids that differ little must not make up for other counts.
        let fold = |id: &TopicId, with: u64| mix64(mix64(mix64((id.0 >> 64) as u64) ^ id.0 as u64) ^ with);
        let topics = self.union(catalog);
        let mut digest =
            topics.iter().fold(0, |sum: u64, (id, count)| sum.wrapping_add(fold(id, u64::from(*count))));
        for ((_, regex), resolved) in &self.all {
            let Some(regex) = regex else { continue };
            let seed = regex.bytes().fold(1, |hash, byte| mix64(hash ^ u64::from(byte)));
            for id in resolved.topics.iter().flatten() {
                digest = digest.wrapping_add(fold(id, seed));
            }
        }
        digest
    }

    /// Whether anybody subscribes to the topic.
    pub(super) fn contains(&self, name: &str, id: Option<TopicId>) -> bool {
        let found = |resolved: &Resolved| {
            id.is_some_and(|id| resolved.topics.as_ref().is_some_and(|t| t.contains(&id)))
        };
        self.all.iter().any(|((names, _), resolved)| names.contains(name) || found(resolved))
    }
}

fn resolve(names: &BTreeSet<String>, regex: Option<&str>, catalog: &CatalogState) -> BTreeSet<TopicId> {
    let mut topics: BTreeSet<TopicId> =
        names.iter().filter_map(|name| catalog.topic(name)).map(|topic| topic.id).collect();
    // A pattern from a row that this program can't read matches nothing, as one that is not resolved yet.
    if let Some(Ok(pattern)) = regex.map(pattern::compile) {
        let all = catalog.topics().values();
        topics.extend(all.filter(|topic| pattern.is_match(&topic.name)).map(|topic| topic.id));
    }
    topics
}
