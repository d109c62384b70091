//! One operation made of attempts: retried with backoff, hedged when slow, ended at its deadline.
//!
//! Guarantees: at most the semaphore's permits of attempts run at once, and fewer to a part of the store that asks for less (`gates`);
//! every attempt ends by its time-out; nothing is sent after the deadline. Decides nothing about what an outcome means to the caller.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::backend::Backend;
use crate::chance::Chance;
use crate::fault::{Fault, Sort};
use crate::gates::{Gates, Place};
use crate::latency::Latency;
use crate::options::Hedge;
use crate::streak::Record;
use crate::telemetry;

/// A truncated answer is asked for again this often before the object is called corrupt.
const TRUNCATED_TRIES: u32 = 3;

/// Failures of one operation before anybody hears of them: a store may fail now and then.
const COMPLAIN_AFTER: u32 = 2;
/// Or so long.
const COMPLAIN_LONG: Duration = Duration::from_secs(2);
/// Between two log lines of one kind of operation, at least.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// When it was last told that a kind of operation fails.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<Option<Instant>>);

impl Complaints {
    /// Whether it is time to tell; if so, it counts as told.
    fn may(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= COMPLAIN_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// The kinds of requests, as the metrics know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Get,
    Head,
    Delete,
    List,
}

impl Kind {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// What all operations of one kind share.
#[derive(Debug)]
pub(crate) struct Lane {
    pub permits: Arc<Semaphore>,
    /// How many permits there are.
    pub most: usize,
    pub gates: Gates,
    /// Whether attempts succeed, by the time since [`Lane::origin`].
    pub record: Mutex<Record>,
    pub origin: Instant,
    pub latency: Latency,
    pub hedge: Option<Hedge>,
    pub timeout: Duration,
    pub backoff: (Duration, Duration),
    pub complaints: Complaints,
}

impl Lane {
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests in flight, also those of other lanes that share the permits.
    fn in_flight(&self) -> usize {
        self.most.saturating_sub(self.permits.available_permits())
    }

    /// Notes how an attempt ended. What the store says of one object says that it answers.
    fn note(&self, begun: Instant, failed: Option<&Fault>) {
        let since = |at: Instant| at.saturating_duration_since(self.origin);
        let now = since(Instant::now());
        match failed {
            Some(fault) if matches!(fault.sort, Sort::Transient | Sort::Busy | Sort::Refused) => {
                self.record().failed(since(begun), now, fault.sort == Sort::Refused, &fault.reason);
            }
            _ => self.record().succeeded(now),
        }
    }
}

/// Why an operation ended without success.
#[derive(Debug)]
pub(crate) struct Failure {
    pub fault: Fault,
    /// Some attempt may have had its effect.
    pub ambiguous: bool,
}

/// One operation.
pub(crate) struct Operation<'a> {
    pub kind: Kind,
    pub lane: &'a Lane,
    pub backend: &'a Backend,
    pub chance: &'a Chance,
    /// The part of the store that it goes to, see [`crate::gates::part`].
    pub part: &'a str,
    /// How many bytes it moves, to judge what is slow.
    pub bytes: u64,
    pub deadline: Instant,
}

impl Operation<'_> {
    /// Makes attempts until one succeeds, one fails for good, or the deadline passes.
    pub(crate) async fn run<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let begun = Instant::now();
        let mut ambiguous = false;
        let mut last: Option<Fault> = None;
        let mut truncated = 0;
        for failures in 0u32.. {
            let tried = Instant::now();
            let (outcome, place) = match timeout_at(self.deadline, self.hedged(&attempt)).await {
                Ok(ended) => ended,
                Err(_) => {
                    let failure = self.late(last);
                    self.lane.note(tried, Some(&failure.fault));
                    return Err(failure);
                }
            };
            let fault = match outcome {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            ambiguous |= fault.ambiguous;
            truncated += u32::from(fault.sort == Sort::Truncated);
            if fault.credentials && self.renewed(tried).await {
                telemetry::retry(self.kind);
                last = Some(fault);
                continue;
            }
            let again = matches!(fault.sort, Sort::Transient | Sort::Busy | Sort::Truncated)
                && truncated < TRUNCATED_TRIES;
            let pause = match fault.sort {
                // What others met counts as well: each of many with pauses of its own would still be many.
                Sort::Busy => self.pause(failures.max(self.lane.gates.complaints(self.part))),
                _ => self.pause(failures),
            };
            if !again || Instant::now() + pause >= self.deadline {
                return Err(Failure { fault, ambiguous });
            }
            self.complain(failures, begun, &fault);
            telemetry::retry(self.kind);
            // Who is asked for less keeps its place meanwhile: else others would take its turn at once.
            let kept = Some(place).filter(|_| fault.sort == Sort::Busy);
            last = Some(fault);
            sleep(pause).await;
            drop(kept);
        }
        Err(self.late(last))
    }

    /// Whether credentials have been read again since an attempt that began at `tried`.
    async fn renewed(&self, tried: Instant) -> bool {
        timeout_at(self.deadline, self.backend.renew(tried)).await.unwrap_or(false)
    }

    /// Says what is wrong before the deadline: an operator must not learn of a full disk when the first write is given up.
    fn complain(&self, failures: u32, begun: Instant, fault: &Fault) {
        let (kind, reason) = (self.kind.label(), &fault.reason);
        if (failures >= COMPLAIN_AFTER || begun.elapsed() >= COMPLAIN_LONG)
            && self.lane.complaints.may(Instant::now())
        {
            tracing::warn!(kind, failures, %reason, "the object store fails; it is tried again");
        } else {
            tracing::debug!(kind, failures, %reason, "trying again");
        }
    }

