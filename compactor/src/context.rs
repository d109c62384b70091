//! What everything in a compactor stands on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_log::{RegistrationId, SegmentId};
use siltstone_metadata::ambient::Ambient;
use siltstone_objects::Objects;
use siltstone_store::Store;

use crate::erase::Hiding;
use crate::limit::Limiter;
use crate::settings::CompactorSettings;

/// One life of a compactor: a registration, and what it works with.
pub struct Context {
    /// The metadata.
    pub store: Arc<dyn Store>,
    /// The segments.
    pub objects: Objects,
    /// Time and chance.
    pub ambient: Ambient,
    /// Under which it lives.
    pub registration: RegistrationId,
    /// Shards of the cluster.
    pub shards: u16,
    /// How it works.
    pub settings: CompactorSettings,
    /// Keeps it within its limits.
    pub limiter: Limiter,
    numbers: AtomicU64,
    hiding: Mutex<Arc<Hiding>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({:?})", self.registration)
    }
}

impl Context {
    /// For a registration that has written nothing yet.
    pub fn new(
        store: Arc<dyn Store>,
        objects: Objects,
        ambient: Ambient,
        registration: RegistrationId,
        shards: u16,
        settings: CompactorSettings,
    ) -> Self {
        let limiter = Limiter::new(settings.bandwidth, settings.requests);
        let numbers = AtomicU64::new(0);
        let hiding = Mutex::default();
        Context { store, objects, ambient, registration, shards, settings, limiter, numbers, hiding }
    }

    /// What is being erased, as of the last look. Whoever rewrites something goes by one and the same look from the first read to the announcement.
    pub fn hiding(&self) -> Arc<Hiding> {
        Arc::clone(&self.hiding.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new look.
    pub fn hide(&self, hiding: Hiding) {
        *self.hiding.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hiding);
    }

    /// A name for a segment that nobody has used.
    pub fn next_segment(&self) -> SegmentId {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        SegmentId { registration: self.registration, number }
    }
}
