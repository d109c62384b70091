//! The cluster that a run begins with: at the lowest feature level, with two topics.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::{EngineSettings, Linger, Presence};
use siltstone_agent::produce::{BlockCompression, PolicySettings, WriteSettings};
use siltstone_configs::BrokerConfig;
use siltstone_log::{ClusterRow, Configs, Entry, OffsetRow, ShardId};
use siltstone_metadata::catalog::{Changes, NewTopic};
use siltstone_metadata::checkpoint::CheckpointSettings;
use siltstone_metadata::keys::{cluster, group_offset, shard_log};
use siltstone_metadata::shard::{MAX_LEVEL, MIN_LEVEL};
use siltstone_objects::{Hedge, Options, Requests};
use siltstone_store::{Commit, Mutation, Store};

use super::clients::members::Group;
use super::world::World;

/// A silent agent is taken to be dead after so long.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// The floor trails by so much.
pub(super) const FLOOR_LAG: Duration = Duration::from_millis(1500);
/// Bytes that one agent's write path may hold.
pub(super) const BUFFER_BYTES: usize = 64 << 10;
/// Bytes of one agent's page cache: a few pages.
pub(super) const CACHE_BYTES: u64 = 48 << 10;
const PAGE_BYTES: u64 = 4 << 10;

/// A member of a group that is silent for so long is put out; so long it may take to join again.
pub(super) const SESSION: Duration = Duration::from_secs(4);
/// The topic that groups read.
pub(super) const GROUPED: &str = "first";
/// The topic that is compacted by key from the beginning on.
pub(super) const KEYED: &str = "keyed";

/// Configs of groups, by the same measure.
pub(super) fn group_config() -> BrokerConfig {
    let mut config = BrokerConfig::default();
    config.classic_groups.initial_rebalance_delay_ms = 50;
    config.classic_groups.min_session_timeout_ms = 1;
    config.consumer_groups.session_timeout_ms = SESSION.as_millis() as u64;
    config.consumer_groups.heartbeat_interval_ms = 300;
    config.offsets.retention_check_interval_ms = 2000;
    config.offsets.commit_timeout_ms = 1000;
    config
}

/// Settings under which virtual seconds bring what takes hours elsewhere.
pub(super) fn settings(node: u32, shards: u16, seed: u64) -> EngineSettings {
    let ms = Duration::from_millis;
    let policy = PolicySettings {
        flush_bytes: 6 << 10,
        flush_interval: ms(60),
        inline_bytes: 1200,
        inline_bytes_per_second: 20_000.0,
        puts_per_second: 20.0,
        quiet: ms(2),
        max_uploads: 4,
        few_uploads: 2,
    };
    let write = WriteSettings {
        policy,
        // Compressing runs on threads of its own, which no seed steers.
        compression: BlockCompression::Off,
        buffer_bytes: BUFFER_BYTES,
        upload_timeout: ms(3000),
        patience: ms(300),
    };
    let checkpoint = CheckpointSettings {
        interval: ms(400),
        floor_lag: FLOOR_LAG,
        lease: ms(1200),
        producer_expiration: Duration::from_secs(100),
    };
    EngineSettings {
        node,
        zone: String::new(),
        host: format!("agent-{node}"),
        port: 9092,
        shards,
        write,
        cache_bytes: CACHE_BYTES,
        page_bytes: PAGE_BYTES,
        block_bytes: block_bytes(seed),
        checkpoint,
        lease: LEASE,
        exclusive: false,
        presence: Presence { linger: linger(seed), ..Presence::default() },
    }
}

/// Every second cluster reads flushed blocks as on a local disk: by themselves.
fn block_bytes(seed: u64) -> Option<u32> {
    (seed / 2).is_multiple_of(2).then_some(PAGE_BYTES as u32 / 4)
}

/// How agents use the bucket.
pub(super) fn requests() -> Options {
    let ms = Duration::from_millis;
    let requests = Requests {
        timeout: ms(1200),
        backoff_first: ms(20),
        backoff_max: ms(300),
        hedge_put: Some(Hedge { min: ms(50), max: ms(400) }),
        hedge_get: Some(Hedge { min: ms(50), max: ms(300) }),
        ..Requests::default()
    };
    Options { requests, ..Options::default() }
}

/// Every third cluster begins at the lowest feature level, and is raised at some time.
fn first_level(world: &World) -> u32 {
    if world.seed.is_multiple_of(3) { MIN_LEVEL } else { MAX_LEVEL }
}

