//! Stamped keys and values.

use std::collections::BTreeSet;

use super::Subject;
use super::kit::{commit, entries, get, snapshot, soon, under};
use crate::{Commit, KeyRange, Stamp};

fn stamped(prefix: &str, stamp: Stamp, suffix: &str) -> Vec<u8> {
    [prefix.as_bytes(), &stamp.0, suffix.as_bytes()].concat()
}

pub(super) async fn a_stamped_key_holds_the_commits_stamp(subject: &dyn Subject) {
    let db = subject.open().await;
    for suffix in ["", "/tail"] {
        let committed = commit(&db, Commit::blind().stamped("log/", suffix, "x")).await;
        let value = snapshot(&db).await.get(&stamped("log/", committed.stamp, suffix)).await;
        assert_eq!(value.expect("a value"), Some("x".into()));
    }
    assert_eq!(under(&db, "log/").await.len(), 2);
}

pub(super) async fn a_stamped_value_holds_the_commits_stamp(subject: &dyn Subject) {
    let db = subject.open().await;
    let committed = commit(&db, Commit::blind().set_stamped("k", "a/", "/z").set_stamped("l", "", "")).await;
    assert_eq!(get(&db, "k").await, Some(stamped("a/", committed.stamp, "/z").into()));
    assert_eq!(get(&db, "l").await, Some(committed.stamp.0.to_vec().into()));
}

pub(super) async fn stamped_keys_sort_in_commit_order(subject: &dyn Subject) {
    let db = subject.open().await;
    for round in 0..300_u32 {
        commit(&db, Commit::blind().stamped("log/", "", round.to_string())).await;
    }
    let read: Vec<_> = under(&db, "log/").await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(read, (0..300).map(|round: u32| round.to_string()).collect::<Vec<_>>());
}

pub(super) async fn suffixes_tell_keys_of_one_commit_apart(subject: &dyn Subject) {
    let db = subject.open().await;
    let mut many = Commit::blind();
    for item in 0..20_u8 {
        many = many.stamped("log/", vec![item], vec![item]).stamped(vec![b'p', item], "", "x");
    }
    let committed = commit(&db, many).await;
    let read = under(&db, "log/").await;
    assert_eq!(read.len(), 20);
    for (item, (key, value)) in (0..20_u8).zip(read) {
        assert_eq!(key, [b"log/".as_slice(), &committed.stamp.0, &[item]].concat());
        assert_eq!(value.as_ref(), [item]);
    }
    assert_eq!(under(&db, "p").await.len(), 20);
}

pub(super) async fn stamps_are_unique_among_concurrent_commits(subject: &dyn Subject) {
    let db = subject.open().await;
    let tasks: Vec<_> = (0..40)
        .map(|task: u32| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut own = Vec::new();
                for round in 0..10 {
                    let value = format!("{task}/{round}");
                    let committed = commit(&db, Commit::blind().stamped("log/", "", value.clone())).await;
                    assert_eq!(committed.stamp.version(), committed.version);
                    own.push((stamped("log/", committed.stamp, ""), value));
                }
                own
            })
        })
        .collect();
    let mut told = BTreeSet::new();
    for task in tasks {
        let own = soon("the task's end", task).await.expect("the task ends well");
        assert!(own.is_sorted(), "one task's stamps grow");
        told.extend(own);
    }
    let read = entries(&*snapshot(&db).await, &KeyRange::prefix("log/")).await;
    assert_eq!(read.len(), 400, "no two commits share a stamp");
    for ((key, value), (told_key, told_value)) in read.iter().zip(&told) {
        assert_eq!((key.as_ref(), value.as_ref()), (told_key.as_slice(), told_value.as_bytes()));
    }
}

pub(super) async fn stamped_writes_keep_their_place_in_the_order(subject: &dyn Subject) {
    let db = subject.open().await;
    let all = KeyRange::prefix("log/");
    commit(&db, Commit::blind().stamped("log/", "", "x").clear_range(all.clone())).await;
    assert_eq!(under(&db, "log/").await, []);
    commit(&db, Commit::blind().clear_range(all).stamped("log/", "", "x")).await;
    assert_eq!(under(&db, "log/").await.len(), 1);
    commit(&db, Commit::blind().set_stamped("k", "", "").set("k", "set")).await;
    assert_eq!(get(&db, "k").await, Some("set".into()));
    let committed = commit(&db, Commit::blind().set("k", "set").set_stamped("k", "", "")).await;
    assert_eq!(get(&db, "k").await, Some(committed.stamp.0.to_vec().into()));
    commit(&db, Commit::blind().stamped("same/", "", "1").stamped("same/", "", "2")).await;
    let same = under(&db, "same/").await;
    assert_eq!(same.iter().map(|(_, value)| value.as_ref()).collect::<Vec<_>>(), [b"2"]);
}

pub(super) async fn a_resend_gets_a_stamp_of_its_own(subject: &dyn Subject) {
    let db = subject.open().await;
    let again = Commit::blind().stamped("log/", "", "x");
    let first = commit(&db, again.clone()).await;
    let second = commit(&db, again).await;
    assert!(second.stamp > first.stamp);
    assert_eq!(under(&db, "log/").await.len(), 2);
}
