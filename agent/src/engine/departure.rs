//! Leaving others without a failed request for clients that retry (design, section 6).
//!
//! ```text
//! leave:   withdraw (weight 0, all others have seen it) ▸ see off (fetchers are told of another replica) ▸ depart (refuses what it has not begun,
//!          groups handed over, all flushed) ▸ quiet (nobody asks any more) ▸ the listeners' end ▸ Engine::stop
//! ```
//!
//! Each step of leaving has a bound, and may be left out: correctness rests on none of them. A client that is sent here all the same is served, or told to
//! look again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone_log::Standing;
use siltstone_metadata::lease;
use siltstone_metadata::level::Level;

use super::Engine;

/// Nobody asks any more if nobody had to be refused for so long. Longer than clients wait before they try again what was refused, but for those that
/// were refused many times.
const QUIET: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Fetchers are told of other replicas for so long at most: who does not heed it fetches in vain meanwhile.
const SEE_OFF: Duration = Duration::from_secs(1);

/// How far an agent is on its way out.
#[derive(Debug, Default)]
pub(super) struct Departure {
    sees_off: Level<bool>,
    departs: Level<bool>,
    /// Requests that were refused, or sent elsewhere, for it.
    refused: AtomicU64,
}

impl Engine {
    /// Whether this agent takes no more requests that others can take.
    pub(crate) fn departs(&self) -> bool {
        self.departure.departs.get()
    }

    /// Resolves once [`Engine::departs`].
    pub(crate) async fn departing(&self) {
        self.departure.departs.wait_for(|departs| departs).await;
    }

    /// Whether fetchers are sent to other agents.
    pub(crate) fn sees_off(&self) -> bool {
        self.departure.sees_off.get()
    }

    /// Resolves once [`Engine::sees_off`].
    pub(crate) async fn seeing_off(&self) {
        self.departure.sees_off.wait_for(|sees_off| sees_off).await;
    }

    /// A request was refused, or sent elsewhere, because this agent departs.
    pub(crate) fn refused(&self) {
        self.departure.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are other agents, as of the last look.
    pub fn has_company(&self) -> bool {
        self.agents().iter().any(|agent| agent.row.id != self.registration.id)
    }

    /// Has all other agents send clients elsewhere, though they list this one while it lives, and waits until all of them do, at most for `patience`.
    /// This one goes on as before.
    pub async fn withdraw(&self, patience: Duration) {
        let (store, own) = (self.store().as_ref(), self.registration.id);
        let told = async {
            if lease::stand(store, own, Standing::DRAINING).await? {
                lease::seen_by_all(store, own).await?;
            }
            // Its own answers must not trail theirs.
            self.roster.tell(lease::members(store).await?);
            Ok::<_, lease::RegisterError>(())
        };
        match tokio::time::timeout(patience, told).await {
            Ok(Ok(())) => tracing::info!("no agent sends clients here any more"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the others could not be told: clients come here to the end")
            }
            Err(_) => {
                tracing::warn!("not all others have looked in time: some clients may come here to the end")
            }
        }
    }

    /// Has who fetches go on at another agent at once, where its protocol knows of that (KIP-392): a refusal has clients pause before they look for a new
    /// leader, librdkafka for half a second. Returns when nobody comes any more, soon in any case, and after `patience` at most.
    pub async fn see_off(&self, patience: Duration) {
        self.departure.sees_off.set(true);
        self.calm(patience.min(SEE_OFF)).await;
    }

    /// From now on refuses what others can do and this agent has not begun: clients look for new leaders and coordinators. Returns when the groups are
    /// given up and what was taken before is answered; at most after `patience`.
    pub async fn depart(&self, patience: Duration) {
        self.departure.departs.set(true);
        let done = async { tokio::join!(self.groups.hand_over(), self.writer.drain()) };
        if tokio::time::timeout(patience, done).await.is_err() {
            tracing::warn!("not all was flushed and handed over in time: others take it over later");
        }
    }

    /// Waits until nobody had to be refused for a while, at most for `patience`.
    pub async fn quiet(&self, patience: Duration) {
        if !self.calm(patience).await {
            tracing::info!("some clients still ask here");
        }
    }

    /// Whether nobody had to be refused for a while, before `patience` ran out.
    async fn calm(&self, patience: Duration) -> bool {
        let count = || self.departure.refused.load(Ordering::Relaxed);
        let calm = async {
            let (mut last, mut since) = (count(), tokio::time::Instant::now());
            while since.elapsed() < QUIET {
                tokio::time::sleep(LOOK_EVERY).await;
                if count() != last {
                    (last, since) = (count(), tokio::time::Instant::now());
                }
            }
        };
        tokio::time::timeout(patience, calm).await.is_ok()
    }
}
