//! The catalog: changes under conflicts and unknown results, and its followers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{
    CatalogEntry, Entry, MAX_PARTITIONS, Position, RegistrationId, RegistrationRow, ShardId, Standing,
    TopicId, TopicRow,
};
use siltstone_store::Mutation;
use siltstone_store::memory::Faults;

use super::kit::*;
use crate::catalog::{Catalog, CatalogError, CatalogState, CatalogTrimmer, Changes};
use crate::keys::{catalog_floor, catalog_log, topic_id, topic_name};
use crate::lease::{RegisterError, end, join, register};
use crate::shard::{MAX_LEVEL, MIN_LEVEL};

fn changes(cluster: &Cluster, seed: u64, faults: Faults) -> Changes {
    let store = cluster.store.handle(seed);
    store.set_faults(faults);
    Changes::new(Arc::new(store), ambient(seed), cluster.shards)
}

async fn rows(cluster: &Cluster) -> Vec<TopicRow> {
    let all = cluster.range(&topic_name::all()).await;
    all.iter().map(|(_, value)| TopicRow::decode(value).unwrap()).collect()
}

/// Every shard's log tells each topic's life once: partitions made in order, without overlap, then at most one end.
async fn check_shards(cluster: &Cluster) {
    let live: BTreeMap<TopicId, u32> =
        rows(cluster).await.into_iter().map(|row| (row.id, row.partitions)).collect();
    for shard in (0..cluster.shards).map(ShardId) {
        let (mut made, mut gone) = (BTreeMap::<TopicId, u32>::new(), BTreeSet::new());
        for (_, entry) in cluster.log(shard).await {
            match entry {
                Entry::Created { topic, first, end, .. } => {
                    assert!(!gone.contains(&topic), "{topic} comes back");
                    let old = made.insert(topic, end).unwrap_or(0);
                    assert!(first >= old && end > first, "{topic}: {first}..{end} behind ..{old}");
                }
                Entry::Deleted { topic } => assert!(gone.insert(topic), "{topic} ends twice"),
                _ => {}
            }
        }
        for topic in made.keys() {
            assert_eq!(live.contains_key(topic), !gone.contains(topic), "{topic}");
        }
    }
    // With one partition for each shard, at least, every shard knows of every topic.
    let state = folded(cluster).await;
    assert_eq!(state.topics().values().map(|row| (row.id, row.partitions)).collect::<BTreeMap<_, _>>(), live);
}

/// The catalog's log, folded from its beginning.
async fn folded(cluster: &Cluster) -> CatalogState {
    let mut state = CatalogState::default();
    for (key, value) in cluster.range(&catalog_log::after(Position::ZERO)).await {
        state.apply(catalog_log::position(&key).unwrap(), CatalogEntry::decode(&value).unwrap());
    }
    state
}

