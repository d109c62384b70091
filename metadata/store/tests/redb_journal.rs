//! The embedded store's journal: what a crash leaves of it is used exactly if it is whole and belongs to the database.

mod disk;

use std::sync::Arc;

use disk::{Crash, SimDisk};
use siltstone_store::memory::Chance;
use siltstone_store::redb::{OpenError, Options, RedbStore};
use siltstone_store::{Commit, KeyRange, Store, read_all};

const BLOCK: usize = 4096;

fn open(disk: &SimDisk) -> Result<RedbStore, OpenError> {
    let options = Options { cache_bytes: 256 << 10, journal_bytes: 256 << 10, ..Options::default() };
    RedbStore::open_on(Arc::new(disk.clone()), options)
}

/// All keys and values.
async fn all(store: &RedbStore) -> Vec<(String, Vec<u8>)> {
    let snapshot = store.snapshot().await.expect("a snapshot");
    let entries = read_all(&*snapshot, &KeyRange { begin: "".into(), end: "~".into() }, 1 << 20)
        .await
        .expect("the entries");
    entries.into_iter().map(|(key, value)| (String::from_utf8_lossy(&key).into(), value.to_vec())).collect()
}

/// A disk after the power failed, when `commits` of a kilobyte were in it, and what they made.
async fn crashed(commits: u8) -> (SimDisk, Vec<(String, Vec<u8>)>) {
    let disk = SimDisk::new(0);
    let store = open(&disk).expect("the store opens");
    for number in 0..commits {
        store
            .commit(Commit::blind().set(format!("k{number:02}"), vec![number; 1000]))
            .await
            .expect("a commit");
    }
    let found = all(&store).await;
    assert_eq!(found.len(), usize::from(commits));
    (disk.after(Crash::Discard, &mut Chance::new(0)), found)
}

#[tokio::test]
async fn every_kind_of_write_comes_back_from_the_journal() {
    let disk = SimDisk::new(0);
    let store = open(&disk).expect("the store opens");
    let first = Commit::blind().set("a", "1").set("b", "2").set("c/1", "3").set("c/2", "4").add("n", 5);
    store.commit(first).await.expect("the first, which begins the journal");
    let writes = Commit::blind()
        .clear("a")
        .set("b", "")
        .clear_range(KeyRange::prefix("c/"))
        .add("n", u64::MAX)
        .add("m", 2);
    let told = store.commit(writes).await.expect("a commit").version;
    let expected = all(&store).await;
    assert_eq!(expected.len(), 3);
    let store = open(&disk.after(Crash::Discard, &mut Chance::new(0))).expect("the store opens");
    assert_eq!(all(&store).await, expected);
    assert_eq!(store.snapshot().await.expect("a snapshot").version(), told);
}

#[tokio::test]
async fn after_a_crash_the_journal_goes_on_where_it_was() {
    let (mut disk, mut expected) = crashed(5).await;
    for number in 5..40_u8 {
        let store = open(&disk).expect("the store opens");
        assert_eq!(all(&store).await, expected);
        store
            .commit(Commit::blind().set(format!("k{number:02}"), vec![number; 9000]))
            .await
            .expect("a commit");
        expected = all(&store).await;
        disk = disk.after(Crash::Discard, &mut Chance::new(0));
    }
    assert_eq!(all(&open(&disk).expect("the store opens")).await, expected);
}

#[tokio::test]
async fn a_database_is_not_opened_without_the_journal_that_has_the_rest_of_it() {
    let (disk, expected) = crashed(5).await;
    let alone = disk.with_journal(Vec::clear);
    let error = open(&alone).expect_err("it lacks what was told");
    assert!(matches!(&error, OpenError::Corrupt { why, .. } if why.contains("journal")), "{error}");
    assert_eq!(all(&open(&disk).expect("with its journal")).await, expected);
}

/// A process ends between the writing of a record and its sync: the next one finds it, and then the power fails.
#[tokio::test]
async fn what_a_restart_has_shown_stays() {
    let (disk, before) = crashed(5).await;
    let store = open(&disk).expect("the store opens");
    disk.crash_after(1);
    store.commit(Commit::blind().set("unsynced", "1")).await.expect_err("it did not get to the sync");
    drop(store);
    disk.go_on();
    let store = open(&disk).expect("the store opens");
    let shown = all(&store).await;
    assert_eq!(shown.len(), before.len() + 1, "the record was written");
    let after = open(&disk.after(Crash::Discard, &mut Chance::new(0))).expect("the store opens");
    assert_eq!(all(&after).await, shown);
}

