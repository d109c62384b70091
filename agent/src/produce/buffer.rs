//! The write-ahead buffer: batches in the order of their arrival, not yet in any segment. Pure but for the instants it is given.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{BatchMeta, PartitionId};
use tokio::time::Instant;

use super::ticket::Slot;

/// Bytes that a batch takes in a manifest, at most, with its share of the block's.
const MANIFEST_BYTES: usize = 64;

/// Where a topic wants its segments (`siltstone.write`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// As the policy finds best.
    #[default]
    Auto,
    /// In the metadata store.
    Inline,
    /// In object storage.
    Object,
}

/// The transaction that a batch claims to belong to, beside its producer's id and epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTransaction {
    /// The transactional id.
    pub id: Arc<str>,
    /// The client's transactions begin and grow by writing (transaction version 2).
    pub implicit: bool,
}

/// A batch to be written: validated, its bytes as they are to be stored (base offset 0).
#[derive(Debug, Clone)]
pub struct NewBatch {
    /// Where to.
    pub partition: PartitionId,
    /// The whole batch: one slice, or header and body if the header had to be rewritten.
    pub bytes: [Bytes; 2],
    /// What the fold must know; `bytes` in it is the length of the above.
    pub meta: BatchMeta,
    /// Whether the producer compressed it.
    pub compressed: bool,
    /// Where the topic wants it.
    pub placement: Placement,
    /// Its transaction, if it is transactional.
    pub transaction: Option<BatchTransaction>,
}

/// A batch in the buffer.
#[derive(Debug)]
pub(super) struct Buffered {
    pub(super) batch: NewBatch,
    pub(super) slot: Slot,
    pub(super) connection: u64,
    /// Dropped with its connection; not so for acks=0.
    pub(super) droppable: bool,
    pub(super) arrived: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Buffer {
    batches: VecDeque<Buffered>,
    bytes: usize,
    object_only: usize,
    inline_only: usize,
    last_arrival: Option<Instant>,
}

impl Buffer {
    pub(super) fn push(&mut self, buffered: Buffered) {
        self.bytes += buffered.batch.meta.bytes as usize;
        self.count(buffered.batch.placement, 1);
        self.last_arrival = Some(buffered.arrived);
        self.batches.push_back(buffered);
    }

    fn count(&mut self, placement: Placement, by: isize) {
        match placement {
            Placement::Auto => {}
            Placement::Inline => self.inline_only = self.inline_only.wrapping_add_signed(by),
            Placement::Object => self.object_only = self.object_only.wrapping_add_signed(by),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn manifest_bytes(&self) -> usize {
        self.batches.len() * MANIFEST_BYTES
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.batches.front().map(|buffered| buffered.arrived)
    }

    pub(super) fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// Where the topics of all that is buffered want it, if they agree; an object will do for any.
    pub(super) fn placement(&self) -> Placement {
        if self.object_only > 0 {
            Placement::Object
        } else if self.inline_only == self.batches.len() && self.inline_only > 0 {
            Placement::Inline
        } else {
            Placement::Auto
        }
    }

    /// Takes batches in their order until `bytes` or `manifest_bytes` would be exceeded; at least one if there is one.
    pub(super) fn take(&mut self, bytes: usize, manifest_bytes: usize) -> Vec<Buffered> {
        let most = (manifest_bytes / MANIFEST_BYTES).max(1);
        let mut taken = Vec::with_capacity(self.batches.len().min(most));
        let mut sum = 0;
        while let Some(next) = self.batches.front() {
            let size = next.batch.meta.bytes as usize;
            if !taken.is_empty() && (sum + size > bytes || taken.len() >= most) {
                break;
            }
            sum += size;
            if let Some(next) = self.batches.pop_front() {
                self.count(next.batch.placement, -1);
                taken.push(next);
            }
        }
        self.bytes -= sum;
        taken
    }

    /// Takes out what is meant, and gives back its slots: they have to be answered.
    pub(super) fn remove(&mut self, meant: impl Fn(&Buffered) -> bool) -> Vec<Slot> {
        let mut removed = Vec::new();
        let mut kept = VecDeque::with_capacity(self.batches.len());
        for buffered in std::mem::take(&mut self.batches) {
            if meant(&buffered) {
                self.bytes -= buffered.batch.meta.bytes as usize;
                self.count(buffered.batch.placement, -1);
                removed.push(buffered.slot);
            } else {
                kept.push_back(buffered);
            }
        }
        self.batches = kept;
        removed
    }
}
