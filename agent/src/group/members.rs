//! Joining, syncing, living and leaving, in the classic protocol.

use std::sync::Arc;

use siltstone_configs::BrokerConfig;
use siltstone_metadata::group::Kind;
use siltstone_metadata::group::classic::{JoinRequest, Joined, Refusal, SyncRequest, Synced, View};
use siltstone_metadata::group::consumer::Leaver;
use tokio::sync::oneshot;

use super::slot::Waiting;
use super::{GroupError, Groups};

impl Groups {
    /// A member joins; returns once all others have joined, or time is up.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn join(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        request: JoinRequest,
    ) -> Result<Joined, GroupError> {
        let (sender, answer) = oneshot::channel();
        let token = self.token();
        let create = request.member.is_empty();
        let joined = self
            .with(config, group, create, move |loaded, now| {
                loaded.waiting.insert(token, Waiting::Join(sender));
                loaded.machine.join(&now.context(), token, request);
            })
            .await;
        joined.map_err(unknown_member)?;
        Ok(answer.await.map_err(|_| GroupError::NotCoordinator)??)
    }

    /// A member asks for its assignment; returns once the leader has assigned.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn sync(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        request: SyncRequest,
    ) -> Result<Synced, GroupError> {
        let (sender, answer) = oneshot::channel();
        let token = self.token();
        let synced = self
            .with(config, group, false, move |loaded, now| {
                loaded.waiting.insert(token, Waiting::Sync(sender));
                loaded.machine.sync(&now.context(), token, request);
            })
            .await;
        synced.map_err(unknown_member)?;
        Ok(answer.await.map_err(|_| GroupError::NotCoordinator)??)
    }

    /// A member lives.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn heartbeat(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        member: String,
        instance: Option<String>,
        generation: i32,
    ) -> Result<(), GroupError> {
        let beat = self.with(config, group, false, move |loaded, now| {
            loaded.machine.heartbeat(&now.context(), &member, instance.as_deref(), generation)
        });
        Ok(beat.await.map_err(unknown_member)??)
    }

    /// Members leave: each by id, by instance id, or both. What came of each, in their order.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn leave(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        leavers: Vec<(String, Option<String>)>,
    ) -> Result<Vec<Result<(), Refusal>>, GroupError> {
        let left = self.with(config, group, false, move |loaded, now| {
            let leaver = |(member, instance)| Leaver { member, instance };
            let leavers: Vec<Leaver> = leavers.into_iter().map(leaver).collect();
            let left = loaded.machine.leave(&now.context(), &leavers);
            left.into_iter().map(|(_, result)| result).collect()
        });
        left.await.map_err(unknown_member)
    }

    /// The group as it is, if it is one of the classic protocol.
    ///
    /// # Errors
    /// See [`GroupError`]; `NotFound` also for a group of the consumer protocol.
    pub async fn describe(self: &Arc<Self>, config: &BrokerConfig, group: &str) -> Result<View, GroupError> {
        let view = self.with(config, group, false, |loaded, _| match loaded.machine.kind() {
            Kind::Classic(group) => Some(group.view()),
            Kind::Consumer(_) => None,
        });
        view.await?.ok_or_else(|| GroupError::NotFound(group.to_owned()))
    }
}

/// For a member, a group that isn't there is one that doesn't know it.
fn unknown_member(error: GroupError) -> GroupError {
    match error {
        GroupError::NotFound(_) => Refusal::UnknownMember.into(),
        other => other,
    }
}
