//! What a group's coordinator writes when outcomes are unknown, and groups that lost their coordinator. In virtual time.

use std::sync::Arc;
use std::time::Duration;

use siltstone_agent::engine::Engine;
use siltstone_agent::group::{GroupError, NewOffset, OffsetCommitter};
use siltstone_configs::BrokerConfig;
use siltstone_log::{OffsetRow, PartitionId, TopicRow};
use siltstone_metadata::catalog::NewTopic;
use siltstone_metadata::group::consumer::{GroupState, HeartbeatAnswer, HeartbeatRequest, LEAVE_EPOCH};
use siltstone_metadata::keys::group_member;
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{RangeLimit, Store};
use tokio::time::{sleep, timeout};

use super::kit::{DEADLINE, foundations, settings};

const GROUP: &str = "g";
/// Later than anything that is told to land late.
const LATER: Duration = Duration::from_secs(3);

/// Every commit's outcome is unknown, and it is applied a second later unless something stands against it.
fn late() -> Faults {
    let second = Duration::from_secs(1);
    Faults { unknown_late: 1.0, late: second..=second, ..Faults::none() }
}

struct Agent {
    store: MemoryStore,
    engine: Arc<Engine>,
    config: BrokerConfig,
}

impl Agent {
    async fn start(store: MemoryStore) -> Agent {
        let engine = Engine::start(foundations(store.clone()), settings()).await.unwrap();
        Agent { store, engine, config: BrokerConfig::default() }
    }

    async fn topic(&self) -> Arc<TopicRow> {
        let new =
            NewTopic { name: "t".into(), partitions: 2, replication_factor: 1, configs: Default::default() };
        let row = self.engine.changes().create(new).await.unwrap();
        self.engine.catalog().fresh().await.unwrap();
        Arc::new(row)
    }

    async fn beat(&self, member: &str, epoch: i32) -> Result<HeartbeatAnswer, GroupError> {
        let joins = epoch == 0;
        let request = HeartbeatRequest {
            member: member.into(),
            epoch,
            topics: joins.then(|| vec!["t".into()]),
            rebalance_timeout_ms: joins.then_some(10_000),
            owned: joins.then(Default::default),
            ..HeartbeatRequest::default()
        };
        self.engine.groups().consumer_heartbeat(&self.config, GROUP, 1, request).await
    }

    async fn commit(&self, partition: PartitionId, offset: i64) -> Result<(), GroupError> {
        let who = OffsetCommitter { generation: -1, version: 9, ..OffsetCommitter::default() };
        let row = OffsetRow { offset, ..OffsetRow::default() };
        let offsets = vec![NewOffset { partition, row }];
        self.engine.groups().commit(&self.config, "offsets", who, offsets).await
    }

    async fn committed(&self, partition: PartitionId) -> Option<i64> {
        let found = self.engine.groups().committed("offsets", &[partition], false).await.unwrap();
        found[0].row.as_ref().map(|row| row.offset)
    }

    async fn member_rows(&self) -> usize {
        let snapshot = self.store.snapshot().await.unwrap();
        snapshot.range(&group_member::of(GROUP), RangeLimit::default()).await.unwrap().entries.len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_does_not_land_behind_the_next() {
    let agent = Agent::start(MemoryStore::new(1, Faults::none())).await;
    agent.topic().await;
    agent.beat("a", 0).await.unwrap();
    assert_eq!(agent.member_rows().await, 1);
    agent.store.set_faults(late());
    let store = agent.store.clone();
    let heal = async {
        sleep(Duration::from_millis(20)).await;
        store.set_faults(Faults::none());
    };
    // Tried until it is known to be done; the first try is still on its way then.
    let (left, ()) = tokio::join!(agent.beat("a", LEAVE_EPOCH), heal);
    left.unwrap();
    assert_eq!(agent.member_rows().await, 0);
    agent.beat("b", 0).await.unwrap();
    agent.beat("a", 0).await.unwrap();
    assert_eq!(agent.member_rows().await, 2);
    sleep(LATER).await;
    assert_eq!(agent.member_rows().await, 2, "that a left was before it came back");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_written_is_given_up_and_loaded_again() {
    let agent = Agent::start(MemoryStore::new(2, Faults::none())).await;
    agent.topic().await;
    let epoch = agent.beat("a", 0).await.unwrap().epoch;
    agent.store.set_faults(late());
    let lost = agent.beat("b", 0).await;
    assert!(matches!(lost, Err(GroupError::Unavailable(_))), "{lost:?}");
    agent.store.set_faults(Faults::none());
    agent.beat("a", epoch).await.unwrap();
    let view = agent.engine.groups().describe_consumer(&agent.config, GROUP).await.unwrap();
    assert_eq!(view.members.len(), agent.member_rows().await, "b's try landed or did not: the rows say so");
    let members = view.members.len();
    sleep(LATER).await;
    assert_eq!(agent.member_rows().await, members, "and it does not land any more");
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_client_that_went_away_do_not_land_behind_its_next() {
    let agent = Agent::start(MemoryStore::new(3, Faults::none())).await;
    let partition = PartitionId { topic: agent.topic().await.id, index: 0 };
    agent.commit(partition, 1).await.unwrap();
    agent.store.set_faults(late());
    let gone = timeout(Duration::from_millis(20), agent.commit(partition, 5)).await;
    assert!(gone.is_err(), "the client waits for it no longer");
    agent.store.set_faults(Faults::none());
    agent.commit(partition, 7).await.unwrap();
    sleep(LATER).await;
    assert_eq!(agent.committed(partition).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_slow_commit_does_not_land_behind_a_later_one() {
    let agent = Agent::start(MemoryStore::new(4, Faults::none())).await;
    let partition = PartitionId { topic: agent.topic().await.id, index: 0 };
    agent.commit(partition, 1).await.unwrap();
    let slow = Duration::from_secs(1);
    // The store becomes slow after so many turns: in some of these rounds just when the first commit has done its reads.
    for turns in 0..16 {
        let first = timeout(Duration::from_millis(500), agent.commit(partition, 10 * turns + 5));
        let second = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            agent.store.set_faults(Faults { delay: slow..=slow, ..Faults::none() });
            sleep(Duration::from_millis(600)).await;
            agent.store.set_faults(Faults::none());
            agent.commit(partition, 10 * turns + 7).await
        };
        let (_, second) = tokio::join!(biased; first, second);
        second.unwrap();
        sleep(LATER).await;
        assert_eq!(agent.committed(partition).await, Some(10 * turns + 7), "after {turns} turns");
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_a_group_without_a_coordinator_are_put_out_though_nobody_asks() {
    let store = MemoryStore::new(5, Faults::none());
    let before = Agent::start(store.clone()).await;
    before.topic().await;
    before.beat("a", 0).await.unwrap();
    drop(before);
    let after = Agent::start(store).await;
    let config = Arc::new(after.config.clone());
    let groups = after.engine.groups().clone();
    let running = tokio::spawn(groups.clone().run(move || Some(config.clone())));
    let empty = async {
        while after.member_rows().await > 0 {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(DEADLINE + Duration::from_secs(60), empty).await.expect("the member is put out");
    let state = groups.describe_consumer(&after.config, GROUP).await.unwrap().state;
    assert_eq!(state, GroupState::Empty);
    running.abort();
}
