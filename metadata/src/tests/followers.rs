//! All shards of an agent: what following them costs, and which are followed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::{PartitionId, RegistrationId, ShardId, TopicRow, shard_of};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{
    Commit, CommitError, Committed, KeyRange, Mutation, Page, RangeLimit, Snapshot, Store, StoreError,
    Version, Watch,
};
use tokio::task::JoinHandle;

use super::kit::*;
use crate::follow::{Followers, STALE_AFTER, ShardError, Subscription};
use crate::keys::{shard_floor, shard_log, shard_voids};
use crate::lease::{end, register};

const SHARDS: u16 = 256;
const LINGER: Duration = Duration::from_secs(10);

/// A store that counts what it is asked, and may refuse to read logs, or to tell fresh versions.
struct Tally {
    store: MemoryStore,
    asked: Arc<AtomicU64>,
    logs_lost: Arc<AtomicBool>,
    versions_lost: Arc<AtomicBool>,
}

struct TalliedSnapshot(Box<dyn Snapshot>, Arc<AtomicU64>, Arc<AtomicBool>);

#[async_trait]
impl Snapshot for TalliedSnapshot {
    fn version(&self) -> Version {
        self.0.version()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.get(key).await
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let of_log = shard_log::after(SHARD, siltstone_log::Position::ZERO).begin[0];
        if range.begin.first() == Some(&of_log) && self.2.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("logs can't be read".to_owned()));
        }
        self.0.range(range, limit).await
    }
}

impl Tally {
    fn tallied(&self, snapshot: Box<dyn Snapshot>) -> Box<dyn Snapshot> {
        Box::new(TalliedSnapshot(snapshot, self.asked.clone(), self.logs_lost.clone()))
    }
}

#[async_trait]
impl Store for Tally {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.versions_lost.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("nobody tells versions".to_owned()));
        }
        Ok(self.tallied(self.store.snapshot().await?))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(self.tallied(self.store.snapshot_at(version).await?))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.commit(commit).await
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.watch(key).await
    }

    fn heard(&self) -> Option<Version> {
        self.store.heard()
    }
}

