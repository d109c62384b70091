//! What goes wrong, and how often. Probabilities are 0 to 1, per operation.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The faults of one handle. Change them at any time with [`super::MemoryStore::set_faults`].
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// The handle is cut off: reads fail, commits fail or are unknown, watches stay silent. Ends with the next
    /// [`super::MemoryStore::set_faults`].
    pub cut: bool,
    /// Waited before every operation.
    pub delay: RangeInclusive<Duration>,
    /// Waited between a commit's effect and its answer: others see it before its sender knows.
    pub answer_delay: RangeInclusive<Duration>,
    /// A commit with reads is told that it conflicts, though it does not.
    pub conflict: f64,
    /// A commit with reads is told that its read version is too old.
    pub commit_too_old: f64,
    /// A commit is refused and not applied.
    pub commit_unavailable: f64,
    /// A commit's answer is unknown, and it is never applied.
    pub unknown_never: f64,
    /// A commit's answer is unknown, and it was applied.
    pub unknown_applied: f64,
    /// A commit's answer is unknown, and it is applied later, unless it conflicts by then.
    pub unknown_late: f64,
    /// How much later. Also for commits whose future was dropped.
    pub late: RangeInclusive<Duration>,
    /// A commit whose future is dropped before it took effect still lands.
    pub dropped_lands: f64,
    /// A read fails.
    pub read_unavailable: f64,
    /// A read finds its snapshot too old, and so does every later read of it.
    pub read_too_old: f64,
    /// A watch fires though nothing changed.
    pub watch_spurious: f64,
    /// A watch is lost: it ends with an error.
    pub watch_lost: f64,
    /// How late a watch fires; also when a spurious or lost one ends.
    pub watch_delay: RangeInclusive<Duration>,
    /// Versions grow by 1 plus up to so many.
    pub version_jump: u64,
}

impl Faults {
    /// No faults, no delays.
    pub fn none() -> Self {
        let no_time = Duration::ZERO..=Duration::ZERO;
        Faults {
            cut: false,
            delay: no_time.clone(),
            answer_delay: no_time.clone(),
            conflict: 0.0,
            commit_too_old: 0.0,
            commit_unavailable: 0.0,
            unknown_never: 0.0,
            unknown_applied: 0.0,
            unknown_late: 0.0,
            late: no_time.clone(),
            dropped_lands: 0.0,
            read_unavailable: 0.0,
            read_too_old: 0.0,
            watch_spurious: 0.0,
            watch_lost: 0.0,
            watch_delay: no_time,
            version_jump: 0,
        }
    }

    /// No faults, but the delays and version jumps of a real cluster: a good state to heal to.
    pub fn calm() -> Self {
        Faults {
            delay: Duration::ZERO..=Duration::from_millis(2),
            answer_delay: Duration::ZERO..=Duration::from_millis(4),
            watch_delay: Duration::ZERO..=Duration::from_millis(10),
            dropped_lands: 0.5,
            version_jump: 1_000,
            ..Faults::none()
        }
    }

    /// Everything that the contract allows, often.
    pub fn storm() -> Self {
        Faults {
            delay: Duration::ZERO..=Duration::from_millis(20),
            answer_delay: Duration::ZERO..=Duration::from_millis(50),
            conflict: 0.05,
            commit_too_old: 0.02,
            commit_unavailable: 0.05,
            unknown_never: 0.03,
            unknown_applied: 0.03,
            unknown_late: 0.03,
            late: Duration::ZERO..=Duration::from_secs(20),
            dropped_lands: 0.5,
            read_unavailable: 0.05,
            read_too_old: 0.03,
            watch_spurious: 0.2,
            watch_lost: 0.05,
            watch_delay: Duration::ZERO..=Duration::from_millis(500),
            version_jump: 1_000_000,
            ..Faults::none()
        }
    }

    /// Cut off from the database, else calm.
    pub fn cut() -> Self {
        Faults { cut: true, ..Faults::calm() }
    }
}
