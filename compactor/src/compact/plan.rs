//! Whether a partition needs a round of compaction, and why: Kafka 4.2's rules, with what stands here for its segments. Pure: time is an argument.
//!
//! A round is due when the dirty part is larger than `min.cleanable.dirty.ratio` of all bytes that it would read, or something dirty is older than
//! `max.compaction.lag.ms`. It never goes beyond the last stable offset, nor beyond the first extent with a record younger than
//! `min.compaction.lag.ms`.
//!
//! Kafka leaves its active segment alone, so that a partition of a few records is not compacted again for every second one. There is no such segment
//! here: instead a dirty part below [`Settings::small_bytes`] waits until [`Settings::small_wait_ms`] after the round before.
//!
//! Kafka drops tombstones only when something dirty brings about a round, so that those of a partition that nobody writes to any more stay for ever. Here
//! a round is due too when the last of them may go.
//!
//! An extent tells the greatest timestamp of its records only, and extents of merged data span long times; so `max.compaction.lag.ms` also counts from
//! the begin of the round before, after which everything dirty was written (or was held back by `min.compaction.lag.ms`).

use siltstone_configs::TopicConfig;
use siltstone_log::{CleanedRow, Extent};
use siltstone_metadata::bugs::{self, Bug};

/// What an operator can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A dirty part with fewer bytes is small.
    pub small_bytes: u64,
    /// Milliseconds between the begins of two rounds if the dirty part is small. 0: it never waits.
    pub small_wait_ms: u64,
}

impl Default for Settings {
    /// 8 MiB; ten minutes.
    fn default() -> Self {
        Settings { small_bytes: 8 << 20, small_wait_ms: 600_000 }
    }
}

/// A partition as of its row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    /// Its first offset that may be read.
    pub log_start: i64,
    /// The offset behind the last one that the row knows. The compactor leaves alone what lies behind.
    pub end: i64,
    /// The last stable offset, as the row knows it.
    pub stable: i64,
    /// What compaction has done so far.
    pub cleaned: CleanedRow,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing, for now.
    Nothing {
        /// Why, for people.
        why: String,
        /// When to look again although nothing has been written, milliseconds since the Unix epoch; `None`: there is no need to.
        until: Option<i64>,
    },
    /// A round.
    Round(RoundPlan),
}

/// A round to do, or to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundPlan {
    /// Where keys are looked for from.
    pub first_dirty: i64,
    /// Where the round ends.
    pub upto: i64,
    /// Where to begin cleaning: the log start, or where a worker has left the round.
    pub cursor: i64,
    /// The partition's last offset, as its row knows it.
    pub last: i64,
    /// What compaction has done so far.
    pub cleaned: CleanedRow,
    /// Why, for people.
    pub why: String,
}

/// Sizes and ages of a partition's clean and dirty parts: takes in its extents one by one, and keeps none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    log_start: i64,
    first_dirty: i64,
    stable: i64,
    min_lag_ms: u64,
    now: i64,
    clean: u64,
    dirty: u64,
    /// Where the dirty part ends that may be cleaned now.
    upto: i64,
    /// The oldest of the dirty extents' timestamps.
    oldest: Option<i64>,
    /// When `min.compaction.lag.ms` lets the first extent go that it holds back.
    held_until: Option<i64>,
}

impl Survey {
    /// Of a partition, at this moment.
    pub fn new(config: &TopicConfig, partition: &Partition, now: i64) -> Self {
        let first_dirty = partition.first_dirty();
        let stable = if bugs::on(Bug::BeyondStable) { partition.end } else { partition.stable };
        let stable = stable.clamp(first_dirty, partition.end.max(first_dirty));
        Survey {
            log_start: partition.log_start,
            first_dirty,
            stable,
            min_lag_ms: config.min_compaction_lag_ms,
            now,
            clean: 0,
            dirty: 0,
            upto: stable,
            oldest: None,
            held_until: None,
        }
    }

    /// Takes in the next extent, in the order of their offsets. False: no further one counts.
    pub fn add(&mut self, extent: &Extent) -> bool {
        if self.held_until.is_some() || extent.base >= self.stable {
            return false;
        }
        self.clean += part(extent, self.log_start, self.first_dirty);
        if extent.end() <= self.first_dirty {
            return true;
        }
        let free = after(extent.max_timestamp, self.min_lag_ms);
        if self.min_lag_ms > 0 && free > self.now && !bugs::on(Bug::LagIgnored) {
            self.upto = extent.base.max(self.first_dirty);
            self.held_until = Some(free);
            return false;
        }
        self.dirty += part(extent, self.first_dirty, self.stable);
        // Records without a timestamp have no age.
        let age = Some(extent.max_timestamp).filter(|at| *at > 0);
        self.oldest = self.oldest.into_iter().chain(age).min();
        true
    }
}

