//! Finding topics and partitions for a request of the data plane, by name or id.
//!
//! Guarantees that "no such topic" is said only from a catalog as fresh as the request (design, section 5), and that a request asks for
//! that at most once, however many topics it names.

use std::sync::Arc;

use siltstone_kafka::ErrorCode;
use siltstone_log::{PartitionId, TopicId, TopicRow};
use siltstone_metadata::catalog::CatalogState;

use super::context::Context;
use super::errors;

/// How a request names a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TopicKey {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(TopicId),
}

impl TopicKey {
    /// One of both, as the request's version has it.
    pub(super) fn new(by_id: bool, name: &str, id: uuid::Uuid) -> Self {
        if by_id { TopicKey::Id(TopicId(id.as_u128())) } else { TopicKey::Name(name.into()) }
    }
}

/// The catalog as one request sees it.
#[derive(Debug)]
pub(super) struct Topics<'a> {
    cx: &'a Context,
    state: Arc<CatalogState>,
    fresh: bool,
}

impl<'a> Topics<'a> {
    pub(super) fn new(cx: &'a Context) -> Self {
        Topics { cx, state: cx.engine().catalog().state(), fresh: false }
    }

    fn look(&self, key: &TopicKey) -> Option<&Arc<TopicRow>> {
        match key {
            TopicKey::Name(name) => self.state.topic(name),
            TopicKey::Id(id) => self.state.by_id(*id),
        }
    }

    /// Refuses what a client is to send elsewhere, as this agent is about to leave. Clients ask for metadata then, which has named others for a while.
    pub(super) fn still_served(&self) -> Result<(), ErrorCode> {
        if !self.cx.engine().departs() {
            return Ok(());
        }
        self.cx.engine().refused();
        Err(ErrorCode::NotLeaderOrFollower)
    }

    /// A partition and its topic.
    pub(super) async fn partition(
        &mut self,
        key: &TopicKey,
        index: i32,
    ) -> Result<(Arc<TopicRow>, PartitionId), ErrorCode> {
        let wanted = u32::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        loop {
            match (self.look(key), key) {
                (Some(row), _) if wanted < row.partitions => {
                    return Ok((row.clone(), PartitionId { topic: row.id, index: wanted }));
                }
                (None, TopicKey::Id(_)) if self.fresh => return Err(ErrorCode::UnknownTopicId),
                _ if self.fresh => return Err(ErrorCode::UnknownTopicOrPartition),
                _ => {
                    let fresh = self.cx.engine().catalog().fresh().await;
                    self.state = fresh.map_err(|error| errors::catalog_read(&error))?;
                    self.fresh = true;
                }
            }
        }
    }
}

/// Whether a client's idea of the leader epoch is ours: it is 0, everywhere and always (design, section 6). -1 is no idea.
pub(super) fn check_leader_epoch(current: i32) -> Result<(), ErrorCode> {
    match current {
        -1 | 0 => Ok(()),
        1.. => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Err(ErrorCode::FencedLeaderEpoch),
    }
}
