//! Each limit: at it, below it, above it.

use super::Subject;
use super::kit::{Db, commit, get, snapshot, under, version};
use crate::limits::{COMMIT_BYTES, KEY_BYTES, VALUE_BYTES};
use crate::{Commit, CommitError, KeyRange, Mutation, RangeLimit, Stamp, StoreError, check};

/// A commit with a key of this length.
type WithKey = fn(usize) -> Commit;
/// A commit with this range added.
type WithRange = fn(Commit, KeyRange) -> Commit;

fn bytes(count: usize) -> Vec<u8> {
    vec![b'k'; count]
}

async fn fits(db: &Db, what: &str, commit: Commit) {
    let result = db.commit(commit).await;
    assert!(result.is_ok(), "{what}: {result:?}");
}

async fn too_large(db: &Db, what: &str, commit: Commit) {
    let result = db.commit(commit).await;
    assert!(matches!(result, Err(CommitError::TooLarge(_))), "{what}: {result:?}");
}

pub(super) async fn keys_have_a_longest(subject: &dyn Subject) {
    let db = subject.open().await;
    let all: [(&str, WithKey); 5] = [
        ("set", |count| Commit::blind().set(bytes(count), "x")),
        ("stamped value", |count| Commit::blind().set_stamped(bytes(count), "", "")),
        ("add", |count| Commit::blind().add(bytes(count), 1)),
        ("clear", |count| Commit::blind().clear(bytes(count))),
        ("not the first", |count| Commit::blind().set("a", "x").set(bytes(count), "x").set("b", "x")),
    ];
    for (what, with_key) in all {
        fits(&db, what, with_key(KEY_BYTES - 1)).await;
        fits(&db, what, with_key(KEY_BYTES)).await;
        too_large(&db, what, with_key(KEY_BYTES + 1)).await;
    }
}

pub(super) async fn values_have_a_longest(subject: &dyn Subject) {
    let db = subject.open().await;
    for count in [VALUE_BYTES - 1, VALUE_BYTES] {
        fits(&db, "set", Commit::blind().set("k", bytes(count))).await;
        assert_eq!(get(&db, "k").await, Some(bytes(count).into()));
        fits(&db, "stamped key", Commit::blind().stamped("s", "", bytes(count))).await;
    }
    too_large(&db, "set", Commit::blind().set("k", bytes(VALUE_BYTES + 1))).await;
    too_large(&db, "stamped key", Commit::blind().stamped("s", "", bytes(VALUE_BYTES + 1))).await;
}

pub(super) async fn stamped_keys_and_values_count_their_stamp(subject: &dyn Subject) {
    let db = subject.open().await;
    let stamp = Stamp::LEN + 4;
    for (prefix, suffix) in
        [(KEY_BYTES - stamp, 0), (1, KEY_BYTES - stamp - 1), (100, KEY_BYTES - stamp - 100)]
    {
        fits(&db, "a stamped key", Commit::blind().stamped(bytes(prefix), bytes(suffix), "x")).await;
        too_large(&db, "a stamped key", Commit::blind().stamped(bytes(prefix), bytes(suffix + 1), "x")).await;
    }
    for (prefix, suffix) in [(VALUE_BYTES - stamp, 0), (0, VALUE_BYTES - stamp)] {
        fits(&db, "a stamped value", Commit::blind().set_stamped("v", bytes(prefix), bytes(suffix))).await;
        let over = Commit::blind().set_stamped("v", bytes(prefix), bytes(suffix + 1));
        too_large(&db, "a stamped value", over).await;
    }
}

/// A commit of exactly `size` bytes.
fn of_size(size: usize) -> Commit {
    let mut commit = Commit::blind();
    let each = 90_000;
    while check::size(&commit) + each + 1_000 < size {
        let key = format!("c/{}", commit.mutations.len());
        commit = commit.set(key, bytes(each));
    }
    commit = commit.set("c/last", "");
    let rest = size - check::size(&commit);
    if let Some(Mutation::Set { value, .. }) = commit.mutations.last_mut() {
        *value = bytes(rest).into();
    }
    commit
}

