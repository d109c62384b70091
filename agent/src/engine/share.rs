//! How much this agent wants of what is shared out: more step by step as it warms up, nothing while it can store nothing and others can.
//!
//! An agent that is cut off from the bucket stands back: placement leaves it out where others can take its place, and producers that still come are told
//! to ask who leads (`kafka/produce`). It comes back when something can be stored; where no agent can store anything all stand back, and share as
//! before. It is advice, as all placement.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{RegistrationId, Standing};
use siltstone_metadata::lease;
use siltstone_store::Store;
use tokio::time::{Instant, sleep};

use crate::produce::Writer;

/// The share grows in so many steps.
const STEPS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keeps how the agent stands.
pub(super) struct Share {
    pub(super) store: Arc<dyn Store>,
    pub(super) own: RegistrationId,
    pub(super) writer: Arc<Writer>,
    pub(super) warmup: Duration,
}

/// How an agent stands that has been there for so long.
pub(super) fn warmed(age: Duration, warmup: Duration) -> Standing {
    let full = Standing::FULL.weight();
    let step = if warmup.is_zero() { 1.0 } else { age.as_secs_f64() / warmup.as_secs_f64() };
    let steps = (step * f64::from(STEPS)) as u32 + 1;
    Standing::new(u16::try_from(u32::from(full) * steps.min(STEPS) / STEPS).unwrap_or(full))
}

impl Share {
    /// Until the agent drains, or is over.
    pub(super) async fn run(self) {
        let (begun, mut stands) = (Instant::now(), warmed(Duration::ZERO, self.warmup));
        let step = Some(self.warmup / STEPS).filter(|step| !step.is_zero());
        loop {
            sleep(step.map_or(LOOK_EVERY, |step| step.min(LOOK_EVERY))).await;
            let outage = self.writer.outage();
            let wanted = if outage.is_some() { Standing::BACK } else { warmed(begun.elapsed(), self.warmup) };
            if wanted == stands {
                continue;
            }
            match lease::stand(self.store.as_ref(), self.own, wanted).await {
                Ok(true) => {
                    if let Some(why) = outage {
                        tracing::warn!(%why, "clients are sent to other agents");
                    }
                    stands = wanted;
                }
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "the own share is not changed: soon again"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_a_tenth_to_all() {
        let warmup = Duration::from_secs(10);
        let at = |tenths: u64| warmed(Duration::from_millis(tenths * 100), warmup).weight();
        assert_eq!(
            [at(0), at(9), at(10), at(55), at(89), at(90), at(1000)],
            [100, 100, 200, 600, 900, 1000, 1000]
        );
        assert_eq!(warmed(Duration::ZERO, Duration::ZERO), Standing::FULL);
    }
}
