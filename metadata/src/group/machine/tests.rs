//! A group that passes between the protocols: nobody who waits is forgotten, and its rows are always those of one protocol.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use siltstone_kafka::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, versioned};
use siltstone_log::{CatalogEntry, Partitions, Position, TopicId, TopicRow};

use super::*;
use crate::group::classic::{JoinRequest, Joined, SyncRequest, Token};
use crate::group::consumer::{Committer, Committing, HeartbeatAnswer, HeartbeatRequest, Leaver};

struct Kit {
    group: Group,
    now: Duration,
    settings: Settings,
    catalog: CatalogState,
    head: Option<GroupHeadRow>,
    members: BTreeMap<String, Bytes>,
    token: Token,
}

const TOPIC: TopicId = TopicId(7);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn catalog() -> CatalogState {
    let mut catalog = CatalogState::new(Position::ZERO, 1);
    let topic = TopicRow {
        name: "a".into(),
        id: TOPIC,
        partitions: 4,
        replication_factor: 1,
        created: 0,
        configs: Default::default(),
    };
    catalog.apply(Position::new([1; 10], 0), CatalogEntry::Topic(topic));
    catalog
}

impl Kit {
    fn new() -> Self {
        let classic = classic::Settings {
            key_bytes: 10,
            initial_delay: ms(0),
            min_session: ms(1_000),
            max_session: ms(60_000),
            max_size: 100,
        };
        Kit {
            group: Group::default(),
            now: ms(5_000),
            settings: Settings { classic, consumer: consumer::Settings::default() },
            catalog: catalog(),
            head: None,
            members: BTreeMap::new(),
            token: 0,
        }
    }

    /// Acts, writes the rows, and sees to it that another agent would load the same kind of group.
    fn with<T>(&mut self, act: impl FnOnce(&mut Group, &Context<'_>) -> T) -> T {
        let cx = Context { now: self.now, wall: 1_000, settings: &self.settings, catalog: &self.catalog };
        let result = act(&mut self.group, &cx);
        for change in self.group.take_changes() {
            match change {
                Change::Head(head) => self.head = Some(GroupHeadRow::decode(&head.encode()).unwrap()),
                Change::Member(id, row) => drop(self.members.insert(id, row)),
                Change::Left(id) => drop(self.members.remove(&id)),
            }
        }
        let loaded = Group::load(&cx, self.head.clone(), &self.members).unwrap();
        match (&self.group.kind, &loaded.kind) {
            (Kind::Consumer(one), Kind::Consumer(other)) => assert_eq!(one.rows(), other.rows()),
            (Kind::Classic(_), Kind::Classic(_)) => {}
            (Kind::Classic(group), Kind::Consumer(empty)) => {
                assert!(empty.is_empty() && !group.is_written(), "no generation is complete yet");
            }
            (Kind::Consumer(_), Kind::Classic(_)) => panic!("the rows are of the other protocol"),
        }
        result
    }

    fn fail_over(&mut self) {
        let cx = Context { now: self.now, wall: 1_000, settings: &self.settings, catalog: &self.catalog };
        self.group = Group::load(&cx, self.head.clone(), &self.members).unwrap();
    }

    fn join(&mut self, member: &str, new_id: &str) -> Token {
        self.token += 1;
        let token = self.token;
        let subscription = ConsumerProtocolSubscription { topics: vec!["a".into()], ..Default::default() };
        let request = JoinRequest {
            member: member.into(),
            new_id: new_id.into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 20_000,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), versioned::encode(&subscription, 1).unwrap())],
            ..JoinRequest::default()
        };
        self.with(|group, cx| group.join(cx, token, request));
        token
    }

    fn sync(&mut self, member: &str, generation: i32, assignments: Vec<(String, Bytes)>) -> Token {
        self.token += 1;
        let token = self.token;
        let request =
            SyncRequest { member: member.into(), generation, assignments, ..SyncRequest::default() };
        self.with(|group, cx| group.sync(cx, token, request));
        token
    }

    fn joined(&mut self, token: Token) -> Result<Joined, classic::Refusal> {
        match self.group.take_answers().as_slice() {
            [Answer::Join(given, joined)] if *given == token => joined.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, token: Token) -> Result<Vec<i32>, classic::Refusal> {
        match self.group.take_answers().as_slice() {
            [Answer::Sync(given, synced)] if *given == token => {
                synced.clone().map(|synced| told(&synced.assignment))
            }
            other => panic!("{other:?}"),
        }
    }

    fn consumer(&mut self, member: &str, epoch: i32) -> Result<HeartbeatAnswer, consumer::Refusal> {
        let joins = epoch == 0;
        let request = HeartbeatRequest {
            member: member.into(),
            epoch,
            topics: joins.then(|| vec!["a".into()]),
            owned: joins.then(Partitions::new),
            rebalance_timeout_ms: joins.then_some(10_000),
            ..HeartbeatRequest::default()
        };
        self.with(|group, cx| group.consumer_heartbeat(cx, &request))
    }

    /// A classic group of one member that owns all.
    fn classic_group() -> Self {
        let mut kit = Kit::new();
        let token = kit.join("", "c1");
        assert_eq!(kit.joined(token).unwrap().generation, 1);
        let token = kit.sync("c1", 1, vec![("c1".into(), assignment(&[0, 1, 2, 3]))]);
        assert_eq!(kit.synced(token).unwrap(), [0, 1, 2, 3]);
        kit
    }
}