/// The disk after a crash some time later, when another generation has begun and has a record.
async fn a_generation_later(disk: &SimDisk) -> SimDisk {
    let disk = disk.after(Crash::Discard, &mut Chance::new(0));
    let store = open(&disk).expect("the store opens");
    for key in 0..4 {
        // Two of them fit into the journal, beside what is there.
        store.commit(Commit::blind().set(format!("large/{key}"), vec![0; 90_000])).await.expect("a commit");
    }
    disk.after(Crash::Discard, &mut Chance::new(0))
}

/// What was copied after a clean end is complete, so that it may come back beside a journal that has gone on since.
#[tokio::test]
async fn a_database_that_was_restored_goes_on_with_the_journal_that_is_there() {
    let (disk, mut expected) = crashed(5).await;
    let later = a_generation_later(&disk).await;
    drop(open(&disk).expect("the store opens"));
    let mut restored = disk.with_journal(|bytes| *bytes = later.journal());
    for key in ["new/1", "new/2"] {
        let store = open(&restored).expect("the store opens");
        assert_eq!(all(&store).await, expected);
        store.commit(Commit::blind().set(key, "1")).await.expect("a commit");
        expected = all(&store).await;
        restored = restored.after(Crash::Discard, &mut Chance::new(0));
    }
    assert_eq!(all(&open(&restored).expect("the store opens")).await, expected);
}

/// One that was copied earlier or later than the database, as by a backup of the one without the other.
#[tokio::test]
async fn a_database_is_not_opened_with_a_journal_of_another_time() {
    let (disk, _) = crashed(5).await;
    let later = a_generation_later(&disk).await;
    for (database, other) in [(&disk, &later), (&later, &disk)] {
        let mixed = database.with_journal(|bytes| *bytes = other.journal());
        let error = open(&mixed).expect_err("they don't belong together");
        assert!(error.to_string().contains("the two belong together"), "{error}");
        open(database).expect("with its own");
    }
}

#[tokio::test]
async fn after_a_clean_end_the_database_needs_no_journal() {
    let (disk, expected) = crashed(5).await;
    drop(open(&disk).expect("the store opens"));
    let alone = disk.with_journal(Vec::clear);
    assert_eq!(all(&open(&alone).expect("the store opens")).await, expected);
    // Nor does what is left in it do anything.
    assert_eq!(all(&open(&disk).expect("the store opens")).await, expected);
}

/// Each byte of the last record is damaged once, as if it had been torn: then it is as if that had never been written.
#[tokio::test]
async fn a_torn_last_record_is_left_out_and_written_over() {
    let (disk, mut expected) = crashed(4).await;
    expected.pop();
    // The first commit began the journal; the last of the other three is in the third block behind those that name generations.
    for at in (4 * BLOCK..4 * BLOCK + 1040).step_by(13) {
        let torn = disk.with_journal(|bytes| bytes[at] ^= 0x10);
        let store = open(&torn).expect("the store opens");
        assert_eq!(all(&store).await, expected, "byte {at}");
        store.commit(Commit::blind().set("new", "1")).await.expect("a commit");
        let again = open(&torn.after(Crash::Discard, &mut Chance::new(0))).expect("the store opens");
        assert_eq!(all(&again).await.len(), expected.len() + 1, "byte {at}");
    }
}

#[tokio::test]
async fn damage_before_the_last_record_is_told() {
    let (disk, _) = crashed(4).await;
    for at in (0..1040).step_by(13) {
        let damaged = disk.with_journal(|bytes| bytes[3 * BLOCK + at] ^= 0x10);
        let error = open(&damaged).expect_err("what was told is lost");
        assert!(error.to_string().contains("its journal is damaged at byte 12288"), "{error}");
    }
}

/// What other generations left behind has no effect, although it is whole.
#[tokio::test]
async fn what_is_left_of_other_generations_does_not_count() {
    let (disk, expected) = crashed(8).await;
    // The journal is used from its beginning again, with one short record, behind which the old ones are.
    drop(open(&disk).expect("the store opens"));
    let store = open(&disk).expect("the store opens");
    for _ in 0..2 {
        store.commit(Commit::blind().set("new", "1")).await.expect("a commit");
    }
    let after = open(&disk.after(Crash::Discard, &mut Chance::new(0))).expect("the store opens");
    assert_eq!(all(&after).await.len(), expected.len() + 1);
}

#[tokio::test]
async fn a_group_that_is_larger_than_the_journal_is_written_all_the_same() {
    let (disk, _) = crashed(3).await;
    let store = open(&disk).expect("the store opens");
    let large =
        (0..6).fold(Commit::blind(), |commit, part| commit.set(format!("large/{part}"), vec![part; 90_000]));
    store.commit(large).await.expect("a commit");
    store.commit(Commit::blind().set("small", "1")).await.expect("a commit");
    let expected = all(&store).await;
    let store = open(&disk.after(Crash::Discard, &mut Chance::new(0))).expect("the store opens");
    assert_eq!(all(&store).await, expected);
    assert_eq!(expected.len(), 3 + 6 + 1);
}
