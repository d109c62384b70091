//! The writer: takes batches into the buffer, flushes as the policy says, uploads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_log::{PartitionId, RegistrationId, SegmentId};
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::follow::Followers;
use siltstone_metadata::level::Level;
use siltstone_metadata::shard::{PartitionState, Verdict};
use siltstone_objects::Objects;
use siltstone_objects::cache::PageCache;
use siltstone_store::Store;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::budget::{Budget, Reservation};
use super::buffer::{Buffer, Buffered, NewBatch};
use super::circuit::Circuit;
use super::commit::Ready;
use super::committer::{CommitQueue, Committer};
use super::outage::{self, Kept, LOOK_EVERY};
use super::packing::{self, BlockCompression};
use super::pending::Pending;
use super::policy::{self, Choice, FORCED_INLINE_BYTES, PolicySettings, Stored, Tokens, View};
use super::segment::Built;
use super::ticket::{self, Expected, Slot, Ticket, WriteError};

/// Manifests of a flush together, bytes: well under what a transaction takes.
const MANIFEST_BYTES: usize = 400_000;

/// Settings of the write path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WriteSettings {
    /// When to flush.
    pub policy: PolicySettings,
    /// Whether to compress blocks that producers didn't.
    pub compression: BlockCompression,
    /// Bytes of requests that may wait to be written.
    pub buffer_bytes: usize,
    /// How long an upload is tried before its producers are told to send again.
    pub upload_timeout: Duration,
    /// Once uploads have failed for so long, without one that succeeded, producers are told at once.
    pub patience: Duration,
}

/// What the writer works with.
pub(crate) struct WriterParts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) objects: Objects,
    pub(crate) cache: PageCache,
    pub(crate) followers: Followers,
    pub(crate) registration: RegistrationId,
    pub(crate) ambient: Ambient,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) buffer: Buffer,
    puts: Tokens,
    pub(super) inline_bytes: Tokens,
    stored: Stored,
    closing: bool,
    pub(super) circuit: Circuit,
}

