//! What was measured, and how it is shown.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::output::Table;

/// Longer latencies count as this: ten minutes, in microseconds.
const LONGEST: u64 = 600_000_000;
const TICK: Duration = Duration::from_millis(200);
const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Counts and latencies, shared by all that measure.
#[derive(Clone)]
pub(super) struct Meter {
    inner: Arc<Inner>,
}

struct Inner {
    records: AtomicU64,
    bytes: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

impl Meter {
    pub(super) fn new() -> Meter {
        // These bounds are right for every histogram.
        let mut histogram =
            Histogram::new_with_max(LONGEST, 3).unwrap_or_else(|_| unreachable!("bounds of a histogram"));
        histogram.auto(false);
        let inner =
            Inner { records: AtomicU64::new(0), bytes: AtomicU64::new(0), latencies: Mutex::new(histogram) };
        Meter { inner: Arc::new(inner) }
    }

    /// Counts records of so many bytes in all, with their latencies where they are known.
    pub(super) fn count(&self, records: u64, bytes: u64, latencies: impl Iterator<Item = Duration>) {
        self.inner.records.fetch_add(records, Ordering::Relaxed);
        self.inner.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut histogram = self.inner.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.for_each(|latency| {
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST))
        });
    }

    pub(super) fn records(&self) -> u64 {
        self.inner.records.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// What was measured since `began`.
    pub(super) fn report(&self, name: &'static str, began: Instant) -> Report {
        let latencies = self.inner.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report {
            name,
            seconds: began.elapsed().as_secs_f64(),
            records: self.records(),
            bytes: self.bytes(),
            latencies,
        }
    }

    /// A bar on standard error (if that is a terminal) until the returned value is dropped.
    pub(super) fn show(&self, name: &'static str, until: Until) -> Shown {
        let length = match until {
            Until::Records(count) => count,
            Until::Passed(duration) => duration.as_millis() as u64,
        };
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>9} {wide_bar} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name);
        let (meter, shown) = (self.clone(), bar.clone());
        let ticker = tokio::spawn(async move {
            let began = Instant::now();
            loop {
                tokio::time::sleep(TICK).await;
                let seconds = began.elapsed().as_secs_f64();
                let rate = meter.records() as f64 / seconds;
                shown.set_message(format!("{rate:.0} records/s, {:.1} MiB/s", mib(meter.bytes()) / seconds));
                shown.set_position(match until {
                    Until::Records(_) => meter.records(),
                    Until::Passed(_) => began.elapsed().as_millis() as u64,
                });
            }
        });
        Shown { bar, ticker }
    }
}

/// When a run is over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Records(u64),
    Passed(Duration),
}

/// A progress bar that is there as long as this is.
pub(super) struct Shown {
    bar: ProgressBar,
    ticker: JoinHandle<()>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.ticker.abort();
        self.bar.finish_and_clear();
    }
}

/// One run.
pub(super) struct Report {
    pub(super) name: &'static str,
    pub(super) records: u64,
    seconds: f64,
    bytes: u64,
    latencies: Histogram<u64>,
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Report {
    fn per_second(&self, amount: f64) -> f64 {
        amount / self.seconds.max(1e-9)
    }

    fn millis(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let mut latency: serde_json::Map<String, serde_json::Value> = QUANTILES
            .iter()
            .map(|(name, quantile)| ((*name).to_owned(), self.millis(*quantile).into()))
            .collect();
        latency.insert("mean".to_owned(), (self.latencies.mean() / 1000.0).into());
        latency.insert("max".to_owned(), (self.latencies.max() as f64 / 1000.0).into());
        serde_json::json!({
            "records": self.records,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "records_per_second": self.per_second(self.records as f64),
            "mib_per_second": self.per_second(mib(self.bytes)),
            "latency_ms": if self.latencies.is_empty() { serde_json::Value::Null } else { latency.into() },
        })
    }
}

/// Writes the tables.
pub(super) fn write(out: &mut impl Write, reports: &[Report]) -> io::Result<()> {
    let mut table = Table::new(&["", "RECORDS", "SECONDS", "RECORDS/S", "MIB/S"]);
    for report in reports {
        table.row([
            report.name.to_owned(),
            report.records.to_string(),
            format!("{:.2}", report.seconds),
            format!("{:.0}", report.per_second(report.records as f64)),
            format!("{:.1}", report.per_second(mib(report.bytes))),
        ]);
    }
    table.write(out)?;
    let timed: Vec<&Report> = reports.iter().filter(|report| !report.latencies.is_empty()).collect();
    if timed.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table =
        Table::new(&["LATENCY, MS", "MEAN", "P50", "P90", "P95", "P99", "P99.9", "P99.99", "MAX"]);
    for report in timed {
        let [p50, p90, p95, p99, p999, p9999] =
            QUANTILES.map(|(_, quantile)| format!("{:.2}", report.millis(quantile)));
        let mean = format!("{:.2}", report.latencies.mean() / 1000.0);
        let max = format!("{:.2}", report.latencies.max() as f64 / 1000.0);
        table.row([report.name.to_owned(), mean, p50, p90, p95, p99, p999, p9999, max]);
    }
    table.write(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reports_hold_rates_and_quantiles() {
        let meter = Meter::new();
        let began = Instant::now();
        meter.count(100, 1 << 20, (1..=100).map(Duration::from_millis));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let report = meter.report("produce", began);
        let json = report.json();
        assert_eq!(json["records"], 100);
        assert!((json["records_per_second"].as_f64().unwrap() - 50.0).abs() < 1.0);
        assert!((json["mib_per_second"].as_f64().unwrap() - 0.5).abs() < 0.01);
        assert!((json["latency_ms"]["p50"].as_f64().unwrap() - 50.0).abs() < 0.5);
        let mut out = Vec::new();
        write(&mut out, &[report]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("RECORDS/S") && text.contains("P99.9"), "{text}");
    }
}