impl Partition {
    /// The first dirty offset that is still there.
    fn first_dirty(&self) -> i64 {
        self.cleaned.first_dirty.min(self.end).max(self.log_start)
    }
}

/// What to do with a partition, if that needs no look at its extents: it is not compacted, or has a round to go on with.
pub fn at_once(config: &TopicConfig, partition: &Partition) -> Option<Plan> {
    if !config.cleanup.compact {
        return Some(nothing("its policy is not to compact", None));
    }
    let round = partition.cleaned.round.as_ref()?;
    let why = format!("a round that was left at offset {} goes on", round.cursor);
    Some(round_of(partition, round.upto.min(partition.stable), round.cursor, why))
}

/// What to do with a partition of which this is the survey.
pub fn plan(config: &TopicConfig, settings: &Settings, partition: &Partition, survey: &Survey) -> Plan {
    let now = survey.now;
    match due(config, settings, partition, survey, now) {
        Ok(why) => round_of(partition, survey.upto, partition.log_start, why),
        Err(waits) => match partition.cleaned.horizon {
            Some(horizon) if horizon <= now => {
                let why = "the time of its last tombstones has come".to_owned();
                round_of(partition, survey.upto, partition.log_start, why)
            }
            horizon => {
                let times = [waits.until, horizon, survey.held_until].into_iter().flatten();
                nothing(&waits.why, times.filter(|at| *at < i64::MAX).min())
            }
        },
    }
}

fn nothing(why: &str, until: Option<i64>) -> Plan {
    Plan::Nothing { why: why.to_owned(), until }
}

fn round_of(partition: &Partition, upto: i64, cursor: i64, why: String) -> Plan {
    let (first_dirty, cursor) = (partition.first_dirty(), cursor.max(partition.log_start));
    let (upto, cleaned) = (upto.max(first_dirty), partition.cleaned.clone());
    Plan::Round(RoundPlan { first_dirty, upto, cursor, last: partition.end - 1, cleaned, why })
}

/// The bytes of an extent that are in offsets `from..to`, as if all records were of one size.
fn part(extent: &Extent, from: i64, to: i64) -> u64 {
    let (begin, end) = (extent.base.max(from), extent.end().min(to));
    let offsets = u64::try_from(end.saturating_sub(begin)).unwrap_or(0);
    let share = u128::from(extent.length) * u128::from(offsets) / u128::from(extent.records.max(1));
    // What is there at all counts.
    u64::try_from(share).unwrap_or(u64::MAX).max(u64::from(offsets > 0))
}

fn after(at: i64, ms: u64) -> i64 {
    at.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}

struct Waits {
    why: String,
    until: Option<i64>,
}

/// Why a round is due, or why not.
fn due(
    config: &TopicConfig,
    settings: &Settings,
    partition: &Partition,
    survey: &Survey,
    now: i64,
) -> Result<String, Waits> {
    let Survey { clean, dirty, .. } = *survey;
    if dirty == 0 {
        let why = match survey.held_until {
            Some(_) => "all that is dirty is younger than min.compaction.lag.ms",
            None => "nothing is dirty",
        };
        return Err(Waits { why: why.to_owned(), until: None });
    }
    let begun = Some(partition.cleaned.begun).filter(|begun| *begun > 0);
    let latest =
        survey.oldest.into_iter().chain(begun).min().map(|at| after(at, config.max_compaction_lag_ms));
    if latest.is_some_and(|latest| latest < now) {
        return Ok(format!("{dirty} bytes are dirty, some for longer than max.compaction.lag.ms"));
    }
    let (ratio, least) = (dirty as f64 / (clean as f64 + dirty as f64), config.min_cleanable_dirty_ratio);
    if ratio <= least {
        let why = format!("{dirty} of {} bytes are dirty, not more than {least} of them", clean + dirty);
        return Err(Waits { why, until: latest });
    }
    let wait = begun.map_or(0, |begun| after(begun, settings.small_wait_ms));
    if dirty < settings.small_bytes && wait > now {
        let why = format!("only {dirty} bytes are dirty, and the round before was a moment ago");
        return Err(Waits { why, until: Some(latest.map_or(wait, |latest| latest.min(wait))) });
    }
    Ok(format!("{dirty} of {} bytes are dirty, more than {least} of them", clean + dirty))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
