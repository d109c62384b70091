//! Erasing a key: invisible at once, then gone from every object, with a receipt that names them.

mod looks;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::Engine;
use siltstone_agent::produce::Placement;
use siltstone_log::{ErasureId, PartitionId};
use siltstone_metadata::erase::{self, EraseError};
use siltstone_objects::testing::Faults;
use siltstone_records::Compression;

use super::kit::{Setup, ids};
use looks::{ALICE, SECRET, Seen, batch, objects_in_receipt, read, secret_places, tombstone, uptos, write};

/// An erasure must be complete after so much virtual time.
const MOST_SECONDS: u64 = 180;

async fn ask(setup: &Setup, topic: &str, keys: &[&'static str]) -> ErasureId {
    let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
    let (id, _) = erase::ask(&setup.store, &setup.ambient, 3, topic, &keys).await.unwrap();
    id
}

async fn fresh(engine: &Engine, partitions: &[PartitionId]) {
    engine.followers().fresh(partitions.iter().copied()).await.unwrap();
}

async fn completed(setup: &Setup, id: ErasureId) -> bool {
    erase::row(setup.store.peek().as_ref(), id).await.unwrap().completed.is_some()
}

async fn work_until_completed(setup: &mut Setup, id: ErasureId) {
    for _ in 0..MOST_SECONDS {
        if completed(setup, id).await {
            return;
        }
        setup.work(1).await;
    }
    let row = erase::row(setup.store.peek().as_ref(), id).await.unwrap();
    panic!("not completed: {row:?}, {:?}", objects_in_receipt(setup, id).await);
}

/// Rounds of batches with all codecs, inline and in objects: every fourth record is Alice's.
async fn rounds(setup: &Setup, partitions: &[PartitionId], from: usize, to: usize) {
    for round in from..to {
        let placement = if round % 3 == 0 { Placement::Inline } else { Placement::Object };
        let codec = Compression::from_id((round % 5) as u8).unwrap();
        for partition in partitions {
            let keys: Vec<String> = (0..4)
                .map(|at| if at == round % 4 { ALICE.to_owned() } else { format!("key {at}") })
                .collect();
            let keys: Vec<Option<&str>> = keys.iter().map(|key| Some(key.as_str())).collect();
            write(setup, batch(*partition, round, &keys, codec), placement).await;
        }
    }
}

async fn all(engine: &Engine, partitions: &[PartitionId]) -> Vec<Vec<Seen>> {
    let mut all = Vec::new();
    for partition in partitions {
        all.push(read(engine, *partition, false).await);
    }
    all
}

fn without_alice(before: &[Vec<Seen>]) -> Vec<Vec<Seen>> {
    let keep = |seen: &&Seen| seen.key.as_deref() != Some(ALICE.as_bytes());
    before.iter().map(|seen| seen.iter().filter(keep).cloned().collect()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_is_invisible_at_once_and_gone_in_the_end() {
    let mut setup = Setup::new().await;
    let other = setup.agent(2).await;
    let (topic, bystander) = (setup.topic("t", 4, &[]).await, setup.topic("u", 2, &[]).await);
    let (topic, bystander) = (ids(&topic), ids(&bystander));
    let both = [&topic[..], &bystander[..]].concat();
    rounds(&setup, &both, 0, 24).await;
    // Some of it merged, some only flushed, some not even in rows.
    setup.work(20).await;
    rounds(&setup, &both, 24, 40).await;
    let before = all(&setup.engine, &topic).await;
    let beside = all(&setup.engine, &bystander).await;
    assert!(before.iter().all(|seen| seen.len() == 160));
    fresh(&other, &topic).await;
    assert_eq!(all(&other, &topic).await, before);

    let held = secret_places(&setup, &topic).await;
    assert!(held.iter().any(|(inline, _)| *inline) && held.iter().any(|(inline, _)| !*inline));
    let id = ask(&setup, "t", &[ALICE]).await;
    let expected = without_alice(&before);
    for engine in [&setup.engine, &other] {
        fresh(engine, &topic).await;
        assert_eq!(all(engine, &topic).await, expected, "invisible at once");
    }
    // What comes now is new, and stays.
    write(&setup, batch(topic[0], 99, &[Some(ALICE), Some("key 1")], Compression::Lz4), Placement::Object)
        .await;
    let later = read(&setup.engine, topic[0], false).await.split_off(expected[0].len());
    assert_eq!(looks::read_from(&setup.engine, topic[0], 160, false).await, later, "who reads on reads on");
    assert_eq!(later.len(), 2);

    work_until_completed(&mut setup, id).await;
    assert_eq!(secret_places(&setup, &topic).await, BTreeSet::new(), "gone from the bucket and the metadata");
    for engine in [&setup.engine, &other] {
        let mut now = all(engine, &topic).await;
        assert_eq!(now[0].split_off(expected[0].len()), later);
        assert_eq!(now, expected, "and of the others nothing has changed");
        assert_eq!(all(engine, &bystander).await, beside, "the same key of another topic is another key");
    }
    let named = objects_in_receipt(&setup, id).await;
    let more: Vec<_> = named.difference(&held).collect();
    assert!(named.is_superset(&held), "the receipt names all that held it");
    // What was flushed behind the request holds such keys too: nothing outside of the object says that these records are meant to stay.
    let of =
        |name: &str| name.rsplit_once('/').map(|(writer, number)| (writer.to_owned(), number.to_owned()));
    let newer = |(inline, name): &(bool, String)| {
        let (writer, number) = of(name).unwrap();
        let same = held.iter().filter_map(|(_, other)| of(other)).filter(|(by, _)| *by == writer);
        !inline && same.map(|(_, other)| other).max().is_some_and(|last| last < number)
    };
    assert!(
        more.len() <= 1 && more.iter().all(|place| newer(place)),
        "and else only what is newer: {more:?}"
    );
    let ends = uptos(&setup, id).await;
    assert_eq!(ends, [(0, 160, 40), (1, 160, 40), (2, 160, 40), (3, 160, 40)]);
    let row = erase::row(setup.store.peek().as_ref(), id).await.unwrap();
    assert!(row.keys.is_empty() && row.named == 1 && !row.topic_deleted && row.scanned.is_some());
    let (found, _) = looks::anywhere(&setup, ALICE.as_bytes()).await;
    assert!(found.is_empty(), "keys are never kept in the metadata: {found:?}");
}

/// The bytes were asked for before the request, and came behind it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_under_way_does_not_hold_it() {
    let setup = Setup::new().await;
    let partition = ids(&setup.topic("t", 1, &[]).await)[0];
    write(&setup, batch(partition, 0, &[Some(ALICE), Some("b")], Compression::None), Placement::Object).await;
    let other = setup.agent(2).await;
    fresh(&other, &[partition]).await;
    assert_eq!(looks::fetch_once(&other, partition, 0).await.len(), 2);
    let third = setup.agent(3).await;
    fresh(&third, &[partition]).await;
    let slow = Duration::from_secs(2)..Duration::from_secs(3);
    setup.bucket.set(Faults { delay: slow, ..Faults::default() });
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        ask(&setup, "t", &[ALICE]).await;
        fresh(&third, &[partition]).await;
    };
    let begun = tokio::time::Instant::now();
    let (seen, ()) = tokio::join!(looks::fetch_once(&third, partition, 0), late);
    assert!(begun.elapsed() >= Duration::from_secs(2), "the bytes came behind the request");
    assert_eq!(seen.iter().map(|seen| seen.offset).collect::<Vec<_>>(), [1], "it was read once more");
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_was_running_brings_nothing_back() {
    let mut setup = Setup::new().await;
    let partitions = ids(&setup.topic("t", 3, &[]).await);
    rounds(&setup, &partitions, 0, 30).await;
    // Until all is in rows, and a merge is due.
    tokio::time::sleep(Duration::from_secs(4)).await;
    setup.worker.pass().await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = setup.bucket.names().len();
    // Uploads are slow: the request comes while the merged segment is on its way.
    let slow = Duration::from_secs(2)..Duration::from_secs(3);
    setup.bucket.set(Faults { delay: slow, ..Faults::default() });
    let (store, ambient) = (setup.store.clone(), setup.ambient.clone());
    let late = async {
        let merging = || setup.bucket.total().puts;
        let puts = merging();
        while merging() == puts {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        erase::ask(&store, &ambient, 3, "t", &[Bytes::from_static(ALICE.as_bytes())]).await.unwrap().0
    };
    let (passed, id) = tokio::join!(setup.worker.pass(), late);
    passed.unwrap();
    setup.bucket.heal();
    assert_eq!(setup.bucket.names().len(), before, "what was merged without knowing of it is dropped");
    work_until_completed(&mut setup, id).await;
    assert_eq!(secret_places(&setup, &partitions).await, BTreeSet::new());
    let seen = all(&setup.engine, &partitions).await;
    assert!(seen.iter().all(|seen| seen.len() == 90), "nothing else is lost");
}

/// Workers die at all moments of their passes, uploads and commits half done.
#[tokio::test(start_paused = true)]
async fn another_worker_goes_on_where_one_has_died() {
    let mut setup = Setup::new().await;
    setup.compactor.settings.lease = Duration::from_secs(2);
    setup.new_worker().await;
    let partitions = ids(&setup.topic("t", 4, &[]).await);
    rounds(&setup, &partitions, 0, 24).await;
    setup.work(10).await;
    let before = without_alice(&all(&setup.engine, &partitions).await);
    let id = ask(&setup, "t", &[ALICE]).await;
    let slow = Duration::from_millis(20)..Duration::from_millis(60);
    setup.bucket.set(Faults { delay: slow, ..Faults::default() });
    for life in 1..40 {
        // Until its leases are those of nobody.
        tokio::time::sleep(Duration::from_secs(5)).await;
        for _ in 0..2 {
            let pass = setup.worker.pass();
            if tokio::time::timeout(Duration::from_millis(37 * life), pass).await.is_err() {
                break;
            }
        }
        setup.new_worker().await;
        fresh(&setup.engine, &partitions).await;
        assert_eq!(all(&setup.engine, &partitions).await, before);
    }
    setup.bucket.heal();
    work_until_completed(&mut setup, id).await;
    assert_eq!(secret_places(&setup, &partitions).await, BTreeSet::new());
    assert_eq!(all(&setup.engine, &partitions).await, before);
    assert_eq!(uptos(&setup, id).await.iter().map(|(_, _, gone)| gone).sum::<u64>(), 96, "each counted once");
}

#[tokio::test(start_paused = true)]
async fn transactions_and_records_without_keys_are_respected() {
    let mut setup = Setup::new().await;
    let partition = ids(&setup.topic("t", 1, &[]).await)[0];
    looks::transaction(&setup, "a", partition, &[Some(ALICE), Some("b"), None], true).await;
    looks::transaction(&setup, "b", partition, &[Some("c"), Some(ALICE)], false).await;
    looks::transaction(&setup, "a", partition, &[Some(ALICE), Some(ALICE)], true).await;
    let (before, committed) =
        (read(&setup.engine, partition, false).await, read(&setup.engine, partition, true).await);
    assert_eq!((before.len(), committed.len()), (7, 5));
    let id = ask(&setup, "t", &[ALICE]).await;
    fresh(&setup.engine, &[partition]).await;
    let look = async |setup: &Setup| {
        let wanted = without_alice(&[before.clone(), committed.clone()]);
        assert_eq!(read(&setup.engine, partition, false).await, wanted[0]);
        assert_eq!(read(&setup.engine, partition, true).await, wanted[1]);
    };
    look(&setup).await;
    work_until_completed(&mut setup, id).await;
    look(&setup).await;
    // A producer goes on as if nothing had been.
    looks::transaction(&setup, "a", partition, &[Some("d")], true).await;
    assert_eq!(read(&setup.engine, partition, true).await.len(), committed.len() - 3 + 1);
    assert_eq!(secret_places(&setup, &[partition]).await, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_compacted_topic_forgets_it_too() {
    let mut setup = Setup::new().await;
    let configs = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")];
    let partition = ids(&setup.topic("t", 1, &configs).await)[0];
    rounds(&setup, &[partition], 0, 20).await;
    setup.work(20).await;
    write(&setup, tombstone(partition, "key 0"), Placement::Object).await;
    rounds(&setup, &[partition], 20, 24).await;
    let id = ask(&setup, "t", &[ALICE, "never there"]).await;
    work_until_completed(&mut setup, id).await;
    assert_eq!(secret_places(&setup, &[partition]).await, BTreeSet::new());
    let seen = read(&setup.engine, partition, false).await;
    let keys: BTreeSet<_> = seen.iter().filter_map(|seen| seen.key.clone()).collect();
    assert!(!keys.contains(ALICE.as_bytes()) && keys.contains(&b"key 1"[..]), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_or_trimmed_meanwhile_is_forgotten_all_the_same() {
    for deleted in [true, false] {
        let mut setup = Setup::new().await;
        let (topic, other) = (setup.topic("t", 2, &[]).await, setup.topic("u", 2, &[]).await);
        let both = [ids(&topic), ids(&other)].concat();
        rounds(&setup, &both, 0, 20).await;
        setup.work(15).await;
        rounds(&setup, &both, 20, 30).await;
        let id = ask(&setup, "t", &[ALICE]).await;
        setup.work(1).await;
        if deleted {
            setup.engine.changes().delete("t", topic.id).await.unwrap();
        } else {
            let trims: Vec<_> = ids(&topic).into_iter().map(|partition| (partition, 120)).collect();
            siltstone_metadata::trim::trim(&setup.store, &setup.ambient, 3, &trims).await.unwrap();
        }
        work_until_completed(&mut setup, id).await;
        assert_eq!(secret_places(&setup, &ids(&topic)).await, BTreeSet::new(), "deleted: {deleted}");
        let row = erase::row(setup.store.peek().as_ref(), id).await.unwrap();
        assert_eq!(row.topic_deleted, deleted);
        assert!(all(&setup.engine, &ids(&other)).await.iter().all(|seen| seen.len() == 120));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_there_until_it_is_forgotten() {
    let mut setup = Setup::new().await;
    let partition = ids(&setup.topic("t", 1, &[]).await)[0];
    write(&setup, batch(partition, 0, &[Some(ALICE), Some("b")], Compression::None), Placement::Object).await;
    let id = ask(&setup, "t", &[ALICE]).await;
    assert_eq!(erase::forget(&setup.store, id).await, Err(EraseError::UnderWay(id)));
    work_until_completed(&mut setup, id).await;
    assert_eq!(objects_in_receipt(&setup, id).await.len(), 1);
    erase::forget(&setup.store, id).await.unwrap();
    assert_eq!(objects_in_receipt(&setup, id).await.len(), 0);
    assert!(looks::anywhere(&setup, SECRET.as_bytes()).await.0.is_empty());
    // With it gone, the same key may be asked for again, and nothing is found.
    let again = ask(&setup, "t", &[ALICE]).await;
    work_until_completed(&mut setup, again).await;
    assert_eq!(objects_in_receipt(&setup, again).await.len(), 0);
}
