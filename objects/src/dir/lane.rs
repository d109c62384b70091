//! Reads, done by a few threads that go on to the next one without being woken for it.
//!
//! Fetches and read-ahead come in bursts of many small reads. A visit to the runtime's pool for each would wake a thread each time, and a
//! request to the disk for each would wake the machine that we run on: both cost more than the bytes. So what lies side by side in a file and is wanted at the same
//! time is read together. Guarantees: at most so many threads; reads begin in the order in which they came, but for those that come together with an
//! earlier one; what nobody waits for any more is not begun. How many wait is not bounded here: the page cache bounds what it has
//! under way in bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::fault::{Fault, Sort};

/// Bytes read together at most: their readers wait for all of them.
const TOGETHER: u64 = 2 << 20;

/// Reads ranges of a file that lie one behind the other, in that order.
type Read = dyn Fn(&Path, &[Range<u64>]) -> Vec<Result<Bytes, Fault>> + Send + Sync;

/// The threads' queue. A cheap clone.
#[derive(Clone)]
pub(super) struct Lane {
    shared: Arc<Mutex<Queue>>,
    read: Arc<Read>,
    most: usize,
}

#[derive(Default)]
struct Queue {
    wanted: VecDeque<Wanted>,
    /// Threads at work.
    running: usize,
}

struct Wanted {
    path: PathBuf,
    range: Range<u64>,
    answer: oneshot::Sender<Result<Bytes, Fault>>,
}

impl Lane {
    /// With at most so many threads.
    pub(super) fn new(
        most: usize,
        read: impl Fn(&Path, &[Range<u64>]) -> Vec<Result<Bytes, Fault>> + Send + Sync + 'static,
    ) -> Self {
        Lane { shared: Arc::default(), read: Arc::new(read), most }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a range of a file on one of the threads.
    pub(super) async fn read(&self, path: PathBuf, range: Range<u64>) -> Result<Bytes, Fault> {
        let (answer, result) = oneshot::channel();
        self.push(Wanted { path, range, answer });
        result
            .await
            .unwrap_or_else(|_| Err(Fault::new(Sort::Transient, "a blocking thread failed").ambiguous()))
    }

    fn push(&self, wanted: Wanted) {
        let mut queue = self.lock();
        queue.wanted.push_back(wanted);
        if queue.running < self.most {
            queue.running += 1;
            let lane = self.clone();
            spawn_blocking(move || lane.work());
        }
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            let batch = queue.next();
            if batch.is_empty() {
                queue.running -= 1;
                return;
            }
            drop(queue);
            // Its callers learn of a panic from the channels that it dropped.
            drop(catch_unwind(AssertUnwindSafe(|| self.answer(batch))));
        }
    }

    fn answer(&self, batch: VecDeque<Wanted>) {
        let path = batch.front().map(|wanted| wanted.path.clone()).unwrap_or_default();
        let ranges: Vec<_> = batch.iter().map(|wanted| wanted.range.clone()).collect();
        let results = (self.read)(&path, &ranges);
        batch.into_iter().zip(results).for_each(|(wanted, result)| drop(wanted.answer.send(result)));
    }
}

impl Queue {
    /// The first that somebody waits for, and what can be read with it; empty if there is nothing.
    fn next(&mut self) -> VecDeque<Wanted> {
        self.wanted.retain(|wanted| !wanted.answer.is_closed());
        let mut batch: VecDeque<Wanted> = self.wanted.pop_front().into_iter().collect();
        while let Some(at) = self.beside(&batch) {
            let Some(wanted) = self.wanted.remove(at) else { break };
            if batch.back().is_some_and(|last| last.range.end == wanted.range.start) {
                batch.push_back(wanted);
            } else {
                batch.push_front(wanted);
            }
        }
        batch
    }

    /// One that begins where these end, or ends where they begin.
    fn beside(&self, batch: &VecDeque<Wanted>) -> Option<usize> {
        let (first, last) = (batch.front()?, batch.back()?);
        let bytes = last.range.end - first.range.start;
        self.wanted.iter().position(|wanted| {
            (wanted.range.start == last.range.end || wanted.range.end == first.range.start)
                && bytes + (wanted.range.end - wanted.range.start) <= TOGETHER
                && wanted.path == first.path
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Each result is where its range begins.
    fn results(ranges: &[Range<u64>]) -> Vec<Result<Bytes, Fault>> {
        ranges.iter().map(|range| Ok(Bytes::from(range.start.to_string()))).collect()
    }

    #[tokio::test]
    async fn all_is_done_and_never_too_much_at_once() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let lane = Lane::new(3, move |_, ranges| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            results(ranges)
        });
        let reads = (0..500).map(|at| lane.read(format!("{}", at % 7).into(), at..at + 1));
        let all = futures::future::join_all(reads).await;
        assert!(all.into_iter().map(Result::unwrap).eq((0..500).map(|at| at.to_string())));
        assert!((1..=3).contains(&seen.load(Ordering::SeqCst)));
        assert_eq!(lane.lock().wanted.len(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_others_go_on() {
        let lane = Lane::new(1, |path, ranges| {
            assert_ne!(path, Path::new("bad"), "a bug in a read");
            results(ranges)
        });
        let (broken, good) = futures::join!(lane.read("bad".into(), 0..1), lane.read("good".into(), 7..8));
        assert_eq!(broken.unwrap_err().sort, Sort::Transient);
        assert_eq!(good.unwrap(), "7");
    }

    /// What each visit of the thread would read of these: ranges by their pages of 256 KiB.
    fn visits(wanted: &[(&str, Range<u64>)]) -> Vec<(String, Range<u64>)> {
        let mut queue = Queue::default();
        let mut callers = Vec::new();
        for (path, pages) in wanted {
            let (answer, caller) = oneshot::channel();
            callers.push(caller);
            let range = pages.start << 18..pages.end << 18;
            queue.wanted.push_back(Wanted { path: path.into(), range, answer });
        }
        let mut visits = Vec::new();
        loop {
            let batch = queue.next();
            let (Some(first), Some(last)) = (batch.front(), batch.back()) else { return visits };
            assert!(
                batch.iter().zip(batch.iter().skip(1)).all(|(one, next)| one.range.end == next.range.start)
            );
            visits.push((first.path.display().to_string(), first.range.start >> 18..last.range.end >> 18));
        }
    }

    #[test]
    fn what_lies_side_by_side_is_read_together() {
        let all = visits(&[("a", 1..2), ("b", 2..3), ("a", 3..4), ("a", 0..1), ("a", 2..3), ("b", 0..1)]);
        let expected = [("a", 0..4), ("b", 2..3), ("b", 0..1)];
        assert_eq!(all, expected.map(|(path, pages)| (path.to_owned(), pages)));
        assert_eq!(visits(&[("a", 0..5), ("a", 5..9)]).len(), 2, "more than 2 MiB");
        assert_eq!(visits(&[("a", 0..3), ("a", 0..3)]).len(), 2, "the same");
    }

    #[test]
    fn what_nobody_waits_for_is_not_read() {
        let mut queue = Queue::default();
        let mut push = |range| {
            let (answer, caller) = oneshot::channel();
            queue.wanted.push_back(Wanted { path: "a".into(), range, answer });
            caller
        };
        drop(push(0..4096));
        let _callers = [push(4096..5000), push(5001..6000)];
        for start in [4096, 5001] {
            let batch = queue.next();
            assert_eq!(batch.iter().map(|wanted| wanted.range.start).collect::<Vec<_>>(), [start]);
        }
        assert!(queue.next().is_empty());
    }
}
