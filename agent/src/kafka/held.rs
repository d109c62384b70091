//! The memory that answers hold until their client has read them, and what fetched records are charged as.
//!
//! Guarantees: a fetch's answer is charged with the pages of the cache that it keeps alive, not only with its own bytes; what can't be had for
//! pages is copied, so that little lies in little; a connection holds few answers at once, however many requests it sent (S11).
//! Deliberately an estimate: pages are told apart by where their bytes lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fetch::FetchResult;
use crate::produce::{Budget, Reservation};

/// Answers with records that one connection may hold at once: one that is written, one that is read meanwhile.
const TURNS: usize = 2;
/// Shorter pieces are batch headers of the answer's own, or cost next to nothing.
const OWN: usize = 61;

/// Memory that answers of a kind may hold, all connections together.
#[derive(Debug)]
pub(super) struct Room {
    budget: Budget,
    /// The setting that bounds it.
    setting: &'static str,
    /// Requests that wait for some of it.
    wanting: AtomicUsize,
}

impl Room {
    pub(super) fn new(setting: &'static str, bytes: usize) -> Arc<Self> {
        Arc::new(Room { budget: Budget::new(bytes), setting, wanting: AtomicUsize::new(0) })
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Waits until there is room for `bytes`; whoever keeps others waiting and does not read loses its connection.
    pub(super) async fn reserve(&self, bytes: usize) -> Reservation {
        match self.budget.try_reserve(bytes) {
            Some(memory) => memory,
            None => {
                let _wants = Want::new(&self.wanting);
                self.budget.reserve(bytes).await
            }
        }
    }
}

/// One that waits for memory.
struct Want<'a>(&'a AtomicUsize);

impl<'a> Want<'a> {
    fn new(wanting: &'a AtomicUsize) -> Self {
        wanting.fetch_add(1, Ordering::Relaxed);
        Want(wanting)
    }
}

impl Drop for Want<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an answer holds until it is written.
#[derive(Debug)]
pub(super) struct Held {
    memory: Reservation,
    room: Arc<Room>,
    _turn: Option<Turn>,
}

impl Held {
    pub(super) fn new(memory: Reservation, room: Arc<Room>, turn: Option<Turn>) -> Self {
        Held { memory, room, _turn: turn }
    }

    /// The setting that bounds this memory, if others wait for it.
    pub(super) fn wanted(&self) -> Option<&'static str> {
        (self.room.wanting.load(Ordering::Relaxed) > 0).then_some(self.room.setting)
    }

    /// Gives back what the answer does not take.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.memory.shrink_to(bytes);
    }
}

/// A connection's turns.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

/// A turn to come.
pub(super) type NextTurn = BoxFuture<'static, Turn>;

/// One of them.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Turns(Arc::new(Semaphore::new(TURNS)))
    }
}

impl Turns {
    /// Turns of which one is given at a time.
    pub(super) fn single() -> Self {
        Turns(Arc::new(Semaphore::new(1)))
    }

    /// Resolves once fewer answers are held. Its place in the order is taken here and now, in the order of requests, which is the order
    /// of answers: so no request ever waits for the turn of one that is answered after it.
    pub(super) fn next(&self) -> NextTurn {
        let turns = self.0.clone();
        let mut next: NextTurn = Box::pin(async move { Turn { _permit: turns.acquire_owned().await.ok() } });
        match (&mut next).now_or_never() {
            Some(turn) => Box::pin(std::future::ready(turn)),
            None => next,
        }
    }
}

/// Charges `results` to `memory`, which has `room`: pages if there is room for pages, copies if not.
/// Gives back all if even the bytes don't fit: they must be read again with more room.
pub(super) fn settle(
    results: &mut [FetchResult],
    mut memory: Reservation,
    room: usize,
    page: usize,
    budget: &Budget,
) -> Option<Reservation> {
    let mut charge = charged(results, page);
    if charge > room {
        results.iter_mut().filter(|result| result.bytes < page / 2).for_each(copy);
        charge = charged(results, page);
    }
    if charge > room {
        match budget.try_reserve(charge - room) {
            Some(more) => memory.merge(more),
            None => {
                let bytes: usize = results.iter().map(|result| result.bytes).sum();
                if bytes > room {
                    memory.merge(budget.try_reserve(bytes - room)?);
                }
                results.iter_mut().for_each(copy);
                charge = bytes;
            }
        }
    }
    memory.shrink_to(charge);
    Some(memory)
}

