//! The cache over a source that counts what it is asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use siltstone_log::{RegistrationId, SegmentPlace};
use tokio::sync::Semaphore;

use super::*;

const PAGE: u64 = 1000;

/// A source that answers once it is let, and counts.
struct Source {
    gate: Semaphore,
    fetches: Mutex<BTreeMap<(u64, u64), u64>>,
    fail: Mutex<bool>,
}

impl Source {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self { gate: Semaphore::new(open), fetches: Mutex::default(), fail: Mutex::default() })
    }

    fn fetches(&self) -> u64 {
        self.fetches.lock().unwrap().values().sum()
    }
}

#[async_trait]
impl SegmentSource for Source {
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        let segment = segment.id;
        *self.fetches.lock().unwrap().entry((segment.number, range.start)).or_default() += 1;
        self.gate.acquire().await.unwrap().forget();
        if *self.fail.lock().unwrap() {
            return Err(ReadError::Unavailable { name: segment.to_string(), reason: "told to fail".into() });
        }
        Ok(range.map(|at| byte(segment, at)).collect())
    }
}

fn byte(segment: SegmentId, at: u64) -> u8 {
    (at * 31 + at / 256 + segment.number) as u8
}

fn segment(number: u64) -> SegmentId {
    SegmentId { registration: RegistrationId(9), number }
}

fn place(number: u64, length: u64) -> SegmentPlace {
    SegmentPlace { id: segment(number), inline: false, length }
}

fn expect(segment: SegmentId, range: Range<u64>) -> Vec<u8> {
    range.map(|at| byte(segment, at)).collect()
}

const OPEN: usize = 1 << 20;

#[tokio::test]
async fn ranges_come_from_pages() {
    let source = Source::new(OPEN);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    for range in [0..1, 0..1000, 999..1001, 500..3500, 3400..3450, 3450..3450] {
        let rope = cache.read(place(1, 3450), range.start.min(3450)..range.end.min(3450)).await.unwrap();
        assert_eq!(rope.to_bytes(), expect(segment(1), range.start.min(3450)..range.end.min(3450)));
    }
    assert_eq!(source.fetches(), 4);
    let error = cache.read(place(1, 3450), 0..3451).await.expect_err("beyond the end");
    assert!(matches!(error, ReadError::Corrupt { .. }));
}

