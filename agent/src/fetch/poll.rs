//! A fetch of many partitions, with Kafka's limits and its long poll.

use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{Aborted, PartitionId};
use siltstone_metadata::follow::Subscription;
use siltstone_metadata::shard::{Hidden, PartitionState};
use tokio::time::Instant;

use super::error::FetchError;
use super::plan::{Plan, Room};
use super::reader::{Bounds, Read, Reader};

/// A partition's share of an answer is at least this: more than a page's worth of small ones would only be more requests.
const LEAST_SHARE: usize = 256 << 10;

/// Before one looks again where a segment is that was not found: its place has changed, and is known at the second look; or the store shows it a while
/// after it was written, as a store may whose writes are not visible at once. Then its readers wait, for 1.5 s in all, and ask again. Milliseconds.
const PAUSES: [u64; 7] = [0, 0, 50, 100, 200, 400, 800];

/// What is wanted of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    /// Which.
    pub partition: PartitionId,
    /// From this offset on.
    pub offset: i64,
    /// At most so many bytes, but for one batch that is larger.
    pub max_bytes: usize,
}

/// A fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchSpec {
    /// In the order in which they are served.
    pub partitions: Vec<FetchPartition>,
    /// Only records below the last stable offset, and with them which of them were aborted: Kafka's read_committed.
    pub committed: bool,
    /// Answer once there are so many bytes.
    pub min_bytes: usize,
    /// At most so many bytes in all, but for one batch that is larger.
    pub max_bytes: usize,
    /// Answer by then in any case.
    pub max_wait: Duration,
}

/// What one partition gave.
#[derive(Debug)]
pub struct FetchResult {
    /// Which.
    pub partition: PartitionId,
    /// Whole batches, in pieces; or why there are none.
    pub records: Result<Vec<Bytes>, FetchError>,
    /// Bytes of them.
    pub bytes: usize,
    /// The partition's ends (as far as known, if there was an error).
    pub bounds: Bounds,
    /// Aborted transactions with records among these, if they were asked for; in the order of their ends.
    pub aborted: Vec<Aborted>,
    /// What these were filtered by, because it is being erased; `None`: there are none.
    pub hidden: Option<Hidden>,
}

impl FetchResult {
    /// No records: the ends alone, or an error.
    pub fn empty(partition: PartitionId, bounds: Result<Bounds, FetchError>) -> Self {
        let (records, bounds) = match bounds {
            Ok(bounds) => (Ok(Vec::new()), bounds),
            Err(error) => (Err(error), Bounds::default()),
        };
        FetchResult { partition, records, bytes: 0, bounds, aborted: Vec::new(), hidden: None }
    }
}

impl Reader {
    /// Reads what there is, and if that is less than `min_bytes` waits for the fold to bring more, at most for `max_wait`. An error of any
    /// partition ends the wait, as in Kafka.
    pub async fn fetch(&self, spec: &FetchSpec) -> Vec<FetchResult> {
        let deadline = Instant::now() + spec.max_wait;
        let mut subscription: Option<Subscription> = None;
        let mut withheld = false;
        loop {
            let mut results = self.fetch_once(spec).await;
            // The last step before they are given out: reading may have taken long. What is withheld is read once more, late or not.
            if self.withhold(&mut results) && !std::mem::replace(&mut withheld, true) {
                continue;
            }
            let bytes: usize = results.iter().map(|result| result.bytes).sum();
            let failed = results.iter().any(|result| result.records.is_err());
            if bytes >= spec.min_bytes || failed || spec.partitions.is_empty() && spec.max_wait.is_zero() {
                return results;
            }
            match &subscription {
                None => {
                    // Subscribe first, then look again: what came in between is not missed.
                    let mut new = Subscription::default();
                    for wanted in &spec.partitions {
                        self.followers.of(wanted.partition).subscribe(&mut new, wanted.partition);
                    }
                    subscription = Some(new);
                    if Instant::now() < deadline {
                        continue;
                    }
                }
                Some(subscription) => {
                    if tokio::time::timeout_at(deadline, subscription.changed()).await.is_ok() {
                        continue;
                    }
                }
            }
            return results;
        }
    }

