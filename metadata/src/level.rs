//! A value that others wait for: set now and then, awaited until it is as they want it.
//!
//! As tokio's watch channel, but those who wait are woken in the order in which they began to: that channel wakes them in an order
//! drawn from the operating system's randomness, and a simulation would not run the same way twice.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Level<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Level<T> {
    /// Begins with `value`.
    pub fn new(value: T) -> Self {
        Level { value: Mutex::new(value), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value now.
    pub fn get(&self) -> T {
        *self.lock()
    }

    /// Sets it, and wakes all who wait.
    pub fn set(&self, value: T) {
        *self.lock() = value;
        self.changed.notify_waiters();
    }

    /// Sets it if it is less, and wakes all who wait.
    pub fn raise(&self, value: T)
    where
        T: Ord,
    {
        {
            let mut now = self.lock();
            *now = value.max(*now);
        }
        self.changed.notify_waiters();
    }

    /// Waits until the value is one that `wanted` takes.
    pub async fn wait_for(&self, wanted: impl Fn(T) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if wanted(self.get()) {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_in_order_once_the_value_is_right() {
        let (level, order) = (Arc::new(Level::new(0)), Arc::new(Mutex::new(Vec::new())));
        let mut waiting = tokio::task::JoinSet::new();
        for who in 0..20 {
            let (level, order) = (level.clone(), order.clone());
            waiting.spawn(async move {
                level.wait_for(|value| value >= 2).await;
                order.lock().unwrap_or_else(PoisonError::into_inner).push(who);
            });
        }
        tokio::task::yield_now().await;
        level.set(1);
        tokio::task::yield_now().await;
        level.set(2);
        while waiting.join_next().await.is_some() {}
        assert_eq!(*order.lock().unwrap_or_else(PoisonError::into_inner), (0..20).collect::<Vec<_>>());
        level.wait_for(|value| value == 2).await;
    }
}
