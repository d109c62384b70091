//! What the writer does while the object store takes nothing.
//!
//! Nobody is kept waiting for what can't come: batches that would have to go into an object are answered with a retriable error before they are buffered, and
//! uploads under way are given up, so that the memory they hold is there for requests to be read and answered, and for what goes into the metadata store. Nothing
//! of what was given up is ever committed, so all of it may be sent again. One segment is kept and put again and again, under its own name, for nobody: when that
//! succeeds, or any other PUT does, all goes on. Its object is left over then, as that of any flush that failed, until the registration ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use siltstone_objects::Trouble;
use tokio::time::Instant;

use super::buffer::{Buffered, NewBatch, Placement};
use super::circuit::{Failing, Turn};
use super::flusher::{Inner, Writer};
use super::policy::FORCED_INLINE_BYTES;
use super::ticket::{Slot, WriteError};

/// Between two tries of the segment that is kept, where the store refuses at once.
const PAUSE: Duration = Duration::from_secs(1);
/// While uploads are under way, or the circuit is open, one looks at least so often.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is put to see whether anything can be, if there is no segment for it.
const TRIED: Bytes = Bytes::from_static(b"is anything stored?\n");

/// A segment that could not be stored.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    name: String,
    chunks: Vec<Bytes>,
}

impl Inner {
    /// Why a batch is not taken, if it isn't: the circuit is open, and it can't go into the metadata store.
    pub(super) fn turned_away(
        &mut self,
        batch: &NewBatch,
        inline_bytes: usize,
        now: Duration,
    ) -> Option<WriteError> {
        let reason = self.circuit.open()?.reason.clone();
        let bytes = batch.meta.bytes as usize;
        let taken = match batch.placement {
            Placement::Object => false,
            Placement::Inline => bytes <= FORCED_INLINE_BYTES,
            Placement::Auto => self.buffer.bytes() + bytes <= inline_bytes && self.inline_bytes.any(now),
        };
        (!taken).then_some(WriteError::Storage(reason))
    }
}

/// What may stay in the buffer when the circuit opens.
fn stays(buffered: &Buffered) -> bool {
    buffered.batch.placement == Placement::Inline && buffered.batch.meta.bytes as usize <= FORCED_INLINE_BYTES
}

impl Writer {
    /// Why nothing goes into object storage just now, if so.
    pub fn outage(&self) -> Option<String> {
        let inner = self.lock();
        let open = inner.circuit.open()?;
        let how = if open.refused { "refuses" } else { "fails" };
        Some(format!("the object store {how}, producers are told to send again: {}", open.reason))
    }

    /// Looks how uploads go, and tells all who wait if that changes anything.
    pub(super) fn look(&self) {
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let failing = self.parts.objects.trouble().map(|trouble| {
            let Trouble { since: first, latest, refused, reason } = trouble;
            Failing { since: since(first), latest: since(latest), refused, reason }
        });
        let mut inner = self.lock();
        let turn = inner.circuit.look(failing);
        let open = inner.circuit.open().cloned();
        let left = if turn == Turn::Opened { inner.buffer.remove(|held| !stays(held)) } else { Vec::new() };
        // Under the lock, so that two looks at once leave what the later one saw.
        if turn != Turn::Same {
            self.away.set(open.is_some());
        }
        drop(inner);
        show(open.as_ref());
        match (turn, open) {
            (Turn::Opened, Some(Failing { reason, .. })) => {
                tracing::warn!(%reason, "uploads fail: producers are told to send again until one succeeds");
                turn_away(left, &WriteError::Storage(reason));
                self.news.notify_one();
            }
            (Turn::Closed, _) => {
                tracing::info!("the object store takes segments again");
                *self.kept() = None;
                self.news.notify_one();
            }
            _ => {}
        }
    }

    /// Notes that an upload begins.
    pub(super) fn upload_begins(&self) {
        let others = self.uploads.fetch_add(1, Ordering::SeqCst) > 0;
        self.lock().circuit.began(self.started.elapsed(), others);
    }

    /// Notes that an upload ended.
    pub(super) fn upload_ended(&self) {
        self.lock().circuit.ended(self.started.elapsed());
        self.uploads.fetch_sub(1, Ordering::SeqCst);
        self.news.notify_one();
    }

    /// An upload failed or was given up. Keeps what it would have stored, if nothing is kept yet and the circuit is open.
    pub(super) fn keep(&self, name: String, chunks: Vec<Bytes>) {
        self.look();
        if self.away.get() {
            self.kept().get_or_insert(Kept { name, chunks });
        }
    }

    /// Whether it is time to begin trying: uploads that are given up keep one of their segments. If true, one must run [`Writer::probe`].
    pub(super) fn probe_due(&self) -> bool {
        let ready = self.kept().is_some() || self.uploads.load(Ordering::SeqCst) == 0;
        self.away.get() && ready && !self.probing.swap(true, Ordering::SeqCst)
    }

    /// Puts the segment that is kept, until some PUT succeeds.
    pub(super) async fn probe(self: Arc<Self>) {
        let kept = self.kept().clone();
        // None: it was not an upload of this writer that failed last, but another PUT of this process.
        let kept = kept.unwrap_or_else(|| Kept { name: self.next_id().object_name(), chunks: vec![TRIED] });
        tokio::select! {
            biased;
            () = self.away.wait_for(|away| !away) => {}
            () = self.put_on_and_on(&kept) => {}
        }
        *self.kept() = None;
        self.probing.store(false, Ordering::SeqCst);
        self.look();
        self.news.notify_one();
    }

    async fn put_on_and_on(&self, kept: &Kept) {
        loop {
            let deadline = Instant::now() + self.settings.upload_timeout;
            match self.parts.objects.put(&kept.name, kept.chunks.clone(), deadline).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the object store still takes nothing"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Tells the metrics.
fn show(open: Option<&Failing>) {
    for (why, refused) in [("refused", true), ("failing", false)] {
        let on = open.is_some_and(|open| open.refused == refused);
        metrics::gauge!("siltstone_produce_circuit_open", "why" => why).set(f64::from(u8::from(on)));
    }
}

/// Answers batches that are not taken.
pub(super) fn turn_away(slots: Vec<Slot>, error: &WriteError) {
    if !slots.is_empty() {
        metrics::counter!("siltstone_produce_turned_away_total").increment(slots.len() as u64);
    }
    slots.into_iter().for_each(|slot| slot.resolve(Err(error.clone())));
}