    async fn fetch_once(&self, spec: &FetchSpec) -> Vec<FetchResult> {
        let plans = self.plans(spec).await;
        let mut left = spec.max_bytes;
        let mut any = false;
        let mut results = Vec::with_capacity(spec.partitions.len());
        for (wanted, plan) in spec.partitions.iter().zip(plans) {
            let max_bytes = wanted.max_bytes.min(left);
            let plan = match plan {
                Some(plan) => plan,
                None if any && max_bytes == 0 => {
                    let bounds = self.bounds(wanted.partition).await;
                    results.push(FetchResult::empty(wanted.partition, bounds));
                    continue;
                }
                None => {
                    let scarce = any && max_bytes < wanted.max_bytes;
                    let room = Room { scarce, ..Room::of(max_bytes) };
                    self.plan(wanted.partition, wanted.offset, room, spec.committed).await
                }
            };
            let result = self.result(spec.committed, wanted, plan, left, !any).await;
            left = left.saturating_sub(result.bytes);
            any |= result.bytes > 0;
            results.push(result);
        }
        results
    }

    /// What a plan gives, or a new one where the compactor has replaced what the first one goes by.
    async fn finish_again(
        &self,
        committed: bool,
        wanted: &FetchPartition,
        plan: Plan,
        left: usize,
        at_least_one: bool,
    ) -> Result<Read, FetchError> {
        let mut plan = plan;
        for pause in PAUSES {
            match self.finish(plan, left, at_least_one).await {
                Err(FetchError::Moved(_)) => {}
                other => return other,
            }
            if pause > 0 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let max_bytes = wanted.max_bytes.min(left);
            plan = self.plan(wanted.partition, wanted.offset, Room::of(max_bytes), committed).await?;
        }
        self.finish(plan, left, at_least_one).await
    }

    /// What a plan gives.
    async fn result(
        &self,
        committed: bool,
        wanted: &FetchPartition,
        plan: Result<Plan, FetchError>,
        left: usize,
        at_least_one: bool,
    ) -> FetchResult {
        let partition = wanted.partition;
        let read = async {
            let Read { pieces, bytes, bounds, end, in_rows, hidden } =
                self.finish_again(committed, wanted, plan?, left, at_least_one).await?;
            let aborted = match end {
                Some(end) if committed => self.aborted(partition, wanted.offset, end, in_rows).await?,
                _ => Vec::new(),
            };
            Ok(FetchResult { partition, records: Ok(pieces), bytes, bounds, aborted, hidden })
        };
        match read.await {
            Ok(result) => result,
            Err(error) => {
                let bounds = self.bounds(partition).await.unwrap_or_default();
                FetchResult { records: Err(error), ..FetchResult::empty(partition, Ok(bounds)) }
            }
        }
    }

    /// Begins to read of all partitions that there will be room for, so that none waits for the bytes of those before it. What there is
    /// room for is shared out evenly among those that have something: partitions that move on together are read from the
    /// same pages at the same time, while one that runs ahead makes them be read twice. Merged blocks, which no two partitions share, are
    /// taken whole where the answer has room for them: the rest of one would have to be read again.
    async fn plans(&self, spec: &FetchSpec) -> Vec<Option<Result<Plan, FetchError>>> {
        let mut ready = 0;
        for wanted in &spec.partitions {
            let behind = |state: &PartitionState| {
                let end = if spec.committed { state.last_stable() } else { state.next() };
                end > wanted.offset
            };
            ready += usize::from(self.state(wanted.partition, behind).await.unwrap_or(false));
        }
        let mut left = spec.max_bytes;
        let share = (left / ready.max(1)).max(LEAST_SHARE);
        let mut plans = Vec::with_capacity(spec.partitions.len());
        for (index, wanted) in spec.partitions.iter().enumerate() {
            if index > 0 && left == 0 {
                plans.push(None);
                continue;
            }
            let most = wanted.max_bytes.min(left);
            let room = Room { bytes: most.min(share), most, scarce: most < wanted.max_bytes && index > 0 };
            let plan = self.plan(wanted.partition, wanted.offset, room, spec.committed).await;
            left = left.saturating_sub(plan.as_ref().map_or(0, |plan| plan.bytes.min(plan.max_bytes)));
            // What waits for more room is looked at again once it is known how much the others took.
            plans.push(Some(plan).filter(|plan| !plan.as_ref().is_ok_and(|plan| plan.later)));
        }
        plans
    }
}