    /// The deadline passed while an attempt was under way: its end will never be known.
    fn late(&self, last: Option<Fault>) -> Failure {
        let before = last.map_or(String::new(), |fault| format!("; before that: {}", fault.reason));
        let reason = format!("no answer by the deadline{before}");
        Failure { fault: Fault::new(Sort::Transient, reason).ambiguous(), ambiguous: true }
    }

    /// Half of the pause is fixed, half is chance, so that agents which failed together don't come back together.
    fn pause(&self, failures: u32) -> Duration {
        let (first, max) = self.lane.backoff;
        let full = first.saturating_mul(1 << failures.min(20)).min(max);
        full.mul_f64(0.5 + self.chance.fraction() / 2.0)
    }

    /// One attempt, and a second one beside it if the first is slow. Answers its place at the gate, too.
    async fn hedged<T, F>(&self, attempt: &impl Fn() -> F) -> (Result<T, Fault>, Place)
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let (place, _permit) = self.admitted().await;
        let begun = Instant::now();
        let mut first = pin!(self.timed(attempt()));
        let outcome = match self.lane.hedge {
            None => first.await,
            Some(bounds) => {
                let wait = self.lane.latency.hedge_after(self.bytes, bounds);
                match timeout(wait, first.as_mut()).await {
                    Ok(outcome) => outcome,
                    Err(_) => self.double(first, attempt).await,
                }
            }
        };
        if outcome.is_ok() {
            self.lane.latency.record(self.bytes, begun.elapsed());
        }
        (outcome, place)
    }

    /// Waits for a place at the gate and for a permit. Without a permit there, so that who waits at a gate holds up nobody else.
    async fn admitted(&self) -> (Place, Option<SemaphorePermit<'_>>) {
        loop {
            let place = self.lane.gates.enter(self.part).await;
            // It is never closed.
            let permit = self.lane.permits.acquire().await.ok();
            // A gate that was set up meanwhile holds for those who were on their way, too.
            if !(place.is_free() && self.lane.gates.narrow(self.part)) {
                return (place, permit);
            }
        }
    }

    /// The first attempt is slow: sends another one, if there is room, and takes whichever succeeds first.
    async fn double<T, F>(
        &self,
        mut first: impl Future<Output = Result<T, Fault>> + Unpin,
        attempt: &impl Fn() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let Ok(_permit) = self.lane.permits.try_acquire() else { return first.await };
        // A store that asks for less is given nothing twice.
        if self.lane.gates.narrow(self.part) || !self.lane.latency.may_hedge() {
            return first.await;
        }
        telemetry::hedge(self.kind);
        let mut second = pin!(self.timed(attempt()));
        tokio::select! {
            biased;
            outcome = &mut first => match outcome {
                Err(fault) if fault.sort != Sort::Missing => self.rest(fault, second.await, true),
                settled => settled,
            },
            outcome = second.as_mut() => match outcome {
                Ok(value) => self.rest(Fault::new(Sort::Transient, ""), Ok(value), true),
                Err(fault) if fault.sort == Sort::Missing => Err(fault),
                Err(fault) => self.rest(fault, first.await, false),
            },
        }
    }

    /// One of two attempts failed: the other one's outcome counts, and keeps what is unknown about the failed one.
    fn rest<T>(&self, failed: Fault, other: Result<T, Fault>, hedge: bool) -> Result<T, Fault> {
        match other {
            Ok(value) => {
                if hedge {
                    telemetry::hedge_won(self.kind);
                }
                Ok(value)
            }
            Err(mut fault) => {
                fault.ambiguous |= failed.ambiguous;
                Err(fault)
            }
        }
    }

    /// One attempt, ended at its time-out, and counted however it ends.
    async fn timed<T>(&self, attempt: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let begun = Instant::now();
        let mut count = Count { kind: self.kind, begun, result: "dropped" };
        let outcome = match timeout(self.lane.timeout, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let reason = format!("no answer within {:?}", self.lane.timeout);
                Err(Fault::new(Sort::Transient, reason).ambiguous())
            }
        };
        let failed = outcome.as_ref().err();
        count.result = failed.map_or("ok", Fault::result);
        self.lane.note(begun, failed);
        match failed {
            None => self.lane.gates.went_well(self.part),
            Some(fault) if fault.sort == Sort::Busy => {
                telemetry::slow_down(self.kind);
                self.lane.gates.slow_down(self.part, begun, self.lane.in_flight());
            }
            Some(_) => {}
        }
        outcome
    }
}

/// Counts an attempt when it ends, also when it is dropped because its twin was faster or its deadline passed.
struct Count {
    kind: Kind,
    begun: Instant,
    result: &'static str,
}

impl Drop for Count {
    fn drop(&mut self) {
        telemetry::request(self.kind, self.result, self.begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn complaints_are_few() {
        let complaints = Complaints::default();
        let told = (0..100).filter(|_| complaints.may(Instant::now())).count();
        assert_eq!(told, 1);
        tokio::time::advance(COMPLAIN_EVERY).await;
        assert!(complaints.may(Instant::now()) && !complaints.may(Instant::now()));
    }
}