fn told(bytes: &Bytes) -> Vec<i32> {
    let (_, message) = versioned::decode::<ConsumerProtocolAssignment>(bytes).unwrap();
    message.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn assignment(partitions: &[i32]) -> Bytes {
    use siltstone_kafka::consumer_protocol_assignment::TopicPartitions;
    let topic = TopicPartitions { topic: "a".into(), partitions: partitions.to_vec() };
    versioned::encode(&ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None }, 1)
        .unwrap()
}

fn is_consumer(kit: &Kit) -> bool {
    matches!(kit.group.kind(), Kind::Consumer(_))
}

#[test]
fn a_group_goes_to_the_new_protocol_and_back() {
    let mut kit = Kit::classic_group();
    assert_eq!(kit.consumer("m1", 0).unwrap().epoch, 2);
    assert!(is_consumer(&kit) && matches!(kit.head, Some(GroupHeadRow::Consumer(_))));
    kit.fail_over();
    let beat = |kit: &mut Kit, generation| kit.with(|group, cx| group.heartbeat(cx, "c1", None, generation));
    assert_eq!(beat(&mut kit, 1), Err(classic::Refusal::RebalanceInProgress));
    let token = kit.join("c1", "");
    let joined = kit.joined(token).unwrap();
    assert_eq!(
        (joined.generation, joined.leader.as_str(), joined.protocol.as_deref()),
        (2, "", Some("range"))
    );
    let token = kit.sync("c1", 2, Vec::new());
    assert_eq!(kit.synced(token).unwrap().len(), 2);
    assert_eq!(beat(&mut kit, 2), Ok(()));
    kit.consumer("m1", consumer::LEAVE_EPOCH).unwrap();
    assert!(!is_consumer(&kit) && matches!(kit.head, Some(GroupHeadRow::Classic(_))));
    assert_eq!(kit.members.keys().collect::<Vec<_>>(), ["c1"]);
    assert_eq!(beat(&mut kit, 2), Err(classic::Refusal::RebalanceInProgress), "it must join again");
    let token = kit.join("c1", "");
    assert_eq!(kit.joined(token).unwrap().generation, 3);
    assert_eq!(
        kit.consumer("m2", 5),
        Err(consumer::Refusal::NotThisProtocol("The group is not a consumer group."))
    );
}

#[test]
fn whoever_waits_in_a_classic_group_is_told_to_join_again() {
    let mut kit = Kit::classic_group();
    let waiting = kit.join("", "c2");
    assert!(kit.group.take_answers().is_empty(), "it waits for the first");
    kit.consumer("m1", 0).unwrap();
    assert_eq!(kit.joined(waiting), Err(classic::Refusal::RebalanceInProgress));
    let token = kit.join("", "c3");
    assert_eq!(kit.joined(token).unwrap().generation, 3);
    assert_eq!(kit.members.keys().collect::<Vec<_>>(), ["c1", "c2", "c3", "m1"]);
}

