//! S4: an offset is visible only when its bytes are durable.

use bytes::Bytes;
use siltstone_log::{BatchMeta, PartitionId, SegmentPlace};

use super::{Violation, fail};
use crate::sim::batches::{BatchId, id_of};
use crate::sim::oracle::Promises;

const NAME: &str = "S4";

/// An entry of the log names a segment: it must be there, whole.
pub(in crate::sim) fn durable(place: &SegmentPlace, found: Option<Bytes>) -> Result<Bytes, Violation> {
    match found {
        Some(bytes) if bytes.len() as u64 == place.length => Ok(bytes),
        Some(bytes) => fail(NAME, format!("{place:?} has {} bytes", bytes.len())).map(|()| Bytes::new()),
        None => {
            fail(NAME, format!("{place:?} is visible, and there is no such segment")).map(|()| Bytes::new())
        }
    }
}

/// The bytes at a batch's place must be a batch that some client sent to this partition.
pub(in crate::sim) fn bytes_are_a_batch(
    promises: &Promises,
    partition: PartitionId,
    bytes: &Bytes,
    meta: &BatchMeta,
) -> Result<BatchId, Violation> {
    let id = id_of(bytes).unwrap_or_default();
    match promises.made.get(&id) {
        Some(made)
            if made.partition == partition
                && made.bytes == bytes
                && made.meta == (BatchMeta { void: false, ..*meta }) =>
        {
            Ok(id)
        }
        _ => fail(NAME, format!("{partition:?} shows bytes that nobody sent to it: {id:?}")).map(|()| id),
    }
}
