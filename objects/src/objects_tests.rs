//! Objects over memory, a real directory, and a store with faults.

use std::time::Duration;

use object_store::memory::InMemory;

use super::*;
use crate::open::Environment;
use crate::testing::{Faults, FaultyStore};

const NAME: &str = "seg/ab/0001";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn chunks() -> Vec<Bytes> {
    vec![Bytes::from_static(b"stone "), Bytes::new(), Bytes::from_static(b"by stone")]
}

fn faulty(seed: u64, requests: Requests) -> (Arc<FaultyStore>, Objects) {
    let store = Arc::new(FaultyStore::new(seed));
    let options = Options { requests, ..Options::default() };
    let objects = Objects::from_store(Arc::<FaultyStore>::clone(&store), "", &options, seed);
    (store, objects)
}

/// What every backend must do.
async fn contract(objects: &Objects) {
    objects.check(soon()).await.unwrap();
    objects.put(NAME, chunks(), soon()).await.unwrap();
    let get = |range| objects.get(NAME, range, soon());
    assert_eq!(get(0..14).await.unwrap(), "stone by stone");
    assert_eq!(get(6..8).await.unwrap(), "by");
    assert!(get(3..3).await.unwrap().is_empty());
    for beyond in [0..15, 14..15, 20..30] {
        let error = get(beyond.clone()).await.expect_err("beyond the end");
        assert!(matches!(error, ReadError::Corrupt { .. }), "{beyond:?}: {error}");
    }
    let missing = objects.get("seg/ab/none", 0..1, soon()).await.expect_err("missing");
    assert!(matches!(&missing, ReadError::NotFound { name, .. } if name == "seg/ab/none"), "{missing}");
    objects.put(NAME, vec![Bytes::from_static(b"again")], soon()).await.unwrap();
    assert_eq!(get(0..5).await.unwrap(), "again");
    objects.put("seg/ab/0000", vec![], soon()).await.unwrap();
    objects.put("seg/abc/1", chunks(), soon()).await.unwrap();
    let info = objects.head(NAME, soon()).await.unwrap();
    assert_eq!((info.name.as_str(), info.size), (NAME, 5));
    assert_eq!(names(objects, "seg/ab").await, ["seg/ab/0000", NAME]);
    assert_eq!(names(objects, "").await, ["seg/ab/0000", NAME, "seg/abc/1"]);
    assert!(names(objects, "no/such").await.is_empty());
    let doomed = vec![NAME.to_owned(), "seg/ab/none".to_owned(), "seg/ab/0000".to_owned()];
    objects.delete(doomed, soon()).await.unwrap();
    assert_eq!(names(objects, "").await, ["seg/abc/1"]);
    let gone = objects.head(NAME, soon()).await.expect_err("deleted");
    assert!(matches!(gone, ReadError::NotFound { .. }), "{gone}");
}

async fn names(objects: &Objects, prefix: &str) -> Vec<String> {
    let pages: Vec<_> = objects.list(prefix, soon()).try_collect().await.unwrap();
    let mut names: Vec<String> = pages.into_iter().flatten().map(|info| info.name).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let objects = Objects::open("memory://", &Options::default(), &Environment::default(), 1).unwrap();
    contract(&objects).await;
}

#[tokio::test]
async fn a_prefix_keeps_the_contract_and_others_out() {
    let store = Arc::new(InMemory::new());
    let one = Objects::from_store(store.clone(), "a/b", &Options::default(), 1);
    let other = Objects::from_store(store, "a/bc", &Options::default(), 1);
    other.put("seg/x", chunks(), soon()).await.unwrap();
    contract(&one).await;
    assert_eq!(names(&other, "").await, ["seg/x"]);
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/made/here", dir.path().display());
    let objects = Objects::open(&url, &Options::default(), &Environment::default(), 1).unwrap();
    contract(&objects).await;
    for bad in ["../x", "/x", "a//b", "a/./b", ".siltstone-tmp/x", "", "a\0b"] {
        let error = objects.put(bad, chunks(), soon()).await.expect_err(bad);
        assert!(matches!(error, PutError::Refused { may_exist: false, .. }), "{bad:?}: {error}");
    }
}

