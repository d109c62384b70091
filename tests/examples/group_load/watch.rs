//! What all members have, so that one can see when a group is at rest, and what a phase of the run cost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::wire::Failure;

/// A phase may take so long.
const LONGEST: Duration = Duration::from_secs(60);

/// By member: its generation or epoch, and how many partitions it has.
type Members = BTreeMap<usize, (i32, usize)>;

/// All members of all groups.
#[derive(Default)]
pub(crate) struct Watch {
    groups: Mutex<BTreeMap<usize, Members>>,
    /// Refusals that members should never meet, by what they are.
    troubles: Mutex<BTreeMap<String, u64>>,
    pub(crate) requests: AtomicU64,
    /// Longest answer to anything but a JoinGroup or SyncGroup, microseconds.
    slowest: AtomicU64,
}

impl Watch {
    pub(crate) fn has(&self, (group, member): (usize, usize), generation: i32, partitions: usize) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(group).or_default().insert(member, (generation, partitions));
    }

    pub(crate) fn gone(&self, (group, member): (usize, usize)) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(group).or_default().remove(&member);
    }

    pub(crate) fn trouble(&self, what: String) {
        *self.troubles.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    pub(crate) fn took(&self, since: Instant) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.slowest.fetch_max(since.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// Groups in which so many members share so many partitions in one generation.
    fn at_rest(&self, members: usize, partitions: usize) -> usize {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.values().filter(|group| rests(group, members, partitions)).count()
    }

    /// Waits until all groups are at rest, then says what it took.
    pub(crate) async fn phase(&self, args: &Args, name: &str, members: usize) -> Result<(), Failure> {
        let (began, cpu) = (Instant::now(), cpu_seconds(args.pid)?);
        let asked = self.requests.load(Ordering::Relaxed);
        self.slowest.store(0, Ordering::Relaxed);
        while self.at_rest(members, args.partitions as usize) < args.groups {
            if began.elapsed() > LONGEST {
                let rest = self.at_rest(members, args.partitions as usize);
                let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let odd = groups.values().find(|group| !rests(group, members, args.partitions as usize));
                let troubles = self.troubles();
                return Err(format!("{name}: only {rest} groups at rest; not {odd:?}; {troubles:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!(
            "{name}: {:.2} s, server CPU {:.2} s, {} heartbeats, the slowest took {:.0} ms",
            began.elapsed().as_secs_f64(),
            cpu_seconds(args.pid)? - cpu,
            self.requests.load(Ordering::Relaxed) - asked,
            self.slowest.load(Ordering::Relaxed) as f64 / 1000.0,
        );
        Ok(())
    }

    pub(crate) fn troubles(&self) -> BTreeMap<String, u64> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn rests(group: &Members, members: usize, partitions: usize) -> bool {
    let generations = || group.values().map(|(generation, _)| generation);
    group.len() == members
        && generations().min() == generations().max()
        && group.values().map(|(_, owned)| owned).sum::<usize>() == partitions
}

/// Waits until the signal is given.
pub(crate) async fn told(signal: &mut tokio::sync::watch::Receiver<bool>) {
    if signal.wait_for(|given| *given).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// CPU seconds that the process has used; clock ticks are hundredths of a second on Linux.
pub(crate) fn cpu_seconds(pid: Option<u32>) -> Result<f64, Failure> {
    let Some(pid) = pid else { return Ok(0.0) };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no such process")?;
    let ticks = |index| fields.split_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0)
}