/// An agent that follows all shards of a cluster.
struct Crew {
    store: MemoryStore,
    own: RegistrationId,
    asked: Arc<AtomicU64>,
    logs_lost: Arc<AtomicBool>,
    versions_lost: Arc<AtomicBool>,
    followers: Followers,
    told: Arc<Told>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Crew {
    /// One that no watch ever wakes in time.
    async fn start(cluster: &Cluster, n: u64) -> Crew {
        let never = Duration::from_secs(100_000);
        Crew::start_with(cluster, n, Faults { watch_delay: never..=never, ..Faults::none() }).await
    }

    async fn start_with(cluster: &Cluster, n: u64, faults: Faults) -> Crew {
        let (store, own) = (cluster.store.handle(n), RegistrationId(u128::from(n)));
        store.set_faults(faults);
        register(&store, &registration_row(own)).await.unwrap();
        let (asked, logs_lost, versions_lost) = (Arc::default(), Arc::default(), Arc::default());
        let tally = Tally {
            store: store.clone(),
            asked: Arc::clone(&asked),
            logs_lost: Arc::clone(&logs_lost),
            versions_lost: Arc::clone(&versions_lost),
        };
        let told = Arc::new(Told::default());
        let followers = Followers::new(cluster.shards, own, Arc::new(tally), told.clone(), LINGER);
        let shards = followers.shards().iter().map(|shard| tokio::spawn(shard.clone().run()));
        let mut tasks: Vec<_> = shards.collect();
        tasks.push(tokio::spawn(followers.clone().run()));
        let crew = Crew { store, own, asked, logs_lost, versions_lost, followers, told, tasks };
        crew.followers.caught_up().await.unwrap();
        crew
    }

    /// What the store is asked in so many seconds.
    async fn asks_in(&self, time: u64) -> u64 {
        let before = self.asked.load(Ordering::SeqCst);
        seconds(time).await;
        self.asked.load(Ordering::SeqCst) - before
    }

    fn followed(&self) -> usize {
        self.followers.shards().iter().filter(|shard| shard.is_followed()).count()
    }

    fn served(&self) -> usize {
        self.followers.shards().iter().filter(|shard| shard.read(|_| ()).is_ok()).count()
    }

    fn next(&self, partition: PartitionId) -> Result<i64, ShardError> {
        self.followers.of(partition).partition(partition, |partition| partition.next())
    }
}

/// Partitions in all shards.
async fn partitions(cluster: &Cluster) -> (TopicRow, Vec<PartitionId>) {
    let topic = cluster.topic("t", u32::from(cluster.shards)).await;
    let all = (0..topic.partitions).map(|index| id(&topic, index)).collect();
    (topic, all)
}

/// A cluster with partitions in all its shards, and an agent that has loaded them.
async fn at_work(shards: u16) -> (Cluster, Vec<PartitionId>, Crew) {
    let cluster = Cluster::new(shards).await;
    let (_, all) = partitions(&cluster).await;
    let crew = Crew::start(&cluster, 1).await;
    crew.followers.load(&all).await.unwrap();
    (cluster, all, crew)
}

/// Another agent that writes to the shard of a partition.
async fn writer(cluster: &Cluster, n: u64, partition: PartitionId) -> Agent {
    Agent::start(cluster, n, shard_of(partition, cluster.shards)).await
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_asks_little_and_serves_all() {
    let cluster = Cluster::new(SHARDS).await;
    let crew = Crew::start(&cluster, 1).await;
    seconds(10).await;
    for _ in 0..20 {
        let asked = crew.asks_in(10).await;
        assert!((10..=60).contains(&asked), "{asked} in ten seconds");
        assert_eq!(crew.served(), usize::from(SHARDS));
        assert_eq!(crew.followers.trouble(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn many_shards_are_fresh_by_one_look() {
    let (cluster, all, crew) = at_work(SHARDS).await;
    let other = writer(&cluster, 2, all[7]).await;
    for round in 1..20 {
        let before = crew.asked.load(Ordering::SeqCst);
        crew.followers.fresh(all.iter().copied()).await.unwrap();
        let asked = crew.asked.load(Ordering::SeqCst) - before;
        assert!(round == 1 || asked <= 12, "{asked} for one look and the round of one shard");
        other.append(vec![block(all[7], 0, &[plain(1)])]).await;
        crew.followers.fresh(all.iter().copied()).await.unwrap();
        assert_eq!(crew.next(all[7]), Ok(round));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_is_found_without_a_watch() {
    let (cluster, all, crew) = at_work(SHARDS).await;
    seconds(10).await;
    for (index, partition) in all.iter().take(10).enumerate() {
        writer(&cluster, 2 + index as u64, *partition)
            .await
            .append(vec![block(*partition, 0, &[plain(3)])])
            .await;
    }
    seconds(3).await;
    all.iter().take(10).for_each(|partition| assert_eq!(crew.next(*partition), Ok(3)));
}

#[tokio::test(start_paused = true)]
async fn floors_and_voids_for_which_nobody_ticks_are_found() {
    let (cluster, all, crew) = at_work(8).await;
    let (partition, shard) = (all[3], shard_of(all[3], cluster.shards));
    let other = writer(&cluster, 2, partition).await;
    other.append(vec![block(partition, 0, &[plain(3)])]).await;
    other.append(vec![block(partition, 0, &[plain(4)])]).await;
    until("it is folded", || crew.next(partition) == Ok(7)).await;
    seconds(10).await;
    let (voided, _) = *cluster.log(shard).await.last().unwrap();
    let value = shard_voids::encode(&BTreeSet::from([voided]));
    cluster.put(vec![Mutation::Set { key: shard_voids::key(shard), value }]).await;
    seconds(3).await;
    assert_eq!(crew.next(partition), Ok(3), "loaded anew, without it");
    let floor = crew.followers.shard(shard).read(|state| state.position()).unwrap();
    let value = Bytes::copy_from_slice(&floor.0);
    cluster.put(vec![Mutation::Set { key: shard_floor::key(shard), value }]).await;
    seconds(3).await;
    let known = crew.followers.shard(shard).checkpoint_view(|_, _, floor| floor);
    assert_eq!(known, Some(floor));
}

#[tokio::test(start_paused = true)]
async fn a_round_that_failed_confirms_nothing_however_often_the_tick_is_the_same() {
    let (cluster, all, crew) = at_work(8).await;
    let partition = all[3];
    let other = writer(&cluster, 2, partition).await;
    seconds(10).await;
    crew.logs_lost.store(true, Ordering::SeqCst);
    other.append(vec![block(partition, 0, &[plain(3)])]).await;
    tokio::time::sleep(STALE_AFTER + Duration::from_secs(1)).await;
    let shard = crew.followers.of(partition).id();
    assert_eq!(crew.next(partition), Err(ShardError::Stale(shard)));
    assert_eq!(crew.served(), 7, "the others are quiet, and that can be seen");
    assert!(crew.followers.trouble().is_some());
    assert_eq!(crew.followers.fresh(all.iter().copied()).await, Err(ShardError::Stale(shard)));
    crew.logs_lost.store(false, Ordering::SeqCst);
    until("it is served again", || crew.next(partition) == Ok(3)).await;
    assert_eq!(crew.followers.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn an_own_commit_is_read_at_its_version() {
    let (cluster, all, crew) = at_work(SHARDS).await;
    let (partition, shard) = (all[7], crew.followers.of(all[7]).clone());
    let other = writer(&cluster, 2, partition).await;
    for round in 1..20 {
        other.append(vec![block(partition, 0, &[plain(1)])]).await;
        crew.followers.fresh([partition]).await.unwrap();
        other.append(vec![block(partition, 0, &[plain(1)])]).await;
        let committed = cluster.store.snapshot().await.unwrap().version();
        let before = crew.asked.load(Ordering::SeqCst);
        shard.appended(committed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(crew.next(partition), Ok(2 * round), "it is read on");
        shard.appended(committed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let asked = crew.asked.load(Ordering::SeqCst) - before;
        assert_eq!(asked, 3, "floor, voids and log, and once");
    }
    other.append(vec![block(partition, 0, &[plain(1)])]).await;
    shard.appended(Version(0));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(crew.next(partition), Ok(38), "a version that the state holds asks for nothing");
}

#[tokio::test(start_paused = true)]
async fn news_are_read_at_the_version_that_was_heard() {
    let cluster = Cluster::new(SHARDS).await;
    let (_, all) = partitions(&cluster).await;
    let crew = Crew::start_with(&cluster, 1, Faults::none()).await;
    crew.followers.load(&all).await.unwrap();
    let (partition, shard) = (all[7], crew.followers.of(all[7]).clone());
    let other = writer(&cluster, 2, partition).await;
    for round in 1..20 {
        crew.followers.fresh([partition]).await.unwrap();
        let before = crew.asked.load(Ordering::SeqCst);
        other.append(vec![block(partition, 0, &[plain(1)])]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(crew.next(partition), Ok(round), "it is read on");
        let asked = crew.asked.load(Ordering::SeqCst) - before;
        assert_eq!(asked, 4, "a watch, floor, voids and log, and no version");
        // As after an own commit, of which the watch tells, too.
        shard.appended(cluster.store.snapshot().await.unwrap().version());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(crew.asked.load(Ordering::SeqCst) - before, asked, "all of it is there");
    }
}

#[tokio::test(start_paused = true)]
async fn own_commits_do_not_confirm_what_others_may_have_changed() {
    let (cluster, all, crew) = at_work(8).await;
    let (partition, shard) = (all[3], crew.followers.of(all[3]).clone());
    let other = writer(&cluster, 2, partition).await;
    seconds(10).await;
    crew.versions_lost.store(true, Ordering::SeqCst);
    let end = tokio::time::Instant::now() + STALE_AFTER + Duration::from_secs(1);
    let mut highest = 0;
    while tokio::time::Instant::now() < end {
        other.append(vec![block(partition, 0, &[plain(1)])]).await;
        shard.appended(cluster.store.snapshot().await.unwrap().version());
        tokio::time::sleep(Duration::from_millis(20)).await;
        highest = crew.next(partition).map_or(highest, |next| next.max(highest));
    }
    assert!(highest > 10, "they were read meanwhile, up to {highest}");
    assert_eq!(crew.next(partition), Err(ShardError::Stale(shard.id())));
    crew.versions_lost.store(false, Ordering::SeqCst);
    until("it is served again", || crew.next(partition).is_ok()).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_is_let_go_and_comes_back() {
    let (cluster, all, crew) = at_work(SHARDS).await;
    let own: BTreeSet<ShardId> = (0..2).map(ShardId).collect();
    crew.followers.stand_for(&own);
    until("all others are let go", || crew.followed() == 2 && crew.served() == 2).await;
    let asked = crew.asks_in(100).await;
    assert!(asked <= 1_000, "{asked} in a hundred seconds");
    let partition = *all.iter().find(|id| !own.contains(&shard_of(**id, SHARDS))).unwrap();
    assert!(crew.next(partition).is_err());
    let other = writer(&cluster, 2, partition).await;
    other.append(vec![block(partition, 0, &[plain(3)])]).await;
    crew.followers.settled(all.iter().copied()).await.unwrap();
    assert_eq!(crew.followed(), 2, "that begins nothing");
    crew.followers.load(&[partition]).await.unwrap();
    assert_eq!((crew.next(partition), crew.followed()), (Ok(3), 3));
    for _ in 0..10 {
        seconds(LINGER.as_secs() - 3).await;
        other.append(vec![block(partition, 0, &[plain(1)])]).await;
        assert!(crew.next(partition).is_ok(), "it is used");
    }
    until("it is let go again", || crew.followed() == 2).await;
    crew.followers.of(partition).fresh().await.unwrap();
    crew.followers.load(&[partition]).await.unwrap();
    assert_eq!(crew.next(partition), Ok(13));
}

#[tokio::test(start_paused = true)]
async fn who_waits_and_what_is_awaited_keep_a_shard() {
    let (cluster, all, crew) = at_work(4).await;
    let mut subscription = Subscription::default();
    let shard = crew.followers.of(all[0]).clone();
    shard.subscribe(&mut subscription, all[0]);
    crew.followers.stand_for(&BTreeSet::new());
    until("others are let go", || crew.followed() == 1).await;
    seconds(100).await;
    assert!(shard.is_followed(), "somebody waits for news of it");
    let other = writer(&cluster, 2, all[0]).await;
    other.append(vec![block(all[0], 0, &[plain(1)])]).await;
    tokio::time::timeout(Duration::from_secs(10), subscription.changed()).await.unwrap();
    drop(subscription);
    crew.told.awaited.store(true, Ordering::SeqCst);
    seconds(100).await;
    assert!(shard.is_followed(), "an outcome is awaited");
    crew.told.awaited.store(false, Ordering::SeqCst);
    until("it is let go", || crew.followed() == 0).await;
    shard.take_up();
    until("it is followed for what is expected", || shard.read(|_| ()).is_ok()).await;
    until("it is let go", || crew.followed() == 0).await;
    shard.hold(true);
    seconds(100).await;
    assert!(shard.read(|_| ()).is_ok(), "its checkpoints are this agent's");
}

#[tokio::test(start_paused = true)]
async fn who_follows_nothing_learns_that_its_registration_is_over() {
    let cluster = Cluster::new(4).await;
    let crew = Crew::start(&cluster, 1).await;
    crew.followers.stand_for(&BTreeSet::new());
    until("all are let go", || crew.followed() == 0).await;
    seconds(10).await;
    assert!(!crew.told.over.load(Ordering::SeqCst));
    end(&crew.store, crew.own, cluster.shards, None).await.unwrap();
    until("it is told", || crew.told.over.load(Ordering::SeqCst)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_trouble_also_to_who_follows_nothing() {
    let cluster = Cluster::new(4).await;
    let crew = Crew::start(&cluster, 1).await;
    crew.followers.stand_for(&BTreeSet::new());
    until("all are let go", || crew.followed() == 0).await;
    assert_eq!(crew.followers.trouble(), None);
    crew.store.set_faults(Faults::cut());
    until("it is noticed", || crew.followers.trouble().is_some()).await;
    crew.store.set_faults(Faults::none());
    until("it is over", || crew.followers.trouble().is_none()).await;
}
