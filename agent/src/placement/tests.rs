#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::btree_map;
use proptest::prelude::*;
use siltstone_log::{Endpoint, Listener, RegistrationId, Role, TopicId};

use super::*;

const SHARDS: u16 = 256;
const ZONES: [&str; 3] = ["a", "b", "c"];

pub(crate) fn member(node: u32, zone: &str, weight: u16) -> Member {
    let row = RegistrationRow {
        id: RegistrationId(u128::from(node) * 7),
        node,
        started: 0,
        zone: zone.to_owned(),
        host: format!("host{node}"),
        port: 9092,
        lowest_level: 1,
        highest_level: u32::MAX,
        role: Role::Agent,
        listeners: Vec::new(),
        peer: None,
    };
    Member { row, standing: Standing::new(weight) }
}

fn placement(agents: &[Member]) -> Placement {
    Placement::new(agents, "", SHARDS)
}

fn partition(index: u32) -> PartitionId {
    PartitionId { topic: TopicId(77), index }
}

/// Who stands for each shard in each zone.
fn replicas(placement: &Placement) -> BTreeMap<(u32, Option<String>), i32> {
    let mut all = BTreeMap::new();
    for index in 0..u32::from(SHARDS) {
        for broker in placement.replicas(partition(index)) {
            let twice = all.insert((index, broker.zone.clone()), broker.node);
            assert_eq!(twice, None, "one in each zone");
        }
    }
    all
}

fn leaders(placement: &Placement, zone: Option<&str>) -> Vec<i32> {
    (0..u32::from(SHARDS)).map(|index| placement.leader(partition(index), zone).unwrap().node).collect()
}

#[test]
fn each_zone_has_a_replica_and_its_clients_have_it_as_their_leader() {
    let agents = [member(1, "a", 1000), member(2, "b", 1000), member(3, "a", 1000), member(4, "c", 1000)];
    let placement = placement(&agents);
    for index in 0..u32::from(SHARDS) {
        let replicas: Vec<&Broker> = placement.replicas(partition(index)).collect();
        let zones: BTreeSet<_> = replicas.iter().map(|broker| broker.zone.as_deref().unwrap()).collect();
        assert_eq!(zones, BTreeSet::from(ZONES));
        for zone in ZONES {
            let leader = placement.leader(partition(index), Some(zone)).unwrap();
            assert_eq!(leader.zone.as_deref(), Some(zone));
            assert!(replicas.contains(&leader));
        }
        let anywhere = placement.leader(partition(index), None).unwrap();
        assert_eq!(placement.leader(partition(index), Some("elsewhere")), Some(anywhere));
        assert!(replicas.contains(&anywhere));
    }
    let led = leaders(&placement, None);
    for node in 1..=4 {
        let count = led.iter().filter(|leader| **leader == node).count();
        assert!((40..=90).contains(&count), "agent {node} leads {count} of 256 shards");
    }
}

