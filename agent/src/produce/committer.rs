//! The committer: one per agent, one transaction in flight, sent again until its result is known: unchanged, but that batches are void once their
//! transaction has ended (design, sections 3, 4 and 6).
//!
//! Order: a flush waits for earlier ones that share a partition or a connection with it, and for no others, so that a slow upload holds
//! up only what must come after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_log::{Entry, PartitionId, RegistrationId, ShardId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::follow::Followers;
use siltstone_metadata::keys::{cluster, registration};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Snapshot, Store, StoreError, Version};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::commit::{self, Plan, Ready};
use super::pending::Pending;
use super::ticket::WriteError;
use super::transactions::Admissions;

const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MOST: Duration = Duration::from_secs(1);
/// Reading at the version of the last commit is good for so long; then a fresh version is asked for.
const VERSION_GOOD_FOR: Duration = Duration::from_secs(1);

/// A flush's place in the order.
#[derive(Debug)]
struct Queued {
    id: u64,
    partitions: BTreeSet<PartitionId>,
    connections: BTreeSet<u64>,
    ready: Option<Ready>,
}

/// Flushes in the order in which they were taken from the buffer.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    queue: Mutex<VecDeque<Queued>>,
    news: Notify,
}

impl CommitQueue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Queued>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next place, when the flush is taken from the buffer and before its upload begins.
    pub(super) fn enter(&self, id: u64, partitions: BTreeSet<PartitionId>, connections: BTreeSet<u64>) {
        self.lock().push_back(Queued { id, partitions, connections, ready: None });
    }

    /// The flush's bytes are stored.
    pub(super) fn ready(&self, id: u64, ready: Ready) {
        if let Some(queued) = self.lock().iter_mut().find(|queued| queued.id == id) {
            queued.ready = Some(ready);
        }
        self.news.notify_one();
    }

    /// The flush failed: nothing of it will be committed.
    pub(super) fn failed(&self, id: u64) {
        self.lock().retain(|queued| queued.id != id);
        self.news.notify_one();
    }

    /// Drops what was not taken yet.
    pub(super) fn clear(&self) {
        let left = std::mem::take(&mut *self.lock());
        drop(left);
    }

    /// Takes the flushes that may go now, oldest first.
    pub(super) fn take(&self) -> Vec<Ready> {
        let mut queue = self.lock();
        let mut partitions = BTreeSet::new();
        let mut connections = BTreeSet::new();
        let mut taken = Vec::new();
        queue.retain_mut(|queued| {
            let free =
                partitions.is_disjoint(&queued.partitions) && connections.is_disjoint(&queued.connections);
            let free = free || bugs::on(Bug::DropOrder);
            if free && let Some(ready) = queued.ready.take() {
                taken.push(ready);
                return false;
            }
            partitions.extend(&queued.partitions);
            connections.extend(&queued.connections);
            true
        });
        taken
    }
}

/// Sends transactions.
pub(super) struct Committer {
    pub(super) store: Arc<dyn Store>,
    pub(super) followers: Followers,
    pub(super) registration: RegistrationId,
    pub(super) pending: Arc<Pending>,
    pub(super) queue: Arc<CommitQueue>,
    /// Told after each commit: the policy may have something to flush.
    pub(super) done: Arc<dyn Fn(usize) + Send + Sync>,
}

/// What one try stands on.
struct Basis {
    version: Version,
    reads: Vec<KeyRange>,
    /// The try's own mutations, if its batches belong to transactions.
    admitted: Option<Vec<Mutation>>,
}

/// What came of a transaction.
enum Sent {
    Committed(Version),
    /// The fold has told what there was to tell: the registration is over.
    Told,
    /// Nothing of it is or will be in any log.
    Refused(WriteError),
}

impl Committer {
    /// Commits for ever; returns when the registration is over.
    pub(super) async fn run(self) {
        let mut counters: BTreeMap<ShardId, u64> = BTreeMap::new();
        let mut known: Option<(Version, Instant)> = None;
        let mut backlog: VecDeque<Ready> = VecDeque::new();
        loop {
            backlog.extend(self.queue.take());
            if backlog.is_empty() {
                self.queue.news.notified().await;
                continue;
            }
            let count = commit::fitting(backlog.make_contiguous());
            let flushes: Vec<Ready> = backlog.drain(..count).collect();
            let before = counters.clone();
            let (plan, numbered) =
                commit::plan(flushes, self.registration, &mut counters, self.followers.count());
            let sent: Vec<(ShardId, u64)> =
                numbered.iter().map(|(shard, counter, _)| (*shard, *counter)).collect();
            for (shard, counter, slots) in numbered {
                self.pending.add(shard, counter, slots);
                // Not before: a shard is let go only while nothing is pending.
                self.followers.shard(shard).take_up();
            }
            let began = Instant::now();
            let result = self.send(&plan, &mut known).await;
            metrics::histogram!("siltstone_produce_commit_seconds").record(began.elapsed().as_secs_f64());
            match result {
                Sent::Committed(version) => {
                    let shards: BTreeSet<ShardId> = sent.iter().map(|(shard, _)| *shard).collect();
                    shards.iter().for_each(|shard| self.followers.shard(*shard).appended(version));
                }
                Sent::Told => {}
                Sent::Refused(error) => {
                    counters = before;
                    self.refuse(&sent, &error);
                    if error == WriteError::Ended {
                        self.pending.end();
                        return;
                    }
                }
            }
            (self.done)(count);
        }
    }

