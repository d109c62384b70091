//! When a checkpointer has anything to do.
//!
//! ```text
//! stands for the shard, something to write   ▸ every interval: the lease, a round
//! stands for it, nothing to write            ▸ nothing; rarely a look whether an operator wants it counted
//! holds the lease, stands for it no more     ▸ gives the lease up: those that do stand for it follow it anyway
//! neither                                    ▸ rarely a look: entries that nobody checkpoints are taken care of, then it is left alone again
//! ```
//!
//! So each shard with entries has somebody, also if rosters differ or the agents that stand for it can't do it.

use siltstone_log::Position;
use siltstone_store::{Commit, RangeLimit};
use tokio::time::Instant;

use super::{CheckpointError, Checkpointer};
use crate::keys::{shard_counted, shard_floor, shard_log};
use crate::shard::LEVEL_COMPACTION;

/// One turn in so many is a look at what nobody told of.
const RARELY: u64 = 15;

/// How many turns there were.
#[derive(Debug, Default)]
pub(super) struct Turns {
    count: u64,
    /// The shard was left to itself, and this agent does what is due though it doesn't stand for it.
    rescues: bool,
}

impl Checkpointer {
    /// A round, if one is due.
    pub(crate) async fn turn(&mut self) -> Result<(), CheckpointError> {
        let rarely = self.turns.count.is_multiple_of(RARELY);
        self.turns.count += 1;
        match self.shard.stands() {
            true => self.standing(rarely).await,
            false => self.beside(rarely).await,
        }
    }

    async fn standing(&mut self, rarely: bool) -> Result<(), CheckpointError> {
        self.turns.rescues = false;
        let expires = *self.last_expire.get_or_insert_with(Instant::now);
        let due = self.has_work() || expires.elapsed() >= self.expires_every();
        if due || rarely && self.is_uncounted().await? {
            self.round().await?;
            if !self.shard.held() {
                // Somebody else sees to it.
                self.last_expire = None;
            }
            return Ok(());
        }
        // A holder with nothing to write shows no life, and need not.
        self.lease.forget();
        Ok(())
    }

    async fn beside(&mut self, rarely: bool) -> Result<(), CheckpointError> {
        self.last_expire = None;
        if self.shard.held() && !self.turns.rescues {
            return self.give_up().await;
        }
        if self.turns.rescues || rarely && self.is_behind().await? {
            self.round().await?;
            self.turns.rescues = self.shard.held();
            if self.turns.rescues && !self.has_work() {
                self.turns.rescues = false;
                self.give_up().await?;
            }
        }
        Ok(())
    }

    /// Whether there is something to write, as far as is known here.
    fn has_work(&self) -> bool {
        let work = self.shard.checkpoint_view(|state, dirty, floor| {
            state.position() > floor || !dirty.partitions.is_empty() || !dirty.topics.is_empty()
        });
        work.unwrap_or(false)
    }

    /// Whether the uses of the shard's segments are to be counted.
    async fn is_uncounted(&self) -> Result<bool, CheckpointError> {
        let level = self.shard.checkpoint_view(|state, _, _| state.head().level);
        if level.is_none_or(|level| level < LEVEL_COMPACTION) {
            return Ok(false);
        }
        let snapshot = self.store.0.snapshot().await?;
        Ok(snapshot.get(&shard_counted::key(self.shard.id())).await?.is_none())
    }

    /// Whether the log has entries that the floor has not passed.
    async fn is_behind(&self) -> Result<bool, CheckpointError> {
        let (shard, snapshot) = (self.shard.id(), self.store.0.snapshot().await?);
        let floor = snapshot.get(&shard_floor::key(shard)).await?;
        let floor = shard_floor::decode(floor.as_deref()).unwrap_or(Position::ZERO);
        let one = RangeLimit { entries: 1, ..RangeLimit::default() };
        Ok(!snapshot.range(&shard_log::after(shard, floor), one).await?.entries.is_empty())
    }

    /// Gives the lease up, if it is held still.
    async fn give_up(&mut self) -> Result<(), CheckpointError> {
        self.candidates.clear();
        self.shard.hold(false);
        let snapshot = self.store.0.snapshot().await?;
        let Some(held) = self.lease.held(snapshot.as_ref()).await? else { return Ok(()) };
        let (read_version, mutations) = (Some(snapshot.version()), vec![held.release()]);
        let commit = Commit { read_version, reads: held.reads(), mutations, ..Commit::default() };
        self.store.0.commit(commit).await?;
        Ok(())
    }
}
