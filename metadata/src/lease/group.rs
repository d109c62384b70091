//! Coordinators of groups: a lease without a beat of its own, since the coordinator's registration is its proof of life.

use siltstone_log::{RegistrationId, RegistrationRow};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Snapshot, Store, StoreError};

use crate::keys::lease::{decode_owner, encode_owner};
use crate::keys::{cluster, group_owner, registration};

const TRIES: usize = 10;

/// A group that this agent coordinated when it last looked. Writes that rest on it must carry [`GroupHold::reads`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupHold {
    group: String,
    own: RegistrationId,
    takeovers: u64,
}

/// What came of the try to coordinate a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// This agent does. Nothing that an earlier coordinator sent can take effect any more, also not this agent's own.
    Held(GroupHold),
    /// An agent that lives does.
    Other(RegistrationId),
    /// The own registration is over.
    Ended,
}

impl GroupHold {
    /// The group's id.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// What must be unchanged for the coordinator's writes to count: the owner, its registration, the cluster.
    pub fn reads(&self) -> Vec<KeyRange> {
        vec![
            KeyRange::key(group_owner::key(&self.group)),
            KeyRange::key(registration::key(self.own)),
            KeyRange::key(cluster::key()),
        ]
    }

    /// Whether the group is still held as of `snapshot`; the commit then carries [`GroupHold::reads`] at its version.
    ///
    /// # Errors
    /// As the snapshot's reads.
    pub async fn holds(&self, snapshot: &dyn Snapshot) -> Result<bool, StoreError> {
        let owner = snapshot.get(&group_owner::key(&self.group)).await?;
        let alive = snapshot.get(&registration::key(self.own)).await?.is_some();
        Ok(alive && owner.as_deref().and_then(decode_owner) == Some((self.own, self.takeovers)))
    }
}

/// The agent that coordinates a group and lives, as of `snapshot`.
///
/// # Errors
/// As the snapshot's reads.
pub async fn coordinator(snapshot: &dyn Snapshot, group: &str) -> Result<Option<RegistrationId>, StoreError> {
    let owner = snapshot.get(&group_owner::key(group)).await?;
    let Some((holder, _)) = owner.as_deref().and_then(decode_owner) else { return Ok(None) };
    let alive = snapshot.get(&registration::key(holder)).await?.is_some();
    Ok(alive.then_some(holder))
}

/// The registration of the agent that coordinates a group and lives, as of `snapshot`.
///
/// # Errors
/// As the snapshot's reads, or if the row can't be read.
pub async fn coordinator_row(
    snapshot: &dyn Snapshot,
    group: &str,
) -> Result<Option<RegistrationRow>, StoreError> {
    let owner = snapshot.get(&group_owner::key(group)).await?;
    let Some((holder, _)) = owner.as_deref().and_then(decode_owner) else { return Ok(None) };
    let row = snapshot.get(&registration::key(holder)).await?;
    let decode = |row: bytes::Bytes| RegistrationRow::decode(&row);
    row.map(decode).transpose().map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Gives a group up that the agent registered as `own` has: anybody may take it at once. Whatever that agent has sent under the lease before is void.
///
/// # Errors
/// If the store does not answer: then it may have it still.
pub async fn release(store: &dyn Store, group: &str, own: RegistrationId) -> Result<(), StoreError> {
    let key = group_owner::key(group);
    let mut last = String::new();
    for _ in 0..TRIES {
        let snapshot = store.snapshot().await?;
        let held = snapshot.get(&key).await?.as_deref().and_then(decode_owner);
        let Some((_, takeovers)) = held.filter(|(holder, _)| *holder == own) else { return Ok(()) };
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: vec![KeyRange::key(key.clone()), KeyRange::key(cluster::key())],
            mutations: vec![Mutation::Set {
                key: key.clone(),
                value: encode_owner(RegistrationId(0), takeovers),
            }],
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(StoreError::Unavailable(last))
}

/// Takes a group for the agent registered as `own`, unless another one that lives has it. Also if it has it already: then what it sent before and
/// does not know the outcome of is void.
///
/// # Errors
/// If the store does not answer.
pub async fn acquire(store: &dyn Store, group: &str, own: RegistrationId) -> Result<Acquired, StoreError> {
    let key = group_owner::key(group);
    for _ in 0..TRIES {
        let snapshot = store.snapshot().await?;
        if snapshot.get(&registration::key(own)).await?.is_none() {
            return Ok(Acquired::Ended);
        }
        let held = snapshot.get(&key).await?.as_deref().and_then(decode_owner);
        if let Some((holder, _)) = held
            && holder != own
            && snapshot.get(&registration::key(holder)).await?.is_some()
        {
            return Ok(Acquired::Other(holder));
        }
        let takeovers = held.map_or(0, |(_, takeovers)| takeovers) + 1;
        let hold = GroupHold { group: group.to_owned(), own, takeovers };
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: hold.reads(),
            mutations: vec![Mutation::Set { key: key.clone(), value: encode_owner(own, takeovers) }],
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(Acquired::Held(hold)),
            Err(CommitError::Conflict | CommitError::TooOld) => {}
            Err(error) => return Err(StoreError::Unavailable(error.to_string())),
        }
    }
    Err(StoreError::Unavailable(format!("the coordinator of group {group:?} keeps changing")))
}
