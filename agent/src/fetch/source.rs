//! Where segments' bytes come from: objects, or the metadata store for inline ones.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::SegmentId;
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
    async fn fetch(&self, segment: SegmentId, range: Range<u64>) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.inline(segment, range.clone()).await? {
            return Ok(bytes);
        }
        self.objects.get(&segment.object_name(), range, Instant::now() + READ_TIMEOUT).await
    }
}

impl Segments {
    async fn inline(&self, segment: SegmentId, range: Range<u64>) -> Result<Option<Bytes>, ReadError> {
        let name = || format!("inline segment {}", segment);
        let failed = |error: StoreError| ReadError::Unavailable { name: name(), reason: error.to_string() };
        let snapshot = self.store.snapshot().await.map_err(failed)?;
        let found = parts::get(snapshot.as_ref(), &inline_segment::prefix(segment)).await.map_err(failed)?;
        let Some(bytes) = found else { return Ok(None) };
        if (bytes.len() as u64) < range.end {
            let reason = format!("bytes {range:?} were asked for, but it has {}", bytes.len());
            return Err(ReadError::Corrupt { name: name(), reason });
        }
        Ok(Some(bytes.slice(range.start as usize..range.end as usize)))
    }
}
