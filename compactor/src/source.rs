//! Reading a segment by what it says of itself: its footer, and ranges of it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{BlockPlace, Footer, SegmentId, TRAILER_BYTES};
use siltstone_objects::ReadError;
use tokio::time::Instant;

use crate::context::Context;
use crate::telemetry;

/// What is read of a segment's end at first.
const TAIL: u64 = 64 << 10;
/// How long one request is tried.
const PATIENCE: Duration = Duration::from_secs(60);

impl Context {
    /// Bytes of a segment's object: within the compactor's limits, and counted.
    pub(crate) async fn read_object(&self, id: SegmentId, range: Range<u64>) -> Result<Bytes, ReadError> {
        let length = range.end - range.start;
        self.limiter.request(length).await;
        telemetry::read(length);
        self.objects.get(&id.object_name(), range, Instant::now() + PATIENCE).await
    }
}

/// Where a segment's bytes are.
pub(crate) struct Source<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) id: SegmentId,
    pub(crate) length: u64,
    /// All of it, if it is inline.
    pub(crate) whole: Option<Bytes>,
}

impl Source<'_> {
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        if let Some(whole) = &self.whole {
            let part = (range.start as usize).min(whole.len())..(range.end as usize).min(whole.len());
            return Ok(whole.slice(part));
        }
        self.cx.read_object(self.id, range).await
    }

    /// The footer, or what is wrong with it.
    pub(crate) async fn footer(&self) -> Result<Result<Footer, String>, ReadError> {
        let length = self.length;
        let mut tail = self.read(length.saturating_sub(TAIL)..length).await?;
        let Some(trailer) = tail.len().checked_sub(TRAILER_BYTES) else {
            return Ok(Err(format!("a segment of {} bytes has no footer", tail.len())));
        };
        let bytes = match Footer::length(&tail[trailer..]) {
            Ok(bytes) if bytes as u64 <= length => bytes,
            Ok(bytes) => return Ok(Err(format!("its footer would have {bytes} bytes"))),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if bytes > tail.len() {
            tail = self.read(length - bytes as u64..length).await?;
        }
        let from = tail.len().saturating_sub(bytes);
        Ok(Footer::decode(&tail[from..]).map_err(|error| error.to_string()))
    }
}

/// A block's batches, from what is stored.
pub(crate) fn decoded(stored: Bytes, place: &BlockPlace) -> Result<Bytes, String> {
    place.encoding.unpack(stored).map_err(|error| format!("a block {error}"))
}