#[tokio::test]
async fn many_readers_make_one_fetch() {
    let source = Source::new(0);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let read = |cache: PageCache| tokio::spawn(async move { cache.read(place(1, 900), 0..900).await });
    let readers: Vec<_> = (0..50).map(|_| read(cache.clone())).collect();
    while source.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    // The first reader, for whom the fetch was begun, goes away; so do others.
    readers[..25].iter().for_each(|reader| reader.abort());
    tokio::task::yield_now().await;
    source.gate.add_permits(1);
    for reader in readers.into_iter().skip(25) {
        assert_eq!(reader.await.unwrap().unwrap().to_bytes(), expect(segment(1), 0..900));
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn failures_are_shared_and_not_kept() {
    let source = Source::new(0);
    *source.fail.lock().unwrap() = true;
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let read = |cache: PageCache| tokio::spawn(async move { cache.read(place(1, 900), 0..900).await });
    let readers: Vec<_> = (0..5).map(|_| read(cache.clone())).collect();
    tokio::task::yield_now().await;
    source.gate.add_permits(1);
    for reader in readers {
        assert!(matches!(reader.await.unwrap(), Err(ReadError::Unavailable { .. })));
    }
    assert_eq!(source.fetches(), 1);
    assert_eq!(cache.bytes(), 0, "a failed fetch gives its room back");
    *source.fail.lock().unwrap() = false;
    source.gate.add_permits(1);
    cache.read(place(1, 900), 0..900).await.unwrap();
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn readers_that_have_gone_are_not_fetched_for() {
    let source = Source::new(0);
    // Room for one fetch at a time.
    let cache = PageCache::new(1024, PAGE, source.clone());
    let read = |cache: PageCache, n| tokio::spawn(async move { cache.read(place(n, PAGE), 0..PAGE).await });
    let first = read(cache.clone(), 1);
    while source.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    let second = read(cache.clone(), 2);
    let third = read(cache.clone(), 3);
    tokio::task::yield_now().await;
    second.abort();
    source.gate.add_permits(2);
    first.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    let fetched: Vec<u64> = source.fetches.lock().unwrap().keys().map(|(number, _)| *number).collect();
    assert_eq!(fetched, [1, 3]);
}

#[tokio::test]
async fn written_segments_are_pages_without_copying() {
    let source = Source::new(0);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let chunks: Vec<Bytes> =
        (0..7).map(|n| Bytes::from(expect(segment(1), n * 450..(n + 1) * 450))).collect();
    cache.insert_written(segment(1), &chunks);
    let rope = cache.read(place(1, 3150), 0..3150).await.unwrap();
    assert_eq!(rope.to_bytes(), expect(segment(1), 0..3150));
    assert_eq!(rope.pieces()[0].as_ptr(), chunks[0].as_ptr());
    assert_eq!(
        cache.read(place(1, 3150), 990..1010).await.unwrap().to_bytes(),
        expect(segment(1), 990..1010)
    );
    assert_eq!(source.fetches(), 0);
    cache.invalidate(segment(1));
    assert_eq!(cache.bytes(), 0);
}

#[tokio::test]
async fn bytes_stay_within_the_limit_whatever_happens() {
    let source = Source::new(OPEN);
    let limit = 10_000;
    let cache = PageCache::new(limit, PAGE, source.clone());
    let tasks: Vec<_> = (0..8u64)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for step in 0..200 {
                    let chance = siltstone_log::mix64(task << 32 | step);
                    let (number, at) = (chance % 5, (chance >> 8) % 7000);
                    match chance >> 60 {
                        0 => {
                            cache.insert_written(segment(number), &[expect(segment(number), 0..8000).into()])
                        }
                        1 => cache.invalidate(segment(number)),
                        2 => _ = cache.prefetch(place(number, 8000), at..8000),
                        _ => {
                            let rope = cache.read(place(number, 8000), at..at + 1000).await.unwrap();
                            assert_eq!(rope.to_bytes(), expect(segment(number), at..at + 1000));
                        }
                    }
                    assert!(cache.bytes() <= limit);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_page_larger_than_the_cache_passes_through() {
    let source = Source::new(OPEN);
    let cache = PageCache::new(300, PAGE, source.clone());
    for _ in 0..2 {
        let rope = cache.read(place(1, 5000), 100..4100).await.unwrap();
        assert_eq!(rope.to_bytes(), expect(segment(1), 100..4100));
    }
    assert_eq!((source.fetches(), cache.bytes()), (10, 0));
}

#[tokio::test]
async fn half_of_the_cache_is_read_ahead_where_little_is_read_twice() {
    let source = Source::new(0);
    let cache = PageCache::new(30_000, PAGE, source.clone()).mostly_read_once();
    assert!(!cache.prefetch(place(1, 50_000), 0..50_000));
    tokio::task::yield_now().await;
    assert_eq!(source.fetches(), 15);
}

#[tokio::test]
async fn read_ahead_is_bounded_and_used() {
    let source = Source::new(0);
    let cache = PageCache::new(30_000, PAGE, source.clone());
    assert!(!cache.prefetch(place(1, 50_000), 0..50_000));
    tokio::task::yield_now().await;
    assert_eq!(source.fetches(), 10, "a third of the cache, the rest is dropped");
    source.gate.add_permits(10);
    let rope = cache.read(place(1, 50_000), 0..4000).await.unwrap();
    assert_eq!(rope.to_bytes(), expect(segment(1), 0..4000));
    tokio::time::timeout(Duration::from_secs(10), settled(&cache)).await.unwrap();
    assert_eq!(source.fetches(), 10, "readers used what was read ahead");
    // What nobody reads fills a third of the cache, and then no more is read ahead: six pages of the first are unread.
    source.gate.add_permits(OPEN);
    for _ in 0..20 {
        cache.prefetch(place(2, 50_000), 0..50_000);
        tokio::time::timeout(Duration::from_secs(10), settled(&cache)).await.unwrap();
    }
    assert!((11..=14).contains(&source.fetches()), "{}", source.fetches());
    assert!(cache.prefetch(place(2, 50_000), 0..1), "it is there");
}

#[tokio::test]
async fn reads_that_were_begun_run_together() {
    let source = Source::new(0);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let readings: Vec<Reading> = (1..=3).map(|number| cache.begin(place(number, PAGE), 10..900)).collect();
    while source.fetches() < 3 {
        tokio::task::yield_now().await;
    }
    source.gate.add_permits(3);
    for (number, reading) in (1..).zip(readings) {
        assert_eq!(reading.done().await.unwrap().to_bytes(), expect(segment(number), 10..900));
    }
    assert_eq!(source.fetches(), 3);
}

/// Waits until no read-ahead is under way.
async fn settled(cache: &PageCache) {
    while cache.shared.with(|state| state.ahead.0) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn blocks_are_decoded_once_and_may_read_pages() {
    let source = Source::new(OPEN);
    // So small that the block's own page needs all the room there is.
    let cache = PageCache::new(1600, PAGE, source.clone());
    let made = Arc::new(Mutex::new(0));
    let decode = || {
        let (cache, made) = (cache.clone(), Arc::clone(&made));
        async move {
            *made.lock().unwrap() += 1;
            let raw = cache.read(place(1, PAGE), 0..PAGE).await?;
            Ok(raw.to_bytes().slice(..10))
        }
    };
    let both = tokio::join!(cache.decoded(segment(1), 0, decode), cache.decoded(segment(1), 0, decode));
    assert_eq!(both.0.unwrap(), expect(segment(1), 0..10));
    assert_eq!(both.1.unwrap(), expect(segment(1), 0..10));
    cache.decoded(segment(1), 0, decode).await.unwrap();
    assert_eq!(*made.lock().unwrap(), 1);
    let failing = || async { Err(ReadError::Corrupt { name: "b".into(), reason: "bad frame".into() }) };
    cache.decoded(segment(1), 77, failing).await.expect_err("the decoder's own error");
    assert_eq!(cache.decoded(segment(1), 77, || async { Ok(Bytes::new()) }).await.unwrap(), "");
}

#[tokio::test]
async fn a_fetch_that_panics_fails_its_readers_only() {
    let source = Source::new(OPEN);
    let cache = PageCache::new(100_000, PAGE, source);
    let broken = || async { panic!("a bug in a decoder") };
    let error = cache.decoded(segment(1), 0, broken).await.expect_err("it panicked");
    assert!(matches!(error, ReadError::Unavailable { .. }));
    assert_eq!(cache.decoded(segment(1), 0, || async { Ok(Bytes::from_static(b"x")) }).await.unwrap(), "x");
}

#[tokio::test]
async fn it_tells_whether_all_pages_of_a_range_are_here() {
    let source = Source::new(0);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let chunk = Bytes::from(expect(segment(1), 0..2 * PAGE));
    cache.insert_written(segment(1), &[chunk]);
    let holds = |number, range| cache.holds(segment(number), range);
    assert!(holds(1, 0..2 * PAGE) && holds(1, PAGE - 1..PAGE + 1) && holds(1, PAGE..PAGE + 1));
    assert!(!holds(1, 2 * PAGE - 1..2 * PAGE + 1) && !holds(2, 0..1));
    let coming = cache.begin(place(2, 9000), 10..20);
    assert!(holds(2, 0..PAGE) && !holds(2, 0..PAGE + 1), "it is on its way");
    source.gate.add_permits(1);
    coming.done().await.unwrap();
    assert!(holds(2, 0..PAGE));
}

/// A block that is kept as it is stored.
fn block(range: Range<u64>) -> Block {
    Block {
        length: range.end - range.start,
        range,
        decode: Box::new(|stored| Box::pin(async { Ok(stored) })),
    }
}

#[tokio::test]
async fn a_small_block_comes_with_the_one_before_it() {
    let source = Source::new(OPEN);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let first = cache.begin_block(place(1, 9000), block(100..5000), Some(block(5000..6000)));
    assert_eq!(first.done().await.unwrap(), expect(segment(1), 100..5000));
    assert!(cache.held_block(segment(1), 4000).is_none());
    let rest = cache.held_block(segment(1), 5000).expect("it came along");
    assert_eq!(rest.done().await.unwrap(), expect(segment(1), 5000..6000));
    let again = cache.begin_block(place(1, 9000), block(5000..6000), None).done().await.unwrap();
    assert_eq!((again, source.fetches()), (expect(segment(1), 5000..6000).into(), 1));
    // Read ahead, the same; and what does not lie right behind does not come.
    assert!(cache.prefetch_block(place(2, 9000), block(0..5000), Some(block(5000..6000))));
    assert!(cache.prefetch_block(place(3, 9000), block(0..5000), Some(block(5001..6000))));
    tokio::time::timeout(Duration::from_secs(10), settled(&cache)).await.unwrap();
    assert!(cache.held_block(segment(2), 5000).is_some() && cache.held_block(segment(3), 5001).is_none());
    assert_eq!(source.fetches(), 3);
}

#[tokio::test]
async fn what_comes_along_is_within_the_bound_of_what_is_read_ahead() {
    let source = Source::new(OPEN);
    let cache = PageCache::new(30_000, PAGE, source.clone());
    for number in 1..=12 {
        let both = cache.begin_block(place(number, 9000), block(0..1000), Some(block(1000..3000)));
        both.done().await.unwrap();
        assert!(cache.bytes() <= 30_000 && cache.shared.with(|state| state.lru.unread()) <= 10_000);
    }
    let came = (1..=12).filter(|number| cache.held_block(segment(*number), 1000).is_some()).count();
    assert_eq!(came, 4, "a third of the cache");
}

#[tokio::test]
async fn of_a_segment_that_is_dropped_meanwhile_nothing_comes_along() {
    let source = Source::new(0);
    let cache = PageCache::new(100_000, PAGE, source.clone());
    let both = cache.begin_block(place(1, 9000), block(0..5000), Some(block(5000..6000)));
    cache.invalidate(segment(1));
    source.gate.add_permits(1);
    assert_eq!(both.done().await.unwrap(), expect(segment(1), 0..5000));
    assert!(cache.held_block(segment(1), 0).is_none() && cache.held_block(segment(1), 5000).is_none());
    // One that fails leaves nothing.
    source.gate.add_permits(OPEN);
    *source.fail.lock().unwrap() = true;
    let both = cache.begin_block(place(2, 9000), block(0..5000), Some(block(5000..6000)));
    both.done().await.expect_err("told to fail");
    assert!(cache.held_block(segment(2), 5000).is_none());
}
