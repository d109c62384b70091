//! A group with a clock, a catalog and settings of its own, and short ways to say what members do.

use std::collections::BTreeMap;

use siltstone_log::{CatalogEntry, Position, TopicId, TopicRow};

use super::super::*;
pub(super) use siltstone_log::Partitions;

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn topic_id(name: &str) -> TopicId {
    TopicId(name.bytes().fold(7, |hash, byte| hash * 131 + u128::from(byte)))
}

/// A catalog whose position moves with each change.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    pub(super) state: CatalogState,
    changes: u16,
    removed: u128,
}

impl Topics {
    pub(super) fn new(topics: &[(&str, u32)]) -> Self {
        let mut all = Topics { state: CatalogState::new(Position::ZERO, 1), changes: 0, removed: 0 };
        topics.iter().for_each(|(name, partitions)| all.put(name, *partitions));
        all
    }

    fn apply(&mut self, entry: CatalogEntry) {
        self.changes += 1;
        self.state.apply(Position::new([0; 10], self.changes), entry);
    }

    pub(super) fn put(&mut self, name: &str, partitions: u32) {
        self.apply(CatalogEntry::Topic(TopicRow {
            name: name.to_owned(),
            id: self
                .state
                .topic(name)
                .map_or(TopicId(topic_id(name).0 + (self.removed << 64)), |topic| topic.id),
            partitions,
            replication_factor: 1,
            created: 0,
            configs: Default::default(),
        }));
    }

    pub(super) fn remove(&mut self, name: &str) {
        let Some(topic) = self.state.topic(name).cloned() else { return };
        // One of the same name would be another topic.
        self.removed += 1;
        self.apply(CatalogEntry::Removed { id: topic.id, name: name.to_owned() });
    }
}

pub(super) struct Kit {
    pub(super) group: ConsumerGroup,
    pub(super) now: Duration,
    pub(super) settings: Settings,
    pub(super) topics: Topics,
    /// The rows as a store has them.
    pub(super) stored: Vec<Change>,
}

impl Kit {
    pub(super) fn new(topics: &[(&str, u32)]) -> Self {
        Kit {
            group: ConsumerGroup::default(),
            now: ms(1_000_000),
            settings: Settings::default(),
            topics: Topics::new(topics),
            stored: Vec::new(),
        }
    }

    pub(super) fn with<T>(&mut self, act: impl FnOnce(&mut ConsumerGroup, &Context<'_>) -> T) -> T {
        let cx = Context { now: self.now, settings: &self.settings, catalog: &self.topics.state };
        let result = act(&mut self.group, &cx);
        self.store();
        result
    }

    /// Writes what has changed to the store.
    fn store(&mut self) {
        for change in self.group.take_changes() {
            let key = |change: &Change| match change {
                Change::Head(_) => None,
                Change::Member(id, _) | Change::Left(id) => Some(id.clone()),
            };
            let same = key(&change);
            self.stored.retain(|old| key(old) != same);
            if !matches!(change, Change::Left(_)) {
                self.stored.push(through_bytes(change));
            }
        }
    }

    pub(super) fn send(&mut self, request: &HeartbeatRequest) -> Result<HeartbeatAnswer, Refusal> {
        self.with(|group, cx| group.heartbeat(cx, request))
    }

    /// Another agent loads the group.
    pub(super) fn fail_over(&mut self) {
        let mut group = ConsumerGroup::default();
        self.stored.iter().for_each(|change| group.apply(change.clone()).unwrap());
        assert_eq!(group.rows(), self.group.rows(), "the rows are all of the state");
        group.start_timers(&Context { now: self.now, settings: &self.settings, catalog: &self.topics.state });
        self.group = group;
    }

    pub(super) fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.with(|group, cx| group.expire(cx))
    }

    pub(super) fn view(&self) -> View {
        self.group.describe(&self.settings)
    }

    pub(super) fn member(&self, id: &str) -> MemberView {
        self.view().members.into_iter().find(|member| member.member == id).unwrap()
    }

    /// Joins, and heartbeats until the group has no more to say to it.
    pub(super) fn join(&mut self, id: &str, topics: &[&str]) -> HeartbeatAnswer {
        self.send(&join(id, topics)).unwrap()
    }
}

fn through_bytes(change: Change) -> Change {
    match change {
        Change::Head(row) => Change::Head(siltstone_log::ConsumerHeadRow::decode(&row.encode()).unwrap()),
        Change::Member(id, row) => {
            Change::Member(id, Box::new(siltstone_log::ConsumerMemberRow::decode(&row.encode()).unwrap()))
        }
        Change::Left(id) => Change::Left(id),
    }
}

pub(super) fn join(id: &str, topics: &[&str]) -> HeartbeatRequest {
    HeartbeatRequest {
        member: id.to_owned(),
        rebalance_timeout_ms: Some(10_000),
        topics: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        owned: Some(Partitions::new()),
        client_id: "client".to_owned(),
        client_host: "/10.0.0.1".to_owned(),
        ..HeartbeatRequest::default()
    }
}

pub(super) fn join_static(id: &str, instance: &str, topics: &[&str]) -> HeartbeatRequest {
    HeartbeatRequest { instance: Some(instance.to_owned()), ..join(id, topics) }
}

pub(super) fn beat(id: &str, epoch: i32, owned: Option<&Partitions>) -> HeartbeatRequest {
    HeartbeatRequest {
        member: id.to_owned(),
        epoch,
        owned: owned.cloned(),
        client_id: "client".to_owned(),
        client_host: "/10.0.0.1".to_owned(),
        ..HeartbeatRequest::default()
    }
}

pub(super) fn parts(all: &[(&str, &[u32])]) -> Partitions {
    let each = all.iter().map(|(name, some)| (topic_id(name), some.iter().copied().collect()));
    each.collect::<BTreeMap<_, _>>()
}

/// What a client of the protocol does, without a mind of its own: it gives up at once what it is told to.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) owned: Partitions,
    report: bool,
}

impl Client {
    pub(super) fn join(kit: &mut Kit, request: &HeartbeatRequest) -> Self {
        let answer = kit.send(request).unwrap();
        let mut client =
            Client { id: request.member.clone(), epoch: 0, owned: Partitions::new(), report: false };
        client.take(answer);
        client
    }

    fn take(&mut self, answer: HeartbeatAnswer) {
        self.epoch = answer.epoch;
        if let Some(assignment) = answer.assignment {
            self.report = assignment != self.owned;
            self.owned = assignment;
        }
    }

    pub(super) fn send(&mut self, kit: &mut Kit, request: &HeartbeatRequest) {
        let answer = kit.send(request).unwrap();
        self.take(answer);
    }

    pub(super) fn beat(&mut self, kit: &mut Kit) {
        let owned = std::mem::take(&mut self.report).then(|| self.owned.clone());
        self.send(kit, &beat(&self.id, self.epoch, owned.as_ref()));
    }

    pub(super) fn count(&self) -> usize {
        self.owned.values().map(|some| some.len()).sum()
    }
}

/// Lets all heartbeat until the group is stable.
pub(super) fn settle(kit: &mut Kit, clients: &mut [&mut Client]) {
    for _ in 0..10 {
        clients.iter_mut().for_each(|client| client.beat(kit));
        if kit.group.state() == GroupState::Stable {
            // Once more, so that all have heard.
            clients.iter_mut().for_each(|client| client.beat(kit));
            return;
        }
    }
    panic!("the group does not settle: {:#?}", kit.view());
}