/// Bytes of memory that are kept alive: pages of the cache, and what lies alone.
fn charged(results: &[FetchResult], page: usize) -> usize {
    let pieces = || results.iter().filter_map(|result| result.records.as_ref().ok()).flatten();
    let mut own: usize = pieces().map(Bytes::len).filter(|length| *length < OWN).sum();
    let mut places: Vec<(usize, usize)> = Vec::new();
    for result in results {
        match result.records.as_deref() {
            // What was copied lies alone.
            Ok([single]) if single.len() == result.bytes => own += single.len(),
            Ok(pieces) => places.extend(
                pieces.iter().filter(|piece| piece.len() >= OWN).map(|p| (p.as_ptr() as usize, p.len())),
            ),
            Err(_) => {}
        }
    }
    own + page * windows(places, page)
}

/// How many stretches of `page` bytes cover all places.
fn windows(mut places: Vec<(usize, usize)>, page: usize) -> usize {
    places.sort_unstable();
    let (mut count, mut end) = (0, 0);
    for (start, length) in places {
        if start + length > end {
            let fresh = length.div_ceil(page).max(1);
            count += fresh;
            end = start + fresh * page;
        }
    }
    count
}

/// Lets go of pages.
fn copy(result: &mut FetchResult) {
    if let Ok(pieces) = &mut result.records
        && pieces.len() > 1
    {
        let mut copy = BytesMut::with_capacity(result.bytes);
        pieces.iter().for_each(|piece| copy.extend_from_slice(piece));
        *pieces = vec![copy.freeze()];
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::{PartitionId, TopicId};

    use super::*;
    use crate::fetch::Bounds;

    const PAGE: usize = 1 << 20;

    /// A partition's batches of `length` bytes, one in each of `pages`.
    fn scattered(pages: usize, length: usize) -> FetchResult {
        let records: Vec<Bytes> = (0..pages)
            .flat_map(|_| {
                let page = Bytes::from(vec![7u8; PAGE]);
                [Bytes::from(vec![1u8; 16]), page.slice(1000..1000 + length - 16)]
            })
            .collect();
        let partition = PartitionId { topic: TopicId(1), index: 0 };
        FetchResult {
            partition,
            records: Ok(records),
            bytes: pages * length,
            bounds: Bounds::default(),
            aborted: Vec::new(),
            hidden: None,
        }
    }

    fn text(result: &FetchResult) -> Vec<u8> {
        result.records.iter().flatten().flatten().copied().collect()
    }

    #[test]
    fn small_batches_in_many_pages_are_copied_if_the_pages_are_too_much() {
        let budget = Budget::new(64 * PAGE);
        let mut results = [scattered(40, 1000)];
        let before = text(&results[0]);
        let memory = budget.try_reserve(4 * PAGE).expect("room");
        let memory = settle(&mut results, memory, 4 * PAGE, PAGE, &budget).expect("fits");
        assert_eq!(text(&results[0]), before);
        assert_eq!(results[0].records.as_ref().map(Vec::len).ok(), Some(1));
        assert!(budget.used() < PAGE, "{} bytes charged for 40,000", budget.used());
        drop(memory);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn pages_are_charged_whole_where_there_is_room() {
        let budget = Budget::new(64 * PAGE);
        let mut results = [scattered(3, 1000)];
        let memory = budget.try_reserve(8 * PAGE).expect("room");
        let _memory = settle(&mut results, memory, 8 * PAGE, PAGE, &budget).expect("fits");
        assert_eq!(results[0].records.as_ref().map(Vec::len).ok(), Some(6), "not copied");
        assert!(budget.used() >= 3 * PAGE);
    }

    #[test]
    fn a_batch_larger_than_the_room_is_charged_or_read_again() {
        let budget = Budget::new(4 * PAGE);
        let mut results = [scattered(1, PAGE / 2)];
        let memory = budget.try_reserve(PAGE / 16).expect("room");
        let others = budget.try_reserve(4 * PAGE - PAGE / 8).expect("room");
        assert!(settle(&mut results, memory, PAGE / 16, PAGE, &budget).is_none());
        drop(others);
        let memory = budget.try_reserve(PAGE / 16).expect("room");
        let _memory = settle(&mut results, memory, PAGE / 16, PAGE, &budget).expect("fits now");
        assert!(budget.used() >= PAGE / 2);
    }

    #[test]
    fn neighbours_share_a_page() {
        assert_eq!(windows(vec![(5000, 100), (1000, 100), (1100, 50)], 10_000), 1);
        assert_eq!(windows(vec![(5000, 100), (20_000, 100)], 10_000), 2);
        assert_eq!(windows(vec![(0, 25_000)], 10_000), 3);
        assert_eq!(windows(Vec::new(), 10_000), 0);
    }

    #[tokio::test]
    async fn a_connection_has_few_turns_given_in_the_order_asked() {
        let turns = Turns::default();
        let first = turns.next().await;
        let _second = turns.next().await;
        let third = turns.next();
        let mut fourth = turns.next();
        drop(first);
        // The third has its turn, though nobody looked at it since.
        assert!((&mut fourth).now_or_never().is_none());
        drop(third.await);
        fourth.await;
    }
}
