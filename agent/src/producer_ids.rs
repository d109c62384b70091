//! Producer ids, taken from the store in blocks.

use std::ops::Range;

use siltstone_metadata::catalog::{CatalogError, Changes};
use tokio::sync::Mutex;

/// So many ids are taken at once.
const BLOCK: u64 = 1000;

/// Gives out producer ids, each once in the cluster's life. What is left of a block when the agent ends is never given out.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    changes: Changes,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    pub(crate) fn new(changes: Changes) -> Self {
        ProducerIds { changes, block: Mutex::new(0..0) }
    }

    /// A producer id that nobody else has or gets.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub(crate) async fn take(&self) -> Result<i64, CatalogError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let first = self.changes.take_producer_ids(BLOCK).await?;
            *block = first..first + BLOCK as i64;
        }
        let id = block.start;
        block.start += 1;
        Ok(id)
    }
}