/// The write path's entrance. Shared by all connections.
pub struct Writer {
    pub(super) settings: WriteSettings,
    pub(super) parts: WriterParts,
    budget: Budget,
    inner: Mutex<Inner>,
    pub(super) news: Arc<Notify>,
    queue: Arc<CommitQueue>,
    pending: Arc<Pending>,
    pub(super) started: Instant,
    numbers: AtomicU64,
    pub(super) uploads: AtomicUsize,
    /// The circuit is open: uploads are given up.
    pub(super) away: Level<bool>,
    kept: Mutex<Option<Kept>>,
    pub(super) probing: AtomicBool,
    /// What an upload takes, microseconds, smoothed.
    upload_micros: AtomicU64,
    /// When producers were answered last, microseconds since the start.
    answered_micros: Arc<AtomicU64>,
    expected: Arc<Expected>,
    inline_flushes: Arc<AtomicUsize>,
    uncommitted: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

/// A flush on its way.
struct Flush {
    id: SegmentId,
    at: i64,
    inline: bool,
    batches: Vec<Buffered>,
}

impl Writer {
    pub(crate) fn new(settings: WriteSettings, parts: WriterParts, pending: Arc<Pending>) -> Arc<Self> {
        let inner = Inner {
            buffer: Buffer::default(),
            puts: Tokens::new(settings.policy.puts_per_second),
            inline_bytes: Tokens::new(settings.policy.inline_bytes_per_second),
            stored: Stored::default(),
            closing: false,
            circuit: Circuit::new(settings.patience),
        };
        Arc::new(Writer {
            budget: Budget::new(settings.buffer_bytes),
            settings,
            parts,
            inner: Mutex::new(inner),
            news: Arc::new(Notify::new()),
            queue: Arc::default(),
            pending,
            started: Instant::now(),
            numbers: AtomicU64::new(0),
            uploads: AtomicUsize::new(0),
            away: Level::new(false),
            kept: Mutex::default(),
            probing: AtomicBool::new(false),
            upload_micros: AtomicU64::new(0),
            answered_micros: Arc::default(),
            expected: Arc::default(),
            inline_flushes: Arc::default(),
            uncommitted: Arc::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget to reserve from before a produce request's body is read.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes a request's batches, in its order. The reservation is held until all are answered. `droppable`: they may be
    /// dropped if the connection closes before they are in a flush (not so for acks=0).
    ///
    /// The partitions must be loaded on this agent: else their outcome is [`WriteError::Lost`]. What would have to go into an object while the store
    /// takes none is answered here and now, before any of it is buffered.
    pub fn append(
        &self,
        connection: u64,
        batches: Vec<NewBatch>,
        reservation: Option<Reservation>,
        droppable: bool,
    ) -> Ticket {
        self.expected.came();
        let (ticket, slots) = ticket::issue(batches.len(), reservation, self.expected.clone());
        let arrived = Instant::now();
        let mut away = None;
        {
            let mut inner = self.lock();
            // Asked under the lock: who ends the writer empties the buffer under it, once, after saying so.
            if self.pending.ended().get() {
                drop(inner);
                return ticket; // the slots' drop answers
            }
            let (inline_bytes, now) =
                (self.settings.policy.inline_bytes, arrived.duration_since(self.started));
            for (batch, slot) in batches.into_iter().zip(slots) {
                if let Some(error) = inner.turned_away(&batch, inline_bytes, now) {
                    away.get_or_insert((Vec::new(), error)).0.push(slot);
                    continue;
                }
                inner.buffer.push(Buffered { batch, slot, connection, droppable, arrived });
            }
        }
        if let Some((slots, error)) = away {
            outage::turn_away(slots, &error);
        }
        self.news.notify_one();
        ticket
    }

    /// A connection is gone: what it left in the buffer is dropped.
    pub fn close_connection(&self, connection: u64) {
        let left = |held: &Buffered| held.connection == connection && held.droppable;
        let dropped = self.lock().buffer.remove(left);
        dropped.into_iter().for_each(|slot| slot.resolve(Err(WriteError::Closed)));
    }

    /// Bytes in the buffer, not yet in a flush.
    pub fn buffered(&self) -> usize {
        self.lock().buffer.bytes()
    }

    /// Flushes all that is there without waiting for more, and returns once it is answered. For a clean stop.
    pub async fn drain(&self) {
        self.lock().closing = true;
        loop {
            self.news.notify_one();
            let committed = self.lock().buffer.is_empty() && self.uncommitted.load(Ordering::SeqCst) == 0;
            let idle = committed && self.pending.is_empty();
            if idle || self.pending.ended().get() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Resolves once this agent's registration is over: nothing can be written any more.
    pub async fn ended(&self) {
        self.pending.ended().wait_for(|ended| ended).await;
    }

    /// The committer of this writer, to be run as a task of its own: it must not be cancelled while the agent lives.
    pub(crate) fn committer(&self) -> impl Future<Output = ()> + Send + 'static {
        let (news, uncommitted, inline) =
            (self.news.clone(), self.uncommitted.clone(), self.inline_flushes.clone());
        let (answered, started) = (self.answered_micros.clone(), self.started);
        let done = move |count: usize| {
            answered.store(micros(started.elapsed()), Ordering::Relaxed);
            uncommitted.fetch_sub(count, Ordering::SeqCst);
            // Inline flushes commit as one group with whatever is ready: all of those under way are done.
            inline.store(0, Ordering::SeqCst);
            news.notify_one();
        };
        Committer {
            store: self.parts.store.clone(),
            followers: self.parts.followers.clone(),
            registration: self.parts.registration,
            pending: self.pending.clone(),
            queue: self.queue.clone(),
            done: Arc::new(done),
        }
        .run()
    }

    /// Flushes for ever; returns when the registration is over.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut uploads = JoinSet::new();
        loop {
            let wait = loop {
                match self.next_flush() {
                    Ok(flush) => self.start(flush, &mut uploads),
                    Err(wait) => break wait,
                }
            };
            let looking = self.uploads.load(Ordering::SeqCst) > 0 || self.away.get();
            let wait =
                if looking { Some(wait.map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY))) } else { wait };
            let pause = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.pending.ended().wait_for(|ended| ended) => break,
                Some(_) = uploads.join_next(), if !uploads.is_empty() => {}
                () = self.news.notified() => {}
                () = pause => {}
            }
            if looking {
                self.look();
            }
            if self.probe_due() {
                uploads.spawn(self.clone().probe());
            }
        }
        // What is still buffered, or waits for an upload that ends here, was never sent: it is answered by dropping its slots.
        let left = self.lock().buffer.take(usize::MAX, usize::MAX);
        drop(uploads);
        drop(left);
        self.queue.clear();
    }

