//! Members of the classic protocol in a group of the consumer protocol, and conversions both ways.

use bytes::Bytes;
use siltstone_kafka::consumer_protocol_subscription::TopicPartitions;
use siltstone_kafka::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, versioned};

use super::kit::*;
use crate::group::consumer::*;

pub(super) fn subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    let message = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        owned_partitions: owned
            .iter()
            .map(|(topic, some)| TopicPartitions { topic: (*topic).to_owned(), partitions: some.to_vec() })
            .collect(),
        ..ConsumerProtocolSubscription::default()
    };
    versioned::encode(&message, 1).unwrap()
}

pub(super) fn classic(id: &str, topics: &[&str], owned: &[(&str, &[i32])]) -> ClassicJoin {
    ClassicJoin {
        member: id.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 20_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), subscription(topics, owned))],
        client_id: "old".to_owned(),
        client_host: "/10.0.0.2".to_owned(),
        ..ClassicJoin::default()
    }
}

fn sync(id: &str, generation: i32) -> ClassicSync {
    ClassicSync { member: id.to_owned(), generation, ..ClassicSync::default() }
}

fn told(kit: &mut Kit, id: &str, generation: i32) -> Vec<(String, Vec<i32>)> {
    let synced = kit.with(|group, cx| group.classic_sync(cx, &sync(id, generation))).unwrap();
    let (_, message) = versioned::decode::<ConsumerProtocolAssignment>(&synced.assignment).unwrap();
    message.assigned_partitions.into_iter().map(|topic| (topic.topic, topic.partitions)).collect()
}

fn beat_classic(kit: &mut Kit, id: &str, generation: i32) -> Result<(), Refusal> {
    let beat = ClassicBeat { member: id.to_owned(), generation, ..ClassicBeat::default() };
    kit.with(|group, cx| group.classic_heartbeat(cx, &beat))
}

fn join_classic(kit: &mut Kit, join: &ClassicJoin) -> Result<ClassicJoined, Refusal> {
    kit.with(|group, cx| group.classic_join(cx, join))
}

fn assignment(topics: &[(&str, &[i32])]) -> Bytes {
    use siltstone_kafka::consumer_protocol_assignment::TopicPartitions;
    let each = topics
        .iter()
        .map(|(topic, some)| TopicPartitions { topic: (*topic).to_owned(), partitions: some.to_vec() });
    versioned::encode(&ConsumerProtocolAssignment { assigned_partitions: each.collect(), user_data: None }, 1)
        .unwrap()
}

fn old_member(id: &str, owned: &[(&str, &[i32])]) -> ClassicMemberState {
    ClassicMemberState {
        member: id.to_owned(),
        client_id: "old".to_owned(),
        client_host: "/10.0.0.2".to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 20_000,
        protocols: vec![("range".to_owned(), subscription(&["a"], &[]))],
        assignment: assignment(owned),
        ..ClassicMemberState::default()
    }
}

fn old_group() -> ClassicState {
    ClassicState {
        protocol_type: "consumer".to_owned(),
        generation: 7,
        members: vec![
            old_member("c1", &[("a", &[0, 1])]),
            old_member("c2", &[("a", &[2, 3]), ("gone", &[0])]),
        ],
        rebalance: false,
    }
}

fn upgraded(kit: &mut Kit) {
    let state = old_group();
    kit.group = kit.with(|_, cx| ConsumerGroup::from_classic(cx, &state)).unwrap();
}

#[test]
fn a_classic_group_goes_on_as_a_consumer_group() {
    let mut kit = Kit::new(&[("a", 4)]);
    upgraded(&mut kit);
    assert_eq!((kit.view().epoch, kit.group.state()), (7, GroupState::Stable));
    assert_eq!(kit.group.deadline(), Some(kit.now + ms(30_000)), "their own session timeout");
    assert_eq!(kit.member("c2").assigned, parts(&[("a", &[2, 3])]));
    let mut m1 = Client::join(&mut kit, &join("m1", &["a"]));
    assert_eq!((m1.epoch, m1.count()), (8, 0));
    kit.fail_over();
    assert_eq!(beat_classic(&mut kit, "c1", 7), Err(Refusal::RebalanceInProgress));
    // An eager member has given up all when it joins.
    let joined = join_classic(&mut kit, &classic("c1", &["a"], &[])).unwrap();
    assert_eq!((joined.generation, joined.protocol.as_str()), (8, "range"));
    let first = told(&mut kit, "c1", 8);
    assert_eq!(first.iter().map(|(_, some)| some.len()).sum::<usize>(), 2);
    // A cooperative one has not.
    let joined = join_classic(&mut kit, &classic("c2", &["a"], &[("a", &[2, 3])])).unwrap();
    assert_eq!(joined.generation, 7, "it has to give up one");
    assert_eq!(told(&mut kit, "c2", 7), [("a".to_owned(), vec![2])]);
    assert_eq!(beat_classic(&mut kit, "c2", 7), Err(Refusal::RebalanceInProgress), "and to say so");
    m1.beat(&mut kit);
    assert_eq!(m1.count(), 0);
    let joined = join_classic(&mut kit, &classic("c2", &["a"], &[("a", &[2])])).unwrap();
    assert_eq!(joined.generation, 8);
    m1.beat(&mut kit);
    assert_eq!(m1.owned, parts(&[("a", &[3])]));
    assert_eq!((beat_classic(&mut kit, "c1", 8), beat_classic(&mut kit, "c2", 8)), (Ok(()), Ok(())));
    assert_eq!(kit.group.state(), GroupState::Stable);
}

