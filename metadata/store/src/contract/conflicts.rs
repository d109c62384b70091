//! What conflicts, and what does not.

use super::Subject;
use super::kit::{Db, commit, entries, get, number, set, snapshot, soon, under, version};
use crate::{Commit, CommitError, Entry, KeyRange, RangeLimit};

/// Reads `reads`, lets `other` commit, then commits on what was read.
async fn after(db: &Db, reads: &[KeyRange], other: Commit) -> Result<(), CommitError> {
    let mut own = Commit::at(version(db).await).set("own", "written");
    own.reads = reads.to_vec();
    commit(db, other).await;
    db.commit(own).await.map(drop)
}

async fn conflicts(db: &Db, reads: &[KeyRange], other: Commit) {
    let what = format!("{reads:?} after {other:?}");
    assert_eq!(after(db, reads, other).await, Err(CommitError::Conflict), "{what}");
}

async fn passes(db: &Db, reads: &[KeyRange], other: Commit) {
    let what = format!("{reads:?} after {other:?}");
    assert_eq!(after(db, reads, other).await, Ok(()), "{what}");
}

async fn all(db: &Db) -> Vec<Entry> {
    entries(&*snapshot(db).await, &span("", "\u{7f}")).await
}

fn key(key: &'static str) -> KeyRange {
    KeyRange::key(key)
}

fn span(begin: &'static str, end: &'static str) -> KeyRange {
    KeyRange::new(begin, end)
}

pub(super) async fn a_changed_key_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    conflicts(&db, &[key("k")], Commit::blind().set("k", "1")).await;
    conflicts(&db, &[key("k")], Commit::blind().set("k", "2")).await;
}

pub(super) async fn the_same_value_again_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k", "1").await;
    conflicts(&db, &[key("k")], Commit::blind().set("k", "1")).await;
}

pub(super) async fn a_changed_range_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    for key in ["b", "c", "d"] {
        set(&db, key, "0").await;
    }
    for key in ["b", "c", "d"] {
        conflicts(&db, &[span("b", "e")], Commit::blind().set(key, "1")).await;
    }
}

pub(super) async fn a_new_key_in_a_range_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    conflicts(&db, &[span("b", "e")], Commit::blind().set("c", "new")).await;
    conflicts(&db, &[KeyRange::prefix("p/")], Commit::blind().set("p/", "new")).await;
}

pub(super) async fn a_cleared_key_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k", "1").await;
    conflicts(&db, &[key("k")], Commit::blind().clear("k")).await;
    conflicts(&db, &[span("j", "l")], Commit::blind().clear("k")).await;
}

pub(super) async fn a_cleared_range_conflicts_whole(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "c", "1").await;
    let cleared = || Commit::blind().clear_range(span("b", "e"));
    conflicts(&db, &[key("c")], cleared()).await;
    // Nothing was there, and still the range was written.
    conflicts(&db, &[key("d")], cleared()).await;
    conflicts(&db, &[key("b")], cleared()).await;
    conflicts(&db, &[span("a", "c")], cleared()).await;
    conflicts(&db, &[span("d", "z")], cleared()).await;
    conflicts(&db, &[span("c", "d")], cleared()).await;
    conflicts(&db, &[span("a", "z")], cleared()).await;
    passes(&db, &[key("e")], cleared()).await;
    passes(&db, &[span("a", "b")], cleared()).await;
    passes(&db, &[span("e", "z")], cleared()).await;
}

pub(super) async fn an_add_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    conflicts(&db, &[key("n")], Commit::blind().add("n", 1)).await;
    conflicts(&db, &[span("m", "o")], Commit::blind().add("n", 0)).await;
}

pub(super) async fn a_stamped_key_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    let stamped = || Commit::blind().stamped("log/", "/1", "x");
    conflicts(&db, &[KeyRange::prefix("log/")], stamped()).await;
    passes(&db, &[key("log/")], stamped()).await;
    passes(&db, &[KeyRange::prefix("lof/"), KeyRange::prefix("loh/")], stamped()).await;
}

pub(super) async fn a_stamped_value_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    conflicts(&db, &[key("k")], Commit::blind().set_stamped("k", "", "")).await;
}