#[test]
fn a_refused_heartbeat_leaves_a_classic_group_alone() {
    let mut kit = Kit::classic_group();
    let bad =
        HeartbeatRequest { member: "m1".into(), regex: Some("(".into()), ..HeartbeatRequest::default() };
    assert!(kit.with(|group, cx| group.consumer_heartbeat(cx, &bad)).is_err());
    assert!(!is_consumer(&kit));
    kit.settings.consumer.upgrade = false;
    assert!(matches!(kit.consumer("m1", 0), Err(consumer::Refusal::NotThisProtocol(_))));
    assert!(!is_consumer(&kit));
    assert_eq!(kit.with(|group, cx| group.heartbeat(cx, "c1", None, 1)), Ok(()));
}

#[test]
fn an_empty_group_becomes_what_the_next_member_speaks() {
    let mut kit = Kit::new();
    assert_eq!(kit.consumer("m1", 0).unwrap().epoch, 1);
    kit.consumer("m1", consumer::LEAVE_EPOCH).unwrap();
    assert!(kit.group.is_idle() && is_consumer(&kit));
    let token = kit.join("", "c1");
    assert_eq!(kit.joined(token).unwrap().generation, 1);
    let token = kit.sync("c1", 1, vec![("c1".into(), assignment(&[0]))]);
    assert_eq!(kit.synced(token).unwrap(), [0]);
    assert!(matches!(kit.head, Some(GroupHeadRow::Classic(_))));
    let leaver = Leaver { member: "c1".into(), instance: None };
    let left = kit.with(|group, cx| group.leave(cx, &[leaver]));
    assert_eq!(left, [("c1".to_owned(), Ok(()))]);
    assert_eq!(kit.consumer("m2", 0).unwrap().epoch, 1);
    assert!(matches!(kit.head, Some(GroupHeadRow::Consumer(_))));
}

#[test]
fn a_silent_consumer_member_takes_its_group_back() {
    let mut kit = Kit::classic_group();
    kit.settings.consumer.session_timeout = ms(10_000);
    kit.consumer("m1", 0).unwrap();
    kit.now += ms(10_000);
    assert!(kit.group.deadline() <= Some(kit.now));
    kit.with(|group, cx| group.expire(cx));
    assert!(!is_consumer(&kit));
    assert_eq!(kit.members.keys().collect::<Vec<_>>(), ["c1"]);
}

#[test]
fn offsets_are_guarded_by_either_protocol() {
    let mut kit = Kit::classic_group();
    let who = |member, epoch| Committer { member, instance: None, epoch };
    let commit = |kit: &mut Kit, member, epoch| {
        kit.with(|group, cx| group.may_commit(cx, &who(member, epoch), Committing::At(9)))
    };
    assert_eq!(commit(&mut kit, "c1", 1), Ok(()));
    let wrong = consumer::Refusal::IllegalGeneration { received: 0, expected: 1 };
    assert_eq!(commit(&mut kit, "c1", 0), Err(wrong));
    assert_eq!(commit(&mut kit, "x", 1), Err(consumer::Refusal::UnknownMember));
    assert_eq!(kit.group.may_fetch(Some(&who("x", 1))), Ok(()));
    kit.consumer("m1", 0).unwrap();
    assert_eq!(commit(&mut kit, "m1", 2), Ok(()));
    let stale = consumer::Refusal::StaleMemberEpoch { received: 1, expected: 2 };
    assert_eq!(commit(&mut kit, "m1", 1), Err(stale));
    assert_eq!(kit.group.may_fetch(Some(&who("x", 1))), Err(consumer::Refusal::UnknownMember));
    assert!(kit.with(|group, cx| group.is_subscribed_to(cx, "a") && !group.is_subscribed_to(cx, "b")));
    assert!(kit.group.is_written() && kit.group.speaks_consumer());
}
