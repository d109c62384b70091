//! Checkpoints: rows, chunks, the floor, and who may write them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{
    BatchMeta, EndMarker, Entry, Extent, PartitionId, PartitionRow, Position, TxnEnd, decode_aborted,
    decode_extents, encode_aborted,
};
use siltstone_store::memory::Faults;
use siltstone_store::{CommitError, Mutation};

use super::kit::*;
use crate::checkpoint::{CheckpointError, CheckpointSettings, Checkpointer, PER_CHUNK, uses};
use crate::follow::ShardError;
use crate::keys::{
    aborted_chunk, condemned_topic, extent_chunk, partition_row, parts, segment_use, shard_counted,
    shard_floor, shard_log,
};
use crate::rows::{aborted_between, chunk_at, chunks_from};
use crate::shard::{Lookup, MAX_LEVEL};

fn settings() -> CheckpointSettings {
    CheckpointSettings::default()
}

async fn floor(cluster: &Cluster) -> Position {
    shard_floor::decode(cluster.get(&shard_floor::key(SHARD)).await.as_deref()).unwrap()
}

async fn stored_row(cluster: &Cluster, partition: PartitionId) -> Option<PartitionRow> {
    let bytes =
        parts::get(cluster.snapshot().as_ref(), &partition_row::prefix(SHARD, partition)).await.unwrap();
    bytes.map(|bytes| PartitionRow::decode(&bytes).unwrap())
}

async fn stored_extents(cluster: &Cluster, partition: PartitionId) -> Vec<Extent> {
    chunks_from(cluster.snapshot().as_ref(), SHARD, partition, 0, usize::MAX).await.unwrap()
}

/// Moves the floor to what is there now.
async fn complete(checkpointer: &mut Checkpointer) {
    checkpointer.round().await.unwrap();
    seconds(61).await;
    checkpointer.round().await.unwrap();
}

/// Uses of segments are what the chunks say.
async fn counts_hold(cluster: &Cluster) {
    let mut expected = BTreeMap::new();
    for (_, chunk) in cluster.range(&extent_chunk::of_shard(SHARD)).await {
        for (segment, some) in uses(decode_extents(&chunk).unwrap().iter()) {
            *expected.entry(segment).or_insert(0_u64) += some;
        }
    }
    let stored = cluster.range(&segment_use::of_shard(SHARD)).await;
    let number = |value: &[u8]| u64::from_le_bytes(value.try_into().unwrap());
    let stored = stored.iter().map(|(key, value)| (segment_use::parse(key).unwrap(), number(value)));
    assert_eq!(stored.filter(|(_, some)| *some > 0).collect::<BTreeMap<_, _>>(), expected);
}

async fn one(partitions: u32) -> (Cluster, Agent, Vec<PartitionId>) {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", partitions).await;
    let all: Vec<_> = (0..partitions).map(|n| id(&topic, n)).collect();
    let agent = Agent::loaded(&cluster, 1, &all[..1]).await;
    (cluster, agent, all)
}

#[tokio::test(start_paused = true)]
async fn the_floor_trails_and_what_lies_below_it_is_in_rows_only() {
    let (cluster, agent, all) = one(3).await;
    let mut checkpointer = agent.checkpointer(settings());
    agent.append(vec![block(all[0], 0, &[of(1, 0, 3)]), block(all[1], 10, &[plain(2)])]).await;
    checkpointer.round().await.unwrap();
    let position = agent.position();
    assert_eq!(stored_row(&cluster, all[1]).await.unwrap().horizon, position, "also what nobody had loaded");
    assert_eq!(stored_row(&cluster, all[2]).await, None, "nothing happened there");
    assert!(agent.dirty().is_empty());
    agent.append(vec![block(all[0], 0, &[of(1, 3, 1)])]).await;
    seconds(50).await;
    checkpointer.round().await.unwrap();
    assert_eq!(floor(&cluster).await, Position::ZERO, "not old enough");
    seconds(11).await;
    checkpointer.round().await.unwrap();
    assert_eq!(floor(&cluster).await, position);
    let left: Vec<_> = cluster.log(SHARD).await.into_iter().map(|(position, _)| position).collect();
    assert_eq!(left, [agent.position()], "the log below is gone, what is above stays");
    agent.shard.fresh().await.unwrap();
    assert_eq!(agent.with(all[0], |p| p.lookup(0)), Lookup::Rows);
    assert!(matches!(agent.with(all[0], |p| p.lookup(3)), Lookup::Extent(_)));
    let cold = cluster.agent(2).await;
    assert_eq!(cold.rows(&all).await, agent.rows(&all).await);
    assert_eq!(
        cold.shard.read(|state| state.head().encode()),
        agent.shard.read(|state| state.head().encode())
    );
}

