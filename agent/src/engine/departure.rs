//! Coming and going beside other agents (design, section 6): warming up, and leaving without a failed request for clients that retry.
//!
//! ```text
//! warm up: a tenth of the share, then more … all
//! leave:   withdraw (weight 0, all others have seen it) ▸ depart (refuses what it has not begun, groups handed over, all flushed)
//!          ▸ quiet (nobody asks any more) ▸ the listeners' end ▸ Engine::stop
//! ```
//!
//! Each step of leaving has a bound, and may be left out: correctness rests on none of them. A client that is sent here all the same is served, or told to
//! look again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone_log::{RegistrationId, Standing};
use siltstone_metadata::lease;
use siltstone_metadata::level::Level;
use siltstone_store::Store;

use super::Engine;

/// The share grows in so many steps.
const STEPS: u16 = 10;
/// Nobody asks any more if nobody had to be refused for so long. Longer than clients wait before they try again what was refused, but for those that
/// were refused many times.
const QUIET: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How far an agent is on its way out.
#[derive(Debug, Default)]
pub(super) struct Departure {
    departs: Level<bool>,
    /// Requests that were refused for it.
    refused: AtomicU64,
}

/// How an agent stands that begins to warm up.
pub(super) fn first_standing() -> Standing {
    Standing::new(Standing::FULL.weight() / STEPS)
}

/// Raises the share step by step within `time`, until all of it is wanted or the agent drains.
pub(super) async fn warm_up(store: std::sync::Arc<dyn Store>, own: RegistrationId, time: Duration) {
    for step in 2..=STEPS {
        tokio::time::sleep(time / u32::from(STEPS)).await;
        let standing = Standing::new(Standing::FULL.weight() / STEPS * step);
        match lease::stand(store.as_ref(), own, standing).await {
            Ok(true) => {}
            // It drains, or is over.
            Ok(false) => return,
            Err(error) => tracing::debug!(%error, "the own share was not raised: with the next step"),
        }
    }
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

    /// A request was refused because this agent departs.
    pub(crate) fn refused(&self) {
        self.departure.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are other agents, as of the last look.
    pub fn has_company(&self) -> bool {
        self.agents().iter().any(|agent| agent.row.id != self.registration.id)
    }

    /// Has all other agents leave this one out of what they tell clients, and waits until all of them do, at most for `patience`. This one goes on as before.
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
        if tokio::time::timeout(patience, calm).await.is_err() {
            tracing::info!("some clients still ask here");
        }
    }
}
