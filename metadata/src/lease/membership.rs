//! Staying alive among others: beats, and what the others' beats say.
//!
//! A round reads who is there, tells the roster, and only then beats: so whoever sees two beats of an agent knows that it has taken in what was
//! there before. Rounds come several times per lease time, and soon after any change that somebody told of (`roster_tick`).
//! With many agents a round stays small: of who is there it reads what has changed ([`Present`]), of beats those of a few ([`ring`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::{Commit, KeyRange, Mutation, Snapshot, Store, Watch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::present::Present;
use super::standing::everything;
use super::{Observer, RegisterError, Roster, end, ring};
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
    present: Present,
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
        let (present, others) = (Present::default(), BTreeMap::new());
        Membership { store, own, shards, lease, present, others, looked: Duration::ZERO, roster: None }
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
        if self.present.look(&*snapshot).await? {
            self.tell(&[]);
        }
        self.beat(&*snapshot).await;
        let watched = ring::watched(self.present.members(), self.own);
        let mut pulses = BTreeMap::new();
        for range in ring::beats(&watched, self.own) {
            pulses.extend(everything(&*snapshot, range).await?);
        }
        let dead = self.judge(&watched, &pulses, started.elapsed()).await?;
        if !dead.is_empty() {
            self.tell(&dead);
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
        match (self.store.commit(commit).await, &self.roster) {
            (Ok(_), Some(roster)) => roster.touched(),
            (Ok(_), None) => {}
            (Err(error), _) => tracing::debug!(%error, "beat not known to be written"),
        }
    }

    /// Ends those that were silent for too long, and says who they are.
    async fn judge(
        &mut self,
        watched: &[RegistrationId],
        pulses: &BTreeMap<Bytes, Bytes>,
        now: Duration,
    ) -> Result<Vec<RegistrationId>, RegisterError> {
        if now.saturating_sub(self.looked) > self.lease / 2 {
            // The store, or this agent, was away: the others could not beat either, or could not be heard.
            self.others.clear();
        }
        self.looked = now;
        let (mut seen, mut dead) = (BTreeMap::new(), Vec::new());
        for &id in watched {
            let pulse = pulses.get(&beat::key(id)).cloned();
            let mut observer = self.others.remove(&id).unwrap_or_default();
            // A registration never changes: its bytes need no watching.
            let silent = observer.observe(None, pulse.clone(), now);
            if silent >= self.lease && end(self.store.as_ref(), id, self.shards, Some(pulse)).await? {
                let node = self.present.members().get(&id).map(|member| member.row.node);
                tracing::warn!(registration = ?id, node, "agent shows no life: its registration is ended");
                dead.push(id);
            } else {
                seen.insert(id, observer);
            }
        }
        self.others = seen;
        Ok(dead)
    }

    /// Everyone but those who have just been found dead.
    fn tell(&self, dead: &[RegistrationId]) {
        if let Some(roster) = &self.roster {
            let members = self.present.members().values();
            roster.tell(members.filter(|member| !dead.contains(&member.row.id)).cloned().collect());
        }
    }
}
