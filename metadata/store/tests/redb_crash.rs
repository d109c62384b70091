//! The embedded store through power failures: what was told is there, and nothing is there in part.

mod disk;

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Crash, SimDisk};
use siltstone_store::memory::Chance;
use siltstone_store::redb::{Options, RedbStore};
use siltstone_store::{Commit, KeyRange, Store, Version, read_all};

const WRITERS: u64 = 6;
const PARTS: u64 = 4;
/// So many rounds of a writer are kept; each commit clears an older one.
const KEPT: u64 = 5;

fn options() -> Options {
    Options { cache_bytes: 256 << 10, journal_bytes: 64 << 10, ..Options::default() }
}

fn open(disk: &SimDisk) -> RedbStore {
    RedbStore::open_on(Arc::new(disk.clone()), options()).expect("the store opens")
}

fn round_prefix(writer: u64, round: u64) -> String {
    format!("w/{writer:02}/{round:08}/")
}

/// One writer's commit: a few keys of a new round, an old round cleared, one added to the sum.
fn commit(writer: u64, round: u64, chance: &mut Chance) -> Commit {
    let prefix = round_prefix(writer, round);
    let mut commit = Commit::blind().add("sum", 1);
    for part in 0..PARTS {
        let len = match chance.below(20) {
            0 => chance.below(60_000),
            _ => chance.below(3_000),
        };
        commit = commit.set(format!("{prefix}{part}"), vec![part as u8; len as usize]);
    }
    match round.checked_sub(KEPT) {
        Some(old) => commit.clear_range(KeyRange::prefix(round_prefix(writer, old))),
        None => commit,
    }
}

/// What a writer was told: its last round, and the version.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    round: Option<u64>,
    version: Version,
}

/// Writes until the power fails. `next` is each writer's next round.
async fn write_until_crash(
    store: Arc<RedbStore>,
    next: &BTreeMap<u64, u64>,
    seed: u64,
) -> BTreeMap<u64, Told> {
    let mut tasks = Vec::new();
    for (writer, next) in next.clone() {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut chance = Chance::new(seed ^ (writer << 32));
            let mut told = Told::default();
            for round in next.. {
                match store.commit(commit(writer, round, &mut chance)).await {
                    Ok(committed) => told = Told { round: Some(round), version: committed.version },
                    Err(_) => break,
                }
            }
            (writer, told)
        }));
    }
    let mut all = BTreeMap::new();
    for task in tasks {
        let (writer, told) = task.await.expect("the writer ends well");
        all.insert(writer, told);
    }
    all
}

/// Checks what is there, and returns each writer's next round.
async fn check(store: &RedbStore, told: &BTreeMap<u64, Told>, context: &str) -> BTreeMap<u64, u64> {
    let snapshot = store.snapshot().await.expect("a snapshot");
    let mut sum = 0;
    let mut next = BTreeMap::new();
    for (writer, told) in told {
        assert!(snapshot.version() >= told.version, "{context}: the version went back");
        let prefix = KeyRange::prefix(format!("w/{writer:02}/"));
        let entries = read_all(&*snapshot, &prefix, 64 << 20).await.expect("the entries");
        let mut rounds = BTreeMap::<u64, u64>::new();
        for (key, value) in &entries {
            let text = std::str::from_utf8(key).expect("a key of ours");
            let round = text[5..13].parse().expect("a round");
            let part: u8 = text[14..].parse().expect("a part");
            assert!(value.iter().all(|byte| *byte == part), "{context}: {text} holds something else");
            *rounds.entry(round).or_default() += 1;
        }
        assert!(rounds.values().all(|parts| *parts == PARTS), "{context}: a commit in part: {rounds:?}");
        let last = rounds.keys().next_back().copied();
        assert!(last >= told.round, "{context}: writer {writer} was told {told:?}, and {last:?} is there");
        let count = last.map_or(0, |last| last + 1);
        let expected: Vec<u64> = (count.saturating_sub(KEPT)..count).collect();
        assert_eq!(rounds.keys().copied().collect::<Vec<_>>(), expected, "{context}");
        sum += count;
        next.insert(*writer, count);
    }
    let stored = snapshot.get(b"sum").await.expect("the sum");
    let stored = stored.map_or(0, |sum| u64::from_le_bytes(sum.as_ref().try_into().expect("8 bytes")));
    assert_eq!(stored, sum, "{context}: the sum of all commits");
    next
}

