//! Stores that ask for less, refuse for a while, or show an object late.

use std::time::Duration;

use super::*;
use crate::testing::{Faults, FaultyStore};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn chunks() -> Vec<Bytes> {
    vec![Bytes::from_static(b"stone by stone")]
}

fn faulty(requests: Requests) -> (Arc<FaultyStore>, Objects) {
    let store = Arc::new(FaultyStore::new(5));
    let options = Options { requests, ..Options::default() };
    let objects = Objects::from_store(Arc::<FaultyStore>::clone(&store), "", &options, 5);
    (store, objects)
}

/// Puts `count` objects below `part` at once, and waits for all.
async fn put_many(objects: &Objects, part: &str, count: usize) -> usize {
    let puts = (0..count).map(|n| {
        let (objects, name) = (objects.clone(), format!("{part}/r/{n}"));
        tokio::spawn(async move { objects.put(&name, chunks(), soon()).await })
    });
    let puts: Vec<_> = puts.collect();
    let ended = futures::future::join_all(puts).await;
    ended.into_iter().filter(|put| matches!(put, Ok(Ok(())))).count()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_asks_for_less_gets_less_and_everything_in_the_end() {
    let (store, objects) = faulty(Requests::default());
    store.set(Faults { busy: 0.3, ..Faults::default() });
    assert_eq!(put_many(&objects, "seg/00", 200).await, 200);
    let puts = store.total().puts;
    assert!((250..400).contains(&puts), "{puts} requests for 200 objects, of which 30 % are turned away");
}

#[tokio::test(start_paused = true)]
async fn one_part_that_is_throttled_holds_up_no_other() {
    let (store, objects) = faulty(Requests { max_puts: 8, ..Requests::default() });
    store.set(Faults { busy: 1.0, busy_part: "seg/00".into(), ..Faults::default() });
    let slow = tokio::spawn({
        let objects = objects.clone();
        async move { put_many(&objects, "seg/00", 50).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let turned_away = store.total().puts;
    let begun = Instant::now();
    assert_eq!(put_many(&objects, "seg/01", 100).await, 100);
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing waited: virtual time did not pass");
    assert!(objects.inner().put.gates.narrow("seg/00") && !objects.inner().put.gates.narrow("seg/01"));
    // Fifty with pauses of their own would have been some 400 by then.
    assert!(turned_away < 20, "{turned_away} requests in 5 s");
    store.heal();
    assert_eq!(slow.await.unwrap(), 50);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_while_a_store_asks_for_less() {
    let (store, objects) = faulty(Requests { timeout: Duration::from_secs(3600), ..Requests::default() });
    store.set(Faults { busy: 1.0, ..Faults::default() });
    let shortly = Instant::now() + Duration::from_millis(10);
    objects.put("seg/00/a", chunks(), shortly).await.expect_err("it is busy");
    let before = store.total().puts;
    store.set(Faults { hang: 1.0, ..Faults::default() });
    objects.put("seg/00/b", chunks(), Instant::now() + Duration::from_secs(30)).await.expect_err("it hangs");
    assert_eq!(store.total().puts, before + 1);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_what_failed_since_the_last_success() {
    let (store, objects) = faulty(Requests::default());
    assert_eq!(objects.trouble(), None);
    objects.put("a", chunks(), soon()).await.unwrap();
    store.set(Faults { fail_before: 1.0, ..Faults::default() });
    let begun = Instant::now();
    let shortly = begun + Duration::from_secs(9);
    objects.put("a", chunks(), shortly).await.expect_err("it fails");
    let trouble = objects.trouble().unwrap();
    assert_eq!((trouble.since, trouble.refused), (begun, false));
    assert!(trouble.latest > begun && trouble.reason.contains("injected"), "{trouble:?}");
    store.set(Faults { refuse: Some("AccessDenied"), ..Faults::default() });
    let refused = objects.put("a", chunks(), soon()).await.expect_err("it is refused");
    assert!(matches!(refused, PutError::Refused { may_exist: false, .. }), "{refused}");
    let trouble = objects.trouble().unwrap();
    assert_eq!((trouble.since, trouble.refused), (begun, true));
    store.heal();
    // That other requests are answered says nothing about PUTs, nor do they about those.
    objects.head("a", soon()).await.unwrap();
    assert!(objects.trouble().is_some());
    objects.put("a", chunks(), soon()).await.unwrap();
    assert_eq!(objects.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_gone_loses_no_object() {
    let (store, objects) = faulty(Requests::default());
    objects.put("seg/00/a", chunks(), soon()).await.unwrap();
    store.set(Faults { refuse: Some("NoSuchBucket"), ..Faults::default() });
    let read = objects.get("seg/00/a", 0..5, soon()).await.expect_err("no bucket");
    assert!(matches!(read, ReadError::Refused { .. }), "{read}");
    let seen = objects.head("seg/00/a", soon()).await.expect_err("no bucket");
    assert!(matches!(seen, ReadError::Refused { .. }), "{seen}");
    let deleted = objects.delete(vec!["seg/00/a".into()], soon()).await.expect_err("no bucket");
    assert_eq!((deleted.left, deleted.refused), (vec!["seg/00/a".to_owned()], true));
    let listed = objects.list("", soon()).try_next().await.expect_err("no bucket");
    assert!(matches!(listed, StoreError::Refused { .. }), "{listed}");
    let put = objects.put("seg/00/b", chunks(), soon()).await.expect_err("no bucket");
    assert!(matches!(put, PutError::Refused { .. }), "{put}");
    store.heal();
    assert_eq!(objects.get("seg/00/a", 0..5, soon()).await.unwrap(), "stone");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_shows_late_is_missing_until_then() {
    let (store, objects) = faulty(Requests::default());
    store.set(Faults { late: Duration::from_secs(2), ..Faults::default() });
    objects.put("a", chunks(), soon()).await.unwrap();
    let missing = objects.get("a", 0..5, soon()).await.expect_err("not yet");
    assert!(matches!(missing, ReadError::NotFound { .. }), "{missing}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(objects.get("a", 0..5, soon()).await.unwrap(), "stone");
}
