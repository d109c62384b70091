//! Joining, living and leaving in the consumer protocol (KIP-848).

use std::sync::Arc;

use siltstone_configs::BrokerConfig;
use siltstone_metadata::group::Kind;
use siltstone_metadata::group::consumer::{HeartbeatAnswer, HeartbeatRequest, Refusal, View};
use uuid::Uuid;

use super::{GroupError, Groups};

impl Groups {
    /// A member joins, lives or leaves, as ConsumerGroupHeartbeat of this version says.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn consumer_heartbeat(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        version: i16,
        mut request: HeartbeatRequest,
    ) -> Result<HeartbeatAnswer, GroupError> {
        if group.is_empty() {
            return Err(Refusal::InvalidRequest("GroupId can't be empty.").into());
        }
        Groups::check_id(group)?;
        request.check(version, &self.now(config).settings.consumer)?;
        if request.member.is_empty() {
            request.member = Uuid::from_u128(self.parts.ambient.chance.next()).to_string();
        }
        let create = request.epoch == 0;
        let beat = self.with(config, group, create, move |loaded, now| {
            loaded.machine.consumer_heartbeat(&now.context(), &request)
        });
        Ok(beat.await??)
    }

    /// The group as it is, if it is one of the consumer protocol.
    ///
    /// # Errors
    /// See [`GroupError`]; `NotFound` also for a group of the classic protocol.
    pub async fn describe_consumer(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
    ) -> Result<View, GroupError> {
        let view = self.with(config, group, false, |loaded, now| match loaded.machine.kind() {
            Kind::Consumer(group) => Ok(group.describe(&now.settings.consumer)),
            Kind::Classic(_) => Err(Refusal::NotThisProtocol("The group is not a consumer group.")),
        });
        Ok(view.await??)
    }
}
