//! Where a page comes from that is missing: its owner, or the bucket.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::{SegmentId, SegmentPlace};
use siltstone_objects::ReadError;
use siltstone_objects::cache::{Page, SegmentSource};
use siltstone_peer::Ask;
use tokio::time::{Instant, timeout};

use crate::circuit::Circuits;
use crate::hot::Sketch;
use crate::owner::{Neighbour, owner, page_key};
use crate::{AskError, Identity, Neighbours, Transport, telemetry};

/// An owner that has not answered by then is given up, whatever the bucket says.
const LONGEST: Duration = Duration::from_secs(10);
/// Segments that are remembered as damaged.
const DISTRUSTED: usize = 64;

/// What a zone's cache is made of.
pub struct ZoneParts {
    /// Who this agent is.
    pub identity: Identity,
    /// Reads from the object store, and never from another agent.
    pub direct: Arc<dyn SegmentSource>,
    /// Asks other agents.
    pub transport: Arc<dyn Transport>,
    /// Who is there.
    pub neighbours: Neighbours,
    /// An owner that takes longer has the bucket asked beside it. Longer than it mostly takes to read a page from there.
    pub patience: Duration,
}

/// A source of pages that asks their owners.
pub struct Zone {
    parts: ZoneParts,
    state: Mutex<State>,
    /// Circuits count time from here.
    begun: Instant,
}

#[derive(Default)]
struct State {
    circuits: Circuits,
    sketch: Sketch,
    /// Segments of which something damaged came, the latest last.
    distrusted: VecDeque<SegmentId>,
}

