//! Which agents clients are sent to: for a partition by its shard, for a group or a transactional id by its name (design, section 6).
//!
//! Guarantees: agents that see the same others give the same answer; every partition has one replica in each zone, and its leader for a client is
//! the one in the client's zone, else one that all agree on; when an agent comes, goes, or changes its weight, only what it gets or gives
//! up moves. Who drains is left out; who stands back leads nothing where others can. It is advice: any agent takes any write, serves any read, and a
//! group's lease says who coordinates it. Pure.

pub mod score;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use siltstone_log::{PartitionId, RegistrationRow, ShardId, Standing, mix64, shard_of};
use siltstone_metadata::lease::Member;

use score::{Chance, Score};

/// An agent as clients of one listener see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Kafka's node id.
    pub node: i32,
    /// Where they connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Its zone, if it has one.
    pub zone: Option<String>,
}

/// A broker that competes, and its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Competitor {
    /// Its place in the list of brokers.
    index: usize,
    node: u32,
    weight: u16,
}

/// Which agent does what, for clients of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// By node id.
    brokers: Vec<Broker>,
    /// Which of them clients take for the controller.
    controller: Option<usize>,
    /// Those that want a share, by zone, those that weigh the same together: at least one in each. Who is left out of them is listed all the same, as what
    /// it holds can be read there.
    zones: Vec<Vec<Competitor>>,
    /// By shard: from each zone those that share its partitions, one mostly. The zone that is first leads clients of no zone.
    shards: Vec<Vec<Vec<Competitor>>>,
}

impl Placement {
    /// The placement of so many shards among the agents that have this listener. Who drains leads and coordinates nothing, unless nobody else is there;
    /// it is listed as long as it lives, as with Kafka: it may have groups yet, and librdkafka 2.16 lets go of a broker that is listed no more, whatever
    /// it has to ask of it, so that a commit of offsets waits for its time-out.
    pub fn new(agents: &[Member], listener: &str, shards: u16) -> Self {
        let reached = |agent: &&Member| agent.row.listener(listener).is_some();
        let stays = agents.iter().filter(reached).any(|agent| !agent.standing.drains());
        let listed: Vec<&Member> = agents.iter().filter(reached).collect();
        let goes = |agent: &Member| stays && agent.standing.drains();
        let able = listed.iter().any(|agent| !goes(agent) && !agent.standing.stands_back());
        let mut zones: BTreeMap<&str, Vec<Competitor>> = BTreeMap::new();
        for (index, agent) in listed.iter().enumerate() {
            let Member { row, standing } = agent;
            if goes(agent) || (able && standing.stands_back()) {
                continue;
            }
            let weight = if stays { standing.weight() } else { Standing::FULL.weight() };
            zones.entry(&row.zone).or_default().push(Competitor { index, node: row.node, weight });
        }
        let controller = listed.iter().position(|agent| !goes(agent));
        let brokers = listed.iter().filter_map(|agent| broker(&agent.row, listener)).collect();
        let mut zones: Vec<Vec<Competitor>> = zones.into_values().collect();
        zones.iter_mut().for_each(|zone| zone.sort_by_key(|competitor| competitor.weight));
        let shards = (0..shards).map(|shard| leaders(&zones, shard, shards)).collect();
        Placement { brokers, controller, zones, shards }
    }

    /// The agents that clients are told of, by node id.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Whom clients are to take for the controller: any agent will do that stays.
    pub fn controller(&self) -> Option<&Broker> {
        self.brokers.get(self.controller?)
    }

    /// The agents that stand for a partition, one in each zone. The first is the leader of clients whose zone has none, or is not known.
    pub fn replicas(&self, partition: PartitionId) -> impl Iterator<Item = &Broker> {
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        let ShardId(shard) = shard_of(partition, shards.max(1));
        let zones = self.shards.get(usize::from(shard)).into_iter().flatten();
        zones.filter_map(move |sharing| self.brokers.get(of_partition(sharing, partition)?.index))
    }

    /// The agent that stands for a partition in a zone, if the zone has any.
    pub fn replica_in(&self, partition: PartitionId, zone: &str) -> Option<&Broker> {
        self.replicas(partition).find(|broker| broker.zone.as_deref() == Some(zone))
    }

