//! Watches.

use std::time::Duration;

use super::Subject;
use super::kit::{Db, commit, set, snapshot, soon, value};
use crate::{Commit, KeyRange, StoreError, limits};

/// A watch on `k` fires after this commit.
async fn fires(subject: &dyn Subject, before: Option<&'static str>, change: Commit) {
    let db = subject.open().await;
    if let Some(before) = before {
        set(&db, "k", before).await;
    }
    let watch = db.watch(b"k").await.expect("a watch");
    let watch = tokio::spawn(watch);
    commit(&db, change).await;
    soon("the watch", watch).await.expect("the task ends well").expect("the watch fires");
    // Also if the watch is first polled after the change.
    let watch = db.watch(b"k").await.expect("a watch");
    commit(&db, Commit::blind().set("k", "and again")).await;
    soon("the watch", watch).await.expect("the watch fires");
}

pub(super) async fn a_watch_fires_on_a_set(subject: &dyn Subject) {
    fires(subject, Some("1"), Commit::blind().set("a", "x").set("k", "2").set("z", "x")).await;
}

pub(super) async fn a_watch_fires_on_a_clear(subject: &dyn Subject) {
    fires(subject, Some("1"), Commit::blind().clear("k")).await;
}

pub(super) async fn a_watch_fires_on_a_cleared_range(subject: &dyn Subject) {
    fires(subject, Some("1"), Commit::blind().clear_range(KeyRange::new("a", "z"))).await;
}

pub(super) async fn a_watch_fires_on_an_add(subject: &dyn Subject) {
    fires(subject, Some("1"), Commit::blind().add("k", 1)).await;
}

pub(super) async fn a_watch_fires_on_a_stamped_write(subject: &dyn Subject) {
    fires(subject, Some("1"), Commit::blind().set_stamped("k", "", "")).await;
}

pub(super) async fn a_watch_fires_when_a_key_appears(subject: &dyn Subject) {
    fires(subject, None, Commit::blind().set("k", "")).await;
}

pub(super) async fn every_watch_of_a_key_fires(subject: &dyn Subject) {
    let db = subject.open().await;
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(db.watch(b"k").await.expect("a watch"));
    }
    set(&db, "k", "1").await;
    for watch in watches {
        soon("the watch", watch).await.expect("the watch fires");
    }
}

/// Watch, then read: a follower that does only this always gets to see the last value, and never an older one after a newer.
pub(super) async fn a_follower_by_watches_reaches_the_end(subject: &dyn Subject) {
    reaches_the_end(subject, 200, false).await;
}

/// The same with what was heard, where the store tells that: it is not older than what the watch will not tell any more, and it can be read.
pub(super) async fn what_was_heard_is_enough_for_who_watches(subject: &dyn Subject) {
    reaches_the_end(subject, 300, true).await;
}

/// Followers of so many commits, by fresh snapshots or by what was heard.
async fn reaches_the_end(subject: &dyn Subject, commits: u32, by_heard: bool) {
    let db = subject.open().await;
    let followers: Vec<_> = (0..4).map(|_| tokio::spawn(follow(db.clone(), commits - 1, by_heard))).collect();
    for round in 0..commits {
        commit(&db, Commit::blind().set("k", round.to_string())).await;
    }
    for follower in followers {
        soon("the last value", follower).await.expect("the follower ends well");
    }
}

async fn follow(db: Db, end: u32, by_heard: bool) {
    let mut last = None;
    while last != Some(end) {
        let watch = db.watch(b"k").await.expect("a watch");
        let snapshot = match db.heard().filter(|_| by_heard) {
            Some(version) => db.snapshot_at(version).await.expect("what was heard can be read"),
            None => snapshot(&db).await,
        };
        let seen = value(&*snapshot, "k").await.map(|value| number(&value));
        assert!(last <= seen, "{last:?}, then {seen:?}");
        last = seen;
        if last != Some(end) {
            watch.await.expect("the watch fires");
        }
    }
}

fn number(value: &[u8]) -> u32 {
    std::str::from_utf8(value).expect("digits").parse().expect("a number")
}

pub(super) async fn watches_have_a_limit_and_give_their_places_back(subject: &dyn Subject) {
    let db = subject.open().await;
    let mut watches = Vec::new();
    for item in 0..limits::WATCHES {
        watches.push(db.watch(format!("w/{item}").as_bytes()).await.expect("a watch"));
    }
    assert!(matches!(db.watch(b"k").await.err(), Some(StoreError::Limit(_))), "one more is refused");
    drop(watches.pop());
    let fires = async {
        loop {
            // A backend may need a moment to give the place back.
            match db.watch(b"k").await {
                Ok(watch) => {
                    set(&db, "k", "1").await;
                    return watch.await;
                }
                Err(error) => assert!(matches!(error, StoreError::Limit(_))),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon("a free place, and its watch", fires).await.expect("the watch fires");
}