#[tokio::test(start_paused = true)]
async fn chunks_are_filled_up_and_then_followed_by_others() {
    let (cluster, agent, all) = one(2).await;
    let mut checkpointer = agent.checkpointer(settings());
    let mut count = 0;
    for round in [3, 200, 290, 20, 1200, 1] {
        agent.extents(all[0], round).await;
        checkpointer.round().await.unwrap();
        count += round;
        let stored = stored_extents(&cluster, all[0]).await;
        let held: Vec<_> = agent.with(all[0], |p| p.extents().iter().map(|held| held.extent).collect());
        assert_eq!(stored.len(), count);
        assert_eq!(stored, held);
    }
    let chunks = cluster.range(&extent_chunk::between(SHARD, all[0], 0, i64::MAX)).await;
    let sizes: Vec<_> =
        chunks.iter().map(|(_, value)| siltstone_log::decode_extents(value).unwrap().len()).collect();
    assert_eq!(sizes, [493, 20, 500, 500, 201]);
    assert!(sizes.iter().all(|size| *size <= PER_CHUNK));
}

/// More extents than a transaction takes go ahead of the row; the rest must follow them, not the last chunk of before.
#[tokio::test(start_paused = true)]
async fn a_great_many_extents_are_all_found() {
    let (cluster, agent, all) = one(1).await;
    let mut checkpointer = agent.checkpointer(settings());
    agent.extents(all[0], 10).await;
    checkpointer.round().await.unwrap();
    for _ in 0..10 {
        agent.extents(all[0], 1000).await;
    }
    // Few enough to have room in the chunk of the first ten.
    agent.extents(all[0], 100).await;
    complete(&mut checkpointer).await;
    let stored = stored_extents(&cluster, all[0]).await;
    assert_eq!(stored.len(), 10_110);
    let snapshot = cluster.snapshot();
    for offset in (0..10_110).step_by(97).chain([9, 10, 10_009, 10_010, 10_109]) {
        let chunk = chunk_at(snapshot.as_ref(), SHARD, all[0], offset).await.unwrap();
        assert!(chunk.iter().any(|extent| extent.base == offset), "offset {offset}");
    }
}