#[tokio::test]
async fn a_directory_is_listed_in_pages_and_cleaned_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let open = || Objects::open(&url, &Options::default(), &Environment::default(), 1).unwrap();
    let objects = open();
    for n in 0..2100 {
        std::fs::create_dir_all(dir.path().join(format!("p/{}", n % 3))).unwrap();
        std::fs::write(dir.path().join(format!("p/{}/{n:04}", n % 3)), b"x").unwrap();
    }
    let pages: Vec<_> = objects.list("p", soon()).try_collect().await.unwrap();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 100]);
    let leftover = dir.path().join(".siltstone-tmp/dead");
    std::fs::write(&leftover, b"half").unwrap();
    let held = std::fs::File::create(dir.path().join(".siltstone-tmp/held")).unwrap();
    held.lock().unwrap();
    open();
    assert!(!leftover.exists());
    assert!(dir.path().join(".siltstone-tmp/held").exists());
}

#[tokio::test]
async fn puts_at_once_into_one_directory_all_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let objects = Objects::open(&url, &Options::default(), &Environment::default(), 1).unwrap();
    let content = |n: u32| vec![Bytes::from(n.to_string()); 2000];
    let puts = stream::iter(0..40).map(|n| {
        let objects = objects.clone();
        async move { objects.put(&format!("deep/er/{}/{n}", n % 4), content(n), soon()).await }
    });
    puts.buffer_unordered(20).try_collect::<()>().await.unwrap();
    for n in 0..40 {
        let want = content(n).concat();
        let got = objects.get(&format!("deep/er/{}/{n}", n % 4), 0..want.len() as u64, soon()).await;
        assert_eq!(got.unwrap(), want);
    }
    let left = std::fs::read_dir(dir.path().join(".siltstone-tmp")).unwrap().count();
    assert_eq!(left, 0, "temporary files were left behind");
}