    /// The agent that a client in this zone is to send a partition's requests to; `None` if there is no agent at all.
    pub fn leader(&self, partition: PartitionId, zone: Option<&str>) -> Option<&Broker> {
        let near = zone.and_then(|zone| self.replica_in(partition, zone));
        near.or_else(|| self.replicas(partition).next())
    }

    /// The shards of which some partition has this agent for one of its replicas, or may have.
    pub fn stands(&self, node: u32) -> Vec<ShardId> {
        let stands = |zones: &[Vec<Competitor>]| zones.iter().flatten().any(|one| one.node == node);
        let shards = (0..).map(ShardId).zip(&self.shards);
        shards.filter(|(_, zones)| stands(zones)).map(|(shard, _)| shard).collect()
    }

    /// The agent to ask for what has this name first: a group, a transactional id.
    pub fn coordinator(&self, name: &str) -> Option<&Broker> {
        let key = mix64(name.bytes().fold(0, |key: u64, byte| mix64(key ^ u64::from(byte))));
        let bests = self.zones.iter().filter_map(|zone| best(zone, key));
        self.brokers.get(bests.max_by_key(|(score, _)| *score)?.1.index)
    }
}

/// An agent as clients of this listener see it; `None` if it has no such listener.
pub fn broker(row: &RegistrationRow, listener: &str) -> Option<Broker> {
    let (host, port) = row.listener(listener)?;
    let zone = Some(row.zone.clone()).filter(|zone| !zone.is_empty());
    Some(Broker { node: node(row), host: host.to_owned(), port, zone })
}

/// An agent's node id, as Kafka writes it.
pub fn node(agent: &RegistrationRow) -> i32 {
    i32::try_from(agent.node).unwrap_or(i32::MAX)
}

/// From each zone those that share a shard, the zone with the best of all first.
fn leaders(zones: &[Vec<Competitor>], shard: u16, shards: u16) -> Vec<Vec<Competitor>> {
    let key = mix64(u64::from(shard));
    // Where there are more agents than shards several share one, so that most of them have something to do.
    let sharing = |zone: &[Competitor]| zone.len().div_ceil(usize::from(shards.max(1))).max(1);
    let mut of_zones: Vec<_> = zones.iter().map(|zone| bests(zone, key, sharing(zone))).collect();
    of_zones.sort_by_key(|zone| Reverse(zone.first().map(|(score, _)| *score)));
    let competitors = |zone: Vec<Scored>| zone.into_iter().map(|(_, competitor)| competitor).collect();
    of_zones.into_iter().map(competitors).collect()
}

/// Of those that share a shard, the one for this partition.
fn of_partition(sharing: &[Competitor], PartitionId { topic, index }: PartitionId) -> Option<Competitor> {
    if let [only] = sharing {
        return Some(*only);
    }
    let topic = (topic.0 >> 64) as u64 ^ mix64(topic.0 as u64);
    best(sharing, mix64(topic ^ mix64(u64::from(index)))).map(|(_, competitor)| competitor)
}

type Scored = (Score, Competitor);

/// The one with the greatest score. Sooner had where those that weigh the same are together.
fn best(competitors: &[Competitor], key: u64) -> Option<Scored> {
    bests(competitors, key, 1).into_iter().next()
}

/// So many with the greatest scores, the greatest first.
fn bests(competitors: &[Competitor], key: u64, count: usize) -> Vec<Scored> {
    let chance = |competitor: &Competitor| Chance::new(key, competitor.node);
    let mut found: Vec<Scored> = Vec::new();
    let scored = |one: &Competitor| (Score::new(key, one.node, one.weight), *one);
    for group in competitors.chunk_by(|a, b| a.weight == b.weight) {
        if count == 1 {
            // As nearly always: nothing has to be kept of the others.
            found.extend(group.iter().max_by_key(|one| chance(one)).map(scored));
            continue;
        }
        let mut group: Vec<(Chance, Competitor)> = group.iter().map(|one| (chance(one), *one)).collect();
        if let Some(last) = count.checked_sub(1).filter(|last| *last < group.len()) {
            group.select_nth_unstable_by_key(last, |(chance, _)| Reverse(*chance));
            group.truncate(count);
        }
        found.extend(group.iter().map(|(_, one)| scored(one)));
    }
    found.sort_by_key(|(score, _)| Reverse(*score));
    found.truncate(count);
    found
}

#[cfg(test)]
pub(crate) mod tests;