#[test]
fn who_drains_is_listed_and_does_nothing_unless_it_is_alone() {
    let all = placement(&[member(1, "a", 0), member(2, "b", 500)]);
    assert_eq!(all.brokers().iter().map(|broker| broker.node).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(all.controller().map(|broker| broker.node), Some(2));
    assert_eq!(all.stands(1), Vec::new());
    assert_eq!(all.replica_in(partition(0), "a"), None);
    assert_eq!(leaders(&all, Some("a")), [2; SHARDS as usize]);
    assert_eq!(all.coordinator("g").map(|broker| broker.node), Some(2));
    let last = placement(&[member(1, "a", 0)]);
    assert_eq!(leaders(&last, Some("a")), [1; SHARDS as usize]);
    assert_eq!(last.coordinator("g").map(|broker| broker.node), Some(1));
    assert_eq!(last.controller().map(|broker| broker.node), Some(1));
    let none = placement(&[]);
    assert_eq!(
        (none.leader(partition(0), None), none.coordinator("g"), none.controller(), none.brokers()),
        (None, None, None, &[][..])
    );
    assert_eq!(Placement::new(&[], "", 0).leader(partition(3), None), None);
}

#[test]
fn who_stands_back_is_listed_and_leads_nothing_where_others_can() {
    let back = Standing::BACK.weight();
    let some = placement(&[member(1, "a", back), member(2, "b", 100)]);
    assert_eq!(some.brokers().iter().map(|broker| broker.node).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(some.replica_in(partition(0), "a"), None, "its zone's clients cross zones rather than wait");
    assert_eq!(leaders(&some, Some("a")), [2; SHARDS as usize]);
    assert_eq!(some.coordinator("g").map(|broker| broker.node), Some(2));
    assert_eq!((some.stands(1), some.stands(2).len()), (Vec::new(), usize::from(SHARDS)));
    // Nobody can: all share as before, each in its zone. Who drains counts for nothing.
    let all = placement(&[member(1, "a", back), member(2, "b", back), member(3, "a", 0)]);
    assert_eq!(leaders(&all, Some("a")), [1; SHARDS as usize]);
    assert_eq!(leaders(&all, Some("b")), [2; SHARDS as usize]);
}

#[test]
fn clients_of_a_listener_are_told_of_that_listener() {
    let mut both = member(1, "a", 1000);
    let place = Endpoint { host: "inside".to_owned(), port: 7 };
    both.row.listeners = vec![Listener { name: "in".to_owned(), place }];
    let agents = [both, member(2, "a", 1000)];
    let inside = Placement::new(&agents, "in", SHARDS);
    assert_eq!(inside.brokers().len(), 1, "the other one can't be reached so");
    assert_eq!((inside.brokers()[0].host.as_str(), inside.brokers()[0].port), ("inside", 7));
    assert_eq!(placement(&agents).brokers().len(), 2);
}

/// What is had by chances first is what all scores would say.
#[test]
fn the_best_are_those_with_the_greatest_scores() {
    let competitor =
        |node: u32| Competitor { index: node as usize, node, weight: [1000, 300, 300, 7][node as usize % 4] };
    let mut competitors: Vec<Competitor> = (0..50).map(competitor).collect();
    competitors.sort_by_key(|competitor| competitor.weight);
    for key in 0..500 {
        let mut wanted: Vec<Scored> =
            competitors.iter().map(|one| (Score::new(key, one.node, one.weight), *one)).collect();
        wanted.sort_by_key(|(score, _)| Reverse(*score));
        for count in [1, 2, 7, 50, 60] {
            assert_eq!(bests(&competitors, key, count), wanted[..count.min(50)]);
        }
    }
    assert_eq!((best(&[], 1), bests(&competitors, 1, 0)), (None, Vec::new()));
}

/// More agents than shards in a zone: more of them than there are shards have something to do.
#[test]
fn agents_beyond_the_shards_share_them_by_partition() {
    let agents: Vec<Member> = (1..=10).map(|node| member(node, "a", 1000)).collect();
    let few = Placement::new(&agents, "", 4);
    let led: BTreeSet<i32> =
        (0..400).map(|index| few.leader(partition(index), Some("a")).unwrap().node).collect();
    assert!(led.len() > 4, "{led:?}");
    // Never more of them for one shard than it takes.
    let of_one: BTreeSet<i32> =
        (0..400).map(|index| few.leader(partition(index * 4), None).unwrap().node).collect();
    assert!(of_one.len() <= 3, "{of_one:?}");
}

#[test]
fn names_are_spread_by_weight() {
    let agents = [member(1, "a", 1000), member(2, "b", 1000), member(3, "", 100)];
    let placement = placement(&agents);
    let mut counts = BTreeMap::new();
    for n in 0..2100 {
        *counts.entry(placement.coordinator(&format!("group-{n}")).unwrap().node).or_insert(0_u32) += 1;
    }
    assert!(counts[&1].abs_diff(1000) < 100 && counts[&2].abs_diff(1000) < 100, "{counts:?}");
    assert!(counts[&3].abs_diff(100) < 40, "{counts:?}");
}

fn cluster() -> impl Strategy<Value = BTreeMap<u32, (usize, u16)>> {
    btree_map(0_u32..1000, (0_usize..3, 2_u16..=1000), 2..12)
}

fn members(agents: &BTreeMap<u32, (usize, u16)>) -> Vec<Member> {
    agents.iter().map(|(node, (zone, weight))| member(*node, ZONES[*zone], *weight)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever one agent does, only what it gets or gives up moves: in every zone, and for clients of none.
    #[test]
    fn only_the_changed_agents_share_moves(agents in cluster(), pick: prop::sample::Index, weight in (1_u16..=1000).prop_map(|weight| if weight == 1 { 0 } else { weight })) {
        let node = *agents.keys().nth(pick.index(agents.len())).unwrap();
        let before = placement(&members(&agents));
        let mut changed = agents.clone();
        let (zone, old) = agents[&node];
        changed.insert(node, (zone, weight));
        let after = placement(&members(&changed));
        let node = node as i32;
        // More weight only takes, less only gives.
        let changes = |then: i32, now: i32| if weight > old { now } else { then };
        let (was, is) = (replicas(&before), replicas(&after));
        for (place, then) in &was {
            match is.get(place) {
                Some(now) if now == then => {}
                Some(now) if weight > old => prop_assert_eq!(*now, node, "more weight only takes"),
                Some(_) => prop_assert_eq!(*then, node, "less weight only gives"),
                // The last of its zone has gone.
                None => prop_assert!(weight == 0 && *then == node),
            }
        }
        for (then, now) in leaders(&before, None).into_iter().zip(leaders(&after, None)) {
            prop_assert!(then == now || changes(then, now) == node, "{} to {}", then, now);
        }
        for name in (0..200).map(|n| format!("g{n}")) {
            let (then, now) = (before.coordinator(&name).unwrap().node, after.coordinator(&name).unwrap().node);
            prop_assert!(then == now || changes(then, now) == node, "{} to {}", then, now);
        }
    }

    /// In whatever order the agents are seen.
    #[test]
    fn all_agents_say_the_same(agents in cluster()) {
        let mut shuffled = members(&agents);
        shuffled.reverse();
        let (one, other) = (placement(&members(&agents)), placement(&shuffled));
        prop_assert_eq!(replicas(&one), replicas(&other));
        prop_assert_eq!(leaders(&one, None), leaders(&other, None));
        for zone in ZONES {
            prop_assert_eq!(leaders(&one, Some(zone)), leaders(&other, Some(zone)));
        }
    }
}
