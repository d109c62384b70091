//! The outcome of a flight, promised to everybody who waits for it.
//!
//! As tokio's watch channel, but those who wait are woken in the order in which they came: that channel wakes them in an order drawn
//! from the operating system's randomness, and a simulation would not run the same way twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
struct Inner<T> {
    state: Mutex<State<T>>,
    news: Notify,
}

#[derive(Debug)]
enum State<T> {
    Coming,
    Kept(T),
    Broken,
}

/// Keeps the promise, or breaks it by being dropped.
#[derive(Debug)]
pub(super) struct Promise<T>(Arc<Inner<T>>);

/// Waits for it.
#[derive(Debug)]
pub(super) struct Promised<T>(Arc<Inner<T>>);

/// A promise, and the first who waits for it.
pub(super) fn promise<T>() -> (Promise<T>, Promised<T>) {
    let inner = Arc::new(Inner { state: Mutex::new(State::Coming), news: Notify::new() });
    (Promise(inner.clone()), Promised(inner))
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Promise<T> {
    /// How many wait, or may begin to.
    pub(super) fn promised_to(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    /// Gives `value` to all of them.
    pub(super) fn keep(self, value: T) {
        *self.0.lock() = State::Kept(value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Coming) {
            *state = State::Broken;
        }
        drop(state);
        self.0.news.notify_waiters();
    }
}

impl<T> Clone for Promised<T> {
    fn clone(&self) -> Self {
        Promised(self.0.clone())
    }
}

impl<T: Clone> Promised<T> {
    /// The value; `None` if there will never be one.
    pub(super) async fn value(&self) -> Option<T> {
        loop {
            let news = self.0.news.notified();
            tokio::pin!(news);
            // From here on no change is missed.
            news.as_mut().enable();
            match &*self.0.lock() {
                State::Coming => {}
                State::Kept(value) => return Some(value.clone()),
                State::Broken => return None,
            }
            news.await;
        }
    }
}
