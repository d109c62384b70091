//! Limits on what a compactor asks of the object store: bytes and requests a second.
//!
//! A bucket of one second's worth of each. Who takes more than there is waits until that has come in, and so do those behind it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// May be below zero: then it is owed.
    level: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_second: f64) -> Self {
        Bucket { per_second, level: per_second, at: Instant::now() }
    }

    /// Takes so much, and says how long to wait for it.
    fn take(&mut self, amount: f64) -> Duration {
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.level = (self.level + gained).min(self.per_second) - amount;
        self.at = now;
        Duration::from_secs_f64((-self.level / self.per_second).max(0.0))
    }
}

/// Both limits; either may be absent.
#[derive(Debug)]
pub struct Limiter {
    bytes: Option<Mutex<Bucket>>,
    requests: Option<Mutex<Bucket>>,
}

impl Limiter {
    /// With these limits.
    pub fn new(bytes: Option<u64>, requests: Option<u32>) -> Self {
        let bucket = |per_second: f64| Mutex::new(Bucket::new(per_second.max(1.0)));
        Limiter {
            bytes: bytes.map(|limit| bucket(limit as f64)),
            requests: requests.map(|limit| bucket(f64::from(limit))),
        }
    }

    /// Waits until a request of so many bytes may be sent.
    pub async fn request(&self, bytes: u64) {
        let take = |bucket: &Option<Mutex<Bucket>>, amount: f64| match bucket {
            Some(bucket) => bucket.lock().unwrap_or_else(PoisonError::into_inner).take(amount),
            None => Duration::ZERO,
        };
        let wait = take(&self.bytes, bytes as f64).max(take(&self.requests, 1.0));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_over_a_second_s_worth_waits() {
        let limiter = Limiter::new(Some(1000), Some(10));
        let started = Instant::now();
        for _ in 0..5 {
            limiter.request(1000).await;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((3.9..4.2).contains(&took), "{took}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let started = Instant::now();
        for _ in 0..30 {
            limiter.request(1).await;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((1.9..2.2).contains(&took), "{took}");
        let free = Limiter::new(None, None);
        let started = Instant::now();
        free.request(u64::MAX).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
