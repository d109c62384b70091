//! Waiting for news of partitions: long polls wait on the fold, not on timers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_log::PartitionId;
use siltstone_store::Watch;
use tokio::sync::Notify;

/// Who waits for which partition. Bounded by the requests that wait, each for partitions that it named.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_partition: Mutex<BTreeMap<PartitionId, Vec<Arc<Notify>>>>,
}

/// Wakes its holder when one of its partitions changes; dropping it ends that.
#[derive(Debug)]
pub struct Subscription {
    places: Vec<(Arc<Waiters>, PartitionId)>,
    notify: Arc<Notify>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Vec<Arc<Notify>>>> {
        self.by_partition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake<'a>(&self, partitions: impl IntoIterator<Item = &'a PartitionId>) {
        let waiting = self.lock();
        if waiting.is_empty() {
            return;
        }
        for partition in partitions {
            for notify in waiting.get(partition).into_iter().flatten() {
                notify.notify_one();
            }
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn wake_all(&self) {
        self.lock().values().flatten().for_each(|notify| notify.notify_one());
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Subscription { places: Vec::new(), notify: Arc::new(Notify::new()) }
    }
}

impl Subscription {
    pub(super) fn add(&mut self, waiters: &Arc<Waiters>, partition: PartitionId) {
        waiters.lock().entry(partition).or_default().push(self.notify.clone());
        self.places.push((waiters.clone(), partition));
    }

    /// Resolves once something has changed since the last call (or since subscribing).
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for (waiters, partition) in &self.places {
            let mut waiting = waiters.lock();
            if let Some(list) = waiting.get_mut(partition) {
                list.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
                if list.is_empty() {
                    waiting.remove(partition);
                }
            }
        }
    }
}

/// Waits for a reason to look again: the watch fires (and is used up), somebody pokes, or the pause is over. Whether it is not that.
pub(crate) async fn until_news(watch: &mut Option<Watch>, poke: &Notify, pause: Duration) -> bool {
    let fired = async {
        match watch.as_mut() {
            // Lost or fired: in both cases the answer is to look.
            Some(watch) => drop(watch.await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = fired => {
            *watch = None;
            true
        }
        () = poke.notified() => true,
        () = tokio::time::sleep(pause) => false,
    }
}