    /// The next flush, or how long to wait for one.
    fn next_flush(&self) -> Result<Flush, Option<Duration>> {
        let now = Instant::now();
        let mut inner = self.lock();
        metrics::gauge!("siltstone_produce_buffered_bytes").set(inner.buffer.bytes() as f64);
        let Some(oldest) = inner.buffer.oldest() else { return Err(None) };
        let clock = now.duration_since(self.started);
        let last = inner.buffer.last_arrival().unwrap_or(oldest);
        let full_at = inner.stored.full_at(self.settings.policy.flush_bytes, self.settings.buffer_bytes);
        let view = View {
            bytes: inner.buffer.bytes(),
            full_at,
            manifest_full: inner.buffer.manifest_bytes() >= MANIFEST_BYTES,
            age: now.duration_since(oldest),
            quiet_for: now.duration_since(last),
            upload_time: Duration::from_micros(self.upload_micros.load(Ordering::Relaxed)),
            answered_for: clock
                .saturating_sub(Duration::from_micros(self.answered_micros.load(Ordering::Relaxed))),
            expected: self.expected.any(),
            placement: inner.buffer.placement(),
            uploads: self.uploads.load(Ordering::SeqCst),
            unanswered: self.uncommitted.load(Ordering::SeqCst),
            inline_flushes: self.inline_flushes.load(Ordering::SeqCst),
            put_budget: inner.puts.any(clock),
            inline_budget: inner.inline_bytes.any(clock),
            closing: inner.closing,
            store_away: inner.circuit.open().is_some(),
        };
        let inline = match policy::choose(&self.settings.policy, &view) {
            Choice::Wait(wait) => return Err(wait),
            Choice::Flush { inline } => inline,
        };
        let bytes = if inline { FORCED_INLINE_BYTES } else { full_at };
        let batches = inner.buffer.take(bytes, MANIFEST_BYTES);
        self.expected.begin_anew();
        if inline {
            inner.inline_bytes.spend(view.bytes as f64);
        } else {
            inner.puts.spend(1.0);
        }
        drop(inner);
        metrics::histogram!("siltstone_produce_buffer_seconds").record(view.age.as_secs_f64());
        Ok(Flush { id: self.next_id(), at: self.parts.ambient.clock.now(), inline, batches })
    }

    /// A name that nothing had or will have.
    pub(super) fn next_id(&self) -> SegmentId {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst) + 1;
        SegmentId { registration: self.parts.registration, number }
    }

    fn start(self: &Arc<Self>, flush: Flush, uploads: &mut JoinSet<()>) {
        let partitions: BTreeSet<PartitionId> = flush.batches.iter().map(|b| b.batch.partition).collect();
        let connections: BTreeSet<u64> = flush.batches.iter().map(|b| b.connection).collect();
        self.queue.enter(flush.id.number, partitions, connections);
        self.uncommitted.fetch_add(1, Ordering::SeqCst);
        if flush.inline {
            self.inline_flushes.fetch_add(1, Ordering::SeqCst);
            self.finish_inline(flush);
        } else {
            self.upload_begins();
            let writer = self.clone();
            uploads.spawn(async move {
                writer.upload(flush).await;
                writer.upload_ended();
            });
        }
    }