pub(super) async fn declared_writes_conflict(subject: &dyn Subject) {
    let db = subject.open().await;
    conflicts(&db, &[key("k")], Commit::blind().touch(key("k"))).await;
    conflicts(&db, &[key("k")], Commit::blind().set("other", "x").touch(span("j", "l"))).await;
    conflicts(&db, &[key("k")], Commit::blind().touch(key("x")).touch(key("k"))).await;
    passes(&db, &[key("k")], Commit::blind().touch(span("a", "k"))).await;
    assert_eq!(get(&db, "k").await, None, "a declared write writes nothing");
}

pub(super) async fn every_read_range_counts(subject: &dyn Subject) {
    let db = subject.open().await;
    let reads = [key("a"), span("c", "e"), key("g")];
    for key in ["a", "d", "g"] {
        conflicts(&db, &reads, Commit::blind().set(key, "x")).await;
    }
    passes(&db, &reads, Commit::blind().set("b", "x").set("e", "x").set("h", "x")).await;
}

pub(super) async fn every_mutation_counts(subject: &dyn Subject) {
    let db = subject.open().await;
    let other = || {
        let cleared = Commit::blind().set("a", "x").add("b", 1).clear("c").clear_range(span("d", "e"));
        cleared.set_stamped("f", "", "").set("g", "x")
    };
    for changed in ["a", "b", "c", "d", "f", "g"] {
        conflicts(&db, &[key(changed)], other()).await;
    }
}

pub(super) async fn only_changes_after_the_read_version_conflict(subject: &dyn Subject) {
    let db = subject.open().await;
    let first = set(&db, "k", "1").await;
    let commit = |at| db.commit(Commit::at(at).read_key("k").set("own", "x"));
    assert!(commit(first.version).await.is_ok(), "a change at the read version was read");
    set(&db, "other", "x").await;
    assert!(commit(first.version).await.is_ok());
    let second = set(&db, "k", "2").await;
    assert_eq!(commit(first.version).await.err(), Some(CommitError::Conflict));
    assert!(commit(second.version).await.is_ok());
    for _ in 0..30 {
        set(&db, "other", "x").await;
    }
    assert_eq!(commit(first.version).await.err(), Some(CommitError::Conflict), "it stays a conflict");
    assert!(commit(second.version).await.is_ok(), "and the other stays none");
}

pub(super) async fn what_lies_outside_does_not_conflict(subject: &dyn Subject) {
    let db = subject.open().await;
    passes(&db, &[span("b", "d")], Commit::blind().set("a", "x").set("d", "x")).await;
    passes(&db, &[span("b", "d")], Commit::blind().set("a\u{7f}", "x").set("d\0", "x")).await;
    passes(&db, &[key("k")], Commit::blind().set("k\0", "x").set("j\u{7f}", "x")).await;
    conflicts(&db, &[span("b", "d")], Commit::blind().set("b", "x")).await;
    conflicts(&db, &[span("b", "d")], Commit::blind().set("c\u{7f}\u{7f}", "x")).await;
}

pub(super) async fn an_empty_range_never_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    let other = || Commit::blind().set("b", "x").clear_range(span("a", "z"));
    passes(&db, &[span("b", "b"), span("d", "a")], other()).await;
    passes(&db, &[key("b")], Commit::blind().touch(span("b", "b")).touch(span("c", "a"))).await;
    passes(&db, &[key("b")], Commit::blind().clear_range(span("c", "a")).set("own2", "x")).await;
}

pub(super) async fn a_commit_does_not_conflict_with_itself(subject: &dyn Subject) {
    let db = subject.open().await;
    let read = version(&db).await;
    let own = Commit::at(read).read_key("k").read(span("a", "z")).set("k", "1").clear_range(span("a", "c"));
    assert!(db.commit(own.touch(span("a", "z"))).await.is_ok());
}

pub(super) async fn a_conflict_changes_nothing(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "a", "1").await;
    let read = version(&db).await;
    set(&db, "k", "changed").await;
    let before = all(&db).await;
    let refused = Commit::at(read).read_key("k").set("a", "2").add("n", 1).stamped("s", "", "x");
    let refused = refused.clear_range(span("a", "z"));
    assert_eq!(db.commit(refused).await, Err(CommitError::Conflict));
    assert_eq!(all(&db).await, before);
    for key in ["n", "s"] {
        assert_eq!(get(&db, key).await, None);
    }
    assert_eq!(get(&db, "a").await, Some("1".into()));
}

