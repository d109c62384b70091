//! How an agent stands, and telling all others (design, section 6: weights, drain).
//!
//! It rests in a key beside the registration: the registration is in the read set of every append of its agent, so that a change there would
//! abort the agent's own appends. Nothing that must be right rests on a standing: by it clients are told where to go.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{RegistrationId, RegistrationRow, Role, Standing};
use siltstone_store::{Commit, CommitError, Entry, KeyRange, Mutation, Pages, Snapshot, Store, StoreError};

use super::RegisterError;
use super::registration::{TRIES, pause};
use crate::keys::{beat, registration, roster_log, standing};

/// Time between two looks at whether all others have looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A round of another agent that began before what it is to see may still be under way. The one after it has seen it.
const ROUNDS: u64 = 2;

/// An agent, as it is and as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its registration.
    pub row: RegistrationRow,
    /// How it stands.
    pub standing: Standing,
}

/// Everything that is registered, of whatever role.
///
/// # Errors
/// If the store does not answer, or a row can't be read.
pub async fn members(store: &dyn Store) -> Result<Vec<Member>, RegisterError> {
    members_at(&*store.snapshot().await?).await
}

pub(super) async fn members_at(snapshot: &dyn Snapshot) -> Result<Vec<Member>, RegisterError> {
    let mut standings = BTreeMap::new();
    for (key, value) in everything(snapshot, standing::all()).await? {
        if let Some(id) = standing::parse(&key) {
            standings.insert(id, Standing::decode(&value)?);
        }
    }
    let mut members = Vec::new();
    for (_, value) in everything(snapshot, registration::all()).await? {
        let row = RegistrationRow::decode(&value)?;
        let standing = standings.get(&row.id).copied().unwrap_or_default();
        members.push(Member { row, standing });
    }
    Ok(members)
}

/// All of a range: there is a row for each process of the cluster in those that are read so.
pub(super) async fn everything(snapshot: &dyn Snapshot, range: KeyRange) -> Result<Vec<Entry>, StoreError> {
    let (mut pages, mut entries) = (Pages::of(range), Vec::new());
    while let Some(page) = pages.next(snapshot).await? {
        entries.extend(page);
    }
    Ok(entries)
}

/// Has an agent stand so from now on. `false`: its registration is over, or it drains, which is for good.
///
/// # Errors
/// [`RegisterError::Unavailable`]: it may or may not stand so.
pub async fn stand(
    store: &dyn Store,
    own: RegistrationId,
    standing: Standing,
) -> Result<bool, RegisterError> {
    let mut last = String::new();
    for attempt in 0..TRIES {
        let snapshot = store.snapshot().await?;
        let stands = snapshot.get(&standing::key(own)).await?;
        let drains = stands.is_some_and(|bytes| Standing::decode(&bytes).is_ok_and(Standing::drains));
        if snapshot.get(&registration::key(own)).await?.is_none() || (drains && !standing.drains()) {
            return Ok(false);
        }
        let commit = Commit {
            read_version: Some(snapshot.version()),
            // It must not outlive the registration, nor take effect late behind another one.
            reads: vec![KeyRange::key(registration::key(own)), KeyRange::key(standing::key(own))],
            mutations: [vec![set(own, standing)], roster_log::changed(own).into()].concat(),
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(true),
            Err(error) => last = error.to_string(),
        }
        pause(attempt, own).await;
    }
    Err(RegisterError::Unavailable(last))
}

/// The row, or none for what is taken where there is none.
pub(super) fn set(own: RegistrationId, standing: Standing) -> Mutation {
    let key = standing::key(own);
    if standing == Standing::FULL {
        return Mutation::Clear { key };
    }
    Mutation::Set { key, value: standing.encode().into() }
}

/// Waits until every other agent that lives has looked at who is there, and how they stand, since this call began: two rounds of each, told by its beat. Waits
/// for as long as that takes; give it a bound.
///
/// # Errors
/// If the store does not answer.
pub async fn seen_by_all(store: &dyn Store, own: RegistrationId) -> Result<(), StoreError> {
    let mut waiting = beats(store, own).await?;
    while !waiting.is_empty() {
        let look = Commit { mutations: roster_log::changed(own).into(), ..Commit::default() };
        match store.commit(look).await {
            // They look by themselves, too, only later.
            Ok(_) | Err(CommitError::Unknown(_)) => {}
            Err(error) => tracing::debug!(%error, "the others are not asked to look"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let now = beats(store, own).await?;
        waiting.retain(|id, then| now.get(id).is_some_and(|now| now.wrapping_sub(*then) < ROUNDS));
    }
    Ok(())
}

/// The beats of all other agents.
async fn beats(store: &dyn Store, own: RegistrationId) -> Result<BTreeMap<RegistrationId, u64>, StoreError> {
    let snapshot = store.snapshot().await?;
    let pulses: BTreeMap<Bytes, Bytes> = everything(&*snapshot, beat::all()).await?.into_iter().collect();
    let mut beats = BTreeMap::new();
    for (_, value) in everything(&*snapshot, registration::all()).await? {
        let Ok(row) = RegistrationRow::decode(&value) else { continue };
        let pulse = pulses.get(&beat::key(row.id)).and_then(|pulse| pulse.as_ref().try_into().ok());
        if row.role == Role::Agent && row.id != own {
            beats.insert(row.id, pulse.map_or(0, u64::from_le_bytes));
        }
    }
    Ok(beats)
}