#[test]
fn groups_that_cannot_be_converted_are_left_alone() {
    let mut kit = Kit::new(&[("a", 4)]);
    let mut refused = |change: &dyn Fn(&mut ClassicState, &mut Settings)| {
        let mut state = old_group();
        kit.settings = Settings::default();
        change(&mut state, &mut kit.settings);
        let result = kit.with(|_, cx| ConsumerGroup::from_classic(cx, &state).map(drop));
        assert!(matches!(result, Err(Refusal::NotThisProtocol(_))), "{result:?}");
    };
    refused(&|_, settings| settings.upgrade = false);
    refused(&|state, _| state.protocol_type = "connect".to_owned());
    refused(&|_, settings| settings.max_size = 1);
    refused(&|state, _| state.members[0].protocols.clear());
    refused(&|state, _| state.members[0].protocols[0].1 = Bytes::from_static(b"x"));
    refused(&|state, _| state.members[0].assignment = Bytes::from_static(b"x"));
}

#[test]
fn a_leader_that_gave_a_partition_twice_does_no_harm() {
    let mut kit = Kit::new(&[("a", 4)]);
    let mut state = old_group();
    state.members[1].assignment = assignment(&[("a", &[1, 2, 9]), ("a", &[2, -1])]);
    let group = kit.with(|_, cx| ConsumerGroup::from_classic(cx, &state)).unwrap();
    kit.group = group;
    assert_eq!(kit.member("c2").assigned, parts(&[("a", &[2])]));
}

#[test]
fn a_classic_member_joins_in_two_steps() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    let new = ClassicJoin { drawn: true, two_steps: true, ..classic("c1", &["a"], &[]) };
    assert_eq!(join_classic(&mut kit, &new), Err(Refusal::MemberIdRequired("c1".into())));
    assert!(!kit.group.has_member("c1"));
    let late = classic("c1", &["a"], &[("a", &[0])]);
    assert_eq!(
        join_classic(&mut kit, &late),
        Err(Refusal::UnknownMember),
        "it was put out and does not know it"
    );
    assert_eq!(join_classic(&mut kit, &classic("c1", &["a"], &[])).unwrap().generation, 2);
    let odd = |change: &dyn Fn(&mut ClassicJoin)| {
        let mut join = classic("c2", &["a"], &[]);
        change(&mut join);
        join
    };
    for join in [
        odd(&|join| join.protocol_type = "connect".into()),
        odd(&|join| join.protocols.clear()),
        odd(&|join| join.protocols[0].0 = "odd".into()),
        odd(&|join| join.protocols[0].1 = Bytes::new()),
    ] {
        assert_eq!(join_classic(&mut kit, &join), Err(Refusal::InconsistentProtocol));
    }
}

#[test]
fn classic_members_must_name_their_generation_and_sync_in_time() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    join_classic(&mut kit, &classic("c1", &["a"], &[])).unwrap();
    let wrong = Refusal::IllegalGeneration { received: 1, expected: 2 };
    assert_eq!(beat_classic(&mut kit, "c1", 1), Err(wrong.clone()));
    assert_eq!(kit.with(|group, cx| group.classic_sync(cx, &sync("c1", 1))), Err(wrong.clone()));
    assert_eq!(beat_classic(&mut kit, "m1", 1), Err(Refusal::UnknownMember), "it speaks the other protocol");
    let who = Committer { member: "c1", instance: None, epoch: 1 };
    assert_eq!(kit.group.may_commit(&who, Committing::At(8)), Err(wrong));
    let odd = ClassicSync { protocol: Some("odd".into()), ..sync("c1", 2) };
    assert_eq!(kit.with(|group, cx| group.classic_sync(cx, &odd)), Err(Refusal::InconsistentProtocol));
    assert_eq!(kit.pass(ms(19_999)), Vec::<String>::new());
    assert_eq!(beat_classic(&mut kit, "c1", 2), Ok(()));
    assert_eq!(kit.pass(ms(1)), ["c1"], "it never asked for its assignment");
}

