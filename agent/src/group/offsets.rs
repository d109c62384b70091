//! Commits of offsets. They go past the machine, which only says who may commit.

use std::sync::Arc;

use bytes::Bytes;
use siltstone_configs::BrokerConfig;
use siltstone_log::{OffsetRow, PartitionId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::group::classic;
use siltstone_metadata::group::consumer::{Committer, Committing, Refusal};
use siltstone_metadata::keys::{group_head, group_member, group_offset, group_pending, parts};
use siltstone_metadata::lease::GroupHold;
use siltstone_metadata::transaction::Claim;
use siltstone_store::{Commit, CommitError, KeyRange, Mutation};
use tokio::time::Instant;

use super::pending::join;
use super::{GroupError, Groups};

/// One transaction takes offsets of about so many bytes.
const WRITTEN_AT_ONCE: usize = 500_000;
/// A row takes so much beside its metadata.
const ROW_BYTES: usize = 100;

/// The first version of OffsetCommit whose clients know of groups that aren't there.
const KNOWS_NO_GROUP: i16 = 9;

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetCommitter {
    /// The member; empty if it is in no group.
    pub member: String,
    /// The instance id of a static one.
    pub instance: Option<String>,
    /// Its generation or epoch; negative if it is in no group.
    pub generation: i32,
    /// The version of OffsetCommit.
    pub version: i16,
}

/// The transaction with which offsets are to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetTransaction {
    /// Its transactional id.
    pub id: String,
    /// The producer whose it is.
    pub claim: Claim,
}

/// An offset to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOffset {
    /// Of which partition.
    pub partition: PartitionId,
    /// What is kept of it.
    pub row: OffsetRow,
}

/// A commit of offsets, but for the offsets.
#[derive(Clone, Copy)]
struct Request<'a> {
    group: &'a str,
    who: &'a OffsetCommitter,
    transaction: Option<&'a OffsetTransaction>,
}

impl Request<'_> {
    /// Where an offset goes.
    fn key(&self, partition: PartitionId) -> Bytes {
        match self.transaction {
            None => group_offset::key(self.group, partition),
            Some(transaction) => group_pending::key(self.group, transaction.claim.producer_id, partition),
        }
    }
}

impl Groups {
    /// Commits offsets, durably.
    ///
    /// # Errors
    /// See [`GroupError`]: then some may have been committed, if there were very many, or if it is `Unavailable`.
    pub async fn commit(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        who: OffsetCommitter,
        offsets: Vec<NewOffset>,
    ) -> Result<(), GroupError> {
        self.commit_all(config, Request { group, who: &who, transaction: None }, offsets).await
    }

    /// Hands offsets to a transaction, durably: they are committed when it is. Whoever wants stable offsets waits for it.
    ///
    /// # Errors
    /// See [`GroupError`]: then some may have been handed over, if there were very many, or if it is `Unavailable`.
    pub async fn commit_with(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        who: OffsetCommitter,
        transaction: OffsetTransaction,
        offsets: Vec<NewOffset>,
    ) -> Result<(), GroupError> {
        let transaction = Some(&transaction);
        self.commit_all(config, Request { group, who: &who, transaction }, offsets).await
    }

    async fn commit_all(
        self: &Arc<Self>,
        config: &BrokerConfig,
        request: Request<'_>,
        offsets: Vec<NewOffset>,
    ) -> Result<(), GroupError> {
        let mut some = Vec::with_capacity(offsets.len());
        let mut bytes = 0;
        for offset in offsets {
            bytes += ROW_BYTES + offset.row.metadata.len();
            some.push(offset);
            if bytes >= WRITTEN_AT_ONCE {
                self.commit_some(config, request, &std::mem::take(&mut some)).await?;
                bytes = 0;
            }
        }
        // Also if there is nothing left: then it is a sign of life, and may be refused.
        self.commit_some(config, request, &some).await
    }