pub(super) async fn a_conflicting_commit_does_not_conflict_with_others(subject: &dyn Subject) {
    let db = subject.open().await;
    let read = version(&db).await;
    set(&db, "k", "1").await;
    let refused = Commit::at(read).read_key("k").set("b", "x").touch(key("c"));
    assert_eq!(db.commit(refused).await, Err(CommitError::Conflict));
    let other = Commit::at(read).read_key("b").read_key("c").set("own", "x");
    assert!(db.commit(other).await.is_ok(), "what was refused wrote nothing");
}

pub(super) async fn a_blind_commit_never_conflicts(subject: &dyn Subject) {
    let db = subject.open().await;
    let old = version(&db).await;
    let writers: Vec<_> = (0..16)
        .map(|writer: u32| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    // A read version without reads makes no difference.
                    let mut blind = Commit::blind().set("hot", format!("{writer}/{round}")).add("sum", 1);
                    blind.read_version = (round % 2 == 0).then_some(old);
                    let result = db.commit(blind.clear_range(span("x", "y")).stamped("log/", "", "x")).await;
                    assert!(result.is_ok(), "a blind commit failed: {result:?}");
                }
            })
        })
        .collect();
    for writer in writers {
        soon("the writer's end", writer).await.expect("the writer ends well");
    }
    assert_eq!(number(get(&db, "sum").await), 160);
    assert_eq!(under(&db, "log/").await.len(), 160);
}

pub(super) async fn declared_writes_alone_never_conflict(subject: &dyn Subject) {
    let db = subject.open().await;
    let read = version(&db).await;
    set(&db, "k", "1").await;
    let mut touching = Commit::blind().touch(key("k"));
    touching.read_version = Some(read);
    assert!(db.commit(touching).await.is_ok());
}

pub(super) async fn reading_a_snapshot_adds_no_conflict(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k", "1").await;
    let read = snapshot(&db).await;
    read.get(b"k").await.expect("a value");
    read.range(&span("a", "z"), RangeLimit::default()).await.expect("a page");
    set(&db, "k", "2").await;
    let own = Commit::at(read.version()).read_key("unrelated").set("k", "3");
    assert!(db.commit(own).await.is_ok());
}

pub(super) async fn of_two_on_one_snapshot_one_wins(subject: &dyn Subject) {
    let db = subject.open().await;
    for _ in 0..20 {
        let read = version(&db).await;
        let claims = ["left", "right"].map(|name| {
            let db = db.clone();
            tokio::spawn(async move { db.commit(Commit::at(read).read_key("k").set("k", name)).await })
        });
        let mut wins = 0;
        for claim in claims {
            match soon("an answer", claim).await.expect("the task ends well") {
                Ok(_) => wins += 1,
                Err(error) => assert_eq!(error, CommitError::Conflict),
            }
        }
        assert_eq!(wins, 1, "exactly one of two commits on the same snapshot wins");
    }
}

pub(super) async fn a_resend_conflicts_with_its_first(subject: &dyn Subject) {
    let db = subject.open().await;
    let once = Commit::at(version(&db).await).read_key("done").set("done", "x").add("n", 1);
    commit(&db, once.clone()).await;
    for _ in 0..3 {
        assert_eq!(db.commit(once.clone()).await, Err(CommitError::Conflict));
    }
    assert_eq!(number(get(&db, "n").await), 1);
}

pub(super) async fn a_blind_resend_applies_again(subject: &dyn Subject) {
    let db = subject.open().await;
    let again = Commit::blind().set("k", "x").add("n", 1);
    let first = commit(&db, again.clone()).await;
    let second = commit(&db, again).await;
    assert!(second.stamp > first.stamp);
    assert_eq!(get(&db, "k").await, Some("x".into()));
    assert_eq!(number(get(&db, "n").await), 2);
}

pub(super) async fn a_commit_that_changes_nothing_succeeds(subject: &dyn Subject) {
    let db = subject.open().await;
    let committed = set(&db, "k", "1").await;
    commit(&db, Commit::blind()).await;
    commit(&db, Commit::at(committed.version)).await;
    commit(&db, Commit::at(committed.version).read_key("k")).await;
    assert_eq!(get(&db, "k").await, Some("1".into()));
}