/// Transactions of one record each, aborted: `count` of them, of producers `first` on.
async fn aborts(cluster: &Cluster, agent: &Agent, partition: PartitionId, first: i64, count: i64) {
    for producer_id in first..first + count {
        let batch = BatchMeta { transactional: true, ..of(producer_id, 0, 1) };
        agent.append(vec![block(partition, 0, &[batch])]).await;
        let marker = EndMarker { producer_id, epoch: 1, commit: false };
        let end = Entry::TxnEnd(TxnEnd { marker, at: 7, partitions: vec![partition] });
        cluster.append_bytes(SHARD, end.encode()).await;
    }
    agent.shard.fresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn aborted_transactions_are_found_in_chunks() {
    let (cluster, agent, all) = one(1).await;
    cluster.append_bytes(SHARD, Entry::Feature { level: MAX_LEVEL }.encode()).await;
    let mut checkpointer = agent.checkpointer(settings());
    // One that stays open below all others, so that only its end lets the stable offset go on.
    let open = BatchMeta { transactional: true, ..of(5000, 0, 1) };
    for (first, count) in [(0, 3), (3, 500), (503, 80)] {
        aborts(&cluster, &agent, all[0], first, count).await;
        if first == 0 {
            agent.append(vec![block(all[0], 0, &[open])]).await;
        }
        checkpointer.round().await.unwrap();
    }
    complete(&mut checkpointer).await;
    agent.shard.fresh().await.unwrap();
    assert_eq!(agent.with(all[0], |p| p.held_aborted().count()), 0);
    assert!(agent.with(all[0], |p| p.has_stored_aborted(1166)));
    let chunks = cluster.range(&aborted_chunk::between(SHARD, all[0], 0, i64::MAX)).await;
    let sizes: Vec<_> = chunks.iter().map(|(_, value)| decode_aborted(value).unwrap().len()).collect();
    assert_eq!(sizes, [3, 500, 80]);
    let snapshot = cluster.snapshot();
    let found = async |from, to| {
        let all = aborted_between(snapshot.as_ref(), SHARD, all[0], from, to).await.unwrap();
        all.iter().map(|aborted| (aborted.producer_id, aborted.first, aborted.last)).collect::<Vec<_>>()
    };
    assert_eq!(found(0, 3).await, [(0, 0, 1), (1, 2, 3)]);
    assert_eq!(found(3, 6).await, [(1, 2, 3), (2, 4, 5)]);
    assert_eq!(found(7, 9).await, [(3, 7, 8)]);
    assert_eq!(found(1005, 1010).await.len(), 3);
    assert_eq!(found(0, i64::MAX).await.len(), 583);
    assert_eq!(found(1167, i64::MAX).await, []);
    // Another agent finds what this one does, and so it does behind a trim.
    let cold = cluster.agent(2).await;
    assert_eq!(cold.rows(&all).await, agent.rows(&all).await);
    assert!(cold.with(all[0], |p| p.has_stored_aborted(1166) && p.last_stable() == 6));
    cluster.append_bytes(SHARD, Entry::Trim { partition: all[0], offset: 1100 }.encode()).await;
    complete(&mut checkpointer).await;
    let chunks = cluster.range(&aborted_chunk::between(SHARD, all[0], 0, i64::MAX)).await;
    assert_eq!(chunks.len(), 1, "what ended before the log start is cleared");
}

#[tokio::test(start_paused = true)]
async fn a_chunk_of_aborted_transactions_keeps_its_key_when_compaction_takes_its_first() {
    let (cluster, agent, all) = one(1).await;
    cluster.append_bytes(SHARD, Entry::Feature { level: MAX_LEVEL }.encode()).await;
    let mut checkpointer = agent.checkpointer(settings());
    aborts(&cluster, &agent, all[0], 0, 3).await;
    checkpointer.round().await.unwrap();
    let range = aborted_chunk::between(SHARD, all[0], 0, i64::MAX);
    let chunks = || cluster.range(&range);
    let (key, value) = chunks().await.remove(0);
    let left = encode_aborted(&decode_aborted(&value).unwrap()[1..]);
    cluster.put(vec![Mutation::Set { key, value: left.into() }]).await;
    aborts(&cluster, &agent, all[0], 3, 2).await;
    checkpointer.round().await.unwrap();
    let entries = chunks().await.into_iter().flat_map(|(_, value)| decode_aborted(&value).unwrap());
    assert_eq!(entries.map(|entry| entry.last).collect::<Vec<_>>(), [3, 5, 7, 9], "each once");
}

#[tokio::test(start_paused = true)]
async fn trimmed_chunks_are_left_to_the_compactor() {
    let (cluster, agent, all) = one(1).await;
    let mut checkpointer = agent.checkpointer(settings());
    agent.extents(all[0], 1200).await;
    complete(&mut checkpointer).await;
    cluster.append_bytes(SHARD, Entry::Trim { partition: all[0], offset: 700 }.encode()).await;
    complete(&mut checkpointer).await;
    assert_eq!(stored_row(&cluster, all[0]).await.unwrap().log_start, 700);
    assert_eq!(stored_extents(&cluster, all[0]).await.len(), 1200);
    counts_hold(&cluster).await;
    agent.extents(all[0], 5).await;
    cluster.append_bytes(SHARD, Entry::Trim { partition: all[0], offset: 1205 }.encode()).await;
    agent.extents(all[0], 600).await;
    complete(&mut checkpointer).await;
    let cold = cluster.agent(2).await;
    assert_eq!(cold.rows(&all).await, agent.rows(&all).await);
    for offset in [1205, 1500, 1804] {
        let chunk = chunk_at(cluster.snapshot().as_ref(), SHARD, all[0], offset).await.unwrap();
        assert!(chunk.iter().any(|extent| extent.base == offset), "offset {offset}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_leaves_nothing_behind() {
    let (cluster, agent, all) = one(2).await;
    let other = Agent::loaded(&cluster, 2, &[all[1]]).await;
    let mut checkpointer = agent.checkpointer(settings());
    agent.append(vec![block(all[0], 0, &[plain(1)]), block(all[1], 10, &[plain(1)])]).await;
    complete(&mut checkpointer).await;
    cluster.changes.delete("t", all[0].topic).await.unwrap();
    let kept = cluster.topic("kept", 1).await;
    agent.append(vec![block(all[0], 0, &[plain(1)]), block(id(&kept, 0), 10, &[plain(1)])]).await;
    complete(&mut checkpointer).await;
    assert!(cluster.range(&partition_row::of_topic(SHARD, all[0].topic)).await.is_empty());
    assert!(!cluster.range(&extent_chunk::of_topic(SHARD, all[0].topic)).await.is_empty());
    let condemned = cluster.range(&condemned_topic::of_shard(SHARD)).await;
    let condemned: Vec<_> = condemned.iter().map(|(key, _)| condemned_topic::parse(key)).collect();
    assert_eq!(
        condemned,
        [Some(all[0].topic)],
        "the compactor clears its chunks, and gives up what they use"
    );
    counts_hold(&cluster).await;
    assert!(cluster.log(SHARD).await.is_empty());
    assert_eq!(stored_row(&cluster, id(&kept, 0)).await.unwrap().next, 1);
    for agent in [&agent, &other] {
        agent.shard.fresh().await.unwrap();
        let nothing =
            agent.shard.checkpoint_view(|_, dirty, _| dirty.topics.is_empty() && dirty.partitions.is_empty());
        assert_eq!(nothing, Some(true), "nobody remembers what is done");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_away_for_longer_than_the_lag_loads_anew() {
    let (cluster, agent, all) = one(2).await;
    let away = Agent::loaded(&cluster, 2, &all).await;
    let mut checkpointer = agent.checkpointer(settings());
    away.append(vec![block(all[0], 0, &[of(1, 0, 1)])]).await;
    away.shard.fresh().await.unwrap();
    away.store.set_faults(Faults::cut());
    for n in 0..30 {
        agent.append(vec![block(all[0], 0, &[of(2, n, 1)]), block(all[1], 10, &[plain(1)])]).await;
    }
    complete(&mut checkpointer).await;
    agent.append(vec![block(all[0], 0, &[of(2, 30, 1)])]).await;
    let reloads = away.told.reloads.lock().unwrap().len();
    away.store.set_faults(Faults::none());
    until("back", || away.shard.read(|_| ()).is_ok()).await;
    assert_eq!(away.rows(&all).await, agent.rows(&all).await);
    let reloads_now = away.told.reloads.lock().unwrap().clone();
    assert_eq!(
        reloads_now[reloads..],
        [1],
        "its own entry is below the floor: the outcome is lost, the counter is not"
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_holder_keeps_its_lease() {
    let (cluster, a, all) = one(1).await;
    let b = cluster.agent(2).await;
    let (mut first, mut second) = (a.checkpointer(settings()), b.checkpointer(settings()));
    a.append(vec![block(all[0], 0, &[plain(1)])]).await;
    let owner = crate::keys::lease::owner(crate::keys::lease::Task::Checkpoint(SHARD));
    for _ in 0..30 {
        first.round().await.unwrap();
        second.round().await.unwrap();
        seconds(20).await;
        let value = cluster.get(&owner).await.unwrap();
        assert_eq!(crate::keys::lease::decode_owner(&value), Some((a.own, 1)));
    }
}

/// What is appended while a round writes its rows is neither below the floor nor forgotten.
#[tokio::test(start_paused = true)]
async fn what_comes_during_a_round_waits_for_the_next() {
    let (cluster, agent, all) = one(2).await;
    let gated = Gated::new(&agent.store);
    let gate = gated.open.clone();
    let mut checkpointer = Checkpointer::new(agent.shard.clone(), gated, agent.own, settings(), ambient(1));
    checkpointer.round().await.unwrap();
    agent.append(vec![block(all[0], 0, &[plain(1)])]).await;
    agent.shard.fresh().await.unwrap();
    let position = agent.position();
    gate.send_replace(false);
    let round = tokio::spawn(async move {
        checkpointer.round().await.unwrap();
        checkpointer
    });
    until("its first write is under way", || gate.receiver_count() > 0).await;
    agent.append(vec![block(all[0], 0, &[plain(1)]), block(all[1], 10, &[plain(1)])]).await;
    agent.shard.fresh().await.unwrap();
    gate.send_replace(true);
    let mut checkpointer = round.await.unwrap();
    assert_eq!(agent.dirty(), all.iter().copied().collect(), "both have changed since");
    seconds(61).await;
    checkpointer.round().await.unwrap();
    assert_eq!(floor(&cluster).await, position);
}

/// S10: a holder that is paused for longer than the lease, in the middle of a round, writes nothing any more.
#[tokio::test(start_paused = true)]
async fn a_paused_holder_writes_nothing_late() {
    let (cluster, a, all) = one(1).await;
    let b = Agent::loaded(&cluster, 2, &all).await;
    let gated = Gated::new(&a.store);
    let gate = gated.open.clone();
    let mut late = Checkpointer::new(a.shard.clone(), gated, a.own, settings(), ambient(1));
    let mut next = b.checkpointer(settings());
    a.append(vec![block(all[0], 0, &[plain(1)])]).await;
    late.round().await.unwrap();
    next.round().await.unwrap();
    a.append(vec![block(all[0], 0, &[plain(1)])]).await;
    a.shard.fresh().await.unwrap();
    let before = stored_row(&cluster, all[0]).await.unwrap();
    gate.send_replace(false);
    let paused = tokio::spawn(async move { late.round().await });
    for _ in 0..4 {
        seconds(20).await;
        next.round().await.unwrap();
    }
    assert!(!paused.is_finished(), "it waits with its write in hand");
    let owner =
        cluster.get(&crate::keys::lease::owner(crate::keys::lease::Task::Checkpoint(SHARD))).await.unwrap();
    assert_eq!(crate::keys::lease::decode_owner(&owner), Some((b.own, 2)));
    let written = stored_row(&cluster, all[0]).await.unwrap();
    assert!(written.horizon > before.horizon);
    gate.send_replace(true);
    let result = paused.await.unwrap();
    assert_eq!(stored_row(&cluster, all[0]).await.unwrap(), written);
    let refused = matches!(result, Err(CheckpointError::Commit(CommitError::Conflict | CommitError::TooOld)));
    assert!(refused, "{result:?}");
    assert_eq!(cluster.agent(3).await.rows(&all).await, b.rows(&all).await);
}

/// S7: rows that another fold has made halt the shard on this agent, and it stays so.
#[tokio::test(start_paused = true)]
async fn a_digest_that_differs_halts_the_shard_for_good() {
    let (cluster, agent, all) = one(1).await;
    let mut checkpointer = agent.checkpointer(settings());
    agent.append(vec![block(all[0], 0, &[plain(1)])]).await;
    checkpointer.round().await.unwrap();
    let mut row = stored_row(&cluster, all[0]).await.unwrap();
    row.digest ^= 1;
    let mut mutations = Vec::new();
    parts::set(&mut mutations, &partition_row::prefix(SHARD, all[0]), &row.encode().into());
    cluster.put(mutations).await;
    agent.append(vec![block(all[0], 0, &[plain(1)])]).await;
    let running = tokio::spawn(checkpointer.run());
    until("halted", || matches!(agent.shard.read(|_| ()), Err(ShardError::Halted(_)))).await;
    for _ in 0..20 {
        seconds(1).await;
        assert!(matches!(agent.shard.read(|_| ()), Err(ShardError::Halted(why)) if why.contains("S7")));
    }
    assert_eq!(agent.shard.checkpoint_view(|_, _, _| ()), None, "and writes no rows");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_followed_is_not_checkpointed() {
    let cluster = Cluster::new(1).await;
    let agent = cluster.agent(1).await;
    let halted = agent.shard.clone();
    halted.halt("for this test".to_owned());
    let mut checkpointer = agent.checkpointer(settings());
    let error = checkpointer.round().await.unwrap_err();
    assert!(matches!(error, CheckpointError::Shard(ShardError::Halted(_))), "{error}");
    drop(Arc::clone(&halted));
}

#[tokio::test(start_paused = true)]
async fn producers_are_expired_now_and_then() {
    let (cluster, agent, all) = one(1).await;
    cluster.changes.take_producer_ids(50).await.unwrap();
    agent.append(vec![block(all[0], 0, &[of(1, 0, 1)])]).await;
    let settings = CheckpointSettings { producer_expiration: Duration::from_secs(240), ..settings() };
    let mut checkpointer = agent.checkpointer(settings);
    for _ in 0..20 {
        checkpointer.round().await.unwrap();
        seconds(20).await;
    }
    agent.shard.fresh().await.unwrap();
    assert!(agent.with(all[0], |p| p.row().producers.is_empty()));
    assert_eq!(agent.with(all[0], |p| p.row().forgotten_below), 50);
    let cold = cluster.agent(2).await;
    assert_eq!(cold.rows(&all).await, agent.rows(&all).await);
    assert!(cluster.range(&shard_log::after(SHARD, Position::ZERO)).await.len() < 20, "the log is trimmed");
    cluster.put(vec![Mutation::Clear { key: shard_floor::key(SHARD) }]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_counted_is_counted_anew() {
    let (cluster, agent, all) = one(1).await;
    let mut checkpointer = agent.checkpointer(settings());
    agent.extents(all[0], 1100).await;
    complete(&mut checkpointer).await;
    counts_hold(&cluster).await;
    assert_eq!(cluster.range(&segment_use::of_shard(SHARD)).await.len(), 1);
    // As after a raised level, or a repair: what is there is not to be believed.
    let wrong = stored_extents(&cluster, all[0]).await[7].segment().unwrap().id;
    cluster
        .put(vec![Mutation::Clear { key: shard_counted::key(SHARD) }, segment_use::add(SHARD, wrong, 99)])
        .await;
    agent.extents(all[0], 3).await;
    complete(&mut checkpointer).await;
    counts_hold(&cluster).await;
    assert!(cluster.get(&shard_counted::key(SHARD)).await.is_some());
}