#[tokio::test(start_paused = true)]
async fn a_put_goes_through_a_time_of_failures() {
    let (store, objects) = faulty(7, Requests { hedge_put: None, ..Requests::default() });
    store.set(Faults { fail_before: 0.5, fail_after: 0.4, ..Faults::default() });
    for n in 0..50 {
        objects.put(&format!("x/{n}"), chunks(), soon()).await.unwrap();
    }
    let total = store.total();
    assert!(total.puts > 100, "{total:?}");
    assert_eq!(store.names().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_ends_at_its_deadline_says_that_it_may_exist() {
    let (store, objects) = faulty(7, Requests::default());
    store.set(Faults { hang: 1.0, ..Faults::default() });
    let error = objects.put(NAME, chunks(), soon()).await.expect_err("nothing answers");
    assert!(matches!(error, PutError::Unknown { .. }) && error.may_exist(), "{error}");
    store.heal();
    objects.put(NAME, chunks(), soon()).await.unwrap();
    assert_eq!(store.content(NAME).unwrap(), "stone by stone");
}

/// No answer would come before the deadline from a first request, nor from a retry after its time-out.
fn only_a_hedge_helps() -> Requests {
    Requests { timeout: Duration::from_secs(3600), ..Requests::default() }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_put_is_hedged() {
    let (store, objects) = faulty(1, only_a_hedge_helps());
    store.set(Faults { hang: 1.0, ..Faults::default() });
    let put = tokio::spawn({
        let objects = objects.clone();
        async move { objects.put(NAME, chunks(), soon()).await }
    });
    while store.counts(NAME).puts == 0 {
        tokio::task::yield_now().await;
    }
    store.heal();
    put.await.unwrap().unwrap();
    assert_eq!(store.counts(NAME).puts, 2);
    assert_eq!(store.content(NAME).unwrap(), "stone by stone");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_get_is_hedged_once() {
    let (store, objects) = faulty(1, only_a_hedge_helps());
    objects.put(NAME, chunks(), soon()).await.unwrap();
    store.set(Faults { hang: 1.0, ..Faults::default() });
    let get = tokio::spawn({
        let objects = objects.clone();
        async move { objects.get(NAME, 0..5, soon()).await }
    });
    while store.counts(NAME).gets == 0 {
        tokio::task::yield_now().await;
    }
    store.heal();
    assert_eq!(get.await.unwrap().unwrap(), "stone");
    assert_eq!(store.counts(NAME).gets, 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_free_place_nothing_is_hedged() {
    let (store, objects) = faulty(1, Requests { max_puts: 1, ..only_a_hedge_helps() });
    store.set(Faults { hang: 1.0, ..Faults::default() });
    objects.put(NAME, chunks(), soon()).await.expect_err("nothing answers");
    assert_eq!(store.counts(NAME).puts, 1);
}

#[tokio::test(start_paused = true)]
async fn truncated_answers_are_asked_for_again_and_then_corrupt() {
    let (store, objects) = faulty(3, Requests::default());
    objects.put(NAME, chunks(), soon()).await.unwrap();
    store.set(Faults { truncate: 1.0, ..Faults::default() });
    let error = objects.get(NAME, 0..14, soon()).await.expect_err("always too short");
    assert!(matches!(&error, ReadError::Corrupt { name, .. } if name == NAME), "{error}");
    assert_eq!(store.counts(NAME).gets, 3);
    store.set(Faults { missing: 1.0, ..Faults::default() });
    let error = objects.get(NAME, 0..14, soon()).await.expect_err("missing");
    assert!(matches!(error, ReadError::NotFound { .. }), "{error}");
    assert_eq!(store.counts(NAME).gets, 4, "what is missing is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded() {
    let (store, objects) = faulty(5, Requests { max_puts: 3, hedge_put: None, ..Requests::default() });
    store.set(Faults { hang: 1.0, ..Faults::default() });
    let puts: Vec<_> = (0..10)
        .map(|n| {
            let objects = objects.clone();
            tokio::spawn(async move { objects.put(&format!("x/{n}"), chunks(), soon()).await })
        })
        .collect();
    // Hanging attempts end at their time-out of 30 s: until then only three can have begun.
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(store.total().puts, 3);
    store.heal();
    for put in puts {
        put.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_and_listing_go_through_failures() {
    let (store, objects) = faulty(11, Requests::default());
    let all: Vec<String> = (0..30).map(|n| format!("x/{n:02}")).collect();
    for name in &all {
        objects.put(name, chunks(), soon()).await.unwrap();
    }
    store.set(Faults { fail_before: 0.4, fail_after: 0.1, ..Faults::default() });
    assert_eq!(names(&objects, "x").await, all);
    objects.delete(all, soon()).await.unwrap();
    assert!(store.names().is_empty());
    store.set(Faults { fail_before: 1.0, ..Faults::default() });
    let error = objects.delete(vec!["x/1".into()], soon()).await.expect_err("nothing works");
    assert_eq!((error.left, error.refused), (vec!["x/1".to_owned()], false));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_requests() {
    let run = |seed| async move {
        let (store, objects) = faulty(seed, Requests::default());
        let delay = Duration::from_millis(1)..Duration::from_millis(900);
        store.set(Faults { delay, fail_before: 0.2, fail_after: 0.2, hang: 0.1, ..Faults::default() });
        let begun = Instant::now();
        for n in 0..40 {
            _ = objects.put(&format!("x/{}", n % 5), chunks(), begun + Duration::from_secs(10 * n)).await;
        }
        (store.total(), begun.elapsed())
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn the_check_says_what_to_do() {
    let (store, objects) = faulty(1, Requests::default());
    store.set(Faults { fail_before: 1.0, ..Faults::default() });
    let error = objects.check(soon()).await.expect_err("nothing works");
    assert_eq!(error.step, "writing");
    assert!(error.to_string().contains("Look at"), "{error}");
    store.set(Faults { missing: 1.0, ..Faults::default() });
    store.heal();
    objects.check(soon()).await.unwrap();
    assert!(store.names().is_empty());
}
