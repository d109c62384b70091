//! The embedded store on a disk that is full, that fails, and on files that are not what they should be.

mod disk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use disk::{Crash, SimDisk};
use siltstone_store::memory::Chance;
use siltstone_store::redb::{OpenError, Options, RedbStore};
use siltstone_store::{Commit, CommitError, Committed, Store, StoreError};

const DEADLINE: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options {
        cache_bytes: 256 << 10,
        journal_bytes: 64 << 10,
        retry_after: Duration::from_millis(1),
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> RedbStore {
    RedbStore::open_on(Arc::new(disk.clone()), options()).expect("the store opens")
}

fn key(number: u32) -> String {
    format!("k/{number:06}")
}

async fn put(store: &RedbStore, number: u32) -> Result<Committed, CommitError> {
    put_bytes(store, number, 5_000).await
}

async fn put_bytes(store: &RedbStore, number: u32, size: usize) -> Result<Committed, CommitError> {
    store.commit(Commit::blind().set(key(number), vec![1; size]).add("sum", 1)).await
}

async fn is_there(store: &RedbStore, number: u32) -> bool {
    let snapshot = store.snapshot().await.expect("a snapshot");
    snapshot.get(key(number).as_bytes()).await.expect("a value").is_some()
}

async fn sum(store: &RedbStore) -> u64 {
    let snapshot = store.snapshot().await.expect("a snapshot");
    let value = snapshot.get(b"sum").await.expect("a value").expect("a sum");
    u64::from_le_bytes(value.as_ref().try_into().expect("8 bytes"))
}

/// Sends until it is taken.
async fn put_at_last(store: &RedbStore, number: u32) {
    let tries = async {
        while let Err(error) = put(store, number).await {
            assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, tries).await.expect("the store recovers");
}

/// Reads until there is an answer.
async fn read_at_last(store: &RedbStore, number: u32) -> bool {
    loop {
        if let Ok(snapshot) = store.snapshot().await
            && let Ok(value) = snapshot.get(key(number).as_bytes()).await
        {
            return value.is_some();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_then_takes_them_again() {
    for seed in 0..10_u64 {
        let disk = SimDisk::new(seed);
        let store = open(&disk);
        let mut told = Vec::new();
        let mut refused = Vec::new();
        for number in 0..20 {
            put(&store, number).await.expect("there is space");
            told.push(number);
        }
        let watch = store.watch(key(1_000).as_bytes()).await.expect("a watch");
        disk.allow_more(Some(5 + seed as usize * 7));
        for number in 20..200 {
            match put(&store, number).await {
                Ok(_) => told.push(number),
                Err(CommitError::Unavailable(_)) => refused.push(number),
                Err(other) => panic!("seed {seed}: {other}"),
            }
            // What was there can be read all the while, or a read says to try again.
            match store.snapshot().await {
                Ok(snapshot) => {
                    let value = snapshot.get(key(3).as_bytes()).await;
                    assert!(matches!(
                        value,
                        Ok(Some(_)) | Err(StoreError::Unavailable(_) | StoreError::TooOld)
                    ));
                }
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
            }
        }
        assert!(refused.len() > 50, "seed {seed}: the disk was full");
        disk.allow_more(None);
        put_at_last(&store, 1_000).await;
        told.push(1_000);
        for number in 200..230 {
            put_at_last(&store, number).await;
            told.push(number);
        }
        tokio::time::timeout(DEADLINE, watch).await.expect("the watch ends").expect("it fires");
        for number in &told {
            assert!(is_there(&store, *number).await, "seed {seed}: {number} was told and is lost");
        }
        for number in &refused {
            assert!(!is_there(&store, *number).await, "seed {seed}: {number} was refused and is there");
        }
        assert_eq!(sum(&store).await, told.len() as u64);
        drop(store);
        let store = open(&disk.after(Crash::Discard, &mut Chance::new(seed)));
        assert_eq!(sum(&store).await, told.len() as u64);
    }
}

/// How long each value is that was told.
type Told = BTreeMap<u32, usize>;

/// Writes values, some of them anew, and reads all the time once writes are refused.
async fn write_until_full(store: &RedbStore, seed: u64, told: &mut Told) {
    let mut chance = Chance::new(seed);
    let mut refused = 0;
    for number in 1..1_000 {
        let number = if chance.below(3) == 0 { number } else { chance.below(number.into()) as u32 };
        let size = [5_000, 50_000][chance.below(2) as usize] + chance.below(50_000) as usize;
        match put_bytes(store, number, size).await {
            Ok(_) => drop(told.insert(number, size)),
            Err(CommitError::Unavailable(_)) => refused += 1,
            Err(other) => panic!("seed {seed}: {other}"),
        }
        // A read pins pages; without any, all that can be used again is.
        if refused > 0 {
            let read = tokio::time::timeout(DEADLINE, read_at_last(store, 0)).await;
            assert!(read.unwrap_or_else(|_| panic!("seed {seed}: {number} stopped all reads")));
        }
    }
    assert!(refused > 0, "seed {seed}: the disk was full");
}

async fn holds(store: &RedbStore, told: &Told, seed: u64) {
    let snapshot = store.snapshot().await.expect("a snapshot");
    for (number, size) in told {
        let value = snapshot.get(key(*number).as_bytes()).await.expect("a read");
        assert_eq!(value.map(|value| value.len()), Some(*size), "seed {seed}: value {number}");
    }
}

/// Nothing that was told is only in memory, however the store ends, and on a full disk it can be opened again.
#[tokio::test]
async fn on_a_full_disk_what_is_there_is_read_all_the_same() {
    for seed in 0..24_u64 {
        let disk = SimDisk::new(seed);
        let options = || Options { journal_bytes: 4 << 20, ..options() };
        let store = RedbStore::open_on(Arc::new(disk.clone()), options()).expect("the store opens");
        put(&store, 0).await.expect("there is space");
        let mut told = Told::from([(0, 5_000)]);
        disk.allow_more(Some(60 + Chance::new(seed).below(3_000) as usize));
        write_until_full(&store, seed, &mut told).await;
        holds(&store, &told, seed).await;
        let disk = match seed % 4 {
            0 => {
                drop(store);
                disk
            }
            1 => {
                disk.crash_after(0);
                drop(store);
                disk.go_on();
                disk
            }
            kind => {
                let crash = if kind == 2 { Crash::Discard } else { Crash::Tear };
                let after = disk.after(crash, &mut Chance::new(seed));
                drop(store);
                after
            }
        };
        let store = RedbStore::open_on(Arc::new(disk.clone()), options()).expect("the store opens again");
        holds(&store, &told, seed).await;
        disk.allow_more(None);
        put_at_last(&store, 2_000).await;
        told.insert(2_000, 5_000);
        drop(store);
        let store = RedbStore::open_on(Arc::new(disk), options()).expect("the store opens once more");
        holds(&store, &told, seed).await;
    }
}

/// A first start that finds no room must not spoil the next one.
#[tokio::test]
async fn a_store_that_could_not_be_made_for_lack_of_space_is_made_once_there_is_some() {
    for blocks in 0..8 {
        let disk = SimDisk::new(0);
        disk.allow_more(Some(blocks));
        match RedbStore::open_on(Arc::new(disk.clone()), options()) {
            Err(OpenError::Io { .. }) => {}
            Err(other) => panic!("{blocks} blocks: {other}"),
            Ok(_) => assert!(blocks > 0, "nothing fits into nothing"),
        }
        disk.allow_more(None);
        let store = open(&disk);
        put(&store, 1).await.expect("a commit");
        assert!(is_there(&store, 1).await);
    }
}

/// Nor must a crash in the middle of it.
#[tokio::test]
async fn a_crash_at_any_step_of_the_first_start_spoils_nothing() {
    let mut failed = 0;
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let disk = SimDisk::new(seed);
        disk.crash_after(seed % 20);
        failed += u32::from(RedbStore::open_on(Arc::new(disk.clone()), options()).is_err());
        let crash = if seed < 30 { Crash::Discard } else { Crash::Tear };
        let store = open(&disk.after(crash, &mut chance));
        put(&store, 1).await.expect("a commit");
    }
    assert!(failed > 10, "the power failed in the middle");
}

/// A database whose first block was lost is damaged, not new.
#[test]
fn a_database_without_its_first_block_is_not_emptied() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metadata");
    drop(RedbStore::open(&path, options()).expect("the store opens"));
    let mut bytes = std::fs::read(&path).expect("its bytes");
    bytes[..512].fill(0);
    std::fs::write(&path, &bytes).expect("written");
    assert!(matches!(RedbStore::open(&path, options()), Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).expect("its bytes").len(), bytes.len());
}

#[tokio::test]
async fn failing_writes_refuse_commits_and_then_all_goes_on() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    put(&store, 0).await.expect("a commit");
    disk.fail_writes(true);
    // The first may be unknown: the database can't be opened again to look.
    assert!(put(&store, 1).await.is_err());
    for number in 2..20 {
        assert!(matches!(put(&store, number).await, Err(CommitError::Unavailable(_))));
    }
    disk.fail_writes(false);
    put_at_last(&store, 100).await;
    assert!(is_there(&store, 0).await && is_there(&store, 100).await);
    for number in 2..20 {
        assert!(!is_there(&store, number).await);
    }
}

/// After a failed sync the operating system's memory looks well, and the disk is not: what is told later must not rest on it.
#[tokio::test]
async fn a_failed_sync_is_unknown_and_rests_on_nothing() {
    for seed in 0..40_u64 {
        let disk = SimDisk::new(seed);
        let store = open(&disk);
        for number in 0..10 {
            put(&store, number).await.expect("a commit");
        }
        disk.fail_syncs(1 + (seed % 3) as u32);
        let failed = put(&store, 10).await;
        assert!(matches!(failed, Err(CommitError::Unknown(_))), "seed {seed}: {failed:?}");
        for number in 11..20 {
            put_at_last(&store, number).await;
        }
        let unknown = is_there(&store, 10).await;
        assert_eq!(sum(&store).await, 19 + u64::from(unknown), "seed {seed}: whole or not at all");
        drop(store);
        let store = open(&disk.after(Crash::Discard, &mut Chance::new(seed)));
        for number in (0..10).chain(11..20) {
            assert!(is_there(&store, number).await, "seed {seed}: {number} was told and is lost");
        }
        assert_eq!(is_there(&store, 10).await, unknown, "seed {seed}: what was seen is durable");
    }
}

/// First writing fails, then the sync with which the database is opened again.
#[tokio::test]
async fn a_sync_that_fails_in_recovery_rests_on_nothing() {
    for seed in 0..40_u64 {
        let disk = SimDisk::new(seed);
        let store = open(&disk);
        for number in 0..10 {
            put(&store, number).await.expect("a commit");
        }
        disk.allow_more(Some((seed % 12) as usize));
        disk.fail_syncs_after_error(1 + (seed % 3) as u32);
        let mut settled = 10;
        let mut number = 10;
        while number < 60 {
            settled += u64::from(put(&store, number).await.is_ok());
            number += 1;
        }
        disk.allow_more(None);
        put_at_last(&store, number).await;
        let seen = sum(&store).await;
        assert!(seen > settled, "seed {seed}: what was told is there");
        drop(store);
        let store = open(&disk.after(Crash::Discard, &mut Chance::new(seed)));
        assert_eq!(sum(&store).await, seen, "seed {seed}: what was seen is durable");
        assert!(is_there(&store, number).await);
    }
}

#[tokio::test]
async fn what_was_read_before_a_failure_can_not_be_committed_on_blindly() {
    let disk = SimDisk::new(3);
    let store = open(&disk);
    put(&store, 0).await.expect("a commit");
    let read = store.snapshot().await.expect("a snapshot").version();
    put(&store, 1).await.expect("a commit");
    disk.fail_syncs(1);
    put(&store, 2).await.expect_err("the sync fails");
    let decided = Commit::at(read).read_key(key(1)).set("decided", "x");
    let tries = async {
        loop {
            match store.commit(decided.clone()).await {
                Err(CommitError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                other => return other,
            }
        }
    };
    let result = tokio::time::timeout(DEADLINE, tries).await.expect("an answer");
    assert!(matches!(result, Err(CommitError::TooOld | CommitError::Conflict)), "{result:?}");
}

#[tokio::test]
async fn an_old_snapshot_ends() {
    let disk = SimDisk::new(4);
    let options = Options { snapshot_age: Duration::ZERO, ..options() };
    let store = RedbStore::open_on(Arc::new(disk), options).expect("the store opens");
    put(&store, 0).await.expect("a commit");
    let old = store.snapshot().await.expect("a snapshot");
    put(&store, 1).await.expect("a commit");
    let ends = async {
        while old.get(b"k").await != Err(StoreError::TooOld) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ends).await.expect("the snapshot ends");
    assert!(is_there(&store, 1).await);
}

#[test]
fn a_file_in_use_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("metadata.redb");
    let first = RedbStore::open(&path, options()).expect("the store opens");
    let second = RedbStore::open(&path, options()).expect_err("it is in use");
    assert!(matches!(&second, OpenError::InUse { path: named } if *named == path), "{second}");
    assert!(second.to_string().contains("metadata.redb"));
    drop(first);
    RedbStore::open(&path, options()).expect("it is free again");
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("foreign");
    for bytes in [b"hello".to_vec(), vec![7; 100_000], b"redb".to_vec()] {
        std::fs::write(&path, &bytes).expect("a file");
        let error = RedbStore::open(&path, options()).expect_err("it is foreign");
        assert!(matches!(error, OpenError::Foreign { .. } | OpenError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("foreign"));
        assert_eq!(std::fs::read(&path).expect("the file"), bytes);
    }
    let path = directory.path().join("other.redb");
    let other = redb::Database::create(&path).expect("a database");
    let write = other.begin_write().expect("a transaction");
    write.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).expect("a table");
    write.commit().expect("a commit");
    drop(other);
    let error = RedbStore::open(&path, options()).expect_err("it is foreign");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    let missing = directory.path().join("no/such/directory");
    let error = RedbStore::open(missing, options()).expect_err("there is no directory");
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("metadata.redb");
    drop(RedbStore::open(&path, options()).expect("the store opens"));
    let database = redb::Database::open(&path).expect("the database");
    let write = database.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&str, u64>::new("siltstone.meta");
    write.open_table(meta).expect("the table").insert("format", 3).expect("an insert");
    write.commit().expect("a commit");
    drop(database);
    let error = RedbStore::open(&path, options()).expect_err("it is newer");
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error}");
}

/// Bytes changed at random: opening succeeds or says why, and never panics.
#[tokio::test]
async fn damaged_files_open_or_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("metadata.redb");
    let store = RedbStore::open(&path, options()).expect("the store opens");
    for number in 0..30 {
        put(&store, number).await.expect("a commit");
    }
    drop(store);
    let bytes = std::fs::read(&path).expect("the file");
    let mut refused = 0;
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let mut damaged = bytes.clone();
        let reach = if seed % 2 == 0 { 512 } else { damaged.len() as u64 };
        for _ in 0..=chance.below(8) {
            damaged[chance.below(reach) as usize] = chance.any() as u8;
        }
        if seed % 10 == 0 {
            damaged.truncate(chance.below(damaged.len() as u64) as usize);
        }
        std::fs::write(&path, damaged).expect("a file");
        match RedbStore::open(&path, options()) {
            Ok(store) => drop(store.snapshot().await),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("metadata.redb"), "{error}");
            }
        }
    }
    assert!(refused > 20, "damage is noticed");
}