#[tokio::test(start_paused = true)]
async fn a_topic_lives_once() {
    let cluster = Cluster::new(4).await;
    let changes = &cluster.changes;
    let row = changes.create(new_topic("t", 3)).await.unwrap();
    assert!(matches!(changes.create(new_topic("t", 3)).await, Err(CatalogError::Exists(_))));
    assert_eq!(cluster.get(&topic_id::key(row.id)).await.as_deref(), Some(&b"t"[..]));
    let grown = changes.add_partitions("t", 3, 10).await.unwrap();
    assert_eq!((grown.partitions, grown.id), (10, row.id));
    assert!(matches!(changes.add_partitions("t", 10, 10).await, Err(CatalogError::NotMore(10))));
    assert!(matches!(changes.add_partitions("t", 10, 4).await, Err(CatalogError::NotMore(10))));
    let set = |row: &mut TopicRow| {
        row.configs.insert("a".to_owned(), "b".to_owned());
        Ok(())
    };
    assert_eq!(changes.alter("t", set).await.unwrap().configs["a"], "b");
    let fewer = |row: &mut TopicRow| {
        row.partitions = 1;
        Ok(())
    };
    assert!(matches!(changes.alter("t", fewer).await, Err(CatalogError::NotMore(10))));
    assert!(matches!(changes.delete("t", TopicId(1)).await, Err(CatalogError::NoTopic)));
    changes.delete("t", row.id).await.unwrap();
    assert!(matches!(changes.delete("t", row.id).await, Err(CatalogError::NoTopic)));
    assert!(matches!(changes.alter("t", |_| Ok(())).await, Err(CatalogError::NoTopic)));
    assert_ne!(changes.create(new_topic("t", 4)).await.unwrap().id, row.id);
    assert_eq!(cluster.get(&topic_id::key(row.id)).await, None);
    check_shards(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn counts_that_no_entry_may_hold_are_refused() {
    let cluster = Cluster::new(1).await;
    for count in [0, MAX_PARTITIONS + 1, u32::MAX] {
        let result = cluster.changes.create(new_topic("t", count)).await;
        assert!(matches!(result, Err(CatalogError::Refused(_))), "{count}");
    }
    cluster.topic("t", 1).await;
    let grown = cluster.changes.add_partitions("t", 1, MAX_PARTITIONS + 1).await;
    assert!(matches!(grown, Err(CatalogError::Refused(_))));
    assert_eq!(rows(&cluster).await[0].partitions, 1);
}

/// The first try took effect, unknown to its sender, and was deleted by another: the id must not be made again.
#[tokio::test(start_paused = true)]
async fn an_id_is_never_made_twice() {
    let cluster = Cluster::new(1).await;
    let store = cluster.store.handle(5);
    store.set_faults(Faults { unknown_applied: 1.0, ..Faults::none() });
    let unlucky = Changes::new(Arc::new(store.clone()), ambient(5), 1);
    let creating = tokio::spawn(async move { unlucky.create(new_topic("t", 1)).await });
    while rows(&cluster).await.is_empty() {
        tokio::task::yield_now().await;
    }
    let first = rows(&cluster).await.remove(0);
    cluster.changes.delete("t", first.id).await.unwrap();
    store.set_faults(Faults::none());
    let second = creating.await.unwrap().unwrap();
    assert_ne!(second.id, first.id);
    check_shards(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn in_any_weather_each_change_is_made_once() {
    for seed in 0..6 {
        let cluster = Cluster::new(2).await;
        let mut tasks = Vec::new();
        for n in 0..4_u64 {
            let changes = changes(&cluster, 10 * seed + n, Faults::storm());
            tasks.push(tokio::spawn(async move {
                let mut made = 0;
                for round in 0..6 {
                    let own = format!("own-{n}");
                    let Ok(row) = changes.create(new_topic(&own, 2)).await else { continue };
                    assert_eq!(row.name, own);
                    made += usize::from(changes.create(new_topic("shared", 2)).await.is_ok());
                    // Whoever is second sees what the first one did, or nothing at all.
                    let _ = changes.add_partitions("shared", 2, 3 + round).await;
                    let _ = changes.add_partitions(&own, 2, 5).await;
                    if let Ok(shared) = changes.alter("shared", |_| Ok(())).await
                        && round % 2 == 0
                    {
                        let _ = changes.delete("shared", shared.id).await;
                    }
                    changes.delete(&own, row.id).await.unwrap();
                }
                made
            }));
        }
        let mut made = 0;
        for task in tasks {
            made += task.await.unwrap();
        }
        assert!(made > 0);
        seconds(60).await;
        assert!(rows(&cluster).await.iter().all(|row| row.name == "shared"), "seed {seed}");
        check_shards(&cluster).await;
    }
}

#[tokio::test(start_paused = true)]
async fn producer_ids_are_given_out_once() {
    let cluster = Cluster::new(1).await;
    let mut tasks = Vec::new();
    for n in 0..4 {
        let changes = changes(&cluster, n, Faults::storm());
        tasks.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..20 {
                taken.push(changes.take_producer_ids(10).await.unwrap());
            }
            taken
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort();
    assert_eq!(all.len(), 80);
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{all:?}");
    let beyond = cluster.changes.take_producer_ids(u64::MAX).await;
    assert!(matches!(beyond, Err(CatalogError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn followers_see_what_was_committed_and_load_anew_behind_the_floor() {
    let cluster = Cluster::new(1).await;
    let first = cluster.topic("first", 1).await;
    let store = cluster.store.handle(7);
    let catalog = Catalog::new(Arc::new(store.clone()));
    assert!(catalog.fresh().await.is_err(), "nobody follows yet");
    let running = tokio::spawn(catalog.clone().run());
    let state = catalog.fresh().await.unwrap();
    assert_eq!(state.topic("first").map(|row| row.id), Some(first.id));
    for n in 0..20 {
        let row = cluster.topic(&format!("t{n}"), 1).await;
        let state = catalog.fresh().await.unwrap();
        assert_eq!(state.by_id(row.id).map(|row| row.name.clone()), Some(format!("t{n}")));
    }
    let set = |configs: &mut siltstone_log::Configs| {
        configs.insert("a".to_owned(), "1".to_owned());
        Ok(())
    };
    cluster.changes.alter_broker("3", set).await.unwrap();
    assert_eq!(catalog.fresh().await.unwrap().broker("3").unwrap()["a"], "1");
    // Away while the log is trimmed.
    store.set_faults(Faults::cut());
    cluster.changes.delete("first", first.id).await.unwrap();
    let last = cluster.topic("last", 1).await;
    let (key, _) = cluster.range(&catalog_log::after(Position::ZERO)).await.pop().unwrap();
    let position = catalog_log::position(&key).unwrap();
    cluster
        .put(vec![
            Mutation::Set { key: catalog_floor::key(), value: bytes::Bytes::copy_from_slice(&position.0) },
            Mutation::ClearRange { range: catalog_log::up_to(position) },
        ])
        .await;
    assert!(catalog.fresh().await.is_err());
    store.set_faults(Faults::none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let state = catalog.fresh().await.unwrap();
    assert!(state.topic("first").is_none() && state.by_id(first.id).is_none());
    assert!(state.by_id(last.id).is_some());
    assert_eq!(state.broker("3").unwrap()["a"], "1");
    let cold = Catalog::new(Arc::new(cluster.store.clone()));
    let other = tokio::spawn(cold.clone().run());
    assert_eq!(*cold.fresh().await.unwrap(), *state);
    running.abort();
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn a_level_reaches_catalog_and_shards_and_is_not_raised_beyond_the_program() {
    let cluster = Cluster::new(3).await;
    assert_eq!(cluster.changes.raise_level(1).await.unwrap(), MAX_LEVEL, "it never sinks");
    assert!(matches!(cluster.changes.raise_level(99).await, Err(CatalogError::Refused(_))));
    for shard in (0..3).map(ShardId) {
        let log = cluster.log(shard).await;
        assert!(matches!(log[..], [(_, Entry::Feature { level: MAX_LEVEL })]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_level_is_raised_as_far_as_all_who_are_registered_follow() {
    let cluster = Cluster::at_level(3, MIN_LEVEL).await;
    let store = cluster.store.handle(8);
    store.set_faults(Faults::none());
    let row =
        |id: u128, highest_level| RegistrationRow { highest_level, ..registration_row(RegistrationId(id)) };
    let (old, new) = (row(1, MIN_LEVEL + 1), row(2, MAX_LEVEL + 1));
    for row in [&old, &new] {
        register(&store, row).await.unwrap();
    }
    let raised = cluster.changes.raise_level_for_all().await.unwrap();
    assert_eq!((raised.from, raised.to), (MIN_LEVEL, MIN_LEVEL + 1));
    assert_eq!(raised.held_by, std::slice::from_ref(&old));
    let again = cluster.changes.raise_level_for_all().await.unwrap();
    assert_eq!((again.from, again.to), (MIN_LEVEL + 1, MIN_LEVEL + 1), "nothing to raise");
    let late = register(&store, &row(3, MIN_LEVEL)).await;
    assert!(matches!(late, Err(RegisterError::Level(level)) if level == MIN_LEVEL + 1), "{late:?}");
    let late = join(&store, row(3, MIN_LEVEL), None, Standing::FULL).await;
    assert!(matches!(late, Err(RegisterError::Level(_))), "{late:?}");
    assert!(end(&store, old.id, 3, None).await.unwrap());
    let raised = cluster.changes.raise_level_for_all().await.unwrap();
    assert_eq!((raised.from, raised.to, raised.held_by.len()), (MIN_LEVEL + 1, MAX_LEVEL, 0));
    for shard in (0..3).map(ShardId) {
        let levels: Vec<Entry> = cluster.log(shard).await.into_iter().map(|(_, entry)| entry).collect();
        assert_eq!(levels[1], Entry::Feature { level: MIN_LEVEL + 1 });
        assert_eq!(levels[3..], [Entry::Feature { level: MAX_LEVEL }]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_is_trimmed_once_it_is_old_and_who_was_away_reads_the_rows() {
    let cluster = Cluster::new(4).await;
    let agent = cluster.agent(7).await;
    let store = Arc::new(cluster.store.handle(8));
    store.set_faults(Faults::none());
    let catalog = Catalog::new(store.clone());
    let following = tokio::spawn(catalog.clone().run());
    let away = Catalog::new(store.clone());
    let away_task = tokio::spawn(away.clone().run());
    cluster.topic("first", 3).await;
    away.fresh().await.unwrap();
    away_task.abort();
    let (interval, lag, lease) = (Duration::from_secs(20), Duration::from_secs(60), Duration::from_secs(60));
    let trimmer = CatalogTrimmer::new(catalog.clone(), store.clone(), agent.own, interval, lag, lease);
    let trimming = tokio::spawn(trimmer.run());
    let log = async || cluster.range(&catalog_log::after(Position::ZERO)).await.len();
    seconds(45).await;
    assert_eq!(log().await, 1, "not old enough");
    cluster.topic("second", 3).await;
    seconds(45).await;
    assert_eq!(log().await, 1, "the first is gone, the second is not old enough");
    seconds(90).await;
    assert_eq!(log().await, 0);
    cluster.topic("third", 3).await;
    let again = tokio::spawn(away.clone().run());
    let (known, returned) = (catalog.fresh().await.unwrap(), away.fresh().await.unwrap());
    assert_eq!(known.topics().len(), 3);
    assert_eq!(known.topics(), returned.topics());
    [following, trimming, again].iter().for_each(|task| task.abort());
}
