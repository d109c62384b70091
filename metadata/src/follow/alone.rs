//! A shard that nobody looks at together with others ([`super::Followers`]): for tests of one shard.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{RegistrationId, ShardId};
use siltstone_store::Store;

use super::CONFIRM_EVERY;
use super::common::Common;
use super::shard::{Outcomes, Shard};

impl Shard {
    /// Shard `id` of `shards`. Nothing is read before [`Shard::run`] runs.
    pub fn alone(
        id: ShardId,
        shards: u16,
        own: RegistrationId,
        store: Arc<dyn Store>,
        outcomes: Arc<dyn Outcomes>,
    ) -> Arc<Self> {
        let common = Common::new(shards, own.into(), store, outcomes, Duration::ZERO, CONFIRM_EVERY);
        Self::with(id, Arc::new(common))
    }
}
