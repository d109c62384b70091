//! The ends of partitions, as new as the request that asks for them.

use siltstone_kafka::ErrorCode;
use siltstone_log::PartitionId;

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};
use crate::fetch::Bounds;

/// What one request may know of ends.
pub(super) struct Ends<'a> {
    cx: &'a Context,
    /// Whether all that it asks for is fresh already.
    ready: bool,
}

impl<'a> Ends<'a> {
    /// Makes all partitions whose ends are wanted fresh at once, instead of one after the other. What can't be found is answered in its turn.
    pub(super) async fn prepare(
        cx: &'a Context,
        topics: &mut Topics<'_>,
        wanted: impl IntoIterator<Item = (TopicKey, i32)>,
    ) -> Ends<'a> {
        let mut found = Vec::new();
        for (key, index) in wanted {
            if let Ok((_, id)) = topics.partition(&key, index).await {
                found.push(id);
            }
        }
        let ready = found.len() > 1 && cx.engine().reader().prepare(&found).await.is_ok();
        Ends { cx, ready }
    }

    /// Those of one of them.
    ///
    /// # Errors
    /// If they are not known, or not in time.
    pub(super) async fn of(&self, id: PartitionId) -> Result<Bounds, ErrorCode> {
        let reader = self.cx.engine().reader();
        let bounds = if self.ready { reader.bounds(id).await } else { reader.fresh_bounds(id).await };
        bounds.map_err(|error| errors::fetch(&error))
    }
}
