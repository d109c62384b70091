//! Work that blocks, done by a few threads that go on to the next piece without being woken for it.
//!
//! Read-ahead comes in bursts of many small reads. A visit to the runtime's pool for each would wake a thread each time, which costs more
//! than the read. Guarantees: at most so many pieces at once; in the order in which they came; what nobody waits for any more is
//! not begun. How many wait is not bounded here: the page cache bounds what it has under way in bytes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::fault::{Fault, Sort};

type Job = Box<dyn FnOnce() + Send>;

/// The threads' queue. A cheap clone.
#[derive(Clone)]
pub(super) struct Lane {
    shared: Arc<Mutex<Queue>>,
    most: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads at work.
    running: usize,
}

impl Lane {
    /// With at most so many threads.
    pub(super) fn new(most: usize) -> Self {
        Lane { shared: Arc::default(), most }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (sender, result) = oneshot::channel();
        self.push(Box::new(move || {
            if !sender.is_closed() {
                // Whoever has gone meanwhile doesn't want it.
                drop(sender.send(work()));
            }
        }));
        result
            .await
            .unwrap_or_else(|_| Err(Fault::new(Sort::Transient, "a blocking thread failed").ambiguous()))
    }

    fn push(&self, job: Job) {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        if queue.running < self.most {
            queue.running += 1;
            let lane = self.clone();
            spawn_blocking(move || lane.work());
        }
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            let Some(job) = queue.jobs.pop_front() else {
                queue.running -= 1;
                return;
            };
            drop(queue);
            // Its caller learns of a panic from the channel that it dropped.
            drop(catch_unwind(AssertUnwindSafe(job)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_is_done_and_never_too_much_at_once() {
        let lane = Lane::new(3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |number: usize| {
            let (now, most) = (now.clone(), most.clone());
            lane.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(number)
            })
        };
        let results = futures::future::join_all((0..500).map(work)).await;
        assert!(results.into_iter().map(Result::unwrap).eq(0..500));
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(lane.lock().jobs.len(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_others_go_on() {
        let lane = Lane::new(1);
        let broken = lane.run(|| -> Result<(), Fault> { panic!("a bug in a read") });
        let good = lane.run(|| Ok(7));
        let (broken, good) = futures::join!(broken, good);
        assert_eq!(broken.unwrap_err().sort, Sort::Transient);
        assert_eq!(good.unwrap(), 7);
    }
}
