//! The agent seen from outside: metrics in Prometheus' text format, `/health`, `/ready`.
//!
//! Metrics are recorded where things happen, through the `metrics` facade; here they are gathered, described and shown. Names are
//! `siltstone_<part>_<thing>_<unit>`; labels have few values. Deliberately not here: logs, which the command sets up.

mod describe;
mod http;
mod process;

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use http::{Readiness, Ready, serve};

/// Upper bounds of latency histograms, seconds: from a memory copy to an object store in trouble.
const SECONDS: [f64; 20] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5,
    1.0, 3.0, 10.0, 30.0,
];
/// Histograms keep what was recorded since the last upkeep one by one.
const UPKEEP: Duration = Duration::from_secs(1);

/// The process's metrics. A cheap clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Gathers all metrics of this process from now on. Once in a process, before anything is recorded.
    ///
    /// # Errors
    /// If it was done before.
    pub fn install() -> Result<Metrics, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .install_recorder()?;
        describe::all();
        Ok(Metrics { handle })
    }

    /// All metrics, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        process::render(&mut text);
        text
    }

    /// Keeps histograms small. Runs for ever.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }
}