    fn refuse(&self, sent: &[(ShardId, u64)], error: &WriteError) {
        tracing::warn!(%error, entries = sent.len(), "flushes refused");
        for (shard, counter) in sent {
            let slots = self.pending.remove(*shard, *counter).map(|sent| sent.slots);
            slots.into_iter().flatten().flatten().for_each(|slot| slot.resolve(Err(error.clone())));
        }
    }

    /// Sends until the result is known.
    async fn send(&self, plan: &Plan, known: &mut Option<(Version, Instant)>) -> Sent {
        let mut retry = RETRY_FIRST;
        let mut mutations = if plan.claims.is_empty() { plan.mutations() } else { Vec::new() };
        // Once a try may have landed, "not applied" of a later one no longer means that nothing was.
        let mut may_have_landed = false;
        loop {
            let basis = match self.basis(plan, known).await {
                Ok(Some(basis)) => basis,
                Ok(None) if may_have_landed => return self.after_end().await,
                Ok(None) => return Sent::Refused(WriteError::Ended),
                Err(error) => {
                    tracing::debug!(%error, "no read version");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MOST);
                    continue;
                }
            };
            let Basis { version, reads, admitted } = basis;
            let read_version = Some(version);
            let mutations_now = admitted.unwrap_or_else(|| mutations.clone());
            let commit = Commit { read_version, reads, mutations: mutations_now, ..Commit::default() };
            match self.store.commit(commit).await {
                Ok(committed) => {
                    *known = Some((committed.version, Instant::now()));
                    return Sent::Committed(committed.version);
                }
                Err(CommitError::TooLarge(why)) => {
                    tracing::error!(%why, "a transaction of the write path is over a limit: a defect");
                    return Sent::Refused(WriteError::Metadata(why));
                }
                Err(CommitError::Conflict | CommitError::TooOld) => *known = None,
                Err(CommitError::Unknown(why)) if bugs::on(Bug::UnknownIsFailure) => {
                    return Sent::Refused(WriteError::Metadata(why));
                }
                Err(CommitError::Unknown(why)) => {
                    if bugs::on(Bug::RetryUnderNewCounters) {
                        renumber(&mut mutations);
                    }
                    tracing::debug!(%why, "commit unknown: it is sent again");
                    may_have_landed = true;
                    *known = None;
                }
                Err(CommitError::Unavailable(why)) => {
                    tracing::debug!(%why, "commit not taken: it is sent again");
                    *known = None;
                }
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MOST);
        }
    }

    /// What must stand for a commit to count.
    fn reads(&self) -> Vec<KeyRange> {
        let mut reads = vec![KeyRange::key(cluster::key())];
        if !bugs::on(Bug::CommitWithoutRegistration) {
            reads.push(KeyRange::key(registration::key(self.registration)));
        }
        reads
    }

    /// The registration is over and a try may have landed before: the fold says what is in the logs, and answers. Entries that it does not
    /// find are answered when it passes `Ended`.
    async fn after_end(&self) -> Sent {
        self.followers.shards().iter().for_each(|shard| shard.poke());
        self.pending.ended().wait_for(|ended| ended).await;
        Sent::Told
    }

    /// What a try stands on; `None` if the registration is over.
    async fn basis(
        &self,
        plan: &Plan,
        known: &mut Option<(Version, Instant)>,
    ) -> Result<Option<Basis>, StoreError> {
        if plan.claims.is_empty() {
            let version = self.read_version(known).await?;
            return Ok(version.map(|version| Basis { version, reads: self.reads(), admitted: None }));
        }
        let snapshot = self.store.snapshot().await?;
        if self.is_over(snapshot.as_ref()).await? {
            return Ok(None);
        }
        let touched = plan.touched();
        let admissions = Admissions::read(snapshot.as_ref(), &plan.claims, touched, plan.at).await?;
        let (mutations, refused) = plan.admitted(&admissions);
        for (shard, counter, refused) in refused {
            self.pending.refuse(shard, counter, refused);
        }
        let mut reads = self.reads();
        if !bugs::on(Bug::TransactionUnread) {
            reads.extend(admissions.reads);
        }
        Ok(Some(Basis { version: snapshot.version(), reads, admitted: Some(mutations) }))
    }

    async fn is_over(&self, snapshot: &dyn Snapshot) -> Result<bool, StoreError> {
        let over = snapshot.get(&registration::key(self.registration)).await?.is_none();
        Ok(over && !bugs::on(Bug::CommitWithoutRegistration))
    }

    /// A version at which the registration is known to stand; `None` if it is over.
    async fn read_version(
        &self,
        known: &mut Option<(Version, Instant)>,
    ) -> Result<Option<Version>, StoreError> {
        if let Some((version, at)) = known
            && at.elapsed() < VERSION_GOOD_FOR
        {
            return Ok(Some(*version));
        }
        let snapshot = self.store.snapshot().await?;
        if self.is_over(snapshot.as_ref()).await? {
            return Ok(None);
        }
        *known = Some((snapshot.version(), Instant::now()));
        Ok(Some(snapshot.version()))
    }
}

/// What [`Bug::RetryUnderNewCounters`] does.
fn renumber(mutations: &mut [Mutation]) {
    for mutation in mutations {
        if let Mutation::SetVersionstampedKey { value, .. } = mutation
            && let Ok(Entry::Append(mut append)) = Entry::decode(value)
        {
            append.counter += 1;
            *value = Entry::Append(append).encode().into();
        }
    }
}
