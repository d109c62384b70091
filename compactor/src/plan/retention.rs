//! What retention lets go of, by time and by size, as Kafka does: the oldest extents, never one behind another that stays.

use std::fmt;

use siltstone_configs::TopicConfig;
use siltstone_log::Extent;

use crate::view::PartitionView;

/// Why records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// They are older than `retention.ms`.
    Age {
        /// That.
        retention_ms: u64,
    },
    /// The partition is larger than `retention.bytes` without them.
    Size {
        /// That.
        retention_bytes: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Age { retention_ms } => write!(f, "older than retention.ms={retention_ms}"),
            Reason::Size { retention_bytes } => write!(f, "beyond retention.bytes={retention_bytes}"),
        }
    }
}

/// Goes over a partition's extents from the oldest on, and finds where the log is to begin.
#[derive(Debug, Clone)]
pub struct Cut {
    now: i64,
    retention_ms: Option<u64>,
    retention_bytes: Option<u64>,
    /// Bytes of all extents that were not passed yet.
    left: u64,
    found: Option<(i64, Reason)>,
    done: bool,
}

impl Cut {
    /// For a partition of a topic with these configs that has `size` bytes. `None`: nothing can be due, by what its view says. `now` is in
    /// milliseconds since the Unix epoch.
    pub fn begin(view: &PartitionView, size: u64, config: &TopicConfig, now: i64) -> Option<Cut> {
        let first = view.first.as_ref().filter(|_| config.cleanup.delete)?;
        let (retention_ms, retention_bytes) = (config.retention_ms, config.retention_bytes);
        let cut = Cut { now, retention_ms, retention_bytes, left: size, found: None, done: false };
        // A record without a timestamp is as old as what follows it: that takes a look.
        let due = cut.reason(first).is_some() || first.max_timestamp < 0;
        due.then_some(cut)
    }

    /// Passes the next extent. Whether the one behind it matters, too.
    pub fn pass(&mut self, extent: &Extent) -> bool {
        if self.done {
            return false;
        }
        match self.reason(extent) {
            Some(reason) => {
                self.found = Some((extent.end(), reason));
                self.left = self.left.saturating_sub(u64::from(extent.length));
            }
            None if extent.max_timestamp < 0 => {
                self.left = self.left.saturating_sub(u64::from(extent.length));
            }
            None => self.done = true,
        }
        !self.done
    }

    /// The first offset that stays, and why those before go.
    pub fn end(self) -> Option<(i64, Reason)> {
        self.found
    }

    fn reason(&self, extent: &Extent) -> Option<Reason> {
        let limit = |ms: u64| self.now.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX));
        if let Some(retention_ms) = self.retention_ms
            && extent.max_timestamp >= 0
            && extent.max_timestamp < limit(retention_ms)
        {
            return Some(Reason::Age { retention_ms });
        }
        let retention_bytes = self.retention_bytes?;
        let over = self.left.checked_sub(retention_bytes)?;
        (over >= u64::from(extent.length)).then_some(Reason::Size { retention_bytes })
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
