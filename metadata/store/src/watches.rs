//! Who waits for which key. Shared by the backends that see every commit pass.
//!
//! Firing compares no values: a write is reason enough, since watches are hints.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::resolve::Touch;
use crate::{StoreError, limits};

#[derive(Debug, Default, Clone)]
pub(crate) struct Watches {
    registry: Arc<Mutex<Registry>>,
}

#[derive(Debug, Default)]
struct Registry {
    keys: BTreeMap<Bytes, BTreeMap<u64, oneshot::Sender<()>>>,
    next: u64,
}

impl Watches {
    /// Registers for `key`. `owner` counts the watches of one handle.
    pub(crate) fn watch(&self, key: &[u8], owner: &Arc<AtomicUsize>) -> Result<Registered, StoreError> {
        if owner.fetch_add(1, Ordering::AcqRel) >= limits::WATCHES {
            owner.fetch_sub(1, Ordering::AcqRel);
            return Err(StoreError::Limit(format!("more than {} watches", limits::WATCHES)));
        }
        let (sender, receiver) = oneshot::channel();
        let key = Bytes::copy_from_slice(key);
        let mut registry = self.lock();
        let id = registry.next;
        registry.next += 1;
        registry.keys.entry(key.clone()).or_default().insert(id, sender);
        Ok(Registered { key, id, receiver, watches: self.clone(), owner: owner.clone() })
    }

    /// Fires the watches of what was touched.
    pub(crate) fn fire<'a>(&self, touched: impl Iterator<Item = Touch<'a>>) {
        let mut registry = self.lock();
        if registry.keys.is_empty() {
            return;
        }
        for touch in touched {
            match touch {
                Touch::Key(key) => registry.fire(key),
                Touch::Range(range) if range.is_empty() => {}
                Touch::Range(range) => {
                    let inside = (Bound::Included(&range.begin), Bound::Excluded(&range.end));
                    let hit = registry.keys.range::<Bytes, _>(inside).map(|(key, _)| key.clone());
                    hit.collect::<Vec<_>>().iter().for_each(|key| registry.fire(key));
                }
            }
        }
    }

    /// Fires the watches of the keys for which `touched` holds.
    #[cfg(feature = "postgres")]
    pub(crate) fn fire_if(&self, touched: impl Fn(&[u8]) -> bool) {
        let mut registry = self.lock();
        let hit: Vec<_> = registry.keys.keys().filter(|key| touched(key)).cloned().collect();
        hit.iter().for_each(|key| registry.fire(key));
    }

    /// Fires all: something happened, and it isn't known where.
    pub(crate) fn fire_all(&self) {
        let all = std::mem::take(&mut self.lock().keys);
        all.into_values().flat_map(BTreeMap::into_values).for_each(wake);
    }

    /// Loses all: the store ends.
    pub(crate) fn lose_all(&self) {
        drop(std::mem::take(&mut self.lock().keys));
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn fire(&mut self, key: &Bytes) {
        if let Some(waiting) = self.keys.remove(key) {
            waiting.into_values().for_each(wake);
        }
    }
}

fn wake(waiting: oneshot::Sender<()>) {
    // An error means that nobody waits any more.
    let _ = waiting.send(());
}

/// A watch: resolves when it fires, gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    key: Bytes,
    id: u64,
    receiver: oneshot::Receiver<()>,
    watches: Watches,
    owner: Arc<AtomicUsize>,
}

impl Future for Registered {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let lost = |_| StoreError::Unavailable("the watch was lost: the store was closed".to_owned());
        Pin::new(&mut self.receiver).poll(context).map_err(lost)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.owner.fetch_sub(1, Ordering::AcqRel);
        let mut registry = self.watches.lock();
        if let Some(waiting) = registry.keys.get_mut(&self.key) {
            waiting.remove(&self.id);
            if waiting.is_empty() {
                registry.keys.remove(&self.key);
            }
        }
    }
}