pub(super) async fn commits_have_a_largest(subject: &dyn Subject) {
    let db = subject.open().await;
    for (size, ok) in [(COMMIT_BYTES - 1, true), (COMMIT_BYTES, true), (COMMIT_BYTES + 1, false)] {
        let commit = of_size(size);
        assert_eq!(check::size(&commit), size);
        match ok {
            true => fits(&db, "at the limit", commit).await,
            false => too_large(&db, "over the limit", commit).await,
        }
    }
    // Conflict ranges count too.
    let read = version(&db).await;
    let range = || KeyRange::new(bytes(5_000), bytes(5_001));
    let mut reading = Commit::at(read).set("k", "x");
    reading.reads = vec![range(); COMMIT_BYTES / 10_000];
    too_large(&db, "many reads", reading).await;
    let mut touching = Commit::blind().set("k", "x");
    touching.writes = vec![range(); COMMIT_BYTES / 10_000];
    too_large(&db, "many writes", touching).await;
}

pub(super) async fn ranges_have_a_longest_end(subject: &dyn Subject) {
    let db = subject.open().await;
    let all: [(&str, WithRange); 3] = [
        ("clear_range", |commit, range| commit.clear_range(range)),
        ("reads", |commit, range| commit.read(range)),
        ("writes", |commit, range| commit.touch(range)),
    ];
    for (what, with) in all {
        let read = version(&db).await;
        let set = || Commit::at(read).set("a", "x");
        // The range of just one key, of the longest.
        fits(&db, what, with(set(), KeyRange::key(bytes(KEY_BYTES)))).await;
        too_large(&db, what, with(set(), KeyRange::new("k", bytes(KEY_BYTES + 2)))).await;
        too_large(&db, what, with(set(), KeyRange::new(bytes(KEY_BYTES + 2), "l"))).await;
    }
}

pub(super) async fn reads_keep_to_the_limits(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().set(bytes(KEY_BYTES), "x")).await;
    let read = snapshot(&db).await;
    assert_eq!(read.get(&bytes(KEY_BYTES)).await, Ok(Some("x".into())));
    assert!(matches!(read.get(&bytes(KEY_BYTES + 1)).await, Err(StoreError::Limit(_))));
    let page = read.range(&KeyRange::key(bytes(KEY_BYTES)), RangeLimit::default()).await.expect("a page");
    assert_eq!(page.entries.len(), 1);
    let over = read.range(&KeyRange::new("a", bytes(KEY_BYTES + 2)), RangeLimit::default()).await;
    assert!(matches!(over, Err(StoreError::Limit(_))));
    assert!(db.watch(&bytes(KEY_BYTES)).await.is_ok());
    assert!(matches!(db.watch(&bytes(KEY_BYTES + 1)).await.err(), Some(StoreError::Limit(_))));
}

pub(super) async fn keys_below_0xff_only(subject: &dyn Subject) {
    let db = subject.open().await;
    fits(&db, "0xfe", Commit::blind().set(vec![0xfe, 0xff, 0xff], "x")).await;
    for key in [vec![0xff], vec![0xff, 0], vec![0xff, 0xff]] {
        too_large(&db, "set", Commit::blind().set(key.clone(), "x")).await;
        too_large(&db, "add", Commit::blind().add(key.clone(), 1)).await;
        too_large(&db, "clear", Commit::blind().clear(key.clone())).await;
        too_large(&db, "stamped key", Commit::blind().stamped(key.clone(), "", "x")).await;
        too_large(&db, "stamped value", Commit::blind().set_stamped(key.clone(), "", "")).await;
        assert!(matches!(snapshot(&db).await.get(&key).await, Err(StoreError::Limit(_))));
        assert!(matches!(db.watch(&key).await.err(), Some(StoreError::Limit(_))));
    }
    let all = KeyRange::new("", vec![0xff, 0xff]);
    let page = snapshot(&db).await.range(&all, RangeLimit::default()).await.expect("a page");
    assert_eq!(page.entries.len(), 1);
    fits(&db, "a range past the end", Commit::blind().clear_range(all.clone()).touch(all)).await;
}

pub(super) async fn reads_need_a_read_version(subject: &dyn Subject) {
    let db = subject.open().await;
    too_large(&db, "reads without a version", Commit::blind().read_key("k").set("k", "x")).await;
    assert_eq!(get(&db, "k").await, None);
}

pub(super) async fn a_commit_over_a_limit_changes_nothing(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().set("p/a", "1")).await;
    let read = version(&db).await;
    let over = Commit::blind().set("p/b", "2").clear("p/a").set("p/c", bytes(VALUE_BYTES + 1));
    too_large(&db, "a value", over).await;
    assert_eq!(under(&db, "p/").await.len(), 1);
    let unhurt = Commit::at(read).read(KeyRange::prefix("p/")).set("q", "x");
    fits(&db, "nothing was written", unhurt).await;
}
