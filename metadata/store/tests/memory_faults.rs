//! The memory store's faults: each does what it says, all come from the seed, and none breaks the contract.

use std::sync::Arc;
use std::time::Duration;

use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{Commit, CommitError, Store, StoreError, Version};
use tokio::time::{Instant, sleep, timeout};

const LONG: Duration = Duration::from_secs(3_600);

fn number(value: Option<bytes::Bytes>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value.as_ref().try_into().expect("8 bytes")))
}

async fn peek(store: &MemoryStore, key: &str) -> u64 {
    number(store.peek().get(key.as_bytes()).await.expect("no faults"))
}

/// What one commit under these faults is answered, and whether it was applied then and after a while.
async fn fate(faults: Faults, commit: Commit) -> (Result<(), CommitError>, u64, u64) {
    let store = MemoryStore::new(1, faults);
    let answer = store.commit(commit).await.map(drop);
    let now = peek(&store, "n").await;
    sleep(LONG).await;
    (answer, now, peek(&store, "n").await)
}

fn is_unknown(answer: &Result<(), CommitError>) -> bool {
    matches!(answer, Err(CommitError::Unknown(_)))
}

#[tokio::test(start_paused = true)]
async fn each_fate_is_what_it_says() {
    let add = || Commit::blind().add("n", 1);
    let reading = || Commit::at(Version(0)).read_key("n").add("n", 1);
    let none = Faults::none;
    assert_eq!(fate(none(), add()).await, (Ok(()), 1, 1));
    let conflict = Faults { conflict: 1.0, ..none() };
    assert_eq!(fate(conflict.clone(), reading()).await, (Err(CommitError::Conflict), 0, 0));
    assert_eq!(fate(conflict, add()).await, (Ok(()), 1, 1), "a blind commit never conflicts");
    let too_old = Faults { commit_too_old: 1.0, ..none() };
    assert_eq!(fate(too_old, reading()).await, (Err(CommitError::TooOld), 0, 0));
    let (answer, now, later) = fate(Faults { commit_unavailable: 1.0, ..none() }, add()).await;
    assert!(matches!(answer, Err(CommitError::Unavailable(_))) && (now, later) == (0, 0));
    let (answer, now, later) = fate(Faults { unknown_never: 1.0, ..none() }, add()).await;
    assert!(is_unknown(&answer) && (now, later) == (0, 0));
    let (answer, now, later) = fate(Faults { unknown_applied: 1.0, ..none() }, add()).await;
    assert!(is_unknown(&answer) && (now, later) == (1, 1));
    let late = Duration::from_secs(5)..=Duration::from_secs(10);
    let (answer, now, later) = fate(Faults { unknown_late: 1.0, late, ..none() }, add()).await;
    assert!(is_unknown(&answer) && (now, later) == (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_still_checks_what_it_read() {
    let second = Duration::from_secs(1)..=Duration::from_secs(1);
    let store = MemoryStore::new(1, Faults { unknown_late: 1.0, late: second, ..Faults::none() });
    let once = Commit::at(Version(0)).read_key("done").set("done", "x").add("n", 1);
    for _ in 0..5 {
        store.commit(once.clone()).await.expect_err("unknown");
    }
    sleep(LONG).await;
    assert_eq!(peek(&store, "n").await, 1, "of all resends one took effect");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_commit_lands_or_not() {
    for lands in [0.0, 1.0] {
        let slow = Duration::from_secs(1)..=Duration::from_secs(1);
        let store = MemoryStore::new(1, Faults { delay: slow, dropped_lands: lands, ..Faults::none() });
        timeout(Duration::from_millis(10), store.commit(Commit::blind().add("n", 1)))
            .await
            .expect_err("dropped");
        sleep(LONG).await;
        assert_eq!(peek(&store, "n").await, lands as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn one_handle_can_be_cut_off_and_healed() {
    let left = MemoryStore::new(1, Faults::calm());
    let right = left.handle(2);
    let snapshot = right.snapshot().await.expect("a snapshot");
    let watch = tokio::spawn(right.watch(b"n").await.expect("a watch"));
    right.set_faults(Faults::cut());
    for _ in 0..20 {
        let answer = right.commit(Commit::blind().add("lost", 1)).await;
        assert!(matches!(answer, Err(CommitError::Unavailable(_) | CommitError::Unknown(_))));
        assert!(matches!(right.snapshot().await.err(), Some(StoreError::Unavailable(_))));
        assert!(matches!(snapshot.get(b"n").await, Err(StoreError::Unavailable(_))));
        left.commit(Commit::blind().add("n", 1)).await.expect("the other handle is well");
    }
    sleep(LONG).await;
    assert!(!watch.is_finished(), "a watch is silent while its handle is cut off");
    right.set_faults(Faults::none());
    timeout(LONG, watch).await.expect("it fires").expect("no panic").expect("no error");
    let healed = right.snapshot().await.expect("a snapshot");
    assert_eq!(number(healed.get(b"n").await.expect("a value")), 20);
    assert_eq!(peek(&left, "lost").await, 0);
    right.commit(Commit::blind().add("n", 1)).await.expect("the handle is well");
}

#[tokio::test(start_paused = true)]
async fn reads_and_watches_fail_as_told() {
    let store = MemoryStore::new(1, Faults::none());
    let snapshot = store.snapshot().await.expect("a snapshot");
    store.set_faults(Faults { read_unavailable: 1.0, ..Faults::none() });
    assert!(matches!(snapshot.get(b"k").await, Err(StoreError::Unavailable(_))));
    store.set_faults(Faults { read_too_old: 1.0, ..Faults::none() });
    assert_eq!(snapshot.get(b"k").await, Err(StoreError::TooOld));
    store.set_faults(Faults::none());
    assert_eq!(snapshot.get(b"k").await, Err(StoreError::TooOld), "too old for ever");
    store.set_faults(Faults { watch_spurious: 1.0, ..Faults::none() });
    assert_eq!(store.watch(b"k").await.expect("a watch").await, Ok(()));
    store.set_faults(Faults { watch_lost: 1.0, ..Faults::none() });
    assert!(matches!(store.watch(b"k").await.expect("a watch").await, Err(StoreError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn old_snapshots_end_and_old_history_goes() {
    let store = MemoryStore::new(1, Faults::none());
    let old = store.snapshot().await.expect("a snapshot");
    for _ in 0..100 {
        store.commit(Commit::blind().add("n", 1)).await.expect("a commit");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(old.get(b"n").await, Err(StoreError::TooOld));
    let decided = Commit::at(old.version()).read_key("other").set("k", "x");
    assert_eq!(store.commit(decided).await, Err(CommitError::TooOld));
    let last = store.snapshot().await.expect("a snapshot");
    sleep(LONG).await;
    assert_eq!(number(last.get(b"n").await.expect("nothing is newer")), 100);
}

/// A few agents under everything at once. Returns what happened, to the last detail.
async fn storm(seed: u64) -> Vec<String> {
    let first = MemoryStore::new(seed, Faults::storm());
    let trace = Arc::new(std::sync::Mutex::new(Vec::new()));
    let begun = Instant::now();
    let agents: Vec<_> = (0..4_u64)
        .map(|agent| {
            let (store, trace) = (first.handle(seed ^ (agent + 1)), trace.clone());
            tokio::spawn(async move {
                for round in 0..40 {
                    let log = |what: String| {
                        let line = format!("{:?} {agent}/{round}: {what}", begun.elapsed());
                        trace.lock().expect("no panic").push(line);
                    };
                    // Applies once, however often it is sent.
                    let done = format!("done/{agent}/{round}");
                    loop {
                        let read = match store.snapshot().await {
                            Ok(read) => read,
                            Err(error) => {
                                log(error.to_string());
                                continue;
                            }
                        };
                        match read.get(done.as_bytes()).await {
                            Ok(Some(_)) => break,
                            Ok(None) => {}
                            Err(error) => {
                                log(error.to_string());
                                continue;
                            }
                        }
                        let commit = Commit::at(read.version()).read_key(done.clone()).add("n", 1);
                        let commit = commit.set(done.clone(), "x").stamped("log/", "", done.clone());
                        log(format!("{:?}", store.commit(commit).await));
                    }
                }
            })
        })
        .collect();
    for agent in agents {
        timeout(LONG, agent).await.expect("all heals").expect("no panic");
    }
    sleep(LONG).await;
    assert_eq!(peek(&first, "n").await, 160, "seed {seed}: each took effect once");
    let log = siltstone_store::KeyRange::prefix("log/");
    let entries = siltstone_store::read_all(&*first.peek(), &log, 1 << 20).await.expect("the log");
    assert_eq!(entries.len(), 160, "seed {seed}");
    let mut trace = trace.lock().expect("no panic").clone();
    trace.push(format!("{entries:?}"));
    trace
}

#[tokio::test(start_paused = true)]
async fn a_storm_breaks_nothing_and_replays_exactly() {
    for seed in 0..60 {
        let trace = storm(seed).await;
        assert!(trace.len() > 170, "seed {seed}: something went wrong on the way");
        if seed % 10 == 0 {
            assert_eq!(trace, storm(seed).await, "seed {seed} replays");
        }
    }
}
