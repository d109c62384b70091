//! Offsets that a request offers to be committed: checked one by one, committed together.

use siltstone_kafka::ErrorCode;
use siltstone_log::OffsetRow;

use super::context::Context;
use super::lookup::{TopicKey, Topics};
use crate::group::NewOffset;

/// One offset, as a request has it.
pub(super) struct Offered {
    pub(super) partition_index: i32,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: Option<String>,
}

/// Those of a request that may be committed.
pub(super) struct OfferedOffsets {
    /// Longest metadata, bytes.
    most: usize,
    now: i64,
    /// When they expire, milliseconds since the Unix epoch, if the committer said so.
    expires: Option<i64>,
    pub(super) offsets: Vec<NewOffset>,
    /// The places of the answers that stand and fall with the commit: topic and partition.
    pub(super) open: Vec<(usize, usize)>,
}

impl OfferedOffsets {
    /// `retention`: how long they are kept, ms, if the committer says so.
    pub(super) fn new(cx: &Context, retention: Option<i64>) -> Self {
        let now = cx.engine().ambient().clock.now();
        OfferedOffsets {
            most: cx.broker.broker_config().offsets.metadata_max_bytes as usize,
            now,
            expires: retention.map(|ms| now.saturating_add(ms)),
            offsets: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Takes one whose answer is at `place`: the error code to answer with unless the commit fails.
    pub(super) async fn take(
        &mut self,
        topics: &mut Topics<'_>,
        key: &TopicKey,
        offered: Offered,
        place: (usize, usize),
    ) -> i16 {
        match self.check(topics, key, offered).await {
            Ok(offset) => {
                self.open.push(place);
                self.offsets.push(offset);
                0
            }
            Err(code) => code.code(),
        }
    }

    async fn check(
        &self,
        topics: &mut Topics<'_>,
        key: &TopicKey,
        offered: Offered,
    ) -> Result<NewOffset, ErrorCode> {
        let metadata = offered.metadata.unwrap_or_default();
        if metadata.len() > self.most {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let (_, partition) = topics.partition(key, offered.partition_index).await?;
        let row = OffsetRow {
            offset: offered.offset,
            leader_epoch: offered.leader_epoch,
            committed: self.now,
            expires: self.expires,
            metadata,
        };
        Ok(NewOffset { partition, row })
    }
}
