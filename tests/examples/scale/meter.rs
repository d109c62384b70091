//! Counts of what was asked of the metadata store, over a time.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;

use crate::Failure;

/// What a second brought, on average.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    pub(crate) versions: f64,
    pub(crate) gets: f64,
    pub(crate) ranges: f64,
    pub(crate) keys_read: f64,
    pub(crate) bytes_read: f64,
    pub(crate) commits: f64,
    pub(crate) conflicts: f64,
    pub(crate) keys_written: f64,
    pub(crate) bytes_written: f64,
    /// Open, not a second.
    pub(crate) watches: f64,
}

/// The counts of this process.
pub(crate) struct Meter(PrometheusHandle);

impl Meter {
    pub(crate) fn install() -> Result<Self, Failure> {
        Ok(Meter(PrometheusBuilder::new().install_recorder()?))
    }

    /// Counts for `time`.
    pub(crate) async fn over(&self, time: Duration) -> Rates {
        let before = self.counts();
        sleep(time).await;
        let after = self.counts();
        let rate = |of: fn(&Rates) -> f64| (of(&after) - of(&before)) / time.as_secs_f64();
        Rates {
            versions: rate(|counts| counts.versions),
            gets: rate(|counts| counts.gets),
            ranges: rate(|counts| counts.ranges),
            keys_read: rate(|counts| counts.keys_read),
            bytes_read: rate(|counts| counts.bytes_read),
            commits: rate(|counts| counts.commits),
            conflicts: rate(|counts| counts.conflicts),
            keys_written: rate(|counts| counts.keys_written),
            bytes_written: rate(|counts| counts.bytes_written),
            watches: after.watches,
        }
    }

    fn counts(&self) -> Rates {
        let text = self.0.render();
        let sum = |name: &str, label: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let reads = "siltstone_metadata_reads_total{";
        let commits = "siltstone_metadata_commits_total{";
        Rates {
            versions: sum(reads, "kind=\"version\""),
            gets: sum(reads, "kind=\"get\""),
            ranges: sum(reads, "kind=\"range\""),
            keys_read: sum("siltstone_metadata_read_keys_total ", ""),
            bytes_read: sum("siltstone_metadata_read_bytes_total ", ""),
            commits: sum(commits, ""),
            conflicts: sum(commits, "result=\"conflict\""),
            keys_written: sum("siltstone_metadata_written_keys_total ", ""),
            bytes_written: sum("siltstone_metadata_written_bytes_total ", ""),
            watches: sum("siltstone_metadata_watches ", ""),
        }
    }
}