/// Makes the cluster, in part at the lowest feature level, as an older program would have made it, and its first topics.
pub(super) async fn cluster(world: &Rc<World>) {
    let row = ClusterRow {
        cluster_id: "simulation".into(),
        incarnation: 1,
        shards: world.shards,
        created: 0,
        level: first_level(world),
    };
    let level: Bytes = Entry::Feature { level: row.level }.encode().into();
    let mut mutations = vec![Mutation::Set { key: cluster::key(), value: row.encode().into() }];
    mutations.extend((0..world.shards).map(|shard| shard_log::append(ShardId(shard), 0, level.clone())));
    let made = world.store.commit(Commit { mutations, ..Commit::default() }).await;
    assert!(made.is_ok(), "nothing disturbs the beginning");
    let store: Arc<dyn Store> = Arc::new(world.store.clone());
    let changes = Changes::new(store, world.agents[0].ambient.clone(), world.shards);
    let topic = changes.create(new_topic(GROUPED, 3)).await;
    let Ok(topic) = topic else { unreachable!("nothing disturbs the beginning") };
    world.learn(&topic);
    world.grouped.set(Some(topic.id));
    let topic = changes.create(keyed_topic(world.seed, KEYED, 2)).await;
    let Ok(keyed) = topic else { unreachable!("nothing disturbs the beginning") };
    world.learn(&keyed);
    // A group without offsets ends with its last member, and its generations begin again.
    let row = OffsetRow { committed: world.agents[0].ambient.clock.now(), ..OffsetRow::default() };
    let partition = world.grouped_partitions()[0];
    let begin = |group: Group| Mutation::Set {
        key: group_offset::key(group.name, partition),
        value: row.encode().into(),
    };
    let mutations = world.plan_of_groups().into_iter().map(begin).collect();
    let made = world.store.commit(Commit { mutations, ..Commit::default() }).await;
    assert!(made.is_ok(), "nothing disturbs the beginning");
}

/// Retention keeps some of what is in it, but for the topic that groups read.
pub(super) fn new_topic(name: &str, partitions: u32) -> NewTopic {
    let mut configs = Configs::default();
    if name != GROUPED {
        configs.insert("retention.bytes".to_owned(), "12000".to_owned());
    }
    NewTopic { name: name.into(), partitions, replication_factor: 1, configs }
}

/// A topic that is compacted by key, in every run otherwise.
pub(super) fn keyed_topic(seed: u64, name: &str, partitions: u32) -> NewTopic {
    let mut configs = Configs::default();
    let mut set = |name: &str, value: &str| drop(configs.insert(name.to_owned(), value.to_owned()));
    match seed.is_multiple_of(2) {
        true => set("cleanup.policy", "compact"),
        false => {
            set("cleanup.policy", "compact,delete");
            set("retention.bytes", "30000");
        }
    }
    set("delete.retention.ms", if seed.is_multiple_of(3) { "1500" } else { "3500" });
    if seed.is_multiple_of(5) {
        set("min.compaction.lag.ms", "1500");
    }
    if lazily(seed) {
        set("max.compaction.lag.ms", "4000");
    } else {
        set("min.cleanable.dirty.ratio", "0");
    }
    NewTopic { name: name.into(), partitions, replication_factor: 1, configs }
}

/// In two of three runs agents let shards go that they don't stand for: at once, or soon.
fn linger(seed: u64) -> Linger {
    match seed % 3 {
        0 => Linger::default(),
        1 => Linger(Duration::from_millis(200)),
        _ => Linger(Duration::from_secs(2)),
    }
}

/// Whether agents are of older and newer programs, and the level is raised as far as all follow it.
pub(super) fn programs(seed: u64) -> bool {
    seed % 9 == 6
}

/// Whether records of keys are erased.
pub(super) fn erases(seed: u64) -> bool {
    (seed / 4).is_multiple_of(2)
}

/// Whether an operator has shards counted anew all the time.
pub(super) fn recounts(seed: u64) -> bool {
    seed % 5 == 2
}

/// Whether transactions are mostly aborted, and mostly of topics that are compacted by key.
pub(super) fn aborts(seed: u64) -> bool {
    seed % 3 == 1
}

/// Whether topics are compacted once there is much to do only, so that something may be left to do.
pub(super) fn lazily(seed: u64) -> bool {
    seed % 4 == 1
}