    async fn commit_some(
        self: &Arc<Self>,
        config: &BrokerConfig,
        request: Request<'_>,
        offsets: &[NewOffset],
    ) -> Result<(), GroupError> {
        let until = Instant::now() + std::time::Duration::from_millis(config.offsets.commit_timeout_ms);
        let mut pause = std::time::Duration::from_millis(1);
        loop {
            let why = match self.try_commit(config, request, offsets).await {
                Err(GroupError::Unavailable(why)) => why,
                done => return done,
            };
            if Instant::now() >= until {
                return Err(GroupError::Unavailable(why));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(std::time::Duration::from_millis(100));
        }
    }

    /// One try. The snapshot comes first, then the machine is asked: should a new generation come in between, its head changes after the
    /// snapshot, and the commit of what an earlier generation's member read conflicts.
    async fn try_commit(
        self: &Arc<Self>,
        config: &BrokerConfig,
        request: Request<'_>,
        offsets: &[NewOffset],
    ) -> Result<(), GroupError> {
        let Request { group, who, transaction } = request;
        let snapshot = self.parts.store.snapshot().await?;
        let mut reads = Vec::new();
        let set = |offset: &NewOffset| Mutation::Set {
            key: request.key(offset.partition),
            value: offset.row.encode().into(),
        };
        let mut mutations: Vec<Mutation> = offsets.iter().map(set).collect();
        if let Some(transaction) = transaction {
            let now = self.parts.ambient.clock.now();
            let joined = join(snapshot.as_ref(), group, transaction, now).await?;
            reads = joined.reads;
            if !mutations.is_empty() {
                mutations.extend(joined.mutations);
            }
        }
        let whose = transaction.map(|_| offsets.iter().map(|offset| offset.partition).collect());
        let hold = self.permit(config, group, who.clone(), whose).await?;
        if !hold.holds(snapshot.as_ref()).await? && !bugs::on(Bug::OffsetsUnfenced) {
            // Loaded or lost since the snapshot: the next try tells.
            return Err(GroupError::Unavailable("the group has just been loaded".into()));
        }
        // Not before that: who is no coordinator any more may not say that it has heard the member.
        if mutations.is_empty() {
            return Ok(());
        }
        reads.extend(commit_reads(request, &hold, &mutations));
        let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
        // In a task of its own: a client that goes away would leave a commit that may take effect behind its next one.
        let (groups, group) = (self.clone(), group.to_owned());
        let done = tokio::spawn(async move { groups.commit_fenced(&group, commit).await });
        done.await.unwrap_or(Err(GroupError::NotCoordinator))
    }

    async fn commit_fenced(&self, group: &str, commit: Commit) -> Result<(), GroupError> {
        match self.parts.store.commit(commit).await {
            Ok(_) => Ok(()),
            Err(CommitError::TooLarge(why)) => Err(GroupError::Corrupt(why)),
            Err(CommitError::Unknown(why)) => {
                if !bugs::on(Bug::UnknownGroupWrites) {
                    self.fence(group).await;
                }
                Err(GroupError::Unavailable(why))
            }
            Err(error) => Err(GroupError::Unavailable(error.to_string())),
        }
    }

    /// Asks the machine whether these may be committed. `handed_over`: to a transaction, these partitions' offsets.
    async fn permit(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        who: OffsetCommitter,
        handed_over: Option<Vec<PartitionId>>,
    ) -> Result<GroupHold, GroupError> {
        let (create, version) = (who.generation < 0, who.version);
        let transactional = handed_over.is_some();
        let permitted = self
            .with(config, group, create, move |loaded, now| {
                let OffsetCommitter { member, instance, generation, version } = &who;
                let who = Committer { member, instance: instance.as_deref(), epoch: *generation };
                let cx = now.context();
                let how =
                    handed_over.as_ref().map_or(Committing::At(*version), |these| Committing::With(these));
                let may = loaded.machine.may_commit(&cx, &who, how);
                if !bugs::on(Bug::AnybodyCommits) {
                    may?;
                }
                loaded.machine.exist(&cx);
                Ok::<_, Refusal>(loaded.hold.clone())
            })
            .await;
        match permitted {
            Err(GroupError::NotFound(_)) if transactional || version < KNOWS_NO_GROUP => {
                Err(classic::Refusal::IllegalGeneration.into())
            }
            // TxnOffsetCommit knows nothing of epochs of members, nor of owners.
            Ok(Err(Refusal::StaleMemberEpoch { .. } | Refusal::OwnedByAnother { .. })) if transactional => {
                Err(classic::Refusal::IllegalGeneration.into())
            }
            other => Ok(other??),
        }
    }

    /// Whether a member may read offsets: one that has been fenced must not go on from them. Who names no member may always; a group that isn't
    /// there has nobody to fence.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn may_fetch(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        member: Option<String>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        if member.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member.unwrap_or_default();
        let may = self.with(config, group, false, move |loaded, _| {
            loaded.machine.may_fetch(Some(&Committer { member: &member, instance: None, epoch }))
        });
        match may.await {
            Err(GroupError::NotFound(_)) => Ok(()),
            other => Ok(other??),
        }
    }

    /// Removes offsets. What came of each partition, in their order; `topics` says the name of each one's topic.
    ///
    /// # Errors
    /// See [`GroupError`]: then none was removed.
    pub async fn delete_offsets(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        partitions: Vec<(String, PartitionId)>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let names: Vec<String> = partitions.iter().map(|(name, _)| name.clone()).collect();
        let (mut hold, subscribed) = self
            .with(config, group, false, move |loaded, now| {
                if !loaded.machine.is_idle() && !loaded.machine.speaks_consumer() {
                    return Err(GroupError::NotEmpty);
                }
                let cx = now.context();
                let subscribed =
                    names.iter().map(|name| loaded.machine.is_subscribed_to(&cx, name)).collect();
                Ok::<(GroupHold, Vec<bool>), _>((loaded.hold.clone(), subscribed))
            })
            .await??;
        let mut mutations = Vec::new();
        let mut results = Vec::with_capacity(partitions.len());
        for ((_, partition), subscribed) in partitions.into_iter().zip(subscribed) {
            if subscribed {
                results.push(Err(GroupError::Subscribed));
                continue;
            }
            mutations.push(Mutation::Clear { key: group_offset::key(group, partition) });
            results.push(Ok(()));
        }
        if !mutations.is_empty() {
            self.write(&mut hold, mutations).await?;
        }
        Ok(results)
    }
}

/// What must be as it was when the committer was judged.
fn commit_reads(request: Request<'_>, hold: &GroupHold, mutations: &[Mutation]) -> Vec<KeyRange> {
    let Request { group, who, transaction } = request;
    if bugs::on(Bug::OffsetsUnfenced) {
        return Vec::new();
    }
    let mut reads = hold.reads();
    reads.push(KeyRange::key(group_head::key(group)));
    // What it gives up in the consumer protocol changes its own row alone; that another one has taken it since, only that one's.
    reads.extend((!who.member.is_empty()).then(|| match transaction {
        None => parts::range(&group_member::prefix(group, &who.member)),
        Some(_) => group_member::of(group),
    }));
    // A client that lost patience comes back over another connection: what it sent before must not land behind what it sends now.
    let written = mutations.iter().filter_map(|mutation| match mutation {
        Mutation::Set { key, .. } => Some(KeyRange::key(key.clone())),
        _ => None,
    });
    reads.extend(written.filter(|_| !bugs::on(Bug::OffsetsOvertake)));
    reads
}
