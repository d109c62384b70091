//! Registrations: alive as long as they beat, ended once, never back.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{Entry, RegistrationId, RegistrationRow, ShardId, Standing};
use siltstone_store::memory::Faults;
use siltstone_store::{CommitError, Store};

use super::kit::*;
use crate::follow::OwnOutcome;
use crate::keys::{beat, registration};
use crate::lease::{Membership, RegisterError, Roster, end, join, list, open_cluster, register};

const LEASE: Duration = Duration::from_secs(10);

fn membership(cluster: &Cluster, agent: &Agent) -> Membership {
    Membership::new(Arc::new(agent.store.clone()), agent.own, cluster.shards, LEASE)
}

async fn alive(cluster: &Cluster) -> Vec<RegistrationId> {
    list(&cluster.store).await.unwrap().into_iter().map(|row| row.id).collect()
}

async fn ends(cluster: &Cluster, id: RegistrationId) -> Vec<usize> {
    let mut counts = Vec::new();
    for shard in (0..cluster.shards).map(ShardId) {
        let is_end = |entry: &Entry| matches!(entry, Entry::Ended { registration } if *registration == id);
        counts.push(cluster.log(shard).await.iter().filter(|(_, entry)| is_end(entry)).count());
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn who_beats_lives_and_who_is_silent_is_ended_everywhere() {
    let cluster = Cluster::new(3).await;
    let (a, b) = (cluster.agent(1).await, cluster.agent(2).await);
    let topic = cluster.topic("t", 1).await;
    let first = tokio::spawn(membership(&cluster, &a).run());
    let second = tokio::spawn(membership(&cluster, &b).run());
    seconds(200).await;
    assert_eq!(alive(&cluster).await, [a.own, b.own]);

    // An append that was decided while it lived.
    let late = a.commit_of(&a.entry(vec![block(id(&topic, 0), 0, &[plain(1)])])).await.unwrap();
    a.store.set_faults(Faults::cut());
    let mut count = 0;
    while alive(&cluster).await.contains(&a.own) {
        seconds(1).await;
        count += 1;
        assert!(count < 60, "the silent one must be ended");
    }
    assert!(count >= 8, "not before its time: {count} s");
    assert_eq!(ends(&cluster, a.own).await, [1, 1, 1]);
    assert_eq!(cluster.get(&beat::key(a.own)).await, None);
    a.store.set_faults(Faults::none());
    assert!(matches!(a.store.commit(late).await, Err(CommitError::Conflict | CommitError::TooOld)));
    tokio::time::timeout(Duration::from_secs(60), first)
        .await
        .expect("it finds out that it is over")
        .unwrap();
    until("its followers tell it", || {
        a.told.outcomes.lock().unwrap().iter().any(|told| matches!(told, OwnOutcome::Ended))
    })
    .await;
    seconds(200).await;
    assert_eq!(alive(&cluster).await, [b.own]);
    assert_eq!(ends(&cluster, a.own).await, [1, 1, 1], "once");
    second.abort();
}

/// Each watches a few others only; whoever dies is found all the same, also where many neighbours died with it.
#[tokio::test(start_paused = true)]
async fn of_many_the_dead_are_found_whoever_died_with_them() {
    let cluster = Cluster::new(1).await;
    let mut agents = Vec::new();
    for n in 1..=60 {
        agents.push(cluster.agent(n).await);
    }
    let own: Vec<_> = agents.iter().map(|agent| tokio::spawn(membership(&cluster, agent).run())).collect();
    seconds(30).await;
    assert_eq!(alive(&cluster).await.len(), 60);
    let survives = |index: usize| index % 29 == 3;
    for (agent, _) in agents.iter().zip(0..).filter(|(_, index)| !survives(*index)) {
        agent.store.set_faults(Faults::cut());
    }
    seconds(12).await;
    let soon = alive(&cluster).await.len();
    assert!((3..60).contains(&soon), "the nearest are found after one lease time: {soon} are left");
    seconds(60).await;
    let left: Vec<_> = (0..60).filter(|index| survives(*index)).map(|index| agents[index].own).collect();
    assert_eq!(alive(&cluster).await, left);
    own.iter().for_each(|membership| membership.abort());
}

#[tokio::test(start_paused = true)]
async fn a_beat_in_between_saves_it() {
    let cluster = Cluster::new(1).await;
    let a = cluster.agent(1).await;
    let seen = cluster.get(&beat::key(a.own)).await;
    let running = tokio::spawn(membership(&cluster, &a).run());
    seconds(1).await;
    assert!(!end(&cluster.store, a.own, 1, Some(seen)).await.unwrap());
    assert_eq!(alive(&cluster).await, [a.own]);
    let seen = cluster.get(&beat::key(a.own)).await;
    assert!(end(&cluster.store, a.own, 1, Some(seen)).await.unwrap());
    assert!(end(&cluster.store, a.own, 1, None).await.unwrap(), "again: it is over");
    assert_eq!(ends(&cluster, a.own).await, [1]);
    running.await.unwrap();
}

/// While the store was away nobody could beat: that says nothing of who lives.
#[tokio::test(start_paused = true)]
async fn when_the_store_was_away_nobody_is_taken_for_dead() {
    let cluster = Cluster::new(1).await;
    let (a, b) = (cluster.agent(1).await, cluster.agent(2).await);
    let roster = Arc::new(Roster::default());
    let running = [
        tokio::spawn(membership(&cluster, &a).telling(roster.clone()).run()),
        tokio::spawn(membership(&cluster, &b).run()),
    ];
    seconds(30).await;
    [&a, &b].iter().for_each(|agent| agent.store.set_faults(Faults::cut()));
    seconds(60).await;
    [&a, &b].iter().for_each(|agent| agent.store.set_faults(Faults::none()));
    seconds(60).await;
    assert_eq!(alive(&cluster).await, [a.own, b.own]);
    assert_eq!(roster.agents().iter().map(|agent| agent.row.id).collect::<Vec<_>>(), [a.own, b.own]);
    running.iter().for_each(|membership| membership.abort());
}

#[tokio::test(start_paused = true)]
async fn no_two_agents_have_one_node_id() {
    let cluster = Cluster::new(1).await;
    let at = |n: u128, port: u16| RegistrationRow { port, ..registration_row(RegistrationId(n)) };
    let slow = Duration::from_millis(1);
    let joining: Vec<_> = (1..=5)
        .map(|n| {
            let store = cluster.store.handle(n);
            store.set_faults(Faults { delay: slow..=slow * 20, ..Faults::none() });
            tokio::spawn(async move {
                join(&store, at(u128::from(n), 9000 + n as u16), None, Standing::FULL).await
            })
        })
        .collect();
    let mut nodes = Vec::new();
    for joined in joining {
        nodes.push(joined.await.unwrap().unwrap().node);
    }
    nodes.sort_unstable();
    assert_eq!(nodes, [1, 2, 3, 4, 5]);
    let taken = join(&cluster.store, at(6, 9006), Some(3), Standing::FULL).await;
    assert!(matches!(taken, Err(RegisterError::NodeTaken { node: 3, .. })), "{taken:?}");
    // At the same address it is the same agent, whose former life runs out.
    let third = list(&cluster.store).await.unwrap().into_iter().find(|row| row.node == 3).unwrap();
    assert_eq!(join(&cluster.store, at(7, third.port), Some(3), Standing::FULL).await.unwrap().node, 3);
    assert_eq!(join(&cluster.store, at(8, 9008), None, Standing::FULL).await.unwrap().node, 6);
}

/// As after an outage of all. Who looks again at the same moments as the others would be overtaken each time but once.
#[tokio::test(start_paused = true)]
async fn hundreds_of_agents_begin_at_once() {
    let cluster = Cluster::new(1).await;
    let slow = Duration::from_millis(3);
    let joining: Vec<_> = (1..=400)
        .map(|n| {
            let store = cluster.store.handle(n);
            store.set_faults(Faults { delay: slow..=slow, ..Faults::none() });
            let mut row = registration_row(RegistrationId(u128::from(n)));
            row.port = 9000 + n as u16;
            tokio::spawn(async move { join(&store, row, None, Standing::FULL).await })
        })
        .collect();
    let begun = tokio::time::Instant::now();
    for joined in joining {
        joined.await.unwrap().unwrap();
    }
    assert_eq!(list(&cluster.store).await.unwrap().len(), 400);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// A registration's first try that lands late must not bring it back once it is ended.
#[tokio::test(start_paused = true)]
async fn an_ended_registration_does_not_come_back() {
    let cluster = Cluster::new(1).await;
    let store = cluster.store.handle(9);
    let late = Duration::from_secs(3);
    store.set_faults(Faults { unknown_late: 1.0, late: late..=late, ..Faults::none() });
    let row = registration_row(RegistrationId(9));
    let registering = {
        let (store, row) = (store.clone(), row.clone());
        tokio::spawn(async move { register(&store, &row).await })
    };
    tokio::task::yield_now().await;
    store.set_faults(Faults::none());
    assert!(matches!(registering.await.unwrap(), Err(RegisterError::Lost)));
    assert!(end(&cluster.store, row.id, 1, None).await.unwrap());
    seconds(60).await;
    // It landed, late, and nobody lives it: it is ended as any other.
    assert!(end(&cluster.store, row.id, 1, None).await.unwrap());
    assert_eq!(cluster.get(&registration::key(row.id)).await, None);
}

/// Its first try landed, and was ended before it knew of it, as when it was paused: to try again would bring it back, behind its end in the logs.
#[tokio::test(start_paused = true)]
async fn a_registration_that_was_ended_before_it_was_known_does_not_begin_again() {
    for joins in [false, true] {
        let cluster = Cluster::new(1).await;
        let store = cluster.store.handle(9);
        let late = Duration::from_secs(3);
        store.set_faults(Faults { unknown_applied: 1.0, answer_delay: late..=late, ..Faults::none() });
        let row = registration_row(RegistrationId(9));
        let registering = {
            let (store, row) = (store.clone(), row.clone());
            tokio::spawn(async move {
                if joins {
                    join(&store, row, None, Standing::FULL).await.map(|_| ())
                } else {
                    register(&store, &row).await
                }
            })
        };
        seconds(1).await;
        assert!(cluster.get(&registration::key(row.id)).await.is_some(), "it landed");
        assert!(end(&cluster.store, row.id, 1, None).await.unwrap());
        assert_eq!(ends(&cluster, row.id).await, [1]);
        store.set_faults(Faults::none());
        assert!(matches!(registering.await.unwrap(), Err(RegisterError::Lost)));
        assert_eq!(cluster.get(&registration::key(row.id)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_beat_does_not_bring_back_the_dead() {
    let cluster = Cluster::new(1).await;
    let a = cluster.agent(1).await;
    let slow = Duration::from_secs(2);
    a.store.set_faults(Faults { delay: slow..=slow, ..Faults::none() });
    let running = tokio::spawn(membership(&cluster, &a).run());
    // It has read its row by now, and its beat is on the way.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(end(&cluster.store, a.own, 1, None).await.unwrap());
    running.await.unwrap();
    assert_eq!(cluster.get(&beat::key(a.own)).await, None);
}

#[tokio::test(start_paused = true)]
async fn in_any_weather_one_cluster_is_made() {
    for seed in 0..20 {
        let store = siltstone_store::memory::MemoryStore::new(seed, Faults::storm());
        let mut opening = Vec::new();
        for n in 0..4 {
            let handle = store.handle(100 * seed + n);
            opening.push(tokio::spawn(async move {
                loop {
                    if let Ok(row) = open_cluster(&handle, &ambient(n), 4).await {
                        return row;
                    }
                }
            }));
        }
        let mut rows = Vec::new();
        for one in opening {
            rows.push(one.await.unwrap());
        }
        assert!(rows.iter().all(|row| *row == rows[0]), "seed {seed}: {rows:?}");
        seconds(60).await;
        let limit = siltstone_store::RangeLimit::default();
        for shard in (0..4).map(ShardId) {
            let range = crate::keys::shard_log::after(shard, siltstone_log::Position::ZERO);
            assert_eq!(store.peek().range(&range, limit).await.unwrap().entries.len(), 1, "seed {seed}");
        }
    }
    let store = siltstone_store::memory::MemoryStore::new(1, Faults::cut());
    assert!(open_cluster(&store, &ambient(1), 1).await.is_err());
    assert!(store.snapshot().await.is_err());
}
