//! Staying alive among others: beats, and what the others' beats say.
//!
//! A round reads who is there, tells the roster, and only then beats: so whoever sees two beats of an agent knows that it has taken in what was
//! there before. Rounds come several times per lease time, and soon after any change that somebody told of (`roster_tick`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::{Commit, KeyRange, Mutation, Snapshot, Store, Watch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::standing::{Member, everything, members_at};
use super::{Observer, RegisterError, Roster, end};
use crate::follow::until_news;
use crate::keys::{beat, registration, roster_tick};

/// Rounds come so many times per lease time if nothing happens, ...
const ROUNDS: u32 = 5;
/// ... and at most so many times if much does.
const MOST_ROUNDS: u32 = 40;

/// Keeps the own registration alive, and ends those of agents that show no life.
pub struct Membership {
    store: Arc<dyn Store>,
    own: RegistrationId,
    shards: u16,
    lease: Duration,
    others: BTreeMap<RegistrationId, Observer>,
    /// When the store was last looked at with success.
    looked: Duration,
    /// Who wants to know, if anybody does.
    roster: Option<Arc<Roster>>,
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Membership({:?})", self.own)
    }
}

impl Membership {
    /// For the agent with registration `own`; `lease`: how long another must be silent to be declared dead.
    pub fn new(store: Arc<dyn Store>, own: RegistrationId, shards: u16, lease: Duration) -> Self {
        let others = BTreeMap::new();
        Membership { store, own, shards, lease, others, looked: Duration::ZERO, roster: None }
    }

    /// The same, telling who is alive to `roster`, and soon.
    #[must_use]
    pub fn telling(mut self, roster: Arc<Roster>) -> Self {
        self.roster = Some(roster);
        self
    }

    /// Beats and watches until the own registration is found to be over.
    pub async fn run(mut self) {
        let (started, nobody) = (Instant::now(), Notify::new());
        let mut watch: Option<Watch> = None;
        loop {
            if watch.is_none() && self.roster.is_some() {
                watch = self.store.watch(&roster_tick::key()).await.ok();
            }
            match self.round(started).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "membership: the round failed"),
            }
            let least = self.lease / MOST_ROUNDS;
            tokio::time::sleep(least).await;
            until_news(&mut watch, &nobody, (self.lease / ROUNDS).saturating_sub(least)).await;
        }
    }

    /// One look and one beat. `false`: the own registration is over.
    async fn round(&mut self, started: Instant) -> Result<bool, RegisterError> {
        let snapshot = self.store.snapshot().await?;
        if snapshot.get(&registration::key(self.own)).await?.is_none() {
            return Ok(false);
        }
        let members = members_at(&*snapshot).await?;
        self.tell(&members);
        self.beat(&*snapshot).await;
        let pulses = everything(&*snapshot, beat::all()).await?.into_iter().collect();
        let alive = self.judge(&members, &pulses, started.elapsed()).await?;
        if alive.len() < members.len() {
            self.tell(&alive);
        }
        Ok(true)
    }

    async fn beat(&self, snapshot: &dyn Snapshot) {
        // The beat must not bring back a row that another ends at this moment: hence the read.
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: vec![KeyRange::key(registration::key(self.own))],
            mutations: vec![Mutation::Add { key: beat::key(self.own), delta: 1 }],
            ..Commit::default()
        };
        if let Err(error) = self.store.commit(commit).await {
            tracing::debug!(%error, "beat not known to be written");
        }
    }

    /// Ends those that were silent for too long. Returns the others.
    async fn judge(
        &mut self,
        members: &[Member],
        pulses: &BTreeMap<Bytes, Bytes>,
        now: Duration,
    ) -> Result<Vec<Member>, RegisterError> {
        if now.saturating_sub(self.looked) > self.lease / 2 {
            // The store, or this agent, was away: the others could not beat either, or could not be heard.
            self.others.clear();
        }
        self.looked = now;
        let (mut seen, mut alive) = (BTreeMap::new(), Vec::with_capacity(members.len()));
        for member in members {
            let id = member.row.id;
            if id != self.own {
                let pulse = pulses.get(&beat::key(id)).cloned();
                let mut observer = self.others.remove(&id).unwrap_or_default();
                // A registration never changes: its bytes need no watching.
                let silent = observer.observe(None, pulse.clone(), now);
                if silent >= self.lease && end(self.store.as_ref(), id, self.shards, Some(pulse)).await? {
                    tracing::warn!(registration = ?id, node = member.row.node, "agent shows no life: its registration is ended");
                    continue;
                }
                seen.insert(id, observer);
            }
            alive.push(member.clone());
        }
        self.others = seen;
        Ok(alive)
    }

    fn tell(&self, members: &[Member]) {
        if let Some(roster) = &self.roster {
            roster.tell(members.to_vec());
        }
    }
}
