//! Which agent clients are sent to: for a partition by its shard, for a group or a transactional id by its name.
//!
//! Rendezvous hashing over node ids: agents that see the same others give the same answer, and when one comes or goes only
//! what it had or gets moves. It is advice: any agent takes any write, serves any read, and a group's lease says who
//! coordinates it. Pure.
//!
//! Zones and weights are not looked at yet.

use siltstone_log::{PartitionId, RegistrationRow, ShardId, mix64, shard_of};
use siltstone_metadata::lease::Member;

/// The agent with the greatest hash for `key`.
fn chosen(agents: &[Member], key: u64) -> Option<&RegistrationRow> {
    let score = |agent: &&RegistrationRow| (mix64(key ^ mix64(u64::from(agent.node))), agent.node);
    agents.iter().map(|agent| &agent.row).max_by_key(score)
}

/// The agent to ask for what has this name first: a group, a transactional id.
pub fn coordinator<'a>(agents: &'a [Member], name: &str) -> Option<&'a RegistrationRow> {
    let key = name.bytes().fold(0, |key: u64, byte| mix64(key ^ u64::from(byte)));
    chosen(agents, mix64(key))
}

/// The leader of every shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaders {
    /// Node ids by shard.
    nodes: Vec<i32>,
}

impl Leaders {
    /// The leaders of so many shards among these agents.
    pub fn new(agents: &[Member], shards: u16) -> Self {
        let leader = |shard: u16| chosen(agents, mix64(u64::from(shard))).map_or(-1, node);
        Leaders { nodes: (0..shards).map(leader).collect() }
    }

    /// The leader of a partition, by node id; -1 if there is no agent.
    pub fn of(&self, partition: PartitionId) -> i32 {
        let shards = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let ShardId(shard) = shard_of(partition, shards);
        self.nodes.get(usize::from(shard)).copied().unwrap_or(-1)
    }
}

/// An agent's node id, as Kafka writes it.
pub fn node(agent: &RegistrationRow) -> i32 {
    i32::try_from(agent.node).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use siltstone_log::{RegistrationId, Role, Standing, TopicId};

    use super::*;

    fn agents(nodes: impl IntoIterator<Item = u32>) -> Vec<Member> {
        let agent = |node| RegistrationRow {
            id: RegistrationId(u128::from(node) * 7),
            node,
            started: 0,
            zone: String::new(),
            host: format!("host{node}"),
            port: 9092,
            lowest_level: 1,
            highest_level: u32::MAX,
            role: Role::Agent,
            listeners: Vec::new(),
            peer: None,
        };
        let member = |row| Member { row, standing: Standing::FULL };
        nodes.into_iter().map(agent).map(member).collect()
    }

    #[test]
    fn shards_are_spread_and_only_those_of_who_goes_move() {
        let four = Leaders::new(&agents([1, 2, 3, 4]), 256);
        for node in 1..=4 {
            let count = four.nodes.iter().filter(|leader| **leader == node).count();
            assert!((40..=90).contains(&count), "agent {node} leads {count} of 256 shards");
        }
        let three = Leaders::new(&agents([4, 2, 1]), 256);
        for (before, after) in four.nodes.iter().zip(&three.nodes) {
            assert!(before == after || *before == 3, "{before} to {after}");
        }
        assert!(!three.nodes.contains(&3));
    }

    #[test]
    fn partitions_go_by_their_shard() {
        let leaders = Leaders::new(&agents([5, 9]), 16);
        let partition = |index| PartitionId { topic: TopicId(77), index };
        assert_eq!(leaders.of(partition(3)), leaders.of(partition(19)));
        assert!([5, 9].contains(&leaders.of(partition(3))));
        assert_eq!(Leaders::new(&[], 16).of(partition(0)), -1);
    }

    #[test]
    fn names_are_spread() {
        let three = agents([1, 2, 3]);
        let of = |name: &str| coordinator(&three, name).map(|agent| agent.node);
        let nodes: std::collections::BTreeSet<_> = (0..50).map(|n| of(&format!("group-{n}"))).collect();
        assert_eq!(nodes.len(), 3);
        assert_eq!(of("a"), of("a"));
    }
}
