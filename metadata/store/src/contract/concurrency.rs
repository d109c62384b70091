//! Many at once.

use std::time::Duration;

use futures::FutureExt;

use super::Subject;
use super::kit::{commit, entries, get, number, retry, snapshot, soon, under, value};
use crate::{Commit, KeyRange};

pub(super) async fn many_committers_on_one_counter_lose_nothing(subject: &dyn Subject) {
    let db = subject.open().await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..15 {
                    retry(&db, |read| async move {
                        let next = number(value(&*read, "n").await) + 1;
                        Commit::at(read.version()).read_key("n").set("n", next.to_le_bytes().to_vec())
                    })
                    .await;
                }
            })
        })
        .collect();
    for task in tasks {
        soon("the task's end", task).await.expect("the task ends well");
    }
    assert_eq!(number(get(&db, "n").await), 16 * 15);
}

pub(super) async fn many_adders_lose_nothing(subject: &dyn Subject) {
    let db = subject.open().await;
    let tasks: Vec<_> = (0..32_u64)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    commit(&db, Commit::blind().add("n", task + 1).add("count", 1)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        soon("the task's end", task).await.expect("the task ends well");
    }
    assert_eq!(number(get(&db, "n").await), 20 * 32 * 33 / 2);
    assert_eq!(number(get(&db, "count").await), 20 * 32);
}

/// Every commit moves something from one account to another: no snapshot sees a different sum.
pub(super) async fn every_snapshot_sees_whole_commits(subject: &dyn Subject) {
    let db = subject.open().await;
    let accounts = ["acc/0", "acc/1", "acc/2", "acc/3"];
    let start = accounts.iter().fold(Commit::blind(), |start, account| start.add(*account, 1_000));
    commit(&db, start).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0..25 {
                    let (from, to) = (accounts[(writer + round) % 4], accounts[(writer + 3 * round + 1) % 4]);
                    commit(&db, Commit::blind().add(from, 1_u64.wrapping_neg()).add(to, 1)).await;
                }
            })
        })
        .collect();
    let mut busy = true;
    while busy {
        // A store that never waits would keep the writers waiting.
        tokio::task::yield_now().await;
        busy = writers.iter().any(|writer| !writer.is_finished());
        let read = snapshot(&db).await;
        let page = entries(&*read, &KeyRange::prefix("acc/")).await;
        let sum = page.into_iter().fold(0, |sum: u64, (_, value)| sum.wrapping_add(number(Some(value))));
        assert_eq!(sum, 4_000, "a snapshot shows part of a commit");
        let mut singly = 0_u64;
        for account in accounts {
            singly = singly.wrapping_add(number(value(&*read, account).await));
        }
        assert_eq!(singly, 4_000, "a snapshot shows part of a commit");
    }
    for writer in writers {
        soon("the writer's end", writer).await.expect("the writer ends well");
    }
}

/// Dropping the future of a commit leaves it unknown, never in part.
pub(super) async fn a_dropped_commit_is_whole_or_absent(subject: &dyn Subject) {
    let db = subject.open().await;
    for round in 0..40_u32 {
        let sent = (0..10).fold(Commit::blind(), |sent, part| sent.set(format!("{round:03}/{part}"), "x"));
        match round % 2 {
            0 => drop(db.commit(sent).now_or_never()),
            _ => drop(tokio::time::timeout(Duration::from_micros(200), db.commit(sent)).await),
        }
    }
    // What was in flight is settled once a later commit has been told.
    commit(&db, Commit::blind().set("last", "x")).await;
    for round in 0..40_u32 {
        let read = snapshot(&db).await;
        let parts = entries(&*read, &KeyRange::prefix(format!("{round:03}/"))).await;
        assert!(parts.is_empty() || parts.len() == 10, "{} of 10 parts are there", parts.len());
    }
    assert_eq!(under(&db, "last").await.len(), 1);
}
