//! Moving the floor, and what rides on it: trimming the log, forgetting producers.

use bytes::Bytes;
use siltstone_log::{Entry, Position};
use siltstone_store::{Commit, KeyRange, Mutation};
use tokio::time::Instant;

use super::{Candidate, CheckpointError, Checkpointer};
use crate::keys::{parts, producer_ids, shard_floor, shard_head, shard_log, shard_tick};
use crate::lease::Held;

/// Producers are expired at most so often per expiration time.
const EXPIRES_PER_TERM: u32 = 24;

impl Checkpointer {
    /// Moves the floor to the newest candidate that is old enough.
    pub(super) async fn move_floor(&mut self, held: &Held) -> Result<(), CheckpointError> {
        let lag = self.settings.floor_lag;
        let due = self.candidates.iter().rposition(|candidate| candidate.at.elapsed() >= lag);
        let Some(candidate) = due.and_then(|at| self.candidates.get(at).cloned()) else { return Ok(()) };
        self.write_floor(held, &candidate).await?;
        self.candidates.retain(|other| other.position > candidate.position);
        Ok(())
    }

    async fn write_floor(&mut self, held: &Held, candidate: &Candidate) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        let snapshot = self.store.0.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Err(CheckpointError::LeaseLost);
        }
        let key = shard_floor::key(shard);
        let floor = shard_floor::decode(snapshot.get(&key).await?.as_deref()).unwrap_or(Position::ZERO);
        if floor >= candidate.position {
            return Ok(());
        }
        let mut reads = held.reads();
        reads.push(KeyRange::key(key.clone()));
        let mut mutations = vec![
            held.beat(),
            Mutation::Set { key, value: Bytes::copy_from_slice(&candidate.position.0) },
            Mutation::ClearRange { range: shard_log::up_to(shard, candidate.position) },
        ];
        let head: Bytes = candidate.head.encode().into();
        parts::set(&mut mutations, &shard_head::prefix(shard), &head);
        let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
        self.store.0.commit(commit).await?;
        self.last_beat = Some(Instant::now());
        Ok(())
    }

    pub(super) fn expires_every(&self) -> std::time::Duration {
        self.settings.producer_expiration / EXPIRES_PER_TERM
    }

    /// Appends an `Expire` entry now and then.
    pub(super) async fn expire_producers(&mut self, held: &Held) -> Result<(), CheckpointError> {
        let every = self.expires_every();
        match self.last_expire {
            // A new holder waits a term's part first: restarts don't add up to many entries.
            None => self.last_expire = Some(Instant::now()),
            Some(at) if at.elapsed() >= every => {
                self.append_expire(held).await?;
                self.last_expire = Some(Instant::now());
            }
            Some(_) => {}
        }
        Ok(())
    }

    async fn append_expire(&self, held: &Held) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        let snapshot = self.store.0.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Err(CheckpointError::LeaseLost);
        }
        let ids = producer_ids::decode(snapshot.get(&producer_ids::key()).await?.as_deref()).unwrap_or(0);
        let term = self.settings.producer_expiration.as_millis() as i64;
        let entry = Entry::Expire { before: self.ambient.clock.now() - term, ids_below: ids as i64 };
        let mutations = vec![shard_log::append(shard, 0, entry.encode()), shard_tick::tick(shard)];
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: held.reads(),
            mutations,
            ..Commit::default()
        };
        self.store.0.commit(commit).await?;
        self.shard.poke();
        Ok(())
    }
}