    fn finish_inline(&self, flush: Flush) {
        let Flush { id, at, batches, .. } = flush;
        let mut built = packing::build(id, at, batches, BlockCompression::Off);
        if bugs::on(Bug::AcknowledgeBeforeFold) {
            self.acknowledge_now(&mut built);
        }
        metrics::counter!("siltstone_produce_flushes_total", "kind" => "inline").increment(1);
        metrics::counter!("siltstone_produce_flushed_bytes_total", "kind" => "inline")
            .increment(built.length);
        let place = built.place(id, true);
        let ready = Ready::new(place, at, built, self.parts.followers.count());
        if let Some(bytes) = &ready.inline {
            self.parts.cache.insert_written(place.id, std::slice::from_ref(bytes));
        }
        self.queue.ready(id.number, ready);
    }

    /// What [`Bug::AcknowledgeBeforeFold`] does.
    fn acknowledge_now(&self, built: &mut Built) {
        for (block, slots) in built.blocks.iter().zip(&mut built.slots) {
            let shard = self.parts.followers.of(block.partition);
            let mut base_offset = shard.partition(block.partition, PartitionState::next).unwrap_or(0);
            for (slot, batch) in slots.drain(..).zip(&block.batches) {
                slot.resolve(Ok(Verdict::Appended { base_offset }));
                base_offset += i64::from(batch.records);
            }
        }
    }

    async fn upload(&self, flush: Flush) {
        let Flush { id, at, batches, .. } = flush;
        let chosen = Instant::now();
        let taken: usize = batches.iter().map(|buffered| buffered.batch.meta.bytes as usize).sum();
        let built = match self.settings.compression {
            BlockCompression::Off => packing::build(id, at, batches, BlockCompression::Off),
            compression => {
                let build = move || packing::build(id, at, batches, compression);
                match tokio::task::spawn_blocking(build).await {
                    Ok(built) => built,
                    // The slots went down with it and were answered.
                    Err(error) => {
                        tracing::error!(%error, "building a segment failed");
                        return self.give_up(id.number);
                    }
                }
            }
        };
        self.lock().stored.note(taken, built.length, self.settings.policy.flush_bytes);
        let began = Instant::now();
        metrics::histogram!("siltstone_produce_build_seconds").record((began - chosen).as_secs_f64());
        let deadline = began + self.settings.upload_timeout;
        let name = id.object_name();
        let put = tokio::select! {
            biased;
            () = std::future::ready(()), if self.away.get() => Err(given_up(&name)),
            put = self.parts.objects.put(&name, built.chunks.clone(), deadline) => put.map_err(|error| error.to_string()),
            () = self.away.wait_for(|away| away) => Err(given_up(&name)),
        };
        self.took(began.elapsed());
        match put {
            Err(_) if bugs::on(Bug::UploadFailureIsSuccess) => {
                let place = built.place(id, false);
                self.queue.ready(id.number, Ready::new(place, at, built, self.parts.followers.count()));
            }
            Ok(()) => {
                metrics::counter!("siltstone_produce_flushes_total", "kind" => "object").increment(1);
                metrics::counter!("siltstone_produce_flushed_bytes_total", "kind" => "object")
                    .increment(built.length);
                let place = built.place(id, false);
                self.parts.cache.insert_written(place.id, &built.chunks);
                self.queue.ready(id.number, Ready::new(place, at, built, self.parts.followers.count()));
            }
            Err(error) => {
                tracing::warn!(%error, "segment not stored: its producers are told to send again");
                metrics::counter!("siltstone_produce_failed_flushes_total").increment(1);
                let error = WriteError::Storage(error);
                let slots: Vec<Slot> = built.slots.into_iter().flatten().collect();
                self.keep(name, built.chunks);
                self.give_up(id.number);
                slots.into_iter().for_each(|slot| slot.resolve(Err(error.clone())));
            }
        }
    }

    fn took(&self, upload: Duration) {
        metrics::histogram!("siltstone_produce_upload_seconds").record(upload.as_secs_f64());
        let now = micros(upload);
        let before = self.upload_micros.load(Ordering::Relaxed);
        // Uploads that end at once may overwrite one another's: it is an estimate.
        self.upload_micros.store(before - before / 4 + now / 4, Ordering::Relaxed);
    }

    fn give_up(&self, number: u64) {
        self.uncommitted.fetch_sub(1, Ordering::SeqCst);
        self.queue.failed(number);
    }
}

fn given_up(name: &str) -> String {
    format!("{name} was given up: uploads fail")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
