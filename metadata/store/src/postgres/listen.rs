//! Hearing what others committed: one connection that listens, for the watches.
//!
//! Whoever watches is woken by a notification, whenever the connection was lost, since then nobody knows what was missed, and every
//! five minutes in any case: so no watch misses a change for ever. Followers look at what they follow much more often, and a sweep costs a read of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, interval_at, sleep};

use super::reads::Reads;
use super::session::{Connector, Session};
use super::touched;
use crate::Version;
use crate::watches::Watches;

/// How often the connection is asked for a sign of life.
const BEAT: Duration = Duration::from_secs(5);
/// Every so many beats all watches fire.
const BEATS_PER_SWEEP: u32 = 60;
const RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// What this handle hears of commits.
pub(super) struct Ears {
    reads: Arc<Reads>,
    listening: AtomicBool,
    /// Some program commits to this store and does not tell versions.
    unclear: AtomicBool,
}

impl Ears {
    pub(super) fn new(reads: Arc<Reads>) -> Self {
        Ears { reads, listening: AtomicBool::new(false), unclear: AtomicBool::new(false) }
    }

    /// The greatest version that is known, if every commit up to it has fired what it touches, or happened before that was watched.
    pub(super) fn heard(&self) -> Option<Version> {
        let all = self.listening.load(Ordering::Acquire) && !self.unclear.load(Ordering::Acquire);
        all.then(|| self.reads.seen())
    }

    fn hear(&self, version: Option<Version>) {
        match version {
            Some(version) => self.reads.saw(version),
            None => self.unclear.store(true, Ordering::Release),
        }
    }
}

/// Listens until it is aborted.
pub(super) async fn run(connector: Connector, watches: Watches, ears: Arc<Ears>) {
    let mut pause = RETRY;
    loop {
        match listen(&connector, &watches, &ears).await {
            Ok((session, lost)) => {
                pause = RETRY;
                // What was written while nobody listened.
                watches.fire_all();
                stay(&session, lost, &watches).await;
                ears.listening.store(false, Ordering::Release);
                tracing::warn!(server = %connector.address(), "the connection that listens for changes was lost");
                watches.fire_all();
            }
            Err(why) => {
                tracing::warn!(server = %connector.address(), why, "can't listen for changes");
                watches.fire_all();
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_RETRY);
            }
        }
    }
}

/// A connection that listens, and what resolves when it ends.
async fn listen(
    connector: &Connector,
    watches: &Watches,
    ears: &Arc<Ears>,
) -> Result<(Session, oneshot::Receiver<()>), String> {
    let (alive, lost) = oneshot::channel::<()>();
    let heard = {
        let (watches, ears) = (watches.clone(), ears.clone());
        move |payload: &str| {
            // Dropped with this closure when the connection ends.
            let _alive = &alive;
            let (touched, version) = touched::heard(payload);
            // Before anybody is woken: who watches anew is to know of this.
            ears.hear(version);
            watches.fire_if(|key| touched.may_hold(key));
        }
    };
    let session = connector.connect(heard).await?;
    let channel = "SELECT 'siltstone_' || 'siltstone_commit'::regclass::oid";
    let channel: String = session.row(channel, &[]).await.map_err(|trouble| trouble.text())?.get(0);
    session.batch(&format!("LISTEN {channel}")).await.map_err(|trouble| trouble.text())?;
    // What was committed before is not heard. A server that has lost commits is found here, too: then they must be asked for, as that tells it.
    ears.reads.head().await.map_err(|error| error.to_string())?;
    ears.listening.store(true, Ordering::Release);
    Ok((session, lost))
}

/// Returns when the connection is lost.
async fn stay(session: &Session, mut lost: oneshot::Receiver<()>, watches: &Watches) {
    let mut beats = interval_at(Instant::now() + BEAT, BEAT);
    let mut count = 0_u32;
    loop {
        tokio::select! {
            biased;
            _ = &mut lost => return,
            _ = beats.tick() => {}
        }
        if session.batch("SELECT 1").await.is_err() {
            return;
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(BEATS_PER_SWEEP) {
            watches.fire_all();
        }
    }
}
