//! Where segments' bytes come from: objects, or the metadata store for inline ones.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::SegmentPlace;
use siltstone_metadata::keys::{inline_segment, parts};
use siltstone_objects::cache::SegmentSource;
use siltstone_objects::{Objects, ReadError};
use siltstone_store::{Store, StoreError};
use tokio::time::Instant;

/// How long a read is tried before its readers get an error; they ask again.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Both places.
pub(crate) struct Segments {
    pub(crate) objects: Objects,
    pub(crate) store: Arc<dyn Store>,
}

#[async_trait]
impl SegmentSource for Segments {
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        if segment.inline {
            return self.inline(segment, range).await;
        }
        self.objects.get(&segment.id.object_name(), range, Instant::now() + READ_TIMEOUT).await
    }
}

impl Segments {
    /// What is written once, and mostly some time ago: a fresh version is asked for only if it isn't there.
    async fn stored(&self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(version) = self.store.heard()
            && let Ok(snapshot) = self.store.snapshot_at(version).await
            && let Ok(Some(found)) = parts::get(snapshot.as_ref(), prefix).await
        {
            return Ok(Some(found));
        }
        parts::get(self.store.snapshot().await?.as_ref(), prefix).await
    }

    async fn inline(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        let name = || format!("inline segment {}", segment.id);
        let failed = |error: StoreError| ReadError::Unavailable { name: name(), reason: error.to_string() };
        let found = self.stored(&inline_segment::prefix(segment.id)).await.map_err(failed)?;
        let bytes = found.ok_or_else(|| ReadError::NotFound {
            name: name(),
            reason: "the metadata store has no such segment".into(),
        })?;
        if (bytes.len() as u64) < range.end {
            let reason = format!("bytes {range:?} were asked for, but it has {}", bytes.len());
            return Err(ReadError::Corrupt { name: name(), reason });
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }
}