/// Where to go with a page.
enum Way {
    /// To the bucket; the metrics' word for why.
    Direct(&'static str),
    Ask(Neighbour),
}

impl Zone {
    /// A source over these parts.
    pub fn new(parts: ZoneParts) -> Self {
        Zone { parts, state: Mutex::default(), begun: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self, segment: SegmentId, range: &Range<u64>) -> Way {
        let neighbours = (self.parts.neighbours)();
        let Some(owner) = owner(&neighbours, page_key(segment, range.start)) else {
            return Way::Direct("alone");
        };
        if owner.id == self.parts.identity.own {
            return Way::Direct(if neighbours.len() == 1 { "alone" } else { "own" });
        }
        if !Ask::fits(range) {
            return Way::Direct("alone");
        }
        let mut state = self.state();
        if state.distrusted.contains(&segment) {
            return Way::Direct("distrusted");
        }
        if state.circuits.may_ask(owner.id, self.begun.elapsed()) {
            Way::Ask(owner.clone())
        } else {
            Way::Direct("skipped")
        }
    }

    async fn direct(
        &self,
        why: &'static str,
        segment: SegmentPlace,
        range: Range<u64>,
    ) -> Result<Page, ReadError> {
        telemetry::page(why);
        Ok(Page { bytes: self.parts.direct.fetch(segment, range).await?, lent: false })
    }

    /// Asks an owner, and the bucket if that takes too long or fails.
    async fn ask(
        &self,
        owner: &Neighbour,
        segment: SegmentPlace,
        range: Range<u64>,
    ) -> Result<Page, ReadError> {
        let Identity { cluster, incarnation, own } = self.parts.identity.clone();
        let patience_ms = u32::try_from(LONGEST.as_millis()).unwrap_or(u32::MAX);
        let (sender, receiver) = (own, owner.id);
        let ask = Ask { cluster, incarnation, sender, receiver, segment, range: range.clone(), patience_ms };
        let begun = Instant::now();
        let mut asked = pin!(async {
            let asked = timeout(LONGEST, self.parts.transport.read(owner, &ask)).await;
            let answer = asked.unwrap_or_else(|_| Err(AskError::Failed("no answer in time".into())));
            self.judge(owner, &ask, answer, begun.elapsed())
        });
        if let Ok(given) = timeout(self.parts.patience, asked.as_mut()).await {
            return match given {
                Some(bytes) => Ok(self.borrowed(segment.id, &range, bytes)),
                None => self.direct("failed", segment, range).await,
            };
        }
        let mut direct = pin!(self.direct("late", segment, range.clone()));
        let read = tokio::select! {
            biased;
            given = asked.as_mut() => match given {
                Some(bytes) => return Ok(self.borrowed(segment.id, &range, bytes)),
                None => return direct.await,
            },
            read = direct.as_mut() => read,
        };
        match read {
            Ok(page) => {
                telemetry::asked("late");
                self.failed(owner, "it is late");
                Ok(page)
            }
            Err(error) => match asked.await {
                Some(bytes) => Ok(self.borrowed(segment.id, &range, bytes)),
                None => Err(error),
            },
        }
    }

    /// What an owner's answer is worth, and what that says about the owner.
    fn judge(
        &self,
        owner: &Neighbour,
        ask: &Ask,
        answer: Result<Bytes, AskError>,
        took: Duration,
    ) -> Option<Bytes> {
        match answer {
            Ok(bytes) if bytes.len() as u64 == ask.wanted() => {
                self.state().circuits.succeeded(owner.id);
                telemetry::given(ask.wanted(), took);
                return Some(bytes);
            }
            Ok(bytes) => {
                self.wrong(owner, &format!("{} bytes came instead of {}", bytes.len(), ask.wanted()))
            }
            Err(AskError::Unread(reason)) => {
                self.state().circuits.succeeded(owner.id);
                telemetry::asked("unread");
                tracing::debug!(node = owner.node, %reason, "a page's owner could not read it");
            }
            Err(AskError::Failed(reason)) => self.wrong(owner, &reason),
        }
        None
    }

    fn wrong(&self, owner: &Neighbour, reason: &str) {
        telemetry::asked("failed");
        self.failed(owner, reason);
    }

    fn failed(&self, owner: &Neighbour, reason: &str) {
        let neighbours = (self.parts.neighbours)();
        let there = |id| neighbours.iter().any(|neighbour| neighbour.id == id);
        let now = self.begun.elapsed();
        let left_alone = self.state().circuits.failed(owner.id, now, there, neighbours.len());
        if left_alone {
            tracing::warn!(node = owner.node, host = owner.host, %reason, "another agent fails: its pages are read from the object store for a while");
        } else {
            tracing::debug!(node = owner.node, %reason, "a page's owner did not give it");
        }
    }

    /// A page that another agent gave. One that comes back again and again is kept as if it were our own, so that not all
    /// want it from one agent.
    fn borrowed(&self, segment: SegmentId, range: &Range<u64>, bytes: Bytes) -> Page {
        telemetry::page("neighbour");
        let hot = self.state().sketch.add(page_key(segment, range.start));
        Page { bytes, lent: !hot }
    }
}

#[async_trait]
impl SegmentSource for Zone {
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        self.parts.direct.fetch(segment, range).await
    }

    async fn page(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Page, ReadError> {
        if segment.inline {
            return self.parts.direct.page(segment, range).await;
        }
        match self.way(segment.id, &range) {
            Way::Direct(why) => self.direct(why, segment, range).await,
            Way::Ask(owner) => self.ask(&owner, segment, range).await,
        }
    }

    fn asks(&self, segment: SegmentPlace, range: &Range<u64>) -> bool {
        let neighbours = (self.parts.neighbours)();
        let owner = owner(&neighbours, page_key(segment.id, range.start));
        !segment.inline && Ask::fits(range) && owner.is_some_and(|owner| owner.id != self.parts.identity.own)
    }

    fn damaged(&self, segment: SegmentId) {
        let distrusted = &mut self.state().distrusted;
        if !distrusted.contains(&segment) {
            distrusted.push_back(segment);
            if distrusted.len() > DISTRUSTED {
                distrusted.pop_front();
            }
        }
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
