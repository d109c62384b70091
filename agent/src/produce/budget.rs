//! The bound on bytes that wait to be written: reserved before a request's body is read, given back when all its batches are answered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Semaphores count in these, so that a budget of many GiB fits.
const UNIT: usize = 1024;

/// A bound on bytes.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u32,
}

/// Bytes that were reserved; dropping it gives them back.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Takes in another one of the same budget.
    pub(crate) fn merge(&mut self, other: Reservation) {
        self.permit.merge(other.permit);
    }

    /// Gives back all but `bytes`; nothing if it holds no more than that.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.permit.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.permit.split(surplus));
    }
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Budget { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    fn units_for(&self, bytes: usize) -> u32 {
        // Something larger than the whole budget takes all of it: it passes alone.
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total)
    }

    /// Waits until there is room for `bytes`. First come, first served.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let acquired = self.units.clone().acquire_many_owned(self.units_for(bytes)).await;
        match acquired {
            Ok(permit) => Reservation { permit },
            Err(_) => unreachable!("S11: the budget's semaphore is never closed"),
        }
    }

    /// Reserves if there is room right now.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let permit = self.units.clone().try_acquire_many_owned(self.units_for(bytes)).ok()?;
        Some(Reservation { permit })
    }

    /// Bytes that nobody has reserved.
    pub fn available(&self) -> usize {
        self.units.available_permits() * UNIT
    }

    /// Bytes that are reserved now.
    pub fn used(&self) -> usize {
        (self.total as usize - self.units.available_permits()) * UNIT
    }
}
