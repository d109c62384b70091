//! The `uniform` assignor: balance first, then as few moves as that allows.
//!
//! Three steps: keep what may be kept; give what is free to the least loaded subscriber, topic by topic; move partitions from
//! more to less loaded members until no move helps. Where all members subscribe to the same topics, members that have the
//! most keep the extra partition, and the result is within one partition of equal. With mixed subscriptions see `balance`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use siltstone_log::{Partitions, TopicId};

use super::{Assignment, Group, balance};

/// The group with members and topics as indices: what the balancing works on.
pub(super) struct Board {
    /// Per topic, the members that subscribe to it, ascending.
    pub(super) subscribers: Vec<Vec<usize>>,
    /// Per topic and member, the partitions that the member holds. No entry is empty.
    pub(super) held: Vec<BTreeMap<usize, BTreeSet<u32>>>,
    /// Per member, the topics of which it holds partitions.
    pub(super) topics_of: Vec<BTreeSet<usize>>,
    /// Per member, how many partitions it holds.
    pub(super) load: Vec<usize>,
}

impl Board {
    fn new(members: usize, topics: usize) -> Self {
        Board {
            subscribers: vec![Vec::new(); topics],
            held: vec![BTreeMap::new(); topics],
            topics_of: vec![BTreeSet::new(); members],
            load: vec![0; members],
        }
    }

    pub(super) fn give(&mut self, topic: usize, partition: u32, member: usize) {
        if self.held[topic].entry(member).or_default().insert(partition) {
            self.topics_of[member].insert(topic);
            self.load[member] += 1;
        }
    }

    /// Moves one partition of the topic, the last that `from` has; false if it has none.
    pub(super) fn shift(&mut self, topic: usize, from: usize, to: usize) -> bool {
        let Some(partitions) = self.held[topic].get_mut(&from) else { return false };
        let Some(partition) = partitions.pop_last() else { return false };
        if partitions.is_empty() {
            self.held[topic].remove(&from);
            self.topics_of[from].remove(&topic);
        }
        self.load[from] -= 1;
        self.give(topic, partition, to);
        true
    }

    /// Gives each free partition to the subscriber that has the least.
    fn fill(&mut self, topic: usize, free: &[u32]) {
        let subscribers = self.subscribers[topic].iter();
        let mut least: BinaryHeap<Reverse<(usize, usize)>> =
            subscribers.map(|member| Reverse((self.load[*member], *member))).collect();
        for partition in free {
            let Some(Reverse((load, member))) = least.pop() else { return };
            self.give(topic, *partition, member);
            least.push(Reverse((load + 1, member)));
        }
    }
}

pub(super) fn assign(group: &Group<'_>) -> Assignment {
    let topics: Vec<(TopicId, u32)> = group.topics.iter().map(|(id, count)| (*id, *count)).collect();
    let index: BTreeMap<TopicId, usize> = topics.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
    let mut board = Board::new(group.members.len(), topics.len());
    for (member, (_, subscriber)) in group.members.iter().enumerate() {
        for topic in subscriber.topics.iter().filter_map(|id| index.get(id)) {
            board.subscribers[*topic].push(member);
        }
    }
    let mut free = keep(group, &topics, &index, &mut board);
    let mut order: Vec<usize> = (0..topics.len()).filter(|topic| !free[*topic].is_empty()).collect();
    // The topics with the fewest choices first, so that those with many can even out.
    order.sort_by_key(|topic| (board.subscribers[*topic].len(), *topic));
    for topic in order {
        board.fill(topic, &std::mem::take(&mut free[topic]));
    }
    balance::balance(&mut board);
    result(group, &topics, &board)
}

/// Puts what members have and may keep on the board, and answers what is free, per topic.
fn keep(
    group: &Group<'_>,
    topics: &[(TopicId, u32)],
    index: &BTreeMap<TopicId, usize>,
    board: &mut Board,
) -> Vec<Vec<u32>> {
    let mut taken: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); topics.len()];
    for (member, (_, subscriber)) in group.members.iter().enumerate() {
        for (id, partitions) in subscriber.current.iter().filter(|(id, _)| subscriber.topics.contains(id)) {
            let Some(topic) = index.get(id).copied() else { continue };
            for partition in partitions.range(..topics[topic].1) {
                if taken[topic].insert(*partition) {
                    board.give(topic, *partition, member);
                }
            }
        }
    }
    let free = |(topic, (_, count)): (usize, &(TopicId, u32))| {
        (0..*count).filter(|partition| !taken[topic].contains(partition)).collect()
    };
    topics.iter().enumerate().map(free).collect()
}

fn result(group: &Group<'_>, topics: &[(TopicId, u32)], board: &Board) -> Assignment {
    let mut owned: Vec<Partitions> = vec![Partitions::new(); group.members.len()];
    for (topic, holders) in board.held.iter().enumerate() {
        for (member, partitions) in holders {
            owned[*member].insert(topics[topic].0, partitions.clone());
        }
    }
    group.members.keys().map(|id| (*id).to_owned()).zip(owned).collect()
}
