//! Versions, freshness, isolation, durability.

use super::Subject;
use super::kit::{Db, commit, entries, entry, get, set, snapshot, soon, under, value, version};
use crate::{Commit, CommitError, KeyRange, StoreError, Version};

pub(super) async fn an_empty_store_has_nothing(subject: &dyn Subject) {
    let db = subject.open().await;
    assert_eq!(get(&db, "a").await, None);
    assert_eq!(entries(&*snapshot(&db).await, &KeyRange::new("", "\u{7f}")).await, []);
}

pub(super) async fn a_snapshot_sees_every_commit_told_before(subject: &dyn Subject) {
    let db = subject.open().await;
    for round in 0..50_u32 {
        let committed = commit(&db, Commit::blind().set("k", round.to_string())).await;
        let snapshot = snapshot(&db).await;
        assert!(snapshot.version() >= committed.version, "the snapshot is older than a commit told before");
        assert_eq!(value(&*snapshot, "k").await, Some(round.to_string().into()));
    }
}

pub(super) async fn a_snapshot_sees_what_another_task_was_told(subject: &dyn Subject) {
    let db = subject.open().await;
    let (told, mut news) = tokio::sync::mpsc::channel(1);
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (db, told) = (db.clone(), told.clone());
            tokio::spawn(async move {
                for round in 0..20 {
                    let key = format!("{writer}/{round}");
                    let committed = commit(&db, Commit::blind().set(key.clone(), "x")).await;
                    told.send((key, committed.version)).await.expect("the reader listens");
                }
            })
        })
        .collect();
    drop(told);
    while let Some((key, version)) = soon("a commit", news.recv()).await {
        let snapshot = snapshot(&db).await;
        assert!(snapshot.version() >= version);
        assert_eq!(value(&*snapshot, &key).await, Some("x".into()));
    }
    for writer in writers {
        writer.await.expect("the writer ends well");
    }
}

pub(super) async fn versions_and_stamps_grow(subject: &dyn Subject) {
    let db = subject.open().await;
    let mut last = commit(&db, Commit::blind().set("k", "0")).await;
    for round in 1..30_u32 {
        let before = version(&db).await;
        let next = commit(&db, Commit::blind().set("k", round.to_string())).await;
        assert!(next.version > last.version && next.version > before, "versions grow");
        assert!(next.stamp > last.stamp, "stamps grow");
        assert_eq!(next.stamp.version(), next.version, "a stamp begins with its version");
        last = next;
    }
}

pub(super) async fn a_snapshot_never_changes(subject: &dyn Subject) {
    let db = subject.open().await;
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")] {
        set(&db, key, value).await;
    }
    let old = snapshot(&db).await;
    let before = entries(&*old, &KeyRange::new("a", "z")).await;
    for change in [
        Commit::blind().set("a", "new"),
        Commit::blind().clear("b"),
        Commit::blind().add("c", 1),
        Commit::blind().clear_range(KeyRange::new("d", "e")),
        Commit::blind().set("bb", "phantom"),
    ] {
        commit(&db, change).await;
        assert_eq!(entries(&*old, &KeyRange::new("a", "z")).await, before);
        assert_eq!(value(&*old, "a").await, Some("1".into()));
        assert_eq!(value(&*old, "b").await, Some("2".into()));
        assert_eq!(value(&*old, "bb").await, None);
    }
}

pub(super) async fn a_snapshot_sees_only_what_its_version_says(subject: &dyn Subject) {
    let db = subject.open().await;
    let mut seen = Vec::new();
    for round in 0..10_u32 {
        let committed = commit(&db, Commit::blind().set(format!("k{round}"), "x")).await;
        seen.push((committed.version, snapshot(&db).await));
    }
    for (_, snapshot) in &seen {
        for (round, (version, _)) in seen.iter().enumerate() {
            let there = value(&**snapshot, &format!("k{round}")).await.is_some();
            assert_eq!(there, *version <= snapshot.version(), "a commit is seen at or above its version");
        }
    }
}

pub(super) async fn nothing_uncommitted_is_seen(subject: &dyn Subject) {
    let db = subject.open().await;
    let read = version(&db).await;
    set(&db, "a", "1").await;
    let unsent = db.commit(Commit::blind().set("b", "unsent"));
    let refused = db.commit(Commit::at(read).read_key("a").set("c", "refused")).await;
    assert_eq!(refused, Err(CommitError::Conflict));
    assert_eq!(entries(&*snapshot(&db).await, &KeyRange::new("a", "z")).await, [entry("a", "1")]);
    drop(unsent);
}

pub(super) async fn the_version_of_the_last_commit_can_be_read(subject: &dyn Subject) {
    let db = subject.open().await;
    for round in 0..10_u32 {
        let committed = commit(&db, Commit::blind().set("k", round.to_string())).await;
        let snapshot = db.snapshot_at(committed.version).await.expect("the last version");
        assert_eq!(snapshot.version(), committed.version);
        assert_eq!(value(&*snapshot, "k").await, Some(round.to_string().into()));
    }
}

pub(super) async fn the_version_of_a_snapshot_can_be_read(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k", "1").await;
    let first = snapshot(&db).await;
    let second = db.snapshot_at(first.version()).await.expect("the snapshot's version");
    assert_eq!(second.version(), first.version());
    assert_eq!(value(&*second, "k").await, Some("1".into()));
}

pub(super) async fn an_older_version_is_exact_or_refused(subject: &dyn Subject) {
    let db = subject.open().await;
    let mut versions = Vec::new();
    for round in 0..40_u32 {
        let committed = commit(&db, Commit::blind().set("k", round.to_string())).await;
        versions.push((committed.version, round));
        for (version, round) in &versions {
            match db.snapshot_at(*version).await {
                Ok(snapshot) => {
                    assert_eq!(snapshot.version(), *version);
                    assert_eq!(value(&*snapshot, "k").await, Some(round.to_string().into()));
                }
                Err(error) => assert_eq!(error, StoreError::TooOld),
            }
        }
    }
}

pub(super) async fn a_version_of_the_future_is_refused(subject: &dyn Subject) {
    let db = subject.open().await;
    let committed = set(&db, "k", "1").await;
    let future = Version(committed.version.0.saturating_add(1 << 60));
    let refused = soon("an answer", db.snapshot_at(future)).await;
    assert_eq!(refused.err(), Some(StoreError::Future));
}

pub(super) async fn what_was_committed_outlives_the_store(subject: &dyn Subject) {
    let db: Db = subject.open().await;
    set(&db, "k/a", "1").await;
    commit(&db, Commit::blind().set("k/b", "2").set("k/c", "3").clear("k/a")).await;
    commit(&db, Commit::blind().add("k/n", 7)).await;
    let before = under(&db, "k/").await;
    drop(db);
    let db = subject.open().await;
    assert_eq!(under(&db, "k/").await, before);
    assert_eq!(before.len(), 3);
}

pub(super) async fn versions_go_on_after_opening_again(subject: &dyn Subject) {
    let mut last = None;
    for _ in 0..3 {
        let db = subject.open().await;
        let now = version(&db).await;
        let next = commit(&db, Commit::blind().stamped("s/", "", "x")).await;
        if let Some(last) = last {
            assert!(now >= last && next.version > last, "versions go on above the last");
        }
        last = Some(next.version);
    }
    let db = subject.open().await;
    assert_eq!(under(&db, "s/").await.len(), 3);
}