#[test]
fn classic_members_must_join_again_in_time() {
    let mut kit = Kit::new(&[("a", 2)]);
    let patient = HeartbeatRequest { rebalance_timeout_ms: Some(300_000), ..join("m1", &["a"]) };
    let mut m1 = Client::join(&mut kit, &patient);
    join_classic(&mut kit, &classic("c1", &["a"], &[])).unwrap();
    told(&mut kit, "c1", 2);
    m1.beat(&mut kit);
    m1.beat(&mut kit);
    assert_eq!(
        beat_classic(&mut kit, "c1", 2),
        Err(Refusal::RebalanceInProgress),
        "its partition is free now"
    );
    assert_eq!(kit.pass(ms(15_000)), Vec::<String>::new());
    assert_eq!(beat_classic(&mut kit, "c1", 2), Err(Refusal::RebalanceInProgress));
    assert_eq!(kit.pass(ms(5_000)), ["c1"]);
}

#[test]
fn the_last_consumer_member_that_leaves_makes_it_a_classic_group() {
    let mut kit = Kit::new(&[("a", 4)]);
    upgraded(&mut kit);
    Client::join(&mut kit, &join("m1", &["a"]));
    kit.send(&beat("m1", LEAVE_EPOCH, None)).unwrap();
    let state = kit.group.take_downgraded().unwrap();
    assert_eq!((state.generation, state.rebalance, state.protocol_type.as_str()), (8, true, "consumer"));
    let members: Vec<_> =
        state.members.iter().map(|member| (member.member.as_str(), &member.assignment)).collect();
    assert_eq!(members, [("c1", &assignment(&[("a", &[0, 1])])), ("c2", &assignment(&[("a", &[2, 3])]))]);
    assert_eq!(state.members[0].protocols, old_member("c1", &[]).protocols);
    assert!(kit.group.is_empty() && kit.group.deadline().is_none());
    assert!(!kit.stored.iter().any(|change| matches!(change, Change::Member(..))));
    // And back again.
    kit.group = kit.with(|_, cx| ConsumerGroup::from_classic(cx, &state)).unwrap();
    assert_eq!(kit.view().epoch, 8);
}

#[test]
fn a_silent_consumer_member_makes_it_a_classic_group_too_unless_that_is_off() {
    for downgrade in [true, false] {
        let mut kit = Kit::new(&[("a", 4)]);
        kit.settings.downgrade = downgrade;
        kit.settings.session_timeout = ms(10_000);
        upgraded(&mut kit);
        Client::join(&mut kit, &join("m1", &["a"]));
        assert_eq!(kit.pass(ms(10_000)), ["m1"]);
        assert_eq!(kit.group.take_downgraded().is_some(), downgrade);
        assert_eq!(kit.group.is_empty(), downgrade);
    }
}

#[test]
fn a_static_member_moves_between_the_protocols() {
    let mut kit = Kit::new(&[("a", 4)]);
    let mut state = old_group();
    state.members[0].instance = Some("i1".into());
    kit.group = kit.with(|_, cx| ConsumerGroup::from_classic(cx, &state)).unwrap();
    // It need not have left: its new process is the proof.
    let answer = kit.send(&join_static("m1", "i1", &["a"])).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (7, Some(parts(&[("a", &[0, 1])]))));
    assert!(!kit.member("m1").classic);
    let back = ClassicJoin { drawn: true, instance: Some("i1".into()), ..classic("c3", &["a"], &[]) };
    let back = ClassicJoin { protocols: vec![("range".into(), subscription(&["a"], &[]))], ..back };
    assert_eq!(join_classic(&mut kit, &back).unwrap().generation, 7);
    let state = kit.group.take_downgraded().unwrap();
    assert_eq!((state.generation, state.rebalance), (7, false), "nothing has changed for anybody");
    let ids: Vec<&str> = state.members.iter().map(|member| member.member.as_str()).collect();
    assert_eq!(ids, ["c2", "c3"]);
}

#[test]
fn classic_members_leave_with_leave_group() {
    let mut kit = Kit::new(&[("a", 4)]);
    let mut state = old_group();
    state.members[0].instance = Some("i1".into());
    kit.group = kit.with(|_, cx| ConsumerGroup::from_classic(cx, &state)).unwrap();
    Client::join(&mut kit, &join("m1", &["a"]));
    let leaver = |member: &str, instance: Option<&str>| Leaver {
        member: member.into(),
        instance: instance.map(str::to_owned),
    };
    let leavers = [
        leaver("", Some("i1")),
        leaver("m1", None),
        leaver("x", Some("i1")),
        leaver("c2", None),
        leaver("c2", None),
    ];
    let left = kit.with(|group, cx| group.leave(cx, &leavers));
    let results: Vec<_> = left.iter().map(|left| (left.member.as_str(), left.result.clone())).collect();
    let unknown = Err(Refusal::UnknownMember);
    assert_eq!(
        results,
        [
            ("c1", Ok(())),
            ("m1", unknown.clone()),
            ("x", Err(Refusal::FencedInstance)),
            ("c2", Ok(())),
            ("c2", unknown)
        ]
    );
    assert_eq!((kit.view().members.len(), kit.view().epoch), (1, 9));
}