async fn survive(crash: Crash, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut disk = SimDisk::new(seed);
    let mut told: BTreeMap<u64, Told> = (0..WRITERS).map(|writer| (writer, Told::default())).collect();
    for life in 0..4 {
        let context = format!("{crash:?}, seed {seed}, life {life}");
        let store = Arc::new(open(&disk));
        let next = check(&store, &told, &context).await;
        disk.crash_after(20 + chance.below(3_000));
        let news = write_until_crash(store.clone(), &next, chance.any()).await;
        for (writer, news) in news {
            let known = told.entry(writer).or_default();
            *known = if news.round.is_some() { news } else { *known };
        }
        assert!(disk.is_dead(), "the power has failed");
        drop(store);
        disk = disk.after(crash, &mut chance);
    }
    check(&open(&disk), &told, &format!("{crash:?}, seed {seed}, at the end")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_survives_a_disk_that_keeps_only_what_was_synced() {
    for seed in 0..12 {
        survive(Crash::Discard, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_survives_torn_writes() {
    for seed in 100..130 {
        survive(Crash::Tear, seed).await;
    }
}

/// The power fails again while the store recovers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_during_recovery_loses_nothing() {
    for seed in 0..20 {
        let mut chance = Chance::new(seed);
        let disk = SimDisk::new(seed);
        let store = Arc::new(open(&disk));
        let next = (0..WRITERS).map(|writer| (writer, 0)).collect();
        disk.crash_after(300 + chance.below(1_000));
        let told = write_until_crash(store.clone(), &next, seed).await;
        drop(store);
        let mut disk = disk.after(Crash::Tear, &mut chance);
        for steps in 0..6 {
            disk.crash_after(steps);
            drop(RedbStore::open_on(Arc::new(disk.clone()), options()));
            disk = disk.after(Crash::Tear, &mut chance);
        }
        check(&open(&disk), &told, &format!("seed {seed}")).await;
    }
}

/// The test itself: a store that did not sync would be caught.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncing_what_was_told_is_lost() {
    for crash in [Crash::Discard, Crash::Tear] {
        let disk = SimDisk::new(0);
        let store = Arc::new(open(&disk));
        disk.lie();
        disk.crash_after(2_000);
        let next = (0..WRITERS).map(|writer| (writer, 0)).collect();
        let told = write_until_crash(store.clone(), &next, 0).await;
        drop(store);
        let disk = disk.after(crash, &mut Chance::new(0));
        let told = told.values().map(|told| told.version).max();
        // Damage so great that it does not open is noticed as well.
        if let Ok(store) = RedbStore::open_on(Arc::new(disk), options()) {
            assert!(store.snapshot().await.ok().map(|snapshot| snapshot.version()) < told, "{crash:?}");
        }
    }
}

#[tokio::test]
async fn every_commit_is_synced_once() {
    let disk = SimDisk::new(0);
    let store = open(&disk);
    store.commit(Commit::blind().set("k", vec![0; 2_000])).await.expect("a commit");
    let before = disk.syncs();
    for round in 0..50_u64 {
        store.commit(Commit::blind().set(format!("k{round}"), vec![0; 200])).await.expect("a commit");
    }
    // 14 fit into the journal, and the one behind them has it begin anew: that is named first, by another sync.
    let begun = 50 / 15;
    assert_eq!(disk.syncs() - before, 50 + begun, "one sync a commit, not fewer and not more");
}
