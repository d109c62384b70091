//! Watches.

use std::time::Duration;

use super::Subject;
use super::kit::{commit, get, set, soon, value};
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

/// Watch, then read: a follower that does only this always gets to see the last value.
pub(super) async fn a_follower_by_watches_reaches_the_end(subject: &dyn Subject) {
    let db = subject.open().await;
    let followers: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                loop {
                    let watch = db.watch(b"k").await.expect("a watch");
                    if get(&db, "k").await == Some("199".into()) {
                        return;
                    }
                    watch.await.expect("the watch fires");
                }
            })
        })
        .collect();
    for round in 0..200_u32 {
        commit(&db, Commit::blind().set("k", round.to_string())).await;
    }
    for follower in followers {
        soon("the last value", follower).await.expect("the follower ends well");
    }
}

/// The same with what was heard, where the store tells that: it is not older than what the watch will not tell any more, and it can be read.
pub(super) async fn what_was_heard_is_enough_for_who_watches(subject: &dyn Subject) {
    let db = subject.open().await;
    let followers: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut last = None;
                loop {
                    let watch = db.watch(b"k").await.expect("a watch");
                    let snapshot = match db.heard() {
                        Some(version) => db.snapshot_at(version).await.expect("what was heard can be read"),
                        None => db.snapshot().await.expect("a snapshot"),
                    };
                    let seen = value(&*snapshot, "k").await.map(|value| number(&value));
                    assert!(last <= seen, "{last:?}, then {seen:?}");
                    last = seen;
                    if last == Some(299) {
                        return;
                    }
                    watch.await.expect("the watch fires");
                }
            })
        })
        .collect();
    for round in 0..300_u32 {
        commit(&db, Commit::blind().set("k", round.to_string())).await;
    }
    for follower in followers {
        soon("the last value", follower).await.expect("the follower ends well");
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
